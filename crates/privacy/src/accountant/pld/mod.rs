//! Privacy loss distributions: the tightest bound for many steps (Sommer, Meiser, Mohammadi 2019; Koskela, Jälkö, Honkela 2020).

mod compose;
mod loss;

use compose::{Composed, Part, Rough, moments, spread, tilt_for_delta, tilt_for_epsilon};
pub(crate) use loss::Side;
use loss::{Direction, Loss, Sampled, lattice_step, loss_of_law};

use crate::PrivacyError;
use crate::accountant::lattice::Law;

/// Points of one step's grid, first to find the tilt and at most.
const COARSE: f64 = 4096.0;
const FINEST: f64 = 524_288.0;
/// Points of the composed window at most, when the grid is chosen.
const WINDOW: f64 = 2_097_152.0;
/// Tilts that are tried: loss is in nats, so they cover every epsilon between 1e-7 and 1e7.
const TILTS: (f64, f64) = (1e-8, 1e8);
/// What the grid may add to epsilon, relative to it.
const PRECISION: f64 = 5e-5;
/// Tails that are cut off, over delta.
const CUT: f64 = 1e-9;

/// One step, as its loss is known.
pub(crate) enum Step {
    /// The Gaussian mechanism on a Poisson sample; rate 1 is no sampling.
    Gaussian { rate: f64, multiplier: f64 },
    /// One integer with discrete Gaussian noise of this variance, which a client moves by `shift`.
    DiscreteGaussian { variance: f64, shift: u32 },
    /// The same with symmetric Skellam noise.
    Skellam { variance: f64, shift: u32 },
}

/// What has been learned about a step at one delta.
enum Source {
    Sampled(Sampled),
    Listed {
        law: Law,
        shift: u32,
        spacing: Option<f64>,
    },
}

impl Source {
    fn range(&self, direction: Direction, reach: f64) -> (f64, f64) {
        match self {
            Self::Sampled(sampled) => sampled.range(direction, reach),
            Self::Listed { law, shift, .. } => law.losses(*shift).fold(
                (f64::INFINITY, f64::NEG_INFINITY),
                |(low, high), (loss, _)| (low.min(loss), high.max(loss)),
            ),
        }
    }

    fn loss(&self, direction: Direction, reach: f64, step: f64, side: Side) -> Loss {
        match self {
            Self::Sampled(sampled) => sampled.loss(direction, reach, step, side),
            Self::Listed { law, shift, .. } => loss_of_law(law, *shift, step, side),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Question {
    Epsilon { delta: f64 },
    Delta { epsilon: f64 },
}

/// Bound on epsilon at `delta` of all `steps`, each with how often it runs; the larger of both directions.
pub(crate) fn epsilon(steps: &[(Step, u64)], delta: f64, side: Side) -> Result<f64, PrivacyError> {
    answer(steps, delta.ln(), Question::Epsilon { delta }, side)
}

/// Bound on delta at `epsilon`. `about`: ln of a delta that is not far above, for the tails.
pub(crate) fn delta(
    steps: &[(Step, u64)],
    epsilon: f64,
    about: f64,
    side: Side,
) -> Result<f64, PrivacyError> {
    answer(steps, about, Question::Delta { epsilon }, side)
}

fn answer(
    steps: &[(Step, u64)],
    ln_delta: f64,
    question: Question,
    side: Side,
) -> Result<f64, PrivacyError> {
    let count: u64 = steps.iter().map(|(_, count)| count).sum();
    let ln_cut = ln_delta + CUT.ln() - (count as f64).ln();
    let reach = (-2.0 * ln_cut).sqrt();
    let mut sources = Vec::new();
    for (step, count) in steps {
        let source = match *step {
            // Gaussian losses add up to a Gaussian loss: one step with the noise of them all.
            Step::Gaussian { rate, multiplier } if rate == 1.0 => {
                let multiplier = multiplier / (*count as f64).sqrt();
                sources.push((Source::Sampled(Sampled { rate, multiplier }), 1));
                continue;
            }
            Step::Gaussian { rate, multiplier } => Source::Sampled(Sampled { rate, multiplier }),
            Step::DiscreteGaussian { variance, shift } => Source::Listed {
                law: Law::discrete_gaussian(variance, shift, ln_cut)?,
                shift,
                spacing: Some(f64::from(shift) / variance),
            },
            Step::Skellam { variance, shift } => Source::Listed {
                law: Law::skellam(variance, shift, ln_cut)?,
                shift,
                spacing: None,
            },
        };
        sources.push((source, *count));
    }
    let removed = directed(
        &sources,
        Direction::Removed,
        reach,
        ln_delta,
        question,
        side,
    );
    // Noise that is symmetric and not sampled is the same in both directions.
    let sampled = |source: &Source| matches!(source, Source::Sampled(one) if one.rate < 1.0);
    if sources.iter().any(|(source, _)| sampled(source)) {
        let added = directed(&sources, Direction::Added, reach, ln_delta, question, side);
        return Ok(removed.max(added));
    }
    Ok(removed)
}

/// One direction. Where no window can be had the answer is the one that is never wrong.
fn directed(
    sources: &[(Source, u64)],
    direction: Direction,
    reach: f64,
    ln_delta: f64,
    question: Question,
    side: Side,
) -> f64 {
    let widest = sources
        .iter()
        .map(|(source, _)| source.range(direction, reach))
        .fold(0.0, |widest: f64, (low, high)| widest.max(high - low));
    let coarse_step = (widest / COARSE).max(f64::MIN_POSITIVE);
    let losses = |step: f64, side: Side| -> Vec<(Loss, u64)> {
        sources
            .iter()
            .map(|(source, count)| (source.loss(direction, reach, step, side), *count))
            .collect()
    };
    let coarse = losses(coarse_step, Side::Upper);
    let coarse_parts = parts(&coarse);
    let mut tilt = match question {
        Question::Epsilon { .. } => tilt_for_delta(&coarse_parts, coarse_step, ln_delta, TILTS),
        Question::Delta { epsilon } => tilt_for_epsilon(&coarse_parts, coarse_step, epsilon, TILTS),
    };
    let step = grid(sources, &coarse_parts, coarse_step, tilt, side);
    let fine = losses(step, side);
    let parts = parts(&fine);
    let rough = Rough {
        parts: &coarse_parts,
        step: coarse_step,
    };
    let mut found = match (question, side) {
        (Question::Epsilon { .. }, Side::Upper) => f64::INFINITY,
        (Question::Delta { .. }, Side::Upper) => 1.0,
        (_, Side::Lower) => 0.0,
    };
    for _ in 0..4 {
        let Some(composed) = Composed::new(&rough, &parts, step, tilt, side) else {
            return found;
        };
        match question {
            Question::Epsilon { delta } => match composed.epsilon(delta) {
                Some(epsilon) => {
                    found = match side {
                        Side::Upper => found.min(epsilon),
                        Side::Lower => found.max(epsilon),
                    };
                    if epsilon == 0.0 || !composed.could_be_nearer(epsilon, delta) {
                        return found;
                    }
                    tilt = tilt_for_epsilon(&parts, step, epsilon, TILTS);
                }
                None => tilt = tilt_for_delta(&parts, step, ln_delta, (tilt / 4.0, tilt * 4.0)),
            },
            Question::Delta { epsilon } => {
                return composed.delta(epsilon).unwrap_or(found);
            }
        }
    }
    found
}

fn parts(losses: &[(Loss, u64)]) -> Vec<Part<'_>> {
    losses
        .iter()
        .map(|(loss, steps)| Part {
            loss,
            steps: *steps,
        })
        .collect()
}

/// The grid. Putting a loss on the points around it adds at most step^2/4 to its variance, about step^2/6 on average; under a tilt of
/// theta that adds (theta + 1)/2 times as much to epsilon. So the grid follows from what may be added.
fn grid(sources: &[(Source, u64)], parts: &[Part<'_>], coarse: f64, tilt: f64, side: Side) -> f64 {
    let all = moments(parts, coarse, tilt);
    let epsilon = all.mean.abs();
    let allowed = PRECISION * (epsilon.clamp(0.02, 1.0) + 0.2 * epsilon);
    let added = |step: f64| (tilt + 1.0) / 2.0 * spread(parts, coarse, tilt, step);
    let mut step = coarse.min(0.1 / (tilt + 1.0));
    let finest = (coarse * COARSE / FINEST).max(24.0 * all.variance.sqrt() / WINDOW);
    while step > finest && added(step) > allowed {
        step *= 0.8;
    }
    // The lower bound has no such formula, only the same square law.
    let wanted = match side {
        Side::Upper => step,
        Side::Lower => step / 3.0,
    };
    let possible = wanted.max(finest);
    match sources {
        [
            (
                Source::Listed {
                    shift,
                    spacing: Some(spacing),
                    ..
                },
                _,
            ),
        ] => lattice_step(*spacing, *shift, possible),
        _ => possible,
    }
}
