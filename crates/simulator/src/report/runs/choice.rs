//! Which runs are drawn: a chart of a hundred lines shows none.

use std::collections::BTreeMap;

use chorus_protocol::Digest;

use crate::Record;
use crate::run::differing;

/// Runs of one data set that are drawn, at most.
pub(super) const MOST: usize = 6;

/// The numbers of the runs that are drawn, in order. Of up to six on one data set all; of more the first of each setting, which is
/// all that was given but the seed, and the best; where that is more than six, some from the best to the worst of those.
pub fn drawn<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<usize> {
    let mut sets: BTreeMap<Digest, Vec<(usize, &Record)>> = BTreeMap::new();
    for (number, record) in records.enumerate() {
        // Of a run that did no round there is nothing to draw.
        if !record.rounds.is_empty() {
            let set = sets.entry(record.data.digest).or_default();
            set.push((number, record));
        }
    }
    let mut drawn: Vec<usize> = sets.into_values().flat_map(of_a_set).collect();
    drawn.sort_unstable();
    drawn
}

fn of_a_set(runs: Vec<(usize, &Record)>) -> Vec<usize> {
    let numbers = |runs: &[(usize, &Record)]| runs.iter().map(|(number, _)| *number).collect();
    if runs.len() <= MOST {
        return numbers(&runs);
    }
    let keys = differing(runs.iter().map(|(_, record)| *record));
    let best = runs
        .iter()
        .copied()
        .reduce(|best, run| match better(run.1, best.1) {
            true => run,
            false => best,
        });
    let mut firsts: BTreeMap<Vec<Option<String>>, (usize, &Record)> = BTreeMap::new();
    for run in &runs {
        firsts.entry(setting(run.1, &keys)).or_insert(*run);
    }
    if let Some(best) = best {
        firsts.insert(setting(best.1, &keys), best);
    }
    let mut chosen: Vec<(usize, &Record)> = firsts.into_values().collect();
    chosen.sort_by(|one, other| {
        hits(other.1)
            .total_cmp(&hits(one.1))
            .then(one.0.cmp(&other.0))
    });
    if chosen.len() > MOST {
        let last = chosen.len() - 1;
        let places = (0..MOST).map(|place| place * last / (MOST - 1));
        chosen = places
            .filter_map(|place| chosen.get(place).copied())
            .collect();
    }
    numbers(&chosen)
}

/// What was given for the keys that differ, but for the seed.
pub(super) fn setting(record: &Record, keys: &[String]) -> Vec<Option<String>> {
    let keys = keys.iter().filter(|key| *key != "seed");
    keys.map(|key| record.given(key)).collect()
}

/// What is not finished is no better than what is.
fn better(one: &Record, other: &Record) -> bool {
    (one.is_finished(), hits(one)) > (other.is_finished(), hits(other))
}

fn hits(record: &Record) -> f64 {
    record.quality().map_or(0.0, |quality| quality.hr_at_10)
}
