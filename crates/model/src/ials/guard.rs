//! A guard against steps that are too long: ials.md, Guard.

use super::IalsRecipe;
use super::step::Heard;
use crate::pace::Pace;
use crate::recipe::values_of;
use crate::{LearnError, Learning, Parameters, ParametersError};

/// A rise of the loss within this factor plus 1 / sqrt(cohort) is the cohort's chance, not divergence.
const TOLERANCE: f64 = 1.03;
/// Passes over the catalogue before the guard looks at the loss, and what part of the rounds it is at most: the first steps may go
/// up and down.
const QUIET: usize = 3;
const QUIET_PART: usize = 3;
/// What a round without a rise makes steps longer by, up to where they were: else one that lies could shorten them for good.
const GROWTH: f32 = 1.25;
/// A step that is so many times as long as the median of the last nine is cut to that median.
const STEP: f64 = 3.0;
/// Where the state has the lengths of the last steps, before f and eta.
const LENGTHS: &str = "step_lengths";
/// What of the state belongs to a model, and is restored with it.
const AVERAGES: [&str; 4] = ["gram", "weighted_gram", "scores", "owners"];

/// What the guard does with a sum but for going back: where the state says so, and the words for it.
const DEEDS: [(&str, &str); 3] = [
    (
        "left_out",
        "no clients that keep to the protocol could have this sum: it was not used",
    ),
    (
        "went_wrong",
        "the numbers of this step went wrong, as on a grid too coarse: it was not made; take more `bits`",
    ),
    (
        "cut",
        "the step was far longer than the ones before; it was cut",
    ),
];

/// What the guard saw.
pub(super) enum Seen {
    /// The lowest loss so far.
    Best,
    /// Nothing to act on.
    Fine,
    /// The loss rose too far.
    Rise,
}

impl IalsRecipe {
    /// Compares the loss that this round's clients measured, which is of the model before the step, with the lowest one.
    ///
    /// J = the clients' loss per event plus the item table's share of the ridge: without that share a table that grows
    /// without bound would look perfect.
    pub(super) fn watch(
        &self,
        learning: &mut Learning,
        heard: &Heard<'_>,
    ) -> Result<Seen, LearnError> {
        let table = values_of(&learning.parameters, "items", &[self.items, self.factors])?;
        let counts = values_of(&learning.parameters, "counts", &[self.items])?;
        let unseen = f64::from(learning.parameters.scalar("alpha0")?) * heard.population;
        let events = counts.iter().copied().map(f64::from).sum::<f64>().max(1.0);
        let ridge: f64 = table
            .chunks_exact(self.factors)
            .zip(counts)
            .map(|(row, count)| {
                let square: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
                self.regularisation * (f64::from(*count) + unseen) * square
            })
            .sum();
        let loss = heard.loss / heard.length.max(1.0) + ridge / events;
        let tolerance = TOLERANCE + 1.0 / (heard.clients as f64).sqrt();
        let best = match learning.state.get("best_loss") {
            Some(_) => Some(f64::from(learning.state.scalar("best_loss")?)),
            None => None,
        };
        let rose = best.is_none_or(|best| loss > tolerance * best) || !loss.is_finite();
        if learning.state.get("came_back").is_some() {
            learning.state.remove("came_back");
            // This is the best model again. Where even that is no longer as good as it was, a client lied about the loss.
            if rose {
                let factor = learning.state.scalar("step_factor")?;
                learning
                    .state
                    .set_scalar("step_factor", (2.0 * factor).min(1.0));
            }
            learning.state.set_scalar("best_loss", loss as f32);
            return Ok(Seen::Best);
        }
        let quiet = (QUIET * self.blocks()).min((self.rounds / QUIET_PART).max(QUIET));
        if rose && best.is_some() && heard.round >= quiet {
            return Ok(Seen::Rise);
        }
        let factor = learning.state.scalar("step_factor")?;
        learning
            .state
            .set_scalar("step_factor", (GROWTH * factor).min(1.0));
        Ok(match best {
            _ if !loss.is_finite() => Seen::Fine,
            Some(best) if loss >= best => Seen::Fine,
            _ => {
                learning.state.set_scalar("best_loss", loss as f32);
                Seen::Best
            }
        })
    }
}

/// Remembers the model and its averages as the best so far.
pub(super) fn remember(learning: &mut Learning) -> Result<(), ParametersError> {
    let items = learning.parameters.require("items")?.clone();
    learning.state.set("best_items", items);
    for name in AVERAGES {
        let average = learning.state.require(name)?.clone();
        learning.state.set(&format!("best_{name}"), average);
    }
    Ok(())
}

/// Goes back to the best model, with steps half as long from now on.
pub(super) fn restore(learning: &mut Learning, sum_index: usize) -> Result<(), ParametersError> {
    let items = learning.state.require("best_items")?.clone();
    learning.parameters.set("items", items);
    for name in AVERAGES {
        let average = learning.state.require(&format!("best_{name}"))?.clone();
        learning.state.set(name, average);
    }
    let factor = learning.state.scalar("step_factor")? / 2.0;
    learning.state.set_scalar("step_factor", factor);
    learning.state.set_scalar("came_back", 1.0);
    tell(&mut learning.state, "restored", sum_index);
    Ok(())
}

/// What a step of this length must be multiplied by: 0 where numbers went wrong, as on a grid too coarse for what was heard.
pub(super) fn cut(
    state: &mut Parameters,
    length: f64,
    sum_index: usize,
) -> Result<f64, ParametersError> {
    if !length.is_finite() {
        tell(state, "went_wrong", sum_index);
        return Ok(0.0);
    }
    let pace = Pace::of(state, LENGTHS, 1)?;
    let factor = pace.cut(0, length, STEP);
    let kept = factor.map_or(length, |factor| STEP * factor * length);
    pace.keep(&[kept], state, LENGTHS);
    if factor.is_some() {
        tell(state, "cut", sum_index);
    }
    Ok(factor.unwrap_or(1.0))
}

/// Remembers what was done with a sum, for [`note`].
pub(super) fn tell(state: &mut Parameters, deed: &str, sum_index: usize) {
    state.set_scalar(deed, sum_index as f32);
}

/// Forgets what only the guard needs.
pub(super) fn forget(state: &mut Parameters) {
    state.remove("came_back");
    state.remove("best_items");
    for name in AVERAGES {
        state.remove(&format!("best_{name}"));
    }
}

/// What the guard did with a sum, in words; nothing where it let the step be made.
pub(super) fn note(state: &Parameters, sum_index: usize) -> Option<String> {
    let was_in = |deed| {
        state
            .scalar(deed)
            .is_ok_and(|last| last == sum_index as f32)
    };
    if let Some((_, words)) = DEEDS.iter().find(|(deed, _)| was_in(deed)) {
        return Some((*words).to_owned());
    }
    let factor = state.scalar("step_factor").ok()?;
    was_in("restored").then(|| {
        format!(
            "the loss rose: this round made no step, the best model so far was restored, and steps are {factor} times as \
             long from now on"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_went_wrong_is_not_made() {
        let mut state = Parameters::default();
        for (sum_index, length) in [(1, f64::NAN), (2, f64::INFINITY)] {
            assert_eq!(cut(&mut state, length, sum_index), Ok(0.0));
            assert!(note(&state, sum_index).unwrap().contains("bits"));
        }
        // They are not remembered either: three steps and then one like them.
        for sum_index in 3..7 {
            assert_eq!(cut(&mut state, 1.0, sum_index), Ok(1.0));
        }
        assert_eq!(cut(&mut state, 4.0, 7), Ok(0.25));
    }
}
