use nalgebra::{DMatrix, SymmetricEigen};

use crate::algebra::{add_outer_lower, mirror_lower, norm};
use crate::{LearnError, Tensor};

/// A dense row-major f64 matrix for server steps.
///
/// Products add up in one fixed order with plain multiplications and additions, so a server step has the same bits on
/// every machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Table {
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let values = vec![0.0; rows * columns];
        Self {
            rows,
            columns,
            values,
        }
    }

    /// `values`: row-major; missing ones are zero, more are dropped.
    pub fn of(rows: usize, columns: usize, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().take(rows * columns).collect();
        values.resize(rows * columns, 0.0);
        Self {
            rows,
            columns,
            values,
        }
    }

    /// `value` times the identity of side `side`.
    pub fn diagonal(side: usize, value: f64) -> Self {
        let mut table = Self::zeros(side, side);
        (0..side).for_each(|place| table.set(place, place, value));
        table
    }

    /// The symmetric matrix whose upper triangle, row by row, is `packed`.
    pub fn symmetric(packed: impl IntoIterator<Item = f64>, side: usize) -> Self {
        let mut table = Self::zeros(side, side);
        let cells = (0..side).flat_map(|row| (row..side).map(move |column| (row, column)));
        for ((row, column), value) in cells.zip(packed) {
            table.set(row, column, value);
            table.set(column, row, value);
        }
        table
    }

    /// The sum of the diagonal.
    pub fn trace(&self) -> f64 {
        let rows = self.iter().enumerate();
        rows.filter_map(|(place, row)| row.get(place)).sum()
    }

    /// As a matrix whose eigenvalues can be asked for: of a symmetric table.
    pub fn matrix(&self) -> DMatrix<f64> {
        DMatrix::from_row_slice(self.rows, self.columns, &self.values)
    }

    /// The table times `factor`.
    pub fn scaled(&self, factor: f64) -> Table {
        let values = self.values.iter().map(|value| factor * value);
        Table::of(self.rows, self.columns, values)
    }

    /// Adds `factor` times row row', `[columns]`.
    pub fn add_outer(&mut self, factor: f64, row: &[f64]) {
        for (out, value) in self.iter_mut().zip(row) {
            add_scaled(out, factor * value, row);
        }
    }

    /// L and L^-1 of a symmetric positive table L L'.
    ///
    /// # Errors
    /// When it is not positive.
    pub fn cholesky(&self) -> Result<(Table, Table), LearnError> {
        let side = self.rows;
        let mut root = Table::zeros(side, side);
        let mut inverse = Table::zeros(side, side);
        for place in 0..side {
            let mut row = vec![0.0; side];
            for column in 0..=place {
                let other = root.row(column);
                let known = crate::algebra::dot(&row, other);
                let value = self.row(place).get(column).copied().unwrap_or(0.0) - known;
                let pivot = other.get(column).copied().unwrap_or(1.0);
                let value = if column < place {
                    value / pivot
                } else {
                    value.sqrt()
                };
                if let Some(cell) = row.get_mut(column) {
                    *cell = value;
                }
            }
            let pivot = row.get(place).copied().unwrap_or(0.0);
            // Also refuses a pivot that is not a number.
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(LearnError::Numeric("a matrix is not positive".to_owned()));
            }
            let mut solved = vec![0.0; side];
            for (factor, other) in row.iter().zip(inverse.iter()).take(place) {
                add_scaled(&mut solved, -factor, other);
            }
            if let Some(cell) = solved.get_mut(place) {
                *cell += 1.0;
            }
            solved.iter_mut().for_each(|value| *value /= pivot);
            for (column, (left, right)) in row.iter().zip(&solved).enumerate() {
                root.set(place, column, *left);
                inverse.set(place, column, *right);
            }
        }
        Ok((root, inverse))
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows in order; of a table without columns, none.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.values.chunks_exact_mut(self.columns.max(1))
    }

    pub fn set(&mut self, row: usize, column: usize, value: f64) {
        if let Some(cell) = self.values.get_mut(row * self.columns + column) {
            *cell = value;
        }
    }

    /// The two side by side; both have the same rows.
    pub fn beside(&self, other: &Table) -> Table {
        let columns = self.columns + other.columns;
        let mut values = Vec::with_capacity(self.rows * columns);
        for row in 0..self.rows {
            values.extend_from_slice(self.row(row));
            values.extend_from_slice(other.row(row));
        }
        Table::of(self.rows, columns, values)
    }

    /// One row; empty when there is none.
    pub fn row(&self, row: usize) -> &[f64] {
        let cells = row * self.columns..(row + 1) * self.columns;
        self.values.get(cells).unwrap_or_default()
    }

    /// The first `columns` columns.
    pub fn first(&self, columns: usize) -> Table {
        let rows = self
            .iter()
            .flat_map(|row| row.iter().take(columns).copied());
        Table::of(self.rows, columns.min(self.columns), rows)
    }

    /// The rows that are marked, in order.
    pub fn kept(&self, marks: &[bool]) -> Table {
        let rows = self.iter().zip(marks).filter(|(_, mark)| **mark);
        let count = marks.iter().filter(|mark| **mark).count();
        Table::of(
            count,
            self.columns,
            rows.flat_map(|(row, _)| row.iter().copied()),
        )
    }

    /// The rows in the places that are marked, in order, among rows of zeros.
    pub fn among(&self, marks: &[bool]) -> Table {
        let mut table = Table::zeros(marks.len(), self.columns);
        let places = table.iter_mut().zip(marks).filter(|(_, mark)| **mark);
        for ((place, _), row) in places.zip(self.iter()) {
            place.copy_from_slice(row);
        }
        table
    }

    /// Multiplies each row by its weight.
    pub fn weighted(mut self, weights: &[f64]) -> Table {
        for (row, weight) in self.iter_mut().zip(weights) {
            row.iter_mut().for_each(|value| *value *= weight);
        }
        self
    }

    /// Takes away the weighted mean of the rows.
    pub fn centred(mut self, weights: &[f64]) -> Table {
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0; self.columns];
        for (row, weight) in self.iter().zip(weights) {
            add_scaled(&mut mean, weight / total, row);
        }
        self.iter_mut().for_each(|row| add_scaled(row, -1.0, &mean));
        self
    }

    /// The sum of two tables of one shape.
    pub fn plus(&self, other: &Table) -> Table {
        let values = self
            .values
            .iter()
            .zip(&other.values)
            .map(|(left, right)| left + right);
        Table::of(self.rows, self.columns, values)
    }

    /// The difference of two tables of one shape.
    pub fn minus(&self, other: &Table) -> Table {
        let values = self
            .values
            .iter()
            .zip(&other.values)
            .map(|(left, right)| left - right);
        Table::of(self.rows, self.columns, values)
    }

    /// The table times `right`, `[columns, n]`.
    pub fn times(&self, right: &Table) -> Table {
        let mut product = Table::zeros(self.rows, right.columns);
        for (out, row) in product.iter_mut().zip(self.iter()) {
            for (factor, other) in row.iter().zip(right.iter()) {
                add_scaled(out, *factor, other);
            }
        }
        product
    }

    /// The transposed table times `right`, `[rows, n]`.
    pub fn transposed_times(&self, right: &Table) -> Table {
        let mut product = Table::zeros(self.columns, right.columns);
        for (row, other) in self.iter().zip(right.iter()) {
            for (out, factor) in product.iter_mut().zip(row) {
                add_scaled(out, *factor, other);
            }
        }
        product
    }

    /// The transposed table.
    pub fn transposed(&self) -> Table {
        let cells = (0..self.columns)
            .flat_map(|column| self.iter().filter_map(move |row| row.get(column).copied()));
        Table::of(self.columns, self.rows, cells)
    }

    /// The sum over rows of weight times row row'.
    pub fn gram(&self, weights: impl IntoIterator<Item = f64>) -> DMatrix<f64> {
        let mut gram = DMatrix::zeros(self.columns, self.columns);
        let mut scaled = vec![0.0; self.columns];
        for (row, weight) in self.iter().zip(weights) {
            let root = weight.max(0.0).sqrt();
            scaled
                .iter_mut()
                .zip(row)
                .for_each(|(scaled, value)| *scaled = root * value);
            add_outer_lower(&mut gram, &scaled);
        }
        mirror_lower(&mut gram);
        gram
    }

    /// The L2 norm of each row.
    pub fn norms(&self) -> Vec<f64> {
        (0..self.rows).map(|row| norm(self.row(row))).collect()
    }

    /// As the model publishes it.
    pub fn tensor(&self) -> Tensor {
        Tensor {
            shape: vec![self.rows, self.columns],
            values: self.values.iter().map(|value| *value as f32).collect(),
        }
    }
}

/// `out` plus `factor` times `row`.
pub(crate) fn add_scaled(out: &mut [f64], factor: f64, row: &[f64]) {
    out.iter_mut()
        .zip(row)
        .for_each(|(out, value)| *out += factor * value);
}

/// Eigenvalues of a symmetric matrix, the largest first, and the eigenvectors as columns of a table `[n, n]`.
pub(crate) fn eigen(matrix: DMatrix<f64>) -> Result<(Vec<f64>, Table), LearnError> {
    let side = matrix.nrows();
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, 10_000)
        .ok_or_else(|| LearnError::Numeric("a matrix has no eigenvalues".to_owned()))?;
    let mut pairs: Vec<(f64, Vec<f64>)> = eigen
        .eigenvalues
        .iter()
        .zip(eigen.eigenvectors.column_iter())
        .map(|(value, vector)| (*value, vector.iter().copied().collect()))
        .collect();
    pairs.sort_by(|left, right| right.0.total_cmp(&left.0));
    let values = pairs.iter().map(|(value, _)| *value).collect();
    let vectors = pairs.into_iter().flat_map(|(_, vector)| vector);
    Ok((values, Table::of(side, side, vectors).transposed()))
}

/// An orthonormal basis of the columns, in order; columns that add nothing are left out (Gram and Schmidt, twice).
pub(crate) fn basis(table: &Table) -> Table {
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for column in table.transposed().iter() {
        let mut vector = column.to_vec();
        let before = length(&vector);
        for _ in 0..2 {
            for other in &kept {
                let part = crate::algebra::dot(&vector, other);
                add_scaled(&mut vector, -part, other);
            }
        }
        let after = length(&vector);
        if after > 1e-8 * before {
            vector.iter_mut().for_each(|value| *value /= after);
            kept.push(vector);
        }
    }
    let columns = kept.len();
    Table::of(columns, table.rows(), kept.into_iter().flatten()).transposed()
}

fn length(vector: &[f64]) -> f64 {
    crate::algebra::dot(vector, vector).sqrt()
}
