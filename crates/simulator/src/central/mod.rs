//! The yardstick: the same model learned in one place from all histories in the open.

mod plan;
mod yardstick;

use chorus_data::Dataset;
use chorus_model::{
    Engine, IalsRecipe, ItemId, Learning, MeanDelta, Parameters, Recipe, Ridge, Tensor, TrainError,
    TrainingSet,
};
use rayon::prelude::*;

use crate::SimulateError;
use crate::draw::{Stream, stream};
pub use plan::{CentralPlan, train_plan_centrally};
pub use yardstick::Yardstick;

/// People whose contributions are held in memory at a time.
const BATCH: usize = 256;

/// How to learn in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Central {
    /// Catalogue, width, lambda, alpha0 and whether there is a head. Its rounds, cohorts and blocks are of no matter here.
    pub recipe: IalsRecipe,
    /// Sweeps over all persons, then all items, each solved exactly.
    pub epochs: usize,
    /// Decides the first item table.
    pub seed: u64,
}

/// Alternating least squares with the objective of `ials` (Hu, Koren and Volinsky 2008; regularised as by Rendle and others
/// 2022): what the federation approximates, and what its figures stand beside. The head is made of everyone's sums too.
///
/// `swept` hears how many sweeps are done. The same data and seed give the same model, bit for bit, whatever the number of
/// threads.
///
/// # Errors
/// When recipe and data do not fit each other, or the numbers go wrong.
///
/// # Privacy
/// None: whoever runs this has every history.
pub fn train_centrally(
    dataset: &Dataset,
    engine: &dyn Engine,
    central: &Central,
    swept: &mut dyn FnMut(usize),
) -> Result<Parameters, SimulateError> {
    let heads = usize::from(central.recipe.heads() > 0);
    let settled = IalsRecipe {
        rounds: 1,
        block: None,
        head: Some(heads),
        ..central.recipe.clone()
    };
    let recipe = Recipe::Ials(settled.clone());
    let place = Place::new(dataset, &recipe, engine, central.seed)?;
    let everyone: Vec<usize> = (0..dataset.users()).collect();
    let mut learning = place.sum(recipe.start(central.seed), 0, &everyone)?;
    let factors = settled.factors;
    let alpha0 = f64::from(learning.parameters.scalar("alpha0")?);
    let lambda = settled.regularisation;
    let owners = owners(&place.histories, dataset.items);
    let persons: Vec<&[ItemId]> = place.histories.iter().map(TrainingSet::items).collect();
    let owners: Vec<&[ItemId]> = owners.iter().map(Vec::as_slice).collect();
    let mut items = learning.parameters.require("items")?.values.clone();
    for epoch in 1..=central.epochs {
        let vectors = solve_all(&Ridge::new(items, factors, alpha0), &persons, lambda)?;
        items = solve_all(&Ridge::new(vectors, factors, alpha0), &owners, lambda)?;
        swept(epoch);
    }
    let items = Tensor::new("items", &[dataset.items, factors], items)?;
    learning.parameters.set("items", items);
    if heads > 0 {
        settled.freeze(&mut learning)?;
        learning = place.sum(learning, 2, &everyone)?;
    }
    Ok(learning.parameters)
}

/// Where everything is known.
struct Place<'a> {
    recipe: &'a Recipe,
    engine: &'a dyn Engine,
    histories: Vec<TrainingSet>,
    seed: u64,
}

impl<'a> Place<'a> {
    fn new(
        dataset: &Dataset,
        recipe: &'a Recipe,
        engine: &'a dyn Engine,
        seed: u64,
    ) -> Result<Self, SimulateError> {
        if recipe.items() != dataset.items {
            return Err(SimulateError::Catalogue {
                recipe: recipe.items(),
                data: dataset.items,
            });
        }
        let histories = (0..dataset.users()).map(|user| dataset.training_set(user));
        Ok(Self {
            recipe,
            engine,
            histories: histories.collect(),
            seed,
        })
    }

    /// One named sum over `people`, added up without a grid, and the step after it.
    fn sum(
        &self,
        learning: Learning,
        index: usize,
        people: &[usize],
    ) -> Result<Learning, SimulateError> {
        let sums = self.recipe.sums();
        let trainer = self.engine.open(&learning.parameters)?;
        let mut total = Vec::new();
        if let Some(sum) = sums.get(index) {
            total.resize(sum.length, 0.0);
            for batch in people.chunks(BATCH) {
                let parts = batch.par_iter().filter_map(|person| {
                    let history = self.histories.get(*person)?;
                    let mut rng = stream(self.seed, index as u64, Stream::Client(*person));
                    Some(trainer.contribution(sum.step, sum.block, history, &mut rng))
                });
                // Added in the order of the people, so that the sum has the same bits on any number of threads.
                for delta in parts.collect::<Result<Vec<_>, TrainError>>()? {
                    let cells = total.iter_mut().zip(delta.into_values());
                    cells.for_each(|(total, value)| *total += f64::from(value));
                }
            }
        }
        let delta = MeanDelta {
            sum: total,
            clients: people.len(),
            noise: 0.0,
        };
        let everyone = self.histories.len();
        Ok(self.recipe.apply(learning, index, &delta, everyone)?)
    }
}

/// Every row's exact solution, row-major.
fn solve_all(ridge: &Ridge, rows: &[&[ItemId]], lambda: f64) -> Result<Vec<f32>, TrainError> {
    let solved: Vec<Vec<f64>> = rows
        .par_iter()
        .map(|row| ridge.solve(row, lambda))
        .collect::<Result<_, _>>()?;
    let values = solved.into_iter().flatten();
    Ok(values.map(|value| value as f32).collect())
}

/// Who touched each item: the histories with persons and items exchanged.
fn owners(histories: &[TrainingSet], items: usize) -> Vec<Vec<ItemId>> {
    let mut owners = vec![Vec::new(); items];
    for (person, history) in (0..).zip(histories) {
        for item in history.items() {
            if let Some(owners) = owners.get_mut(item.0 as usize) {
                owners.push(ItemId(person));
            }
        }
    }
    owners
}
