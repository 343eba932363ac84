use std::sync::{Mutex, PoisonError};

use chorus_model::{
    Block, Delta, ParametersError, PersonVector, Step, TrainError, Trainer, TrainingSet,
};
use tch::{Kind, TchError, Tensor};

use crate::solve::{Ridge, Solved, numeric};

/// One opened model.
///
/// A libtorch tensor may move between threads but not be shared by them: each call takes handles of its own under
/// the lock, for a microsecond, and computes outside of it. Nothing writes to the shared values.
pub(crate) struct TorchTrainer {
    items: usize,
    factors: usize,
    gram_share: Option<f64>,
    opened: Mutex<Opened>,
}

struct Opened {
    ridge: Ridge,
    /// `[factors, factors]`, f64; published between a Gram sum and its projection.
    whitening: Option<Tensor>,
}

impl Trainer for TorchTrainer {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        if history.is_empty() {
            return Ok(PersonVector(vec![0.0; self.factors]));
        }
        let person = self.solve(&self.handles(), history)?.person;
        Ok(PersonVector(values(&person).map_err(numeric)?))
    }

    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
    ) -> Result<Delta, TrainError> {
        let rows = step.rows(self.items, block)?;
        let mut out = vec![0.0; step.length(self.items, self.factors, block)];
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
                Step::Gram => self.gram(history, &mut out)?,
                Step::Projection => self.projection(history, &mut out)?,
                Step::Gradient => self.gradient(history, rows, &mut out)?,
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
        whitening: Option<Tensor>,
        gram_share: Option<f64>,
    ) -> Self {
        Self {
            items,
            factors,
            gram_share,
            opened: Mutex::new(Opened { ridge, whitening }),
        }
    }

    fn handles(&self) -> Opened {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        Opened {
            ridge: opened.ridge.handles(),
            whitening: opened.whitening.as_ref().map(Tensor::shallow_clone),
        }
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

    fn solve(&self, opened: &Opened, history: &TrainingSet) -> Result<Solved, TrainError> {
        self.within_catalogue(history)?;
        let solved = opened.ridge.solve(history)?;
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

    /// beta, which the private steps need.
    fn gram_share(&self) -> Result<f64, TrainError> {
        Ok(self
            .gram_share
            .ok_or_else(|| ParametersError::Missing("gram_share".to_owned()))?)
    }

    fn gram(&self, history: &TrainingSet, out: &mut [f32]) -> Result<(), TrainError> {
        let share = self.gram_share()?;
        let person = self.solve(&self.handles(), history)?.person;
        let product = scaled_to(&person, 1.0)
            .and_then(|unit| outer(&unit.f_mul_scalar(share)?, &unit))
            .map_err(numeric)?;
        self.write_triangle(out, 0, &product);
        Ok(())
    }

    fn projection(&self, history: &TrainingSet, out: &mut [f32]) -> Result<(), TrainError> {
        let share = self.gram_share()?;
        let opened = self.handles();
        let whitening = opened
            .whitening
            .as_ref()
            .ok_or_else(|| ParametersError::Missing("whitening".to_owned()))?;
        let person = self.solve(&opened, history)?.person;
        let norm = ((1.0 - share * share) / history.len() as f64).sqrt();
        let row: Vec<f32> = whitening
            .f_mv(&person)
            .and_then(|white| scaled_to(&white, norm))
            .and_then(|row| values(&row))
            .map_err(numeric)?;
        for item in history.items() {
            write_from(out, item.0 as usize * self.factors, &row);
        }
        Ok(())
    }

    fn gradient(
        &self,
        history: &TrainingSet,
        block: Block,
        out: &mut [f32],
    ) -> Result<(), TrainError> {
        let solved = self.solve(&self.handles(), history)?;
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

/// `vector` scaled to L2 norm `norm`; zero stays zero.
fn scaled_to(vector: &Tensor, norm: f64) -> Result<Tensor, TchError> {
    let length = vector.f_norm()?.f_double_value(&[])?;
    vector.f_mul_scalar(if length > 0.0 { norm / length } else { 0.0 })
}

/// Every value of a tensor, row-major, as f32.
fn values(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?;
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
