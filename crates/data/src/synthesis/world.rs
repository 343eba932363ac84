use chorus_model::ItemId;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::Synthesis;
use crate::marks::Marks;

/// Share of a planted user's items that come from their own taste group.
const LOYALTY: f64 = 0.75;
/// Added to ranks, so that the first item does not have everything.
const SHIFT: f64 = 4.0;
/// Draws of an item that the user has already, before the rest is gone through one by one.
const TRIES: usize = 32;
/// 2024-01-01, in milliseconds since 1970: when the time covered begins.
const BEGIN: i64 = 1_704_067_200_000;
/// A year.
const SPAN: i64 = 365 * 86_400_000;
/// A session ends after each event with a chance of one in so many.
const SESSION: f64 = 5.0;
/// Mean time between two events of a session.
const PAUSE: f64 = 180_000.0;

/// Where people are drawn from: what each taste wants, and how long histories are.
pub(super) struct World {
    tastes: Vec<Taste>,
    everything: Taste,
    /// The taste group of each item.
    groups: Vec<usize>,
    /// Share of a user's items that come from their own taste.
    loyalty: f64,
    lengths: Lengths,
}

/// What is wanted at the beginning, and what at the end when everything has drifted.
pub(super) struct Taste {
    early: Weights,
    late: Weights,
}

/// How many items a user has.
pub(super) enum Lengths {
    /// Log-uniform over a factor of three each way around this mean; and one more, to hold out.
    Around(f64),
    /// Like those of others, give or take a tenth.
    Like(Vec<usize>),
}

/// Somebody who never was.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The taste group.
    pub(super) taste: usize,
    /// In the order of their times.
    pub(super) events: Vec<Happening>,
}

/// One event of a person.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Happening {
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) at: i64,
    /// From 0 for each person.
    pub(super) session: u32,
    pub(super) item: ItemId,
}

impl Person {
    pub(super) fn sessions(&self) -> usize {
        self.events
            .last()
            .map_or(0, |last| last.session as usize + 1)
    }
}

impl Taste {
    /// Late, the same items are wanted, each as much as another one was.
    pub(super) fn new(mut items: Vec<(ItemId, f64)>, rng: &mut impl Rng) -> Self {
        let early = Weights::new(&items);
        let mut weights: Vec<f64> = items.iter().map(|(_, weight)| *weight).collect();
        weights.shuffle(rng);
        for ((_, slot), weight) in items.iter_mut().zip(weights) {
            *slot = weight;
        }
        Self {
            early,
            late: Weights::new(&items),
        }
    }
}

/// Items with weights, to draw from.
struct Weights {
    items: Vec<ItemId>,
    /// Sums of the weights up to and with each item.
    sums: Vec<f64>,
}

impl Weights {
    fn new(items: &[(ItemId, f64)]) -> Self {
        let mut sum = 0.0;
        let sums = items.iter().map(|(_, weight)| {
            sum += weight;
            sum
        });
        Self {
            sums: sums.collect(),
            items: items.iter().map(|(item, _)| *item).collect(),
        }
    }

    /// An item that is not marked, by weight; nothing when all of them are.
    fn draw(&self, taken: &Marks, rng: &mut impl Rng) -> Option<ItemId> {
        let all = self.sums.last().copied().filter(|all| *all > 0.0)?;
        for _ in 0..TRIES {
            let place = rng.random_range(0.0..all);
            let place = self.sums.partition_point(|sum| *sum <= place);
            if let Some(item) = self
                .items
                .get(place)
                .filter(|item| !taken.is_marked(**item))
            {
                return Some(*item);
            }
        }
        // Nearly everything is taken: draw among the rest alone.
        let mut last = 0.0;
        let mut rest = Vec::new();
        for (item, sum) in self.items.iter().zip(&self.sums) {
            if !taken.is_marked(*item) && *sum > last {
                rest.push((*item, sum - last));
            }
            last = *sum;
        }
        let rest = Weights::new(&rest);
        let all = rest.sums.last().copied().filter(|all| *all > 0.0)?;
        let place = rng.random_range(0.0..all);
        let place = rest.sums.partition_point(|sum| *sum <= place);
        rest.items.get(place).or(rest.items.last()).copied()
    }
}

impl World {
    /// The world of a [`Synthesis`] that is within range.
    pub(super) fn planted(synthesis: &Synthesis, rng: &mut impl Rng) -> Self {
        let mut popularity: Vec<f64> = (0..synthesis.items)
            .map(|rank| (rank as f64 + SHIFT).powf(-synthesis.skew))
            .collect();
        popularity.shuffle(rng);
        let (tastes, groups) = dealt(&popularity, synthesis.tastes);
        let all = (0u32..).map(ItemId).zip(popularity).collect();
        Self {
            tastes: tastes
                .into_iter()
                .map(|items| Taste::new(items, rng))
                .collect(),
            everything: Taste::new(all, rng),
            groups,
            loyalty: LOYALTY,
            lengths: Lengths::Around(synthesis.mean_history as f64),
        }
    }

    /// A world with tastes of its own; all weights are by item.
    pub(super) fn of(
        tastes: Vec<Vec<f64>>,
        everything: Vec<f64>,
        loyalty: f64,
        lengths: Vec<usize>,
        rng: &mut impl Rng,
    ) -> Self {
        let mut group = vec![(0, 0.0); everything.len()];
        for (taste, weights) in tastes.iter().enumerate() {
            for (best, weight) in group.iter_mut().zip(weights) {
                if *weight > best.1 {
                    *best = (taste, *weight);
                }
            }
        }
        let mut taste =
            |weights: Vec<f64>| Taste::new((0u32..).map(ItemId).zip(weights).collect(), rng);
        Self {
            tastes: tastes.into_iter().map(&mut taste).collect(),
            everything: taste(everything),
            groups: group.into_iter().map(|(taste, _)| taste).collect(),
            loyalty,
            lengths: Lengths::Like(lengths),
        }
    }

    /// The taste group of each item.
    pub(super) fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// Draws somebody with this taste; `taken` is room for as many items as there are. `drift` is the share of late wishes at the end of the time covered.
    pub(super) fn person(
        &self,
        taste: usize,
        drift: f64,
        taken: &mut Marks,
        rng: &mut impl Rng,
    ) -> Person {
        let items = self.groups.len();
        let mut slots = times(self.length(items, rng), rng);
        taken.clear();
        // Items come in no order, or the popular ones would come first and the held-out item be a rare one.
        slots.shuffle(rng);
        let mut events = Vec::with_capacity(slots.len());
        for (at, session) in slots {
            let passed = (at - BEGIN) as f64 / SPAN as f64;
            let is_late = rng.random_bool((drift * passed).clamp(0.0, 1.0));
            let pick = |taste: &Taste, rng: &mut _| match is_late {
                true => taste.late.draw(taken, rng),
                false => taste.early.draw(taken, rng),
            };
            let own = match rng.random_bool(self.loyalty) {
                true => self.tastes.get(taste).and_then(|own| pick(own, rng)),
                false => None,
            };
            if let Some(item) = own.or_else(|| pick(&self.everything, rng)) {
                taken.mark(item);
                events.push(Happening { at, session, item });
            }
        }
        events.sort_by_key(|event| event.at);
        Person { taste, events }
    }

    fn length(&self, items: usize, rng: &mut impl Rng) -> usize {
        match &self.lengths {
            Lengths::Around(mean) => {
                // Log-uniform over a factor of three each way, divided by its own mean.
                let spread = 3f64.powf(rng.random_range(-1.0..1.0)) / (8.0 / 3.0 / 9f64.ln());
                ((mean * spread).round() as usize).clamp(3, items / 2) + 1
            }
            Lengths::Like(lengths) => {
                let place = rng.random_range(0..lengths.len().max(1));
                let length = lengths.get(place).copied().unwrap_or(1) as f64;
                ((length * rng.random_range(0.9..1.1)).round() as usize).clamp(1, items)
            }
        }
    }
}

/// Times of so many events and the sessions they are in, in order. Sessions begin anywhere in the time covered; a session
/// of five events is typical, with minutes between them.
fn times(events: usize, rng: &mut impl Rng) -> Vec<(i64, u32)> {
    let mut left = events;
    let mut sessions = Vec::new();
    while left > 0 {
        let mut length = 1;
        while length < left && !rng.random_bool(1.0 / SESSION) {
            length += 1;
        }
        left -= length;
        sessions.push((BEGIN + rng.random_range(0..SPAN / 1_000) * 1_000, length));
    }
    sessions.sort_unstable();
    let mut slots = Vec::with_capacity(events);
    let mut now = BEGIN;
    for (session, (begin, length)) in (0u32..).zip(sessions) {
        // One session ends before the next begins.
        now = now.max(begin);
        for _ in 0..length {
            slots.push((now, session));
            let pause = -(1.0 - rng.random::<f64>()).ln() * PAUSE;
            now += 1_000 + (pause as i64) / 1_000 * 1_000;
        }
    }
    slots
}

/// The items of each group with their weights, and the group of each item: dealt in the order of their popularity, so that
/// no group is the popular one.
type Dealt = (Vec<Vec<(ItemId, f64)>>, Vec<usize>);

fn dealt(popularity: &[f64], tastes: usize) -> Dealt {
    let mut ranked: Vec<(ItemId, f64)> = (0u32..)
        .map(ItemId)
        .zip(popularity.iter().copied())
        .collect();
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
    let mut groups = vec![Vec::new(); tastes];
    let mut group_of = vec![0; popularity.len()];
    for (place, (item, weight)) in ranked.into_iter().enumerate() {
        // There and back, so that the first group does not get the best of every hand.
        let turn = place % (2 * tastes);
        let group = if turn < tastes {
            turn
        } else {
            2 * tastes - 1 - turn
        };
        if let Some(items) = groups.get_mut(group) {
            items.push((item, weight));
        }
        if let Some(slot) = group_of.get_mut(item.0 as usize) {
            *slot = group;
        }
    }
    (groups, group_of)
}
