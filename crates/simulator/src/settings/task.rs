use std::fs::File;
use std::io::Read;
use std::path::Path;

use chorus_data::Dataset;
use chorus_model::{
    Evaluate, Features, IalsPrivateRecipe, IalsRecipe, Initial, ModelPlan, Recipe, TrainedRecipe,
};
use chorus_protocol::{COHORT_MOST, Consistency, NoiseMaking, Privacy, Surplus, Task, TaskName};

use super::{NoiseChoice, Settings, SettingsError};
use crate::{Attack, Availability, Buffer, Malice, Options, check};

/// Gradient rounds where nobody says how many.
const ROUNDS: usize = 30;

/// Bytes of a trace of everybody in the largest population, with some to spare.
const MOST_BYTES: u64 = 256 << 20;

/// The bound where noise is asked for and none is named.
pub const DEFAULT_EPSILON: f64 = 8.0;

impl Settings {
    /// The choice of noise, where somebody made one.
    ///
    /// # Errors
    /// An epsilon where there is no noise.
    pub fn privacy(&self) -> Result<Option<Privacy>, SettingsError> {
        let delta = self.delta;
        Ok(match (self.noise, self.epsilon) {
            (Some(NoiseChoice::Off), Some(_)) => return Err(SettingsError::EpsilonWithoutNoise),
            (Some(NoiseChoice::Off), None) => Some(Privacy::Off),
            (Some(NoiseChoice::Local), epsilon) => Some(Privacy::Local {
                epsilon: epsilon.unwrap_or(DEFAULT_EPSILON),
                delta,
            }),
            (None, Some(epsilon)) => Some(Privacy::Distributed { epsilon, delta }),
            (None, None) => None,
        })
    }

    /// The run that they ask for of a data set with all of its copies, checked. `model` is the recipe of the plan that they name,
    /// if they do.
    ///
    /// # Errors
    /// When nobody decided about noise, or settings and data do not go together.
    pub fn prepare(
        &self,
        name: TaskName,
        dataset: &Dataset,
        model: Option<TrainedRecipe>,
    ) -> Result<(Task, Options), SettingsError> {
        let privacy = self.privacy()?.ok_or(SettingsError::NoiseUndecided)?;
        let mut task = self.task(name, dataset.users(), dataset, privacy, model)?;
        if let Some(every) = self.evaluate {
            task.evaluate = Some(Evaluate { every, share: None });
        }
        let options = Options {
            seed: self.seed,
            dropout: self.dropout,
            masks: self.masks,
            noise_at_once: self.noise_at_once,
            central_noise: self.central_noise,
            measured: self.measured,
            ..self.conduct()?
        };
        check(&task, dataset, &options)?;
        Ok((task, options))
    }

    /// What the people of the run do that no task asks of them.
    fn conduct(&self) -> Result<Options, SettingsError> {
        let impossible = |key, problem: String| SettingsError::Impossible { key, problem };
        let availability = match &self.availability {
            None => None,
            Some(path) => {
                let fault = |problem: String| {
                    impossible("availability", format!("{}: {problem}", path.display()))
                };
                let text = text(path).map_err(fault)?;
                Some(Availability::parse(&text).map_err(|error| fault(error.to_string()))?)
            }
        };
        let usual = match self.attack {
            Some(Attack::Scaled) => 10,
            _ => 1,
        };
        let malice = match (self.malicious, self.attack) {
            (None, None) => None,
            (share, Some(attack)) => Some(Malice {
                share: share.unwrap_or_default(),
                attack,
                strength: self.strength.map_or(usual, |strength| strength as u16),
                item: self.promote.map(|item| item as u32),
            }),
            (Some(_), None) => {
                let problem =
                    "say what they send: `attack` is random, sign-flip, scaled or promotion";
                return Err(impossible("malicious", problem.to_owned()));
            }
        };
        if malice.is_none() && (self.strength.is_some() || self.promote.is_some()) {
            let problem = "name an `attack` that it is of".to_owned();
            return Err(impossible("attack", problem));
        }
        Ok(Options {
            dropout_phases: self.dropout_phases,
            stragglers: self.stragglers,
            sampling: self.sampling,
            availability,
            malice,
            buffer: self.buffer.map(|updates| Buffer {
                updates,
                staleness: self.staleness,
            }),
            ..Options::default()
        })
    }

    /// The task for so many clients and the items of a data set, checked.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn task(
        &self,
        name: TaskName,
        population: usize,
        dataset: &Dataset,
        privacy: Privacy,
        model: Option<TrainedRecipe>,
    ) -> Result<Task, SettingsError> {
        let noise = privacy.bound().is_some();
        let recipe = match model {
            Some(model) => self.of_plan(model, noise)?,
            None => self.ials(population, dataset, privacy),
        };
        // Splitting is how a smaller cohort is asked for where one sum should hold everyone.
        let cohort = self.cohort.filter(|_| !noise || self.split == 1);
        let dropout = if noise { 0.2 } else { 0.3 };
        let mut task = Task {
            name,
            population,
            cohort: cohort.unwrap_or(if noise { 1.0 } else { 0.1 }),
            split: self.split,
            dropout: self.bearable_dropout.unwrap_or(dropout),
            corrupt: 0.1,
            bits: self.bits,
            consistency: Consistency::Cohort,
            privacy,
            noise: NoiseMaking {
                law: self.mechanism,
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
        task.validate().map_err(SettingsError::of_task)?;
        Ok(task)
    }

    fn of_plan(&self, model: TrainedRecipe, noise: bool) -> Result<Recipe, SettingsError> {
        let others = [
            ("factors", self.factors.is_some()),
            ("sweeps", self.sweeps.is_some()),
            ("block", self.block.is_some()),
            ("no-features", self.no_features),
        ];
        if let Some((key, _)) = others.into_iter().find(|(_, is_given)| *is_given) {
            return Err(SettingsError::Impossible {
                key,
                problem: "it is not of the plan that `model` names: leave one of the two out"
                    .to_owned(),
            });
        }
        Ok(Recipe::Trained(TrainedRecipe {
            rounds: self.rounds.unwrap_or(ROUNDS),
            noise,
            ..model
        }))
    }

    fn ials(&self, population: usize, dataset: &Dataset, privacy: Privacy) -> Recipe {
        let items = dataset.items;
        let Some((epsilon, _)) = privacy.bound() else {
            let factors = self.factors.unwrap_or(width(population));
            return Recipe::Ials(IalsRecipe {
                block: self.block,
                head: self.head,
                ..IalsRecipe::new(items, factors, self.rounds.unwrap_or(ROUNDS))
            });
        };
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
}

/// The recipe without noise of a plan and its module, with what the data says of its items where the plan asks for it.
pub fn trained(
    plan: ModelPlan,
    module: Option<&[u8]>,
    dataset: &Dataset,
    rounds: usize,
) -> TrainedRecipe {
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
        recipe.set_module(module);
    }
    recipe
}

/// The width of an item table for so many people: with fewer, more directions learn chance.
pub fn width(people: usize) -> usize {
    if people < 1_000 { 32 } else { 128 }
}

/// A file that ends, and holds no more than a trace of everybody would.
fn text(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    match read.map_err(|error| error.to_string())? as u64 {
        0..=MOST_BYTES => Ok(text),
        _ => Err(format!("it has more than {MOST_BYTES} bytes")),
    }
}
