//! Empirical Bayes for the rows of the item table: what the noisy sums and the public features say together.
//!
//! The model of ials-private.md, section 1: with h_i = (c_i / mean c)^-0.6, the rows beta_i ~ N(theta' R_i, Sigma) are seen
//! as b_i = h_i beta_i + N(0, (sigma_t r_t)^2 / c_i^2). Coordinates are divided by sigma_t r_t, in which the noise of item
//! i is the same in all directions. Sigma and theta are fitted by expectation and maximisation (Efron, Large-Scale
//! Inference, chapter 1, for the idea; Dempster, Laird and Rubin 1977 for the steps).

use nalgebra::{Cholesky, DMatrix, DVector};

use super::popularity::{Popularity, ones};
use crate::LearnError;
use crate::table::{Table, eigen};

/// How much less the rows of popular items vary.
const POPULARITY_POWER: f64 = -0.6;
/// Steps of expectation and maximisation.
const STEPS: usize = 8;
/// The steps before which theta is fitted again.
const REFITS: [usize; 3] = [0, 2, 5];
/// Eigenvalues of the first Sigma below this share of the largest are raised to it.
const FIRST_FLOOR: f64 = 0.02;
/// The same in later steps: only so that nothing is divided by zero.
const LATER_FLOOR: f64 = 1e-9;
/// Noise below this is taken for this: without noise there is nothing to weigh the sums against.
const LEAST_NOISE: f64 = 1e-3;

/// A released projection, amplified, for the population.
pub(super) struct Noisy {
    /// B, `[items, r]`.
    pub sum: Table,
    /// Standard deviation of the noise in each of its cells.
    pub noise: f64,
}

/// Sigma by its eigenvalues e and eigenvectors, and the prior means theta' R_i in its directions, `[items, K]`.
struct Prior {
    values: Vec<f64>,
    vectors: Table,
}

/// E[h beta | b] for every item, `[items, sum of r]`: the columns of all sums side by side. A row that may not leave its
/// prior stays at h theta' R_i, or at zero without features, and teaches the prior nothing: its sums are noise.
pub(super) fn posterior(
    sums: &[Noisy],
    popularity: &Popularity,
    rich: Option<&Table>,
) -> Result<Table, LearnError> {
    let counts = &popularity.counts;
    let items = counts.len();
    let mean = counts.iter().sum::<f64>() / items.max(1) as f64;
    let spread: Vec<f64> = counts
        .iter()
        .map(|count| (count / mean).powf(POPULARITY_POWER))
        .collect();
    let inverse: Vec<f64> = counts
        .iter()
        .zip(&spread)
        .map(|(c, h)| 1.0 / (c * h))
        .collect();
    let taught = popularity.taught();
    let mut seen = Table::zeros(items, 0);
    let mut units = Vec::new();
    for part in sums {
        let deviation = part.noise.max(LEAST_NOISE);
        let rows: Vec<f64> = inverse.iter().map(|value| value / deviation).collect();
        seen = seen.beside(&part.sum.clone().weighted(&rows));
        units.extend(vec![
            deviation * part.sum.columns() as f64;
            part.sum.columns()
        ]);
    }
    let seen = seen.kept(&taught);
    let known = inverse.iter().zip(&taught).filter(|(_, taught)| **taught);
    let noise: Vec<f64> = known.map(|(value, _)| value * value).collect();
    let features = rich.map(|rich| rich.kept(&taught));
    let mut prior = first(&seen, &noise)?;
    // theta, in the coordinates of the sums.
    let mut theta = Table::zeros(rich.map_or(0, Table::columns), seen.columns());
    let mut means = Table::zeros(seen.rows(), seen.columns());
    for step in 0..STEPS {
        if let Some(features) = features.as_ref().filter(|_| REFITS.contains(&step)) {
            let along = seen.times(&prior.vectors);
            theta = regress(&along, features, &prior.values, &noise)?
                .times(&prior.vectors.transposed());
            means = features.times(&theta);
        }
        let (left, variances) = update(&seen, &means, &prior, &noise);
        let mut moments = left.gram(std::iter::repeat(1.0));
        for (place, variance) in variances.into_iter().enumerate() {
            moments[(place, place)] += variance;
        }
        prior = turned(&prior.vectors, moments / seen.rows().max(1) as f64)?;
    }
    let (left, _) = update(&seen, &means, &prior, &noise);
    let own = left.times(&prior.vectors.transposed()).among(&taught);
    let own = own.weighted(&ones(&popularity.leaves));
    let mut rows = match rich {
        Some(rich) => own.plus(&rich.times(&theta)),
        None => own,
    };
    rows = rows.weighted(&spread);
    for row in rows.iter_mut() {
        row.iter_mut()
            .zip(&units)
            .for_each(|(value, unit)| *value *= unit);
    }
    Ok(rows)
}

/// Sigma from the moments, the noise taken away, items weighted by how well they are known.
fn first(seen: &Table, noise: &[f64]) -> Result<Prior, LearnError> {
    let mut sorted = noise.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(1.0);
    let weights: Vec<f64> = noise.iter().map(|noise| 1.0 / (noise + middle)).collect();
    let total: f64 = weights.iter().sum();
    let surplus: f64 = weights
        .iter()
        .zip(noise)
        .map(|(weight, noise)| weight * noise)
        .sum::<f64>()
        / total;
    let mut moments = seen.gram(weights) / total;
    for place in 0..moments.nrows() {
        moments[(place, place)] -= surplus;
    }
    decomposed(moments, FIRST_FLOOR)
}

fn decomposed(moments: DMatrix<f64>, floor: f64) -> Result<Prior, LearnError> {
    let (values, vectors) = eigen(moments)?;
    let largest = values
        .first()
        .copied()
        .unwrap_or(0.0)
        .max(f64::MIN_POSITIVE);
    let values = values
        .iter()
        .map(|value| value.max(floor * largest))
        .collect();
    Ok(Prior { values, vectors })
}

/// The prior of moments that are given in the directions `vectors`.
fn turned(vectors: &Table, moments: DMatrix<f64>) -> Result<Prior, LearnError> {
    let prior = decomposed(moments, LATER_FLOOR)?;
    let vectors = vectors.times(&prior.vectors);
    Ok(Prior { vectors, ..prior })
}

/// The expected distance of each row from its mean, in the directions of the prior, and the summed variances of it.
fn update(seen: &Table, means: &Table, prior: &Prior, noise: &[f64]) -> (Table, Vec<f64>) {
    let mut left = seen.minus(means).times(&prior.vectors);
    let mut variances = vec![0.0; prior.values.len()];
    for (row, noise) in left.iter_mut().zip(noise) {
        for ((value, own), variance) in row.iter_mut().zip(&prior.values).zip(&mut variances) {
            let gain = own / (own + noise);
            *value *= gain;
            *variance += gain * noise;
        }
    }
    (left, variances)
}

/// theta in the prior's directions, `[features, K]`: one ridge regression a direction, weights 1 / (e + noise),
/// penalty 1 / e.
fn regress(seen: &Table, rich: &Table, values: &[f64], noise: &[f64]) -> Result<Table, LearnError> {
    let mut fitted = Vec::with_capacity(values.len());
    for (place, own) in values.iter().enumerate() {
        let weights: Vec<f64> = noise.iter().map(|noise| 1.0 / (own + noise)).collect();
        let mut normal = rich.gram(weights.iter().copied());
        for diagonal in 0..normal.nrows() {
            normal[(diagonal, diagonal)] += 1.0 / own;
        }
        let mut target = vec![0.0; rich.columns()];
        for ((row, features), weight) in seen.iter().zip(rich.iter()).zip(&weights) {
            let value = row.get(place).copied().unwrap_or(0.0);
            crate::table::add_scaled(&mut target, weight * value, features);
        }
        let normal = Cholesky::new(normal)
            .ok_or_else(|| LearnError::Numeric("the features cannot be regressed on".to_owned()))?;
        let theta = normal.solve(&DVector::from_vec(target));
        fitted.extend(theta.iter().copied());
    }
    Ok(Table::of(values.len(), rich.columns(), fitted).transposed())
}
