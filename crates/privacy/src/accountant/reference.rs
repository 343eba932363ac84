//! The Renyi curve of the subsampled Gaussian as Google's dp-accounting 0.6 bounds it, so that figures can be compared.
//!
//! At whole orders it is exact. At fractional orders it adds the sizes of the terms of the two series of Mironov, Talwar, Zhang 2019,
//! Section 3.3, whose signs alternate: a bound above the truth, which [`Subsampled::renyi`](super::subsampled::Subsampled::renyi)
//! gives. Orders at which the series does not settle in 1000 terms are left out.

use crate::accountant::subsampled::{LogSum, Subsampled};

const TERMS: u32 = 1000;
/// Terms this far below the sum (in nats) end the series.
const SETTLED: f64 = 30.0;

impl Subsampled {
    /// Upper bound on the Renyi divergence of one step at `order`, equal to dp-accounting's; infinite where it gives none.
    pub fn renyi_of_dp_accounting(&self, order: f64) -> f64 {
        if order.fract() == 0.0 || self.rate() == 1.0 {
            return self.renyi(order);
        }
        let (rate, z) = (self.rate(), self.multiplier());
        let crossing = z * z * (1.0 / rate - 1.0).ln() + 0.5;
        let (ln_in, ln_out) = (rate.ln(), (-rate).ln_1p());
        let mut ln_coefficient = 0.0;
        let mut total = LogSum::default();
        let mut last = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for index in 0..TERMS {
            let i = f64::from(index);
            let j = order - i;
            let square = |k: f64| (k * k - k) / (2.0 * z * z);
            let low = ln_coefficient
                + i * ln_in
                + j * ln_out
                + square(i)
                + ln_upper_tail((i - crossing) / z);
            let high = ln_coefficient
                + j * ln_in
                + i * ln_out
                + square(j)
                + ln_upper_tail((crossing - j) / z);
            total.add(low);
            total.add(high);
            if low < last.0 && high < last.1 && low.max(high) < total.ln() - SETTLED {
                return total.ln() / (order - 1.0);
            }
            last = (low, high);
            ln_coefficient += (j / (i + 1.0)).abs().ln();
        }
        f64::INFINITY
    }
}

/// ln of the weight of the standard normal law above `x`.
fn ln_upper_tail(x: f64) -> f64 {
    if x < 25.0 {
        return (0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2)).ln();
    }
    // The asymptotic series of Mills' ratio, whose sixth term is below 1e-11 here.
    let inverse = 1.0 / (x * x);
    let ratio =
        1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)));
    -x * x / 2.0 - (std::f64::consts::TAU.sqrt() * x).ln() + ratio.ln()
}
