//! What keeps one client that sends rubbish from ruining a model: a modular sum is as long as the longest vector in it.

use serde::{Deserialize, Serialize};

use super::layout::{Layout, Report};
use crate::algebra::norm;
use crate::pace::Pace;
use crate::possible::is_within;
use crate::recipe::{check, tensor};
use crate::{MeanDelta, Parameters, ParametersError, RecipeError, Step};

/// What the coordinator does not believe. It sees sums only, so it cannot tell who was at fault.
///
/// 1. A sum of which a clip group is longer than all clients within their bound could make it, `sum` times, is not used, and
///    neither is a report that no clients could have given: the model stays as it is. A vector of random ring words is
///    found out here.
/// 2. The mean of a group that is longer than `step` times the median of the last nine is cut to that median.
/// 3. A share of each cohort, drawn by the clients themselves, reports the loss of the published model before it is trained: on
///    a fifth of the client's own items that its person was not rebuilt from. Where that is above `loss` times the best
///    model's, and by more than four standard errors of the two means, the best model is published again, the
///    sum is not used, and steps are half as long; they grow again by a quarter with each good round. The
///    sum `check` does the same for the last model of all. Without a report (with noise) there is no such check.
///
/// # Privacy
/// Reads released sums alone, so it costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// At least 1.
    pub sum: f64,
    /// At least 1.
    pub step: f64,
    /// At least 1.
    pub loss: f64,
    /// The share of clients that reports, which takes them one more rebuilding of the person; in 0..=1. All do in `check`.
    pub reports: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            // Rounding to a coarse grid can lengthen an update a little.
            sum: 1.1,
            step: 3.0,
            loss: 1.05,
            reports: 0.25,
        }
    }
}

/// Standard errors that are chance.
const CHANCE: f64 = 4.0;
/// Where the state has the norms of the last means.
const NORMS: &str = "mean-norms";
/// Reports that a judgement takes.
const FEWEST_REPORTS: f64 = 4.5;
/// The shortest step that the guard leaves.
const SMALLEST: f64 = 1.0 / 64.0;
/// What a good round makes steps longer by, up to where they were.
const GROWTH: f64 = 1.25;
/// What the names of the best model's tensors in the state begin with; no name of a plan has a colon.
const BEST: &str = "best:";

/// What the guard made of a sum.
pub(crate) enum Verdict {
    /// It can be used, with steps of this factor.
    Good(f64),
    /// The model must stay as the guard left it.
    Unused,
}

impl Guard {
    pub(crate) fn validate(&self) -> Result<(), RecipeError> {
        for (field, value) in [
            ("server.guard.sum", self.sum),
            ("server.guard.step", self.step),
            ("server.guard.loss", self.loss),
        ] {
            check(value >= 1.0, field, "must be at least 1")?;
        }
        check(
            (0.0..=1.0).contains(&self.reports),
            "server.guard.reports",
            "must be between 0 and 1",
        )
    }

    /// Judges a sum of `step` and the model that it was learned from. Where that model is worse than the best so far by more
    /// than chance, it is that one again afterwards.
    ///
    /// # Errors
    /// When the state is not of this recipe.
    pub(crate) fn judge(
        &self,
        layout: &Layout,
        step: Step,
        delta: &MeanDelta,
        report: Option<Report>,
        parameters: &mut Parameters,
        state: &mut Parameters,
    ) -> Result<Verdict, ParametersError> {
        tell(state, Deed::Nothing);
        if !self.could_be(layout, step, delta, report) {
            tell(state, Deed::Unused);
            return Ok(Verdict::Unused);
        }
        let mut factor = state.scalar("step-factor").map_or(1.0, f64::from);
        // A mean of few says nothing.
        let Some(report) = report.filter(|report| report.clients >= FEWEST_REPORTS) else {
            return Ok(Verdict::Good(factor));
        };
        let (loss, error) = report.mean();
        let best = state.get("best-loss").map(|best| best.values.as_slice());
        let best = match best {
            Some([best, error]) => Some((f64::from(*best), f64::from(*error))),
            _ => None,
        };
        if let Some((best, chance)) = best {
            let chance = CHANCE * chance.hypot(error);
            if loss > self.loss * best && loss > best + chance {
                factor = (factor / 2.0).max(SMALLEST);
                state.set_scalar("step-factor", factor as f32);
                restore(parameters, state);
                tell(state, Deed::Restored);
                return Ok(Verdict::Unused);
            }
        }
        factor = (factor * GROWTH).min(1.0);
        state.set_scalar("step-factor", factor as f32);
        // Compared with the newest that was not worse, it could become worse little by little.
        if best.is_none_or(|(best, _)| loss < best) {
            state.set("best-loss", tensor(&[2], [loss, error]));
            keep(parameters, state);
        }
        Ok(Verdict::Good(factor))
    }

    /// Whether any clients that keep to their bounds could have this sum, but for noise and rounding.
    fn could_be(
        &self,
        layout: &Layout,
        step: Step,
        delta: &MeanDelta,
        report: Option<Report>,
    ) -> bool {
        let clients = delta.clients as f64;
        let mut rest = delta.sum.as_slice();
        let groups = layout.clip_groups(step).into_iter().all(|group| {
            let (own, later) = rest.split_at_checked(group.length).unwrap_or((rest, &[]));
            rest = later;
            is_within(own, self.sum * clients * group.bound, delta.noise)
        });
        groups && report.is_none_or(|report| report.could_be(self.sum * clients))
    }

    /// Cuts the mean of each group that is longer than `step` times the median of those before it to that median. `mean`: `[trained]`, in units of the
    /// contribution.
    pub(crate) fn cut(
        &self,
        layout: &Layout,
        mean: &mut [f64],
        state: &mut Parameters,
    ) -> Result<(), ParametersError> {
        let pace = Pace::of(state, NORMS, layout.groups().len())?;
        let mut newest = Vec::with_capacity(layout.groups().len());
        let mut was_cut = false;
        for (number, (words, _)) in layout.groups().iter().enumerate() {
            let cells = mean.get_mut(words.clone()).unwrap_or_default();
            let mut own = norm(cells);
            if let Some(factor) = pace.cut(number, own, self.step) {
                cells.iter_mut().for_each(|cell| *cell *= factor);
                own *= factor * self.step;
                was_cut = true;
            }
            newest.push(own);
        }
        pace.keep(&newest, state, NORMS);
        if was_cut {
            tell(state, Deed::Cut);
        }
        Ok(())
    }
}

/// What the guard did with the last sum.
#[derive(Clone, Copy)]
enum Deed {
    Nothing,
    Unused,
    Restored,
    Cut,
}

/// Where the state says so.
const DEED: &str = "guard";

/// What the guard did with the sum that led to this state, in words.
pub(crate) fn note(state: &Parameters) -> Option<String> {
    let deed = state.scalar(DEED).unwrap_or(0.0);
    let words = match deed as i32 {
        1 => "no clients within their bounds have such a sum; it was not used",
        2 => "the model was worse than the best so far, which is published again",
        3 => "the mean was far longer than the ones before; it was cut",
        _ => return None,
    };
    Some(words.to_owned())
}

fn tell(state: &mut Parameters, deed: Deed) {
    let number = match deed {
        Deed::Nothing => 0.0,
        Deed::Unused => 1.0,
        Deed::Restored => 2.0,
        Deed::Cut => 3.0,
    };
    state.set_scalar(DEED, number);
}

impl Report {
    /// Mean over the clients, and its standard error.
    fn mean(&self) -> (f64, f64) {
        let mean = self.loss / self.clients;
        let variance = (self.squares / self.clients - mean * mean).max(0.0);
        (mean, (variance / self.clients).sqrt())
    }

    /// Losses lie between 0 and 1, their squares below them. `most`: clients, and a little for the rounding of each word.
    fn could_be(&self, most: f64) -> bool {
        let little = 0.01 * most + 0.01;
        [self.loss, self.squares, self.clients]
            .iter()
            .all(|word| (-little..=most + little).contains(word))
            && self.loss <= self.clients + little
            && self.squares <= self.loss + little
    }
}

/// The shared tensors and the moments of the optimiser, but for the counts, which no update changes.
fn keep(parameters: &Parameters, state: &mut Parameters) {
    let moments = ["first-moment", "second-moment"];
    let moments: Vec<_> = moments
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), state.get(name)?.clone())))
        .collect();
    let shared = parameters.iter().filter(|(name, _)| *name != "counts");
    let shared = shared.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    for (name, tensor) in shared.chain(moments) {
        state.set(&format!("{BEST}{name}"), tensor);
    }
}

fn restore(parameters: &mut Parameters, state: &mut Parameters) {
    let best: Vec<_> = state
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(BEST)?.to_owned(), tensor.clone())))
        .collect();
    for (name, tensor) in best {
        match parameters.get(&name) {
            Some(_) => parameters.set(&name, tensor),
            None => state.set(&name, tensor),
        }
    }
}
