//! Questions to the accountant: epsilon, delta, or the noise that reaches them.

use serde::{Deserialize, Serialize};

use super::lattice::{Law, skellam_renyi};
use super::mechanism::{Event, Mechanism};
use super::pld::{self, Side, Step};
use super::subsampled::Subsampled;
use super::{gaussian, renyi};
use crate::PrivacyError;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accountant {
    /// The closed formula, where there is one.
    Exact,
    /// Renyi divergences at the orders of dp-accounting, so that figures agree.
    Rdp,
    /// The distribution of the privacy loss, composed.
    Pld,
    /// Zero-concentrated DP.
    Zcdp,
    /// The smallest of all that hold; Renyi divergences at many more orders.
    Best,
}

/// Which bound an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The closed formula: no smaller answer is true.
    Exact,
    /// Renyi divergences.
    Rdp,
    /// The distribution of the privacy loss, rounded to the safe side.
    Pld,
    /// Zero-concentrated DP.
    Zcdp,
}

impl Bound {
    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Rdp => "rdp",
            Self::Pld => "pld",
            Self::Zcdp => "zcdp",
        }
    }
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A theorem: the truth is nowhere above.
    UpperBound,
    /// For another mechanism that is nearly the same: show it beside a bound, never in its place.
    Estimate,
}

/// An epsilon or a delta.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The number.
    pub value: f64,
    /// Which bound it is.
    pub bound: Bound,
    /// What it is worth.
    pub kind: Kind,
    /// The truth is nowhere below this; None where nothing useful is known.
    pub lower_bound: Option<f64>,
}

/// A lower bound below this share of the upper one says nothing worth showing.
const USEFUL: f64 = 0.9;
/// Calibration stops when two multipliers are this close.
const CLOSE: f64 = 1.0002;
/// Multipliers that are tried.
const MULTIPLIERS: (f64, f64) = (1e-4, 1e9);

fn check(events: &[Event], delta: f64) -> Result<(), PrivacyError> {
    if !(delta > 0.0 && delta < 1.0) {
        return Err(PrivacyError::Delta(delta));
    }
    if events.is_empty() {
        return Err(PrivacyError::NoReleases);
    }
    events.iter().try_for_each(Event::check)
}

/// The epsilon of all `events` together at `delta`.
///
/// # Errors
/// An event that makes no sense; a delta outside (0, 1); an accountant that cannot answer for these events.
pub fn epsilon(
    events: &[Event],
    delta: f64,
    accountant: Accountant,
) -> Result<Answer, PrivacyError> {
    check(events, delta)?;
    let (value, bound) = upper_bound(events, delta, accountant)?;
    let lower_bound = match (bound, losses(events)) {
        (Bound::Exact, _) => Some(value),
        (_, Ok(steps)) => match exact(events, delta) {
            Some(exact) => Some(exact?),
            None => useful(pld::epsilon(&steps, delta, Side::Lower).ok(), value),
        },
        (_, Err(_)) => None,
    };
    Ok(Answer {
        value,
        bound,
        kind: Kind::UpperBound,
        lower_bound,
    })
}

/// The delta of all `events` together at `epsilon` >= 0.
///
/// # Errors
/// As [`epsilon`]; an epsilon that is negative or not finite.
pub fn delta(
    events: &[Event],
    epsilon: f64,
    accountant: Accountant,
) -> Result<Answer, PrivacyError> {
    if !(epsilon.is_finite() && epsilon >= 0.0) {
        return Err(PrivacyError::Epsilon(epsilon));
    }
    check(events, 0.5)?;
    let by_renyi = |accountant| -> Result<f64, PrivacyError> {
        let curve = curve(events, accountant)?;
        Ok(renyi::ln_delta(curve, &orders(accountant), epsilon).exp())
    };
    let by_loss = |side| -> Result<f64, PrivacyError> {
        let about = renyi::ln_delta(curve(events, Accountant::Best)?, &renyi::orders(), epsilon);
        let steps = losses(events)?;
        // Tails are cut relative to a guess at delta: cut again where the guess was far above.
        let (mut found, mut guess) = (1.0f64, about.clamp(-600.0, -0.1));
        for _ in 0..4 {
            found = pld::delta(&steps, epsilon, guess, side)?;
            if found <= 0.0 || found.ln() > guess - 5.0 {
                break;
            }
            guess = found.ln().max(-600.0);
        }
        Ok(found)
    };
    let exactly = || exact_delta(events, epsilon);
    let (value, bound) = match accountant {
        Accountant::Exact => (exactly().ok_or(PrivacyError::NotExact)??, Bound::Exact),
        Accountant::Rdp => (by_renyi(accountant)?, Bound::Rdp),
        Accountant::Zcdp => (by_renyi(accountant)?, Bound::Zcdp),
        Accountant::Pld => (by_loss(Side::Upper)?, Bound::Pld),
        Accountant::Best => match exactly() {
            Some(value) => (value?, Bound::Exact),
            None => {
                let renyi = by_renyi(accountant)?;
                match by_loss(Side::Upper) {
                    Ok(loss) if loss < renyi => (loss, Bound::Pld),
                    _ => (renyi, Bound::Rdp),
                }
            }
        },
    };
    let lower_bound = match exactly() {
        Some(exact) => Some(exact?),
        None => useful(by_loss(Side::Lower).ok(), value),
    };
    Ok(Answer {
        value,
        bound,
        kind: Kind::UpperBound,
        lower_bound,
    })
}

/// The exact epsilon of continuous Gaussian noise in place of discrete noise; None where clients are sampled.
///
/// # Errors
/// As [`epsilon`].
pub fn estimate(events: &[Event], delta: f64) -> Result<Option<Answer>, PrivacyError> {
    check(events, delta)?;
    let Some(squared) = events
        .iter()
        .map(Event::estimated_squared_mu)
        .sum::<Option<f64>>()
    else {
        return Ok(None);
    };
    Ok(Some(Answer {
        value: gaussian::epsilon(squared.sqrt(), delta)?,
        bound: Bound::Exact,
        kind: Kind::Estimate,
        lower_bound: None,
    }))
}

/// The smallest noise multiplier found with which `events` cost at most `epsilon` at `delta`: at most 0.02 % above the smallest this
/// accountant would accept.
///
/// # Errors
/// As [`epsilon`]; an epsilon that is not positive and finite, or that no multiplier up to 10^9 reaches.
pub fn noise_multiplier(
    epsilon: f64,
    delta: f64,
    accountant: Accountant,
    events: impl Fn(f64) -> Vec<Event>,
) -> Result<f64, PrivacyError> {
    if !(epsilon.is_finite() && epsilon > 0.0) {
        return Err(PrivacyError::Epsilon(epsilon));
    }
    let cost = |multiplier: f64| -> Result<f64, PrivacyError> {
        upper_bound(&events(multiplier), delta, accountant).map(|(epsilon, _)| epsilon)
    };
    // A quick bound first: what it accepts, the best accepts too.
    let best = accountant == Accountant::Best;
    let close = if best { 1.02 } else { CLOSE };
    let quick = |multiplier: f64| -> Result<f64, PrivacyError> {
        if !best {
            return cost(multiplier);
        }
        let events = events(multiplier);
        check(&events, delta)?;
        Ok(renyi::epsilon(curve(&events, accountant)?, &renyi::orders(), delta)?.0)
    };
    let (mut below, mut enough) = (1.0, 1.0);
    while quick(enough)? > epsilon {
        below = enough;
        enough *= 2.0;
        if enough > MULTIPLIERS.1 {
            return Err(PrivacyError::Unreachable(epsilon));
        }
    }
    while enough <= below && below > MULTIPLIERS.0 {
        if quick(below / 2.0)? > epsilon {
            below /= 2.0;
            break;
        }
        below /= 2.0;
        enough = below;
    }
    while enough / below > close {
        let middle = (below * enough).sqrt();
        if quick(middle)? <= epsilon {
            enough = middle;
        } else {
            below = middle;
        }
    }
    if best {
        return improve(enough, epsilon, cost);
    }
    Ok(enough)
}

/// Goes down from a multiplier that suffices to the smallest one, by false position on logarithms.
fn improve(
    mut enough: f64,
    epsilon: f64,
    cost: impl Fn(f64) -> Result<f64, PrivacyError>,
) -> Result<f64, PrivacyError> {
    let height = |cost: f64| (cost.max(1e-300) / epsilon).ln();
    let mut at_enough = height(cost(enough)?);
    let mut below = enough;
    let mut at_below = at_enough;
    for _ in 0..40 {
        below *= 0.93;
        at_below = height(cost(below)?);
        if at_below > 0.0 {
            break;
        }
        (enough, at_enough) = (below, at_below);
    }
    // A little to the safe side of the crossing, then a little to the other side, so that both ends close in.
    let close = CLOSE.ln();
    let mut side = 0.45 * close;
    for _ in 0..20 {
        let wide = (enough / below).ln();
        if at_below <= 0.0 || wide <= close {
            break;
        }
        let part = at_below / (at_below - at_enough);
        let crossing = if part.is_finite() { part } else { 0.5 } * wide;
        let middle = below * (crossing + side).clamp(0.02 * wide, 0.98 * wide).exp();
        let at_middle = height(cost(middle)?);
        if at_middle <= 0.0 {
            (enough, at_enough) = (middle, at_middle);
            side = -0.45 * close;
        } else {
            (below, at_below) = (middle, at_middle);
            side = 0.45 * close;
        }
    }
    Ok(enough)
}

fn useful(lower: Option<f64>, upper: f64) -> Option<f64> {
    lower
        .filter(|lower| *lower >= USEFUL * upper)
        .map(|lower| lower.min(upper))
}

fn orders(accountant: Accountant) -> Vec<f64> {
    match accountant {
        Accountant::Rdp => renyi::standard_orders(),
        _ => renyi::orders(),
    }
}

/// The value and the bound of [`epsilon`] without its lower bound, which takes longer than they do.
///
/// # Errors
/// As [`epsilon`].
pub fn upper_bound(
    events: &[Event],
    delta: f64,
    accountant: Accountant,
) -> Result<(f64, Bound), PrivacyError> {
    check(events, delta)?;
    let by_renyi = || -> Result<f64, PrivacyError> {
        Ok(renyi::epsilon(curve(events, accountant)?, &orders(accountant), delta)?.0)
    };
    match accountant {
        Accountant::Exact => Ok((
            exact(events, delta).ok_or(PrivacyError::NotExact)??,
            Bound::Exact,
        )),
        Accountant::Rdp => Ok((by_renyi()?, Bound::Rdp)),
        Accountant::Zcdp => Ok((by_renyi()?, Bound::Zcdp)),
        Accountant::Pld => Ok((
            pld::epsilon(&losses(events)?, delta, Side::Upper)?,
            Bound::Pld,
        )),
        Accountant::Best => {
            if let Some(exact) = exact(events, delta) {
                return Ok((exact?, Bound::Exact));
            }
            let renyi = by_renyi()?;
            let loss = losses(events).and_then(|steps| pld::epsilon(&steps, delta, Side::Upper));
            Ok(match loss {
                Ok(loss) if loss < renyi => (loss, Bound::Pld),
                _ => (renyi, Bound::Rdp),
            })
        }
    }
}

/// Sum of the Renyi curves of all events.
fn curve(events: &[Event], accountant: Accountant) -> Result<impl Fn(f64) -> f64, PrivacyError> {
    let mut curves: Vec<Box<dyn Fn(f64) -> f64>> = Vec::new();
    for event in events {
        let steps = event.steps as f64;
        if let Some(squared) = event.squared_mu() {
            curves.push(Box::new(move |order| order * squared / 2.0));
            continue;
        }
        match event.mechanism {
            Mechanism::SubsampledGaussian {
                sampling_rate,
                noise_multiplier,
            } => {
                let sampled = Subsampled::new(sampling_rate, noise_multiplier)?;
                match accountant {
                    Accountant::Zcdp => return Err(PrivacyError::NotConcentrated),
                    Accountant::Rdp => curves.push(Box::new(move |order| {
                        steps * sampled.renyi_of_dp_accounting(order)
                    })),
                    _ => curves.push(Box::new(move |order| steps * sampled.renyi(order))),
                }
            }
            Mechanism::Skellam {
                noise_multiplier,
                sensitivity,
                shift,
            } => {
                if accountant == Accountant::Zcdp {
                    return Err(PrivacyError::NotConcentrated);
                }
                let squared = sensitivity * sensitivity;
                let variance = noise_multiplier.powi(2) * squared;
                let absolute = shift.map_or(squared.max(sensitivity), f64::from);
                curves.push(Box::new(move |order| {
                    steps * skellam_renyi(order, variance, squared, absolute)
                }));
            }
            _ => {
                let rho = event.noise_multiplier().powi(-2) / 2.0;
                curves.push(Box::new(move |order| steps * order * rho));
            }
        }
    }
    Ok(move |order: f64| curves.iter().map(|curve| curve(order)).sum())
}

/// The losses of all events, where they are known.
fn losses(events: &[Event]) -> Result<Vec<(Step, u64)>, PrivacyError> {
    let loss = |event: &Event| {
        if let Some(squared) = event.squared_mu() {
            return Ok((
                Step::Gaussian {
                    rate: 1.0,
                    multiplier: squared.sqrt().recip(),
                },
                1,
            ));
        }
        let step = match event.mechanism {
            Mechanism::SubsampledGaussian {
                sampling_rate,
                noise_multiplier,
            } => Step::Gaussian {
                rate: sampling_rate,
                multiplier: noise_multiplier,
            },
            Mechanism::DiscreteGaussian {
                noise_multiplier,
                shift: Some(shift),
            } => Step::DiscreteGaussian {
                variance: (noise_multiplier * f64::from(shift)).powi(2),
                shift,
            },
            Mechanism::Skellam {
                noise_multiplier,
                shift: Some(shift),
                ..
            } => Step::Skellam {
                variance: (noise_multiplier * f64::from(shift)).powi(2),
                shift,
            },
            _ => return Err(PrivacyError::NoLossDistribution),
        };
        Ok((step, event.steps))
    };
    events.iter().map(loss).collect()
}

/// The exact epsilon, where a closed formula or a finite sum gives it.
fn exact(events: &[Event], delta: f64) -> Option<Result<f64, PrivacyError>> {
    if let Some(squared) = events.iter().map(Event::squared_mu).sum::<Option<f64>>() {
        return Some(gaussian::epsilon(squared.sqrt(), delta));
    }
    let target = delta.ln();
    let found = single(events, target)?;
    Some(found.map(|ln_delta| {
        if ln_delta(0.0) <= target {
            return 0.0;
        }
        let mut enough = 1.0;
        while ln_delta(enough) > target && enough < 1e300 {
            enough *= 2.0;
        }
        gaussian::bisect(0.0, enough, |epsilon| ln_delta(epsilon) <= target)
    }))
}

/// The exact delta, where a closed formula or a finite sum gives it.
fn exact_delta(events: &[Event], epsilon: f64) -> Option<Result<f64, PrivacyError>> {
    if let Some(squared) = events.iter().map(Event::squared_mu).sum::<Option<f64>>() {
        return Some(Ok(gaussian::ln_delta(squared.sqrt(), epsilon).exp()));
    }
    // Tails 10^-30 of all: deltas of any interest are far above.
    let found = single(events, -30.0 * std::f64::consts::LN_10)?;
    Some(found.map(|ln_delta| ln_delta(epsilon).exp()))
}

type LnDelta = Box<dyn Fn(f64) -> f64>;

/// ln delta over epsilon of one step that is known exactly. `about`: ln of the delta that is asked for.
fn single(events: &[Event], about: f64) -> Option<Result<LnDelta, PrivacyError>> {
    let [
        Event {
            mechanism,
            steps: 1,
        },
    ] = events
    else {
        return None;
    };
    // Cut tails are added to delta: they must not be seen in twelve digits.
    let listed = |law: Result<Law, PrivacyError>, shift: u32| match law {
        Ok(law) => Some(Ok(
            Box::new(move |epsilon: f64| law.delta(shift, epsilon).ln()) as LnDelta,
        )),
        Err(_) => None,
    };
    let ln_beyond = about - 30.0;
    match *mechanism {
        Mechanism::SubsampledGaussian {
            sampling_rate,
            noise_multiplier,
        } => {
            let sampled = Subsampled::new(sampling_rate, noise_multiplier);
            Some(sampled.map(|sampled| {
                Box::new(move |epsilon| sampled.ln_delta_of_one_step(epsilon)) as LnDelta
            }))
        }
        Mechanism::DiscreteGaussian {
            noise_multiplier,
            shift: Some(shift),
        } => {
            let variance = (noise_multiplier * f64::from(shift)).powi(2);
            listed(Law::discrete_gaussian(variance, shift, ln_beyond), shift)
        }
        Mechanism::Skellam {
            noise_multiplier,
            shift: Some(shift),
            ..
        } => {
            let variance = (noise_multiplier * f64::from(shift)).powi(2);
            listed(Law::skellam(variance, shift, ln_beyond), shift)
        }
        _ => None,
    }
}
