use serde::{Deserialize, Serialize};

use super::Mean;
use crate::{ItemId, TrainingSet};

/// Share of the most popular items that are not the tail.
const HEAD: usize = 5;
/// What the list's own distribution over categories keeps of the history's, so that a logarithm exists (Steck 2018).
const SMOOTHING: f64 = 0.01;

/// Which categories each item is in: genres, departments, topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categories {
    /// What they are called.
    pub names: Vec<String>,
    /// For each item the numbers of its categories, distinct.
    pub of: Vec<Vec<u16>>,
}

/// What lists of recommendations are like besides being right: recommender.md section 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListFigures {
    /// Mean distance, 1 - cosine of their categories, of two items of one list; nothing without categories.
    pub diversity: Option<f64>,
    /// How far the categories of a list are from those of the person's history: Kullback-Leibler divergence in nats, mean over
    /// people (Steck 2018). Smaller is closer. Nothing without categories.
    pub calibration: Option<f64>,
    /// Share of the catalogue that stands on any list.
    pub coverage: f64,
    /// Mean surprise of a shown item, -log2 of the share of people who had it, in bits.
    pub novelty: f64,
    /// Mean popularity of shown items over that of the histories, less 1; mean over people.
    pub popularity_lift: f64,
    /// Mean popularity of a shown item as the share of the catalogue that is less popular.
    pub popularity_percentile: f64,
    /// How unequally items are shown: 0 all alike, 1 one item alone.
    pub gini: f64,
    /// Share of shown items outside the most popular fifth.
    pub tail_share: f64,
}

/// Lists of many people, measured as they come.
#[derive(Clone)]
pub struct Lists<'a> {
    world: &'a World,
    shown: Vec<u64>,
    diversity: Mean,
    calibration: Mean,
    novelty: Mean,
    lift: Mean,
    percentile: Mean,
    tail: Mean,
}

/// What is known about the catalogue, prepared once.
pub struct World {
    counts: Vec<f64>,
    people: usize,
    percentile: Vec<f64>,
    is_head: Vec<bool>,
    categories: Option<Categories>,
}

impl World {
    /// `counts`: how many of `people` histories hold each item.
    pub fn new(counts: &[f32], people: usize, categories: Option<Categories>) -> Self {
        let items = counts.len();
        let mut order: Vec<usize> = (0..items).collect();
        let count = |item: &usize| counts.get(*item).copied().unwrap_or_default();
        order.sort_by(|left, right| count(left).total_cmp(&count(right)).then(left.cmp(right)));
        let mut percentile = vec![0.0; items];
        let mut is_head = vec![false; items];
        let least_of_head = items - (items / HEAD).max(1).min(items);
        for (place, item) in order.into_iter().enumerate() {
            if let (Some(percentile), Some(head)) =
                (percentile.get_mut(item), is_head.get_mut(item))
            {
                *percentile = place as f64 / items.saturating_sub(1).max(1) as f64;
                *head = place >= least_of_head;
            }
        }
        Self {
            counts: counts.iter().map(|count| f64::from(*count)).collect(),
            people,
            percentile,
            is_head,
            categories,
        }
    }

    /// Over all `items`: the mean of `value`.
    fn mean(&self, items: &[ItemId], value: impl Fn(usize) -> f64) -> f64 {
        let sum: f64 = items.iter().map(|item| value(item.0 as usize)).sum();
        sum / items.len().max(1) as f64
    }

    fn count(&self, item: usize) -> f64 {
        self.counts.get(item).copied().unwrap_or_default()
    }
}

impl Categories {
    /// Which share of the weight of the items each category has; an item divides its weight among its categories.
    fn shares(&self, items: impl Iterator<Item = (ItemId, f64)>) -> Vec<f64> {
        let mut shares = vec![0.0; self.names.len()];
        let mut all = 0.0;
        for (item, weight) in items {
            let of = self
                .of
                .get(item.0 as usize)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for category in of {
                if let Some(share) = shares.get_mut(usize::from(*category)) {
                    *share += weight / of.len() as f64;
                    all += weight / of.len() as f64;
                }
            }
        }
        shares
            .iter_mut()
            .for_each(|share| *share /= f64::max(all, f64::MIN_POSITIVE));
        shares
    }

    /// The cosine of two items' 0/1 categories; 0 where one has none.
    fn cosine(&self, one: ItemId, other: ItemId) -> f64 {
        let of = |item: ItemId| {
            self.of
                .get(item.0 as usize)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let (one, other) = (of(one), of(other));
        let common = one
            .iter()
            .filter(|category| other.contains(category))
            .count() as f64;
        let lengths = (one.len() * other.len()) as f64;
        if lengths == 0.0 {
            0.0
        } else {
            common / lengths.sqrt()
        }
    }

    /// The mean of 1 - cosine over all pairs of a list.
    fn diversity(&self, list: &[ItemId]) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (place, one) in list.iter().enumerate() {
            for other in list.iter().skip(place + 1) {
                sum += 1.0 - self.cosine(*one, *other);
                pairs += 1.0;
            }
        }
        sum / f64::max(pairs, 1.0)
    }
}

/// sum p ln(p / q) with q mixed with a little of p.
fn divergence(history: &[f64], list: &[f64]) -> f64 {
    let terms = history.iter().zip(list).filter(|(p, _)| **p > 0.0);
    terms
        .map(|(p, q)| p * (p / ((1.0 - SMOOTHING) * q + SMOOTHING * p)).ln())
        .sum()
}

impl<'a> Lists<'a> {
    /// No list yet.
    pub fn new(world: &'a World) -> Self {
        Self {
            shown: vec![0; world.counts.len()],
            world,
            diversity: Mean::default(),
            calibration: Mean::default(),
            novelty: Mean::default(),
            lift: Mean::default(),
            percentile: Mean::default(),
            tail: Mean::default(),
        }
    }

    /// Adds what one person with this history is shown. An empty list says nothing.
    pub fn add(&mut self, history: &TrainingSet, list: &[ItemId]) {
        let world = self.world;
        if list.is_empty() {
            return;
        }
        for item in list {
            if let Some(shown) = self.shown.get_mut(item.0 as usize) {
                *shown += 1;
            }
        }
        let people = world.people.max(1) as f64;
        self.novelty
            .add(world.mean(list, |item| -(world.count(item).max(1.0) / people).log2()));
        let flag = |flag: bool| f64::from(u8::from(flag));
        self.tail.add(world.mean(list, |item| {
            flag(!world.is_head.get(item).is_some_and(|head| *head))
        }));
        self.percentile.add(world.mean(list, |item| {
            world.percentile.get(item).copied().unwrap_or_default()
        }));
        let own = world.mean(history.items(), |item| world.count(item));
        if own > 0.0 {
            self.lift
                .add(world.mean(list, |item| world.count(item)) / own - 1.0);
        }
        if let Some(categories) = &world.categories {
            self.diversity.add(categories.diversity(list));
            let history = categories.shares(history.items().iter().map(|item| (*item, 1.0)));
            if history.iter().any(|share| *share > 0.0) {
                self.calibration.add(divergence(
                    &history,
                    &categories.shares(list.iter().map(|item| (*item, 1.0))),
                ));
            }
        }
    }

    /// Joins the lists of other people.
    pub fn merge(&mut self, other: &Self) {
        self.shown
            .iter_mut()
            .zip(&other.shown)
            .for_each(|(mine, theirs)| *mine += theirs);
        let pairs = [
            (&mut self.diversity, &other.diversity),
            (&mut self.calibration, &other.calibration),
            (&mut self.novelty, &other.novelty),
            (&mut self.lift, &other.lift),
            (&mut self.percentile, &other.percentile),
            (&mut self.tail, &other.tail),
        ];
        for (mine, theirs) in pairs {
            mine.merge(theirs);
        }
    }

    /// What each category has of what is shown; nothing without categories.
    pub fn exposure(&self) -> Vec<CategoryShare> {
        let Some(categories) = &self.world.categories else {
            return Vec::new();
        };
        let shown = categories.shares(
            (0u32..)
                .zip(&self.shown)
                .map(|(item, shown)| (ItemId(item), *shown as f64)),
        );
        let all = categories.shares(
            (0u32..)
                .zip(&self.shown)
                .map(|(item, _)| (ItemId(item), 1.0)),
        );
        let names = categories.names.iter().zip(shown).zip(all);
        names
            .map(|((name, shown), catalogue)| CategoryShare {
                name: name.clone(),
                shown,
                catalogue,
            })
            .collect()
    }

    /// What the lists are like.
    pub fn figures(&self) -> ListFigures {
        let of = |mean: &Mean| (mean.count() > 0).then(|| mean.value());
        let on_any = self.shown.iter().filter(|shown| **shown > 0).count();
        ListFigures {
            diversity: of(&self.diversity),
            calibration: of(&self.calibration),
            coverage: on_any as f64 / self.shown.len().max(1) as f64,
            novelty: self.novelty.value(),
            popularity_lift: self.lift.value(),
            popularity_percentile: self.percentile.value(),
            gini: gini(&self.shown),
            tail_share: self.tail.value(),
        }
    }
}

/// How much of what is shown one category has, beside how much of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryShare {
    /// The category.
    pub name: String,
    /// Its share of everything shown; an item divides its weight among its categories.
    pub shown: f64,
    /// Its share of the catalogue.
    pub catalogue: f64,
}

/// sum (2 r - m - 1) e_(r) / (m sum e) over the m exposures in ascending order, r from 1.
fn gini(shown: &[u64]) -> f64 {
    let mut shown: Vec<u64> = shown.to_vec();
    shown.sort_unstable();
    let (items, all) = (shown.len() as f64, shown.iter().sum::<u64>() as f64);
    let weighted: f64 = (1u32..)
        .zip(&shown)
        .map(|(place, shown)| (2.0 * f64::from(place) - items - 1.0) * *shown as f64)
        .sum();
    if all > 0.0 {
        weighted / (items * all)
    } else {
        0.0
    }
}
