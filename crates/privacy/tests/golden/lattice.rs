//! Discrete Gaussian, Skellam and sums of discrete Gaussians on one integer, and the bounds for vectors.

use crate::tables::{close, rows};
use chorus_privacy::account::{epsilon, upper_bound};
use chorus_privacy::lattice::{Law, skellam_renyi};
use chorus_privacy::{Accountant, Bound, Event, Mechanism, SummedNoise};

/// ln of a weight that no order used here can see.
const FAR: f64 = -1_000_000.0;

#[test]
fn discrete_gaussian_renyi() {
    for row in rows("discrete_gaussian_rdp") {
        let id = row.text("id");
        let law =
            Law::discrete_gaussian(row.number("sigma2"), row.number("shift") as u32, FAR).unwrap();
        let order = row.number("alpha");
        let found = law.renyi(row.number("shift") as u32, order);
        let expected = row.number("rdp_numeric");
        assert!(
            (found - expected).abs() <= 1e-9 * expected + 1e-12,
            "{id}: {found} for {expected}"
        );
        let bound = row.number("rdp_bound");
        assert!(found <= bound * (1.0 + 1e-9), "{id}");
        if order.fract() == 0.0 {
            close(found, bound, 1e-9, id);
        }
    }
}

fn check_epsilon(
    table: &str,
    variance: &str,
    mechanism: impl Fn(f64, u32) -> Mechanism,
) -> [usize; 2] {
    let mut seen = [0; 2];
    for row in rows(table) {
        let id = row.text("id");
        let shift = row.number("shift") as u32;
        let multiplier = row.number(variance).sqrt() / f64::from(shift);
        let event = Event {
            mechanism: mechanism(multiplier, shift),
            steps: row.number("T") as u64,
        };
        let delta = row.number("delta");
        let best = epsilon(&[event], delta, Accountant::Best).unwrap();
        let (loss, _) = upper_bound(&[event], delta, Accountant::Pld).unwrap();
        if let Some(exact) = row.maybe("eps_exact") {
            close(best.value, exact, 1e-9, id);
            assert_eq!(best.bound, Bound::Exact);
            assert!(
                loss >= exact * (1.0 - 1e-12) && loss <= exact + 1e-3,
                "{id}: {} for {exact}",
                loss
            );
            seen[0] += 1;
        }
        if let (Some(most), Some(least)) = (row.maybe("eps_pld_pess"), row.maybe("eps_pld_opt")) {
            assert!(
                loss >= least - 1e-9 && loss <= most + 1e-3,
                "{id}: {} of {least}..{most}",
                loss
            );
            seen[1] += 1;
        }
        let continuous = row.number("eps_continuous_gaussian");
        assert!(
            (best.value / continuous - 1.0).abs() < 0.5,
            "{id}: {} for about {continuous}",
            best.value
        );
        assert!(
            best.lower_bound
                .is_none_or(|lower| lower <= best.value && lower <= loss),
            "{id}"
        );
    }
    seen
}

#[test]
fn discrete_gaussian_epsilon() {
    let seen = check_epsilon(
        "discrete_gaussian_eps",
        "sigma2",
        |noise_multiplier, shift| Mechanism::DiscreteGaussian {
            noise_multiplier,
            shift: Some(shift),
        },
    );
    assert!(seen[0] >= 20 && seen[1] >= 45, "{seen:?}");
}

#[test]
fn skellam_epsilon() {
    let seen = check_epsilon("skellam_eps", "variance", |noise_multiplier, shift| {
        Mechanism::Skellam {
            noise_multiplier,
            sensitivity: f64::from(shift),
            shift: Some(shift),
        }
    });
    assert!(seen[0] >= 15 && seen[1] >= 15, "{seen:?}");
}

#[test]
fn skellam_divergence_and_its_bound() {
    for row in rows("skellam_rdp") {
        let id = row.text("id");
        let (variance, shift) = (row.number("variance"), row.number("shift"));
        let (coordinates, order) = (row.number("coords"), row.number("alpha"));
        let law = Law::skellam(variance, shift as u32, FAR).unwrap();
        let found = coordinates * law.renyi(shift as u32, order);
        close(found, row.number("rdp_numeric"), 1e-9, id);
        let bound = skellam_renyi(
            order,
            variance,
            coordinates * shift * shift,
            coordinates * shift,
        );
        close(bound, row.number("rdp_bound"), 1e-12, id);
        assert_eq!(
            found <= bound * (1.0 + 1e-9),
            row.text("bound_holds") == "1",
            "{id}"
        );
        close(
            order * coordinates * shift * shift / (2.0 * variance),
            row.number("rdp_gaussian"),
            1e-12,
            id,
        );
    }
    assert_eq!(skellam_renyi(1.5, 1.0, 1.0, 1.0), f64::INFINITY);
}

#[test]
fn sums_of_discrete_gaussians() {
    for row in rows("sum_of_discrete_gaussians") {
        let id = row.text("id");
        let (variance, shares) = (row.number("sigma2_local"), row.number("n"));
        let share = Law::discrete_gaussian(variance, 1, -700.0).unwrap();
        close(share.variance(), row.number("local_variance"), 1e-9, id);
        let sum = share.sum_of(shares as usize);
        // The law the sum is compared with: a discrete Gaussian of n times the parameter.
        let one = Law::discrete_gaussian(variance * shares, 1, -700.0).unwrap();
        // The largest log-ratio within six deviations; the table rounds that reach up, by up to two values.
        let expected = row.number("max_abs_log_ratio_6sd");
        let reach = (6.0 * (shares * variance).sqrt()).floor() as i64;
        let apart = |reach: i64| {
            (-reach..=reach)
                .map(|value| (sum.ln_probability(value) - one.ln_probability(value)).abs())
                .fold(0.0, f64::max)
        };
        assert!(
            (reach..=reach + 2)
                .any(|reach| (apart(reach) - expected).abs() <= 1e-6 * expected + 1e-13),
            "{id}: {} for {expected}",
            apart(reach)
        );
        for order in [2.0, 4.0, 8.0] {
            let found = sum.renyi(1, order);
            let expected = row.number(&format!("rdp_shift1_a{order}_numeric"));
            assert!(
                (found - expected).abs() <= 1e-9 * expected + 1e-12,
                "{id} {order}: {found} for {expected}"
            );
            let bound =
                SummedNoise::with_sensitivity(1.0, 1.0, variance, shares as usize, 1).renyi(order);
            assert!(found <= bound * (1.0 + 1e-9), "{id} {order}");
        }
    }
}
