//! From epsilon to noise, where clients are sampled.

use crate::tables::rows;
use chorus_privacy::account::{noise_multiplier, upper_bound};
use chorus_privacy::{Accountant, Event, Mechanism, PrivacyError};

#[test]
fn less_noise_than_renyi_and_not_less_than_needed() {
    for (index, row) in rows("calibration").iter().enumerate() {
        let id = row.text("id");
        let events = |noise_multiplier: f64| {
            vec![Event {
                mechanism: Mechanism::SubsampledGaussian {
                    sampling_rate: row.number("q"),
                    noise_multiplier,
                },
                steps: row.number("T") as u64,
            }]
        };
        let (target, delta) = (row.number("eps"), row.number("delta"));
        let best = noise_multiplier(target, delta, Accountant::Best, events).unwrap();
        let cost = |multiplier: f64| {
            upper_bound(&events(multiplier), delta, Accountant::Best)
                .unwrap()
                .0
        };
        assert!(cost(best) <= target, "{id}: {best}");
        let renyi = row.number("z_rdp");
        assert!(best <= renyi, "{id}: {best} above {renyi}");
        if let Some(loss) = row.maybe("z_pld_pess") {
            assert!(
                best >= 0.98 * loss && best <= 1.002 * loss,
                "{id}: {best} for {loss}"
            );
        }
        // The rest takes as long again: on some rows.
        if index % 4 != 0 {
            continue;
        }
        assert!(cost(best * 0.998) > target, "{id}: {best} is too much");
        let theirs = noise_multiplier(target, delta, Accountant::Rdp, events).unwrap();
        assert!(
            (theirs / renyi - 1.0).abs() < 4e-4,
            "{id}: {theirs} for {renyi}"
        );
    }
}

#[test]
fn the_impossible_is_refused_in_words() {
    let events = |noise_multiplier: f64| {
        vec![Event {
            mechanism: Mechanism::Gaussian { noise_multiplier },
            steps: u64::MAX >> 25,
        }]
    };
    for target in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = noise_multiplier(target, 1e-5, Accountant::Best, events).unwrap_err();
        assert!(refused.to_string().starts_with("epsilon is "), "{refused}");
    }
    let refused = noise_multiplier(1e-9, 1e-300, Accountant::Best, events).unwrap_err();
    assert_eq!(refused, PrivacyError::Unreachable(1e-9));
}
