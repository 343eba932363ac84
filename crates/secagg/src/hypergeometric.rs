//! Tails of the hypergeometric distribution in the log domain, where `2^-40` and `2^-400` are equally easy.

/// `ln(n!)`. Below 16 by multiplication, above by Stirling's series (relative error under `1e-15`).
pub(crate) fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|factor| factor as f64).product::<f64>().ln();
    }
    let x = n as f64;
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (x + 0.5) * x.ln() - x + 0.5 * core::f64::consts::TAU.ln() + series
}

/// `ln C(n, k)`; minus infinity when `k > n`.
pub(crate) fn ln_choose(n: u64, k: u64) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// How many of `drawn` elements, taken without replacement from `population`, are among the `marked` ones.
#[derive(Clone, Copy)]
pub(crate) struct Hypergeometric {
    population: u64,
    marked: u64,
    drawn: u64,
}

impl Hypergeometric {
    /// `marked` and `drawn` are cut down to `population`: more cannot exist.
    pub(crate) fn new(population: u64, marked: u64, drawn: u64) -> Self {
        Self {
            population,
            marked: marked.min(population),
            drawn: drawn.min(population),
        }
    }

    fn smallest(&self) -> u64 {
        (self.drawn + self.marked).saturating_sub(self.population)
    }

    fn largest(&self) -> u64 {
        self.drawn.min(self.marked)
    }

    /// `ln P[X = x]` for `x` within the support.
    fn ln_probability(&self, x: u64) -> f64 {
        ln_choose(self.marked, x) + ln_choose(self.population - self.marked, self.drawn - x)
            - ln_choose(self.population, self.drawn)
    }

    /// `P[X = x + 1] / P[X = x]` for `x` within the support.
    fn ratio(&self, x: u64) -> f64 {
        let unmarked_left = self.population + x + 1 - self.marked - self.drawn;
        ((self.marked - x) as f64 * (self.drawn - x) as f64)
            / ((x + 1) as f64 * unmarked_left as f64)
    }

    /// `ln P[X >= t]`.
    pub(crate) fn ln_at_least(&self, t: u64) -> f64 {
        if t <= self.smallest() {
            return 0.0;
        }
        if t > self.largest() {
            return f64::NEG_INFINITY;
        }
        let steps = (t..self.largest()).map(|x| self.ratio(x));
        (self.ln_probability(t) + ln_relative_sum(steps)).min(0.0)
    }

    /// `ln P[X < t]`.
    pub(crate) fn ln_below(&self, t: u64) -> f64 {
        if t <= self.smallest() {
            return f64::NEG_INFINITY;
        }
        if t > self.largest() {
            return 0.0;
        }
        let steps = (self.smallest()..t - 1).rev().map(|x| 1.0 / self.ratio(x));
        (self.ln_probability(t - 1) + ln_relative_sum(steps)).min(0.0)
    }
}

/// `ln(1 + r1 + r1 r2 + ...)`: a tail relative to its first term. Away from the mode the ratios shrink, so the
/// sum may stop as soon as a term no longer changes it.
fn ln_relative_sum(ratios: impl Iterator<Item = f64>) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for ratio in ratios {
        term *= ratio;
        sum += term;
        if ratio < 1.0 && term < sum * 1e-18 {
            break;
        }
    }
    f64::ln(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factorials_agree_with_summed_logarithms() {
        let mut sum = 0.0;
        for n in 1..3_000_u64 {
            sum += (n as f64).ln();
            assert!((ln_factorial(n) - sum).abs() < 1e-9 * sum.max(1.0), "{n}");
        }
    }

    #[test]
    fn the_two_tails_complete_each_other() {
        let draws = Hypergeometric::new(200, 60, 40);
        for t in 0..=41 {
            let whole = draws.ln_at_least(t).exp() + draws.ln_below(t).exp();
            assert!((whole - 1.0).abs() < 1e-9, "{t}: {whole}");
        }
    }

    /// Exact integers: `P[X >= 5]`, population 20, 8 marked, 10 drawn, is (C(8,5)C(12,5) + ...)/C(20,10).
    #[test]
    fn a_tail_counted_by_hand() {
        let exact = (56.0 * 792.0 + 28.0 * 495.0 + 8.0 * 220.0 + 66.0) / 184_756.0;
        let found = Hypergeometric::new(20, 8, 10).ln_at_least(5).exp();
        assert!((found - exact).abs() < 1e-12);
    }

    #[test]
    fn nothing_marked_is_never_drawn() {
        let draws = Hypergeometric::new(50, 0, 10);
        assert_eq!(draws.ln_at_least(0), 0.0);
        assert_eq!(draws.ln_at_least(1), f64::NEG_INFINITY);
        assert_eq!(draws.ln_below(1), 0.0);
    }
}
