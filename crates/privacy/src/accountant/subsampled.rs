//! The Gaussian mechanism on a Poisson sample: every client is in a step with probability q, by its own coin.
//!
//! Renyi divergence: Mironov, Talwar, Zhang 2019 (arXiv 1908.10530), Sections 3.1 to 3.3: A(a) = E\[(1 - q + q e^u)^a\] for u the
//! loss of the Gaussian under the other law. Their sums cancel when A is near 1; we integrate A - 1 instead, whose integrand
//! (1 + y)^a - 1 - a y with y = q (e^u - 1) is nowhere negative, for whole and fractional orders alike.

use crate::PrivacyError;
use crate::accountant::gaussian;

/// Deviations of the normal law to either side of a maximum of the integrand.
const REACH: f64 = 10.0;
/// A term this much smaller than the largest (in nats) ends a scan.
const NEGLIGIBLE: f64 = 45.0;
/// The trapezoidal rule may err by e^-DIGITS of the value.
const DIGITS: f64 = 40.0;
/// Points of the rule between the law's centre and the lowest maximum.
const MANY: f64 = 1e5;

/// q and z, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subsampled {
    rate: f64,
    multiplier: f64,
}

impl Subsampled {
    /// `sampling_rate`: q in (0, 1]. `noise_multiplier`: z, deviation over sensitivity.
    ///
    /// # Errors
    /// A rate outside (0, 1]; a multiplier that is not positive and finite.
    pub fn new(sampling_rate: f64, noise_multiplier: f64) -> Result<Self, PrivacyError> {
        if !(sampling_rate > 0.0 && sampling_rate <= 1.0) {
            return Err(PrivacyError::SamplingRate(sampling_rate));
        }
        if !(noise_multiplier.is_finite() && noise_multiplier > 0.0) {
            return Err(PrivacyError::NoiseMultiplier(noise_multiplier));
        }
        Ok(Self {
            rate: sampling_rate,
            multiplier: noise_multiplier,
        })
    }

    /// q.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// z.
    pub fn multiplier(&self) -> f64 {
        self.multiplier
    }

    /// Renyi divergence of one step in nats at `order` > 1, for neighbours that add or remove one client.
    pub fn renyi(&self, order: f64) -> f64 {
        if self.rate == 1.0 {
            return order / (2.0 * self.multiplier.powi(2));
        }
        let unsampled = order / (2.0 * self.multiplier.powi(2));
        let Some(excess) = self.ln_excess(order) else {
            return unsampled;
        };
        // ln(1 + e^excess), without overflow.
        let ln_moment = excess.max(0.0) + (-excess.abs()).exp().ln_1p();
        (ln_moment / (order - 1.0)).min(unsampled)
    }

    /// ln(A(order) - 1), by the trapezoidal rule, which converges geometrically for an analytic integrand: the only singularity
    /// is where 1 + y = 0, at distance pi z^2 from the real axis. None where that would take too many points: there the
    /// divergence without sampling is a bound.
    fn ln_excess(&self, order: f64) -> Option<f64> {
        let deviation = self.multiplier;
        let strip = 0.9 * std::f64::consts::PI * deviation * deviation;
        let growth = strip * strip / (2.0 * deviation * deviation);
        let step = (0.6 * deviation).min(std::f64::consts::TAU * strip / (DIGITS + growth));
        let (low, high) = self.maxima(order);
        let reach = REACH * deviation;
        if (low + reach) / step > MANY {
            return None;
        }
        let index = |x: f64| (x / step).round() as i64;
        let mut total = LogSum::default();
        let term = |at: i64| self.ln_term(at as f64 * step, order);
        let (mut from, mut to) = (index(-reach), index(low + reach));
        (from..=to).for_each(|at| total.add(term(at)));
        // Onwards until nothing comes any more: the two maxima may be one hill.
        for direction in [-1, 1] {
            let edge = if direction < 0 { &mut from } else { &mut to };
            loop {
                let next = term(*edge + direction);
                if next.is_nan() || next < total.largest - NEGLIGIBLE {
                    break;
                }
                *edge += direction;
                total.add(next);
                if (*edge as f64).abs() > MANY {
                    return None;
                }
            }
        }
        let (start, end) = (index(high - reach).max(to + 1), index(high + reach));
        (start..=end).for_each(|at| total.add(term(at)));
        for (edge, direction) in [(start - 1, -1), (end.max(to) + 1, 1)] {
            let mut at = edge;
            while at > to && ((at - edge).abs() as f64) < MANY {
                let next = term(at);
                if next.is_nan() || next < total.largest - NEGLIGIBLE {
                    break;
                }
                total.add(next);
                at += direction;
            }
        }
        Some(total.ln() + step.ln())
    }

    /// The lowest and the highest x at which the integrand has a maximum: fixed points of x = a s(x), s the logistic function
    /// of u + ln(q/(1-q)).
    fn maxima(&self, order: f64) -> (f64, f64) {
        let shift = (self.rate / (1.0 - self.rate)).ln();
        let pull = |x: f64| order / (1.0 + (-(self.log_ratio(x) + shift)).exp());
        let settle = |start: f64| (0..200).fold(start, |x, _| pull(x));
        (settle(0.0).max(2.0).min(order), settle(order).max(2.0))
    }

    /// u at x, in units of the sensitivity: ln of N(1, z^2) over N(0, z^2).
    fn log_ratio(&self, x: f64) -> f64 {
        (2.0 * x - 1.0) / (2.0 * self.multiplier * self.multiplier)
    }

    /// ln of ((1 + y)^a - 1 - a y) times the density of N(0, z^2).
    fn ln_term(&self, x: f64, order: f64) -> f64 {
        let u = self.log_ratio(x);
        let scaled = x / self.multiplier;
        let density = -scaled * scaled / 2.0 - self.multiplier.ln() - gaussian::LN_ROOT_TWO_PI;
        density + self.ln_bernoulli(u, order)
    }

    /// ln((1 + y)^a - 1 - a y) for y = q (e^u - 1) > -1: never negative before the logarithm (Bernoulli's inequality).
    fn ln_bernoulli(&self, u: f64, order: f64) -> f64 {
        if u > 600.0 {
            return order * (self.rate.ln() + u);
        }
        let y = self.rate * u.exp_m1();
        if y.abs() * order.max(1.0) < 1e-2 {
            // The binomial series from its second term on.
            let mut term = order * (order - 1.0) / 2.0 * y * y;
            let mut sum = term;
            for k in 2..12 {
                let k = f64::from(k);
                term *= (order - k) / (k + 1.0) * y;
                sum += term;
            }
            return sum.max(0.0).ln();
        }
        let power = order * y.ln_1p();
        if power > 30.0 {
            return power + (-(1.0 + order * y) * (-power).exp()).ln_1p();
        }
        (power.exp_m1() - order * y).max(0.0).ln()
    }

    /// ln delta at which one step is (`epsilon`, delta)-differentially private, exactly: the larger of both directions.
    ///
    /// Both are the Gaussian trade-off at another epsilon: with the client against without, q delta(ln(1 + (e^epsilon - 1)/q));
    /// the other way (1 - e^epsilon (1-q)) delta(ln(q e^epsilon / (1 - e^epsilon (1-q)))).
    pub fn ln_delta_of_one_step(&self, epsilon: f64) -> f64 {
        let (q, mu) = (self.rate, 1.0 / self.multiplier);
        if q == 1.0 {
            return gaussian::ln_delta(mu, epsilon);
        }
        let amplified = if epsilon > 30.0 {
            epsilon - q.ln() + (-(1.0 - q) * (-epsilon).exp()).ln_1p()
        } else {
            (epsilon.exp_m1() / q).ln_1p()
        };
        let removed = q.ln() + gaussian::ln_delta(mu, amplified);
        // 1 - e^epsilon (1 - q), which is 0 or less where no outcome loses more than epsilon.
        let left = q - epsilon.exp_m1() * (1.0 - q);
        if left <= 0.0 {
            return removed;
        }
        let added = left.ln() + gaussian::ln_delta(mu, (epsilon + q.ln() - left.ln()).max(0.0));
        removed.max(added)
    }
}

/// A sum of exponentials, kept as its largest exponent and the rest.
pub(crate) struct LogSum {
    largest: f64,
    rest: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self {
            largest: f64::NEG_INFINITY,
            rest: 0.0,
        }
    }
}

impl LogSum {
    pub(crate) fn add(&mut self, exponent: f64) {
        if exponent == f64::NEG_INFINITY {
            return;
        }
        if exponent <= self.largest {
            self.rest += (exponent - self.largest).exp();
        } else {
            self.rest = self.rest * (self.largest - exponent).exp() + 1.0;
            self.largest = exponent;
        }
    }

    pub(crate) fn ln(&self) -> f64 {
        self.largest + self.rest.ln()
    }
}
