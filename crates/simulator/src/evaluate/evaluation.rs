use std::io::Read;

use chorus_data::{Dataset, Trait};
use chorus_model::{
    Categories, CategoryShare, ItemId, ListFigures, Lists, Mean, Quality, Trainer, TrainingSet,
    World, top,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::BATCH;
use super::explained::{Explanations, explanations};
use super::groups::{Groups, Person, by_activity, by_trait};
use crate::EvaluateError;

/// Length of the lists that are measured.
pub(super) const SHOWN: usize = 10;

/// Where everyone's scores come from.
pub enum Source<'a> {
    /// From a model.
    Model(&'a dyn Trainer),
    /// From a matrix `[users, items]`, row-major, little-endian f32.
    Rows(&'a mut dyn Read),
}

/// Everything that is measured of a ranking, beside the same of popularity: recommender.md sections 5 and 6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Name of the data.
    pub data: String,
    /// The means over people.
    #[serde(flatten)]
    pub quality: Quality,
    /// Half the widths of their 95 % intervals, by the normal law over people.
    pub intervals: Quality,
    /// How unequal people fare: the standard deviation of `full_ndcg_at_10` over people, by its mean.
    pub full_ndcg_at_10_variation: f64,
    /// What the lists of ten are like.
    pub lists: ListFigures,
    /// What each category has of all that is shown.
    pub exposure: Vec<CategoryShare>,
    /// The same of ranking by popularity in the training data.
    pub popularity: Quality,
    /// What its lists are like.
    pub popularity_lists: ListFigures,
    /// What the reasons are worth that a model gives; nothing of a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanations: Option<Explanations>,
    /// By how much people did, in quarters; and by what the data knows of them.
    pub groups: Vec<Groups>,
}

/// One ranking over everyone.
struct Measured {
    people: Vec<Person>,
    lists: ListFigures,
    exposure: Vec<CategoryShare>,
}

/// Measures a ranking over everyone who has a held-out item.
///
/// `traits`: what the data knows of its people besides. `categories`: of items, for what lists are like.
///
/// # Errors
/// When a score is missing or not finite, or the matrix is too short or too long.
pub fn evaluation(
    dataset: &Dataset,
    source: Source<'_>,
    traits: &[Trait],
    categories: Option<Categories>,
    seed: u64,
) -> Result<Evaluation, EvaluateError> {
    let histories: Vec<TrainingSet> = (0..dataset.users())
        .map(|user| dataset.training_set(user))
        .collect();
    let counts = chorus_model::popularity(&histories, dataset.items);
    let world = World::new(&counts, dataset.users(), categories);
    let (model, explanations) = match source {
        Source::Model(trainer) => {
            let measured = measure(dataset, &histories, &world, |users| {
                let rows = users.par_iter().filter_map(|user| histories.get(*user));
                rows.map(|history| Ok(trainer.scores(history)?)).collect()
            })?;
            (measured, explanations(&histories, trainer)?)
        }
        Source::Rows(reader) => {
            let measured = measure(dataset, &histories, &world, |users| {
                users.iter().map(|_| row(reader, dataset.items)).collect()
            })?;
            match reader.read(&mut [0; 1]).map_err(EvaluateError::Read)? {
                0 => (measured, None),
                _ => {
                    return Err(EvaluateError::Longer {
                        users: dataset.users(),
                        items: dataset.items,
                    });
                }
            }
        }
    };
    let popular = measure(dataset, &histories, &world, |users| {
        Ok(vec![counts.clone(); users.len()])
    })?;
    let (quality, intervals) = summary(&model.people);
    let mut gain = Mean::default();
    model
        .people
        .iter()
        .for_each(|person| gain.add(person.quality.full_ndcg_at_10));
    let mut groups = vec![by_activity(&model.people, seed)];
    groups.extend(
        traits
            .iter()
            .map(|known| by_trait(&model.people, known, seed)),
    );
    Ok(Evaluation {
        data: dataset.name.clone(),
        quality,
        intervals,
        full_ndcg_at_10_variation: gain.deviation() / gain.value().max(f64::MIN_POSITIVE),
        lists: model.lists,
        exposure: model.exposure,
        popularity: summary(&popular.people).0,
        popularity_lists: popular.lists,
        explanations,
        groups,
    })
}

/// Asks for the scores of some users at a time, in order, so that no whole matrix is held.
fn measure(
    dataset: &Dataset,
    histories: &[TrainingSet],
    world: &World,
    mut scores: impl FnMut(&[usize]) -> Result<Vec<Vec<f32>>, EvaluateError>,
) -> Result<Measured, EvaluateError> {
    let users: Vec<usize> = (0..dataset.users()).collect();
    let mut people = Vec::new();
    let mut lists = Lists::new(world);
    for batch in users.chunks(BATCH) {
        let rows = scores(batch)?;
        let found: Vec<Option<(Person, Vec<ItemId>)>> = batch
            .par_iter()
            .zip(&rows)
            .map(|(user, scores)| {
                let Some(case) = dataset.case(*user) else {
                    return Ok(None);
                };
                let mut quality = Quality::default();
                quality.add(scores, &case)?;
                let list = top(scores, &case.history, SHOWN);
                let history = case.history.len();
                Ok(Some((
                    Person {
                        user: *user,
                        history,
                        quality,
                    },
                    list,
                )))
            })
            .collect::<Result<_, EvaluateError>>()?;
        // In the order of the users: the same bits whatever the number of threads.
        for (person, list) in found.into_iter().flatten() {
            if let Some(history) = histories.get(person.user) {
                lists.add(history, &list);
            }
            people.push(person);
        }
    }
    Ok(Measured {
        people,
        lists: lists.figures(),
        exposure: lists.exposure(),
    })
}

/// The next row of a score matrix.
fn row(reader: &mut dyn Read, items: usize) -> Result<Vec<f32>, EvaluateError> {
    let mut bytes = vec![0; 4 * items];
    reader
        .read_exact(&mut bytes)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => EvaluateError::Shorter { items },
            _ => EvaluateError::Read(error),
        })?;
    Ok(bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

/// Means over people, and half the widths of their intervals.
fn summary(people: &[Person]) -> (Quality, Quality) {
    let estimate = |pick: fn(&Quality) -> f64| {
        let mut mean = Mean::default();
        people
            .iter()
            .for_each(|person| mean.add(pick(&person.quality)));
        mean.estimate()
    };
    let hr_at_10 = estimate(|quality| quality.hr_at_10);
    let ndcg_at_10 = estimate(|quality| quality.ndcg_at_10);
    let full_hr_at_10 = estimate(|quality| quality.full_hr_at_10);
    let full_ndcg_at_10 = estimate(|quality| quality.full_ndcg_at_10);
    let full_recall_at_20 = estimate(|quality| quality.full_recall_at_20);
    let full_ndcg_at_20 = estimate(|quality| quality.full_ndcg_at_20);
    let of = |part: fn(chorus_model::Estimate) -> f64| Quality {
        hr_at_10: part(hr_at_10),
        ndcg_at_10: part(ndcg_at_10),
        full_hr_at_10: part(full_hr_at_10),
        full_ndcg_at_10: part(full_ndcg_at_10),
        full_recall_at_20: part(full_recall_at_20),
        full_ndcg_at_20: part(full_ndcg_at_20),
        cases: people.len(),
    };
    (of(|estimate| estimate.mean), of(|estimate| estimate.within))
}
