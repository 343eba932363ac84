use rand::Rng;

use super::examples::{Turn, counted, within_catalogue};
use super::{Layout, ModelPlan};
use crate::rank::by_popularity;
use crate::{Block, Delta, GoOn, Parameters, ParametersError, Step, TrainError, TrainingSet};

/// What every engine holds of a model of a plan that it opened.
pub struct Opened {
    /// The plan.
    pub plan: ModelPlan,
    /// The words of an update.
    pub layout: Layout,
    /// Items in the catalogue, m.
    pub items: usize,
    /// Published bounds of adaptive clipping.
    bounds: Option<Vec<f64>>,
    popularity: Result<Vec<f32>, ParametersError>,
    /// Nothing where nobody asked.
    go_on: Option<GoOn>,
}

/// How an engine learns from a history that is not empty, and holds items of the catalogue alone. `seed` decides what is drawn:
/// the same examples in every engine.
pub trait Learner {
    /// One round of one client: its update over the trained tensors, local minus published.
    ///
    /// # Errors
    /// [`TrainError::Numeric`] when a computation fails.
    fn learn(&self, history: &TrainingSet, seed: u64) -> Result<Delta, TrainError>;

    /// The mean loss of the published model on a fifth of the history, with a person that was rebuilt from the rest; nothing
    /// for a history of one item. On what a person was rebuilt from, a table of noise would look good.
    ///
    /// # Errors
    /// As [`Learner::learn`].
    fn report(&self, history: &TrainingSet, seed: u64) -> Result<Option<f64>, TrainError>;
}

impl Opened {
    /// Opens a model of `plan`.
    ///
    /// # Errors
    /// When the tensors do not match the plan.
    pub fn new(plan: &ModelPlan, parameters: &Parameters) -> Result<Self, ParametersError> {
        let items = plan.matches(parameters)?;
        let layout = Layout::new(plan, items);
        Ok(Self {
            bounds: layout.bounds(parameters)?,
            layout,
            items,
            popularity: by_popularity(parameters, items),
            plan: plan.clone(),
            go_on: None,
        })
    }

    /// [`Trainer::heed`](crate::Trainer::heed).
    pub fn heed(&mut self, go_on: GoOn) {
        self.go_on = Some(go_on);
    }

    /// Whether a [`Learner`] is to go on: asked between its epochs or batches, it ends early where the answer is no.
    pub fn goes_on(&self) -> bool {
        self.go_on.as_ref().is_none_or(|go_on| go_on())
    }

    /// `[m]`: the scores of somebody without a history.
    ///
    /// # Errors
    /// When the model's counts are not of its catalogue.
    pub fn popularity(&self) -> Result<Vec<f32>, TrainError> {
        Ok(self.popularity.clone()?)
    }

    /// [`Trainer::contribution`](crate::Trainer::contribution), of what `learner` computes.
    ///
    /// # Errors
    /// As there, and those of `learner`.
    pub fn contribution(
        &self,
        learner: &dyn Learner,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        rng: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        step.rows(self.items, block)?;
        within_catalogue(history, self.items)?;
        match step {
            Step::History | Step::Counts => Ok(counted(step, history, self.items)),
            Step::Update | Step::NoisedUpdate | Step::Check if history.is_empty() => {
                Ok(Delta::zeros(self.layout.length(step)))
            }
            Step::Update | Step::NoisedUpdate | Step::Check => {
                let turn = Turn::draw(step, &self.plan, rng);
                let report = turn.report.map(|seed| learner.report(history, seed));
                let loss = report.transpose()?.flatten();
                let learn = turn.learn.map(|seed| learner.learn(history, seed));
                let update = learn.transpose()?.unwrap_or_else(|| Delta::zeros(0));
                // Who learns stops early; what it has then is nothing.
                if !self.goes_on() {
                    return Err(TrainError::Stopped);
                }
                let bounds = self.bounds.as_deref();
                Ok(self.layout.contribution(step, update, loss, bounds))
            }
            Step::Gram | Step::Projection | Step::Gradient | Step::Head | Step::Ranks => {
                Err(TrainError::Step(step))
            }
        }
    }
}
