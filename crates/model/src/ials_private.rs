use nalgebra::SymmetricEigen;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::algebra::symmetric;
use crate::recipe::{check, check_shape, normal_table, positive, tensor, values_of};
use crate::{LearnError, Learning, MeanDelta, Parameters, RecipeError, Step, Sum};

/// Noisy reconstruct-and-project: 2T + 1 sums of bounded norm, everyone once in each. recommender.md 4.2.
///
/// Sums: `counts`, then `gram-t` and `projection-t` for t = 1..T. Its constants were chosen on a
/// validation split of ml-1m without noise, not on the data it runs on.
///
/// # Privacy
/// Each sum's L2 bound holds by construction: 1 for counts, beta for the Gram, sqrt(1 - beta^2) for the projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IalsPrivateRecipe {
    /// Items in the catalogue, m.
    pub items: usize,
    /// Width of the item table, d.
    pub factors: usize,
    /// Gram and projection pairs, T.
    pub sweeps: usize,
    /// beta: the norm of the Gram part; the projection has sqrt(1 - beta^2). In (0, 1).
    #[serde(default = "default_gram_share")]
    pub gram_share: f64,
    /// lambda of the ridge that solves a person's vector.
    #[serde(default = "default_regularisation")]
    pub regularisation: f64,
    /// Weight of the unseen items; left out: 8.5 L / items, with L the typical history length from the noisy counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha0: Option<f64>,
    /// How strongly noisy rows are shrunk: this times sigma sqrt(d) in the denominator.
    #[serde(default = "default_shrink")]
    pub shrink: f64,
    /// Weight of log popularity in the final score, in standard deviations of the scores.
    #[serde(default = "default_popularity")]
    pub popularity: f64,
}

/// alpha0 = this * L / items with sqrt(L) = sum c / n: 0.3 on ml-1m (ials-private.md, sum 0).
const ALPHA0_RULE: f64 = 8.5;
/// alpha0 before anything is known; no step reads it.
const ALPHA0_PROVISIONAL: f64 = 0.3;
/// Standard deviation of the start.
const START_DEVIATION: f64 = 0.3;
/// Noisy counts below this are raised to it.
const COUNT_FLOOR: f64 = 1e-3;
/// Eigenvalues of the noisy Gram below this share of the largest are raised to it.
const EIGENVALUE_FLOOR: f64 = 0.02;

fn default_gram_share() -> f64 {
    0.3
}
fn default_regularisation() -> f64 {
    0.007
}
fn default_shrink() -> f64 {
    1.0
}
fn default_popularity() -> f64 {
    0.03
}

impl IalsPrivateRecipe {
    /// The recipe with the published hyper-parameters.
    pub fn new(items: usize, factors: usize, sweeps: usize) -> Self {
        Self {
            items,
            factors,
            sweeps,
            gram_share: default_gram_share(),
            regularisation: default_regularisation(),
            alpha0: None,
            shrink: default_shrink(),
            popularity: default_popularity(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), RecipeError> {
        check_shape(self.items, self.factors, self.regularisation, self.alpha0)?;
        check(
            (1..=100).contains(&self.sweeps),
            "sweeps",
            "must be between 1 and 100",
        )?;
        check(
            positive(self.gram_share) && self.gram_share < 1.0,
            "gram_share",
            "must be above 0 and under 1",
        )?;
        check(
            self.shrink.is_finite() && self.shrink >= 0.0,
            "shrink",
            "must be 0 or more",
        )?;
        check(
            self.popularity.is_finite() && self.popularity >= 0.0,
            "popularity",
            "must be 0 or more",
        )
    }

    pub(crate) fn sums(&self) -> Vec<Sum> {
        let sum = |name: String, step: Step, clip: f64| {
            let length = step.length(self.items, self.factors, None);
            Sum {
                name,
                step,
                block: None,
                length,
                clip,
            }
        };
        let mut sums = vec![sum("counts".to_owned(), Step::Counts, 1.0)];
        for sweep in 1..=self.sweeps {
            sums.push(sum(format!("gram-{sweep}"), Step::Gram, self.gram_share));
            sums.push(sum(
                format!("projection-{sweep}"),
                Step::Projection,
                self.projection_share(),
            ));
        }
        sums
    }

    /// sqrt(1 - beta^2): the norm that the Gram leaves to the projection.
    fn projection_share(&self) -> f64 {
        (1.0 - self.gram_share * self.gram_share).sqrt()
    }

    pub(crate) fn start(&self, rng: &mut impl Rng) -> Learning {
        let mut parameters = Parameters::default();
        parameters.set(
            "items",
            normal_table(self.items, self.factors, START_DEVIATION, rng),
        );
        parameters.set("counts", tensor(&[self.items], vec![0.0; self.items]));
        parameters.set_scalar("alpha0", self.alpha0.unwrap_or(ALPHA0_PROVISIONAL) as f32);
        parameters.set_scalar("regularisation", self.regularisation as f32);
        parameters.set_scalar("gram_share", self.gram_share as f32);
        parameters.set_scalar("popularity", self.popularity as f32);
        Learning {
            parameters,
            state: Parameters::default(),
        }
    }

    pub(crate) fn apply(
        &self,
        mut learning: Learning,
        sum_index: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<Learning, LearnError> {
        // Those who dropped out are assumed to be like those who stayed: sums and their noise grow alike.
        let scale = population as f64 / delta.clients as f64;
        let parameters = &mut learning.parameters;
        match sum_index.checked_sub(1).map(|index| index % 2) {
            None => self.counts(parameters, delta, scale, population)?,
            Some(0) => self.whiten(parameters, delta, scale, population)?,
            Some(_) => self.project(parameters, delta, scale, population)?,
        }
        Ok(learning)
    }

    /// Counts c, alpha0, and the start V_0 = N(0, 0.3) sqrt(c / max c) with sqrt(c / max c) as its column 0.
    fn counts(
        &self,
        parameters: &mut Parameters,
        delta: &MeanDelta,
        scale: f64,
        population: usize,
    ) -> Result<(), LearnError> {
        let root_length = (scale * delta.sum.iter().sum::<f64>() / population as f64).max(1.0);
        let alpha0 = self
            .alpha0
            .unwrap_or(ALPHA0_RULE * root_length * root_length / self.items as f64);
        let counts: Vec<f64> = delta
            .sum
            .iter()
            .map(|count| (scale * count).max(COUNT_FLOOR))
            .collect();
        let largest = counts.iter().copied().fold(COUNT_FLOOR, f64::max);
        let mut table = values_of(parameters, "items", &[self.items, self.factors])?.to_vec();
        for (row, count) in table.chunks_exact_mut(self.factors).zip(&counts) {
            let weight = (count / largest).sqrt();
            row.iter_mut()
                .for_each(|value| *value = (f64::from(*value) * weight) as f32);
            if let Some(first) = row.first_mut() {
                *first = weight as f32;
            }
        }
        let table = crate::Tensor {
            shape: vec![self.items, self.factors],
            values: table,
        };
        parameters.set("items", table);
        parameters.set("counts", tensor(&[self.items], counts));
        parameters.set_scalar("alpha0", alpha0 as f32);
        Ok(())
    }

    /// E^-1/2 Q' of the noisy Gram, its eigenvalues raised to where the noise no longer rules.
    fn whiten(
        &self,
        parameters: &mut Parameters,
        delta: &MeanDelta,
        scale: f64,
        population: usize,
    ) -> Result<(), LearnError> {
        let d = self.factors;
        let mean = scale / (self.gram_share * population as f64);
        let gram = symmetric(delta.sum.iter().copied(), d, mean);
        let eigen = SymmetricEigen::try_new(gram, f64::EPSILON, 10_000)
            .ok_or_else(|| LearnError::Numeric("the Gram matrix has no eigenvalues".to_owned()))?;
        let largest = eigen.eigenvalues.iter().copied().fold(0.0, f64::max);
        let noise_floor = 2.0 * delta.noise * mean * (d as f64).sqrt();
        let floor = (EIGENVALUE_FLOOR * largest)
            .max(noise_floor)
            .max(f64::EPSILON);
        let rows = eigen
            .eigenvectors
            .column_iter()
            .zip(eigen.eigenvalues.iter());
        let whitening: Vec<f64> = rows
            .flat_map(|(vector, value)| {
                let weight = 1.0 / value.max(floor).sqrt();
                vector
                    .iter()
                    .map(move |cell| cell * weight)
                    .collect::<Vec<_>>()
            })
            .collect();
        parameters.set("whitening", tensor(&[d, d], whitening));
        Ok(())
    }

    /// V_i = B_i / ((c_i + 0.1 alpha0 n) / d + 0.001 n + shrink sigma sqrt d), from the released sums alone.
    fn project(
        &self,
        parameters: &mut Parameters,
        delta: &MeanDelta,
        scale: f64,
        population: usize,
    ) -> Result<(), LearnError> {
        let (d, n) = (self.factors as f64, population as f64);
        let alpha0 = f64::from(parameters.scalar("alpha0")?);
        let constant =
            0.1 * alpha0 * n / d + 0.001 * n + self.shrink * scale * delta.noise * d.sqrt();
        let counts = values_of(parameters, "counts", &[self.items])?;
        let factor = scale / self.projection_share();
        let table: Vec<f64> = delta
            .sum
            .chunks_exact(self.factors)
            .zip(counts)
            .flat_map(|(row, count)| {
                let divisor = f64::from(*count) / d + constant;
                row.iter().map(move |value| factor * value / divisor)
            })
            .collect();
        parameters.set("items", tensor(&[self.items, self.factors], table));
        parameters.remove("whitening");
        Ok(())
    }
}
