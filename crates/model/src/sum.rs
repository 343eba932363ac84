use serde::{Deserialize, Serialize};

use crate::algebra::triangle_length;

/// What every client computes in a round. The layouts are dense and row-major.
///
/// `items` and `factors` are the catalogue size m and the width d of the item table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// `[items]`: the 0/1 history over the square root of its length. L2 norm 1 (0 for an empty history).
    Counts,
    /// `[items]` 0/1 history; then the history length k. L2 norm sqrt(k + k^2).
    History,
    /// `[factors (factors + 1) / 2]`: beta times the upper triangle, row by row, of u u' with u the normalised person vector.
    Gram,
    /// `[items, factors]`: the outer product of the `Counts` vector with the whitened u of norm sqrt(1 - beta^2).
    Projection,
    /// `[items, factors]` gradient rows (u.v_i - 1) u of the history, zero elsewhere;
    /// then `[factors (factors + 1) / 2]` upper triangle of u u'; then `[items]` 0/1 history;
    /// then the loss k - u.sum v_i; then the history length k.
    Gradient,
}

/// One named sum of a task: what is added up over clients, and how large one client's part can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// Its name, unique in the task: `counts`, `gram-1`, `projection-1`, `history`, `gradient-7`.
    pub name: String,
    /// What clients compute.
    pub step: Step,
    /// Words in one contribution.
    pub length: usize,
    /// L2 bound of one contribution, in parameter units.
    pub clip: f64,
}

impl Step {
    /// Words in one contribution of this step.
    pub fn length(self, items: usize, factors: usize) -> usize {
        let triangle = triangle_length(factors);
        match self {
            Step::Counts => items,
            Step::History => items + 1,
            Step::Gram => triangle,
            Step::Projection => items * factors,
            Step::Gradient => items * factors + triangle + items + 2,
        }
    }
}
