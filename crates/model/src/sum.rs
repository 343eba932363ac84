use serde::{Deserialize, Serialize};

use crate::algebra::triangle_length;
use crate::metrics::RANKS_LENGTH;
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
    /// `[items]`: the 0/1 history. L2 norm sqrt(k), k being its length.
    History,
    /// `[factors (factors + 1) / 2]`: the upper triangle, row by row, of z z' with z the normalised person vector, cells off
    /// the diagonal times sqrt 2. L2 norm 1.
    Gram,
    /// `[items, r]`: the outer product of the history without what is known of it, norm 1, with the whitened z, norm 1.
    Projection,
    /// Stage A of ials.md. `[rows, factors]` gradient rows R_i = (u.v_i - 1) u of the history's items in the block, zero
    /// elsewhere; then `[factors (factors + 1) / 2]` S, the upper triangle, row by row, of u u'; then M, S times the
    /// history length k; then `[rows]` scores u.v_i of the history's items in the block, zero elsewhere; then `[rows]` 0/1
    /// history; then the loss k - u.sum v_i; then k. The person vector u, S, M, the loss and k are those of the whole
    /// history: only the parts with `rows` know the block. M, the loss and k are over [`LENGTH_UNIT`].
    Gradient,
    /// The trained tensors in the order of the plan, local minus published; then three words of a report on the published
    /// model; then, with adaptive clipping, one word a clip group: [`Layout`](crate::Layout).
    Update,
    /// The same without the report.
    NoisedUpdate,
    /// The report alone.
    Check,
    /// Stage B of ials.md. `[rows, factors]` Q'x / sqrt(k) in the rows of the history's items in the block, zero elsewhere;
    /// then `[rows]` the 0/1 history over sqrt(k). Q, `[items, factors]`, has orthonormal columns: row i is
    /// v_i / sqrt(c_i + 10) times the tensor `mixing`; Q'x is its sum over the whole history. L2 norm at most sqrt(k + 1).
    Head,
    /// Where the client's newest item, which is in nothing else that it adds to the task, lies among items that the person did
    /// not touch: four lists of cells, 1/2 in one cell of each, L2 norm 1 (0 for a history of under two items). By the model
    /// among 99 drawn items: ranks 1 to 10, to 20, to 50, worse; by the model among all: ranks 1 to 10, to 20, 50, 100, 200,
    /// 500, 1000, worse; then the same two by the published counts. What clients do: [`rank_newest`](crate::rank_newest).
    Ranks,
}

/// What the parts of a contribution are divided by that grow with the length of the history, so that a long one does not
/// need a clip at which the grid is too coarse for the rest: a power of two, so nothing is rounded.
pub const LENGTH_UNIT: f64 = 64.0;

/// One named sum of a task: what is added up over clients, and how large one client's part can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// Its name, unique in the task: `counts`, `gram-1`, `projection-1`, `history`, `gradient-7`, `head-1`.
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

impl Sum {
    /// Names the sums of a task that take turns together: a client that is in one of them waits until every other one
    /// is. Of a block, those over the same block; so each block hears everyone before it hears anyone twice.
    pub fn turn(&self) -> String {
        let step = format!("{:?}", self.step).to_lowercase();
        match self.block {
            None => step,
            Some(block) => format!("{step} from item {}", block.first),
        }
    }
}

impl Step {
    /// Words in one contribution of this step. A block shortens a gradient and a head; [`Step::rows`] says whether it may.
    /// `factors`: of a projection, the directions r that its whitening keeps. 0 for the steps of a trained model, whose plan
    /// says it: [`Layout::length`](crate::Layout::length).
    pub fn length(self, items: usize, factors: usize, block: Option<Block>) -> usize {
        let triangle = triangle_length(factors);
        let rows = block.map_or(items, |block| block.items);
        match self {
            Step::Counts | Step::History => items,
            Step::Gram => triangle,
            Step::Projection => items * factors,
            Step::Gradient => rows
                .saturating_mul(factors + 2)
                .saturating_add(2 * triangle + 2),
            Step::Head => rows.saturating_mul(factors + 1),
            Step::Ranks => RANKS_LENGTH,
            Step::Update | Step::NoisedUpdate | Step::Check => 0,
        }
    }
}
