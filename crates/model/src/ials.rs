use nalgebra::{Cholesky, DVector};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::algebra::{symmetric, triangle_length};
use crate::recipe::{check, check_shape, normal_table, positive, tensor, values_of};
use crate::{LearnError, Learning, MeanDelta, Parameters, RecipeError, Step, Sum};

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
    /// Gradient sums, R.
    pub rounds: usize,
    /// Step size of the first round, eta; 0 < eta <= 1.
    #[serde(default = "default_step_size")]
    pub step_size: f64,
    /// What the step size is multiplied with after each round; in (0, 1].
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
        check(positive(self.clip), "clip", "must be above 0")
    }

    pub(crate) fn sums(&self) -> Vec<Sum> {
        let sum = |name: String, step: Step| {
            let length = step.length(self.items, self.factors);
            Sum {
                name,
                step,
                length,
                clip: self.clip,
            }
        };
        let gradients =
            (1..=self.rounds).map(|round| sum(format!("gradient-{round}"), Step::Gradient));
        std::iter::once(sum("history".to_owned(), Step::History))
            .chain(gradients)
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
        state.set_scalar("histories_clients", 0.0);
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
            self.count(&mut learning, histories, delta.clients, population)?;
            let mean = (length.iter().sum::<f64>() / delta.clients as f64).max(1.0);
            let alpha0 = self
                .alpha0
                .unwrap_or(ALPHA0_RULE * mean / self.items as f64);
            learning.parameters.set_scalar("alpha0", alpha0 as f32);
            return Ok(learning);
        };
        let (rows, rest) = delta.sum.split_at(self.items * self.factors);
        let (triangle, rest) = rest.split_at(triangle_length(self.factors));
        let (histories, rest) = rest.split_at(self.items);
        let loss = rest.first().copied().unwrap_or(0.0);
        let length = rest.last().copied().unwrap_or(0.0);
        self.count(&mut learning, histories, delta.clients, population)?;
        self.average_gram(&mut learning, triangle, scale)?;
        let eta = self.step_size * self.step_decay.powf(round as f64);
        let eta = eta
            * self.guard(
                &mut learning,
                loss / length.max(1.0),
                delta.clients,
                population,
            )?;
        self.step(&mut learning, rows, scale, eta, population)?;
        Ok(learning)
    }

    /// Estimates the item counts of the population from every history heard so far.
    fn count(
        &self,
        learning: &mut Learning,
        histories: &[f64],
        clients: usize,
        population: usize,
    ) -> Result<(), LearnError> {
        let heard = values_of(&learning.state, "histories", &[self.items])?;
        let heard: Vec<f64> = heard
            .iter()
            .zip(histories)
            .map(|(old, new)| f64::from(*old) + new.max(0.0))
            .collect();
        let clients = f64::from(learning.state.scalar("histories_clients")?) + clients as f64;
        let scale = population as f64 / clients;
        let counts = tensor(&[self.items], heard.iter().map(|count| count * scale));
        learning.parameters.set("counts", counts);
        learning
            .state
            .set("histories", tensor(&[self.items], heard));
        learning
            .state
            .set_scalar("histories_clients", clients as f32);
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

    /// V_i <- V_i - eta (c_i G/n + alpha0 G + lambda_i I)^-1 g_i with lambda_i = lambda (c_i + alpha0 n).
    ///
    /// The matrix is (c_i + alpha0 n) (G/n + lambda I), so one factorisation serves every item.
    fn step(
        &self,
        learning: &mut Learning,
        rows: &[f64],
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
        let table = values_of(&learning.parameters, "items", &[self.items, d])?;
        let counts = values_of(&learning.parameters, "counts", &[self.items])?;
        let mut next = Vec::with_capacity(table.len());
        for ((row, sum), count) in table.chunks_exact(d).zip(rows.chunks_exact(d)).zip(counts) {
            let row = DVector::from_iterator(d, row.iter().copied().map(f64::from));
            let weight = f64::from(*count) + alpha0 * n;
            let mut gradient = &gram * &row * alpha0 + &row * (self.regularisation * weight);
            gradient
                .iter_mut()
                .zip(sum)
                .for_each(|(value, sum)| *value += scale * sum);
            solver.solve_mut(&mut gradient);
            next.extend((row - gradient * (eta / weight)).iter());
        }
        learning
            .parameters
            .set("items", tensor(&[self.items, d], next));
        Ok(())
    }
}
