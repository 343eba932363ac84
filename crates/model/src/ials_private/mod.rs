mod popularity;
mod prior;
mod sums;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::algebra::symmetric;
use crate::possible::check_units;
use crate::recipe::{check, check_shape, normal_table, positive, tensor, values_of};
use crate::table::{Table, basis, eigen};
use crate::{
    ItemFeatures, LearnError, Learning, MeanDelta, Parameters, ParametersError, RecipeError,
};
use popularity::{Content, Popularity, median_norm, ones};
use prior::{Noisy, posterior};

/// An item table with user-level differential privacy from 2T + 1 noised sums, everyone once in each: ials-private.md.
///
/// Sums: `counts`, then `gram-t` and `projection-t` for t = 1..T. Every client vector has L2 norm 1, or 0, by
/// construction, so the noise of a sum is ruled by its share of the budget alone. What the coordinator does with the
/// sums costs no privacy. The constants were chosen on a validation split of ml-1m without noise, not on the data it
/// runs on, and nothing is charged for that choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IalsPrivateRecipe {
    /// Items in the catalogue, m.
    pub items: usize,
    /// Directions that a projection learns, r. A task file may leave it out: [`IalsPrivateRecipe::settle`].
    #[serde(default)]
    pub factors: usize,
    /// Gram and projection pairs, T. A task file may leave it out.
    #[serde(default)]
    pub sweeps: usize,
    /// f0: share of the budget, of mu^2, for the counts; in (0, 1); left out: 0.1. A task file that leaves it out gets what
    /// fits its epsilon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_share: Option<f64>,
    /// lambda of the ridge that solves a person's vector.
    #[serde(default = "default_regularisation")]
    pub regularisation: f64,
    /// Weight of the unseen items; left out: 8.5 L / items, with L the typical history length from the noisy counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha0: Option<f64>,
    /// k: an item's row leaves what is expected of such an item only when its released weighted count is at least
    /// k / sqrt(L), and two standard deviations of the count's noise.
    #[serde(default = "default_row_threshold")]
    pub row_threshold: f64,
    /// What is publicly known about the items; left out: nothing, and learning starts at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
}

/// Where public item features stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Features {
    /// In a file that a task file names, to be read before the task is used.
    File(String),
    /// Here.
    Table(ItemFeatures),
}

/// alpha0 = this * L / items with sqrt(L) = sum c / n: 0.3 on ml-1m (ials-private.md, sum 0).
const ALPHA0_RULE: f64 = 8.5;
/// alpha0 before anything is known; no step reads it.
const ALPHA0_PROVISIONAL: f64 = 0.3;
/// Eigenvalues of the noisy Gram below this share of the largest are raised to it.
const EIGENVALUE_FLOOR: f64 = 0.02;
/// What is left of a direction that is known already, in what clients send of their histories.
const DAMPING: f64 = 0.4;
/// Known directions besides popularity, at most.
const KNOWN: usize = 24;
/// Share of a sweep's budget that its Gram gets.
const GRAM_SHARE: f64 = 0.05;
/// Share of the sweeps' budget that the first one gets where there are several.
const FIRST_SWEEP: f64 = 0.35;
/// Weight of the feature columns in the table.
const FEATURE_WEIGHT: f64 = 0.5;
/// Weight of the features where nothing else was learned: what served them best on the validation split.
const CONTENT_WEIGHT: f64 = 3.0;

fn default_regularisation() -> f64 {
    0.021
}
/// Share of the counts where nothing else is said.
const COUNTS_SHARE: f64 = 0.1;

fn default_row_threshold() -> f64 {
    20.0
}

impl IalsPrivateRecipe {
    /// The published plan for a privacy bound: T = 2 and r = 16 under epsilon 6, else T = 3 and r = 24.
    pub fn for_epsilon(items: usize, epsilon: f64) -> Self {
        let mut recipe = Self::new(items, 0, 0);
        recipe.settle(epsilon);
        recipe
    }

    /// The recipe with the published constants, without features.
    pub fn new(items: usize, factors: usize, sweeps: usize) -> Self {
        Self {
            items,
            factors,
            sweeps,
            counts_share: None,
            regularisation: default_regularisation(),
            alpha0: None,
            row_threshold: default_row_threshold(),
            features: None,
        }
    }

    /// Fills in what was left out for this privacy bound: `factors` and `sweeps` of 0, and `counts_share`.
    pub fn settle(&mut self, epsilon: f64) {
        let (sweeps, factors) = if epsilon < 6.0 { (2, 16) } else { (3, 24) };
        if self.sweeps == 0 {
            self.sweeps = sweeps;
        }
        if self.factors == 0 {
            self.factors = factors;
        }
        self.counts_share
            .get_or_insert((0.2 / epsilon).clamp(0.1, 0.2));
    }

    /// The features, where there are some.
    pub(crate) fn table(&self) -> Option<&ItemFeatures> {
        match &self.features {
            Some(Features::Table(table)) => Some(table),
            Some(Features::File(_)) | None => None,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), RecipeError> {
        check_shape(self.items, self.factors, self.regularisation, self.alpha0)?;
        check(
            self.factors <= 128,
            "factors",
            "must be at most 128 with noise",
        )?;
        check(
            (1..=20).contains(&self.sweeps),
            "sweeps",
            "must be between 1 and 20",
        )?;
        check(
            self.counts_share
                .is_none_or(|share| positive(share) && share < 1.0),
            "counts_share",
            "must be above 0 and under 1, or left out",
        )?;
        check(
            self.row_threshold.is_finite() && self.row_threshold >= 0.0,
            "row_threshold",
            "must be 0 or more",
        )?;
        check(
            !matches!(self.features, Some(Features::File(_))),
            "features",
            "names a file that was not read: only `chorus task create` reads it",
        )?;
        check(
            self.table().is_none_or(|table| table.items() <= self.items),
            "features",
            "has an item outside the catalogue: items are numbered from 0",
        )
    }

    pub(crate) fn start(&self, rng: &mut impl Rng) -> Learning {
        let mut parameters = Parameters::default();
        let table = match self.table() {
            Some(features) => Content::start(features, self.items).tensor(),
            None => normal_table(self.items, self.factors, 1.0, rng),
        };
        parameters.set("items", table);
        parameters.set("counts", tensor(&[self.items], vec![0.0; self.items]));
        parameters.set_scalar("alpha0", self.alpha0.unwrap_or(ALPHA0_PROVISIONAL) as f32);
        parameters.set_scalar("regularisation", self.regularisation as f32);
        parameters.set_scalar("start", 1.0);
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
        check_units(&delta.sum, delta.clients, delta.noise)?;
        match sum_index.checked_sub(1) {
            None => self.counts(&mut learning, delta, population)?,
            Some(index) if index % 2 == 0 => {
                self.whiten(&mut learning, index / 2, delta, population)?
            }
            Some(index) => self.project(&mut learning, index / 2, delta, population)?,
        }
        Ok(learning)
    }

    /// Counts c, alpha0, and the start V: the features, or a random table, without their mean.
    fn counts(
        &self,
        learning: &mut Learning,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<(), LearnError> {
        let scale = scale(delta, population);
        let released: Vec<f64> = delta.sum.iter().map(|count| scale * count).collect();
        learning
            .state
            .set("released", tensor(&[self.items], released));
        learning
            .state
            .set_scalar("released_noise", (scale * delta.noise) as f32);
        let popularity = self.popularity(learning, population)?;
        let table = match self.table() {
            Some(features) => Content::new(features, &popularity)?.plain,
            None => {
                let drawn = matrix(&learning.parameters, "items", self.items, self.factors)?;
                drawn
                    .weighted(&popularity.shrink)
                    .centred(&popularity.counts)
            }
        };
        let parameters = &mut learning.parameters;
        parameters.set("items", table.tensor());
        let alpha0 = ALPHA0_RULE * popularity.length / self.items as f64;
        parameters.set_scalar("alpha0", self.alpha0.unwrap_or(alpha0) as f32);
        parameters.set("counts", tensor(&[self.items], popularity.counts));
        Ok(())
    }

    /// What the released counts say, from the state.
    fn popularity(&self, learning: &Learning, population: usize) -> Result<Popularity, LearnError> {
        let released = values_of(&learning.state, "released", &[self.items])?;
        let noise = f64::from(learning.state.scalar("released_noise")?);
        Ok(Popularity::new(
            released,
            noise,
            population,
            self.row_threshold,
        ))
    }

    /// Q w^(-1/2) of the noisy Gram, and the known directions Qb with their gains. Qb is zero in the rows of items that
    /// the projection is not about: the client leaves those out of its history.
    fn whiten(
        &self,
        learning: &mut Learning,
        sweep: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<(), LearnError> {
        let side = self.width(sweep);
        let mean = scale(delta, population) / population as f64;
        let root = std::f64::consts::FRAC_1_SQRT_2;
        let cells = (0..side)
            .flat_map(|row| (row..side).map(move |column| if row == column { 1.0 } else { root }));
        let cells = cells.zip(&delta.sum).map(|(undo, cell)| undo * cell);
        let (values, vectors) = eigen(symmetric(cells, side, mean))?;
        let largest = values.first().copied().unwrap_or(0.0);
        let noise_floor = 2.0 * delta.noise * mean * (side as f64).sqrt();
        let floor = (EIGENVALUE_FLOOR * largest)
            .max(noise_floor)
            .max(f64::EPSILON);
        let weights: Vec<f64> = values
            .iter()
            .map(|value| 1.0 / value.max(floor).sqrt())
            .collect();
        let kept = vectors
            .first(self.rank(sweep))
            .transposed()
            .weighted(&weights);
        learning.parameters.set("whitening", kept.tensor());

        let popularity = self.popularity(learning, population)?;
        let counts = Table::of(self.items, 1, popularity.counts.iter().copied());
        let known = match self.foretold(learning, sweep, &popularity)? {
            None => counts,
            Some(foretold) => {
                let (values, vectors) = eigen(foretold.gram(std::iter::repeat(1.0)))?;
                let inverse = values
                    .iter()
                    .map(|value| 1.0 / value.max(f64::MIN_POSITIVE).sqrt());
                let leading = vectors
                    .first(KNOWN)
                    .transposed()
                    .weighted(&inverse.collect::<Vec<_>>());
                counts.beside(&foretold.times(&leading.transposed()))
            }
        };
        let known = basis(&known.weighted(&ones(&popularity.taught())));
        let gains = (0..known.columns()).map(|place| if place == 0 { 0.0 } else { DAMPING });
        learning
            .parameters
            .set("gains", tensor(&[known.columns()], gains));
        learning.parameters.set("known", known.tensor());
        Ok(())
    }

    /// `sub` of the design: the span in which the next projection is foretold; nothing at a random start.
    fn foretold(
        &self,
        learning: &Learning,
        sweep: usize,
        popularity: &Popularity,
    ) -> Result<Option<Table>, LearnError> {
        let table = matrix(&learning.parameters, "items", self.items, self.width(sweep))?;
        Ok(match sweep.checked_sub(1) {
            Some(before) => Some(table.first(self.rank(before))),
            None => self.table().map(|_| table.weighted(&popularity.counts)),
        })
    }

    /// Amplifies the damped directions back, and makes the next table by empirical Bayes from the released sums alone.
    fn project(
        &self,
        learning: &mut Learning,
        sweep: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<(), LearnError> {
        let (scale, rank) = (scale(delta, population), self.rank(sweep));
        let sum = Table::of(
            self.items,
            rank,
            delta.sum.iter().map(|value| scale * value),
        );
        let known = learning.parameters.require("known")?;
        let width = known.shape.get(1).copied().unwrap_or(0);
        let known = matrix(&learning.parameters, "known", self.items, width)?;
        let gains = values_of(&learning.parameters, "gains", &[width])?;
        let more: Vec<f64> = gains
            .iter()
            .map(|gain| f64::from(*gain))
            .map(|gain| if gain > 0.0 { 1.0 / gain - 1.0 } else { 0.0 })
            .collect();
        let amplified = known.times(&known.transposed_times(&sum).weighted(&more));
        let sum = sum.plus(&amplified);
        learning
            .state
            .set(&format!("projection-{}", sweep + 1), sum.tensor());
        let noise = (scale * delta.noise) as f32;
        learning
            .state
            .set_scalar(&format!("projection-{}-noise", sweep + 1), noise);

        let last = sweep + 1 == self.sweeps;
        let from = if last { 0 } else { sweep };
        let sums = (from..=sweep)
            .map(|sweep| self.noisy(learning, sweep))
            .collect::<Result<Vec<_>, _>>()?;
        let popularity = self.popularity(learning, population)?;
        let content = self
            .table()
            .map(|features| Content::new(features, &popularity))
            .transpose()?;
        let rows = posterior(
            &sums,
            &popularity,
            content.as_ref().map(|content| &content.rich),
        )?;
        let table = shown(rows, &popularity, content.as_ref());
        let parameters = &mut learning.parameters;
        parameters.set("items", table.tensor());
        for name in ["whitening", "known", "gains", "start"] {
            parameters.remove(name);
        }
        Ok(())
    }

    /// A projection that was released, from the state.
    fn noisy(&self, learning: &Learning, sweep: usize) -> Result<Noisy, LearnError> {
        let name = format!("projection-{}", sweep + 1);
        let sum = matrix(&learning.state, &name, self.items, self.rank(sweep))?;
        let noise = f64::from(learning.state.scalar(&format!("{name}-noise"))?);
        Ok(Noisy { sum, noise })
    }

    /// The model that needs the counts alone, \[3 F c/(c+A) | s sqrt(c / max c)\]: features and noisy popularity with the
    /// same ridge on the device.
    /// Nothing without features, or before anything was counted.
    ///
    /// `parameters`: any model of this recipe after the counts.
    ///
    /// # Errors
    /// When the model is not of this recipe.
    pub(crate) fn content_alone(
        &self,
        parameters: &Parameters,
    ) -> Result<Option<Parameters>, LearnError> {
        let counts = values_of(parameters, "counts", &[self.items])?;
        let (Some(features), true) = (self.table(), counts.iter().any(|count| *count > 0.0)) else {
            return Ok(None);
        };
        let popularity = Popularity::from_counts(counts);
        let shrink = popularity.shrink.iter();
        let weights: Vec<f64> = shrink.map(|shrink| CONTENT_WEIGHT * shrink).collect();
        let table = Content::new(features, &popularity)?
            .plain
            .weighted(&weights);
        let size = median_norm(&table, &popularity.counts);
        let table = table.beside(&popularity.column(size));
        let mut alone = Parameters::default();
        alone.set("items", table.tensor());
        for name in ["counts", "alpha0", "regularisation"] {
            alone.set(name, parameters.require(name)?.clone());
        }
        Ok(Some(alone))
    }
}

/// [ P c/(c+A) | 0.5 s F sqrt(c/(c+A)) | s sqrt(c / max c) ]: learned rows, features and popularity, brought to one scale.
fn shown(rows: Table, popularity: &Popularity, content: Option<&Content>) -> Table {
    let learned = rows.weighted(&popularity.shrink);
    let size = median_norm(&learned, &popularity.counts);
    let column = popularity.column(size);
    let Some(content) = content else {
        return learned.beside(&column);
    };
    let roots: Vec<f64> = popularity
        .shrink
        .iter()
        .map(|shrink| shrink.sqrt())
        .collect();
    let features = content.plain.clone().weighted(&roots);
    let own = median_norm(&features, &popularity.counts);
    let factor = FEATURE_WEIGHT * size / own;
    let features = features.weighted(&vec![factor; popularity.counts.len()]);
    learned.beside(&features).beside(&column)
}

/// Those who dropped out are assumed to be like those who stayed: sums and their noise grow alike.
fn scale(delta: &MeanDelta, population: usize) -> f64 {
    population as f64 / delta.clients.max(1) as f64
}

/// The tensor `name`, which must have this shape, as a table.
fn matrix(
    parameters: &Parameters,
    name: &str,
    rows: usize,
    columns: usize,
) -> Result<Table, ParametersError> {
    let values = values_of(parameters, name, &[rows, columns])?;
    Ok(Table::of(
        rows,
        columns,
        values.iter().copied().map(f64::from),
    ))
}
