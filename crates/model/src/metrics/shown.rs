//! What may be shown of a sum of ranks, so that nobody who reads it finds out what a few people's ranks are.

use serde::{Deserialize, Serialize};

use super::estimate::NORMAL_95;
use super::interval::Sums;
use super::ranks::{NEGATIVES, total};
use super::{Group, Interval, Ranks, gain, hit};

/// The fewest people that a number is shown of.
const FEWEST: f64 = 50.0;
/// The ranks that a list may be cut after, those first that most depends on.
const CUTS: [usize; 16] = [10, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 50, 100, 200, 500, 1_000];

/// What clients' ranks say of a model: groups of neighbouring cells, and figures that come from nothing but the groups.
///
/// *What can be found out of one sum without noise.* What is shown are numbers of people with a rank up to some cut. Within a list
/// they are at least 50 apart, from nobody to everybody. Nobody's sampled rank is worse than the full one, so that the people up to a
/// cut of the sampled list and beyond an equal or earlier cut of the full one are a difference too: 0, or at least 50. (In a
/// catalogue of few items full ranks are bounded by sampled ones, and so are those the other way round.) A number that is not shown
/// lies between two that are, of its own list or of the other, and may be up to 49 from either. Up to 49 clients without a rank
/// cannot be told from none: they are in the last group. The tests of this file say so by brute force: each cell, and each
/// count of a sampled beside a full cell, between 1 and the limit has another value in another population of which the same
/// is shown.
///
/// *What this does not promise.* That two sums over nearly the same people show nothing of those who came or went between them;
/// that a reader who already knows others in the sum learns nothing of the rest. That takes noise, and then groups of under
/// 50 are left out only because they say nothing. Whoever runs the coordinator has the cells themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Clients in the sum.
    pub clients: usize,
    /// The model among 99 items that the person did not touch.
    pub sampled: Ranking,
    /// The model among all items that the person did not touch.
    pub full: Ranking,
    /// The published counts, sampled.
    pub popularity_sampled: Ranking,
    /// The published counts among all.
    pub popularity_full: Ranking,
}

/// The figures of one list. Intervals are of 95 %, over people and over the noise, and from the best to the worst rank that
/// the people of a group may have. Clients without a rank count as ranked last in the figure where they are under 50, and
/// the interval allows for 49 of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// Share of people with their item in the first ten.
    pub hr_at_10: Interval,
    /// Mean of 1 / log2(rank + 1) where the rank, from 1, is at most ten.
    pub ndcg_at_10: Interval,
    /// Share of people with their item in the first twenty.
    pub recall_at_20: Interval,
    /// What was counted.
    pub groups: Vec<Group>,
}

impl Ranks {
    /// What may be shown of it; nothing of under 50 people. `items`: of the catalogue.
    pub fn measured(&self, items: usize) -> Option<Measured> {
        self.shown(items, FEWEST)
    }

    fn shown(&self, items: usize, fewest: f64) -> Option<Measured> {
        let [sampled, full, popular, popular_full] = &self.lists;
        let unsampled = items.saturating_sub(2 + NEGATIVES);
        let rankings = |lists| self.rankings(lists, unsampled, fewest);
        let [sampled, full] = rankings([sampled, full])?;
        let [popularity_sampled, popularity_full] = rankings([popular, popular_full])?;
        Some(Measured {
            clients: self.clients,
            sampled,
            full,
            popularity_sampled,
            popularity_full,
        })
    }

    fn rankings(
        &self,
        lists: [&Vec<Group>; 2],
        unsampled: usize,
        fewest: f64,
    ) -> Option<[Ranking; 2]> {
        let mut lists = lists.map(Clone::clone);
        let mut unsure = 0.0;
        for list in &mut lists {
            let unranked = self.clients as f64 - total(list);
            if let Some(last) = list.last_mut()
                && self.noise == 0.0
                && unranked < fewest
            {
                last.people += unranked;
                unsure = fewest - 1.0;
            }
        }
        let unsampled = (self.noise == 0.0).then_some(unsampled);
        let groups = grouped(&lists, fewest, unsampled)?;
        let ranking = |groups: Vec<Group>| {
            let of = |gain: fn(usize) -> f64| figure(&groups, gain, self.noise, unsure);
            Some(Ranking {
                hr_at_10: of(|rank| hit(rank, 10))?,
                ndcg_at_10: of(|rank| gain(rank, 10))?,
                recall_at_20: of(|rank| hit(rank, 20))?,
                groups,
            })
        };
        let [sampled, full] = groups.map(ranking);
        Some([sampled?, full?])
    }
}

/// A place in a list where it is cut.
#[derive(Clone, Copy)]
struct Cut {
    cells: usize,
    /// The worst rank before it.
    rank: usize,
    /// How many people are before it.
    people: f64,
}

/// Cuts both lists of the same people, sampled and full, after as many of [`CUTS`] as can be shown. Within a list they are `fewest`
/// people apart; between lists as many or none, where everyone up to the one is up to the other. `unsampled`: items by which
/// a full rank can be worse than the sampled one; nothing where noise hides who is between two lists. Nothing where a list
/// has fewer.
fn grouped(
    lists: &[Vec<Group>; 2],
    fewest: f64,
    unsampled: Option<usize>,
) -> Option<[Vec<Group>; 2]> {
    if lists.iter().any(|list| total(list) < fewest) {
        return None;
    }
    let mut cuts = lists.each_ref().map(|list| {
        let ends = [(0, 0, 0.0), (list.len(), usize::MAX, total(list))];
        let cut = |(cells, rank, people)| Cut {
            cells,
            rank,
            people,
        };
        ends.map(cut).to_vec()
    });
    for rank in CUTS {
        for (own, list) in lists.iter().enumerate() {
            let Some(cells) = list.iter().position(|cell| cell.to == Some(rank)) else {
                continue;
            };
            let cells = cells + 1;
            let people = total(list.get(..cells)?);
            let within = |other: &Cut| match other.cells < cells {
                true => people - other.people >= fewest,
                false => other.people - people >= fewest,
            };
            let across = |other: &Cut| {
                let (sampled, full) = match own {
                    0 => (rank, other.rank),
                    _ => (other.rank, rank),
                };
                let of_both = |more| full <= sampled || full >= sampled.saturating_add(more);
                let apart = (people - other.people).abs();
                // Whole numbers, but for their last bits.
                !unsampled.is_some_and(of_both) || apart < 0.5 || apart >= fewest
            };
            let mut others = cuts.iter().enumerate();
            if others.all(|(other, cuts)| match other == own {
                true => cuts.iter().all(within),
                false => cuts.iter().all(across),
            }) {
                cuts.get_mut(own)?.push(Cut {
                    cells,
                    rank,
                    people,
                });
            }
        }
    }
    let [sampled, full] = lists;
    let [sampled_cuts, full_cuts] = cuts;
    Some([joined(sampled, sampled_cuts)?, joined(full, full_cuts)?])
}

/// The cells between the cuts in one.
fn joined(list: &[Group], mut cuts: Vec<Cut>) -> Option<Vec<Group>> {
    cuts.sort_by_key(|cut| cut.cells);
    let groups = cuts.array_windows().map(|[from, to]| {
        let cells = list.get(from.cells..to.cells)?;
        Some(Group {
            from: cells.first()?.from,
            to: cells.last()?.to,
            people: total(cells),
            cells: cells.len(),
        })
    });
    groups.collect()
}

/// The mean of `gain`, which falls with the rank (from 0), over the people in `groups`; `unsure` in the last of them at most
/// have no rank.
fn figure(
    groups: &[Group],
    gain: impl Fn(usize) -> f64,
    noise: f64,
    unsure: f64,
) -> Option<Interval> {
    let sums = |of: &dyn Fn(&Group) -> f64| {
        let mut sums = Sums::default();
        for group in groups {
            sums.add(group.people, group.cells, of(group), noise);
        }
        sums
    };
    let best = |group: &Group| gain(group.from - 1);
    let worst = |group: &Group| group.to.map_or(0.0, |to| gain(to - 1));
    let (low, high) = (sums(&worst), sums(&best));
    let mut fewer = high;
    fewer.add(-unsure, 0, groups.last().map_or(0.0, best), 0.0);
    let mean = (low.interval(NORMAL_95)?.mean + high.interval(NORMAL_95)?.mean) / 2.0;
    Some(Interval {
        mean,
        low: low.interval(NORMAL_95)?.low,
        high: fewer.interval(NORMAL_95)?.high,
    })
}

#[cfg(test)]
mod tests;
