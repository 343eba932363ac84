//! What the coordinator remembers from sum to sum: counts and moving averages.

use std::ops::Range;

use super::IalsRecipe;
use crate::recipe::{tensor, values_of, values_of_mut};
use crate::table::Table;
use crate::{LearnError, Learning, Parameters, ParametersError};

impl IalsRecipe {
    /// Estimates the item counts of the population from every history heard so far, for the items of `blocks`.
    /// Each block has its own number of clients that were heard about it. `population`: n.
    pub(super) fn count(
        &self,
        learning: &mut Learning,
        blocks: Range<usize>,
        mut histories: &[f64],
        clients: usize,
        population: f64,
    ) -> Result<(), LearnError> {
        let all = [self.items];
        for block in blocks {
            let rows = self.rows(block);
            let (new, rest) = histories.split_at(rows.items.min(histories.len()));
            histories = rest;
            let state = &mut learning.state;
            let heard = values_of_mut(state, "histories_clients", &[self.blocks()])?;
            let Some(heard) = heard.get_mut(block) else {
                continue;
            };
            let total = f64::from(*heard) + clients as f64;
            *heard = total as f32;
            let scale = population / total;
            let heard = values_of_mut(state, "histories", &all)?;
            let counts = values_of_mut(&mut learning.parameters, "counts", &all)?;
            let cells = heard.iter_mut().zip(counts).skip(rows.first).zip(new);
            for ((heard, count), new) in cells {
                let total = f64::from(*heard) + new.max(0.0);
                *heard = total as f32;
                *count = (total * scale) as f32;
            }
        }
        Ok(())
    }

    /// The item table V, `[items, factors]`.
    pub(super) fn table(&self, parameters: &Parameters) -> Result<Table, ParametersError> {
        let shape = [self.items, self.factors];
        let values = values_of(parameters, "items", &shape)?.iter();
        let values = values.copied().map(f64::from);
        Ok(Table::of(self.items, self.factors, values))
    }
}

/// The tensor `name` of `state`, of `shape`, as f64.
pub(super) fn wide(
    state: &Parameters,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f64>, ParametersError> {
    let values = values_of(state, name, shape)?;
    Ok(values.iter().copied().map(f64::from).collect())
}

/// Mixes `newest` into the moving average `name` of `state`, `[length]`, from place `first` on; what was never heard of
/// counts as zero. `weight`: of the newest.
pub(super) fn average(
    state: &mut Parameters,
    name: &str,
    length: usize,
    first: usize,
    newest: impl Iterator<Item = f64>,
    weight: f64,
) -> Result<(), ParametersError> {
    if state.get(name).is_none() {
        state.set(name, tensor(&[length], vec![0.0; length]));
    }
    let cells = values_of_mut(state, name, &[length])?;
    for (cell, newest) in cells.iter_mut().skip(first).zip(newest) {
        *cell = ((1.0 - weight) * f64::from(*cell) + weight * newest) as f32;
    }
    Ok(())
}
