//! Do some people fare worse than others?

use chorus_data::Trait;
use chorus_model::{Estimate, Mean, Quality};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::draw::{Stream, stream};

/// Groups with fewer people than this are counted, and nothing more is said of them.
const LEAST: usize = 50;
/// Draws of the bootstrap.
const DRAWS: usize = 1_000;

/// What one person was measured at.
pub(super) struct Person {
    pub(super) user: usize,
    /// Items in the history.
    pub(super) history: usize,
    pub(super) quality: Quality,
}

/// People divided by one thing that is known of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// By what: `activity`, `gender: female`.
    pub by: String,
    /// The groups.
    pub groups: Vec<Group>,
    /// Between the best and the worst group in `full_ndcg_at_10`, of those with 50 people or more.
    pub gap: Option<Gap>,
}

/// One group of people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// How many are in it.
    pub people: usize,
    /// How they fare, against 99 others; nothing for fewer than 50 people.
    pub ndcg_at_10: Option<Estimate>,
    /// How they fare, against all items; nothing for fewer than 50 people.
    pub full_ndcg_at_10: Option<Estimate>,
}

/// The difference between the best and the worst group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The difference.
    pub value: f64,
    /// Where 95 % of the differences between these two groups lie when their people are drawn anew (percentile bootstrap). Under zero
    /// where the gap may be chance.
    pub interval: [f64; 2],
    /// The group that fares worst.
    pub worst: String,
}

/// Quarters of the people by how long their histories are.
pub(super) fn by_activity(people: &[Person], seed: u64) -> Groups {
    let mut order: Vec<&Person> = people.iter().collect();
    order.sort_by_key(|person| (person.history, person.user));
    let names = [
        "lightest quarter",
        "second quarter",
        "third quarter",
        "heaviest quarter",
    ];
    let size = order.len().div_ceil(names.len()).max(1);
    let parts = order.chunks(size).zip(names);
    groups(
        "activity",
        parts
            .map(|(people, name)| (name.to_owned(), people.to_vec()))
            .collect(),
        seed,
    )
}

/// Those who have a trait, and those who do not.
pub(super) fn by_trait(people: &[Person], known: &Trait, seed: u64) -> Groups {
    let having = |wanted: bool| {
        let those = people
            .iter()
            .filter(|person| known.of(person.user) == Some(wanted));
        those.collect::<Vec<_>>()
    };
    let parts = vec![
        (known.name.clone(), having(true)),
        (format!("not {}", known.name), having(false)),
    ];
    groups(&known.name, parts, seed)
}

fn groups(by: &str, parts: Vec<(String, Vec<&Person>)>, seed: u64) -> Groups {
    let gains: Vec<(String, Vec<f64>)> = parts
        .iter()
        .filter(|(_, people)| people.len() >= LEAST)
        .map(|(name, people)| {
            (
                name.clone(),
                people
                    .iter()
                    .map(|person| person.quality.full_ndcg_at_10)
                    .collect(),
            )
        })
        .collect();
    let group = |(name, people): (String, Vec<&Person>)| {
        let estimate = |pick: fn(&Quality) -> f64| {
            let mut mean = Mean::default();
            people
                .iter()
                .for_each(|person| mean.add(pick(&person.quality)));
            (people.len() >= LEAST).then(|| mean.estimate())
        };
        Group {
            ndcg_at_10: estimate(|quality| quality.ndcg_at_10),
            full_ndcg_at_10: estimate(|quality| quality.full_ndcg_at_10),
            people: people.len(),
            name,
        }
    };
    Groups {
        by: by.to_owned(),
        groups: parts.into_iter().map(group).collect(),
        gap: gap(&gains, seed),
    }
}

/// Nothing for fewer than two groups.
fn gap(gains: &[(String, Vec<f64>)], seed: u64) -> Option<Gap> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let means: Vec<f64> = gains.iter().map(|(_, values)| mean(values)).collect();
    let places = 0..means.len();
    let of = |place: &usize| means.get(*place).copied().unwrap_or(0.0);
    let worst = places.clone().min_by(|a, b| of(a).total_cmp(&of(b)))?;
    let best = places.max_by(|a, b| of(a).total_cmp(&of(b)))?;
    if gains.len() < 2 {
        return None;
    }
    let mut rng = stream(seed, 0, Stream::Bootstrap);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let again = gains.iter().map(|(_, values)| {
                let sum: f64 = (0..values.len())
                    .filter_map(|_| values.get(rng.random_range(0..values.len())))
                    .sum();
                sum / values.len() as f64
            });
            let again: Vec<f64> = again.collect();
            // Of these two groups each time: the largest less the smallest is above zero even where no group differs.
            difference(&again, best, worst)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| {
        drawn
            .get((share * (DRAWS - 1) as f64).round() as usize)
            .copied()
    };
    Some(Gap {
        value: difference(&means, best, worst),
        interval: [at(0.025)?, at(0.975)?],
        worst: gains.get(worst)?.0.clone(),
    })
}

fn difference(means: &[f64], best: usize, worst: usize) -> f64 {
    let of = |place: usize| means.get(place).copied().unwrap_or(0.0);
    of(best) - of(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups that are alike but for one person, and two that are not: only the second gap is above chance.
    #[test]
    fn a_gap_that_is_chance_reaches_zero() {
        let values = |high: usize| (0..100).map(|n| f64::from(u8::from(n < high))).collect();
        let gap = |one, other| {
            let gains = [
                ("one".to_owned(), values(one)),
                ("other".to_owned(), values(other)),
            ];
            gap(&gains, 1).unwrap()
        };
        let chance = gap(51, 50);
        assert!((chance.value - 0.01).abs() < 1e-9);
        assert!(chance.interval[0] < 0.0 && chance.interval[1] > 0.05);
        let real = gap(30, 70);
        assert_eq!(real.worst, "one");
        assert!(real.interval[0] > 0.2 && real.interval[1] < 0.6);
    }
}
