//! The best buffered linear Toeplitz encoder for a pattern of participation (Dvijotham, McMahan, Pillutla, Steinke, Thakurta 2024,
//! arXiv 2404.16706): little memory, and nearly the error of the best matrix.

use super::matrix::{Participation, Toeplitz};
use crate::PrivacyError;

/// Buffers at most: more gain nothing that could be measured.
const MOST_BUFFERS: usize = 5;
const MOST_ROUNDS: usize = 2048;
/// Evaluations for each start.
const PATIENCE: usize = 1500;

impl Toeplitz {
    /// The encoder of `buffers` buffers whose noisiest prefix has the least noise at a given promise: sensitivity times largest error is
    /// minimised by the simplex of Nelder and Mead (1965) from several starts. The result is some good encoder; its sensitivity and error
    /// are exact whatever the search found.
    ///
    /// # Errors
    /// A participation that makes no sense; more than 2048 rounds; no buffers, or more than five.
    pub fn best_buffered(
        participation: &Participation,
        buffers: usize,
    ) -> Result<Self, PrivacyError> {
        let rounds = participation.rounds;
        if !(1..=MOST_BUFFERS).contains(&buffers) || rounds > MOST_ROUNDS {
            return Err(PrivacyError::Participation);
        }
        let encoder = |point: &[f64]| Self::buffered(&buffers_at(point), rounds);
        let cost = |point: &[f64]| -> f64 {
            let Ok(encoder) = encoder(point) else {
                return f64::INFINITY;
            };
            match (
                encoder.sensitivity(participation),
                encoder.prefix_error(rounds),
            ) {
                (Ok(sensitivity), Ok(error)) => sensitivity * error.largest,
                _ => f64::INFINITY,
            }
        };
        // Without a good buffer, independent noise.
        let mut best = (
            Self::identity().sensitivity(participation)?
                * Self::identity().prefix_error(rounds)?.largest,
            None,
        );
        for spread in [0.6, 1.2, 2.0] {
            let start: Vec<f64> = (0..buffers)
                .flat_map(|at| [-1.5 - 0.5 * at as f64, 2.5 - spread * at as f64])
                .collect();
            let (value, point) = descend(start, &cost);
            if value < best.0 {
                best = (value, Some(point));
            }
        }
        match best.1 {
            Some(point) => encoder(&point),
            None => Ok(Self::identity()),
        }
    }
}

/// Weights are exponentials, decays logistic: both stay where they belong.
fn buffers_at(point: &[f64]) -> Vec<(f64, f64)> {
    let pair = |pair: &[f64]| match pair {
        [weight, decay] => (weight.exp(), 1.0 / (1.0 + (-decay).exp())),
        _ => (0.0, 0.0),
    };
    point.chunks(2).map(pair).collect()
}

/// Nelder and Mead's simplex: the smallest value found, and where.
fn descend(start: Vec<f64>, cost: &impl Fn(&[f64]) -> f64) -> (f64, Vec<f64>) {
    let mut corners: Vec<(f64, Vec<f64>)> = vec![(cost(&start), start.clone())];
    for at in 0..start.len() {
        let mut corner = start.clone();
        if let Some(value) = corner.get_mut(at) {
            *value += 0.4;
        }
        corners.push((cost(&corner), corner));
    }
    for _ in 0..PATIENCE {
        corners.sort_by(|left, right| left.0.total_cmp(&right.0));
        let Some((worst, others)) = corners.split_last_mut() else {
            break;
        };
        let lowest = others.first().cloned().unwrap_or_else(|| worst.clone());
        let second = others.last().map_or(worst.0, |corner| corner.0);
        let middle: Vec<f64> = (0..start.len())
            .map(|at| {
                let sum: f64 = others.iter().filter_map(|(_, point)| point.get(at)).sum();
                sum / others.len() as f64
            })
            .collect();
        let towards = |factor: f64, from: &[f64]| -> (f64, Vec<f64>) {
            let point: Vec<f64> = middle
                .iter()
                .zip(from)
                .map(|(middle, from)| middle + factor * (middle - from))
                .collect();
            (cost(&point), point)
        };
        let mirrored = towards(1.0, &worst.1);
        if mirrored.0 < lowest.0 {
            let further = towards(2.0, &worst.1);
            *worst = if further.0 < mirrored.0 {
                further
            } else {
                mirrored
            };
            continue;
        }
        if mirrored.0 < second {
            *worst = mirrored;
            continue;
        }
        let inside = towards(-0.5, &worst.1);
        if inside.0 < worst.0 {
            *worst = inside;
            continue;
        }
        for corner in &mut corners {
            let point: Vec<f64> = corner
                .1
                .iter()
                .zip(&lowest.1)
                .map(|(here, low)| (here + low) / 2.0)
                .collect();
            *corner = (cost(&point), point);
        }
    }
    corners.sort_by(|left, right| left.0.total_cmp(&right.0));
    corners.into_iter().next().unwrap_or((f64::INFINITY, start))
}
