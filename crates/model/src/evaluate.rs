//! Evaluation of a model by its own clients, while it learns.

use serde::{Deserialize, Serialize};

use crate::recipe::{check, tensor};
use crate::{
    LearnError, Learning, MeanDelta, Measured, Parameters, Ranks, Recipe, RecipeError, Step, Sum,
};

/// How a task is evaluated by its clients: each leaves its newest item out of all that it adds, and says in sums of
/// [`Step::Ranks`] where the model ranks that item.
///
/// A version that such a sum finds worse than the last good one is not gone on with: that one takes its place again.
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
/// What names in the state begin with that are of the last good model, and then: its tensors, its own state, its figures.
const CHECKED: &str = "checked:";
const PARAMETERS: &str = "checked:model:";
const STATE: &str = "checked:state:";
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
    /// The next version is the last good one again.
    pub is_back: bool,
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
    /// model. Where clients rank their newest items worse than with the last good model, by more than both 95 % intervals, that
    /// model takes its place again; the sums that are left go on from it, and where they cannot the task has no more.
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
            return Ok(self.judge(learning, index, delta, sums.len()));
        }
        let own = index - sums.get(..index).map_or(0, ranks);
        let learning = self.apply(learning, own, delta, population)?;
        Ok(Learned {
            note: self.note(&learning, own),
            learning,
            next: index + 1,
            measured: None,
            is_back: false,
        })
    }

    /// A sum of ranks changes no model. `sums`: of the whole task.
    fn judge(
        &self,
        mut learning: Learning,
        index: usize,
        delta: &MeanDelta,
        sums: usize,
    ) -> Learned {
        let (mut next, mut is_back, mut note) = (index + 1, false, None);
        let ranks = Ranks::read(delta);
        let gains = ranks.as_ref().map(|ranks| {
            let gains = ranks.gains();
            let [sampled, full] = gains.map(|gain| [gain.mean, gain.within]);
            [sampled[0], sampled[1], full[0], full[1]]
        });
        match gains {
            None => {
                let words = "no clients could have these ranks: nothing was measured, and this model was not checked";
                note = Some(words.to_owned());
            }
            Some(gains) if is_worse(gains, &learning.state) => {
                restore(&mut learning);
                is_back = true;
                let mut words = "clients' newest items rank worse than with the last good model, which is published again"
                    .to_owned();
                if !self.goes_back() && next < sums {
                    next = sums;
                    words += "; the sums that were left cannot go on from it";
                }
                note = Some(words);
            }
            Some(gains) => keep(&mut learning, gains),
        }
        Learned {
            learning,
            next,
            measured: ranks.and_then(|ranks| ranks.measured()),
            is_back,
            note,
        }
    }
}

/// Whether one of the figures, each a mean and half its interval, is lower than the good model's by more than both intervals.
fn is_worse(gains: [f64; 4], state: &Parameters) -> bool {
    let Some(good) = state.get(GAINS) else {
        return false;
    };
    let pairs = gains
        .as_chunks::<2>()
        .0
        .iter()
        .zip(good.values.as_chunks().0);
    pairs
        .into_iter()
        .any(|([mean, within], [good, around])| mean + within < f64::from(good - around))
}

/// Remembers the model and its state as the last good ones.
fn keep(learning: &mut Learning, gains: [f64; 4]) {
    let mut state = Parameters::default();
    for (name, tensor) in learning.state.iter() {
        if !name.starts_with(CHECKED) {
            state.set(name, tensor.clone());
            state.set(&format!("{STATE}{name}"), tensor.clone());
        }
    }
    for (name, tensor) in learning.parameters.iter() {
        state.set(&format!("{PARAMETERS}{name}"), tensor.clone());
    }
    state.set(GAINS, tensor(&[4], gains));
    learning.state = state;
}

/// Goes back to the last good model and its state, which stay remembered.
fn restore(learning: &mut Learning) {
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
}
