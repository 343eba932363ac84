//! Every small population, and what is shown of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Cells of a list: ranks up to 10, up to 20, and worse.
const CELLS: usize = 3;

/// How many have each pair of a sampled and a full cell, and how many no rank.
type Filling = Vec<usize>;

/// Pairs that there are: the sampled rank is never the worse one.
fn pairs() -> Vec<(usize, usize)> {
    let all = (0..CELLS).flat_map(|sampled| (sampled..CELLS).map(move |full| (sampled, full)));
    all.collect()
}

/// All fillings of so many places with so many people at most.
fn fillings(places: usize, people: usize) -> Vec<Filling> {
    if places == 0 {
        return vec![Vec::new()];
    }
    let first = (0..=people).flat_map(|first| {
        let rest = fillings(places - 1, people - first).into_iter();
        rest.map(move |rest| [vec![first], rest].concat())
    });
    first.collect()
}

/// How many of `filling` are so.
fn count(filling: &Filling, are: impl Fn(usize, usize) -> bool) -> usize {
    let pairs = pairs().into_iter().zip(filling);
    let those = pairs.filter(|((sampled, full), _)| are(*sampled, *full));
    those.map(|(_, people)| people).sum()
}

fn list(cells: [usize; CELLS]) -> Vec<Group> {
    let ranks = [(1, Some(10)), (11, Some(20)), (21, None)];
    let groups = ranks.into_iter().zip(cells);
    groups
        .map(|((from, to), people)| Group {
            from,
            to,
            people: people as f64,
            cells: 1,
        })
        .collect()
}

fn ranks(filling: &Filling) -> Ranks {
    let cells = [0, 1, 2];
    let sampled = list(cells.map(|cell| count(filling, |sampled, _| sampled == cell)));
    let full = list(cells.map(|cell| count(filling, |_, full| full == cell)));
    Ranks {
        lists: [sampled.clone(), full.clone(), sampled, full],
        clients: filling.iter().sum(),
        noise: 0.0,
    }
}

/// What can be asked of a population: every cell of both lists, every pair of cells, the people between any cut of one list and
/// any of the other, and those without a rank.
fn asked(filling: &Filling) -> Vec<usize> {
    let mut asked = vec![*filling.last().unwrap()];
    for one in 0..CELLS {
        asked.push(count(filling, |sampled, _| sampled == one));
        asked.push(count(filling, |_, full| full == one));
        for other in 0..CELLS {
            asked.push(count(filling, |sampled, full| {
                (sampled, full) == (one, other)
            }));
            asked.push(count(filling, |sampled, full| {
                sampled <= one && full > other
            }));
        }
    }
    asked
}

/// Items of a catalogue in which a full rank may be any beyond the sampled one, and of one in which both are the same.
const CATALOGUES: [usize; 2] = [10_000, 100];

/// How often an answer between 1 and `fewest - 1` is the same in all populations of which the same is shown.
fn found(people: usize, fewest: usize, items: usize, shown: impl Fn(&Ranks) -> String) -> usize {
    let mut classes: BTreeMap<String, Vec<BTreeSet<usize>>> = BTreeMap::new();
    let is_there = |filling: &Filling| {
        let differ = count(filling, |sampled, full| sampled != full);
        items > 100 || differ == 0
    };
    for filling in fillings(pairs().len() + 1, people)
        .into_iter()
        .filter(is_there)
    {
        let answers = asked(&filling);
        let shown = format!(
            "{} {}",
            filling.iter().sum::<usize>(),
            shown(&ranks(&filling))
        );
        let class = classes
            .entry(shown)
            .or_insert_with(|| vec![BTreeSet::new(); answers.len()]);
        class.iter_mut().zip(answers).for_each(|(class, answer)| {
            class.insert(answer);
        });
    }
    assert!(classes.len() > 20, "nothing was shown");
    let is_found = |answers: &&BTreeSet<usize>| {
        answers.len() == 1 && answers.iter().all(|answer| (1..fewest).contains(answer))
    };
    classes.values().flatten().filter(is_found).count()
}

#[test]
fn nothing_below_the_limit_is_found_out() {
    for items in CATALOGUES {
        for (people, fewest) in [(9, 3), (11, 4)] {
            let shown = |ranks: &Ranks| format!("{:?}", ranks.shown(items, fewest as f64));
            assert_eq!(found(people, fewest, items, shown), 0);
        }
    }
}

/// The same asked of lists that are cut each by itself, and of cells as they are.
#[test]
fn two_lists_that_are_cut_apart_tell_more_than_they_show() {
    let apart = |ranks: &Ranks| {
        let [sampled, full, ..] = ranks.lists.clone();
        format!("{:?}", grouped(&[sampled, full], 3.0, None))
    };
    let as_they_are = |ranks: &Ranks| format!("{:?}", ranks.lists);
    assert!(found(9, 3, CATALOGUES[0], apart) > 0);
    assert!(found(9, 3, CATALOGUES[0], as_they_are) > 0);
}
