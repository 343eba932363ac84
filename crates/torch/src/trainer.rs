use std::sync::{Mutex, PoisonError};

use chorus_model::{
    Block, Bounded, Delta, ParametersError, PersonVector, Step, TrainError, Trainer, TrainingSet,
    finite,
};
use rand_core::Rng;
use tch::{Kind, TchError, Tensor};

use crate::solve::{Ridge, Solved, numeric};

/// One opened model.
///
/// A libtorch tensor may move between threads but not be shared by them: each call takes handles of its own under
/// the lock, for a microsecond, and computes outside of it. Nothing writes to the shared values.
pub(crate) struct TorchTrainer {
    items: usize,
    factors: usize,
    /// What the private sums need besides the person vector.
    bounded: Bounded,
    /// What an empty history is scored by.
    popularity: Result<Vec<f32>, ParametersError>,
    ridge: Mutex<Ridge>,
}

impl Trainer for TorchTrainer {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        if history.is_empty() {
            return Ok(PersonVector(vec![0.0; self.factors]));
        }
        let person = self.solve(history)?.person;
        Ok(PersonVector(values(&person).map_err(numeric)?))
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        if history.is_empty() {
            return Ok(self.popularity.clone()?);
        }
        let person = self.solve(history)?.person;
        let scores = person
            .f_to_kind(Kind::Float)
            .and_then(|person| self.handles().table.f_mv(&person))
            .and_then(|scores| values(&scores));
        finite(scores.map_err(numeric)?)
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
        let mut out = vec![0.0; length];
        if !history.is_empty() {
            self.within_catalogue(history)?;
            match step {
                Step::Counts => {
                    let value = 1.0 / (history.len() as f64).sqrt();
                    indicate(history, rows, value, &mut out);
                }
                Step::History => {
                    indicate(history, rows, 1.0, &mut out);
                    write_from(&mut out, self.items, &[history.len() as f32]);
                }
                Step::Gram => out = self.bounded.gram(self.taste(history)?),
                Step::Projection => {
                    out = self.bounded.projection(&self.taste(history)?, history)?;
                }
                Step::Gradient => self.gradient(history, rows, &mut out)?,
                Step::Update | Step::NoisedUpdate | Step::Check => {
                    return Err(TrainError::Step(step));
                }
            }
        }
        Ok(Delta::new(out))
    }
}

impl TorchTrainer {
    pub(crate) fn new(
        items: usize,
        factors: usize,
        ridge: Ridge,
        bounded: Bounded,
        popularity: Result<Vec<f32>, ParametersError>,
    ) -> Self {
        Self {
            items,
            factors,
            bounded,
            popularity,
            ridge: Mutex::new(ridge),
        }
    }

    fn handles(&self) -> Ridge {
        let ridge = self.ridge.lock().unwrap_or_else(PoisonError::into_inner);
        ridge.handles()
    }

    fn within_catalogue(&self, history: &TrainingSet) -> Result<(), TrainError> {
        // Ascending, so the last one is the largest.
        match history.items().last() {
            Some(item) if item.0 as usize >= self.items => Err(TrainError::Numeric(format!(
                "the history holds items outside the catalogue of {}",
                self.items
            ))),
            _ => Ok(()),
        }
    }

    fn solve(&self, history: &TrainingSet) -> Result<Solved, TrainError> {
        self.within_catalogue(history)?;
        let solved = self.handles().solve(history)?;
        let finite = solved
            .person
            .f_isfinite()
            .and_then(|finite| finite.f_all())
            .and_then(|all| all.f_int64_value(&[]));
        match finite.map_err(numeric)? {
            0 => Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            )),
            _ => Ok(solved),
        }
    }

    /// z of the private sums: of a start the sum of the history's rows, else the person vector.
    fn taste(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        match self.bounded.start(history) {
            Some(start) => Ok(start),
            None => doubles(&self.solve(history)?.person).map_err(numeric),
        }
    }

    fn gradient(
        &self,
        history: &TrainingSet,
        block: Block,
        out: &mut [f32],
    ) -> Result<(), TrainError> {
        let solved = self.solve(history)?;
        let (rows, product, loss) = gradient_parts(&solved).map_err(numeric)?;
        for (item, row) in history.items().iter().zip(rows.chunks_exact(self.factors)) {
            if let Some(position) = block.position(item.0 as usize) {
                write_from(out, position * self.factors, row);
            }
        }
        let table = block.items * self.factors;
        let triangle = self.factors * (self.factors + 1) / 2;
        self.write_triangle(out, table, &product);
        if let Some(tail) = out.get_mut(table + triangle..) {
            indicate(history, block, 1.0, tail);
            write_from(tail, block.items, &[loss as f32, history.len() as f32]);
        }
        Ok(())
    }

    /// The upper triangle, row by row, of a `[factors, factors]` matrix, from `start` on.
    fn write_triangle(&self, out: &mut [f32], start: usize, matrix: &[f32]) {
        let mut at = start;
        for (row, cells) in matrix.chunks_exact(self.factors).enumerate() {
            let upper = cells.get(row..).unwrap_or_default();
            write_from(out, at, upper);
            at += upper.len();
        }
    }
}

/// `value` at the items of the history that lie in `rows`.
fn indicate(history: &TrainingSet, rows: Block, value: f64, out: &mut [f32]) {
    for item in history.items() {
        if let Some(position) = rows.position(item.0 as usize) {
            write_from(out, position, &[value as f32]);
        }
    }
}

/// The rows (u.v_i - 1) u of the history, `[k, factors]`; u u', `[factors, factors]`; and the loss k - sum u.v_i.
fn gradient_parts(solved: &Solved) -> Result<(Vec<f32>, Vec<f32>, f64), TchError> {
    let residuals = solved.rows.f_mv(&solved.person)?.f_sub_scalar(1.0)?;
    let loss = -residuals.f_sum(Kind::Double)?.f_double_value(&[])?;
    Ok((
        outer(&residuals, &solved.person)?,
        outer(&solved.person, &solved.person)?,
        loss,
    ))
}

fn outer(left: &Tensor, right: &Tensor) -> Result<Vec<f32>, TchError> {
    values(&left.f_outer(right)?)
}

/// Every value of a tensor, row-major, as f32.
fn values(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    let length = values.len();
    flat.f_copy_data(&mut values, length)?;
    Ok(values)
}

/// Every value of a tensor, row-major, as f64.
fn doubles(tensor: &Tensor) -> Result<Vec<f64>, TchError> {
    let flat = tensor.f_to_kind(Kind::Double)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    let length = values.len();
    flat.f_copy_data(&mut values, length)?;
    Ok(values)
}

/// Copies `values` into `out` from `start` on.
fn write_from(out: &mut [f32], start: usize, values: &[f32]) {
    if let Some(cells) = out.get_mut(start..start + values.len()) {
        cells.copy_from_slice(values);
    }
}
