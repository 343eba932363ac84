//! A live audit: after every sum it asks whether canaries already prove more than the sums so far claim.

use chorus_privacy::Spent;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, planned_guesses, provable};
use crate::SimulateError;

/// How often a sound task may be stopped at all: confidence 99.9 %.
const ALARMS: f64 = 0.001;

/// Watches a task and says when to stop it.
///
/// Looking again and again would prove anything in the end. So look number t may be wrong with probability
/// 0.001 x 6 / (pi^2 t^2) only: over any number of looks that adds up to 0.001 (the union bound), and a task that
/// keeps its promise is stopped with at most that probability.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    looks: Vec<Look>,
}

/// What one look saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The sum after which it was taken.
    pub sum: String,
    /// What the sums so far claim: an upper limit of epsilon.
    pub claimed: f64,
    /// Epsilon is proven to be at least this, at the confidence of this look.
    pub proven: f64,
    /// The most that this look could have proven, every guess right: what a task without any noise would show.
    pub provable: f64,
    /// The probability with which this look may be wrong.
    pub significance: f64,
    /// True when more is proven than was claimed: the task must stop.
    pub stop: bool,
}

impl Monitor {
    /// Looks at everything that was released so far.
    ///
    /// `claimed`: what one client has spent so far.
    ///
    /// # Errors
    /// When the bound cannot be computed.
    pub fn look(
        &mut self,
        sum: &str,
        evidence: &Evidence,
        claimed: &Spent,
    ) -> Result<&Look, SimulateError> {
        let number = self.looks.len() as f64 + 1.0;
        let significance = ALARMS * 6.0 / (std::f64::consts::PI * number).powi(2);
        let canaries = evidence.canaries();
        let guesses = planned_guesses(canaries, claimed.mu, significance, claimed.delta)?;
        let proven = evidence.minimum(guesses, significance, claimed.delta)?;
        Ok(self.looks.push_mut(Look {
            sum: sum.to_owned(),
            claimed: claimed.epsilon,
            proven,
            provable: provable(canaries, guesses, significance, claimed.delta)?,
            significance,
            stop: proven > claimed.epsilon,
        }))
    }

    /// Every look so far, in order.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::canary::direction;
    use chorus_privacy::{Release, spent};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    /// A task of `sums` sums of multiplier 4 each, that gives canaries away as `leak` such sums would.
    fn watched(sums: usize, leak: f64, seed: u64) -> Vec<Look> {
        let release = Release {
            noise_multiplier: 4.0,
            tau_times_length: 0.0,
            skellam: None,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut monitor = Monitor::default();
        // Normal numbers: the coordinates of a random direction, scaled.
        let mut normal = || f64::from(direction(400, &mut rng)[0]) * 20.0;
        let mut scores: Vec<(f64, bool)> = (0..200).map(|canary| (0.0, canary % 2 == 0)).collect();
        for sum in 1..=sums {
            for (score, included) in &mut scores {
                *score += normal() + f64::from(u8::from(*included)) * leak / 4.0;
            }
            let claimed = spent(&vec![release; sum], 1e-5).unwrap();
            let evidence = Evidence::new(scores.iter().copied());
            if monitor.look("sum", &evidence, &claimed).unwrap().stop {
                break;
            }
        }
        monitor.looks().to_vec()
    }

    #[test]
    fn a_sound_task_runs_on_and_a_broken_one_is_stopped_early() {
        for seed in 0..3 {
            let sound = watched(12, 1.0, seed);
            assert_eq!(sound.len(), 12, "{sound:?}");
            let broken = watched(12, 20.0, seed);
            assert!(broken.len() <= 2, "{broken:?}");
            assert!(broken.last().unwrap().stop);
        }
    }

    #[test]
    fn however_often_it_looks_it_is_rarely_wrong() {
        let looks = watched(15, 0.0, 1);
        let total: f64 = looks.iter().map(|look| look.significance).sum();
        assert!(looks.len() == 15 && total < ALARMS && total > 0.9 * ALARMS);
    }
}
