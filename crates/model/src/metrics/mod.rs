mod estimate;
mod interval;
mod lists;
mod ranks;
mod shown;

pub use estimate::{Estimate, Mean};
pub use interval::Interval;
pub use lists::{Categories, CategoryShare, ListFigures, Lists, World};
pub(crate) use ranks::LENGTH as RANKS_LENGTH;
pub use ranks::{Group, Ranks, rank_newest};
pub use shown::{Measured, Ranking};

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ItemId, TrainingSet};

/// One question put to a ranking: does it find the held-out item of this person?
#[derive(Clone, PartialEq, Eq)]
pub struct Case {
    /// What the person was trained on.
    pub history: TrainingSet,
    /// The held-out item.
    pub positive: ItemId,
    /// Further held-out items, where a split holds out several: only the full figures ask for them.
    pub also: Vec<ItemId>,
    /// The items it is ranked against in the sampled protocol. The positive itself may be among them
    /// (the published ml-1m file lists it in 156 of 6,040 rows); it is then not counted.
    pub negatives: Vec<ItemId>,
}

/// Scores that cannot be measured.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MetricsError {
    /// A NaN or infinite score.
    #[error("a score is not finite")]
    NotFinite,
    /// A case names an item that has no score.
    #[error("a case names item {item}, but there are scores for {scores} items")]
    Catalogue {
        /// The item.
        item: u32,
        /// How many scores there are.
        scores: usize,
    },
}

/// Ranking quality, as means over cases. Ties count against the model in every figure.
///
/// *Sampled*: the held-out item among its listed negatives. *Full*: among all items outside the person's
/// history; this is the figure to trust (Krichene and Rendle, KDD 2020). Rules: recommender.md section 6.
/// Where a case holds out several items, its full figures are means over them, each ranked among all items outside the
/// history, the other held-out ones included: its recall is then that of Wang et al. 2019 (NGCF).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Share of cases with the positive in the first ten, sampled.
    pub hr_at_10: f64,
    /// Mean of 1 / log2(rank + 2) with the rank from 0, where the rank is under ten, sampled.
    pub ndcg_at_10: f64,
    /// Share of cases with the positive in the first ten, full.
    pub full_hr_at_10: f64,
    /// The same discounted gain, full.
    pub full_ndcg_at_10: f64,
    /// Share of the held-out items in the first twenty, full.
    pub full_recall_at_20: f64,
    /// The discounted gain of the held-out items in the first twenty over the largest that it could be, full.
    #[serde(default)]
    pub full_ndcg_at_20: f64,
    /// How many cases the means are over.
    pub cases: usize,
}

impl Quality {
    /// Adds one case.
    ///
    /// # Errors
    /// When a score is not finite, or the case names an item without one. The figures are then unchanged.
    pub fn add(&mut self, scores: &[f32], case: &Case) -> Result<(), MetricsError> {
        let sampled = rank_sampled(scores, case)?;
        let mut all = vec![rank_full(scores, case)?];
        for item in &case.also {
            all.push(rank_among_all(scores, &case.history, *item)?);
        }
        let mean = |figure: fn(usize, usize) -> f64, within| {
            all.iter().map(|rank| figure(*rank, within)).sum::<f64>() / all.len() as f64
        };
        let best: f64 = (0..all.len().min(20)).map(|rank| gain(rank, 20)).sum();
        self.merge(&Quality {
            hr_at_10: hit(sampled, 10),
            ndcg_at_10: gain(sampled, 10),
            full_hr_at_10: mean(hit, 10),
            full_ndcg_at_10: mean(gain, 10),
            full_recall_at_20: mean(hit, 20),
            full_ndcg_at_20: all.iter().map(|rank| gain(*rank, 20)).sum::<f64>() / best,
            cases: 1,
        });
        Ok(())
    }

    /// Joins the figures of other cases: means weighted by the number of cases.
    pub fn merge(&mut self, other: &Quality) {
        let (mine, theirs) = (self.cases as f64, other.cases as f64);
        let all = (mine + theirs).max(1.0);
        let join = |mean: &mut f64, other: f64| *mean = (*mean * mine + other * theirs) / all;
        self.cases += other.cases;
        join(&mut self.hr_at_10, other.hr_at_10);
        join(&mut self.ndcg_at_10, other.ndcg_at_10);
        join(&mut self.full_hr_at_10, other.full_hr_at_10);
        join(&mut self.full_ndcg_at_10, other.full_ndcg_at_10);
        join(&mut self.full_recall_at_20, other.full_recall_at_20);
        join(&mut self.full_ndcg_at_20, other.full_ndcg_at_20);
    }
}

/// The rank, from 0, of the positive among its listed negatives: how many of them score at least as high.
///
/// # Errors
/// When a score is not finite, or the case names an item without one.
pub fn rank_sampled(scores: &[f32], case: &Case) -> Result<usize, MetricsError> {
    let positive = positive_score(scores, case.positive)?;
    let mut rank = 0;
    for negative in &case.negatives {
        if score(scores, *negative)? >= positive && *negative != case.positive {
            rank += 1;
        }
    }
    Ok(rank)
}

/// The rank, from 0, of the positive among all items outside the history.
///
/// # Errors
/// When a score is not finite, or the case names an item without one.
pub fn rank_full(scores: &[f32], case: &Case) -> Result<usize, MetricsError> {
    rank_among_all(scores, &case.history, case.positive)
}

fn rank_among_all(
    scores: &[f32],
    history: &TrainingSet,
    positive: ItemId,
) -> Result<usize, MetricsError> {
    let least = positive_score(scores, positive)?;
    let at_least = |score: &f32| *score >= least;
    let mut rank = scores.iter().filter(|score| at_least(score)).count();
    for seen in history.items() {
        // The positive is taken away once, below.
        if *seen != positive && at_least(&score(scores, *seen)?) {
            rank -= 1;
        }
    }
    Ok(rank - 1)
}

/// The baseline of every table: how many histories hold each item, `[items]`.
pub fn popularity(
    histories: impl IntoIterator<Item: Borrow<TrainingSet>>,
    items: usize,
) -> Vec<f32> {
    let mut counts = vec![0.0; items];
    for history in histories {
        for item in history.borrow().items() {
            if let Some(count) = counts.get_mut(item.0 as usize) {
                *count += 1.0;
            }
        }
    }
    counts
}

fn score(scores: &[f32], item: ItemId) -> Result<f32, MetricsError> {
    let missing = MetricsError::Catalogue {
        item: item.0,
        scores: scores.len(),
    };
    scores.get(item.0 as usize).copied().ok_or(missing)
}

/// The positive's score, once every score is known to be finite.
fn positive_score(scores: &[f32], positive: ItemId) -> Result<f32, MetricsError> {
    if scores.iter().any(|score| !score.is_finite()) {
        return Err(MetricsError::NotFinite);
    }
    score(scores, positive)
}

fn hit(rank: usize, within: usize) -> f64 {
    f64::from(u8::from(rank < within))
}

fn gain(rank: usize, within: usize) -> f64 {
    if rank < within {
        1.0 / (rank as f64 + 2.0).log2()
    } else {
        0.0
    }
}
