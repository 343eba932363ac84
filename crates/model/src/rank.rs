use crate::{ItemId, Parameters, ParametersError, TrainError, TrainingSet};

/// Every item's score for a person vector, `[items]`: u.v_i, added up in f64.
///
/// `table`: row-major `[items, person.len()]`.
///
/// # Errors
/// When a score is not finite.
pub fn scores(table: &[f32], person: &[f64]) -> Result<Vec<f32>, TrainError> {
    let scores: Vec<f32> = table
        .chunks_exact(person.len().max(1))
        .map(|row| dot(person, row) as f32)
        .collect();
    finite(scores)
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

fn dot(person: &[f64], row: &[f32]) -> f64 {
    person.iter().zip(row).map(|(u, v)| u * f64::from(*v)).sum()
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
