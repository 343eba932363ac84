//! The flags that say what is learned and how it is protected, the same for `simulate` and `demo`.

use std::path::{Path, PathBuf};

use chorus_coordinator::PlanFiles;
use chorus_data::Dataset;
use chorus_model::{Features, IalsPrivateRecipe, IalsRecipe, Initial, Recipe, TrainedRecipe};
use chorus_privacy::Law;
use chorus_protocol::{
    COHORT_MOST, Consistency, NoiseMaking, Privacy, Surplus, Task, TaskError, TaskName,
};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit::{self, OrExit};
use crate::ranges::{self, within};

/// Gradient rounds where nobody says how many.
const ROUNDS: usize = 30;

/// The bound where noise is asked for and none is named.
pub const DEFAULT_EPSILON: f64 = 8.0;

/// Whether noise is added, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NoiseChoice {
    /// No noise: exact sums, no differential privacy.
    Off,
    /// Noise on every report that makes it private by itself: nobody else is trusted, at a price in accuracy.
    Local,
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
    /// The choice of noise, where somebody made one.
    ///
    /// # Errors
    /// An epsilon where there is no noise.
    pub fn privacy(&self) -> anyhow::Result<Option<Privacy>> {
        Ok(match (self.noise, self.epsilon) {
            (Some(NoiseChoice::Off), Some(_)) => {
                return exit::stop(
                    exit::USAGE,
                    "`--epsilon` is a bound on what noise lets through: leave it out with `--noise off`",
                );
            }
            (Some(NoiseChoice::Off), None) => Some(Privacy::Off),
            (Some(NoiseChoice::Local), epsilon) => Some(Privacy::Local {
                epsilon: epsilon.unwrap_or(DEFAULT_EPSILON),
                delta: self.delta,
            }),
            (None, Some(epsilon)) => Some(Privacy::Distributed {
                epsilon,
                delta: self.delta,
            }),
            (None, None) => None,
        })
    }

    /// The task for so many clients and the items of a data set, checked.
    pub fn task(
        &self,
        name: &str,
        population: usize,
        dataset: &Dataset,
        privacy: Privacy,
    ) -> anyhow::Result<Task> {
        let items = dataset.items;
        let noise = privacy.bound().is_some();
        let recipe = match (&self.model, privacy.bound()) {
            (Some(path), bound) => {
                let rounds = self.rounds.unwrap_or(ROUNDS);
                Recipe::Trained(TrainedRecipe {
                    noise: bound.is_some(),
                    ..trained(path, dataset, rounds)?
                })
            }
            (None, Some((epsilon, _))) => {
                let features = dataset.features.clone().filter(|_| !self.no_features);
                let settled = IalsPrivateRecipe::for_epsilon(items, epsilon);
                Recipe::IalsPrivate(IalsPrivateRecipe {
                    factors: self.factors.unwrap_or(settled.factors),
                    sweeps: self.sweeps.unwrap_or(settled.sweeps),
                    row_threshold: self.row_threshold,
                    features: features.map(Features::Table),
                    ..settled
                })
            }
            (None, None) => Recipe::Ials(IalsRecipe {
                block: self.block,
                head: self.head,
                ..IalsRecipe::new(
                    items,
                    self.factors.unwrap_or(width(population)),
                    self.rounds.unwrap_or(ROUNDS),
                )
            }),
        };
        // Splitting is how a smaller cohort is asked for where one sum should hold everyone.
        let cohort = self.cohort.filter(|_| !noise || self.split == 1);
        let mut task = Task {
            name: task_name(name)?,
            population,
            cohort: cohort.unwrap_or(if noise { 1.0 } else { 0.1 }),
            split: self.split,
            dropout: self
                .bearable_dropout
                .unwrap_or(if noise { 0.2 } else { 0.3 }),
            corrupt: 0.1,
            bits: self.bits,
            consistency: Consistency::Cohort,
            privacy,
            noise: NoiseMaking {
                law: self.mechanism.into(),
                rotation: self.rotation,
                surplus: match self.remove_surplus {
                    true => Surplus::Removed,
                    false => Surplus::Kept,
                },
            },
            evaluate: None,
            recipe,
        };
        task.recipe.settle(task.cohort);
        if self.witness || task.cohort_size() > COHORT_MOST {
            task.consistency = Consistency::Witness;
        }
        task.validate().map_err(blamed).or_exit(exit::USAGE)?;
        Ok(task)
    }
}

/// An error of a task that flags made: it names the flag instead of the field.
fn blamed(error: TaskError) -> anyhow::Error {
    let (field, problem) = match &error {
        TaskError::Field { field, problem } => (*field, problem.as_str()),
        TaskError::Recipe(recipe) => (recipe.field.as_ref(), recipe.problem.as_ref()),
        _ => return error.into(),
    };
    let flag = match field {
        "cohort" | "split" | "bits" | "factors" | "rounds" | "head" | "sweeps" | "block" => field,
        "dropout" => "bearable-dropout",
        "privacy.delta" => "delta",
        "row_threshold" => "row-threshold",
        _ => return error.into(),
    };
    anyhow::anyhow!("--{flag}: {problem}")
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
    let is_of_features = plan
        .tensors
        .iter()
        .any(|tensor| tensor.initial == Initial::Features);
    let features = dataset.features.clone().filter(|_| is_of_features);
    let mut recipe = TrainedRecipe {
        features: features.map(Features::Table),
        ..TrainedRecipe::new(dataset.items, rounds, plan)
    };
    if let Some(module) = module {
        recipe.set_module(&module);
    }
    Ok(recipe)
}

/// The width of an item table for so many people: with fewer, more directions learn chance.
pub fn width(people: usize) -> usize {
    if people < 1_000 { 32 } else { 128 }
}

/// A task name from text.
pub fn task_name(name: &str) -> anyhow::Result<TaskName> {
    match TaskName::try_from(name.to_owned()) {
        Ok(name) => Ok(name),
        Err(problem) => exit::stop(exit::USAGE, problem),
    }
}
