use crate::algebra::lanes_dot;
use crate::{ItemId, Parameters, ParametersError, TrainError, TrainingSet};

/// Every row's product with a vector, added up in f64: each item's score for a person vector. `table`: row-major `[rows, vector.len()]`.
pub fn products(table: &[f32], vector: &[f64]) -> impl Iterator<Item = f64> {
    let mut wide = vec![0.0; vector.len()];
    table.chunks_exact(vector.len().max(1)).map(move |row| {
        wide.iter_mut()
            .zip(row)
            .for_each(|(wide, value)| *wide = f64::from(*value));
        lanes_dot(&wide, vector)
    })
}

/// The scores, when all of them are finite.
///
/// # Errors
/// When one is not.
pub fn finite(scores: Vec<f32>) -> Result<Vec<f32>, TrainError> {
    if scores.iter().all(|score| score.is_finite()) {
        Ok(scores)
    } else {
        Err(TrainError::Numeric("a score is not finite".to_owned()))
    }
}

/// What an empty history is scored by: the tensor `counts`, which must cover the catalogue.
///
/// # Errors
/// When the model has none, or of another length.
pub fn by_popularity(parameters: &Parameters, items: usize) -> Result<Vec<f32>, ParametersError> {
    let counts = parameters.require("counts")?;
    if counts.values.len() == items {
        Ok(counts.values.clone())
    } else {
        Err(ParametersError::Shape {
            name: "counts".to_owned(),
            shape: vec![items],
            found: counts.values.len(),
        })
    }
}

/// The `n` best unseen items, best first; items of equal score in the order of their numbers.
pub fn top(scores: &[f32], seen: &TrainingSet, n: usize) -> Vec<ItemId> {
    let mut unseen: Vec<(f32, ItemId)> = (0u32..)
        .zip(scores)
        .map(|(item, score)| (*score, ItemId(item)))
        .filter(|(_, item)| !seen.contains(*item))
        .collect();
    let order = |(left, a): &(f32, ItemId), (right, b): &(f32, ItemId)| {
        right.total_cmp(left).then(a.cmp(b))
    };
    // Of a large catalogue only the best are put in order.
    if n < unseen.len() {
        unseen.select_nth_unstable_by(n, order);
        unseen.truncate(n);
    }
    unseen.sort_unstable_by(order);
    unseen.into_iter().map(|(_, item)| item).collect()
}
