//! Conversion of a Renyi curve to (epsilon, delta).

use crate::PrivacyError;

/// Orders this close to 1 are not used: the conversion divides by order - 1.
const SMALLEST_ORDER: f64 = 1.01;

/// The orders of Google's dp-accounting 0.6: 1.1 to 10.9 by 0.1, 11 to 63, and 128, 256, 512, 1024.
pub fn standard_orders() -> Vec<f64> {
    let fractional = (1..100).map(|tenth| 1.0 + f64::from(tenth) / 10.0);
    let whole = (11..64).chain([128, 256, 512, 1024]).map(f64::from);
    fractional.chain(whole).collect()
}

/// The orders we search: the standard ones, finer ones below 2 for very large epsilon, and larger ones for very small epsilon.
/// Every order above 1 gives a true bound, so more orders can only lower the epsilon.
pub fn orders() -> Vec<f64> {
    let fine = (1..20)
        .map(|step| 1.0 + 0.05 * f64::from(step))
        .filter(|order| *order > SMALLEST_ORDER);
    let finest = [1.02, 1.03, 1.04, 1.06, 1.08, 1.12];
    let large = [
        72.0, 84.0, 96.0, 112.0, 160.0, 192.0, 320.0, 384.0, 640.0, 768.0,
    ];
    let largest = (11..=20).map(|power| f64::from(1 << power));
    let mut all: Vec<f64> = standard_orders()
        .into_iter()
        .chain(fine)
        .chain(finest)
        .chain(large)
        .chain(largest)
        .collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The smallest epsilon of a Renyi curve, and the order that gave it.
///
/// `curve`: order to Renyi divergence in nats. The improved conversion epsilon = R(a) + ln(1 - 1/a) - ln(a delta)/(a - 1) (Canonne,
/// Kamath, Steinke 2020, Proposition 12; Balle et al. 2020, Theorem 21), and 0 where sqrt(1 - e^-R) < delta already bounds the
/// total variation: the same two rules as dp-accounting.
///
/// # Errors
/// A delta outside (0, 1). With no usable order the result is infinite.
pub fn epsilon(
    curve: impl Fn(f64) -> f64,
    orders: &[f64],
    delta: f64,
) -> Result<(f64, f64), PrivacyError> {
    if !(delta > 0.0 && delta < 1.0) {
        return Err(PrivacyError::Delta(delta));
    }
    let mut best = (f64::INFINITY, f64::NAN);
    for order in orders
        .iter()
        .copied()
        .filter(|order| *order > SMALLEST_ORDER)
    {
        let divergence = curve(order);
        let epsilon = if delta.powi(2) + (-divergence).exp_m1() > 0.0 {
            0.0
        } else {
            // ln(a delta) as a sum: the product of a tiny delta must not lose digits.
            divergence + (-1.0 / order).ln_1p() - (delta.ln() + order.ln()) / (order - 1.0)
        };
        if epsilon < best.0 {
            best = (epsilon, order);
        }
    }
    Ok((best.0.max(0.0), best.1))
}

/// ln of the smallest delta of a Renyi curve at `epsilon` >= 0: the same two rules, solved for delta.
pub fn ln_delta(curve: impl Fn(f64) -> f64, orders: &[f64], epsilon: f64) -> f64 {
    let at = |order: &f64| {
        let divergence = curve(*order);
        let total_variation = 0.5 * (-(-divergence).exp()).ln_1p();
        let tail = (order - 1.0) * (divergence - epsilon + (-1.0 / order).ln_1p()) - order.ln();
        total_variation.min(tail)
    };
    let usable = orders.iter().filter(|order| **order > SMALLEST_ORDER);
    usable.map(at).fold(0.0, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_orders_only_lower_the_epsilon() {
        assert_eq!(standard_orders().len(), 156);
        for multiplier in [0.003, 0.03, 0.3, 1.0, 10.0, 100.0, 1e4] {
            let curve = |order: f64| order / (2.0 * f64::powi(multiplier, 2));
            let standard = epsilon(curve, &standard_orders(), 1e-5).unwrap();
            let ours = epsilon(curve, &orders(), 1e-5).unwrap();
            assert!(ours.0 <= standard.0);
        }
        let tiny = epsilon(|order| order * 1e-9, &orders(), 1e-6).unwrap().0;
        assert!(tiny < 0.001, "{tiny}");
        assert_eq!(epsilon(|_| 0.0, &orders(), 1e-6).unwrap().0, 0.0);
        for delta in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(epsilon(|_| 0.0, &orders(), delta).is_err());
        }
    }
}
