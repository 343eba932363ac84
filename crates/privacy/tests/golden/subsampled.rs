//! The Gaussian on a Poisson sample: Renyi divergences, dp-accounting's epsilon, the brackets of the loss distribution.

use crate::tables::{Row, close, rows};
use chorus_privacy::account::{delta, epsilon, upper_bound};
use chorus_privacy::subsampled::Subsampled;
use chorus_privacy::{Accountant, Bound, Event, Mechanism};

fn event(row: &Row) -> Event {
    let mechanism = Mechanism::SubsampledGaussian {
        sampling_rate: row.number("q"),
        noise_multiplier: row.number("z"),
    };
    Event {
        mechanism,
        steps: row.number("T") as u64,
    }
}

#[test]
fn renyi_divergence_of_one_step() {
    let (mut exact, mut fractional) = (0, 0);
    for row in rows("subsampled_gaussian_rdp") {
        let id = row.text("id");
        let step = Subsampled::new(row.number("q"), row.number("z")).unwrap();
        let order = row.number("alpha");
        let found = step.renyi(order);
        if let Some(expected) = row.maybe("rdp_mpmath") {
            close(found, expected, 1e-12, id);
            exact += 1;
        } else {
            // At fractional orders dp-accounting gives a bound. Where it is tiny, the table has lost digits of ln(1 + A).
            let theirs = row.number("rdp_per_step");
            assert!(
                found <= theirs * (1.0 + 1e-12),
                "{id}: {found} above {theirs}"
            );
            let ours = step.renyi_of_dp_accounting(order);
            let lost = 1e-15 / (order - 1.0);
            assert!(
                ours == theirs || (ours - theirs).abs() <= 1e-8 * theirs + lost,
                "{id}: {ours} for {theirs}"
            );
            fractional += 1;
        }
    }
    assert_eq!((exact, fractional), (420, 108), "rows of the table");
}

#[test]
fn fractional_orders_lie_on_the_convex_curve_between_whole_ones() {
    for (q, z) in [
        (1e-6, 0.3),
        (0.01, 1.0),
        (0.3, 0.3),
        (0.5, 4.0),
        (0.999, 10.0),
    ] {
        let step = Subsampled::new(q, z).unwrap();
        let height = |order: f64| (order - 1.0) * step.renyi(order);
        for order in [2.0, 3.0, 7.0, 63.0, 500.0] {
            let (below, middle, above) = (height(order), height(order + 0.5), height(order + 1.0));
            assert!(
                below < middle && middle <= (below + above) / 2.0 * (1.0 + 1e-12),
                "q {q} z {z} order {order}"
            );
            // Nearly straight over so short a piece: no jump between the ways to compute.
            assert!(
                (height(order + 1e-6) / below - 1.0).abs() < 1e-3,
                "q {q} z {z} order {order}"
            );
        }
    }
}

#[test]
fn epsilon_of_renyi_equals_dp_accounting() {
    let mut seen = 0;
    for row in rows("subsampled_gaussian_eps") {
        let (found, bound) =
            upper_bound(&[event(&row)], row.number("delta"), Accountant::Rdp).unwrap();
        let expected = row.number("eps_rdp");
        assert!(
            (found - expected).abs() <= 1e-6 * expected,
            "{}: {found} for {expected}",
            row.text("id")
        );
        assert_eq!(bound, Bound::Rdp);
        seen += 1;
    }
    assert_eq!(seen, 96);
}

#[test]
fn the_loss_distribution_lies_in_the_bracket() {
    let mut seen = 0;
    for row in rows("subsampled_gaussian_eps") {
        let id = row.text("id");
        let (events, delta) = ([event(&row)], row.number("delta"));
        let (found, bound) = upper_bound(&events, delta, Accountant::Pld).unwrap();
        assert_eq!(bound, Bound::Pld);
        if let (Some(most), Some(least)) = (row.maybe("eps_pld_pess"), row.maybe("eps_pld_opt")) {
            assert!(
                found >= least && found <= most + 1e-3,
                "{id}: {found} of {least}..{most}"
            );
            seen += 1;
        }
        if let Some(likely) = row.maybe("eps_prv_est") {
            assert!(
                found > likely - 1e-3 && found < likely + 2e-3,
                "{id}: {found} for about {likely}"
            );
        }
        if let Some(exact) = row.maybe("eps_exact") {
            assert!(
                found >= exact && found <= exact * (1.0 + 1e-4) + 1e-4,
                "{id}: {found} for {exact}"
            );
            let best = epsilon(&events, delta, Accountant::Best).unwrap();
            assert!(
                (best.value - exact).abs() <= 1e-9 * exact + 1e-16,
                "{id}: {} for {exact}",
                best.value
            );
            assert_eq!(
                (best.bound, best.lower_bound),
                (Bound::Exact, Some(best.value)),
                "{id}"
            );
        }
    }
    assert_eq!(seen, 92);
}

/// Lower bounds on a few rows: each takes longer than the bound itself.
#[test]
fn the_truth_lies_between_the_bounds() {
    let mut seen = 0;
    for row in rows("subsampled_gaussian_eps").iter().step_by(7) {
        let id = row.text("id");
        let answer = epsilon(&[event(row)], row.number("delta"), Accountant::Pld).unwrap();
        let Some(lower) = answer.lower_bound else {
            continue;
        };
        assert!(lower <= answer.value, "{id}");
        if let Some(exact) = row.maybe("eps_exact") {
            assert!(lower <= exact * (1.0 + 1e-9), "{id}: {lower} above {exact}");
        }
        if let Some(likely) = row.maybe("eps_prv_est") {
            assert!(
                lower <= likely + 1e-3 && lower >= 0.95 * likely,
                "{id}: {lower} for {likely}"
            );
        }
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

/// privacy.md section 2, (a): the smallest of the bounds, not one favourite.
#[test]
fn the_smallest_bound_wins() {
    let one = |q, z, steps| Event {
        mechanism: Mechanism::SubsampledGaussian {
            sampling_rate: q,
            noise_multiplier: z,
        },
        steps,
    };
    let best = |event| upper_bound(&[event], 1e-6, Accountant::Best).unwrap();
    assert_eq!(best(one(1e-6, 0.5, 1)), (0.0, Bound::Exact));
    let (many, bound) = best(one(1e-6, 0.3, 100_000));
    assert!(many < 5.33 && bound == Bound::Pld, "{many}");
    // Where both are close, Renyi divergences at our orders are never above those at the usual ones.
    for (q, z, steps) in [(0.9, 3.0, 100), (0.5, 10.0, 1000), (0.01, 10.0, 100_000)] {
        let (usual, _) = upper_bound(&[one(q, z, steps)], 1e-6, Accountant::Rdp).unwrap();
        assert!(best(one(q, z, steps)).0 <= usual);
    }
}

#[test]
fn delta_and_epsilon_are_inverse() {
    let event = Event {
        mechanism: Mechanism::SubsampledGaussian {
            sampling_rate: 0.01,
            noise_multiplier: 0.8,
        },
        steps: 500,
    };
    for accountant in [Accountant::Rdp, Accountant::Pld, Accountant::Best] {
        for target in [1e-3, 1e-10] {
            let (found, _) = upper_bound(&[event], target, accountant).unwrap();
            let back = delta(&[event], found, accountant).unwrap();
            assert!(
                (back.value / target - 1.0).abs() < 5e-3,
                "{accountant:?} {target}: {}",
                back.value
            );
            assert!(back.value <= target * 1.005);
        }
    }
    // Heterogeneous events: two halves of a run are the run.
    let halves = [Event {
        steps: 250,
        ..event
    }; 2];
    let (whole, _) = upper_bound(&[event], 1e-6, Accountant::Best).unwrap();
    let (parts, _) = upper_bound(&halves, 1e-6, Accountant::Best).unwrap();
    assert!((whole / parts - 1.0).abs() < 1e-4, "{whole} {parts}");
}
