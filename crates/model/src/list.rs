use rand::{Rng, RngExt};
use serde::Serialize;

use crate::{ItemId, TrainingSet};

/// Candidates that a diverse list is chosen from, for each place on it: the best by score.
const POOL: usize = 10;

/// How a list is put together from scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// Items on the list, at most.
    pub length: usize,
    /// Weight of being unlike what is already on the list: 0 by score alone, 1 by unlikeness alone (maximal marginal
    /// relevance, Carbonell and Goldstein 1998).
    pub diversity: f64,
    /// Share of the places that are given to items drawn by chance, so that tastes that nothing points to yet can be found.
    pub exploration: f64,
}

impl Wish {
    /// The best by score and nothing else.
    pub fn best(length: usize) -> Self {
        Self {
            length,
            diversity: 0.0,
            exploration: 0.0,
        }
    }
}

/// What a host knows about its items at this moment, and the model does not.
pub trait Shelf {
    /// Whether the item may be shown now: in stock, allowed here, fit for the screen.
    fn may_show(&self, item: ItemId) -> bool;

    /// How alike two items are: 1 the same, 0 nothing in common.
    fn likeness(&self, one: ItemId, other: ItemId) -> f64;
}

/// A shelf that holds the whole catalogue and knows of no likeness.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Shelf for Everything {
    fn may_show(&self, _: ItemId) -> bool {
        true
    }

    fn likeness(&self, _: ItemId, _: ItemId) -> f64 {
        0.0
    }
}

/// An item on a person's list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// The item.
    pub item: ItemId,
    /// What it was ranked by; comparable within one list only.
    pub score: f32,
    /// True when it was drawn by chance.
    pub explored: bool,
}

/// A list for a person: unseen items that may be shown, by score, likeness and chance. Shorter where there are too few.
///
/// Equal scores stand in the order of the item numbers. Values of the wish outside of 0 to 1 count as the nearest of the two.
pub fn list(
    scores: &[f32],
    seen: &TrainingSet,
    wish: Wish,
    shelf: &dyn Shelf,
    rng: &mut dyn Rng,
) -> Vec<Recommendation> {
    let mut candidates: Vec<Recommendation> = (0u32..)
        .zip(scores)
        .map(|(item, score)| Recommendation {
            item: ItemId(item),
            score: *score,
            explored: false,
        })
        .filter(|place| !seen.contains(place.item) && shelf.may_show(place.item))
        .collect();
    let length = wish.length.min(candidates.len());
    let explored = (share(wish.exploration) * length as f64).round() as usize;
    let chosen = length - explored;
    let pool = match share(wish.diversity) > 0.0 {
        true => (chosen * POOL).min(candidates.len()),
        false => chosen,
    };
    let order = |left: &Recommendation, right: &Recommendation| {
        right
            .score
            .total_cmp(&left.score)
            .then(left.item.cmp(&right.item))
    };
    // Of a large catalogue only the best are put in order.
    if pool < candidates.len() {
        candidates.select_nth_unstable_by(pool, order);
    }
    let mut others = candidates.split_off(pool);
    candidates.sort_unstable_by(order);
    let mut places = if share(wish.diversity) > 0.0 {
        let (places, left) = diverse(candidates, chosen, share(wish.diversity), shelf);
        others.extend(left);
        places
    } else {
        candidates
    };
    if explored > 0 {
        // One order whatever the selection left behind, so that a seed gives one list.
        others.sort_unstable_by_key(|place| place.item);
    }
    for _ in 0..explored.min(others.len()) {
        let drawn = others.swap_remove(rng.random_range(0..others.len()));
        let at = rng.random_range(0..=places.len());
        places.insert(
            at,
            Recommendation {
                explored: true,
                ..drawn
            },
        );
    }
    places
}

/// A share between 0 and 1; 0 for what is no number.
fn share(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    }
}

/// `length` of the candidates, which are in the order of their scores, each the best by (1 - l) score - l (largest likeness to
/// those before), with the scores of the candidates brought to 0 .. 1; and the rest.
fn diverse(
    mut candidates: Vec<Recommendation>,
    length: usize,
    weight: f64,
    shelf: &dyn Shelf,
) -> (Vec<Recommendation>, Vec<Recommendation>) {
    let most = candidates
        .first()
        .map_or(0.0, |place| f64::from(place.score));
    let least = candidates
        .last()
        .map_or(0.0, |place| f64::from(place.score));
    let range = (most - least).max(f64::MIN_POSITIVE);
    let mut likeness = vec![0.0f64; candidates.len()];
    let mut places: Vec<Recommendation> = Vec::with_capacity(length);
    while places.len() < length {
        let worth = candidates.iter().zip(&likeness).map(|(place, likeness)| {
            (1.0 - weight) * (f64::from(place.score) - least) / range - weight * likeness
        });
        // The first of the best: max_by would give the last.
        let best = worth
            .enumerate()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((at, _)) = best else { break };
        let place = candidates.remove(at);
        likeness.remove(at);
        for (likeness, other) in likeness.iter_mut().zip(&candidates) {
            *likeness = likeness.max(shelf.likeness(place.item, other.item));
        }
        places.push(place);
    }
    (places, candidates)
}
