//! Was this client in the training?

use chorus_data::Dataset;
use rand::RngExt;
use rayon::prelude::*;

use super::row::{AttackRow, Ceiling, Scores};
use super::world::{World, add, dot};
use crate::SimulateError;
use crate::draw::{Stream, stream};

const QUESTION: &str = "took part";

fn named(row: AttackRow, adversary: &str, world: &World) -> AttackRow {
    AttackRow {
        question: QUESTION.to_owned(),
        adversary: adversary.to_owned(),
        noise: world.mu.is_some(),
        ..row
    }
}

/// By an adversary that sees every sum and knows what everyone else sent, and what this client would send: the matched
/// filter, the best test there is. A coin decides for each of `people` whether it took part.
pub(super) fn on_sums(
    world: &World,
    dataset: &Dataset,
    people: &[usize],
    seed: u64,
) -> Result<AttackRow, SimulateError> {
    let scored: Vec<(f64, bool)> = people
        .par_iter()
        .map(|person| {
            let took_part = stream(seed, u64::MAX, Stream::Target(*person)).random_bool(0.5);
            let mut total = 0.0;
            for (index, taken) in world.sums.iter().enumerate() {
                let sent = taken.sent(dataset, *person)?;
                // Rounds of their own: an adversary of interactions draws other noise.
                let round = (world.sums.len() + index) as u64;
                let mut left = taken.draw(&mut stream(seed, round, Stream::Target(*person)))?;
                if took_part {
                    add(&mut left, &sent);
                }
                total += taken.weight() * dot(&left, &sent);
            }
            Ok((total, took_part))
        })
        .collect::<Result<_, SimulateError>>()?;
    let mut scores = Scores::default();
    for (score, took_part) in scored {
        match took_part {
            true => scores.positive.push(score),
            false => scores.negative.push(score),
        }
    }
    let row = scores.row(&world.mu.map_or(Ceiling::None, Ceiling::Fresh));
    Ok(named(row, "the sums, all others known", world))
}

/// By an adversary that has the released model and the person's history: how well does the one explain the other?
pub(super) fn on_model(
    world: &World,
    dataset: &Dataset,
    present: &[usize],
    absent: &[usize],
) -> Result<AttackRow, SimulateError> {
    let fit = |people: &[usize]| -> Result<Vec<f64>, SimulateError> {
        let each = people.par_iter().map(|person| {
            let history = dataset.training_set(*person);
            let scores = world.trainer.scores(&history)?;
            let count = scores.len() as f64;
            let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / count;
            let squares = scores
                .iter()
                .map(|score| (f64::from(*score) - mean).powi(2));
            let deviation = (squares.sum::<f64>() / count).sqrt().max(f64::MIN_POSITIVE);
            let own = history
                .items()
                .iter()
                .filter_map(|item| scores.get(item.0 as usize));
            let own = own.map(|score| (f64::from(*score) - mean) / deviation);
            Ok(own.sum::<f64>() / history.len().max(1) as f64)
        });
        each.collect()
    };
    let scores = Scores {
        positive: fit(present)?,
        negative: fit(absent)?,
    };
    let row = scores.row(&world.mu.map_or(Ceiling::None, Ceiling::Fresh));
    Ok(named(row, "the model, the history known", world))
}
