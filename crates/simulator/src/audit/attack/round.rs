//! One round of one item table at a chosen noise: the setting in which attacks on federated recommenders are usually
//! reported, and that of the golden table `interaction_attack_ml1m`.

use chorus_data::Dataset;
use chorus_model::TrainingSet;
use chorus_privacy::fill_discrete_gaussian;
use rand::RngExt;
use rayon::prelude::*;

use super::interactions::split;
use super::row::{AttackRow, Ceiling, Scores};
use super::world::dot;
use crate::SimulateError;
use crate::audit::canary::direction;
use crate::draw::{Stream, stream};

/// Width of the table's rows.
const WIDTH: usize = 32;
/// Grid steps per clip norm, the product's usual.
const SCALE: f64 = 65_536.0;

/// A round to attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneRound {
    /// Clients in the sum.
    pub cohort: usize,
    /// z: deviation of the noise over the norm of one contribution; 0 for none.
    pub noise_multiplier: f64,
    /// People that are attacked, one after the other, each in a cohort of its own.
    pub people: usize,
    /// Decides who they are, and the noise.
    pub seed: u64,
}

/// What each attacker reached, in this order: `naive_row_norm` sees the sum; `informed_residual_norm` knows what everyone
/// else sent; `informed_matched` knows the person's direction too; `popularity_only` sees nothing.
///
/// Every client sends its history, of norm 1, times a unit vector of its own: `[items, 32]`, norm 1.
///
/// # Errors
/// When the noise cannot be drawn.
pub fn attack_one_round(
    dataset: &Dataset,
    popularity: &[f64],
    round: OneRound,
) -> Result<[AttackRow; 4], SimulateError> {
    let users = dataset.users();
    let people: Vec<usize> = (0..round.people).collect();
    let found: Vec<[Scores; 4]> = people
        .par_iter()
        .map(|number| {
            let mut rng = stream(round.seed, round.cohort as u64, Stream::Target(*number));
            let person = rng.random_range(0..users);
            let history = dataset.training_set(person);
            let own = direction(WIDTH, &mut rng);
            let mut sum = vec![0.0; dataset.items * WIDTH];
            contribute(&mut sum, &history, &own);
            let mut noise = vec![0i64; sum.len()];
            if round.noise_multiplier > 0.0 {
                let variance = (round.noise_multiplier * SCALE).powi(2).ceil() as u64;
                fill_discrete_gaussian(variance, &mut noise, &mut rng)?;
            }
            for (value, noise) in sum.iter_mut().zip(noise) {
                *value += noise as f64 / SCALE;
            }
            let own: Vec<f64> = own.into_iter().map(f64::from).collect();
            let rows = || sum.chunks_exact(WIDTH);
            let residual: Vec<f64> = rows().map(|row| dot(row, row)).collect();
            let matched: Vec<f64> = rows().map(|row| dot(row, &own)).collect();
            for _ in 1..round.cohort {
                let other = rng.random_range(0..users);
                let theirs = direction(WIDTH, &mut rng);
                contribute(&mut sum, &dataset.training_set(other), &theirs);
            }
            let naive: Vec<f64> = sum.chunks_exact(WIDTH).map(|row| dot(row, row)).collect();
            let scores = [&naive, &residual, &matched, popularity];
            Ok(scores.map(|scores| split(scores, &history)))
        })
        .collect::<Result<_, SimulateError>>()?;
    let of = |attacker: usize| {
        let scores = found
            .iter()
            .filter_map(|person| person.get(attacker).cloned());
        Scores::over_people(&scores.collect::<Vec<_>>())
    };
    let popularity = of(3).auc;
    let row = |attacker: usize, name: &str| AttackRow {
        question: "which items".to_owned(),
        adversary: name.to_owned(),
        noise: round.noise_multiplier > 0.0,
        popularity: Some(popularity),
        ..of(attacker)
    };
    let ceiling = match round.noise_multiplier > 0.0 {
        true => Ceiling::Fresh(1.0 / round.noise_multiplier),
        false => Ceiling::None,
    };
    Ok([
        row(0, "naive_row_norm"),
        row(1, "informed_residual_norm").under(&ceiling),
        row(2, "informed_matched").under(&ceiling),
        row(3, "popularity_only"),
    ])
}

fn contribute(sum: &mut [f64], history: &TrainingSet, direction: &[f32]) {
    let weight = 1.0 / (history.len().max(1) as f64).sqrt();
    for item in history.items() {
        let row = sum.iter_mut().skip(item.0 as usize * WIDTH);
        for (value, cell) in row.zip(direction) {
            *value += weight * f64::from(*cell);
        }
    }
}
