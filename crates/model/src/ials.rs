use std::ops::Range;

use nalgebra::{Cholesky, DVector};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::algebra::{symmetric, triangle_length};
use crate::recipe::{check, check_shape, normal_table, positive, tensor, values_of, values_of_mut};
use crate::{Block, LearnError, Learning, MeanDelta, Parameters, RecipeError, Step, Sum};

/// Implicit matrix factorisation in cohorts, without noise: recommender.md 4.1.
///
/// Sums: `history`, then `gradient-1` to `gradient-R`. The first settles the item counts and alpha0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IalsRecipe {
    /// Items in the catalogue, m.
    pub items: usize,
    /// Width of the item table, d.
    pub factors: usize,
    /// Gradient sums, R; at least one for each block.
    pub rounds: usize,
    /// Step size of the first round, eta; 0 < eta <= 1.
    #[serde(default = "default_step_size")]
    pub step_size: f64,
    /// What the step size is multiplied with after each pass over the catalogue, which is one round without blocks and
    /// one of every block with them; in (0, 1].
    #[serde(default = "default_step_decay")]
    pub step_decay: f64,
    /// lambda of the iALS objective (nu = 1).
    #[serde(default = "default_regularisation")]
    pub regularisation: f64,
    /// L2 bound of one contribution, in parameter units. The history length dominates the norm.
    #[serde(default = "default_clip")]
    pub clip: f64,
    /// Weight of the unseen items; left out: 6.7 * mean history / items, from the first sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha0: Option<f64>,
    /// Most item rows that a gradient sum trains; left out: the whole catalogue in each. The catalogue is cut into
    /// ceil(items / block) blocks of nearly the same size, which the rounds train in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
}

/// alpha0 = this * mean history length / items: 0.3 on ml-1m, recommender.md 4.1.
const ALPHA0_RULE: f64 = 6.7;
/// alpha0 before anything is known; no step reads it.
const ALPHA0_PROVISIONAL: f64 = 0.3;
/// Weight of the newest Gram in its moving average.
const GRAM_NEWEST: f64 = 0.3;
/// A rise of the loss within this factor plus 1 / sqrt(cohort) is the cohort's chance, not divergence (ials.md, guard).
const LOSS_TOLERANCE: f64 = 1.03;

fn default_step_size() -> f64 {
    0.6
}
fn default_step_decay() -> f64 {
    0.95
}
fn default_regularisation() -> f64 {
    0.007
}
fn default_clip() -> f64 {
    2048.0
}

impl IalsRecipe {
    /// The recipe with the published hyper-parameters.
    pub fn new(items: usize, factors: usize, rounds: usize) -> Self {
        Self {
            items,
            factors,
            rounds,
            step_size: default_step_size(),
            step_decay: default_step_decay(),
            regularisation: default_regularisation(),
            clip: default_clip(),
            alpha0: None,
            block: None,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), RecipeError> {
        check_shape(self.items, self.factors, self.regularisation, self.alpha0)?;
        check(
            (1..=100_000).contains(&self.rounds),
            "rounds",
            "must be between 1 and 100000",
        )?;
        check(
            positive(self.step_size) && self.step_size <= 1.0,
            "step_size",
            "must be above 0 and at most 1",
        )?;
        check(
            positive(self.step_decay) && self.step_decay <= 1.0,
            "step_decay",
            "must be above 0 and at most 1",
        )?;
        check(positive(self.clip), "clip", "must be above 0")?;
        check(
            self.block
                .is_none_or(|block| (1..=self.items).contains(&block)),
            "block",
            "must be between 1 and items, or left out for the whole catalogue",
        )?;
        check(
            self.rounds >= self.blocks(),
            "rounds",
            "must be at least the number of blocks, ceil(items / block): fewer leave items untrained",
        )
    }

    /// How many blocks the catalogue is cut into; 1 without `block`.
    pub fn blocks(&self) -> usize {
        let block = self.block.unwrap_or(self.items).max(1);
        self.items.div_ceil(block).max(1)
    }

    /// The item rows that `gradient-{round}` trains: the blocks in turn, block 0 in round 1.
    ///
    /// A function of the recipe and the round alone. Nothing when the recipe has no blocks.
    pub fn block_of(&self, round: usize) -> Option<Block> {
        self.block
            .map(|_| self.rows(round.saturating_sub(1) % self.blocks()))
    }

    /// The rows of block number `block`, from 0. Sizes differ by at most one: one size of upload for all rounds, and no
    /// round spent on a small remainder.
    fn rows(&self, block: usize) -> Block {
        let (size, larger) = (self.items / self.blocks(), self.items % self.blocks());
        Block {
            first: block * size + block.min(larger),
            items: size + usize::from(block < larger),
        }
    }

    pub(crate) fn sums(&self) -> Vec<Sum> {
        let sum = |name: String, step: Step, block: Option<Block>| {
            let length = step.length(self.items, self.factors, block);
            Sum {
                name,
                step,
                block,
                length,
                clip: self.clip,
                share: 0.0,
                groups: Vec::new(),
            }
        };
        let gradient = |round: usize| {
            let name = format!("gradient-{round}");
            sum(name, Step::Gradient, self.block_of(round))
        };
        std::iter::once(sum("history".to_owned(), Step::History, None))
            .chain((1..=self.rounds).map(gradient))
            .collect()
    }

    pub(crate) fn start(&self, rng: &mut impl Rng) -> Learning {
        let mut parameters = Parameters::default();
        parameters.set(
            "items",
            normal_table(
                self.items,
                self.factors,
                0.1 / (self.factors as f64).sqrt(),
                rng,
            ),
        );
        parameters.set("counts", tensor(&[self.items], vec![0.0; self.items]));
        parameters.set_scalar("alpha0", self.alpha0.unwrap_or(ALPHA0_PROVISIONAL) as f32);
        parameters.set_scalar("regularisation", self.regularisation as f32);
        let mut state = Parameters::default();
        state.set("histories", tensor(&[self.items], vec![0.0; self.items]));
        let blocks = self.blocks();
        state.set("histories_clients", tensor(&[blocks], vec![0.0; blocks]));
        state.set_scalar("step_factor", 1.0);
        Learning { parameters, state }
    }

    pub(crate) fn apply(
        &self,
        mut learning: Learning,
        sum_index: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<Learning, LearnError> {
        let scale = population as f64 / delta.clients as f64;
        let Some(round) = sum_index.checked_sub(1) else {
            let (histories, length) = delta.sum.split_at(self.items);
            let all = 0..self.blocks();
            self.count(&mut learning, all, histories, delta.clients, population)?;
            let mean = (length.iter().sum::<f64>() / delta.clients as f64).max(1.0);
            let alpha0 = self
                .alpha0
                .unwrap_or(ALPHA0_RULE * mean / self.items as f64);
            learning.parameters.set_scalar("alpha0", alpha0 as f32);
            return Ok(learning);
        };
        let (pass, block) = (round / self.blocks(), round % self.blocks());
        let rows = self.rows(block);
        let (gradient, rest) = delta.sum.split_at(rows.items * self.factors);
        let (triangle, rest) = rest.split_at(triangle_length(self.factors));
        let (histories, rest) = rest.split_at(rows.items);
        let loss = rest.first().copied().unwrap_or(0.0);
        let length = rest.last().copied().unwrap_or(0.0);
        self.count(
            &mut learning,
            block..block + 1,
            histories,
            delta.clients,
            population,
        )?;
        self.average_gram(&mut learning, triangle, scale)?;
        // By passes: how far a row is along its schedule does not depend on how many other blocks there are.
        let eta = self.step_size * self.step_decay.powf(pass as f64);
        let eta = eta
            * self.guard(
                &mut learning,
                loss / length.max(1.0),
                delta.clients,
                population,
            )?;
        self.step(&mut learning, rows, gradient, scale, eta, population)?;
        Ok(learning)
    }

    /// Estimates the item counts of the population from every history heard so far, for the items of `blocks`.
    /// Each block has its own number of clients that were heard about it.
    fn count(
        &self,
        learning: &mut Learning,
        blocks: Range<usize>,
        mut histories: &[f64],
        clients: usize,
        population: usize,
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
            let scale = population as f64 / total;
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

    /// G, the moving average of the population's sum of u u'.
    fn average_gram(
        &self,
        learning: &mut Learning,
        triangle: &[f64],
        scale: f64,
    ) -> Result<(), LearnError> {
        let shape = [triangle.len()];
        let newest = triangle.iter().map(|value| scale * value);
        let averaged = if learning.state.get("gram").is_some() {
            let old = values_of(&learning.state, "gram", &shape)?;
            let mix =
                |(old, new): (&f32, f64)| (1.0 - GRAM_NEWEST) * f64::from(*old) + GRAM_NEWEST * new;
            tensor(&shape, old.iter().zip(newest).map(mix))
        } else {
            tensor(&shape, newest)
        };
        learning.state.set("gram", averaged);
        Ok(())
    }

    /// Halves the step size when the loss rises; gives the factor that now holds.
    ///
    /// The loss is the clients' mean loss per event plus the item table's share of the ridge: without that share
    /// a table that grows without bound would look perfect.
    fn guard(
        &self,
        learning: &mut Learning,
        loss_per_event: f64,
        clients: usize,
        population: usize,
    ) -> Result<f64, LearnError> {
        let table = values_of(&learning.parameters, "items", &[self.items, self.factors])?;
        let counts = values_of(&learning.parameters, "counts", &[self.items])?;
        let unseen = f64::from(learning.parameters.scalar("alpha0")?) * population as f64;
        let events = counts.iter().copied().map(f64::from).sum::<f64>().max(1.0);
        let ridge: f64 = table
            .chunks_exact(self.factors)
            .zip(counts)
            .map(|(row, count)| {
                let square: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
                self.regularisation * (f64::from(*count) + unseen) * square
            })
            .sum();
        let loss = loss_per_event + ridge / events;
        let mut factor = f64::from(learning.state.scalar("step_factor")?);
        let tolerance = LOSS_TOLERANCE + 1.0 / (clients as f64).sqrt();
        let best = match learning.state.get("best_loss") {
            Some(_) => f64::from(learning.state.scalar("best_loss")?),
            None => loss,
        };
        if loss > tolerance * best {
            factor /= 2.0;
            learning.state.set_scalar("step_factor", factor as f32);
            // From here the loss counts from where it is: one rise halves once, not in every round until it is mended.
            learning.state.set_scalar("best_loss", loss as f32);
        } else {
            learning
                .state
                .set_scalar("best_loss", loss.min(best) as f32);
        }
        Ok(factor)
    }

    /// V_i <- V_i - eta (c_i G/n + alpha0 G + lambda_i I)^-1 g_i with lambda_i = lambda (c_i + alpha0 n), for the
    /// items i of `rows`.
    ///
    /// The matrix is (c_i + alpha0 n) (G/n + lambda I), so one factorisation serves every item.
    fn step(
        &self,
        learning: &mut Learning,
        rows: Block,
        gradient: &[f64],
        scale: f64,
        eta: f64,
        population: usize,
    ) -> Result<(), LearnError> {
        let n = population as f64;
        let d = self.factors;
        let alpha0 = f64::from(learning.parameters.scalar("alpha0")?);
        let packed = values_of(&learning.state, "gram", &[triangle_length(d)])?;
        let gram = symmetric(packed.iter().copied().map(f64::from), d, 1.0);
        let mut matrix = &gram / n;
        for diagonal in 0..d {
            matrix[(diagonal, diagonal)] += self.regularisation;
        }
        let solver = Cholesky::new(matrix).ok_or_else(|| {
            LearnError::Numeric("the averaged Gram matrix is not positive".to_owned())
        })?;
        let counts = values_of(&learning.parameters, "counts", &[self.items])?;
        let counts = counts.get(rows.range()).unwrap_or_default().to_vec();
        let table = values_of_mut(&mut learning.parameters, "items", &[self.items, d])?;
        let table = table.chunks_exact_mut(d).skip(rows.first);
        for ((cells, sum), count) in table.zip(gradient.chunks_exact(d)).zip(counts) {
            let row = DVector::from_iterator(d, cells.iter().copied().map(f64::from));
            let weight = f64::from(count) + alpha0 * n;
            let mut gradient = &gram * &row * alpha0 + &row * (self.regularisation * weight);
            gradient
                .iter_mut()
                .zip(sum)
                .for_each(|(value, sum)| *value += scale * sum);
            solver.solve_mut(&mut gradient);
            let next = row - gradient * (eta / weight);
            cells
                .iter_mut()
                .zip(next.iter())
                .for_each(|(cell, value)| *cell = *value as f32);
        }
        Ok(())
    }
}
