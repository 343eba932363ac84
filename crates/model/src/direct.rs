use rand::Rng;

use crate::algebra::{lanes_dot, triangle_length};
use crate::sum::LENGTH_UNIT;
use crate::{
    Block, Bounded, Cause, Delta, Engine, ItemId, Mixing, Parameters, ParametersError,
    PersonVector, Ridge, Serving, Step, TrainError, Trainer, TrainingSet, by_popularity, products,
};

/// The engine in plain Rust: f64 inside, one Cholesky a person, no libtorch.
///
/// The reference that other engines are compared with, and enough for factor models on a phone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

/// One opened model.
struct DirectTrainer {
    items: usize,
    factors: usize,
    ridge: Ridge,
    /// lambda.
    regularisation: f64,
    /// What an empty history is scored by.
    popularity: Result<Vec<f32>, ParametersError>,
    serving: Serving,
    /// What the head sums need besides, while they are taken.
    mixing: Option<Mixing>,
    /// What the private sums need besides.
    bounded: Bounded,
}

impl Engine for Direct {
    fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError> {
        if let Some(plan) = parameters.plan() {
            return crate::trained::open(plan, parameters);
        }
        let (items, factors, table) = matrix(parameters, "items")?;
        let alpha0 = f64::from(parameters.scalar("alpha0")?);
        let regularisation = f64::from(parameters.scalar("regularisation")?);
        Ok(Box::new(DirectTrainer {
            items,
            factors,
            popularity: by_popularity(parameters, items),
            serving: Serving::open(parameters, &table, factors, regularisation)?,
            mixing: Mixing::open(parameters, items, factors)?,
            bounded: Bounded::open(parameters)?,
            ridge: Ridge::new(table, factors, alpha0),
            regularisation,
        }))
    }
}

/// The two-dimensional tensor `name`: rows, columns, and a copy of its values.
fn matrix(
    parameters: &Parameters,
    name: &str,
) -> Result<(usize, usize, Vec<f32>), ParametersError> {
    let tensor = parameters.require(name)?;
    match tensor.shape.as_slice() {
        [rows, columns] if *rows > 0 && *columns > 0 && tensor.values.len() == rows * columns => {
            Ok((*rows, *columns, tensor.values.clone()))
        }
        shape => Err(ParametersError::Shape {
            name: name.to_owned(),
            shape: shape.to_vec(),
            found: tensor.values.len(),
        }),
    }
}

impl Trainer for DirectTrainer {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        let vector = self.solve(history)?;
        Ok(PersonVector(
            vector.into_iter().map(|value| value as f32).collect(),
        ))
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        if history.is_empty() {
            return Ok(self.popularity.clone()?);
        }
        let regularisation = self.serving.regularisation();
        let person = self.ridge.solve(history.items(), regularisation)?;
        let linear = products(self.ridge.table(), &person).collect();
        self.serving.scores(linear, history)
    }

    /// Exact: the causes add up to the score.
    fn explain(&self, history: &TrainingSet, item: ItemId) -> Result<Vec<Cause>, TrainError> {
        let row = self.ridge.row(item)?;
        if history.is_empty() {
            return Ok(Vec::new());
        }
        let (items, lambda) = (history.items(), self.serving.regularisation());
        let matrix = self.ridge.factorise(items, lambda)?;
        let person = matrix.solve(self.ridge.target(items)?)?;
        let linear: Vec<f64> = products(self.ridge.table(), &person).collect();
        let answer = matrix.solve(self.serving.question(&linear, row))?;
        let rows = self.rows(history)?;
        let adds = rows
            .chunks_exact(self.factors)
            .map(|row| lanes_dot(row, &answer));
        let adds: Vec<f64> = adds.collect();
        Ok(self.serving.causes(&adds, history, item))
    }

    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        _: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        let rows = step.rows(self.items, block)?;
        let length = match step {
            Step::Projection => self.bounded.projection_length()?,
            _ => step.length(self.items, self.factors, block),
        };
        // Items ascend: if one lies outside of the catalogue, the last does.
        let Some(last) = history.items().last() else {
            return Ok(Delta::zeros(length));
        };
        self.ridge.row(*last)?;
        let delta = match step {
            Step::Counts => history.marks(rows, 1.0 / (history.len() as f64).sqrt()),
            Step::History => history.marks(rows, 1.0),
            Step::Gram => Delta::new(self.bounded.gram(self.taste(history)?)),
            Step::Projection => {
                Delta::new(self.bounded.projection(&self.taste(history)?, history)?)
            }
            Step::Gradient => self.gradient(history, rows, length)?,
            Step::Head => {
                let missing = || ParametersError::Missing("mixing".to_owned());
                let mixing = self.mixing.as_ref().ok_or_else(missing)?;
                mixing.contribution(history, &self.rows(history)?, rows)
            }
            Step::Update | Step::NoisedUpdate | Step::Check | Step::Ranks => {
                return Err(TrainError::Step(step));
            }
        };
        debug_assert_eq!(delta.length(), length);
        Ok(delta)
    }
}

impl DirectTrainer {
    /// The rows of the history's items, row-major `[k, factors]`.
    fn rows(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        let mut rows = Vec::with_capacity(history.len() * self.factors);
        for item in history.items() {
            rows.extend(self.ridge.row(*item)?.iter().copied().map(f64::from));
        }
        Ok(rows)
    }

    /// (sum v v' + alpha0 V'V + lambda (k + alpha0 m) I)^-1 sum v over the history: ials.md, Client, stage A.
    fn solve(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        self.ridge.solve(history.items(), self.regularisation)
    }

    /// z of the private sums: of a start the sum of the history's rows, else the person vector.
    fn taste(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        match self.bounded.start(history) {
            Some(start) => Ok(start),
            None => self.solve(history),
        }
    }

    fn gradient(
        &self,
        history: &TrainingSet,
        block: Block,
        length: usize,
    ) -> Result<Delta, TrainError> {
        let factors = self.factors;
        let person = self.solve(history)?;
        let rows = self.rows(history)?;
        let scores: Vec<f64> = rows
            .chunks_exact(factors)
            .map(|row| lanes_dot(row, &person))
            .collect();
        let explained: f64 = scores.iter().sum();
        let items = history.items().iter().zip(&scores);
        let owned = items.filter_map(|(item, score)| {
            let position = block.position(item.0 as usize);
            position.map(|position| (position, *score))
        });
        let [grams, triangle] = [block.items * factors, triangle_length(factors)];
        let first_score = grams + 2 * triangle;
        let mut delta = Delta::zeros(length);
        for (position, score) in owned.clone() {
            let row = person.iter().map(|value| ((score - 1.0) * value) as f32);
            delta.write(position * factors, row);
        }
        let count = history.len() as f64;
        delta.write(grams, upper(&person, 1.0));
        delta.write(grams + triangle, upper(&person, count / LENGTH_UNIT));
        for (position, score) in owned.clone() {
            delta.write(first_score + position, [score as f32]);
        }
        let first_owned = first_score + block.items;
        for (position, _) in owned {
            delta.write(first_owned + position, [1.0]);
        }
        let last = [count - explained, count].map(|value| (value / LENGTH_UNIT) as f32);
        delta.write(first_owned + block.items, last);
        Ok(delta)
    }
}

/// The upper triangle, row by row, of `scale` u u'.
fn upper(vector: &[f64], scale: f64) -> impl Iterator<Item = f32> {
    let pairs = vector.iter().enumerate();
    pairs.flat_map(move |(row, left)| {
        let rest = vector.iter().skip(row);
        rest.map(move |right| (scale * left * right) as f32)
    })
}
