use chorus_model::ItemId;
use serde::Serialize;

use crate::moment::date;
use crate::{Dataset, Trait};

/// What a data set holds, in figures: sums over everyone, nothing about anyone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// What it is called.
    pub name: String,
    /// Users.
    pub users: usize,
    /// Items in the catalogue.
    pub items: usize,
    /// Items of the catalogue that nobody touched.
    pub untouched_items: usize,
    /// Distinct pairs of a user and an item: what is learned from and what is held out.
    pub events: usize,
    /// The part to learn from.
    pub train_events: usize,
    /// How it was split.
    pub split: String,
    /// Users who are asked about a held-out item.
    pub cases: usize,
    /// Held-out pairs.
    pub held_out: usize,
    /// Users without anything to learn from.
    pub empty_histories: usize,
    /// Distinct items a user, held-out ones included.
    pub items_per_user: Spread,
    /// Events over users times items.
    pub density: f64,
    /// How unequal the items' shares of the events are: 0 when all have the same, towards 1 when one has all.
    pub gini: f64,
    /// The share of the events that the most popular tenth of the catalogue has.
    pub top_tenth_share: f64,
    /// The first and the last time, RFC 3339, where times are known. Where a published split has those of the held-out
    /// items alone, theirs.
    pub times: Option<[String; 2]>,
    /// Whether histories are in the order of their times; in that of the file otherwise.
    pub in_order_of_time: bool,
    /// Public features of the items.
    pub features: usize,
    /// Users who are asked about an item that is among their own negatives; the metrics drop it.
    pub positives_among_negatives: usize,
    /// Held-out pairs that were dropped, because the history had them.
    pub repaired: usize,
    /// What is known of the users.
    pub groups: Vec<Group>,
    /// Events of each item, most popular first: for a drawing.
    #[serde(skip)]
    pub popularity: Vec<usize>,
    /// Distinct items of each user, ascending: for a drawing.
    #[serde(skip)]
    pub lengths: Vec<usize>,
}

/// A distribution in four figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: usize,
    /// Half are at most this.
    pub median: usize,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: usize,
}

/// How many users have a trait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What it says: `gender: female`.
    pub name: String,
    /// Users of whom it is true.
    pub yes: usize,
    /// Users of whom it is not.
    pub no: usize,
    /// Users of whom it is not known.
    pub unknown: usize,
}

/// Counts what a data set holds.
pub fn describe(dataset: &Dataset, traits: &[Trait]) -> Description {
    let held = || dataset.cases.iter().flatten();
    let mut counts = vec![0usize; dataset.items];
    let mut count = |item: &ItemId| {
        if let Some(slot) = counts.get_mut(item.0 as usize) {
            *slot += 1;
        }
    };
    dataset.histories.iter().flatten().for_each(&mut count);
    held().flat_map(|held| held.all()).for_each(&mut count);
    counts.sort_unstable_by(|left, right| right.cmp(left));

    let pairs = dataset.histories.iter().zip(&dataset.cases);
    let mut lengths: Vec<usize> = pairs
        .map(|(history, held)| history.len() + held.as_ref().map_or(0, |held| held.all().count()))
        .collect();
    lengths.sort_unstable();

    let train_events = dataset.histories.iter().map(Vec::len).sum();
    let held_out = held().map(|held| held.all().count()).sum();
    let events = counts.iter().sum::<usize>();
    let learned = dataset.times.iter().flatten().flatten();
    let times = learned.chain(held().flat_map(|held| &held.times));
    let span = times.fold(None, |span: Option<(i64, i64)>, at| {
        let (first, last) = span.unwrap_or((*at, *at));
        Some((first.min(*at), last.max(*at)))
    });
    let pairs = dataset.users() as f64 * dataset.items as f64;
    Description {
        name: dataset.name.clone(),
        users: dataset.users(),
        items: dataset.items,
        untouched_items: counts.iter().filter(|count| **count == 0).count(),
        events,
        train_events,
        split: dataset.split.to_string(),
        cases: held().count(),
        held_out,
        empty_histories: dataset
            .histories
            .iter()
            .filter(|history| history.is_empty())
            .count(),
        items_per_user: spread(&lengths),
        density: events as f64 / pairs.max(1.0),
        gini: gini(&counts),
        top_tenth_share: top_share(&counts, 10),
        times: span.map(|(first, last)| [date(first), date(last)]),
        in_order_of_time: dataset.times.is_some(),
        features: dataset
            .features
            .as_ref()
            .map_or(0, |features| features.names().len()),
        positives_among_negatives: held()
            .filter(|held| held.negatives.contains(&held.positive))
            .count(),
        repaired: dataset.repaired,
        groups: traits
            .iter()
            .map(|one| group(one, dataset.users()))
            .collect(),
        popularity: counts,
        lengths,
    }
}

/// The figures of ascending numbers.
fn spread(ascending: &[usize]) -> Spread {
    let at = |place: usize| ascending.get(place).copied().unwrap_or(0);
    let last = ascending.len().saturating_sub(1);
    Spread {
        min: at(0),
        median: at(last / 2),
        mean: ascending.iter().sum::<usize>() as f64 / ascending.len().max(1) as f64,
        max: at(last),
    }
}

/// The Gini coefficient of descending counts: sum of (2 r - m - 1) c over m times the sum of c, ranks r from 1 for the
/// smallest of the m counts c.
fn gini(descending: &[usize]) -> f64 {
    let items = descending.len() as f64;
    let all = descending.iter().sum::<usize>() as f64;
    let weighted = descending.iter().rev().zip(1..);
    let sum: f64 = weighted
        .map(|(count, rank)| (2.0 * f64::from(rank) - items - 1.0) * *count as f64)
        .sum();
    sum / (items * all).max(1.0)
}

/// The share of the first of `parts` equal parts of descending counts; at least one item is in it.
fn top_share(descending: &[usize], parts: usize) -> f64 {
    let top: usize = descending
        .iter()
        .take(descending.len().div_ceil(parts))
        .sum();
    top as f64 / (descending.iter().sum::<usize>() as f64).max(1.0)
}

fn group(one: &Trait, users: usize) -> Group {
    let mut group = Group {
        name: one.name.clone(),
        yes: 0,
        no: 0,
        unknown: 0,
    };
    for user in 0..users {
        match one.of(user) {
            Some(true) => group.yes += 1,
            Some(false) => group.no += 1,
            None => group.unknown += 1,
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_by_hand() {
        // (2 - 5) 0 + (4 - 5) 1 + (6 - 5) 2 + (8 - 5) 5 = 16, over 4 times 8.
        assert!((gini(&[5, 2, 1, 0]) - 0.5).abs() < 1e-12);
        assert_eq!(
            (gini(&[3, 3, 3]), gini(&[]), gini(&[0, 0])),
            (0.0, 0.0, 0.0)
        );
        assert!((top_share(&[5, 2, 1, 0], 10) - 0.625).abs() < 1e-12);
        assert!((top_share(&[1; 20], 10) - 0.1).abs() < 1e-12);
        let one = |min, median, mean, max| Spread {
            min,
            median,
            mean,
            max,
        };
        assert_eq!(spread(&[1, 2, 3, 10]), one(1, 2, 4.0, 10));
        assert_eq!(spread(&[]), one(0, 0, 0.0, 0));
    }
}
