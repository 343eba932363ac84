//! Checks of the mechanism, each with a name, and controls that they must find.

mod rig;

use std::collections::BTreeSet;
use std::ops::Range;

use chorus_privacy::audit::{Guesses, epsilon_from_guesses};
use chorus_privacy::{Release, SummedNoise, spent};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::SimulateError;
pub use rig::Fault;
use rig::{LENGTH, Rig};

/// A check of the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Check {
    /// The noise in a sum with the fewest honest clients has the variance that the accountant was told, within 2 %; and
    /// no coordinate has visibly less.
    #[serde(rename = "variance")]
    Variance,
    /// The decoded sum is the sum of what clients encoded, to the last bit.
    #[serde(rename = "round-trip equality")]
    RoundTrip,
    /// No two noise vectors are equal, between clients or between rounds.
    #[serde(rename = "repeated vectors")]
    Repeated,
    /// No update on the grid is longer than what the accountant reckons with, in integers.
    #[serde(rename = "integer norm")]
    IntegerNorm,
    /// The white-box audit: what can be told of one client's presence stays within the claim (Clopper, Pearson 1934).
    #[serde(rename = "audit")]
    Audit,
}

impl Check {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Check::Variance => "variance",
            Check::RoundTrip => "round-trip equality",
            Check::Repeated => "repeated vectors",
            Check::IntegerNorm => "integer norm",
            Check::Audit => "audit",
        }
    }
}

impl Fault {
    /// The check that must find it; others may find it too.
    pub fn found_by(self) -> Option<Check> {
        match self {
            Fault::None => None,
            Fault::ForgottenCoordinate => Some(Check::Audit),
            Fault::ForgottenShares | Fault::InvitedForNoiseMin | Fault::ClippedAfterNoise => {
                Some(Check::Variance)
            }
            Fault::WrongModulus => Some(Check::RoundTrip),
            Fault::RepeatedSeed | Fault::SeedFromRound => Some(Check::Repeated),
            Fault::NormBeforeRounding => Some(Check::IntegerNorm),
        }
    }
}

/// What one check found in a rig.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// True when nothing is wrong.
    pub passed: bool,
    /// What it measured, in words.
    pub measured: String,
}

/// One control: a fault, and what every check made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// What was wrong.
    pub fault: Fault,
    /// What the checks found.
    pub findings: Vec<Finding>,
    /// What the white-box audit proved.
    pub proof: Proof,
}

/// The white-box audit in figures, at its own delta.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Epsilon is proven to be at least this, at 95 %.
    pub proven: f64,
    /// The exact epsilon of continuous noise of the promised size.
    pub exact: f64,
    /// The bound that the product prints.
    pub claimed: f64,
    /// The delta of all three: large, because thousands of runs can test no smaller one. A claim holds at every delta.
    pub delta: f64,
}

impl Control {
    /// The checks that found something.
    pub fn caught(&self) -> impl Iterator<Item = Check> {
        let caught = self.findings.iter().filter(|finding| !finding.passed);
        caught.map(|finding| finding.check)
    }

    /// True when the fault was found by the check that must find it; for the sound mechanism, when nothing was found and
    /// the audit proves at least 0.7 of the exact epsilon (privacy.md 3.2): it could have seen a fault, and no noise is
    /// wasted.
    pub fn as_expected(&self) -> bool {
        match self.fault.found_by() {
            None => self.caught().next().is_none() && self.proof.proven >= TIGHT * self.proof.exact,
            Some(check) => self.caught().any(|caught| caught == check),
        }
    }
}

/// Runs of each check: the more, the finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Rounds in which the variance is measured.
    pub rounds: u64,
    /// Rounds of the audit with the client, and as many without; a tenth as many for each fault.
    pub runs: u64,
}

impl Effort {
    /// A few seconds.
    pub const FULL: Effort = Effort {
        rounds: 2_500,
        runs: 50_000,
    };
}

/// The sound mechanism and every fault, through every check.
///
/// # Errors
/// When the rig cannot be planned or the bound not be computed.
pub fn self_test(seed: u64, effort: Effort) -> Result<Vec<Control>, SimulateError> {
    let less = Effort {
        runs: effort.runs / 10,
        ..effort
    };
    let faults = Fault::ALL.map(|fault| control(fault, seed, less));
    [control(Fault::None, seed, effort)]
        .into_iter()
        .chain(faults)
        .collect()
}

/// One fault through every check.
///
/// # Errors
/// As [`self_test`].
pub fn control(fault: Fault, seed: u64, effort: Effort) -> Result<Control, SimulateError> {
    let rig = Rig::new(fault, seed)?;
    let (audit, proof) = audit(&rig, effort.runs)?;
    let findings = vec![
        variance(&rig, effort.rounds)?,
        round_trip(&rig)?,
        repeated(&rig)?,
        integer_norm(&rig, effort.rounds)?,
        audit,
    ];
    Ok(Control {
        fault,
        findings,
        proof,
    })
}

/// How far the variance may be from what was promised.
const VARIANCE: f64 = 0.02;
/// Deviations by which one coordinate may look less noisy than promised: one in a thousand million.
const DEVIATIONS: f64 = 6.0;
/// Share of the exact epsilon that the audit of the sound mechanism must prove (privacy.md 3.2).
const TIGHT: f64 = 0.7;
/// The delta of the white-box audit: a claim holds at every delta, and thousands of runs can only test a large one.
const DELTA: f64 = 0.03;

fn variance(rig: &Rig, rounds: u64) -> Result<Finding, SimulateError> {
    let zeros = [0.0; LENGTH];
    let sums: Vec<Vec<i64>> = (0..rounds)
        .into_par_iter()
        .map(|round| Ok(rig.round(round, &zeros)?.integers))
        .collect::<Result<_, SimulateError>>()?;
    let mut squares = vec![0.0; LENGTH];
    for sum in &sums {
        for (square, value) in squares.iter_mut().zip(sum) {
            *square += (*value as f64).powi(2);
        }
    }
    let promised = rig.promised_variance() * rounds as f64;
    let ratio = squares.iter().sum::<f64>() / (promised * LENGTH as f64);
    let least = squares.iter().copied().fold(f64::INFINITY, f64::min) / promised;
    let floor = 1.0 - DEVIATIONS * (2.0 / rounds as f64).sqrt();
    Ok(Finding {
        check: Check::Variance,
        passed: (ratio - 1.0).abs() <= VARIANCE && least >= floor,
        measured: format!("{ratio:.3} of what was promised; the least noisy coordinate {least:.2}"),
    })
}

/// Rounds that are compared word by word.
const COMPARED: u64 = 50;

fn round_trip(rig: &Rig) -> Result<Finding, SimulateError> {
    let first: Vec<f32> = (0..LENGTH)
        .map(|place| place as f32 / 400.0 - 0.08)
        .collect();
    let mut differ = 0;
    for round in 0..COMPARED {
        let round = rig.round(round, &first)?;
        let scale = rig.encoding.scale();
        let pairs = round.decoded.iter().zip(&round.integers);
        differ += pairs
            .filter(|(decoded, integer)| **decoded != **integer as f64 / scale)
            .count();
    }
    Ok(Finding {
        check: Check::RoundTrip,
        passed: differ == 0,
        measured: format!("{differ} of {} values differ", COMPARED as usize * LENGTH),
    })
}

fn repeated(rig: &Rig) -> Result<Finding, SimulateError> {
    let zeros = [0.0; LENGTH];
    let mut seen = BTreeSet::new();
    let mut vectors = 0;
    for round in 0..COMPARED {
        for upload in rig.round(round, &zeros)?.uploads {
            // A client that adds nothing sends zeros: that is another check's to find.
            if upload.iter().any(|word| *word != 0) {
                vectors += 1;
                seen.insert(upload);
            }
        }
    }
    let repeated = vectors - seen.len();
    Ok(Finding {
        check: Check::Repeated,
        passed: repeated == 0,
        measured: format!("{repeated} of {vectors} noise vectors are another's again"),
    })
}

fn integer_norm(rig: &Rig, rounds: u64) -> Result<Finding, SimulateError> {
    let share = rig.largest_norm(0..rounds)?;
    Ok(Finding {
        check: Check::IntegerNorm,
        passed: share <= 1.0,
        measured: format!("the largest squared norm is {share:.2} of the largest allowed"),
    })
}

/// One client with everything in one coordinate, against the same client with zeros: the worst pair of neighbours.
fn audit(rig: &Rig, runs: u64) -> Result<(Finding, Proof), SimulateError> {
    let honest = rig.survivors.honest;
    // The claim: one release with the noise that the plan promised.
    let share = rig.promised_variance() / honest as f64;
    let release: Release = SummedNoise::new(&rig.encoding, share, honest).release();
    let claimed = spent(&[release], DELTA)?;
    let exact = claimed.estimate()?;
    // Decided before looking: where continuous noise of this size shows most, and the middle, which missing noise crosses.
    let clip = rig.encoding.clip();
    let thresholds = [clip * (exact / claimed.mu.powi(2) + 0.5), clip * 0.5];
    let mut with = [0.0; LENGTH];
    let without = with;
    if let Some(first) = with.first_mut() {
        *first = clip as f32;
    }
    let first = |values: &[f32], rounds: Range<u64>| -> Result<Vec<f64>, SimulateError> {
        let rounds = rounds.into_par_iter().map(|round| {
            let decoded = rig.round(round, values)?.decoded;
            Ok(decoded.first().copied().unwrap_or_default())
        });
        rounds.collect()
    };
    let present = first(&with, 0..runs)?;
    let absent = first(&without, runs..2 * runs)?;
    let mut proven = 0.0f64;
    for threshold in thresholds {
        let above = |values: &[f64]| {
            let above = values.iter().filter(|value| **value > threshold);
            above.count() as u64
        };
        let guesses = Guesses {
            present: runs,
            true_positives: above(&present),
            absent: runs,
            false_positives: above(&absent),
        };
        // Two questions share the 5 % by which both may be wrong.
        let confidence = 1.0 - 0.05 / thresholds.len() as f64;
        proven = proven.max(epsilon_from_guesses(&guesses, confidence, DELTA)?);
    }
    let epsilon = claimed.epsilon;
    let finding = Finding {
        check: Check::Audit,
        passed: proven <= epsilon,
        measured: format!(
            "epsilon at least {proven:.2} at 95 %, {epsilon:.2} claimed (delta {DELTA})"
        ),
    };
    let proof = Proof {
        proven,
        exact,
        claimed: epsilon,
        delta: DELTA,
    };
    Ok((finding, proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Effort = Effort {
        rounds: 1_500,
        runs: 6_000,
    };

    #[test]
    fn the_sound_mechanism_passes_every_check_and_wastes_no_noise() {
        let sound = control(Fault::None, 1, QUICK).unwrap();
        assert!(sound.as_expected(), "{sound:?}");
    }

    #[test]
    fn each_fault_is_found_by_its_check() {
        let few = Effort {
            runs: 1_000,
            ..QUICK
        };
        for fault in Fault::ALL {
            let control = control(fault, 2, few).unwrap();
            assert!(control.as_expected(), "{control:?}");
        }
    }
}
