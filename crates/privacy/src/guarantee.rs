use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accountant::{ACCOUNTANT, Release, gaussian, spent};
use crate::{PrivacyError, Survivors};

/// What a task promises each participant. `Display` prints it in the words of `privacy.md` 1.8, with the assumptions.
///
/// Numbers are printed rounded to the side that promises less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantee {
    /// The bound that is a theorem for the discrete mechanism, for the whole contribution over all participations.
    pub epsilon: f64,
    /// The probability that the bound may fail with.
    pub delta: f64,
    /// k: sums of this task that one client takes part in at most.
    pub participations: usize,
    /// z_eff of the least noisy of these sums.
    pub noise_multiplier: f64,
    /// mu of Gaussian DP over all participations.
    pub mu: f64,
    /// rho of zero-concentrated DP over all participations.
    pub rho: f64,
    /// The exact epsilon of continuous Gaussian noise of this size: an estimate, not a promise.
    pub estimate: f64,
    /// How often an attacker who could otherwise guess 50:50 whether a client's contributions are in the sums is right at most.
    pub guess: f64,
    /// `noise_min`: contributions in each sum that must come from clients which add their noise and do not collude. With 1,
    /// one's own: each report is private by itself.
    pub noise_min: usize,
    /// Name and version of the accountant.
    pub accountant: String,
}

impl Guarantee {
    /// `releases`: every sum that one client takes part in. `survivors`: the plan of the smallest of these sums.
    ///
    /// # Errors
    /// As [`spent`](crate::spent); no releases; a plan without honest clients.
    pub fn new(
        releases: &[Release],
        delta: f64,
        survivors: &Survivors,
    ) -> Result<Self, PrivacyError> {
        if releases.is_empty() {
            return Err(PrivacyError::NoReleases);
        }
        if survivors.honest == 0 {
            return Err(PrivacyError::TooFewHonest {
                invited: survivors.minimum,
                honest: 0,
            });
        }
        let spent = spent(releases, delta)?;
        let noise_multiplier = releases
            .iter()
            .map(|release| release.noise_multiplier)
            .fold(f64::INFINITY, f64::min);
        Ok(Self {
            epsilon: spent.epsilon,
            delta,
            participations: releases.len(),
            noise_multiplier,
            mu: spent.mu,
            rho: spent.rho,
            estimate: spent.estimate()?,
            guess: gaussian::distribution(spent.mu / 2.0),
            noise_min: survivors.honest,
            accountant: ACCOUNTANT.to_owned(),
        })
    }
}

/// Rounds away from zero at `digits` decimals, but not for the last bits of an f64 such as 8.000000000000002.
fn up(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit * (1.0 - 1e-12)).ceil() / unit
}

fn down(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit * (1.0 + 1e-12)).floor() / unit
}

impl fmt::Display for Guarantee {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            delta,
            participations,
            noise_min,
            accountant,
            ..
        } = self;
        let epsilon = up(self.epsilon, 3);
        let plural = if *participations == 1 { "" } else { "s" };
        writeln!(
            out,
            "Privacy guarantee. Whatever the coordinator, other participants and anyone else who sees published models learn from \
             this training is (epsilon = {epsilon}, delta = {delta:e})-differentially private for your whole contribution (all your \
             interactions together), for at most {participations} participation{plural} in this task, noise multiplier at least \
             {} per participation; equivalently {}-Gaussian DP (for continuous noise), rho = {} zCDP.",
            down(self.noise_multiplier, 4),
            up(self.mu, 4),
            up(self.rho, 4),
        )?;
        writeln!(
            out,
            "Plainly: an attacker who could otherwise guess 50:50 whether your contributions are in it is right at most {} % of the time.",
            up(100.0 * self.guess, 1),
        )?;
        writeln!(
            out,
            "Neighbouring: your contributions replaced by zeros (zero-out) in every round; whether you were invited is not hidden."
        )?;
        if *noise_min == 1 {
            writeln!(
                out,
                "Assumes: your device's random numbers are good. Each report is private before it leaves your device: this holds \
                 whatever the coordinator and all other participants do, and whether or not the aggregation protocol holds."
            )?;
        } else {
            writeln!(
                out,
                "Assumes: (1) the aggregation protocol hides everything but the sum; (2) at least {noise_min} of the contributions in \
                 each completed sum come from devices that add their noise share and do not collude with the coordinator; (3) your \
                 device's random numbers are good."
            )?;
        }
        writeln!(
            out,
            "Not covered: what your own device shows on its screen; the fact that you use the service; side channels."
        )?;
        write!(
            out,
            "Accountant: Renyi bound for the discrete mechanism, version {accountant}. Estimate for continuous noise: epsilon {}. \
             Amplification by sampling: not used.",
            up(self.estimate, 3),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_by_itself_trusts_nobody() {
        let releases = [Release {
            noise_multiplier: 1.0,
            tau_times_length: 0.0,
            skellam: None,
        }];
        let words = |honest| {
            let survivors = Survivors {
                minimum: 90,
                honest,
            };
            Guarantee::new(&releases, 1e-5, &survivors)
                .unwrap()
                .to_string()
        };
        let trust = "the aggregation protocol hides everything but the sum";
        assert!(words(2).contains(trust) && !words(1).contains(trust));
        assert!(words(1).contains("private before it leaves your device"));
    }

    #[test]
    fn the_words_carry_the_numbers_and_the_assumptions() {
        let survivors = Survivors {
            minimum: 90,
            honest: 80,
        };
        let releases = [Release {
            noise_multiplier: 1.0,
            tau_times_length: 0.0,
            skellam: None,
        }];
        let guarantee = Guarantee::new(&releases, 1e-5, &survivors).unwrap();
        let words = guarantee.to_string();
        for part in [
            "(epsilon = 4.729, delta = 1e-5)-differentially private for your whole contribution",
            "at most 1 participation in",
            "noise multiplier at least 1 per participation",
            "equivalently 1-Gaussian DP",
            "rho = 0.5 zCDP",
            "at most 69.2 % of the time",
            "zero-out",
            "at least 80 of the contributions",
            "Not covered",
            "renyi-discrete-gaussian 1",
            "epsilon 4.378",
            "Amplification by sampling: not used",
        ] {
            assert!(words.contains(part), "{part}\n{words}");
        }
        let text = serde_json::to_string(&guarantee).unwrap();
        assert_eq!(serde_json::from_str::<Guarantee>(&text).unwrap(), guarantee);
    }

    #[test]
    fn nothing_is_guaranteed_for_nothing() {
        let release = Release {
            noise_multiplier: 1.0,
            tau_times_length: 0.0,
            skellam: None,
        };
        assert!(
            Guarantee::new(
                &[],
                1e-5,
                &Survivors {
                    minimum: 1,
                    honest: 1
                }
            )
            .is_err()
        );
        assert!(
            Guarantee::new(
                &[release],
                1e-5,
                &Survivors {
                    minimum: 1,
                    honest: 0
                }
            )
            .is_err()
        );
        assert!(
            Guarantee::new(
                &[release],
                0.0,
                &Survivors {
                    minimum: 1,
                    honest: 1
                }
            )
            .is_err()
        );
        for noise_multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let release = Release {
                noise_multiplier,
                tau_times_length: 0.0,
                skellam: None,
            };
            assert!(
                Guarantee::new(
                    &[release],
                    1e-5,
                    &Survivors {
                        minimum: 1,
                        honest: 1
                    }
                )
                .is_err()
            );
        }
    }

    #[test]
    fn rounding_promises_less() {
        assert_eq!(up(7.9991, 3), 8.0);
        assert_eq!(up(8.000000000000002, 3), 8.0);
        assert_eq!(down(1.10459, 4), 1.1045);
    }
}
