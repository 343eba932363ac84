//! Models of factors in plain Rust: f32, the touched rows only, no allocation for an example.

mod client;
mod rows;

use std::sync::{Mutex, PoisonError};

use rand::Rng;

use self::client::{Published, Scratch};
use self::rows::{Row, dot, fill, zeros};
use super::examples::{counted, within_catalogue};
use super::{Architecture, Layout, ModelPlan, Turn};
use crate::rank::{by_popularity, finite};
use crate::{
    Block, Delta, Parameters, ParametersError, PersonVector, Step, TrainError, Trainer, TrainingSet,
};

/// Opens a model of a plan.
///
/// # Errors
/// When the tensors do not match the plan, or its architecture needs libtorch.
pub(crate) fn open(
    plan: &ModelPlan,
    parameters: &Parameters,
) -> Result<Box<dyn Trainer>, TrainError> {
    let items = plan.matches(parameters)?;
    if plan.architecture != Architecture::Factors {
        return Err(TrainError::Architecture {
            model: plan.name.clone(),
            architecture: plan.architecture,
        });
    }
    let bias = parameters.get("item-bias").is_some();
    // One instance for each number of blocks of sixteen columns; in between, the next one up.
    macro_rules! instances {
        ($($blocks:literal)*) => {
            match (plan.factors() + usize::from(bias)).div_ceil(rows::LANES) {
                $(blocks if blocks <= $blocks => {
                    Ok(Box::new(Fused::<$blocks>::new(plan, parameters, items)?))
                })*
                _ => Err(TrainError::Numeric("more than 1024 factors".to_owned())),
            }
        };
    }
    instances!(1 2 3 4 5 6 8 9 12 16 17 32 33 64 65)
}

/// One opened model. `B`: blocks of sixteen columns that hold a row and its bias.
struct Fused<const B: usize> {
    plan: ModelPlan,
    layout: Layout,
    items: usize,
    published: Published<B>,
    /// Published bounds of adaptive clipping.
    bounds: Option<Vec<f64>>,
    popularity: Result<Vec<f32>, ParametersError>,
    /// One for each thread that was ever here at the same time.
    scratches: Mutex<Vec<Scratch<B>>>,
}

impl<const B: usize> Fused<B> {
    fn new(
        plan: &ModelPlan,
        parameters: &Parameters,
        items: usize,
    ) -> Result<Self, ParametersError> {
        let factors = plan.factors();
        let table = &parameters.require("items")?.values;
        let bias = parameters
            .get("item-bias")
            .map(|bias| bias.values.as_slice());
        let mut rows = vec![zeros(); items];
        for (item, (row, columns)) in rows.iter_mut().zip(table.chunks_exact(factors)).enumerate() {
            fill(row, columns, bias.and_then(|bias| bias.get(item).copied()));
        }
        let (mut learns, mut person) = (zeros(), zeros());
        fill(&mut learns, &vec![1.0; factors], None);
        fill(&mut person, &vec![0.0; factors], bias.map(|_| 1.0));
        let layout = Layout::new(plan, items);
        Ok(Self {
            bounds: layout.bounds(parameters)?,
            layout,
            items,
            popularity: by_popularity(parameters, items),
            published: Published {
                rows,
                learns,
                person,
            },
            plan: plan.clone(),
            scratches: Mutex::default(),
        })
    }

    /// Runs `work` with a scratch of its own.
    fn with<R>(&self, work: impl FnOnce(&mut Scratch<B>) -> R) -> R {
        let pool = || {
            self.scratches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let spare = pool().pop();
        let mut scratch = spare.unwrap_or_else(|| Scratch::new(self.items));
        let result = work(&mut scratch);
        pool().push(scratch);
        result
    }

    /// The person that a history is ranked for: rebuilt as in learning.
    fn rebuilt(&self, history: &TrainingSet) -> Result<Row<B>, TrainError> {
        within_catalogue(history, self.items)?;
        let mut person = self.published.person;
        self.with(|scratch| {
            let (plan, loss) = (&self.plan.client, self.plan.loss);
            scratch
                .examples
                .for_ranking(plan, loss, history, self.items);
            scratch.rebuild(&self.published, plan, loss, &mut person);
        });
        match person.as_flattened().iter().all(|value| value.is_finite()) {
            true => Ok(person),
            false => Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            )),
        }
    }

    /// One round of one client: its update, `[trained]`.
    fn learn(&self, history: &TrainingSet, seed: u64) -> Vec<f32> {
        let mut update = vec![0.0; self.layout.trained()];
        self.with(|scratch| {
            let (plan, loss) = (&self.plan.client, self.plan.loss);
            scratch
                .examples
                .for_learning(plan, loss, history, self.items, seed);
            let mut person = self.published.person;
            scratch.rebuild(&self.published, plan, loss, &mut person);
            scratch.train(&self.published, plan, loss, &person);
            self.scatter(scratch, &mut update);
            scratch.forget();
        });
        update
    }

    /// The mean loss of the published model on a fifth of the history, with a person that was rebuilt from the rest; nothing
    /// for a history of one item. On what a person was rebuilt from, a table of noise would look good.
    fn report(&self, history: &TrainingSet, seed: u64) -> Option<f64> {
        let (plan, loss) = (&self.plan.client, self.plan.loss);
        self.with(|scratch| {
            let examples = &mut scratch.examples;
            if !examples.for_report(plan, loss, history, self.items, seed, false) {
                return None;
            }
            let mut person = self.published.person;
            scratch.rebuild(&self.published, plan, loss, &mut person);
            let examples = &mut scratch.examples;
            examples.for_report(plan, loss, history, self.items, seed, true);
            Some(scratch.loss(&self.published, loss, &person))
        })
    }

    /// Writes the arena into the dense update.
    fn scatter(&self, scratch: &Scratch<B>, update: &mut [f32]) {
        let factors = self.plan.factors();
        let start = |name: &str| self.layout.words_of(name).map(|words| words.start);
        let (table, bias) = (start("items").unwrap_or_default(), start("item-bias"));
        for (row, item) in scratch.rows.iter().zip(&scratch.touched) {
            let place = table + *item as usize * factors;
            if let Some(cells) = update.get_mut(place..place + factors) {
                cells
                    .iter_mut()
                    .zip(row.as_flattened())
                    .for_each(|(cell, value)| *cell = *value);
            }
            let place = bias.map(|bias| bias + *item as usize);
            let cell = place.and_then(|place| update.get_mut(place));
            if let (Some(cell), Some(value)) = (cell, row.as_flattened().get(factors)) {
                *cell = *value;
            }
        }
    }
}

impl<const B: usize> Trainer for Fused<B> {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        let factors = self.plan.factors();
        if history.is_empty() {
            return Ok(PersonVector(vec![0.0; factors]));
        }
        let person = self.rebuilt(history)?;
        let columns = person.as_flattened().iter().take(factors);
        Ok(PersonVector(columns.copied().collect()))
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        if history.is_empty() {
            return Ok(self.popularity.clone()?);
        }
        let person = self.rebuilt(history)?;
        let rows = self.published.rows.iter();
        finite(rows.map(|row| dot(row, &person)).collect())
    }

    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        rng: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        step.rows(self.items, block)?;
        within_catalogue(history, self.items)?;
        match step {
            Step::History | Step::Counts => Ok(counted(step, history, self.items)),
            Step::Update | Step::NoisedUpdate | Step::Check if history.is_empty() => {
                Ok(Delta::new(vec![0.0; self.layout.length(step)]))
            }
            Step::Update | Step::NoisedUpdate | Step::Check => {
                let turn = Turn::draw(step, &self.plan, rng);
                let report = |seed| self.report(history, seed);
                let loss = turn.report.and_then(report);
                let learn = |seed| self.learn(history, seed);
                let update = turn.learn.map(learn).unwrap_or_default();
                let bounds = self.bounds.as_deref();
                Ok(self.layout.contribution(step, update, loss, bounds))
            }
            Step::Gram | Step::Projection | Step::Gradient | Step::Head => {
                Err(TrainError::Step(step))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
