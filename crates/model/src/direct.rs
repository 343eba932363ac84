use nalgebra::{Cholesky, DMatrix, DVector};
use rand::Rng;

use crate::algebra::{add_outer_lower, dot, gram, push_outer_triangle, widen};
use crate::{
    Block, Bounded, Delta, Engine, ItemId, Parameters, ParametersError, PersonVector, Step,
    TrainError, Trainer, TrainingSet, by_popularity, scores,
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
    /// V, row-major `[items, factors]`; as large as the model, so it is kept in the model's own width.
    table: Vec<f32>,
    /// alpha0 V'V + lambda alpha0 m I: the part of the ridge matrix that all people share.
    shared: DMatrix<f64>,
    regularisation: f64,
    /// What an empty history is scored by.
    popularity: Result<Vec<f32>, ParametersError>,
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
        let mut shared = gram(&table, factors) * alpha0;
        for diagonal in 0..factors {
            shared[(diagonal, diagonal)] += regularisation * alpha0 * items as f64;
        }
        let bounded = Bounded::open(parameters)?;
        Ok(Box::new(DirectTrainer {
            items,
            factors,
            table,
            shared,
            regularisation,
            popularity: by_popularity(parameters, items),
            bounded,
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
        scores(&self.table, &self.solve(history)?)
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
        if matches!(step, Step::Update | Step::NoisedUpdate | Step::Check) {
            return Err(TrainError::Step(step));
        }
        let values = if history.is_empty() {
            vec![0.0; length]
        } else {
            match step {
                Step::Counts => {
                    self.indicator(history, rows, 1.0 / (history.len() as f64).sqrt())?
                }
                Step::History => {
                    let mut values = self.indicator(history, rows, 1.0)?;
                    values.push(history.len() as f32);
                    values
                }
                Step::Gram => self.bounded.gram(self.taste(history)?),
                Step::Projection => self.bounded.projection(&self.taste(history)?, history)?,
                Step::Gradient | Step::Update | Step::NoisedUpdate | Step::Check => {
                    self.gradient(history, rows)?
                }
            }
        };
        debug_assert_eq!(values.len(), length);
        Ok(Delta::new(values))
    }
}

impl DirectTrainer {
    /// The row of one item.
    fn row(&self, item: ItemId) -> Result<&[f32], TrainError> {
        let start = item.0 as usize * self.factors;
        self.table.get(start..start + self.factors).ok_or_else(|| {
            TrainError::Numeric(format!(
                "the history holds items outside the catalogue of {}",
                self.items
            ))
        })
    }

    /// (sum v v' + alpha0 V'V + lambda (k + alpha0 m) I)^-1 sum v over the history: recommender.md 4.1, step 1.
    fn solve(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        if history.is_empty() {
            return Ok(vec![0.0; self.factors]);
        }
        let mut ridge = self.shared.clone();
        let mut target = DVector::zeros(self.factors);
        let mut row = Vec::with_capacity(self.factors);
        for item in history.items() {
            widen(self.row(*item)?, &mut row);
            add_outer_lower(&mut ridge, &row);
            target
                .iter_mut()
                .zip(&row)
                .for_each(|(sum, value)| *sum += value);
        }
        for diagonal in 0..self.factors {
            ridge[(diagonal, diagonal)] += self.regularisation * history.len() as f64;
        }
        let ridge = Cholesky::new(ridge).ok_or_else(|| {
            TrainError::Numeric("the ridge matrix of a person is not positive".to_owned())
        })?;
        ridge.solve_mut(&mut target);
        if target.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            ));
        }
        Ok(target.as_slice().to_vec())
    }

    /// `[rows.items]`: `value` at the items of the history, zero elsewhere.
    fn indicator(
        &self,
        history: &TrainingSet,
        rows: Block,
        value: f64,
    ) -> Result<Vec<f32>, TrainError> {
        let mut values = vec![0.0; rows.items];
        for item in history.items() {
            self.row(*item)?;
            let position = rows.position(item.0 as usize);
            if let Some(cell) = position.and_then(|position| values.get_mut(position)) {
                *cell = value as f32;
            }
        }
        Ok(values)
    }

    /// z of the private sums: of a start the sum of the history's rows, else the person vector.
    fn taste(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        if let Some(last) = history.items().last() {
            self.row(*last)?;
        }
        match self.bounded.start(history) {
            Some(start) => Ok(start),
            None => self.solve(history),
        }
    }

    fn gradient(&self, history: &TrainingSet, rows: Block) -> Result<Vec<f32>, TrainError> {
        let person = self.solve(history)?;
        let table = rows.items * self.factors;
        let mut values =
            Vec::with_capacity(Step::Gradient.length(self.items, self.factors, Some(rows)));
        values.resize(table, 0.0);
        let mut explained = 0.0;
        self.scatter(
            history,
            rows,
            &mut values,
            |row| {
                let score = dot(&person, row);
                explained += score;
                score - 1.0
            },
            &person,
        )?;
        push_outer_triangle(&person, 1.0, &mut values);
        values.extend(self.indicator(history, rows, 1.0)?);
        values.push((history.len() as f64 - explained) as f32);
        values.push(history.len() as f32);
        Ok(values)
    }

    /// Writes `factor(v_i)` times `vector` into the row of every item of the history that lies in `rows`.
    /// The factor is asked of every item of the history.
    fn scatter(
        &self,
        history: &TrainingSet,
        rows: Block,
        values: &mut [f32],
        mut factor: impl FnMut(&[f64]) -> f64,
        vector: &[f64],
    ) -> Result<(), TrainError> {
        let mut row = Vec::with_capacity(self.factors);
        for item in history.items() {
            widen(self.row(*item)?, &mut row);
            let factor = factor(&row);
            let Some(position) = rows.position(item.0 as usize) else {
                continue;
            };
            let cells = values.iter_mut().skip(position * self.factors);
            cells
                .zip(vector)
                .for_each(|(cell, value)| *cell = (factor * value) as f32);
        }
        Ok(())
    }
}
