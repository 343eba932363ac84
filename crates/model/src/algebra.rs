use nalgebra::DMatrix;

/// Words in the upper triangle of a square of side `side`, diagonal included.
pub(crate) fn triangle_length(side: usize) -> usize {
    side * (side + 1) / 2
}

/// The symmetric matrix whose upper triangle, row by row, is `packed`, times `scale`.
pub(crate) fn symmetric(
    packed: impl IntoIterator<Item = f64>,
    side: usize,
    scale: f64,
) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(side, side);
    let cells = (0..side).flat_map(|row| (row..side).map(move |column| (row, column)));
    for ((row, column), value) in cells.zip(packed) {
        matrix[(row, column)] = scale * value;
        matrix[(column, row)] = scale * value;
    }
    matrix
}

/// V'V of a row-major table with `side` columns.
pub(crate) fn gram(table: &[f32], side: usize) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(side, side);
    let mut wide = Vec::with_capacity(side);
    for row in table.chunks_exact(side.max(1)) {
        widen(row, &mut wide);
        add_outer_lower(&mut matrix, &wide);
    }
    mirror_lower(&mut matrix);
    matrix
}

/// Replaces `wide` by the values of `row`. Row by row, so that no second table is held.
pub(crate) fn widen(row: &[f32], wide: &mut Vec<f64>) {
    wide.clear();
    wide.extend(row.iter().copied().map(f64::from));
}

/// Adds v v' to the lower triangle only: half the work, and all that Cholesky reads.
pub(crate) fn add_outer_lower(matrix: &mut DMatrix<f64>, vector: &[f64]) {
    let side = vector.len().max(1);
    for (column, cells) in matrix.as_mut_slice().chunks_exact_mut(side).enumerate() {
        let Some(tail) = vector.get(column..) else {
            return;
        };
        let Some(factor) = tail.first().copied() else {
            return;
        };
        for (cell, value) in cells.iter_mut().skip(column).zip(tail) {
            *cell += factor * value;
        }
    }
}

/// Copies the lower triangle over the upper one.
pub(crate) fn mirror_lower(matrix: &mut DMatrix<f64>) {
    for column in 0..matrix.ncols() {
        for row in column + 1..matrix.nrows() {
            matrix[(column, row)] = matrix[(row, column)];
        }
    }
}

/// The inner product of two vectors of one length.
pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

/// The L2 norm.
pub(crate) fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

/// `vector` scaled to L2 norm `norm`; zero stays zero.
pub(crate) fn scaled_to(mut vector: Vec<f64>, norm: f64) -> Vec<f64> {
    let length = dot(&vector, &vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value *= norm / length);
    }
    vector
}

/// The inner product over the shorter of two vectors, in eight sums side by side: what a processor adds up at once, in
/// an order that does not depend on the processor.
pub(crate) fn lanes_dot(left: &[f64], right: &[f64]) -> f64 {
    let (left_chunks, _) = left.as_chunks::<8>();
    let (right_chunks, _) = right.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(left).zip(right) {
            *lane += a * b;
        }
    }
    let common = left_chunks.len().min(right_chunks.len());
    let rest = dot(
        left.get(common * 8..).unwrap_or_default(),
        right.get(common * 8..).unwrap_or_default(),
    );
    let [a, b, c, d, e, f, g, h] = lanes;
    (((a + e) + (c + g)) + ((b + f) + (d + h))) + rest
}
