//! The exact trade-off of continuous Gaussian noise (Balle, Wang 2018, arXiv 1805.06530, Theorem 8).
//!
//! delta(epsilon) = Phi(a) - e^epsilon Phi(b) with a = mu/2 - epsilon/mu and b = a - mu is a difference of nearly equal numbers.
//! We integrate the difference instead: delta = E\[(1 - e^(-mu X))^+\] for X normal with mean a and variance 1, that is
//! phi(a) times the integral over t > 0 of exp(a t - t^2/2) (1 - e^(-mu t)): no term is negative, and phi(a) can
//! stay a logarithm, so that delta may be far below the smallest f64.

use crate::PrivacyError;

/// ln sqrt(2 pi).
pub(crate) const LN_ROOT_TWO_PI: f64 = 0.918_938_533_204_672_7;
/// Step of the trapezoidal rule in ln t. The integrand is analytic for |Im ln t| < pi/4, so the rule errs by about
/// exp(-2 pi (pi/4) / step) = 1e-17 of the value.
const STEP: f64 = 0.125;
/// The rule runs from t = e^-40, below which less than 1e-17 of an integral lies, to t = e^4.25 = 70 (both in units of the decay).
const FIRST: i32 = -320;
const LAST: i32 = 34;

/// The integral over t > 0 of `f`, which falls off at least like exp(-t / `decay`).
fn integral(decay: f64, f: impl Fn(f64) -> f64) -> f64 {
    let point = |index: i32| decay * (STEP * f64::from(index)).exp();
    (FIRST..=LAST).map(point).map(|t| t * f(t)).sum::<f64>() * STEP
}

/// (1 - Phi(x)) / phi(x) for x >= 0 (Mills' ratio).
fn mills(x: f64) -> f64 {
    integral(1.0 / (1.0 + x), |t| (-x * t - t * t / 2.0).exp())
}

/// Density of the standard normal law.
fn density(x: f64) -> f64 {
    (-x * x / 2.0 - LN_ROOT_TWO_PI).exp()
}

/// Phi(x), the standard normal distribution function.
pub(crate) fn distribution(x: f64) -> f64 {
    let beyond = density(x) * mills(x.abs());
    if x < 0.0 { beyond } else { 1.0 - beyond }
}

/// ln delta at which a mu-Gaussian mechanism is (`epsilon`, delta)-differentially private; minus infinity for mu = 0.
///
/// `mu`: sensitivity over deviation; k participations at multiplier z have mu = sqrt(k)/z. `epsilon` >= 0.
pub fn ln_delta(mu: f64, epsilon: f64) -> f64 {
    if mu <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let a = mu / 2.0 - epsilon / mu;
    let b = a - mu;
    if a > 1.0 {
        // Then mu > 2 and delta > 1/2: 1 - (1 - Phi(a)) - e^epsilon Phi(b) loses nothing. phi(a) = e^epsilon phi(b).
        return (-density(a) * (mills(a) + mills(-b))).ln_1p();
    }
    let rest = integral(1.0 / (1.0 + a.abs()), |t| {
        (a * t - t * t / 2.0).exp() * -(-mu * t).exp_m1()
    });
    -a * a / 2.0 - LN_ROOT_TWO_PI + rest.ln()
}

/// The smallest epsilon >= 0 at which a mu-Gaussian mechanism is (epsilon, `delta`)-differentially private.
///
/// # Errors
/// A delta outside (0, 1). A mu that is negative or not finite is refused as the multiplier 1/mu.
pub fn epsilon(mu: f64, delta: f64) -> Result<f64, PrivacyError> {
    if !(delta > 0.0 && delta < 1.0) {
        return Err(PrivacyError::Delta(delta));
    }
    if !(mu.is_finite() && mu >= 0.0) {
        return Err(PrivacyError::NoiseMultiplier(1.0 / mu));
    }
    let target = delta.ln();
    if ln_delta(mu, 0.0) <= target {
        return Ok(0.0);
    }
    // There a = -sqrt(2 ln(1/delta)), so Phi(a) alone is below delta.
    let enough = mu * mu / 2.0 + mu * (-2.0 * target).sqrt();
    Ok(bisect(0.0, enough, |epsilon| {
        ln_delta(mu, epsilon) <= target
    }))
}

/// The smallest noise multiplier z = 1/mu at which one Gaussian release is (`epsilon`, `delta`)-differentially private.
///
/// # Errors
/// An epsilon that is negative or not finite; a delta outside (0, 1); a multiplier above 10^12.
pub fn noise_multiplier(epsilon: f64, delta: f64) -> Result<f64, PrivacyError> {
    if !(epsilon.is_finite() && epsilon >= 0.0) {
        return Err(PrivacyError::Epsilon(epsilon));
    }
    if !(delta > 0.0 && delta < 1.0) {
        return Err(PrivacyError::Delta(delta));
    }
    let target = delta.ln();
    let private = |multiplier: f64| ln_delta(1.0 / multiplier, epsilon) <= target;
    let mut enough = 1e-6;
    while !private(enough) {
        enough *= 2.0;
        if enough > 1e12 {
            return Err(PrivacyError::Unreachable(epsilon));
        }
    }
    Ok(bisect(enough / 2.0, enough, private))
}

/// The upper end of the last interval in which `holds` turns from false to true, to the precision of f64.
pub(crate) fn bisect(mut below: f64, mut enough: f64, holds: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = below + (enough - below) / 2.0;
        if middle <= below || middle >= enough {
            return enough;
        }
        if holds(middle) {
            enough = middle;
        } else {
            below = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution() {
        for (x, value) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-1.0, 0.158_655_253_931_457_05),
            (-10.0, 7.619_853_024_160_527e-24),
        ] {
            assert!((distribution(x) / value - 1.0).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn extremes_stay_finite() {
        assert_eq!(ln_delta(0.0, 1.0), f64::NEG_INFINITY);
        assert!(ln_delta(1e-6, 0.0).is_finite());
        assert!(ln_delta(1e3, 0.0).abs() < 1e-12);
        assert!(epsilon(20.0, 1e-12).unwrap() > 200.0);
        assert!(noise_multiplier(50.0, 1e-12).unwrap() > 0.1);
        assert_eq!(epsilon(0.0, 1e-5).unwrap(), 0.0);
        assert_eq!(epsilon(1e-9, 1e-5).unwrap(), 0.0);
        assert!(epsilon(f64::NAN, 1e-5).is_err());
        assert!(epsilon(1.0, 0.0).is_err());
        assert!(noise_multiplier(-1.0, 0.1).is_err());
    }
}
