//! What clients say of a model by their own ranks: cells, and the figures that come from them.

use rand::Rng;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::estimate::NORMAL_95;
use super::{Case, Estimate, gain, hit, rank_full, rank_sampled};
use crate::{Delta, ItemId, MeanDelta, TrainError, Trainer, TrainingSet};

/// Worst rank, from 1, of each cell but the last, which holds all that are worse: ranks that a figure at ten tells apart have a cell
/// each, and no cell lies across the tenth or the twentieth rank.
const SAMPLED: [usize; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50];
/// The same among all items.
const FULL: [usize; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, 200, 500, 1_000];
/// Words in one contribution: a cell for each rank, sampled and full, by the model and by popularity.
pub(crate) const LENGTH: usize = 2 * (SAMPLED.len() + 1 + FULL.len() + 1);
/// What a client adds to one cell of each of the four lists, so that the L2 norm is 1.
const MARK: f64 = 0.5;
/// Items that the sampled protocol ranks against.
const NEGATIVES: usize = 99;
/// The fewest people that a number is shown of.
const FEWEST: f64 = 50.0;
/// Deviations of noise that are chance.
const CHANCE: f64 = 6.0;

impl Case {
    /// The question that a client asks of a model by itself: does it find `newest`, which the person with this history touched
    /// after it? Against 99 of the other items that the person did not touch, drawn by `rng`; against all of them where they
    /// are fewer. `items`: of the catalogue.
    pub fn draw(history: TrainingSet, newest: ItemId, items: usize, rng: &mut dyn Rng) -> Self {
        let other = |item: &ItemId| *item != newest && !history.contains(*item);
        let others: Vec<ItemId> = (0..items as u32).map(ItemId).filter(other).collect();
        let drawn = sample(rng, others.len(), NEGATIVES.min(others.len()));
        let negatives = drawn.iter().filter_map(|place| others.get(place).copied());
        Self {
            negatives: negatives.collect(),
            positive: newest,
            also: Vec::new(),
            history,
        }
    }
}

/// What a client adds to the sum of [`Step::Ranks`](crate::Step::Ranks): where its newest item lies among items that it did not
/// touch, by the model and by popularity, from the history before it. Zeros for a history too short to leave one out.
///
/// # Errors
/// As [`Trainer::scores`].
///
/// # Privacy
/// Says how well the model knows the person. It must go through clip, noise and mask before it leaves.
pub fn rank_newest(
    trainer: &dyn Trainer,
    history: &TrainingSet,
    rng: &mut dyn Rng,
) -> Result<Delta, TrainError> {
    let mut values = Vec::with_capacity(LENGTH);
    if let (earlier, Some(newest)) = history.newest_apart() {
        let scores = trainer.scores(&earlier)?;
        let case = Case::draw(earlier, newest, scores.len(), rng);
        let nobody = TrainingSet::of([], scores.len());
        for scores in [scores, trainer.scores(&nobody)?] {
            let wrong = |error: super::MetricsError| TrainError::Numeric(error.to_string());
            mark(
                &mut values,
                rank_sampled(&scores, &case).map_err(wrong)?,
                &SAMPLED,
            );
            mark(
                &mut values,
                rank_full(&scores, &case).map_err(wrong)?,
                &FULL,
            );
        }
    }
    values.resize(LENGTH, 0.0);
    Ok(Delta::new(values))
}

/// Appends the cells of one list, with the mark where `rank`, from 0, belongs.
fn mark(values: &mut Vec<f32>, rank: usize, worst: &[usize]) {
    let own = worst.partition_point(|worst| *worst <= rank);
    let cells = (0..=worst.len()).map(|cell| if cell == own { MARK as f32 } else { 0.0 });
    values.extend(cells);
}

/// The cells of a sum of [`Step::Ranks`](crate::Step::Ranks), as the coordinator has them: nothing is withheld.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// By the model sampled and full, by popularity sampled and full.
    lists: [Vec<Group>; 4],
    clients: usize,
    /// Deviation of the noise in one cell, in people.
    noise: f64,
}

/// People whose item has a rank of these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The best rank, from 1.
    pub from: usize,
    /// The worst; nothing for all that are worse.
    pub to: Option<usize>,
    /// How many they are; with noise not a whole number.
    pub people: f64,
    /// Cells of the sum that were joined.
    pub cells: usize,
}

/// What clients' ranks say of a model: every number is one of at least 50 people, or comes from such numbers alone.
///
/// Neighbouring cells are joined until they hold 50, and no figure is computed from the cells as they were, so none can be
/// found by subtraction. Where joining leaves open what a figure is, `within` says how far.
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

/// The figures of one list. Intervals are of 95 %, over people and over the noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// Share of people with their item in the first ten.
    pub hr_at_10: Estimate,
    /// Mean of 1 / log2(rank + 1) where the rank, from 1, is at most ten.
    pub ndcg_at_10: Estimate,
    /// Share of people with their item in the first twenty.
    pub recall_at_20: Estimate,
    /// What was counted.
    pub groups: Vec<Group>,
}

impl Ranks {
    /// Reads a sum. Nothing when no clients that keep to the protocol could have it: a cell under zero or a list of more people
    /// than clients, lists of different numbers of people, by more than the noise.
    pub fn read(delta: &MeanDelta) -> Option<Self> {
        if delta.sum.len() != LENGTH || delta.sum.iter().any(|sum| !sum.is_finite()) {
            return None;
        }
        let (noise, clients) = (delta.noise / MARK, delta.clients);
        let mut cells = delta.sum.iter().map(|sum| sum / MARK);
        let mut list = |worst: &[usize]| -> Vec<Group> {
            let ends = worst.iter().copied().map(Some).chain([None]);
            let starts = [1].into_iter().chain(worst.iter().map(|worst| worst + 1));
            let groups = starts.zip(ends).zip(&mut cells);
            groups
                .map(|((from, to), people)| Group {
                    from,
                    to,
                    people,
                    cells: 1,
                })
                .collect()
        };
        let lists = [list(&SAMPLED), list(&FULL), list(&SAMPLED), list(&FULL)];
        let little = |cells: usize| 1e-6 + CHANCE * noise * (cells as f64).sqrt();
        let mut people = (f64::INFINITY, 0.0_f64);
        for list in &lists {
            let total = total(list);
            people = (people.0.min(total), people.1.max(total));
            if list.iter().any(|cell| cell.people < -little(1)) {
                return None;
            }
        }
        let could_be = people.1 <= clients as f64 + little(FULL.len() + 1)
            && people.1 - people.0 <= little(2 * (FULL.len() + 1));
        could_be.then_some(Self {
            lists,
            clients,
            noise,
        })
    }

    /// NDCG@10 of the model, sampled and full, from the cells as they are: what a coordinator compares versions by.
    pub fn gains(&self) -> [Estimate; 2] {
        let [sampled, full, ..] = &self.lists;
        [sampled, full].map(|list| figure(list, |rank| gain(rank, 10), self.noise, 0.0))
    }

    /// What may be shown of it; nothing under 50 people.
    pub fn measured(&self) -> Option<Measured> {
        let [sampled, full, popular, popular_full] = &self.lists;
        Some(Measured {
            clients: self.clients,
            sampled: self.ranking(sampled)?,
            full: self.ranking(full)?,
            popularity_sampled: self.ranking(popular)?,
            popularity_full: self.ranking(popular_full)?,
        })
    }

    fn ranking(&self, list: &[Group]) -> Option<Ranking> {
        let mut list = list.to_vec();
        let unranked = self.clients as f64 - total(&list);
        // A few without a rank would be what everyone's ranks leave of the clients. They are counted as ranked last, and the
        // figures allow for as many as they may be. Noise hides them by itself.
        let hides = self.noise == 0.0 && unranked > 0.0 && unranked < FEWEST;
        if let Some(last) = list.last_mut().filter(|_| hides) {
            last.people += unranked;
        }
        let groups = joined(&list)?;
        let unsure = if hides { FEWEST - 1.0 } else { 0.0 };
        let of = |gain: fn(usize) -> f64| figure(&groups, gain, self.noise, unsure);
        Some(Ranking {
            hr_at_10: of(|rank| hit(rank, 10)),
            ndcg_at_10: of(|rank| gain(rank, 10)),
            recall_at_20: of(|rank| hit(rank, 20)),
            groups,
        })
    }
}

fn total(list: &[Group]) -> f64 {
    list.iter().map(|group| group.people).sum()
}

/// Joins neighbouring cells until each group holds 50 people, from the best rank on; what is left over goes to the group
/// before it. Ranks up to ten, to twenty and beyond are joined with each other only where one of them has under 50. Nothing
/// under 50 in all.
fn joined(list: &[Group]) -> Option<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: Option<Group> = None;
    // The first group of the ranks up to ten, to twenty, or beyond, whichever are looked at.
    let mut first = 0;
    for cell in list {
        let ends = matches!(cell.to, Some(10 | 20) | None);
        open = match open {
            Some(open) => Some(open.and(cell)),
            None => Some(*cell),
        };
        // With noise a cell can be under zero, and take away from a group what it had.
        if ends && open.is_some_and(|open| open.people < FEWEST) && groups.len() > first {
            open = before(&mut groups, open);
        }
        if open.is_some_and(|open| open.people >= FEWEST) {
            groups.extend(open.take());
        }
        if ends {
            first = groups.len();
        }
    }
    while open.is_some() && !groups.is_empty() {
        open = before(&mut groups, open);
        if open.is_some_and(|open| open.people >= FEWEST) {
            groups.extend(open.take());
        }
    }
    open.is_none().then_some(groups)
}

/// The last group, taken away, and `open` in one.
fn before(groups: &mut Vec<Group>, open: Option<Group>) -> Option<Group> {
    match (groups.pop(), open) {
        (Some(last), Some(open)) => Some(last.and(&open)),
        (last, open) => last.or(open),
    }
}

impl Group {
    /// It and the next one.
    fn and(self, next: &Self) -> Self {
        Self {
            from: self.from,
            to: next.to,
            people: self.people + next.people,
            cells: self.cells + next.cells,
        }
    }
}

/// The mean of `gain`, which falls with the rank (from 0), over the people in `groups`; `unsure` of them at most have no rank.
///
/// A ratio of sums, so its noise is that of the cells weighted by how far their gain is from the mean.
fn figure(groups: &[Group], gain: impl Fn(usize) -> f64, noise: f64, unsure: f64) -> Estimate {
    let people = total(groups);
    if people <= unsure || people <= 0.0 {
        return Estimate::default();
    }
    let best = |group: &Group| gain(group.from - 1);
    let worst = |group: &Group| group.to.map_or(0.0, |to| gain(to - 1));
    let sum = |of: &dyn Fn(&Group) -> f64| groups.iter().map(|g| g.people * of(g)).sum::<f64>();
    let low = sum(&worst) / people;
    let high = (sum(&best) / (people - unsure)).min(1.0).max(low);
    let mean = (low + high) / 2.0;
    let middle = |group: &Group| (best(group) + worst(group)) / 2.0;
    let chance = sum(&|group| (middle(group) - mean).powi(2)).max(0.0) / people;
    let noisy = |group: &Group| group.cells as f64 * (noise * (middle(group) - mean)).powi(2);
    let noise = groups.iter().map(noisy).sum::<f64>() / people;
    Estimate {
        mean,
        within: (high - low) / 2.0 + NORMAL_95 * ((chance + noise) / people).sqrt(),
    }
}
