use serde::{Deserialize, Serialize};

use crate::algebra::triangle_length;
use crate::{Block, ClipGroup};

/// What every client computes in a round. The layouts are dense and row-major.
///
/// `items` and `factors` are the catalogue size m and the width d of the item table; `rows` is the size of the
/// block that the sum names, and m without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// `[items]`: the 0/1 history over the square root of its length. L2 norm 1 (0 for an empty history).
    Counts,
    /// `[items]` 0/1 history; then the history length k. L2 norm sqrt(k + k^2).
    History,
    /// `[factors (factors + 1) / 2]`: the upper triangle, row by row, of z z' with z the normalised person vector, cells off
    /// the diagonal times sqrt 2. L2 norm 1.
    Gram,
    /// `[items, r]`: the outer product of the history without what is known of it, norm 1, with the whitened z, norm 1.
    Projection,
    /// `[rows, factors]` gradient rows (u.v_i - 1) u of the history's items in the block, zero elsewhere;
    /// then `[factors (factors + 1) / 2]` upper triangle of u u'; then `[rows]` 0/1 history;
    /// then the loss k - u.sum v_i; then the history length k. The person vector u, the loss and k are those of the
    /// whole history: only the first and the third part know the block.
    Gradient,
    /// The trained tensors in the order of the plan, local minus published; then three words of a report on the published
    /// model; then, with adaptive clipping, one word a clip group: [`Layout`](crate::Layout).
    Update,
    /// The same without the report.
    NoisedUpdate,
    /// The report alone.
    Check,
}

/// One named sum of a task: what is added up over clients, and how large one client's part can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// Its name, unique in the task: `counts`, `gram-1`, `projection-1`, `history`, `gradient-7`.
    pub name: String,
    /// What clients compute.
    pub step: Step,
    /// The item rows that it trains; left out: the whole catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// Words in one contribution.
    pub length: usize,
    /// L2 bound of one contribution, in parameter units.
    pub clip: f64,
    /// Share of the task's privacy budget, of mu^2, that this sum is charged; the shares of a task with noise add up to 1.
    /// 0 in tasks that have no noise.
    pub share: f64,
    /// The words that are clipped together, each group to its own bound, before the whole is clipped; none: all together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ClipGroup>,
}

impl Step {
    /// Words in one contribution of this step. A block shortens a gradient; [`Step::rows`] says whether it may.
    /// `factors`: of a projection, the directions r that its whitening keeps. 0 for the steps of a trained model, whose plan
    /// says it: [`Layout::length`](crate::Layout::length).
    pub fn length(self, items: usize, factors: usize, block: Option<Block>) -> usize {
        let triangle = triangle_length(factors);
        let rows = block.map_or(items, |block| block.items);
        match self {
            Step::Counts => items,
            Step::History => items + 1,
            Step::Gram => triangle,
            Step::Projection => items * factors,
            Step::Gradient => rows
                .saturating_mul(factors + 1)
                .saturating_add(triangle + 2),
            Step::Update | Step::NoisedUpdate | Step::Check => 0,
        }
    }
}
