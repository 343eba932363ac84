use crate::table::{Table, eigen};
use crate::{ItemFeatures, LearnError};

/// c_i below this share of the mean count is raised to it.
const COUNT_FLOOR: f64 = 0.05;
/// A = this times the mean count: where learned rows are worth half.
const SHRINK: f64 = 5.0;
/// Items by which blocks of columns are brought to one scale: those with the largest counts.
const LARGEST: usize = 200;
/// Feature columns of a table, at most: of more features the leading directions are taken.
const MOST_COLUMNS: usize = 32;
/// Directions of the features and their products that the prior uses.
const PRIOR_COLUMNS: usize = 60;

/// What the released counts say.
pub(super) struct Popularity {
    /// c, `[items]`, above zero.
    pub counts: Vec<f64>,
    /// c / (c + A), `[items]`.
    pub shrink: Vec<f64>,
    /// Whether an item's row may leave its prior, `[items]`.
    pub leaves: Vec<bool>,
    /// L, the typical history length.
    pub length: f64,
}

impl Popularity {
    /// `released`: noisy counts of the population, each person 1/sqrt(k) an item; `noise`: their standard deviation;
    /// `threshold`: k of the row threshold.
    pub fn new(released: &[f32], noise: f64, population: usize, threshold: f64) -> Self {
        let items = released.len().max(1) as f64;
        let total: f64 = released.iter().map(|count| f64::from(*count)).sum();
        let root = (total / population as f64).max(1.0);
        let mean = population as f64 * root / items;
        let least = (2.0 * noise).max(threshold / root);
        let raised = |count: &f32| f64::from(*count).max(COUNT_FLOOR * mean);
        Self {
            leaves: released
                .iter()
                .map(|count| f64::from(*count) >= least)
                .collect(),
            length: root * root,
            ..Self::with(released.iter().map(raised).collect(), mean)
        }
    }

    /// From published counts, which are raised already. No row leaves its prior.
    pub fn from_counts(counts: &[f32]) -> Self {
        let mean =
            counts.iter().map(|count| f64::from(*count)).sum::<f64>() / counts.len().max(1) as f64;
        Self::with(counts.iter().map(|count| f64::from(*count)).collect(), mean)
    }

    fn with(counts: Vec<f64>, mean: f64) -> Self {
        let constant = SHRINK * mean;
        Self {
            shrink: counts
                .iter()
                .map(|count| count / (count + constant))
                .collect(),
            leaves: vec![false; counts.len()],
            length: 1.0,
            counts,
        }
    }

    /// Whether a projection is about an item, `[items]`: the rows that may leave their prior, so that no part of a client's
    /// vector is spent on the others; all where there is none.
    pub fn taught(&self) -> Vec<bool> {
        let none = !self.leaves.contains(&true);
        self.leaves.iter().map(|leaves| *leaves || none).collect()
    }

    /// `size` sqrt(c / max c), `[items, 1]`.
    pub fn column(&self, size: f64) -> Table {
        let largest = self.counts.iter().copied().fold(0.0, f64::max);
        let cells = self
            .counts
            .iter()
            .map(|count| size * (count / largest).sqrt());
        Table::of(self.counts.len(), 1, cells)
    }
}

/// 1 where something holds, else 0.
pub(super) fn ones(holds: &[bool]) -> Vec<f64> {
    holds
        .iter()
        .map(|holds| f64::from(u8::from(*holds)))
        .collect()
}

/// The median row norm over the items with the largest counts, of the rows that say something; 1 where none does.
pub(super) fn median_norm(table: &Table, counts: &[f64]) -> f64 {
    let mut rows: Vec<(f64, f64)> = counts.iter().copied().zip(table.norms()).collect();
    rows.sort_by(|left, right| right.0.total_cmp(&left.0));
    let norms = rows.into_iter().take(LARGEST).map(|(_, norm)| norm);
    let mut norms: Vec<f64> = norms.filter(|norm| *norm > 0.0).collect();
    norms.sort_by(f64::total_cmp);
    let (half, odd) = (norms.len() / 2, norms.len() % 2 == 1);
    let at = |place: usize| norms.get(place).copied().unwrap_or(1.0);
    if odd {
        at(half)
    } else {
        (at(half.saturating_sub(1)) + at(half)) / 2.0
    }
}

/// Public features, prepared with the released counts.
pub(super) struct Content {
    /// F without its mean, `[items, columns]`.
    pub plain: Table,
    /// R without its mean, in its leading directions, `[items, at most 60]`.
    pub rich: Table,
}

impl Content {
    /// Columns of `plain`.
    pub fn columns(features: &ItemFeatures) -> usize {
        features.names().len().min(MOST_COLUMNS)
    }

    /// The table before anything was counted.
    pub fn start(features: &ItemFeatures, items: usize) -> Table {
        features.plain(items).first(Self::columns(features))
    }

    pub fn new(features: &ItemFeatures, popularity: &Popularity) -> Result<Self, LearnError> {
        let items = popularity.counts.len();
        let plain = features.plain(items).centred(&popularity.counts);
        let rich = features.rich(items).centred(&popularity.counts);
        Ok(Self {
            plain: if plain.columns() > MOST_COLUMNS {
                leading(&plain, MOST_COLUMNS, &popularity.counts)?
            } else {
                plain
            },
            rich: leading(&rich, PRIOR_COLUMNS, &popularity.counts)?,
        })
    }
}

/// The table in its leading right singular directions, its rows weighted by the root of `counts`.
fn leading(table: &Table, columns: usize, counts: &[f64]) -> Result<Table, LearnError> {
    let (_, directions) = eigen(table.gram(counts.iter().copied()))?;
    Ok(table.times(&directions.first(columns)))
}
