//! Models of factors in plain Rust: f32, the touched rows only, no allocation for an example.

mod client;
mod rows;

use std::sync::{Mutex, PoisonError};

use rand::Rng;

use self::client::{Published, Scratch, widest};
use self::rows::{Row, dot, fill, zeros};
use super::examples::within_catalogue;
use super::{Architecture, Learner, ModelPlan, Opened};
use crate::rank::finite;
use crate::{
    Block, Delta, GoOn, Parameters, ParametersError, PersonVector, Step, TrainError, Trainer,
    TrainingSet,
};

/// Opens a model of a plan.
///
/// # Errors
/// When the tensors do not match the plan, or its architecture needs libtorch.
pub(crate) fn open(
    plan: &ModelPlan,
    parameters: &Parameters,
) -> Result<Box<dyn Trainer>, TrainError> {
    let model = Opened::new(plan, parameters)?;
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
                    Ok(Box::new(Fused::<$blocks>::new(model, parameters)?))
                })*
                _ => Err(TrainError::Numeric("more than 1024 factors".to_owned())),
            }
        };
    }
    instances!(1 2 3 4 5 6 8 9 12 16 17 32 33 64 65)
}

/// One opened model. `B`: blocks of sixteen columns that hold a row and its bias.
struct Fused<const B: usize> {
    model: Opened,
    published: Published<B>,
    /// One for each thread that was ever here at the same time.
    scratches: Mutex<Vec<Scratch<B>>>,
}

impl<const B: usize> Fused<B> {
    fn new(model: Opened, parameters: &Parameters) -> Result<Self, ParametersError> {
        let factors = model.plan.factors();
        let table = &parameters.require("items")?.values;
        let bias = parameters
            .get("item-bias")
            .map(|bias| bias.values.as_slice());
        let mut rows = vec![zeros(); model.items];
        for (item, (row, columns)) in rows.iter_mut().zip(table.chunks_exact(factors)).enumerate() {
            fill(row, columns, bias.and_then(|bias| bias.get(item).copied()));
        }
        let (mut learns, mut person) = (zeros(), zeros());
        fill(&mut learns, &vec![1.0; factors], None);
        fill(&mut person, &vec![0.0; factors], bias.map(|_| 1.0));
        Ok(Self {
            model,
            published: Published {
                rows,
                learns,
                person,
            },
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
        let mut scratch = spare.unwrap_or_else(|| Scratch::new(self.model.items));
        let result = work(&mut scratch);
        pool().push(scratch);
        result
    }

    /// The person that a history is ranked for: rebuilt as in learning.
    fn rebuilt(&self, history: &TrainingSet) -> Result<Row<B>, TrainError> {
        within_catalogue(history, self.model.items)?;
        let mut person = self.published.person;
        self.with(|scratch| {
            let (plan, loss) = (&self.model.plan.client, self.model.plan.loss);
            scratch
                .examples
                .for_ranking(plan, loss, history, self.model.items);
            widest::rebuild(scratch, &self.published, plan, loss, &mut person);
        });
        match person.as_flattened().iter().all(|value| value.is_finite()) {
            true => Ok(person),
            false => Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            )),
        }
    }

    /// The arena as an update: tensor by tensor in the order of the plan, the touched items upwards.
    fn update(&self, scratch: &Scratch<B>) -> Delta {
        let factors = self.model.plan.factors();
        let mut touched: Vec<(u32, &Row<B>)> =
            scratch.touched.iter().copied().zip(&scratch.rows).collect();
        touched.sort_unstable_by_key(|(item, _)| *item);
        let mut update = Delta::zeros(self.model.layout.trained());
        let columns = factors + usize::from(self.model.layout.tensors().len() > 1);
        update.reserve(touched.len() * columns);
        for tensor in self.model.layout.tensors() {
            // A row of the arena holds the factors, then the bias.
            let columns = match tensor.name.as_str() {
                "items" => 0..factors,
                _ => factors..factors + 1,
            };
            for (item, row) in &touched {
                let first = tensor.words.start + *item as usize * columns.len();
                let values = row.as_flattened().get(columns.clone());
                update.write(first, values.unwrap_or_default().iter().copied());
            }
        }
        update
    }
}

impl<const B: usize> Learner for Fused<B> {
    fn learn(&self, history: &TrainingSet, seed: u64) -> Result<Delta, TrainError> {
        Ok(self.with(|scratch| {
            let (plan, loss) = (&self.model.plan.client, self.model.plan.loss);
            let examples = &mut scratch.examples;
            examples.for_learning(plan, loss, history, self.model.items, seed);
            let mut person = self.published.person;
            widest::rebuild(scratch, &self.published, plan, loss, &mut person);
            let go_on = || self.model.goes_on();
            widest::train(scratch, &self.published, plan, loss, &person, &go_on);
            let update = self.update(scratch);
            scratch.forget();
            update
        }))
    }

    fn report(&self, history: &TrainingSet, seed: u64) -> Result<Option<f64>, TrainError> {
        let (plan, loss) = (&self.model.plan.client, self.model.plan.loss);
        let items = self.model.items;
        Ok(self.with(|scratch| {
            let examples = &mut scratch.examples;
            if !examples.for_report(plan, loss, history, items, seed, false) {
                return None;
            }
            let mut person = self.published.person;
            widest::rebuild(scratch, &self.published, plan, loss, &mut person);
            let examples = &mut scratch.examples;
            examples.for_report(plan, loss, history, items, seed, true);
            Some(scratch.loss(&self.published, loss, &person))
        }))
    }
}

impl<const B: usize> Trainer for Fused<B> {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        let factors = self.model.plan.factors();
        if history.is_empty() {
            return Ok(PersonVector(vec![0.0; factors]));
        }
        let person = self.rebuilt(history)?;
        let columns = person.as_flattened().iter().take(factors);
        Ok(PersonVector(columns.copied().collect()))
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        if history.is_empty() {
            return self.model.popularity();
        }
        let person = self.rebuilt(history)?;
        let rows = self.published.rows.iter();
        finite(rows.map(|row| dot(row, &person)).collect())
    }

    fn heed(&mut self, go_on: GoOn) {
        self.model.heed(go_on);
    }

    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        rng: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        self.model.contribution(self, step, block, history, rng)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
