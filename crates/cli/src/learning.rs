//! The flags that say what is learned and how it is protected, the same for `simulate` and `demo`.

use std::path::{Path, PathBuf};

use chorus_coordinator::PlanFiles;
use chorus_data::Dataset;
use chorus_model::TrainedRecipe;
use chorus_privacy::Law;
use chorus_protocol::{Privacy, Task, TaskName};
use chorus_simulator::{Settings, SettingsError};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit::{self, OrExit};
use crate::ranges::{self, within};

/// Whether noise is added, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NoiseChoice {
    /// No noise: exact sums, no differential privacy.
    Off,
    /// Noise on every report that makes it private by itself: nobody else is trusted, at a price in accuracy.
    Local,
}

impl From<NoiseChoice> for chorus_simulator::NoiseChoice {
    fn from(choice: NoiseChoice) -> Self {
        match choice {
            NoiseChoice::Off => Self::Off,
            NoiseChoice::Local => Self::Local,
        }
    }
}

/// The law of each client's noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LawChoice {
    /// Discrete Gaussian (Kairouz, Liu, Steinke 2021).
    DiscreteGaussian,
    /// Skellam (Agarwal, Kairouz, Liu 2021): the sum of shares has the same law.
    Skellam,
}

impl From<LawChoice> for Law {
    fn from(choice: LawChoice) -> Self {
        match choice {
            LawChoice::DiscreteGaussian => Self::DiscreteGaussian,
            LawChoice::Skellam => Self::Skellam,
        }
    }
}

/// What is learned and how it is protected.
#[derive(Args, Clone, Debug)]
pub struct Learning {
    /// Train the model of a plan by gradient steps, with or without noise: a file such as `models/bpr-mf/model.toml`, or its
    /// folder. Left out: `ials` without noise, `ials-private` with it.
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["factors", "sweeps", "block", "no_features"])]
    pub model: Option<PathBuf>,
    /// `off`: the sums are exact and no differential privacy is claimed. `local`: each report is private before it leaves.
    /// Without it, the clients' shares of noise protect the sum together.
    #[arg(long, value_enum, value_name = "off|local")]
    pub noise: Option<NoiseChoice>,
    /// Privacy bound over everything that one client contributes; clients add the noise for it.
    #[arg(long, value_name = "E", value_parser = ranges::epsilon)]
    pub epsilon: Option<f64>,
    /// Probability at which epsilon may fail.
    #[arg(long, value_name = "D", default_value_t = 1e-5, value_parser = ranges::delta)]
    pub delta: f64,
    /// With noise, directions that a sweep learns [default: 16 under epsilon 6, else 24]; without, the width of the item
    /// table [default: 32, 128 from 1,000 clients]; 64 makes an upload half as large.
    #[arg(long, value_name = "N", value_parser = within(1, 1_024))]
    pub factors: Option<usize>,
    /// Share of the clients in one round [default: 1 with noise, 0.1 without].
    #[arg(long, value_name = "SHARE", value_parser = ranges::some_share)]
    pub cohort: Option<f64>,
    /// Gradient rounds without noise, or rounds of a `--model` [default: 30; 22 in the demo].
    #[arg(long, value_name = "N", value_parser = within(1, 100_000))]
    pub rounds: Option<usize>,
    /// Rounds after those, without noise, for the model that ranks beside the item table; 0 for none [default: as many as
    /// hear everyone once, at most a third of the gradient rounds].
    #[arg(long, value_name = "N", value_parser = within(0, 100_000))]
    pub head: Option<usize>,
    /// Sweeps with noise; each takes two sums, after one of counts [default: 2 under epsilon 6, else 3].
    #[arg(long, value_name = "N", value_parser = within(1, 20))]
    pub sweeps: Option<usize>,
    /// With noise, an item's row is learned only from a weighted count of at least K over the root of the typical history
    /// length, and of two standard deviations of the noise.
    #[arg(long, value_name = "K", default_value_t = 20.0, value_parser = ranges::threshold)]
    pub row_threshold: f64,
    /// With noise, leave out what the data says about its items publicly: genres and years.
    #[arg(long)]
    pub no_features: bool,
    /// Split each noised sum over so many disjoint cohorts; its noise variance grows as much.
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = within(1, 100_000))]
    pub split: usize,
    /// Largest share of a round's clients that may be lost [default: 0.2 with noise, 0.3 without].
    ///
    /// With noise, the plan adds noise for the worst case, so a larger share costs quality.
    #[arg(long, value_name = "SHARE", value_parser = ranges::bearable)]
    pub bearable_dropout: Option<f64>,
    /// Bits of one value of a sum: 16, 20, 24 or 32. Fewer make a smaller upload and a coarser grid.
    #[arg(long, value_name = "BITS", default_value_t = 32, value_parser = ranges::ring_bits)]
    pub bits: u32,
    /// Have a witness outside the coordinator vouch that all clients of a round are told the same. Above 5,000 clients
    /// a round needs one in any case.
    #[arg(long)]
    pub witness: bool,
    /// Train so many rows of the item table in each round, without noise: a smaller upload for a large catalogue.
    #[arg(long, value_name = "ROWS", value_parser = within(1, 1 << 24))]
    pub block: Option<usize>,
    /// The law of each client's noise.
    #[arg(long, value_enum, value_name = "LAW", default_value_t = LawChoice::DiscreteGaussian)]
    pub mechanism: LawChoice,
    /// Rotate updates before they are rounded: with 16 or 20 bits a finer grid then fits into the ring.
    #[arg(long)]
    pub rotation: bool,
    /// Take the noise off again that was planned for clients that then did not vanish. At most 64 may vanish in a round.
    #[arg(long)]
    pub remove_surplus: bool,
    /// Decides everything that is drawn, where nothing secret depends on it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

impl Learning {
    /// The same as settings, which other surfaces take too.
    pub fn settings(&self) -> Settings {
        Settings {
            model: self.model.clone(),
            noise: self.noise.map(Into::into),
            epsilon: self.epsilon,
            delta: self.delta,
            factors: self.factors,
            cohort: self.cohort,
            rounds: self.rounds,
            head: self.head,
            sweeps: self.sweeps,
            row_threshold: self.row_threshold,
            no_features: self.no_features,
            split: self.split,
            bearable_dropout: self.bearable_dropout,
            bits: self.bits,
            witness: self.witness,
            block: self.block,
            mechanism: self.mechanism.into(),
            rotation: self.rotation,
            remove_surplus: self.remove_surplus,
            seed: self.seed,
            ..Settings::default()
        }
    }

    /// The choice of noise, where somebody made one.
    ///
    /// # Errors
    /// An epsilon where there is no noise.
    pub fn privacy(&self) -> anyhow::Result<Option<Privacy>> {
        in_flags(self.settings().privacy())
    }

    /// The recipe of the plan that they name, if they do.
    pub fn recipe(&self, dataset: &Dataset) -> anyhow::Result<Option<TrainedRecipe>> {
        let path = self.model.as_ref();
        path.map(|path| trained(path, dataset, 1)).transpose()
    }

    /// The task for so many clients and the items of a data set, checked.
    pub fn task(
        &self,
        name: &str,
        population: usize,
        dataset: &Dataset,
        privacy: Privacy,
    ) -> anyhow::Result<Task> {
        let (name, recipe) = (task_name(name)?, self.recipe(dataset)?);
        let settings = self.settings();
        in_flags(settings.task(name, population, dataset, privacy, recipe))
    }
}

/// An error of settings that flags made: it names the flag instead of the key.
pub fn in_flags<T>(result: Result<T, SettingsError>) -> anyhow::Result<T> {
    let error = match result {
        Ok(value) => return Ok(value),
        Err(SettingsError::Impossible { key, problem }) => anyhow::anyhow!("--{key}: {problem}"),
        Err(SettingsError::EpsilonWithoutNoise) => anyhow::anyhow!(
            "`--epsilon` is a bound on what noise lets through: leave it out with `--noise off`"
        ),
        Err(SettingsError::NoiseUndecided) => anyhow::anyhow!(
            "decide about noise: `--epsilon E` adds noise for that privacy bound, `--noise off` adds none"
        ),
        Err(error) => error.into(),
    };
    Err(exit::with(exit::USAGE, error))
}

/// The recipe without noise of the plan in a file or folder, with what the data says of its items where the plan asks for it.
///
/// # Errors
/// A plan that cannot be read or followed.
pub fn trained(path: &Path, dataset: &Dataset, rounds: usize) -> anyhow::Result<TrainedRecipe> {
    let code = match path.exists() {
        true => exit::USAGE,
        false => exit::DATA,
    };
    let PlanFiles { plan, module } = crate::task::model(path)
        .map_err(anyhow::Error::msg)
        .or_exit(code)?;
    let module = module.as_deref();
    Ok(chorus_simulator::trained(plan, module, dataset, rounds))
}

/// A task name from text.
pub fn task_name(name: &str) -> anyhow::Result<TaskName> {
    match TaskName::try_from(name.to_owned()) {
        Ok(name) => Ok(name),
        Err(problem) => exit::stop(exit::USAGE, problem),
    }
}
