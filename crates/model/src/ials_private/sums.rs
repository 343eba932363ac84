use super::popularity::Content;
use super::{COUNTS_SHARE, FIRST_SWEEP, GRAM_SHARE, IalsPrivateRecipe};
use crate::algebra::triangle_length;
use crate::{Step, Sum};

impl IalsPrivateRecipe {
    pub(crate) fn sums(&self) -> Vec<Sum> {
        let sum = |name: String, step: Step, length: usize, share: f64| Sum {
            name,
            step,
            block: None,
            length,
            clip: 1.0,
            share,
            groups: Vec::new(),
        };
        let counts = self.counts_share.unwrap_or(COUNTS_SHARE);
        let mut sums = vec![sum("counts".to_owned(), Step::Counts, self.items, counts)];
        for sweep in 0..self.sweeps {
            let number = sweep + 1;
            let (gram, share) = (triangle_length(self.width(sweep)), self.sweep_share(sweep));
            let projection = self.items * self.rank(sweep);
            sums.push(sum(
                format!("gram-{number}"),
                Step::Gram,
                gram,
                GRAM_SHARE * share,
            ));
            let share = (1.0 - GRAM_SHARE) * share;
            sums.push(sum(
                format!("projection-{number}"),
                Step::Projection,
                projection,
                share,
            ));
        }
        sums
    }

    /// The share of the budget, of mu^2, that both sums of a sweep have together.
    fn sweep_share(&self, sweep: usize) -> f64 {
        let all = 1.0 - self.counts_share.unwrap_or(COUNTS_SHARE);
        match (self.sweeps, sweep) {
            (..=1, _) => all,
            (_, 0) => FIRST_SWEEP * all,
            (sweeps, _) => (1.0 - FIRST_SWEEP) * all / (sweeps - 1) as f64,
        }
    }

    /// Columns of the item table while a sweep (from 0) is taken; of the table that it leads to, one sweep further.
    pub(super) fn width(&self, sweep: usize) -> usize {
        let features = self.table().map(Content::columns);
        match (sweep.checked_sub(1), features) {
            (None, Some(features)) => features,
            (None, None) => self.factors,
            (Some(before), features) => self.rank(before) + features.unwrap_or(0) + 1,
        }
    }

    /// Directions that a sweep (from 0) learns: at most as many as the table has columns.
    pub(super) fn rank(&self, sweep: usize) -> usize {
        // From the first sweep on, every table is at least as wide as the one before it was ranked.
        let first = self
            .table()
            .map_or(self.factors, Content::columns)
            .min(self.factors);
        let features = self.table().map_or(0, Content::columns);
        (0..sweep).fold(first, |rank, _| (rank + features + 1).min(self.factors))
    }
}
