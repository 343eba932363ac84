use chorus_data::Dataset;
use chorus_model::{Engine, Parameters, Quality};
use chorus_protocol::Task;
use serde::{Deserialize, Serialize};

use crate::{Figures, Picture, Report, RoundRow, SimulateError, Simulation, evaluate};

const ONE_PROCESS: &str = "One process played every role here, so nothing was protected from whoever ran it. In the \
    product the same functions run on clients and coordinator, apart from each other:";

/// How to simulate; what is learned stands in the task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The same task, data and seed give the same model, bit for bit, whatever the number of threads.
    pub seed: u64,
    /// Share of the invited clients that vanish in each round; at most the task's own dropout.
    pub dropout: f64,
    /// Runs the whole protocol with keys, shares and masks. The sums have the same bits either way, so the default
    /// leaves the masks out: that is many times as fast.
    pub masks: bool,
    /// Draws the noise of each sum in one piece instead of a share a client, without masks: many times as fast, for large
    /// populations and catalogues. The law of the sum is the same to within 1e-58 (`privacy.md` 1.3, tau), its bits are not.
    pub noise_at_once: bool,
    /// People that quality is measured on between rounds, at most; 0 for none. The last figure is always over everyone.
    pub measured: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            dropout: 0.0,
            masks: false,
            noise_at_once: false,
            measured: 1_000,
        }
    }
}

/// How far a simulation is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A round begins.
    Began {
        /// Its number, from 1.
        round: usize,
        /// How many there are.
        rounds: usize,
        /// Its named sum.
        name: &'a str,
        /// Clients invited.
        invited: usize,
    },
    /// Clients of this round have learned.
    Learned {
        /// How many.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// A round ended.
    Ended {
        /// Its number, from 1.
        round: usize,
        /// How many there are.
        rounds: usize,
        /// What it did.
        row: &'a RoundRow,
    },
}

/// What a simulation gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The last model.
    pub parameters: Parameters,
    /// One row a round.
    pub rounds: Vec<RoundRow>,
    /// The last model's quality, over everyone.
    pub quality: Quality,
    /// The quality of ranking by popularity, over everyone.
    pub popularity: Quality,
    /// The quality of the noisy counts and the public item features without any other sum, over everyone; nothing for
    /// models without noise and for data without features.
    pub content: Option<Quality>,
    /// What was measured, in the form of `--json`. Its `command` is the caller's to fill in.
    pub figures: Figures,
    /// What protects the clients of such a task, in words.
    pub guarantee: String,
    /// Against whom, in words.
    pub trust: String,
    /// One upload of the last round beside its sum; nothing without masks, where nothing was uploaded.
    pub picture: Option<Picture>,
}

impl Run {
    /// The report of this run.
    pub fn report(&self) -> Report {
        let figures = &self.figures;
        let masks = match self.picture {
            Some(_) => "with the keys, shares and masks of the real protocol",
            None => "without masks, which changes no bit of any sum",
        };
        Report {
            title: format!("{}, simulated", figures.data),
            setting: format!(
                "{} simulated clients in one process, {masks}. No network, no identities.",
                figures.clients
            ),
            figures: figures.clone(),
            popularity: self.popularity,
            rounds: self.rounds.clone(),
            guarantee: self.guarantee.clone(),
            trust: format!("{ONE_PROCESS}\n{}", self.trust),
            picture: self.picture.clone(),
        }
    }
}

/// Learns the task from the data: every named sum in order, over seeded cohorts, on all cores.
///
/// Each client runs the product's own functions: select, learn (`engine`), clip, quantise, noise, and with
/// [`Options::masks`] mask; so does the coordinator's side: sum, decode, server step. With noise everyone takes part
/// in every sum; a task with `split` C > 1 asks for C disjoint cohorts a sum, each with the full noise.
///
/// # Errors
/// When task and data do not fit each other, the task cannot be planned, more are to vanish than it bears,
/// or a step of the road fails.
pub fn simulate(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    options: Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Run, SimulateError> {
    let mut simulation = Simulation::new(task, dataset, engine, options)?;
    while simulation.goes_on() {
        simulation.sum(progress)?;
    }
    simulation.end()
}

/// The quality of what the counts and the public item features say alone, where `parameters` are of such a model: the
/// comparison that every figure of a private model is shown with.
///
/// # Errors
/// When the model is not of the task's recipe, or cannot be measured.
pub fn content(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    parameters: &Parameters,
) -> Result<Option<Quality>, SimulateError> {
    let Some(alone) = task.recipe.content_alone(parameters)? else {
        return Ok(None);
    };
    let trainer = engine.open(&alone)?;
    Ok(Some(evaluate(dataset, trainer.as_ref())?))
}

/// Refuses what cannot be simulated, before anything is computed.
///
/// # Errors
/// When task, data and options do not fit each other.
pub fn check(task: &Task, dataset: &Dataset, options: Options) -> Result<(), SimulateError> {
    task.validate()?;
    if task.population != dataset.users() {
        return Err(SimulateError::Population {
            task: task.population,
            data: dataset.users(),
        });
    }
    if task.recipe.items() != dataset.items {
        return Err(SimulateError::Catalogue {
            recipe: task.recipe.items(),
            data: dataset.items,
        });
    }
    if options.masks && options.noise_at_once {
        return Err(SimulateError::NoiseAtOnce);
    }
    if !(0.0..=task.dropout).contains(&options.dropout) {
        return Err(SimulateError::Dropout {
            wanted: options.dropout,
            borne: task.dropout,
        });
    }
    Ok(())
}
