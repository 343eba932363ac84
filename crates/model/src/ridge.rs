use crate::algebra::{gram, lanes_dot};
use crate::{ItemId, TrainError};

/// Rows that are added to the ridge matrix in one pass over its cells: fewer passes, fewer loads and stores.
const AT_ONCE: usize = 4;

/// The ridge regression that every person vector comes from, prepared once for a table:
/// (sum v v' + alpha0 V'V + lambda (k + alpha0 m) I)^-1 sum v over the rows v of a history of length k
/// (Hu, Koren and Volinsky 2008, section 4, with the regularisation of Rendle and others 2022).
///
/// With persons and items exchanged it is the item side of alternating least squares.
pub struct Ridge {
    rows: usize,
    factors: usize,
    /// Row-major `[rows, factors]`; as large as the model, so it is kept in the model's own width.
    table: Vec<f32>,
    /// alpha0 V'V, `[factors, factors]`, row-major: the part that all histories share.
    shared: Vec<f64>,
    alpha0: f64,
}

/// One history's matrix, factorised: any number of right-hand sides can be solved with it.
pub struct Factorised {
    factors: usize,
    /// Cholesky's factor, `[factors, factors]`, row-major, below the diagonal; in the diagonal the inverses of its own.
    cells: Vec<f64>,
}

impl Ridge {
    /// `table`: row-major `[rows, factors]`. `alpha0`: weight of what is not in a history.
    pub fn new(table: Vec<f32>, factors: usize, alpha0: f64) -> Self {
        let factors = factors.max(1);
        let shared = gram(&table, factors) * alpha0;
        Self {
            rows: table.len() / factors,
            factors,
            table,
            // Symmetric, so columns are rows.
            shared: shared.as_slice().to_vec(),
            alpha0,
        }
    }

    /// The table, row-major `[rows, factors]`.
    pub fn table(&self) -> &[f32] {
        &self.table
    }

    /// The row of one item, `[factors]`.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn row(&self, item: ItemId) -> Result<&[f32], TrainError> {
        let start = item.0 as usize * self.factors;
        self.table.get(start..start + self.factors).ok_or_else(|| {
            TrainError::Numeric(format!(
                "the history holds items outside the catalogue of {}",
                self.rows
            ))
        })
    }

    /// The matrix of a history, factorised. `regularisation`: lambda.
    ///
    /// # Errors
    /// An item without a row; a matrix that is not positive.
    pub fn factorise(
        &self,
        history: &[ItemId],
        regularisation: f64,
    ) -> Result<Factorised, TrainError> {
        let side = self.factors;
        let mut cells = self.shared.clone();
        let mut wide = vec![0.0; AT_ONCE * side];
        for items in history.chunks(AT_ONCE) {
            wide.fill(0.0);
            for (wide, item) in wide.chunks_exact_mut(side).zip(items) {
                let row = self.row(*item)?;
                wide.iter_mut()
                    .zip(row)
                    .for_each(|(wide, value)| *wide = f64::from(*value));
            }
            add_outers(&mut cells, &wide, side);
        }
        let ridge = regularisation * (history.len() as f64 + self.alpha0 * self.rows as f64);
        for (place, row) in cells.chunks_exact_mut(side).enumerate() {
            if let Some(cell) = row.get_mut(place) {
                *cell += ridge;
            }
        }
        if factorise(&mut cells, side) {
            Ok(Factorised {
                factors: side,
                cells,
            })
        } else {
            Err(TrainError::Numeric(
                "the ridge matrix of a person is not positive".to_owned(),
            ))
        }
    }

    /// The sum of a history's rows, `[factors]`: what a person vector is solved from.
    ///
    /// # Errors
    /// An item without a row.
    pub fn target(&self, history: &[ItemId]) -> Result<Vec<f64>, TrainError> {
        let mut target = vec![0.0; self.factors];
        for item in history {
            let row = self.row(*item)?;
            target
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += f64::from(*value));
        }
        Ok(target)
    }

    /// The vector of a history, `[factors]`; zeros for an empty one. `regularisation`: lambda.
    ///
    /// # Errors
    /// An item without a row, a matrix that is not positive, a vector that is not finite.
    pub fn solve(&self, history: &[ItemId], regularisation: f64) -> Result<Vec<f64>, TrainError> {
        if history.is_empty() {
            return Ok(vec![0.0; self.factors]);
        }
        let target = self.target(history)?;
        self.factorise(history, regularisation)?.solve(target)
    }
}

impl Factorised {
    /// The solution for one right-hand side, `[factors]`.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn solve(&self, mut values: Vec<f64>) -> Result<Vec<f64>, TrainError> {
        let side = self.factors;
        for (place, row) in self.cells.chunks_exact(side).enumerate() {
            let (solved, open) = values.split_at_mut(place.min(side));
            if let (Some(value), Some(inverse)) = (open.first_mut(), row.get(place)) {
                *value = (*value - lanes_dot(row, solved)) * inverse;
            }
        }
        for (place, row) in self.cells.chunks_exact(side).enumerate().rev() {
            let (open, solved) = values.split_at_mut(place.min(side));
            if let (Some(value), Some(inverse)) = (solved.first_mut(), row.get(place)) {
                *value *= inverse;
                open.iter_mut()
                    .zip(row)
                    .for_each(|(open, cell)| *open -= *value * cell);
            }
        }
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            ))
        }
    }
}

/// Adds the sum of v v' over four rows to the lower triangle. `cells`: row-major `[side, side]`; `rows`: `[4, side]`.
fn add_outers(cells: &mut [f64], rows: &[f64], side: usize) {
    let (one, rest) = rows.split_at(side);
    let (two, rest) = rest.split_at(side);
    let (three, four) = rest.split_at(side);
    let factors = one.iter().zip(two).zip(three.iter().zip(four));
    let factors = factors.map(|((a, b), (c, d))| [*a, *b, *c, *d]);
    for (place, (cells, [a, b, c, d])) in cells.chunks_exact_mut(side).zip(factors).enumerate() {
        let left = one.iter().zip(two);
        let right = three.iter().zip(four);
        for ((cell, (w, x)), (y, z)) in cells.iter_mut().take(place + 1).zip(left).zip(right) {
            *cell += (a * w + b * x) + (c * y + d * z);
        }
    }
}

/// Cholesky's factor in place of the lower triangle, the diagonal inverted. False when the matrix is not positive.
fn factorise(cells: &mut [f64], side: usize) -> bool {
    for place in 0..side {
        let (above, rest) = cells.split_at_mut(place * side);
        let Some(row) = rest.get_mut(..=place) else {
            return false;
        };
        for (column, other) in above.chunks_exact(side).enumerate() {
            let (solved, open) = row.split_at_mut(column);
            if let (Some(cell), Some(inverse)) = (open.first_mut(), other.get(column)) {
                *cell = (*cell - lanes_dot(other, solved)) * inverse;
            }
        }
        let (solved, diagonal) = row.split_at_mut(place);
        let Some(diagonal) = diagonal.first_mut() else {
            return false;
        };
        let pivot = *diagonal - lanes_dot(solved, solved);
        // Also refuses a pivot that is not a number.
        if !(pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        *diagonal = 1.0 / pivot.sqrt();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_solved_solves_the_ridge() {
        for (rows, side, length) in [(1, 1, 1), (9, 5, 3), (30, 17, 11), (40, 16, 30)] {
            let values = (0..rows * side).map(|place| ((place * 37 % 101) as f32 - 50.0) / 50.0);
            let ridge = Ridge::new(values.collect(), side, 0.3);
            let history: Vec<ItemId> = (0..length).map(ItemId).collect();
            let found = ridge.solve(&history, 0.02).unwrap();
            for place in 0..side {
                let mut left = 0.02 * (f64::from(length) + 0.3 * rows as f64) * found[place];
                for (item, row) in ridge.table().chunks_exact(side).enumerate() {
                    let score: f64 = row.iter().zip(&found).map(|(v, u)| f64::from(*v) * u).sum();
                    let seen = if item < length as usize { 1.0 } else { 0.0 };
                    left += f64::from(row[place]) * (score * (0.3 + seen) - seen);
                }
                assert!(left.abs() < 1e-12, "{rows} rows of {side}: {left}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_is_refused() {
        assert!(!factorise(&mut [1.0, 2.0, 2.0, 1.0], 2));
        assert!(!factorise(&mut [f64::NAN], 1));
        let mut cells = [4.0, 9.0, 2.0, 5.0];
        assert!(factorise(&mut cells, 2));
        assert_eq!(cells, [0.5, 9.0, 1.0, 0.5]);
    }
}
