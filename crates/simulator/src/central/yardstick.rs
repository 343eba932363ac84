use chorus_data::Dataset;
use chorus_model::{Engine, IalsRecipe, Parameters, Recipe};
use chorus_protocol::Task;

use super::{Central, CentralPlan, train_centrally, train_plan_centrally};
use crate::{SimulateError, width};

/// What the model of a task is compared with: the same, learned in one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Yardstick {
    /// Of `ials`, and of `ials-private`, which has the same objective.
    Ials(Central),
    /// Of the model of a plan.
    Plan(Box<CentralPlan>),
}

impl Yardstick {
    /// Sweeps of `ials` where nobody says how many.
    pub const SWEEPS: usize = 12;
    /// Passes over everyone for a plan where nobody says how many.
    pub const EPOCHS: usize = 10;

    /// Of the model of a task, with a seed of its own: tasks that differ in their rounds, cohorts or noise have the same.
    pub fn of(task: &Task, dataset: &Dataset) -> Self {
        const SEED: u64 = 1;
        let ials = |recipe| {
            Self::Ials(Central {
                recipe,
                epochs: Self::SWEEPS,
                seed: SEED,
            })
        };
        match &task.recipe {
            Recipe::Ials(recipe) => ials(IalsRecipe {
                regularisation: recipe.regularisation,
                alpha0: recipe.alpha0,
                head: (recipe.heads() == 0).then_some(0),
                ..IalsRecipe::new(dataset.items, recipe.factors, 1)
            }),
            Recipe::IalsPrivate(_) => {
                ials(IalsRecipe::new(dataset.items, width(dataset.users()), 1))
            }
            Recipe::Trained(recipe) => Self::Plan(Box::new(CentralPlan {
                recipe: chorus_model::TrainedRecipe {
                    rounds: 1,
                    noise: false,
                    ..recipe.clone()
                },
                epochs: Self::EPOCHS,
                batch: Self::batch(dataset),
                seed: SEED,
            })),
        }
    }

    /// People of one step of a plan's optimiser where nobody says how many.
    pub fn batch(dataset: &Dataset) -> usize {
        dataset.users().div_ceil(10)
    }

    /// How often it hears everyone.
    pub fn epochs(&self) -> usize {
        match self {
            Self::Ials(central) => central.epochs,
            Self::Plan(central) => central.epochs,
        }
    }

    /// How it is learned, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Ials(central) => format!(
                "exact alternating least squares, {} factors, {} sweeps over everyone",
                central.recipe.factors, central.epochs
            ),
            Self::Plan(central) => format!(
                "the plan's own training, {} passes over everyone in steps of {} people",
                central.epochs, central.batch
            ),
        }
    }

    /// Learns it. `swept` hears how often everyone was heard.
    ///
    /// # Errors
    /// When task and data do not fit each other, or the numbers go wrong.
    pub fn learn(
        &self,
        dataset: &Dataset,
        engine: &dyn Engine,
        swept: &mut dyn FnMut(usize),
    ) -> Result<Parameters, SimulateError> {
        match self {
            Self::Ials(central) => train_centrally(dataset, engine, central, swept),
            Self::Plan(central) => train_plan_centrally(dataset, engine, central, swept),
        }
    }
}
