//! The model of a plan, learned in one place.

use chorus_data::Dataset;
use chorus_model::{Engine, Guard, ModelSource, Parameters, Recipe, TrainedRecipe};
use rand::seq::SliceRandom;

use super::Place;
use crate::SimulateError;
use crate::draw::{Stream, stream};

/// How to learn the model of a plan in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct CentralPlan {
    /// Catalogue, plan, features and module. Its rounds and its noise are of no matter here.
    pub recipe: TrainedRecipe,
    /// Passes over everyone.
    pub epochs: usize,
    /// People of one step, at least 1.
    pub batch: usize,
    /// Decides the first model, the order of the people and what their trainers draw.
    pub seed: u64,
}

/// Stochastic gradient descent over batches of people, each person once an epoch: every history of a batch is learned from by the
/// plan's own trainer, from the same model, and the mean of what they changed goes into the plan's own optimiser, with its
/// schedule. This is what a federation does that asks `batch` clients a round, when nothing is clipped, rounded, noised or
/// lost and no guard looks on; with a batch of everyone it is FedAvg (McMahan et al. 2017) with full participation, and with one
/// local step of everyone (`epochs = 1` and a `batch` in the plan that holds all examples) gradient descent on the mean
/// over people of their mean loss.
///
/// `swept` hears how many epochs are done. The same data and seed give the same model, bit for bit, whatever the number of
/// threads.
///
/// # Errors
/// When plan and data do not fit each other, or the numbers go wrong.
///
/// # Privacy
/// None: whoever runs this has every history.
pub fn train_plan_centrally(
    dataset: &Dataset,
    engine: &dyn Engine,
    central: &CentralPlan,
    swept: &mut dyn FnMut(usize),
) -> Result<Parameters, SimulateError> {
    let published = central.recipe.plan()?;
    let mut open = published.clone();
    open.server.guard = UNGUARDED;
    let batch = central.batch.max(1);
    let recipe = Recipe::Trained(TrainedRecipe {
        rounds: central.epochs * dataset.users().div_ceil(batch),
        noise: false,
        model: ModelSource::Plan(Box::new(open)),
        ..central.recipe.clone()
    });
    let place = Place::new(dataset, &recipe, engine, central.seed)?;
    let mut people: Vec<usize> = (0..dataset.users()).collect();
    let mut learning = place.sum(recipe.start(central.seed), 0, &people)?;
    let mut index = 1;
    for epoch in 1..=central.epochs {
        people.shuffle(&mut stream(central.seed, epoch as u64, Stream::Cohort));
        for batch in people.chunks(batch) {
            learning = place.sum(learning, index, batch)?;
            index += 1;
        }
        swept(epoch);
    }
    learning.parameters.set_plan(published.clone());
    Ok(learning.parameters)
}

/// Believes everything: here nobody sends rubbish.
const UNGUARDED: Guard = Guard {
    sum: f64::INFINITY,
    step: f64::INFINITY,
    loss: f64::INFINITY,
    reports: 0.0,
};
