//! The accountant at its extremes: never a number that is none, never less than the truth, never against common sense.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chorus_privacy::account::{delta, epsilon, upper_bound};
use chorus_privacy::{Accountant, Bound, Event, Mechanism};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn sampled(rate: f64, noise_multiplier: f64, steps: u64) -> Event {
    Event {
        mechanism: Mechanism::SubsampledGaussian {
            sampling_rate: rate,
            noise_multiplier,
        },
        steps,
    }
}

fn best(event: Event, delta: f64) -> f64 {
    upper_bound(&[event], delta, Accountant::Best).unwrap().0
}

/// Between 10^low and 10^high.
fn decades(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low..high).prop_map(|power| 10f64.powf(power))
}

proptest! {
    // The same cases every time: what is asked here is how tight the bounds are, not only whether they hold.
    #![proptest_config(ProptestConfig { cases: 10, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_steps_less_noise_larger_samples_cost_more(
        rate in decades(-6.0, -0.01),
        noise in decades(-0.5, 2.0),
        steps in decades(0.5, 5.0),
        failure in decades(-12.0, -3.0),
    ) {
        let steps = steps as u64 + 1;
        let here = best(sampled(rate, noise, steps), failure);
        prop_assert!(here.is_finite() && here >= 0.0, "{here}");
        // The grid adds up to 1e-4 of epsilon, not the same everywhere.
        let least = here * (1.0 - 1e-3) - 1e-5;
        for (dearer, what) in [
            (best(sampled(rate, noise, steps * 2), failure), "steps"),
            (best(sampled(rate, noise * 0.8, steps), failure), "noise"),
            (best(sampled((rate * 1.5).min(1.0), noise, steps), failure), "sample"),
            (best(sampled(rate, noise, steps), failure / 10.0), "delta"),
        ] {
            prop_assert!(dearer.is_finite() && dearer >= least, "{what}: {dearer} below {here}");
        }
        // Nothing costs more than the same without sampling.
        prop_assert!(here <= best(sampled(1.0, noise, steps), failure) * (1.0 + 1e-9));
    }

    /// One step of the composition is exact by another road; many steps of all clients too.
    #[test]
    fn composed_losses_are_never_below_the_truth(
        rate in decades(-6.0, -0.01),
        noise in decades(-0.5, 2.0),
        steps in decades(0.0, 5.0),
        failure in decades(-12.0, -3.0),
    ) {
        for event in [sampled(rate, noise, 1), sampled(1.0, noise, steps as u64)] {
            let truth = epsilon(&[event], failure, Accountant::Exact).unwrap();
            prop_assert_eq!(truth.bound, Bound::Exact);
            let answer = epsilon(&[event], failure, Accountant::Pld).unwrap();
            // At noise 0.5 and rate 1e-5 the grid adds 2e-4 to an epsilon of 0.003.
            let most = truth.value * (1.0 + 2e-4) + 5e-4;
            prop_assert!(answer.value >= truth.value * (1.0 - 1e-12) && answer.value <= most, "{answer:?} for {truth:?}");
            if let Some(lower) = answer.lower_bound {
                prop_assert!(lower <= truth.value * (1.0 + 1e-9) + 1e-15, "{answer:?} for {truth:?}");
            }
        }
    }

    /// Renyi divergences and losses are two roads: the lower bound of the one is never above the upper bound of the other.
    #[test]
    fn two_roads_agree(
        rate in decades(-4.0, -0.01),
        noise in decades(-0.5, 1.5),
        steps in decades(0.5, 3.0),
        failure in decades(-9.0, -3.0),
    ) {
        let event = [sampled(rate, noise, steps as u64 + 1)];
        let renyi = upper_bound(&event, failure, Accountant::Rdp).unwrap().0;
        let answer = epsilon(&event, failure, Accountant::Pld).unwrap();
        if let Some(lower) = answer.lower_bound {
            prop_assert!(lower <= renyi && lower <= answer.value, "{answer:?} beside {renyi}");
        }
        // And back: the delta of that epsilon is the delta that was asked for, or less.
        let back = delta(&event, answer.value, Accountant::Pld).unwrap();
        prop_assert!(back.value <= failure * (1.0 + 1e-2), "{back:?} for {failure}");
    }
}

#[test]
fn the_corners_have_numbers() {
    for rate in [1e-6, 0.5, 1.0 - 1e-9] {
        for noise in [0.3, 100.0] {
            for steps in [1, 100_000] {
                for failure in [1e-12, 1e-3] {
                    let event = sampled(rate, noise, steps);
                    let found = best(event, failure);
                    assert!(
                        found.is_finite() && found >= 0.0,
                        "{event:?} {failure}: {found}"
                    );
                    let gone = delta(&[event], found, Accountant::Best).unwrap().value;
                    assert!(gone <= failure * 1.01, "{event:?} {failure}: {gone}");
                }
            }
        }
    }
}
