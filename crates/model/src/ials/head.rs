//! The server's side of stage B, the low-rank EASE head: ials.md.

use super::IalsRecipe;
use super::guard;
use super::state::wide;
use crate::algebra::{dot, norm};
use crate::mixing::CROWD;
use crate::possible::{CHANCE, are_owners};
use crate::recipe::{tensor, values_of, values_of_mut};
use crate::table::{Table, eigen};
use crate::{LearnError, Learning, MeanDelta};

/// The ridge of the head is so many times the mean item count.
const RIDGE: f64 = 3.7;
/// Directions in which the histories say less than this share of the ridge are left out: what is in them is rounding.
const NOISE: f64 = 1e-3;

impl IalsRecipe {
    /// Ends the gradients: the item table stays as it is from here on. Publishes `mixing`, `[d, d]`, with which clients make
    /// the orthonormal Q of (c + 10)^-1/2 V that the head sums are in.
    ///
    /// # Errors
    /// When the model is not of this recipe, or the numbers go wrong.
    pub fn freeze(&self, learning: &mut Learning) -> Result<(), LearnError> {
        let d = self.factors;
        let crowded = self.crowded(learning)?;
        let gram = crowded.gram(std::iter::repeat_n(1.0, self.items));
        let (values, vectors) = eigen(gram)?;
        let largest = values.first().copied().unwrap_or(0.0);
        let scales = values.iter().map(|value| {
            let usable = *value > 1e-9 * largest;
            if usable { 1.0 / value.sqrt() } else { 0.0 }
        });
        let scales: Vec<f64> = scales.collect();
        let mixing = vectors.transposed().weighted(&scales).transposed();
        learning.parameters.set("mixing", mixing.tensor());
        let blocks = self.blocks();
        let state = &mut learning.state;
        state.set("head", Table::zeros(self.items, d).tensor());
        state.set("head_weights", tensor(&[self.items], vec![0.0; self.items]));
        state.set("head_clients", tensor(&[blocks], vec![0.0; blocks]));
        Ok(())
    }

    /// (c + 10)^-1/2 V, `[items, d]`.
    fn crowded(&self, learning: &Learning) -> Result<Table, LearnError> {
        let counts = wide(&learning.parameters, "counts", &[self.items])?;
        let weights: Vec<f64> = counts
            .iter()
            .map(|count| 1.0 / (count + CROWD).sqrt())
            .collect();
        Ok(self.table(&learning.parameters)?.weighted(&weights))
    }

    /// Adds one head sum to what was heard of its block, unless no clients could have it: an owner adds at most 1 to a
    /// weight, and a row of norm 1 at most, for Q has orthonormal columns and Q'x is over sqrt(k). How many owners of an item
    /// there are follows from its count, give or take [`CHANCE`] deviations.
    pub(super) fn hear_head(
        &self,
        learning: &mut Learning,
        number: usize,
        delta: &MeanDelta,
        population: f64,
    ) -> Result<(), LearnError> {
        let (d, block) = (self.factors, number % self.blocks());
        let rows = self.rows(block);
        let (sum, weights) = delta.sum.split_at(rows.items * d);
        let counts = wide(&learning.parameters, "counts", &[self.items])?;
        let state = &mut learning.state;
        let clients = delta.clients as f64;
        // Rounding adds a variance of at most a quarter of a squared grid step a client and word, and a step is 1/2 at most: twice that
        // deviation.
        let rounding = 0.5 * (clients * d as f64).sqrt();
        let counts = counts.iter().skip(rows.first);
        let mut cells = sum.chunks_exact(d).zip(counts);
        let could_be = cells.all(|(row, count)| {
            let owners = count * clients / population;
            norm(row) <= owners + CHANCE * (owners.sqrt() + 1.0) + rounding
        });
        if !are_owners(weights, delta.clients) || !could_be {
            guard::tell(state, "left_out", 1 + self.rounds + number);
            return Ok(());
        }
        let heard = values_of_mut(state, "head_clients", &[self.blocks()])?;
        if let Some(heard) = heard.get_mut(block) {
            *heard += delta.clients as f32;
        }
        let add = |cells: &mut [f32], first: usize, sum: &[f64]| {
            for (cell, value) in cells.iter_mut().skip(first).zip(sum) {
                *cell = (f64::from(*cell) + value) as f32;
            }
        };
        let cells = values_of_mut(state, "head", &[self.items, d])?;
        add(cells, rows.first * d, sum);
        let cells = values_of_mut(state, "head_weights", &[self.items])?;
        add(cells, rows.first, weights);
        Ok(())
    }

    /// Makes the head of everything that was heard, and publishes it: `head` B, `[items, d]`, and `head_scale` 1 / q,
    /// `[items]`. The score of item j for a history is the sum over its items i of B_i.B_j / q_j, which is EASE (Steck 2019)
    /// with X'WX replaced by F F' + a diagonal.
    pub(super) fn finish_head(
        &self,
        learning: &mut Learning,
        population: f64,
    ) -> Result<(), LearnError> {
        let (d, items) = (self.factors, self.items);
        let clients = values_of(&learning.state, "head_clients", &[self.blocks()])?;
        if clients.contains(&0.0) {
            // Every sum about some block was left out: the item table ranks alone, as without head sums.
            forget(learning);
            return Ok(());
        }
        let (heard, weights) = self.heard_head(learning, population)?;
        let counts = wide(&learning.parameters, "counts", &[items])?;
        let ridge = RIDGE * counts.iter().sum::<f64>() / items as f64;
        let mixing = wide(&learning.parameters, "mixing", &[d, d])?;
        let basis = self.crowded(learning)?.times(&Table::of(d, d, mixing));

        // C = Q'Y, symmetric but for what chance and rounding left.
        let inner = basis.transposed_times(&heard);
        let inner = inner.plus(&inner.transposed()).scaled(0.5);
        let (values, vectors) = eigen(inner.matrix())?;
        let scales = values.iter().map(|value| {
            let usable = *value > NOISE * ridge && *value > 0.0;
            if usable { 1.0 / value.sqrt() } else { 0.0 }
        });
        let scales: Vec<f64> = scales.collect();
        let into = vectors.transposed().weighted(&scales).transposed();
        let known = heard.times(&into);

        // D = the rest of the diagonal and the ridge; A = D^-1 F; K = (I + F'A)^-1 = L L'; B = A L; q = 1 / D - |B|^2.
        let inverse: Vec<f64> = known
            .iter()
            .zip(&weights)
            .map(|(row, weight)| 1.0 / ((weight - dot(row, row)).max(0.0) + ridge).max(1e-9))
            .collect();
        let weighed = known.clone().weighted(&inverse);
        let matrix = known.transposed_times(&weighed);
        let matrix = matrix.plus(&matrix.transposed()).scaled(0.5);
        // Of K^-1 = R R', K = R^-T R^-1, so R^-T is an L.
        let (_, inverse_root) = matrix.plus(&Table::diagonal(d, 1.0)).cholesky()?;
        let head = weighed.times(&inverse_root.transposed());
        let scale = head.iter().zip(&inverse).map(|(row, inverse)| {
            // Above zero but for rounding: it is the diagonal of an inverse of a positive matrix.
            1.0 / (inverse - dot(row, row)).max(1e-6 * inverse)
        });
        let scale = tensor(&[items], scale);
        learning.parameters.set("head", head.tensor());
        learning.parameters.set("head_scale", scale);
        forget(learning);
        Ok(())
    }

    /// Y, `[items, d]`, and the sum of w x, `[items]`, of the population: of each block from those that were heard about it.
    fn heard_head(
        &self,
        learning: &Learning,
        population: f64,
    ) -> Result<(Table, Vec<f64>), LearnError> {
        let (d, items) = (self.factors, self.items);
        // Clients divide by sqrt(k); w is sqrt(mean k / k).
        let mean = f64::from(learning.state.scalar("mean_history")?).sqrt();
        let clients = wide(&learning.state, "head_clients", &[self.blocks()])?;
        let mut scales = Vec::with_capacity(items);
        for (block, clients) in clients.iter().enumerate() {
            let scale = mean * population / clients.max(1.0);
            scales.extend(std::iter::repeat_n(scale, self.rows(block).items));
        }
        let heard = Table::of(items, d, wide(&learning.state, "head", &[items, d])?);
        let mut weights = wide(&learning.state, "head_weights", &[items])?;
        weights
            .iter_mut()
            .zip(&scales)
            .for_each(|(weight, scale)| *weight *= scale);
        Ok((heard.weighted(&scales), weights))
    }
}

/// Forgets what only the head sums need.
fn forget(learning: &mut Learning) {
    learning.parameters.remove("mixing");
    for name in ["head", "head_weights", "head_clients"] {
        learning.state.remove(name);
    }
}
