use std::borrow::Cow;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    IalsPrivateRecipe, IalsRecipe, MeanDelta, Parameters, ParametersError, Sum, Tensor,
    TrainedRecipe,
};

/// How a model is learned: an ordered list of named sums, and what the coordinator does after each.
///
/// ```
/// let recipe: chorus_model::Recipe =
///     serde_json::from_str(r#"{"algorithm": "ials", "items": 1682, "factors": 32, "rounds": 30}"#).unwrap();
/// assert_eq!(recipe.sums().len(), 1 + 30 + 10);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "kebab-case")]
pub enum Recipe {
    /// Without noise: cohorts, gradients, a preconditioned server step, a head. ials.md.
    Ials(IalsRecipe),
    /// With noise: everyone takes part once in each of 2T + 1 sums. ials-private.md.
    IalsPrivate(IalsPrivateRecipe),
    /// With or without noise: a model that clients train by gradient steps, described by a plan.
    Trained(TrainedRecipe),
}

/// What the coordinator holds between two sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Learning {
    /// The shared model, published to every client.
    pub parameters: Parameters,
    /// What the server step remembers; clients never need it.
    pub state: Parameters,
}

/// A recipe that cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field} {problem}")]
pub struct RecipeError {
    /// The field at fault.
    pub field: Cow<'static, str>,
    /// What it must be.
    pub problem: Cow<'static, str>,
}

/// A sum that the server step cannot use.
#[derive(Debug, Error, PartialEq)]
pub enum LearnError {
    /// The model or the state does not fit the recipe.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// There is no such sum.
    #[error("the task has {sums} sums; there is no sum number {index}")]
    NoSuchSum {
        /// The number that was asked for, from 0.
        index: usize,
        /// How many the recipe has.
        sums: usize,
    },
    /// A sum of another length than its layout.
    #[error("sum `{name}` has {expected} words; {found} came")]
    Length {
        /// The sum.
        name: String,
        /// Words in its layout.
        expected: usize,
        /// Words that came.
        found: usize,
    },
    /// A count of clients that cannot be.
    #[error("a sum over {clients} clients of a population of {population} cannot be used")]
    Clients {
        /// Clients in the sum.
        clients: usize,
        /// Clients in the population.
        population: usize,
    },
    /// No clients that keep to the protocol could have this sum: one of them does not. Other clients may give a good one.
    #[error("no clients that keep to the protocol could have this sum")]
    Impossible,
    /// The numbers went wrong.
    #[error("the server step failed: {0}")]
    Numeric(String),
}

impl Recipe {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), RecipeError> {
        match self {
            Recipe::Ials(recipe) => recipe.validate(),
            Recipe::IalsPrivate(recipe) => recipe.validate(),
            Recipe::Trained(recipe) => recipe.validate(),
        }
    }

    /// The sums of the task, in the order in which they must be taken.
    pub fn sums(&self) -> Vec<Sum> {
        match self {
            Recipe::Ials(recipe) => recipe.sums(),
            Recipe::IalsPrivate(recipe) => recipe.sums(),
            Recipe::Trained(recipe) => recipe.sums(),
        }
    }

    /// The sums after which the model is whole, by number: it can be measured, and where it is no good an earlier one can take its
    /// place. The last is always one.
    pub fn rests(&self) -> Vec<usize> {
        let last = self.sums().len().saturating_sub(1);
        let rounds = |rounds: usize| (1..rounds).chain([last]).collect();
        match self {
            // Between the last gradient and the last head the model is neither.
            Recipe::Ials(recipe) => rounds(recipe.rounds),
            Recipe::IalsPrivate(recipe) => (1..=recipe.sweeps).map(|sweep| 2 * sweep).collect(),
            Recipe::Trained(recipe) => rounds(recipe.rounds),
        }
    }

    /// Whether the sums after one of [`Recipe::rests`] can go on from an earlier model than the one that they were to go on
    /// from. With noise each sum of a sweep belongs to the one before.
    pub fn goes_back(&self) -> bool {
        !matches!(self, Recipe::IalsPrivate(_))
    }

    /// Writes down what the recipe leaves open and the share `cohort` of the population in a round decides.
    pub fn settle(&mut self, cohort: f64) {
        match self {
            Recipe::Ials(recipe) => recipe.settle(cohort),
            Recipe::IalsPrivate(_) | Recipe::Trained(_) => {}
        }
    }

    /// What the server step after sum number `sum_index` did out of the ordinary, in words, if `after` is what it gave.
    pub fn note(&self, after: &Learning, sum_index: usize) -> Option<String> {
        match self {
            Recipe::Ials(recipe) => recipe.note(after, sum_index),
            Recipe::IalsPrivate(_) => None,
            Recipe::Trained(_) => crate::trained::note(&after.state),
        }
    }

    /// Items in the catalogue, m.
    pub fn items(&self) -> usize {
        match self {
            Recipe::Ials(recipe) => recipe.items,
            Recipe::IalsPrivate(recipe) => recipe.items,
            Recipe::Trained(recipe) => recipe.items,
        }
    }

    /// What the model would be from the counts and the public item features alone, without any later sum: the row to
    /// compare a private model with. Nothing for other recipes, without features, or before anything was counted.
    ///
    /// # Errors
    /// When `parameters` are not of this recipe.
    pub fn content_alone(&self, parameters: &Parameters) -> Result<Option<Parameters>, LearnError> {
        match self {
            Recipe::Ials(_) | Recipe::Trained(_) => Ok(None),
            Recipe::IalsPrivate(recipe) => recipe.content_alone(parameters),
        }
    }

    /// Width of the item table, d; of `ials-private` the directions that a sweep learns, r; 0 of a trained model without one.
    pub fn factors(&self) -> usize {
        match self {
            Recipe::Ials(recipe) => recipe.factors,
            Recipe::IalsPrivate(recipe) => recipe.factors,
            Recipe::Trained(recipe) => recipe.factors(),
        }
    }

    /// True when the sums are made for noise: everyone takes part, once in each.
    pub fn is_private(&self) -> bool {
        match self {
            Recipe::Ials(_) => false,
            Recipe::IalsPrivate(_) => true,
            Recipe::Trained(recipe) => recipe.noise,
        }
    }

    /// The model before the first sum. The same seed gives the same model.
    ///
    /// Its `alpha0` is provisional where the recipe leaves it open: the first sum settles it.
    pub fn start(&self, seed: u64) -> Learning {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        match self {
            Recipe::Ials(recipe) => recipe.start(&mut rng),
            Recipe::IalsPrivate(recipe) => recipe.start(&mut rng),
            Recipe::Trained(recipe) => recipe.start(&mut rng),
        }
    }

    /// The server step after sum number `sum_index` (from 0): a function of its arguments alone.
    ///
    /// `delta` is the sum over `delta.clients` clients; `population` is n, the clients the model is learned for.
    ///
    /// # Errors
    /// When the sum does not fit the recipe, the clients cannot be, or the numbers went wrong.
    pub fn apply(
        &self,
        learning: Learning,
        sum_index: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<Learning, LearnError> {
        let sums = self.sums();
        let sum = sums.get(sum_index).ok_or(LearnError::NoSuchSum {
            index: sum_index,
            sums: sums.len(),
        })?;
        if delta.sum.len() != sum.length {
            let (name, expected, found) = (sum.name.clone(), sum.length, delta.sum.len());
            return Err(LearnError::Length {
                name,
                expected,
                found,
            });
        }
        if delta.clients == 0 || delta.clients > population {
            return Err(LearnError::Clients {
                clients: delta.clients,
                population,
            });
        }
        if delta.sum.iter().any(|value| !value.is_finite()) || !delta.noise.is_finite() {
            return Err(LearnError::Numeric("the sum is not finite".to_owned()));
        }
        let learning = match self {
            Recipe::Ials(recipe) => recipe.apply(learning, sum_index, delta, population)?,
            Recipe::IalsPrivate(recipe) => recipe.apply(learning, sum_index, delta, population)?,
            Recipe::Trained(recipe) => recipe.apply(learning, sum_index, delta, population)?,
        };
        for (name, tensor) in learning.parameters.iter().chain(learning.state.iter()) {
            if tensor.values.iter().any(|value| !value.is_finite()) {
                return Err(ParametersError::NotFinite(name.to_owned()).into());
            }
        }
        Ok(learning)
    }
}

/// `Err` naming the field, unless the condition holds.
pub(crate) fn check(
    holds: bool,
    field: impl Into<Cow<'static, str>>,
    problem: &'static str,
) -> Result<(), RecipeError> {
    if holds {
        Ok(())
    } else {
        Err(RecipeError {
            field: field.into(),
            problem: problem.into(),
        })
    }
}

/// What both recipes ask of their catalogue, width and regularisation.
pub(crate) fn check_shape(
    items: usize,
    factors: usize,
    regularisation: f64,
    alpha0: Option<f64>,
) -> Result<(), RecipeError> {
    check(
        (1..=1 << 24).contains(&items),
        "items",
        "must be between 1 and 16777216",
    )?;
    check(
        (1..=1024).contains(&factors),
        "factors",
        "must be between 1 and 1024",
    )?;
    check(
        positive(regularisation),
        "regularisation",
        "must be above 0",
    )?;
    check(
        alpha0.is_none_or(positive),
        "alpha0",
        "must be above 0, or left out to follow the data",
    )
}

/// Above zero and finite.
pub(crate) fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// A tensor `[rows, columns]` of normal draws with standard deviation `deviation` (Box and Muller).
pub(crate) fn normal_table(
    rows: usize,
    columns: usize,
    deviation: f64,
    rng: &mut impl Rng,
) -> Tensor {
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let mut values = Vec::with_capacity(rows * columns + 1);
    while values.len() < rows * columns {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = deviation * (-2.0 * (1.0 - uniform()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * uniform()).sin_cos();
        values.extend([(radius * cosine) as f32, (radius * sine) as f32]);
    }
    values.truncate(rows * columns);
    Tensor {
        shape: vec![rows, columns],
        values,
    }
}

/// A tensor of f64 values, rounded to f32.
pub(crate) fn tensor(shape: &[usize], values: impl IntoIterator<Item = f64>) -> Tensor {
    Tensor {
        shape: shape.to_vec(),
        values: values.into_iter().map(|value| value as f32).collect(),
    }
}

/// The values of the tensor `name`, which must have `shape`, to be changed where they are.
pub(crate) fn values_of_mut<'a>(
    parameters: &'a mut Parameters,
    name: &str,
    shape: &[usize],
) -> Result<&'a mut [f32], ParametersError> {
    values_of(parameters, name, shape)?;
    let values = parameters.values_mut(name);
    values.ok_or_else(|| ParametersError::Missing(name.to_owned()))
}

/// The values of the tensor `name`, which must have `shape`.
pub(crate) fn values_of<'a>(
    parameters: &'a Parameters,
    name: &str,
    shape: &[usize],
) -> Result<&'a [f32], ParametersError> {
    let tensor = parameters.require(name)?;
    if tensor.shape == shape && tensor.values.len() == shape.iter().product::<usize>() {
        Ok(&tensor.values)
    } else {
        let (name, shape, found) = (name.to_owned(), shape.to_vec(), tensor.values.len());
        Err(ParametersError::Shape { name, shape, found })
    }
}
