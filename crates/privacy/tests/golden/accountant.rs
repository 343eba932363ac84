//! The accountant against the golden tables of `tests/vectors/dp`.

use crate::tables::{close, rows};
use chorus_privacy::{
    Encoding, LayeredNoise, LocalNoise, PrivacyError, Release, SummedNoise, SummedSkellam,
    Survivors, calibrate, gaussian, renyi, spent,
};

fn releases(multiplier: f64, count: usize) -> Vec<Release> {
    vec![
        Release {
            noise_multiplier: multiplier,
            tau_times_length: 0.0,
            skellam: None,
        };
        count
    ]
}

/// ln of a decimal that may be far below the smallest f64.
fn ln(text: &str) -> f64 {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    mantissa.parse::<f64>().unwrap().ln()
        + exponent.parse::<f64>().unwrap() * std::f64::consts::LN_10
}

#[test]
fn gaussian_analytic_to_nine_digits() {
    let (mut forwards, mut backwards, mut calibrated) = (0, 0, 0);
    for row in rows("gaussian_analytic") {
        let id = row.text("id");
        let (mu, epsilon) = (row.number("mu"), row.number("eps"));
        match row.text("direction") {
            "delta_to_eps" => {
                close(
                    gaussian::epsilon(mu, row.number("delta")).unwrap(),
                    epsilon,
                    1e-9,
                    id,
                );
                forwards += 1;
            }
            "eps_to_delta" => {
                let (found, expected) = (gaussian::ln_delta(mu, epsilon), ln(row.text("delta")));
                // Relative in delta itself, also where delta is far below the smallest f64.
                assert!(
                    (found - expected).abs() <= 1e-9,
                    "{id}: ln delta {found} for {expected}"
                );
                backwards += 1;
            }
            "eps_delta_to_z" => {
                let found = gaussian::noise_multiplier(epsilon, row.number("delta")).unwrap();
                close(found, row.number("noise_multiplier"), 1e-9, id);
                calibrated += 1;
            }
            other => panic!("unknown direction {other}"),
        }
    }
    assert_eq!((forwards, backwards, calibrated), (57, 89, 27));
}

#[test]
fn participation_limited_gaussian_exact_and_zcdp() {
    for row in rows("participation_limited_gaussian") {
        let id = row.text("id");
        let (count, multiplier, delta) = (
            row.number("max_participations"),
            row.number("z"),
            row.number("delta"),
        );
        let spent = spent(&releases(multiplier, count as usize), delta).unwrap();
        close(spent.rho, row.number("zcdp_rho"), 1e-12, id);
        close(spent.mu, count.sqrt() / multiplier, 1e-12, id);
        let exact = row.number("eps_exact");
        close(spent.estimate().unwrap(), exact, 1e-9, id);
        assert!(
            spent.epsilon >= exact,
            "{id}: the bound {} is below the exact {exact}",
            spent.epsilon
        );
    }
}

#[test]
fn unsampled_gaussian_equals_dp_accounting_at_its_orders() {
    let mut seen = 0;
    for row in rows("subsampled_gaussian_eps") {
        if row.number("q") != 1.0 {
            continue;
        }
        let id = row.text("id");
        let (multiplier, count, delta) = (row.number("z"), row.number("T"), row.number("delta"));
        let curve = |order: f64| count * order / (2.0 * multiplier * multiplier);
        let (epsilon, order) = renyi::epsilon(curve, &renyi::standard_orders(), delta).unwrap();
        close(epsilon, row.number("eps_rdp"), 1e-6, id);
        close(order, row.number("rdp_opt_order"), 1e-9, id);
        let spent = spent(&releases(multiplier, count as usize), delta).unwrap();
        assert!(
            spent.epsilon <= epsilon * (1.0 + 1e-9),
            "{id}: our orders gave more"
        );
        assert!(
            spent.epsilon >= row.number("eps_exact"),
            "{id}: our bound is below the truth"
        );
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn the_bound_holds_for_the_discrete_gaussian() {
    for row in rows("discrete_gaussian_rdp") {
        let id = row.text("id");
        let (variance, shift, order) = (
            row.number("sigma2"),
            row.number("shift"),
            row.number("alpha"),
        );
        let bound = row.number("rdp_bound");
        close(
            SummedNoise::with_sensitivity(shift, shift, variance, 1, 1).renyi(order),
            bound,
            1e-12,
            id,
        );
        assert!(row.number("rdp_numeric") <= bound * (1.0 + 1e-9), "{id}");
    }
}

#[test]
fn tau_of_a_sum_of_discrete_gaussians() {
    for row in rows("sum_of_discrete_gaussians") {
        let id = row.text("id");
        let sum = SummedNoise::with_sensitivity(
            1.0,
            1.0,
            row.number("sigma2_local"),
            row.number("n") as usize,
            1,
        );
        close(sum.tau(), row.number("tau_bound"), 1e-12, id);
        for order in [2.0, 4.0, 8.0] {
            let bound = row.number(&format!("rdp_shift1_a{order}_bound"));
            close(sum.renyi(order), bound, 1e-12, id);
            assert!(
                row.number(&format!("rdp_shift1_a{order}_numeric")) <= bound * (1.0 + 1e-9),
                "{id}"
            );
        }
    }
    // The rule sigma_loc >= 4 makes tau d vanish even for a large cohort and a long vector.
    assert!(SummedNoise::tau_of(16.0, 100_000) * 1e6 < 1e-58);
}

/// The table was converted at whole orders from 2: with them every row agrees. With the fractional orders of [`spent`] epsilon is
/// a little smaller (z = 1: 4.7285 instead of 4.7527).
#[test]
fn distributed_parameters() {
    let whole: Vec<f64> = (2..64)
        .chain([128, 256, 512, 1024])
        .map(f64::from)
        .collect();
    let mut seen = 0;
    for row in rows("distributed_params") {
        if row.text("feasible") != "1" {
            continue;
        }
        let id = row.text("id");
        let (multiplier, clients) = (row.number("z"), row.number("n"));
        let plain = Encoding::new(
            row.number("clip"),
            row.number("scale_s"),
            row.number("dim") as usize,
            32,
        )
        .unwrap();
        let encoding = match row.text("rotated") {
            "1" => plain.rotated(1),
            _ => plain,
        };
        let deviation = encoding.scale() * multiplier * encoding.clip();
        let sum = SummedNoise::new(&encoding, deviation.powi(2) / clients, clients as usize);
        close(
            (deviation.powi(2) / clients).sqrt(),
            row.number("local_sigma_grid"),
            1e-12,
            id,
        );
        close(
            encoding.sensitivity(),
            row.number("l2_sens_grid"),
            1e-12,
            id,
        );
        close(
            encoding.sensitivity() / encoding.scale(),
            row.number("l2_inflation"),
            1e-12,
            id,
        );
        close(
            sum.release().noise_multiplier,
            row.number("z_effective"),
            1e-12,
            id,
        );
        // The table prints 0 for what is below about 1e-150.
        assert!(
            (sum.tau() - row.number("tau")).abs() <= 1e-10 * row.number("tau") + 1e-150,
            "{id}"
        );
        let (epsilon, _) = renyi::epsilon(|order| sum.renyi(order), &whole, 1e-5).unwrap();
        close(epsilon, row.number("eps_ddgauss_rdp_1e5"), 1e-6, id);
        let skellam = Release::skellam(&encoding, deviation.powi(2));
        let summed = skellam.skellam.unwrap();
        let curve = |order: f64| summed.renyi(order, skellam.noise_multiplier);
        let (epsilon, _) = renyi::epsilon(curve, &whole, 1e-5).unwrap();
        close(epsilon, row.number("eps_skellam_rdp_1e5"), 1e-6, id);
        // Fractional orders are charged as the next whole one, so they never help.
        let charged = spent(&[skellam], 1e-5).unwrap().epsilon;
        close(charged, epsilon, 1e-6, id);
        let estimate = gaussian::epsilon(1.0 / sum.release().noise_multiplier, 1e-5).unwrap();
        close(estimate, row.number("eps_gauss_exact_zeff_1e5"), 1e-9, id);
        // The ledger's two numbers never understate the three bounds.
        for order in [1.5, 2.0, 8.0, 64.0] {
            let (kept, _) = renyi::epsilon(|_| sum.renyi(order), &[order], 1e-5).unwrap();
            let ledger = sum.release();
            let ledger_curve =
                order / (2.0 * ledger.noise_multiplier.powi(2)) + ledger.tau_times_length;
            let (charged, _) = renyi::epsilon(|_| ledger_curve, &[order], 1e-5).unwrap();
            assert!(kept <= charged * (1.0 + 1e-12), "{id}");
        }
        seen += 1;
    }
    assert_eq!(seen, 191);
}

/// The table's scale is the finest that fits into the ring: n (s c + 1) + 6 sigma = 2^(bits - 1), with rotation
/// 12 sqrt(n^2 s^2 c^2 / d + n/4 + sigma^2) = 2^bits.
#[test]
fn the_ring_holds_exactly_the_grids_of_the_table() {
    let mut seen = [[0; 5]; 2];
    for row in rows("distributed_params") {
        let bits = row.number("bits") as u32;
        let Some(kind) = [16, 18, 20, 24, 32].iter().position(|ring| *ring == bits) else {
            continue;
        };
        let rotated = row.number("rotated") as usize;
        if row.text("feasible") != "1" {
            continue;
        }
        let (multiplier, clip) = (row.number("z"), row.number("clip"));
        let (clients, length) = (row.number("n") as usize, row.number("dim") as usize);
        let fits = |factor: f64| {
            let scale = row.number("scale_s") * factor;
            let plain = Encoding::new(clip, scale, length, bits).unwrap();
            let encoding = match rotated {
                1 => plain.rotated(1),
                _ => plain,
            };
            encoding.cannot_wrap(clients, scale * multiplier * clip)
        };
        assert!(fits(0.999) && !fits(1.001), "{}", row.text("id"));
        seen[rotated][kind] += 1;
    }
    let least = seen.iter().flatten().min().copied();
    assert!(least.is_some_and(|least| least >= 10), "{seen:?}");
}

#[test]
fn the_bound_of_skellam_noise() {
    let mut seen = 0;
    for row in rows("skellam_rdp") {
        let (variance, shift) = (row.number("variance"), row.number("shift"));
        let coordinates = row.number("coords");
        let sum = SummedSkellam {
            variance,
            sensitivity_l1: shift * coordinates,
        };
        let multiplier = (variance / (shift * shift * coordinates)).sqrt();
        let bound = sum.renyi(row.number("alpha"), multiplier);
        close(bound, row.number("rdp_bound"), 1e-12, row.text("id"));
        assert!(bound >= row.number("rdp_numeric"), "{}", row.text("id"));
        // The control: for half the sensitivity the bound is below the truth.
        seen += usize::from(
            sum.renyi(row.number("alpha"), 2.0 * multiplier) < row.number("rdp_numeric"),
        );
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn layers_of_removable_noise() {
    let mut seen = 0;
    for row in rows("xnoise_components") {
        let number = |column: &str| row.number(column) as usize;
        let variance = 1u64 << 45;
        let noise = LayeredNoise::new(variance, number("n"), number("max_dropouts"), 0).unwrap();
        let component = number("component");
        let layer = noise.layers().nth(component).unwrap() as f64 / variance as f64;
        let id = row.text("id");
        close(layer, row.number("component_var_over_sigma2"), 1e-7, id);
        let left = noise.remaining(component, false).unwrap();
        assert!(left >= u128::from(variance), "{id}");
        let total = row.number("total_var_after_k_dropouts_keep_0_to_k");
        close(left as f64 / variance as f64, total, 1e-6, id);
        seen += 1;
    }
    assert!(seen >= 49, "{seen}");
}

#[test]
fn noise_shares() {
    let encoding = Encoding::new(1.0, 2f64.powi(23), 1, 32).unwrap();
    let multiplier = 1.0;
    let sigma2 = (multiplier * encoding.sensitivity()).powi(2);
    for row in rows("noise_share") {
        let id = row.text("id");
        let (threshold, arrived) = (row.number("threshold_t"), row.number("survivors"));
        let honest = |clients: f64| (row.number("honest_fraction") * clients + 1e-9).floor();
        let plan = Survivors {
            minimum: threshold as usize,
            honest: honest(threshold) as usize,
        };
        let noise = LocalNoise::share(multiplier, &encoding, &plan).unwrap();
        let LocalNoise::DiscreteGaussian { variance } = noise else {
            panic!("noise is off")
        };
        // The integer variance is rounded up: at this scale by less than 1e-9.
        close(
            variance as f64 / sigma2,
            row.number("per_client_var_over_sigma2"),
            1e-9,
            id,
        );
        let total = noise.deviation_of_sum(arrived as usize).powi(2) / sigma2;
        close(total, row.number("total_var_over_sigma2"), 1e-9, id);
        close(total.sqrt(), row.number("z_multiplier_total"), 1e-9, id);
        let unseen = noise.deviation_of_sum(honest(arrived) as usize).powi(2) / sigma2;
        close(unseen, row.number("honest_var_over_sigma2"), 1e-9, id);
        assert!(noise.release(&encoding, &plan).unwrap().noise_multiplier >= multiplier);
    }
}

#[test]
fn calibration_is_the_smallest_step_that_suffices() {
    for sweeps in [1, 2, 4] {
        let mut weights = vec![1.0];
        for _ in 0..sweeps {
            weights.extend([0.3 * 0.3, 1.0 - 0.3 * 0.3]);
        }
        let cost = |sigma: f64, delta: f64| {
            let release = |weight: &f64| Release {
                noise_multiplier: sigma / weight.sqrt(),
                tau_times_length: 0.0,
                skellam: None,
            };
            spent(&weights.iter().map(release).collect::<Vec<_>>(), delta)
                .unwrap()
                .epsilon
        };
        for epsilon in [0.01, 0.5, 1.0, 8.0, 100.0] {
            for delta in [1e-5, 1e-9] {
                let sigma = calibrate(epsilon, delta, &weights).unwrap();
                assert!(cost(sigma, delta) <= epsilon);
                assert!(cost(sigma - 1e-4, delta) > epsilon);
                let steps = sigma * 1e4;
                assert!((steps - steps.round()).abs() < 1e-6);
            }
        }
    }
}

/// The figures of `recommender.md` 4.2 (two sweeps, delta 1e-5), which are rounded up at two decimals.
#[test]
fn calibration_of_the_private_recommender() {
    let weights = [1.0, 0.09, 0.91, 0.09, 0.91];
    for (epsilon, documented) in [(1.0, 7.01), (2.0, 3.73), (4.0, 2.01), (8.0, 1.11)] {
        let sigma = calibrate(epsilon, 1e-5, &weights).unwrap();
        assert!(
            sigma <= documented && sigma > documented - 0.01,
            "epsilon {epsilon}: sigma {sigma}"
        );
    }
}

/// One release: never less noise than the exact continuous mechanism needs, and at most a seventh more. (Every row of the table
/// `calibration` is subsampled, so it says nothing about us.)
#[test]
fn calibration_is_safe_and_not_wasteful() {
    for row in rows("gaussian_analytic") {
        if row.text("direction") == "eps_delta_to_z" {
            let exact = row.number("noise_multiplier");
            let sigma = calibrate(row.number("eps"), row.number("delta"), &[1.0]).unwrap();
            assert!(
                sigma >= exact && sigma <= exact * 1.15 + 1e-4,
                "{}: {sigma} for {exact}",
                row.text("id")
            );
        }
    }
}

#[test]
fn the_impossible_is_refused_in_words() {
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = calibrate(epsilon, 1e-5, &[1.0]).unwrap_err();
        assert!(refused.to_string().starts_with("epsilon is "), "{refused}");
    }
    for delta in [0.0, 1.0, -1e-5, 2.0, f64::NAN] {
        for refused in [
            calibrate(1.0, delta, &[1.0]).unwrap_err(),
            spent(&[], delta).unwrap_err(),
        ] {
            assert!(refused.to_string().starts_with("delta is "), "{refused}");
        }
    }
    assert_eq!(calibrate(1.0, 1e-5, &[]), Err(PrivacyError::NoWeights));
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            calibrate(1.0, 1e-5, &[1.0, weight]),
            Err(PrivacyError::Weight(_))
        ));
    }
    for multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            spent(&releases(multiplier, 1), 1e-5),
            Err(PrivacyError::NoiseMultiplier(_))
        ));
    }
    for tau_times_length in [-1.0, f64::NAN, f64::INFINITY] {
        let release = Release {
            noise_multiplier: 1.0,
            tau_times_length,
            skellam: None,
        };
        assert!(matches!(
            spent(&[release], 1e-5),
            Err(PrivacyError::TauTimesLength(_))
        ));
    }
    assert_eq!(spent(&[], 1e-5).unwrap().epsilon, 0.0);
}
