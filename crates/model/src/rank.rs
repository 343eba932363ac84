use crate::{ItemId, Parameters, ParametersError, PersonVector, TrainingSet};

/// Every item's score for one person, `[items]`: u.v_i.
///
/// A zero vector, which an empty history gives, is scored by popularity: the counts themselves.
///
/// # Errors
/// When a tensor is missing or has another shape, or a score is not finite.
pub fn scores(parameters: &Parameters, person: &PersonVector) -> Result<Vec<f32>, ParametersError> {
    let table = parameters.require("items")?;
    let factors = person.0.len();
    if table.shape.get(1) != Some(&factors) || factors == 0 {
        return Err(ParametersError::Shape {
            name: "items".to_owned(),
            shape: vec![table.shape.first().copied().unwrap_or(0), factors],
            found: table.values.len(),
        });
    }
    if person.0.iter().all(|value| *value == 0.0) {
        return Ok(counts(parameters, table.values.len() / factors)?.to_vec());
    }
    let scores: Vec<f64> = table
        .values
        .chunks_exact(factors)
        .map(|row| {
            row.iter()
                .zip(&person.0)
                .map(|(v, u)| f64::from(*v) * f64::from(*u))
                .sum()
        })
        .collect();
    let scores: Vec<f32> = scores.into_iter().map(|score| score as f32).collect();
    if scores.iter().any(|score| !score.is_finite()) {
        return Err(ParametersError::NotFinite("items".to_owned()));
    }
    Ok(scores)
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

/// The tensor `counts`, which must cover the catalogue.
fn counts(parameters: &Parameters, items: usize) -> Result<&[f32], ParametersError> {
    let counts = parameters.require("counts")?;
    if counts.values.len() == items {
        Ok(&counts.values)
    } else {
        Err(ParametersError::Shape {
            name: "counts".to_owned(),
            shape: vec![items],
            found: counts.values.len(),
        })
    }
}
