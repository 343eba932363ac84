//! Models that clients train by gradient steps, described by a plan.

mod check;
mod examples;
mod fused;
mod guard;
mod layout;
mod matching;
mod opened;
mod plan;
mod server;
mod source;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::possible::{check_owners, check_units};
use crate::recipe::{check, normal_table, tensor, values_of_mut};
use crate::{
    Features, ItemFeatures, LearnError, Learning, MeanDelta, Parameters, RecipeError, Step, Sum,
};

pub use examples::{Examples, Turn, within_catalogue};
pub(crate) use fused::open;
pub use guard::Guard;
use guard::Verdict;
pub(crate) use guard::note;
pub use layout::{ClipGroup, LARGEST_LOSS, Layout, Placed};
pub use opened::{Learner, Opened};
pub use plan::{
    AdaptiveClip, Architecture, Catalogue, ClientPlan, Dimension, Initial, Loss, ModelPlan,
    Optimiser, PersonPlan, Schedule, ServerPlan, TensorPlan,
};
pub use source::ModelSource;

/// A model that clients train by gradient steps: `models/*/model.toml` over one catalogue.
///
/// Sums: without noise `history`, then `update-1` to `update-R`, then `check`, in which clients report on the last model;
/// with noise `counts`, then the updates, everyone once in each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedRecipe {
    /// Items in the catalogue, m.
    pub items: usize,
    /// Update sums, R.
    pub rounds: usize,
    /// The plan, or in a task file the file it stands in.
    pub model: ModelSource,
    /// Whether the sums are made for noise. A task file leaves it out: its privacy decides.
    #[serde(default)]
    pub noise: bool,
    /// f0: with noise, the share of the budget, of mu^2, for the counts; in (0, 1). The updates share the rest equally.
    #[serde(default = "tenth")]
    pub counts_share: f64,
    /// What is publicly known about the items, for tensors whose `initial` is `features`; in a task file the name of the
    /// file it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// The module of a `torchscript` model, bytes as text of two digits each; of another none. A task file leaves it out: it lies
    /// beside the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

/// L2 bound of the sum `history`: as of `ials`.
const HISTORY_CLIP: f64 = 2048.0;

fn tenth() -> f64 {
    0.1
}

impl TrainedRecipe {
    /// A recipe without noise.
    pub fn new(items: usize, rounds: usize, plan: ModelPlan) -> Self {
        Self {
            items,
            rounds,
            model: ModelSource::Plan(Box::new(plan)),
            noise: false,
            counts_share: tenth(),
            features: None,
            module: None,
        }
    }

    /// Puts in the module that the plan names.
    pub fn set_module(&mut self, module: &[u8]) {
        self.module = Some(source::digits(module));
    }

    /// The plan.
    ///
    /// # Errors
    /// While it is still in the file that a task file names.
    pub fn plan(&self) -> Result<&ModelPlan, RecipeError> {
        match &self.model {
            ModelSource::Plan(plan) => Ok(plan),
            ModelSource::File(_) => Err(RecipeError {
                field: "model".into(),
                problem: "names a file that was not read: put the plan itself here".into(),
            }),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), RecipeError> {
        check(
            (1..=1 << 24).contains(&self.items),
            "items",
            "must be between 1 and 16777216",
        )?;
        check(
            (1..=100_000).contains(&self.rounds),
            "rounds",
            "must be between 1 and 100000",
        )?;
        check(
            self.counts_share > 0.0 && self.counts_share < 1.0,
            "counts_share",
            "must be above 0 and below 1",
        )?;
        let plan = self.plan()?;
        plan.validate().map_err(|error| RecipeError {
            field: format!("model.{}", error.field).into(),
            problem: error.problem,
        })?;
        self.check_features(plan)?;
        let module = self.module.as_deref().map(source::bytes);
        check(
            module.is_some() == plan.module.is_some() && module != Some(None),
            "module",
            "must be the bytes of the module of a `torchscript` model, 2 MB of digits at most, and is left out of others",
        )?;
        let module = module.flatten();
        check(
            module.as_deref().map(matching::digest_of) == plan.module,
            "module",
            "is not the file whose SHA-256 the plan names in `module`: put in the one that scripts/export_model.py printed",
        )
    }

    /// Tensors that hold features have columns for all of them.
    fn check_features(&self, plan: &ModelPlan) -> Result<(), RecipeError> {
        let columns = plan.tensors.iter().filter_map(|tensor| {
            let holds = tensor.initial == Initial::Features;
            holds.then(|| tensor.resolved(1).into_iter().product::<usize>())
        });
        let least = columns.min();
        match (&self.features, least) {
            (None, None) => Ok(()),
            (Some(Features::Table(features)), Some(columns)) => {
                check(
                    features.items() <= self.items,
                    "features",
                    "name an item outside of the catalogue",
                )?;
                check(
                    features.names().len() <= columns,
                    "features",
                    "are more than the columns of the tensor that holds them",
                )
            }
            (Some(Features::File(_)), Some(_)) => check(
                false,
                "features",
                "names a file that was not read: put the features themselves here",
            ),
            (None, Some(_)) => check(
                false,
                "features",
                "is missing: a tensor of the model is to hold them",
            ),
            (Some(_), None) => check(
                false,
                "features",
                "must be left out: no tensor of the model holds them",
            ),
        }
    }

    /// Nothing while the plan is not read, which [`TrainedRecipe::validate`] refuses.
    fn layout(&self) -> Option<(&ModelPlan, Layout)> {
        let plan = self.plan().ok()?;
        Some((plan, Layout::new(plan, self.items)))
    }

    pub(crate) fn factors(&self) -> usize {
        self.plan().map_or(0, ModelPlan::factors)
    }

    pub(crate) fn sums(&self) -> Vec<Sum> {
        let Some((_, layout)) = self.layout() else {
            return Vec::new();
        };
        let sum = |name: String, step: Step, share: f64| Sum {
            name,
            step,
            block: None,
            length: layout.length(step),
            clip: layout.clip(step),
            share,
            groups: layout.clip_groups(step),
        };
        let plain = |name: &str, step: Step, clip: f64, share: f64| Sum {
            length: step.length(self.items, 0, None),
            clip,
            groups: Vec::new(),
            ..sum(name.to_owned(), step, share)
        };
        let update = |round: usize| {
            let name = format!("update-{round}");
            match self.noise {
                true => {
                    let share = (1.0 - self.counts_share) / self.rounds as f64;
                    sum(name, Step::NoisedUpdate, share)
                }
                false => sum(name, Step::Update, 0.0),
            }
        };
        let updates = (1..=self.rounds).map(update);
        if self.noise {
            let counts = plain("counts", Step::Counts, 1.0, self.counts_share);
            return std::iter::once(counts).chain(updates).collect();
        }
        let history = plain("history", Step::History, HISTORY_CLIP, 0.0);
        let last = sum("check".to_owned(), Step::Check, 0.0);
        std::iter::once(history)
            .chain(updates)
            .chain([last])
            .collect()
    }

    pub(crate) fn start(&self, rng: &mut impl Rng) -> Learning {
        let (mut parameters, mut state) = (Parameters::default(), Parameters::default());
        parameters.set("counts", tensor(&[self.items], vec![0.0; self.items]));
        let Some((plan, layout)) = self.layout() else {
            return Learning { parameters, state };
        };
        for tensor in &plan.tensors {
            let shape = tensor.resolved(self.items);
            let start = match (tensor.initial, &self.features) {
                (Initial::Features, Some(Features::Table(features))) => filled(features, &shape),
                (initial, _) => initial.draw(&shape, rng),
            };
            parameters.set(&tensor.name, start);
        }
        if plan.adaptive.is_some() {
            let bounds = layout.groups().iter().map(|(_, bound)| *bound);
            parameters.set("clip", tensor(&[layout.groups().len()], bounds));
        }
        plan.server.start(layout.trained(), &mut state);
        if let Some(module) = self.module.as_deref().and_then(source::bytes) {
            parameters.set_module(module);
        }
        parameters.set_plan(plan.clone());
        Learning { parameters, state }
    }

    pub(crate) fn apply(
        &self,
        mut learning: Learning,
        sum_index: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<Learning, LearnError> {
        let Some((plan, layout)) = self.layout() else {
            return Ok(learning);
        };
        let clients = delta.clients as f64;
        let Some(round) = sum_index.checked_sub(1) else {
            match self.noise {
                true => check_units(&delta.sum, delta.clients, delta.noise)?,
                false => check_owners(&delta.sum, delta.clients)?,
            }
            let scale = population as f64 / clients;
            let counts = values_of_mut(&mut learning.parameters, "counts", &[self.items])?;
            for (count, sum) in counts.iter_mut().zip(&delta.sum) {
                *count = (sum * scale).max(0.0) as f32;
            }
            return Ok(learning);
        };
        let step = match (self.noise, round < self.rounds) {
            (true, _) => Step::NoisedUpdate,
            (false, true) => Step::Update,
            (false, false) => Step::Check,
        };
        let guard = plan.server.guard;
        let (report, within) = layout.after(step, &delta.sum, delta.clients);
        let Learning { parameters, state } = &mut learning;
        let verdict = guard.judge(&layout, step, delta, report, parameters, state)?;
        let Verdict::Good(factor) = verdict else {
            return Ok(learning);
        };
        if step == Step::Check {
            return Ok(learning);
        }
        let mut mean: Vec<f64> = delta.sum.iter().map(|sum| sum / clients).collect();
        mean.truncate(layout.trained());
        guard.cut(&layout, &mut mean, state)?;
        if let (Some(adaptive), Some(bounds)) = (plan.adaptive, layout.bounds(parameters)?) {
            for ((words, _), bound) in layout.groups().iter().zip(&bounds) {
                let cells = mean.get_mut(words.clone()).unwrap_or_default();
                cells.iter_mut().for_each(|cell| *cell *= bound);
            }
            let moved = bounds.iter().zip(&within);
            let moved = moved.map(|(bound, within)| adaptive.moved(*bound, *within));
            parameters.set("clip", tensor(&[bounds.len()], moved));
        }
        let factor = factor * plan.server.schedule.factor(round, self.rounds);
        plan.server
            .step(&layout, parameters, state, &mean, factor)?;
        Ok(learning)
    }
}

/// The features in a tensor `[items, columns]` that has room for them.
fn filled(features: &ItemFeatures, shape: &[usize]) -> crate::Tensor {
    let columns = shape.iter().skip(1).product::<usize>();
    let mut start = tensor(shape, std::iter::repeat_n(0.0, shape.iter().product()));
    for (item, feature, weight) in features.entries() {
        let place = *item as usize * columns + *feature as usize;
        if let Some(cell) = start.values.get_mut(place) {
            *cell = *weight;
        }
    }
    start
}

impl AdaptiveClip {
    /// C exp(-eta (b - gamma)), with the noisy share b brought back to a share.
    fn moved(self, bound: f64, within: f64) -> f64 {
        bound * (-self.step_size * (within.clamp(0.0, 1.0) - self.quantile)).exp()
    }
}

impl Initial {
    fn draw(self, shape: &[usize], rng: &mut impl Rng) -> crate::Tensor {
        let length: usize = shape.iter().product();
        match self {
            Self::Zeros | Self::Features => tensor(shape, std::iter::repeat_n(0.0, length)),
            Self::Constant(value) => tensor(shape, std::iter::repeat_n(value, length)),
            Self::Normal(deviation) => crate::Tensor {
                shape: shape.to_vec(),
                ..normal_table(length, 1, deviation, rng)
            },
            Self::Uniform(most) => {
                let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                let values: Vec<f64> = (0..length)
                    .map(|_| most * (2.0 * uniform() - 1.0))
                    .collect();
                tensor(shape, values)
            }
        }
    }
}
