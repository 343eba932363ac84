use chorus_model::{TrainError, TrainingSet};
use tch::{Kind, TchError, Tensor};

/// Rows of the item table that are widened to f64 at a time.
const GRAM_ROWS: usize = 16_384;

/// The ridge regression that every person vector comes from, prepared once for a model.
pub(crate) struct Ridge {
    /// V, `[items, factors]`, f32.
    pub(crate) table: Tensor,
    /// alpha0 V'V, `[factors, factors]`, f64: the part that all people share.
    shared: Tensor,
    /// The identity, `[factors, factors]`, f64.
    identity: Tensor,
    /// alpha0 m: what every history counts for besides its own length.
    unseen: f64,
}

/// One person's matrix, factorised, and what was solved with it, still as tensors.
pub(crate) struct Solved {
    /// The rows of the history, `[k, factors]`, f64.
    pub(crate) rows: Tensor,
    /// The person vector, `[factors]`, f64, finite.
    pub(crate) person: Tensor,
    /// Cholesky's factor, `[factors, factors]`, f64.
    factor: Tensor,
}

impl Solved {
    /// Another right-hand side, `[factors]`, f64.
    pub(crate) fn solve(&self, target: &Tensor) -> Result<Tensor, TchError> {
        let target = target.f_unsqueeze(1)?;
        target
            .f_cholesky_solve(&self.factor, false)?
            .f_squeeze_dim(1)
    }
}

impl Ridge {
    pub(crate) fn new(
        table: Tensor,
        items: usize,
        factors: usize,
        alpha0: f64,
    ) -> Result<Self, TchError> {
        Ok(Self {
            shared: gram(&table, items, factors)?.f_mul_scalar(alpha0)?,
            identity: Tensor::f_eye(factors as i64, (Kind::Double, tch::Device::Cpu))?,
            unseen: alpha0 * items as f64,
            table,
        })
    }

    /// Handles to the same values. libtorch counts references, so nothing is copied.
    pub(crate) fn handles(&self) -> Self {
        Self {
            table: self.table.shallow_clone(),
            shared: self.shared.shallow_clone(),
            identity: self.identity.shallow_clone(),
            unseen: self.unseen,
        }
    }

    /// (sum v v' + alpha0 V'V + lambda (k + alpha0 m) I)^-1 sum v over a history that is not empty and inside the
    /// catalogue: Hu, Koren and Volinsky 2008, section 4, with the regularisation of Rendle and others 2022.
    /// `regularisation`: lambda.
    pub(crate) fn solve(
        &self,
        history: &TrainingSet,
        regularisation: f64,
    ) -> Result<Solved, TrainError> {
        let solved = self.solve_rows(&indices(history), regularisation);
        let (solved, failed) = solved.map_err(numeric)?;
        if failed {
            return Err(TrainError::Numeric(
                "the ridge matrix of a person is not positive".to_owned(),
            ));
        }
        Ok(solved)
    }

    /// The rows of a history inside the catalogue, `[k, factors]`, f64.
    pub(crate) fn rows(&self, history: &TrainingSet) -> Result<Tensor, TchError> {
        self.select(&indices(history))
    }

    fn select(&self, indices: &[i64]) -> Result<Tensor, TchError> {
        let rows = self
            .table
            .f_index_select(0, &Tensor::f_from_slice(indices)?)?;
        rows.f_to_kind(Kind::Double)
    }

    fn solve_rows(&self, indices: &[i64], regularisation: f64) -> Result<(Solved, bool), TchError> {
        let rows = self.select(indices)?;
        let ridge = rows
            .f_transpose(0, 1)?
            .f_matmul(&rows)?
            .f_add(&self.shared)?;
        let penalty = regularisation * (indices.len() as f64 + self.unseen);
        let ridge = ridge.f_add(&self.identity.f_mul_scalar(penalty)?)?;
        let target = rows
            .f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?
            .f_unsqueeze(1)?;
        let (factor, info) = ridge.f_linalg_cholesky_ex(false, false)?;
        let person = target.f_cholesky_solve(&factor, false)?.f_squeeze_dim(1)?;
        let failed = info.f_int64_value(&[])? != 0;
        let solved = Solved {
            rows,
            person,
            factor,
        };
        Ok((solved, failed))
    }
}

fn indices(history: &TrainingSet) -> Vec<i64> {
    let items = history.items().iter();
    items.map(|item| i64::from(item.0)).collect()
}

/// V'V, `[factors, factors]`, f64: part by part, so that no second table of twice the width is held.
fn gram(table: &Tensor, items: usize, factors: usize) -> Result<Tensor, TchError> {
    let side = factors as i64;
    let mut gram = Tensor::f_zeros([side, side], (Kind::Double, tch::Device::Cpu))?;
    for first in (0..items).step_by(GRAM_ROWS) {
        let rows = GRAM_ROWS.min(items - first);
        let wide = table
            .f_narrow(0, first as i64, rows as i64)?
            .f_to_kind(Kind::Double)?;
        gram = gram.f_add(&wide.f_transpose(0, 1)?.f_matmul(&wide)?)?;
    }
    Ok(gram)
}

/// An error of libtorch, in the words that are for people.
pub(crate) fn numeric(error: TchError) -> TrainError {
    TrainError::Numeric(cause(&error))
}

/// What went wrong, in one line: the errors of a module's code begin with where that was and end with what it was; all others
/// carry a C++ stack trace after their first line.
pub(crate) fn cause(error: &TchError) -> String {
    let text = match error {
        TchError::Torch(text) | TchError::Convert(text) => text.clone(),
        other => other.to_string(),
    };
    let raised = text.lines().find_map(|line| {
        let (kind, words) = line.split_once("Error: ")?;
        kind.chars().all(char::is_alphabetic).then_some(words)
    });
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    raised.or(first).unwrap_or("libtorch failed").to_owned()
}
