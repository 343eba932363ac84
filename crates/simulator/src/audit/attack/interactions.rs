//! Which items did this client touch?

use chorus_data::Dataset;
use chorus_model::{ItemId, TrainingSet};
use rayon::prelude::*;

use super::row::{AttackRow, Ceiling, Scores};
use super::world::{World, add, dot};
use crate::SimulateError;
use crate::draw::{Stream, stream};

const QUESTION: &str = "which items";

/// Scores of all items, told apart by the person's history.
pub(super) fn split(scores: &[f64], history: &TrainingSet) -> Scores {
    let mut split = Scores::default();
    for (item, score) in (0u32..).zip(scores) {
        match history.contains(ItemId(item)) {
            true => split.positive.push(*score),
            false => split.negative.push(*score),
        }
    }
    split
}

/// What each attack scored for one person.
struct Person {
    plain: Scores,
    informed: Scores,
    alone: Scores,
    alone_without: Scores,
    popularity: Scores,
}

/// Attacks on sums, for each of `people`: noise is drawn afresh for each, so that they are independent.
pub(super) fn on_sums(
    world: &World,
    dataset: &Dataset,
    people: &[usize],
    popularity: &[f64],
    seed: u64,
) -> Result<Vec<AttackRow>, SimulateError> {
    let found: Vec<Person> = people
        .par_iter()
        .map(|person| attack(world, dataset, *person, popularity, seed))
        .collect::<Result<_, SimulateError>>()?;
    let of = |pick: fn(&Person) -> &Scores| {
        let scores: Vec<Scores> = found.iter().map(|person| pick(person).clone()).collect();
        Scores::over_people(&scores)
    };
    let popularity = Some(of(|person| &person.popularity).auc);
    let row = |adversary: &str, row: AttackRow| AttackRow {
        question: QUESTION.to_owned(),
        adversary: adversary.to_owned(),
        noise: world.mu.is_some(),
        popularity,
        ..row
    };
    let informed = of(|person| &person.informed);
    let mut alone = of(|person| &person.alone);
    let without = of(|person| &person.alone_without).auc;
    alone.without = Some(without);
    let (fresh, known) = match world.mu {
        Some(mu) => (Ceiling::Fresh(mu), Ceiling::Known { mu, without }),
        None => (Ceiling::None, Ceiling::None),
    };
    let mut rows = vec![
        row("the sums, all others known", informed).under(&fresh),
        row("the sums alone", alone).under(&known),
    ];
    if world.mu.is_none() {
        let plain = of(|person| &person.plain);
        rows.insert(0, row("the client's own update", plain));
    }
    Ok(rows)
}

fn attack(
    world: &World,
    dataset: &Dataset,
    person: usize,
    popularity: &[f64],
    seed: u64,
) -> Result<Person, SimulateError> {
    let history = dataset.training_set(person);
    let items = dataset.items;
    let mut informed = vec![0.0; items];
    // In the shortest sum the items stand by themselves; the last of the longest is the one that trains the item table.
    let mut plain: Option<(usize, Vec<f64>)> = None;
    let mut longest: Option<(usize, [Vec<f64>; 2])> = None;
    for (index, taken) in world.sums.iter().enumerate() {
        let Some(width) = taken.width(items) else {
            continue;
        };
        let sent = taken.sent(dataset, person)?;
        let mut rng = stream(seed, index as u64, Stream::Target(person));
        let mut left = taken.draw(&mut rng)?;
        let mut whole = left.clone();
        add(&mut left, &sent);
        add(&mut whole, &taken.exact);
        let template = template(&sent, width, &history);
        let weight = taken.weight();
        for (score, row) in informed.iter_mut().zip(left.chunks_exact(width)) {
            *score += weight * dot(row, &template);
        }
        if plain
            .as_ref()
            .is_none_or(|(length, _)| *length > sent.len())
        {
            plain = Some((sent.len(), row_norms(&sent, width)));
        }
        if longest
            .as_ref()
            .is_none_or(|(length, _)| *length <= left.len())
        {
            let others: Vec<f64> = whole
                .iter()
                .zip(&sent)
                .map(|(sum, own)| sum - own)
                .collect();
            let norms = [&whole, &others].map(|values| row_norms(values, width));
            longest = Some((left.len(), norms));
        }
    }
    let plain = plain.map(|(_, scores)| scores).unwrap_or_default();
    let [alone, without] = longest.map(|(_, norms)| norms).unwrap_or_default();
    Ok(Person {
        plain: split(&plain, &history),
        informed: split(&informed, &history),
        alone: split(&alone, &history),
        alone_without: split(&without, &history),
        popularity: split(popularity, &history),
    })
}

/// The mean row of the items that were touched: the strongest adversary knows the person's direction, and looks for it.
fn template(sent: &[f64], width: usize, history: &TrainingSet) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for (item, row) in (0u32..).zip(sent.chunks_exact(width)) {
        if history.contains(ItemId(item)) {
            add(&mut mean, row);
        }
    }
    let count = history.len().max(1) as f64;
    mean.into_iter().map(|value| value / count).collect()
}

fn row_norms(values: &[f64], width: usize) -> Vec<f64> {
    values
        .chunks_exact(width)
        .map(|row| dot(row, row))
        .collect()
}

/// What the released model says of the half of a history that the adversary does not know, from the half that it knows;
/// beside it the same for people whose contributions were zeros.
pub(super) fn on_model(
    world: &World,
    dataset: &Dataset,
    present: &[usize],
    absent: &[usize],
    popularity: &[f64],
) -> Result<AttackRow, SimulateError> {
    let half = |people: &[usize]| -> Result<Vec<(Scores, Scores)>, SimulateError> {
        let each = people.par_iter().map(|person| {
            let history = dataset.training_set(*person);
            let side = |side: usize| {
                let items = history.items().iter().enumerate();
                let half = items.filter(move |(place, _)| place % 2 == side);
                TrainingSet::of(half.map(|(_, item)| *item), dataset.items)
            };
            let (known, hidden) = (side(0), side(1));
            let scores = world.trainer.scores(&known)?;
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let unknown = |scores: &[f64]| {
                let mut split = split(scores, &hidden);
                // What is known to have been touched is no guess.
                let known: Vec<f64> = known
                    .items()
                    .iter()
                    .filter_map(|item| scores.get(item.0 as usize).copied())
                    .collect();
                remove(&mut split.negative, &known);
                split
            };
            Ok((unknown(&scores), unknown(popularity)))
        });
        each.collect()
    };
    let (found, others) = (half(present)?, half(absent)?);
    let of = |found: &[(Scores, Scores)], pick: fn(&(Scores, Scores)) -> &Scores| {
        let scores: Vec<Scores> = found.iter().map(|pair| pick(pair).clone()).collect();
        Scores::over_people(&scores)
    };
    let mut row = of(&found, |pair| &pair.0);
    let without = of(&others, |pair| &pair.0);
    row.question = QUESTION.to_owned();
    row.adversary = "the model, half the history known".to_owned();
    row.noise = world.mu.is_some();
    row.popularity = Some(of(&found, |pair| &pair.1).auc);
    row.without = Some(without.auc);
    row.error = row.error.hypot(without.error);
    let known = |mu| Ceiling::Known {
        mu,
        without: without.auc,
    };
    Ok(row.under(&world.mu.map_or(Ceiling::None, known)))
}

/// Takes one of each of `values` out.
fn remove(from: &mut Vec<f64>, values: &[f64]) {
    for value in values {
        if let Some(place) = from.iter().position(|other| other == value) {
            from.swap_remove(place);
        }
    }
}
