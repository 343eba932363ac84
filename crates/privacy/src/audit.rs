//! Statistics of a privacy audit: pure functions of what was observed, and the ceilings that a guarantee puts on any attack.
//!
//! An audit can refute a claim, or show how much of it an attack reaches; it never proves one.

use crate::PrivacyError;
use crate::accountant::gaussian;

/// Both ends of a confidence interval for a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// ln n!, by Stirling's series from 16 on.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    libm::lgamma(n as f64 + 1.0)
}

/// Probability that of `trials` independent draws of probability `p` at least `least` succeed.
pub fn binomial_tail(trials: u64, least: u64, p: f64) -> f64 {
    if least == 0 {
        return 1.0;
    }
    if least > trials || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    // The smaller side is summed: terms fall from its edge on.
    let mean = trials as f64 * p;
    if (least as f64) > mean {
        sum_outwards(trials, least, p)
    } else {
        1.0 - sum_outwards(trials, trials - least + 1, 1.0 - p)
    }
}

/// Sum of the binomial probabilities of `from`..=`trials`, which fall.
fn sum_outwards(trials: u64, from: u64, p: f64) -> f64 {
    let (n, k) = (trials as f64, from as f64);
    let ln_first = ln_factorial(trials) - ln_factorial(from) - ln_factorial(trials - from)
        + k * p.ln()
        + (n - k) * (-p).ln_1p();
    let odds = p / (1.0 - p);
    let (mut term, mut sum) = (1.0, 1.0);
    for at in from..trials {
        term *= (n - at as f64) / (at as f64 + 1.0) * odds;
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
    }
    (ln_first.exp() * sum).min(1.0)
}

/// Two-sided Clopper-Pearson interval at `confidence` for a probability of which `successes` of `trials` were seen.
///
/// # Errors
/// No trials, more successes than trials, or a confidence outside (0, 1).
pub fn clopper_pearson(
    successes: u64,
    trials: u64,
    confidence: f64,
) -> Result<Interval, PrivacyError> {
    if trials == 0 || successes > trials {
        return Err(PrivacyError::AuditCounts);
    }
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(PrivacyError::Confidence(confidence));
    }
    let side = (1.0 - confidence) / 2.0;
    let lower = if successes == 0 {
        0.0
    } else {
        gaussian::bisect(0.0, 1.0, |p| binomial_tail(trials, successes, p) >= side)
    };
    let upper = if successes == trials {
        1.0
    } else {
        // P\[X <= s\] is the tail of the failures.
        gaussian::bisect(0.0, 1.0, |p| {
            binomial_tail(trials, trials - successes, 1.0 - p) <= side
        })
    };
    Ok(Interval { lower, upper })
}

/// What an attack that guesses membership was seen to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guesses {
    /// Runs or canaries with the client present.
    pub present: u64,
    /// Of these, how many the attack called present.
    pub true_positives: u64,
    /// Runs or canaries without it.
    pub absent: u64,
    /// Of these, how many the attack called present.
    pub false_positives: u64,
}

/// Lower bound on epsilon from independent guesses: ln((TPR - delta) / FPR) with the lower end of the one and the upper end of the
/// other, each of an interval at `confidence`; 0 when nothing is refuted.
///
/// # Errors
/// As [`clopper_pearson`]; a delta outside \[0, 1).
pub fn epsilon_from_guesses(
    guesses: &Guesses,
    confidence: f64,
    delta: f64,
) -> Result<f64, PrivacyError> {
    check_delta(delta)?;
    let hit = clopper_pearson(guesses.true_positives, guesses.present, confidence)?;
    let alarm = clopper_pearson(guesses.false_positives, guesses.absent, confidence)?;
    let ratio = (hit.lower - delta) / alarm.upper;
    Ok(if ratio > 1.0 { ratio.ln() } else { 0.0 })
}

fn check_delta(delta: f64) -> Result<(), PrivacyError> {
    if (0.0..1.0).contains(&delta) {
        return Ok(());
    }
    Err(PrivacyError::Delta(delta))
}

/// One run with many canaries, each in or out by a fair coin (Steinke, Nasr, Jagielski 2023, arXiv 2305.08846).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneRun {
    /// m: canaries.
    pub canaries: u64,
    /// r: canaries the auditor dared to guess.
    pub guessed: u64,
    /// v: guesses that were right.
    pub correct: u64,
}

impl OneRun {
    fn check(&self) -> Result<(), PrivacyError> {
        let fine =
            self.canaries > 0 && self.correct <= self.guessed && self.guessed <= self.canaries;
        fine.then_some(()).ok_or(PrivacyError::AuditCounts)
    }

    /// The largest probability with which an (`epsilon`, `delta`)-private mechanism lets the auditor be right so often (Theorem 5.2):
    /// P\[B >= v\] + 2 m delta max over i of P\[v > B >= v - i\] / i, B binomial with r draws of probability 1/(1 + e^-epsilon).
    ///
    /// # Errors
    /// Counts that contradict each other; a delta outside \[0, 1).
    pub fn p_value(&self, epsilon: f64, delta: f64) -> Result<f64, PrivacyError> {
        self.check()?;
        check_delta(delta)?;
        let accuracy = 1.0 / (1.0 + (-epsilon).exp());
        let tail = binomial_tail(self.guessed, self.correct, accuracy);
        let (n, odds) = (self.guessed as f64, (-epsilon).exp());
        let (mut sum, mut steepest) = (0.0, 0.0f64);
        if delta > 0.0 && self.correct > 0 {
            let first = self.correct - 1;
            let k = first as f64;
            let ln_first = ln_factorial(self.guessed)
                - ln_factorial(first)
                - ln_factorial(self.guessed - first)
                + k * accuracy.ln()
                - (n - k) * epsilon
                + (n - k) * accuracy.ln();
            let mut ln_mass = ln_first;
            for distance in 1..=self.correct {
                sum += ln_mass.exp();
                steepest = steepest.max(sum / distance as f64);
                let at = (self.correct - distance) as f64;
                ln_mass += (at / (n - at + 1.0) * odds).ln();
            }
        }
        Ok((tail + 2.0 * self.canaries as f64 * delta * steepest).min(1.0))
    }

    /// Lower bound on epsilon that holds with probability 1 - `significance`: the largest epsilon that is refuted, 0 if none is.
    ///
    /// # Errors
    /// As [`p_value`](Self::p_value); a significance outside (0, 1).
    pub fn epsilon(&self, significance: f64, delta: f64) -> Result<f64, PrivacyError> {
        if !(significance > 0.0 && significance < 1.0) {
            return Err(PrivacyError::Confidence(1.0 - significance));
        }
        self.p_value(0.0, delta)?;
        let refuted = |epsilon: f64| self.p_value(epsilon, delta).is_ok_and(|p| p < significance);
        if !refuted(0.0) {
            return Ok(0.0);
        }
        let (mut below, mut above) = (0.0, 1.0);
        while refuted(above) {
            below = above;
            above *= 2.0;
        }
        for _ in 0..60 {
            let middle = (below + above) / 2.0;
            if refuted(middle) {
                below = middle;
            } else {
                above = middle;
            }
        }
        Ok(below)
    }
}

/// Two normal laws that a statistic follows with a canary present and without (Andrew et al. 2023, arXiv 2302.03098).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneShot {
    /// Mean with the canary, minus the mean without.
    pub shift: f64,
    /// Deviation without the canary.
    pub absent: f64,
    /// Deviation with it.
    pub present: f64,
}

impl OneShot {
    /// The smallest epsilon at which the two laws are (epsilon, `delta`)-close in both directions. An estimate of what is revealed, no proof.
    ///
    /// # Errors
    /// A deviation that is not positive and finite, a shift that is not finite, a delta outside (0, 1).
    pub fn epsilon(&self, delta: f64) -> Result<f64, PrivacyError> {
        for deviation in [self.absent, self.present] {
            if !(deviation.is_finite() && deviation > 0.0) {
                return Err(PrivacyError::Deviation(deviation));
            }
        }
        if !self.shift.is_finite() {
            return Err(PrivacyError::Deviation(self.shift));
        }
        if !(delta > 0.0 && delta < 1.0) {
            return Err(PrivacyError::Delta(delta));
        }
        let mean = self.shift.abs() / self.absent;
        let ratio = self.present / self.absent;
        if ratio == 1.0 {
            return gaussian::epsilon(mean, delta);
        }
        let worst = |epsilon: f64| {
            let there = difference((mean, ratio), (0.0, 1.0), epsilon);
            there.max(difference((0.0, 1.0), (mean, ratio), epsilon))
        };
        let mut enough = 1.0;
        while worst(enough) > delta && enough < 1e15 {
            enough *= 2.0;
        }
        Ok(gaussian::bisect(0.0, enough, |epsilon| {
            worst(epsilon) <= delta
        }))
    }
}

/// Integral of (p - e^epsilon q)^+ for normal laws p and q of unequal deviation, each (mean, deviation).
fn difference(p: (f64, f64), q: (f64, f64), epsilon: f64) -> f64 {
    // ln p - ln q = a x^2 + b x + c, above epsilon outside its roots (a > 0) or between them.
    let (precision_p, precision_q) = (p.1.powi(-2), q.1.powi(-2));
    let a = (precision_q - precision_p) / 2.0;
    let b = p.0 * precision_p - q.0 * precision_q;
    let c = (q.0 * q.0 * precision_q - p.0 * p.0 * precision_p) / 2.0 + (q.1 / p.1).ln() - epsilon;
    let discriminant = b * b - 4.0 * a * c;
    if discriminant <= 0.0 {
        return if a > 0.0 {
            -epsilon.exp_m1().min(0.0)
        } else {
            0.0
        };
    }
    // The root that does not cancel, then the other one from their product.
    let large = -(b + b.signum() * discriminant.sqrt()) / 2.0;
    let roots = if large == 0.0 {
        (0.0, 0.0)
    } else {
        (large / a, c / large)
    };
    let (low, high) = (roots.0.min(roots.1), roots.0.max(roots.1));
    let weight = |law: (f64, f64)| {
        let (left, right) = ((low - law.0) / law.1, (high - law.0) / law.1);
        let outside = gaussian::distribution(left) + gaussian::distribution(-right);
        if a > 0.0 {
            outside
        } else if left > 0.0 {
            gaussian::distribution(-left) - gaussian::distribution(-right)
        } else if right < 0.0 {
            gaussian::distribution(right) - gaussian::distribution(left)
        } else {
            1.0 - outside
        }
    };
    let other = weight(q);
    let scaled = if other > 0.0 {
        (epsilon + other.ln()).exp()
    } else {
        0.0
    };
    weight(p) - scaled
}

/// What no attack can pass while a mechanism is mu-Gaussian private (Dong, Roth, Su 2019, Section 2): it is as hard as telling N(0, 1)
/// from N(mu, 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// mu, at least 0.
    pub mu: f64,
}

impl Ceiling {
    /// Area under the curve of true against false positives.
    pub fn area_under_curve(&self) -> f64 {
        gaussian::distribution(self.mu * std::f64::consts::FRAC_1_SQRT_2)
    }

    /// True positive rate at a false positive rate.
    pub fn true_positive_rate(&self, false_positive_rate: f64) -> f64 {
        if false_positive_rate <= 0.0 {
            return 0.0;
        }
        if false_positive_rate >= 1.0 {
            return 1.0;
        }
        let quantile = gaussian::bisect(-40.0, 40.0, |x| {
            gaussian::distribution(x) >= false_positive_rate
        });
        gaussian::distribution(quantile + self.mu)
    }

    /// True minus false positive rate.
    pub fn advantage(&self) -> f64 {
        1.0 - 2.0 * gaussian::distribution(-self.mu / 2.0)
    }
}
