mod evaluation;
mod explained;
mod groups;

use std::io::Write;

use chorus_data::Dataset;
use chorus_model::{Engine, Parameters, Quality, Trainer};
use rayon::prelude::*;

use crate::EvaluateError;

pub use evaluation::{Evaluation, Source, evaluation};
pub use explained::Explanations;
pub use groups::{Gap, Group, Groups};

/// Users whose scores are held in memory at a time.
const BATCH: usize = 256;

/// The quality of a model over everyone who has a held-out item: recommender.md section 6.
///
/// # Errors
/// When a person's scores cannot be computed, or one is not finite.
pub fn evaluate(dataset: &Dataset, trainer: &dyn Trainer) -> Result<Quality, EvaluateError> {
    evaluate_users(dataset, trainer, &measured(dataset))
}

/// The users who have a held-out item.
pub(crate) fn measured(dataset: &Dataset) -> Vec<usize> {
    let held = dataset.cases.iter().enumerate();
    held.filter(|(_, case)| case.is_some())
        .map(|(user, _)| user)
        .collect()
}

/// The same over some users.
pub(crate) fn evaluate_users(
    dataset: &Dataset,
    trainer: &dyn Trainer,
    users: &[usize],
) -> Result<Quality, EvaluateError> {
    over(users, |user| {
        let scores = trainer.scores(&dataset.training_set(user))?;
        add(&scores, dataset, user)
    })
}

/// Share of these people whose first ten of everything that they have not touched hold an item; of those who touched it, none does.
pub(crate) fn listed(
    dataset: &Dataset,
    trainer: &dyn Trainer,
    users: &[usize],
    item: usize,
) -> Result<f64, EvaluateError> {
    let is_listed = |user: &usize| {
        let history = dataset.training_set(*user);
        let scores = trainer.scores(&history)?;
        let Some(score) = scores.get(item) else {
            return Ok(0);
        };
        let touched = |other: &usize| history.items().iter().any(|own| own.0 as usize == *other);
        let better = scores
            .iter()
            .enumerate()
            .filter(|(_, other)| *other > score);
        let better = better.filter(|(other, _)| !touched(other));
        Ok(usize::from(!touched(&item) && better.take(10).count() < 10))
    };
    let each: Vec<usize> = users
        .par_iter()
        .map(is_listed)
        .collect::<Result<_, EvaluateError>>()?;
    Ok(each.iter().sum::<usize>() as f64 / users.len().max(1) as f64)
}

/// The quality of ranking by popularity in the training data: the baseline of every table.
///
/// # Errors
/// When a case names an item outside the catalogue.
pub fn popularity(dataset: &Dataset) -> Result<Quality, EvaluateError> {
    // Copies of people change no order.
    let histories = (0..dataset.histories.len()).map(|user| dataset.training_set(user));
    let counts = chorus_model::popularity(histories, dataset.items);
    over(&measured(dataset), |user| add(&counts, dataset, user))
}

fn add(scores: &[f32], dataset: &Dataset, user: usize) -> Result<Quality, EvaluateError> {
    let mut quality = Quality::default();
    if let Some(case) = dataset.case(user) {
        quality.add(scores, &case)?;
    }
    Ok(quality)
}

/// Measures users on all cores, and joins the figures in the order of the users: the result has the same bits
/// whatever the number of threads.
fn over(
    users: &[usize],
    measure: impl Fn(usize) -> Result<Quality, EvaluateError> + Sync,
) -> Result<Quality, EvaluateError> {
    let each: Vec<Quality> = users
        .par_iter()
        .map(|user| measure(*user))
        .collect::<Result<_, EvaluateError>>()?;
    let mut quality = Quality::default();
    each.iter().for_each(|other| quality.merge(other));
    Ok(quality)
}

/// Writes every user's score for every item: a raw matrix `[users, items]`, row-major, little-endian f32,
/// so that anyone can check the figures.
///
/// # Errors
/// When the model does not fit, a score is not finite, or the writer fails.
///
/// # Privacy
/// For simulations: a row says much about one person.
pub fn scores(
    parameters: &Parameters,
    dataset: &Dataset,
    engine: &dyn Engine,
    writer: &mut dyn Write,
) -> Result<(), EvaluateError> {
    let trainer = engine.open(parameters)?;
    let users: Vec<usize> = (0..dataset.users()).collect();
    for batch in users.chunks(BATCH) {
        let rows: Vec<Vec<u8>> = batch
            .par_iter()
            .map(|user| {
                let scores = trainer.scores(&dataset.training_set(*user))?;
                Ok(scores
                    .iter()
                    .flat_map(|score| score.to_le_bytes())
                    .collect())
            })
            .collect::<Result<_, EvaluateError>>()?;
        for row in rows {
            writer.write_all(&row)?;
        }
    }
    // What a buffer holds back could still fail, and nobody would hear of it once it is dropped.
    Ok(writer.flush()?)
}
