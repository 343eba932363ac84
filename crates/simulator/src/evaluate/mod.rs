mod evaluation;
mod explained;
mod groups;

use std::io::Write;

use chorus_data::Dataset;
use chorus_model::{Engine, Parameters, Quality, Trainer};
use chorus_protocol::Digest;
use rayon::prelude::*;

use crate::{Alone, Company, EvaluateError};

pub use evaluation::{Evaluation, Source, evaluation};
pub use explained::Explanations;
pub use groups::{Gap, Group, Groups};

/// Users whose scores are held in memory at a time.
const BATCH: usize = 256;

/// Users whose figures processes tell each other at a time.
const SHARED: usize = 1 << 16;

/// The quality of a model over everyone who has a held-out item: recommender.md section 6.
///
/// # Errors
/// When a person's scores cannot be computed, or one is not finite.
pub fn evaluate(dataset: &Dataset, trainer: &dyn Trainer) -> Result<Quality, EvaluateError> {
    evaluate_users(dataset, trainer, &measured(dataset), &Alone)
}

/// The users who have a held-out item.
pub(crate) fn measured(dataset: &Dataset) -> Vec<usize> {
    let held = dataset.cases.iter().enumerate();
    held.filter(|(_, case)| case.is_some())
        .map(|(user, _)| user)
        .collect()
}

/// The same over some users, of whom each process of a company measures its share.
pub(crate) fn evaluate_users(
    dataset: &Dataset,
    trainer: &dyn Trainer,
    users: &[usize],
    company: &dyn Company,
) -> Result<Quality, EvaluateError> {
    over(users, company, |user| {
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
    popular(dataset, &Alone)
}

/// The same, of which each process of a company measures its share.
pub(crate) fn popular(dataset: &Dataset, company: &dyn Company) -> Result<Quality, EvaluateError> {
    // Copies of people change no order.
    let histories = (0..dataset.histories.len()).map(|user| dataset.training_set(user));
    let counts = chorus_model::popularity(histories, dataset.items);
    over(&measured(dataset), company, |user| {
        add(&counts, dataset, user)
    })
}

fn add(scores: &[f32], dataset: &Dataset, user: usize) -> Result<Quality, EvaluateError> {
    let mut quality = Quality::default();
    if let Some(case) = dataset.case(user) {
        quality.add(scores, &case)?;
    }
    Ok(quality)
}

/// Measures users on all cores, and joins the figures in the order of the users: the result has the same bits
/// whatever the number of threads and processes.
fn over(
    users: &[usize],
    company: &dyn Company,
    measure: impl Fn(usize) -> Result<Quality, EvaluateError> + Sync,
) -> Result<Quality, EvaluateError> {
    let (rank, size) = (company.rank(), company.size());
    let mut quality = Quality::default();
    for users in users.chunks(SHARED) {
        let own = users.par_iter().skip(rank).step_by(size);
        let own: Vec<Quality> = own
            .map(|user| measure(*user))
            .collect::<Result<_, EvaluateError>>()?;
        let each = shared(own, users.len(), company)?;
        each.iter().for_each(|other| quality.merge(other));
    }
    Ok(quality)
}

/// Everyone's figures, of whom this process of a company measured its share. They travel as bits in places that the others leave empty, so
/// none changes.
fn shared(
    own: Vec<Quality>,
    users: usize,
    company: &dyn Company,
) -> Result<Vec<Quality>, EvaluateError> {
    if company.size() == 1 {
        return Ok(own);
    }
    let mut places = vec![[0; FIGURES]; users];
    let ours = places.iter_mut().skip(company.rank());
    for (place, quality) in ours.step_by(company.size()).zip(&own) {
        *place = figures(quality);
    }
    let deed = Digest::of_parts("measure", &[&users.to_le_bytes()]);
    company.add_up(deed, places.as_flattened_mut(), OTHER_PEOPLE)?;
    Ok(places.iter().map(of_figures).collect())
}

const OTHER_PEOPLE: &str =
    "it measures other people than process 0: give all the same command and the same files";

/// Numbers of one person's figures.
const FIGURES: usize = 7;

fn figures(quality: &Quality) -> [i64; FIGURES] {
    let bits = |figure: f64| figure.to_bits().cast_signed();
    [
        bits(quality.hr_at_10),
        bits(quality.ndcg_at_10),
        bits(quality.full_hr_at_10),
        bits(quality.full_ndcg_at_10),
        bits(quality.full_recall_at_20),
        bits(quality.full_ndcg_at_20),
        quality.cases as i64,
    ]
}

fn of_figures(numbers: &[i64; FIGURES]) -> Quality {
    let figure = |bits: i64| f64::from_bits(bits.cast_unsigned());
    let [hr, ndcg, full_hr, full_ndcg, recall, full_ndcg_at_20, cases] = *numbers;
    Quality {
        hr_at_10: figure(hr),
        ndcg_at_10: figure(ndcg),
        full_hr_at_10: figure(full_hr),
        full_ndcg_at_10: figure(full_ndcg),
        full_recall_at_20: figure(recall),
        full_ndcg_at_20: figure(full_ndcg_at_20),
        cases: cases as usize,
    }
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
