use chorus_data::Dataset;
use chorus_model::{Engine, Parameters, Quality};
use chorus_privacy::{Law, Release};
use chorus_protocol::{Privacy, Surplus, Task};
use serde::{Deserialize, Serialize};

use crate::plain::Drawn;
use crate::{
    Alone, Availability, Buffer, Company, Figures, Malice, Picture, Report, RoundRow, Sampling,
    SimulateError, Simulation, evaluate,
};

pub(crate) const ONE_PROGRAM: &str = "One program played every role here, so nothing was protected from whoever ran it. In the \
    product the same functions run on clients and coordinator, apart from each other:";

/// How to simulate; what is learned stands in the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The same task, data and seed give the same model, bit for bit, whatever the number of threads.
    pub seed: u64,
    /// Share of the invited clients that vanish in each round; at most the task's own dropout.
    pub dropout: f64,
    /// Parts of those that vanish before they send keys, shares, confirmations, updates, and help with the unmasking; whoever
    /// goes last is in the sum.
    pub dropout_phases: [u8; 5],
    /// Share of the invited clients whose update comes too late for the sum; with `dropout` at most the task's own.
    pub stragglers: f64,
    /// How cohorts are drawn.
    pub sampling: Sampling,
    /// When clients can be reached; nothing for always.
    pub availability: Option<Availability>,
    /// Who attacks, and how.
    pub malice: Option<Malice>,
    /// Server steps over updates as they come instead of rounds: `cohort` clients learn at a time.
    pub buffer: Option<Buffer>,
    /// Runs the whole protocol with keys, shares and masks. The sums have the same bits either way, so the default
    /// leaves the masks out: that is many times as fast.
    pub masks: bool,
    /// Draws the noise of each sum in one piece instead of a share a client, without masks: many times as fast, for large
    /// populations and catalogues. The law of the sum is the same to within 1e-58 (`privacy.md` 1.3, tau), its bits are not.
    pub noise_at_once: bool,
    /// One party adds the noise of a task with shared noise to each sum, so that it is exactly what the bound needs, whoever
    /// vanishes. Whoever runs that party sees exact sums: a comparison for research, which the product does not offer.
    pub central_noise: bool,
    /// People that quality is measured on between rounds, at most; 0 for none. The last figure is always over everyone.
    pub measured: usize,
}

impl Options {
    /// Everyone honest, nobody gone, no masks.
    pub const USUAL: Self = Self {
        seed: 0,
        dropout: 0.0,
        dropout_phases: [1, 1, 1, 1, 0],
        stragglers: 0.0,
        sampling: Sampling::Turns,
        availability: None,
        malice: None,
        buffer: None,
        masks: false,
        noise_at_once: false,
        central_noise: false,
        measured: 1_000,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::USUAL
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
    /// What one client released by taking part in everything; empty without noise.
    pub releases: Vec<Release>,
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
                "{} simulated clients of one program, {masks}. No network, no identities.",
                figures.clients
            ),
            figures: figures.clone(),
            popularity: self.popularity,
            rounds: self.rounds.clone(),
            guarantee: self.guarantee.clone(),
            trust: format!("{ONE_PROGRAM}\n{}", self.trust),
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
    content_of(task, dataset, engine, parameters, &Alone)
}

/// The same with other processes that measure it too.
pub(crate) fn content_of(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    parameters: &Parameters,
    company: &dyn Company,
) -> Result<Option<Quality>, SimulateError> {
    let Some(alone) = task.recipe.content_alone(parameters)? else {
        return Ok(None);
    };
    let (trainer, users) = (engine.open(&alone)?, evaluate::measured(dataset));
    let quality = evaluate::evaluate_users(dataset, trainer.as_ref(), &users, company)?;
    Ok(Some(quality))
}

/// Refuses what cannot be simulated, before anything is computed.
///
/// # Errors
/// When task, data and options do not fit each other.
pub fn check(task: &Task, dataset: &Dataset, options: &Options) -> Result<(), SimulateError> {
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
    options.check(task, dataset.items)
}

impl Options {
    pub(crate) fn drawn(&self) -> Drawn {
        match (self.central_noise, self.noise_at_once) {
            (true, _) => Drawn::ByOne,
            (false, true) => Drawn::AtOnce,
            (false, false) => Drawn::EachItsShare,
        }
    }

    /// Refuses what several processes cannot share.
    ///
    /// # Errors
    /// When one process alone can do it.
    pub fn check_shared(&self) -> Result<(), SimulateError> {
        let refuse = |key, problem: &str| {
            let problem = problem.to_owned();
            Err(SimulateError::Conduct { key, problem })
        };
        if self.masks {
            return refuse(
                "masks",
                "masks bind all clients of a round together, so one process has to play all of them; leave masks out, which changes no \
                 bit of a sum, or start one process",
            );
        }
        if self.buffer.is_some() {
            return refuse(
                "buffer",
                "updates that come one by one are learned a few at a time, which processes cannot share: start one process",
            );
        }
        Ok(())
    }

    /// Refuses what cannot be simulated of a task.
    fn check(&self, task: &Task, items: usize) -> Result<(), SimulateError> {
        let refuse = |key, problem: &str| {
            let problem = problem.to_owned();
            Err(SimulateError::Conduct { key, problem })
        };
        if self.masks && self.noise_at_once {
            return Err(SimulateError::NoiseAtOnce);
        }
        let wanted = self.dropout + self.stragglers;
        if !(0.0..=task.dropout + 1e-9).contains(&wanted) || self.dropout.min(self.stragglers) < 0.0
        {
            return Err(SimulateError::Dropout {
                wanted,
                borne: task.dropout,
            });
        }
        if self.dropout_phases == [0; 5] {
            return refuse(
                "dropout-phases",
                "name at least one phase that clients vanish before",
            );
        }
        let draws = self.sampling != Sampling::Turns || self.availability.is_some();
        if draws && task.privacy.bound().is_some() {
            return refuse(
                "sampling",
                "with noise everyone takes part in every sum, and nothing is claimed for drawing some: leave it out, or take \
                 no noise",
            );
        }
        let clients = self.availability.as_ref().map_or(0, Availability::clients);
        if clients > task.population {
            let problem = format!(
                "the trace names client {}, and the population has {}, numbered from 0",
                clients - 1,
                task.population
            );
            return refuse("availability", &problem);
        }
        if let Some(buffer) = &self.buffer {
            buffer.check(task, self)?;
        }
        if let Some(malice) = &self.malice {
            malice.check(items)?;
            if self.masks {
                return refuse(
                    "masks",
                    "clients that attack are simulated without masks, which change no bit of a sum",
                );
            }
        }
        let shared = matches!(task.privacy, Privacy::Distributed { .. });
        let is_plain =
            task.noise.law == Law::DiscreteGaussian && task.noise.surplus == Surplus::Kept;
        if self.central_noise && !(shared && is_plain && !self.masks) {
            return refuse(
                "central-noise",
                "one party adds discrete Gaussian noise for an epsilon to each sum: leave out masks, the other mechanism and the \
                 removal of a surplus",
            );
        }
        Ok(())
    }
}
