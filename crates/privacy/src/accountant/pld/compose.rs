//! Composition of losses by the fast Fourier transform, under a tilted law.
//!
//! The composed loss is the sum of the losses of all steps. A transform of the law itself errs by 1e-16 or so of the whole weight,
//! which drowns a delta of 1e-12. So each step's law is multiplied by e^(theta loss) and normalised first (the Esscher transform, as
//! in Chernoff's bound): theta is chosen so that the tilted sum is centred at the epsilon that is asked for. There the tilted
//! weights are of order one, errors are relative to delta, and the window need only reach a few deviations to either side.
//!
//! What the arithmetic could lose is added to an upper bound and taken from a lower one: the tilted weight outside the window
//! (Chernoff again), and the error of the transforms. Every weight counts e^(K - theta x) (1 - e^(epsilon - x)) <= e^(K - theta epsilon)
//! for x >= epsilon, so `slack` times that is enough.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::loss::{Loss, Side};

/// Points of the window at most.
const LONGEST: usize = 1 << 23;
/// Tilted weight that may lie outside the window.
const OUTSIDE: f64 = 1e-11;
/// Relative error of sums and exponentials, for each step and in all.
const ROUNDING: f64 = 1e-13;
const ROUNDING_IN_ALL: f64 = 1e-8;

/// A loss and how often it is drawn.
pub struct Part<'a> {
    pub loss: &'a Loss,
    pub steps: u64,
}

/// The same losses on a coarse grid, for what need not be exact.
pub struct Rough<'a> {
    pub parts: &'a [Part<'a>],
    pub step: f64,
}

/// K, K' and K'' at a tilt: logarithm of the moment generating function, mean and variance of the tilted sum.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub ln_scale: f64,
    pub mean: f64,
    pub variance: f64,
}

/// Moments of the sum of all parts on the grid `step`, tilted by `theta`.
pub fn moments(parts: &[Part<'_>], step: f64, theta: f64) -> Moments {
    let mut sum = Moments {
        ln_scale: 0.0,
        mean: 0.0,
        variance: 0.0,
    };
    for part in parts {
        let one = moments_of_one(part.loss, step, theta);
        let steps = part.steps as f64;
        sum.ln_scale += steps * one.ln_scale;
        sum.mean += steps * one.mean;
        sum.variance += steps * one.variance;
    }
    sum
}

/// Sum of loss and grid `step` over all draws: what putting every loss on a grid of `finer` adds to the variance of the sum, at most
/// about: the parts within a step of 0 know no more than their mean distance from it.
pub fn spread(parts: &[Part<'_>], step: f64, theta: f64, finer: f64) -> f64 {
    let mut sum = 0.0;
    for part in parts {
        let scale = moments_of_one(part.loss, step, theta).ln_scale;
        let (mut near, mut near_mass, mut far) = (0.0, 0.0, 0.0);
        for (index, ln) in part.loss.ln_mass.iter().enumerate() {
            let place = part.loss.first as f64 + index as f64 + part.loss.offset;
            let mass = (ln + theta * place * step - scale).exp();
            if place.abs() < 1.5 {
                near += mass * place.abs() * step;
                near_mass += mass;
            } else {
                far += mass;
            }
        }
        let square = finer * finer / 6.0;
        sum += part.steps as f64 * (far * square + (near_mass * square).min(near * finer));
    }
    sum
}

fn moments_of_one(loss: &Loss, step: f64, theta: f64) -> Moments {
    let at = |index: usize| (loss.first as f64 + index as f64 + loss.offset) * step;
    let tilted = |(index, ln): (usize, &f64)| ln + theta * at(index);
    let largest = loss
        .ln_mass
        .iter()
        .enumerate()
        .map(tilted)
        .fold(f64::NEG_INFINITY, f64::max);
    // The largest weight is somewhere; distances from there keep the variance's digits.
    let centre = loss
        .ln_mass
        .iter()
        .enumerate()
        .map(|pair| (pair.0, tilted(pair)));
    let middle = centre
        .max_by(|left, right| left.1.total_cmp(&right.1))
        .map_or(0.0, |(index, _)| at(index));
    let (mut weight, mut first, mut second) = (0.0, 0.0, 0.0);
    // Sums of blocks, so that a long list loses no digits.
    for (block, chunk) in loss.ln_mass.chunks(128).enumerate() {
        let (mut here, mut ahead, mut wide) = (0.0, 0.0, 0.0);
        for (inside, ln) in chunk.iter().enumerate() {
            let index = block * 128 + inside;
            let exponent = tilted((index, ln)) - largest;
            if exponent > -80.0 {
                let mass = exponent.exp();
                let distance = at(index) - middle;
                here += mass;
                ahead += mass * distance;
                wide += mass * distance * distance;
            }
        }
        weight += here;
        first += ahead;
        second += wide;
    }
    let mean = first / weight;
    Moments {
        ln_scale: largest + weight.ln(),
        mean: middle + mean,
        variance: (second / weight - mean * mean).max(0.0),
    }
}

/// The tilt at which the composed loss is centred near the epsilon of `ln_delta`: the saddle point of
/// delta = integral of e^(K - theta epsilon) / (theta (theta + 1)).
pub fn tilt_for_delta(parts: &[Part<'_>], step: f64, ln_delta: f64, bracket: (f64, f64)) -> f64 {
    bisect(bracket, |theta| {
        let Moments {
            ln_scale,
            mean,
            variance,
        } = moments(parts, step, theta);
        let smooth = (theta * (theta + 1.0)).ln() + 0.5 * (std::f64::consts::TAU * variance).ln();
        ln_scale - theta * mean - smooth.max(0.0) <= ln_delta
    })
}

/// The tilt at which the composed loss has the mean `epsilon`.
pub fn tilt_for_epsilon(parts: &[Part<'_>], step: f64, epsilon: f64, bracket: (f64, f64)) -> f64 {
    bisect(bracket, |theta| moments(parts, step, theta).mean >= epsilon)
}

/// Bisection on a logarithmic scale for where `holds` begins.
fn bisect((mut below, mut enough): (f64, f64), holds: impl Fn(f64) -> bool) -> f64 {
    while enough / below > 1.01 {
        let middle = (below * enough).sqrt();
        if holds(middle) {
            enough = middle;
        } else {
            below = middle;
        }
    }
    enough
}

/// The composed loss in a window, tilted.
pub struct Composed {
    theta: f64,
    ln_scale: f64,
    /// Loss of the first point.
    first: f64,
    step: f64,
    weights: Vec<f64>,
    slack: f64,
    infinite: f64,
    side: Side,
    mean: f64,
    deviation: f64,
}

impl Composed {
    /// None when the window would be longer than memory allows: choose a coarser grid.
    pub fn new(
        rough: &Rough<'_>,
        parts: &[Part<'_>],
        step: f64,
        theta: f64,
        side: Side,
    ) -> Option<Self> {
        let all = moments(parts, step, theta);
        let (reach, outside) = reach(rough, parts, step, theta, &all)?;
        let length = ((2.0 * reach / step) as usize + 2)
            .max(64)
            .next_power_of_two();
        if length > LONGEST {
            return None;
        }
        let mut planner = RealFftPlanner::<f64>::new();
        let (forward, backward) = (
            planner.plan_fft_forward(length),
            planner.plan_fft_inverse(length),
        );
        let mut product = vec![Complex::new(1.0, 0.0); length / 2 + 1];
        let (mut shift, mut offset, mut steps, mut absent) = (0i64, 0.0, 0.0, 0.0);
        for part in parts {
            let one = moments_of_one(part.loss, step, theta);
            // Around the mean, so that the phases stay small where the transform is large.
            let middle = (one.mean / step - part.loss.offset).round() as i64;
            let mut input = vec![0.0; length];
            for (index, ln) in part.loss.ln_mass.iter().enumerate() {
                let loss = (part.loss.first as f64 + index as f64 + part.loss.offset) * step;
                let exponent = ln + theta * loss - one.ln_scale;
                let slot = (part.loss.first + index as i64 - middle).rem_euclid(length as i64);
                if let Some(value) = input.get_mut(slot as usize)
                    && exponent > -700.0
                {
                    *value += exponent.exp();
                }
            }
            let mut output = forward.make_output_vec();
            forward.process(&mut input, &mut output).ok()?;
            for (slot, value) in product.iter_mut().zip(&output) {
                *slot *= power(*value, part.steps);
            }
            shift = shift.checked_add(middle.checked_mul(i64::try_from(part.steps).ok()?)?)?;
            offset += part.loss.offset * part.steps as f64;
            steps += part.steps as f64;
            absent += part.steps as f64 * (-part.loss.infinite).ln_1p();
        }
        // Each coefficient errs by a few units in the last place for every level of the transform (all inputs sum to 1), its power by
        // `steps` times that. What all points of the result err by together is at most the root of the sum of the squares of that
        // over the coefficients (Parseval, Cauchy-Schwarz).
        let unit = 4.0 * f64::EPSILON * (length as f64).log2();
        let squares = 2.0 * product.iter().map(|value| value.norm_sqr()).sum::<f64>();
        let slack = outside + unit * (steps + 2.0) * squares.sqrt().max(1.0);
        if let Some(real) = product.first_mut() {
            real.im = 0.0;
        }
        if let Some(real) = product.last_mut() {
            real.im = 0.0;
        }
        let mut weights = vec![0.0; length];
        backward.process(&mut product, &mut weights).ok()?;
        // Index j stands for j + length m: take the m that puts it into the window.
        let base = (all.mean / step - offset - shift as f64).round() as i64 - length as i64 / 2;
        weights.rotate_left(base.rem_euclid(length as i64) as usize);
        let scale = 1.0 / length as f64;
        weights
            .iter_mut()
            .for_each(|weight| *weight = (*weight * scale).max(0.0));
        Some(Self {
            theta,
            ln_scale: all.ln_scale,
            first: (base as f64 + shift as f64 + offset) * step,
            step,
            weights,
            slack: slack + ROUNDING * steps,
            infinite: -absent.exp_m1(),
            side,
            mean: all.mean,
            deviation: all.variance.sqrt(),
        })
    }

    /// Runs down the grid from the top: calls `visit` with a loss x, delta(x) and e^-x times the weight under Q above x, until it returns true.
    fn descend(&self, mut visit: impl FnMut(f64, f64, f64) -> bool) {
        // Sum over higher points of m (1 - e^(x - x')), and of m e^(x - x'), m the weight under P.
        let (mut delta, mut other) = (0.0, 0.0);
        let fall = (-self.step).exp();
        let rise = -(-self.step).exp_m1();
        for (index, weight) in self.weights.iter().enumerate().rev() {
            let x = self.first + index as f64 * self.step;
            if visit(x, delta, other) {
                return;
            }
            let mass = weight * (self.ln_scale - self.theta * x).exp();
            // One point down: this point and those above are a step further away.
            other += mass;
            delta += other * rise;
            other *= fall;
        }
    }

    /// What the arithmetic may have lost at `epsilon`.
    fn margin(&self, epsilon: f64, delta: f64) -> f64 {
        self.slack * (self.ln_scale - self.theta * epsilon).exp() + ROUNDING_IN_ALL * delta
    }

    fn bounded(&self, epsilon: f64, delta: f64) -> f64 {
        let margin = self.margin(epsilon, delta);
        match self.side {
            Side::Upper => (delta + margin + self.infinite).min(1.0),
            Side::Lower => (delta - margin).max(0.0),
        }
    }

    /// The bound on delta at `epsilon` >= 0; None when `epsilon` lies outside the window.
    pub fn delta(&self, epsilon: f64) -> Option<f64> {
        let mut found = None;
        self.descend(|x, delta, other| {
            if x > epsilon {
                return false;
            }
            // From the point below `epsilon` up to it: delta is a chord in e^epsilon.
            found = Some(delta - other * (epsilon - x).exp_m1());
            true
        });
        let delta = found?.max(0.0);
        Some(self.bounded(epsilon, delta))
    }

    /// The smallest epsilon >= 0 whose bound on delta is at most `target`; None when it lies outside the window.
    pub fn epsilon(&self, target: f64) -> Option<f64> {
        let mut safe = None;
        let mut found = None;
        self.descend(|x, delta, other| {
            let bounded = self.bounded(x, delta.max(0.0));
            if bounded > target {
                // Between this point and the safe one above delta is a chord in e^epsilon, and the margin only falls.
                let crossing = x + ((bounded - target) / other).ln_1p();
                found = safe.map(|safe: f64| crossing.min(safe).max(0.0));
                return true;
            }
            if x <= 0.0 {
                found = Some(0.0);
                return true;
            }
            safe = Some(x);
            false
        });
        found
    }

    /// Whether another tilt could do better at `epsilon`: rounding and truncation are not negligible, and the law is centred elsewhere.
    pub fn could_be_nearer(&self, epsilon: f64, delta: f64) -> bool {
        self.margin(epsilon, delta) > 1e-4 * delta
            && (epsilon - self.mean).abs() > 0.5 * self.deviation
    }
}

/// A power of a transform, by its logarithm.
fn power(value: Complex<f64>, steps: u64) -> Complex<f64> {
    let size = value.norm_sqr();
    if size <= 0.0 {
        return Complex::new(0.0, 0.0);
    }
    let steps = steps as f64;
    let (radius, angle) = ((0.5 * steps * size.ln()).exp(), steps * value.arg());
    Complex::new(radius * angle.cos(), radius * angle.sin())
}

/// A distance from the mean beyond which the tilted sum has at most the weight `OUTSIDE`, and that weight: Chernoff's bound
/// e^(K(theta + t) - K(theta) - t (mean + reach)), on both sides. The coarse law proposes t, which may be any; the fine law decides.
fn reach(
    rough: &Rough<'_>,
    parts: &[Part<'_>],
    step: f64,
    theta: f64,
    all: &Moments,
) -> Option<(f64, f64)> {
    let deviation = all.variance.sqrt().max(step);
    let ln_half = (OUTSIDE / 2.0).ln();
    let side = |sign: f64| {
        let needed = |parts: &[Part<'_>], step: f64, base: f64, t: f64| {
            let moved = moments(parts, step, theta + sign * t);
            (moved.ln_scale - base - sign * t * all.mean - ln_half) / t
        };
        let base = moments(rough.parts, rough.step, theta).ln_scale;
        let best = (0..18)
            .map(|power| 8.0 * 0.7f64.powi(power) / deviation)
            .min_by(|left, right| {
                let of = |t: f64| needed(rough.parts, rough.step, base, t);
                of(*left).total_cmp(&of(*right))
            });
        best.map_or(f64::INFINITY, |t| needed(parts, step, all.ln_scale, t))
    };
    let reach = side(1.0).max(side(-1.0));
    // A little room for the ends.
    reach.is_finite().then_some((reach + 8.0 * step, OUTSIDE))
}
