//! What clients say of a model by their own ranks, and the cells of a sum of it.

use rand::Rng;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::interval::Sums;
use super::{Case, Interval, gain, rank_full, rank_sampled};
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
pub(super) const NEGATIVES: usize = 99;
/// Deviations of noise that are chance.
const CHANCE: f64 = 6.0;
/// Deviations that a version is compared by.
const COMPARED: f64 = 3.0;

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
    pub(super) lists: [Vec<Group>; 4],
    pub(super) clients: usize,
    /// Deviation of the noise in one cell, in people.
    pub(super) noise: f64,
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

    /// NDCG@10 of the model, sampled and full, from the cells as they are, with intervals of three deviations: what a
    /// coordinator compares versions by. Over all clients, whose number has no noise: one without a rank gains nothing. Nothing
    /// where there are none.
    pub fn gains(&self) -> Option<[Interval; 2]> {
        let [sampled, full, ..] = &self.lists;
        let of = |list: &[Group]| {
            let mut sums = Sums::default();
            for cell in list {
                // A cell lies in the first ten with one rank, or beyond them.
                sums.add(cell.people, 1, gain(cell.from - 1, 10), self.noise);
            }
            let of_clients = Sums {
                people: self.clients as f64,
                people_noise: 0.0,
                common_noise: 0.0,
                ..sums
            };
            of_clients.interval(COMPARED)
        };
        Some([of(sampled)?, of(full)?])
    }
}

/// People in a list, with a rank.
pub(super) fn total(list: &[Group]) -> f64 {
    list.iter().map(|group| group.people).sum()
}
