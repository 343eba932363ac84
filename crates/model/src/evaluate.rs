//! Evaluation of a model by its own clients, while it learns.

use serde::{Deserialize, Serialize};

use crate::recipe::{check, tensor};
use crate::{
    Interval, LearnError, Learning, MeanDelta, Measured, Parameters, Ranks, Recipe, RecipeError,
    Step, Sum,
};

/// How a task is evaluated by its clients: each leaves its newest item out of all that it adds, and says in sums of
/// [`Step::Ranks`] where the model ranks that item.
///
/// A version that such a sum finds worse than the best one so far is not gone on with: that one takes its place again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// Rounds from one sum of ranks to the next; of `ials-private` sweeps. The last model is measured whatever this says.
    #[serde(default = "default_every")]
    pub every: usize,
    /// With noise, the share of the privacy budget, of mu^2, that all sums of ranks are charged together; left out: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

fn default_every() -> usize {
    5
}
/// Share of the sums of ranks where nothing else is said.
const SHARE: f64 = 0.05;
/// What names in the state begin with that are of the best model so far, and then: its tensors, its own state, the number of the
/// sum of ranks that found it so.
const CHECKED: &str = "checked:";
const PARAMETERS: &str = "checked:model:";
const STATE: &str = "checked:state:";
const FOUND: &str = "checked:found";
/// The highest low end of each figure so far.
const GAINS: &str = "checked:gains";

/// What a sum made of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The next version.
    pub learning: Learning,
    /// The number of the sum that the task goes on with.
    pub next: usize,
    /// Of a sum of ranks, what may be shown of it.
    pub measured: Option<Measured>,
    /// The next version is the best one so far again: the number of the sum of ranks that found it so.
    pub back: Option<usize>,
    /// Anything out of the ordinary, in words.
    pub note: Option<String>,
}

impl Evaluate {
    /// Checks every field against the recipe.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self, recipe: &Recipe) -> Result<(), RecipeError> {
        check(
            (1..=100_000).contains(&self.every),
            "every",
            "must be between 1 and 100000 rounds",
        )?;
        check(
            self.share.is_none() || recipe.is_private(),
            "share",
            "is of a privacy budget, and this task has none: leave it out",
        )?;
        check(
            self.share.is_none_or(|share| share > 0.0 && share <= 0.5),
            "share",
            "must be above 0 and at most 0.5 of the privacy budget",
        )
    }

    /// The sums of the recipe with those of ranks between them. Shares of the budget add up to what they did.
    pub fn sums(&self, recipe: &Recipe) -> Vec<Sum> {
        let rests = recipe.rests();
        let measures = |index: usize| {
            let place = rests.iter().position(|rest| *rest == index);
            place.is_some_and(|place| {
                (place + 1).is_multiple_of(self.every) || place + 1 == rests.len()
            })
        };
        let learned = recipe.sums();
        let times = (0..learned.len()).filter(|index| measures(*index)).count();
        let share = match recipe.is_private() {
            true => self.share.unwrap_or(SHARE),
            false => 0.0,
        };
        let mut sums = Vec::with_capacity(learned.len() + times);
        let mut number = 0;
        for (index, mut sum) in learned.into_iter().enumerate() {
            sum.share *= 1.0 - share;
            sums.push(sum);
            if measures(index) {
                number += 1;
                sums.push(Sum {
                    name: format!("ranks-{number}"),
                    step: Step::Ranks,
                    block: None,
                    length: Step::Ranks.length(recipe.items(), 0, None),
                    clip: 1.0,
                    share: share / times as f64,
                    groups: Vec::new(),
                });
            }
        }
        sums
    }
}

impl Recipe {
    /// The sums of a task that may be evaluated, in order.
    pub fn sums_with(&self, evaluate: Option<&Evaluate>) -> Vec<Sum> {
        evaluate.map_or_else(|| self.sums(), |evaluate| evaluate.sums(self))
    }

    /// What sum number `index` of [`Recipe::sums_with`] makes of the task: [`Recipe::apply`], or of ranks a judgement of the
    /// model. Where clients rank their newest items worse than with the best model so far, so that the intervals of three
    /// deviations of both do not meet, that model takes its place again; the sums that are left go on from it, and where they
    /// cannot the task has no more.
    ///
    /// # Errors
    /// As [`Recipe::apply`].
    pub fn learn(
        &self,
        evaluate: Option<&Evaluate>,
        learning: Learning,
        index: usize,
        delta: &MeanDelta,
        population: usize,
    ) -> Result<Learned, LearnError> {
        let sums = self.sums_with(evaluate);
        let ranks = |sums: &[Sum]| sums.iter().filter(|sum| sum.step == Step::Ranks).count();
        if sums.get(index).is_some_and(|sum| sum.step == Step::Ranks) {
            return Ok(self.judge(learning, index, delta, &sums));
        }
        let own = index - sums.get(..index).map_or(0, ranks);
        let learning = self.apply(learning, own, delta, population)?;
        Ok(Learned {
            note: self.note(&learning, own),
            learning,
            next: index + 1,
            measured: None,
            back: None,
        })
    }

    /// A sum of ranks changes no model. `sums`: of the whole task.
    fn judge(
        &self,
        mut learning: Learning,
        index: usize,
        delta: &MeanDelta,
        sums: &[Sum],
    ) -> Learned {
        let (mut next, mut back, mut note) = (index + 1, None, None);
        let ranks = Ranks::read(delta);
        match ranks.as_ref().and_then(Ranks::gains) {
            None => {
                let words = "no clients could have these ranks: nothing was measured, and this model was not checked";
                note = Some(words.to_owned());
            }
            Some(gains) if is_worse(gains, &learning.state) => {
                let found = restore(&mut learning);
                let name = sums.get(found).map_or("", |sum| sum.name.as_str());
                let mut words = format!(
                    "clients' newest items rank worse than in `{name}`, whose model is published again"
                );
                if !self.goes_back() && next < sums.len() {
                    next = sums.len();
                    words += "; the sums that were left cannot go on from it";
                }
                (back, note) = (Some(found), Some(words));
            }
            Some(gains) => keep(&mut learning, gains, index),
        }
        Learned {
            learning,
            next,
            measured: ranks.and_then(|ranks| ranks.measured(self.items())),
            back,
            note,
        }
    }
}

/// The highest low end of each figure so far.
fn best(state: &Parameters) -> Option<[f32; 2]> {
    state.get(GAINS)?.values.as_slice().try_into().ok()
}

/// Whether one of the figures lies below the best so far with its whole interval. The best of many is best by chance, too: its low
/// end is what it has left when chance is taken away, so no allowance for the number of versions is made.
fn is_worse(gains: [Interval; 2], state: &Parameters) -> bool {
    let pairs = |best| gains.into_iter().zip::<[f32; 2]>(best);
    best(state).is_some_and(|best| pairs(best).any(|(gain, best)| gain.high < f64::from(best)))
}

/// Remembers the figures where they are the best so far; and the model and its state, where its sampled figure is.
fn keep(learning: &mut Learning, gains: [Interval; 2], index: usize) {
    let before = best(&learning.state);
    let [sampled, full] = gains.map(|gain| gain.low as f32);
    let highest = before.map_or([sampled, full], |[most, of_all]| {
        [most.max(sampled), of_all.max(full)]
    });
    let state = &mut learning.state;
    if before.is_none_or(|[most, _]| sampled > most) {
        let mut now = Parameters::default();
        for (name, tensor) in state.iter().filter(|(name, _)| !name.starts_with(CHECKED)) {
            now.set(name, tensor.clone());
            now.set(&format!("{STATE}{name}"), tensor.clone());
        }
        for (name, tensor) in learning.parameters.iter() {
            now.set(&format!("{PARAMETERS}{name}"), tensor.clone());
        }
        now.set(FOUND, tensor(&[1], [index as f64]));
        *state = now;
    }
    state.set(GAINS, tensor(&[2], highest.map(f64::from)));
}

/// Goes back to the best model so far and its state, which stay remembered: the number of the sum of ranks that found it so.
fn restore(learning: &mut Learning) -> usize {
    let Learning { parameters, state } = learning;
    let current: Vec<String> = parameters.iter().map(|(name, _)| name.to_owned()).collect();
    current.iter().for_each(|name| parameters.remove(name));
    let mut restored = Parameters::default();
    for (name, tensor) in state.iter().filter(|(name, _)| name.starts_with(CHECKED)) {
        restored.set(name, tensor.clone());
        if let Some(name) = name.strip_prefix(PARAMETERS) {
            parameters.set(name, tensor.clone());
        } else if let Some(name) = name.strip_prefix(STATE) {
            restored.set(name, tensor.clone());
        }
    }
    *state = restored;
    let found = state.get(FOUND).and_then(|found| found.values.first());
    found.map_or(0, |found| *found as usize)
}
