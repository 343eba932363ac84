use serde::{Deserialize, Serialize};

use super::estimate::NORMAL_95;

/// A longer interval says nothing: fifty people leave at most 0.27 open by chance alone.
const SAYS_NOTHING: f64 = 0.3;

/// A figure between 0 and 1 that was found by a sum over people, and the ends of its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The figure.
    pub mean: f64,
    /// The least that it may be.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Interval {
    /// A mean over so many people of what each gains, between 0 and 1, with its interval of 95 %: Wilson's, which is too long rather
    /// than too short where gains are not 0 or 1. Nothing of nobody.
    pub fn of_mean(mean: f64, people: usize) -> Option<Self> {
        let mut sums = Sums::default();
        sums.add(people as f64, 1, mean, 0.0);
        sums.interval(NORMAL_95)
    }

    /// Whether it is short enough for the figure to say anything: at most 0.3 long.
    pub fn tells(&self) -> bool {
        self.high - self.low <= SAYS_NOTHING
    }
}

/// Two sums over people, of which the quotient is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// What they gain together, each between 0 and 1.
    pub total: f64,
    /// How many they are.
    pub people: f64,
    /// Variance of the noise in `total`.
    pub total_noise: f64,
    /// Variance of the noise in `people`.
    pub people_noise: f64,
    /// Covariance of both.
    pub common_noise: f64,
}

impl Sums {
    /// Adds a group: so many people in so many cells, each with noise of this deviation, who gain so much each.
    pub fn add(&mut self, people: f64, cells: usize, gain: f64, noise: f64) {
        let noise = cells as f64 * noise * noise;
        self.total += people * gain;
        self.people += people;
        self.total_noise += noise * gain * gain;
        self.people_noise += noise;
        self.common_noise += noise * gain;
    }

    /// The mean gain, and what it may be: all means from which `total` is at most so many standard deviations away. Nothing where
    /// there is nobody, or where as much noise leaves every mean possible.
    ///
    /// Wilson's (1927) score interval with the variance p (1 - p) of a share of mean p, than which that of no gain between 0 and
    /// 1 is larger (Bhatia and Davis 2000): it has a length where nobody gains, too. With noise in the number of people this is
    /// a quotient of two random sums, and the equation is Fieller's (1940).
    pub fn interval(&self, deviations: f64) -> Option<Interval> {
        let Self { total, people, .. } = *self;
        let square = deviations * deviations;
        // (total - p people)^2 <= square (people p (1 - p) + noise of total - p people), as a p^2 - 2 b p + c <= 0.
        let a = people * people + square * (people - self.people_noise);
        let b = total * people + square * (people / 2.0 - self.common_noise);
        let c = total * total - square * self.total_noise;
        if people <= 0.0 || a <= 0.0 {
            return None;
        }
        let half = (b * b - a * c).max(0.0).sqrt();
        let [mean, low, high] =
            [total / people, (b - half) / a, (b + half) / a].map(|value| value.clamp(0.0, 1.0));
        Some(Interval {
            mean,
            low: low.min(mean),
            high: high.max(mean),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shares(hits: f64, people: f64, noise: f64) -> Option<Interval> {
        let mut sums = Sums::default();
        sums.add(hits, 10, 1.0, noise);
        sums.add(people - hits, 10, 0.0, noise);
        sums.interval(1.959_964)
    }

    /// Wilson's interval as Newcombe (1998, Statistics in Medicine 17, 857) prints it.
    #[test]
    fn without_noise_it_is_wilsons() {
        for (hits, people, low, high) in [
            (81.0, 263.0, 0.2553, 0.3662),
            (15.0, 148.0, 0.0624, 0.1605),
            (0.0, 20.0, 0.0, 0.1611),
            (1.0, 29.0, 0.0061, 0.1718),
        ] {
            let found = shares(hits, people, 0.0).unwrap();
            assert!((found.mean - hits / people).abs() < 1e-12);
            assert!((found.low - low).abs() < 5e-5, "{found:?} {low}");
            assert!((found.high - high).abs() < 5e-5, "{found:?} {high}");
            let of_mean = Interval::of_mean(hits / people, people as usize).unwrap();
            assert!((of_mean.low - low).abs() < 5e-5 && (of_mean.high - high).abs() < 5e-5);
        }
        assert_eq!(Interval::of_mean(0.5, 0), None);
    }

    #[test]
    fn noise_makes_it_longer_until_it_says_nothing() {
        let length = |noise| shares(60.0, 100.0, noise).map(|found| found.high - found.low);
        assert!(length(0.0).unwrap() < length(2.0).unwrap());
        assert!(shares(60.0, 100.0, 0.0).unwrap().tells());
        assert!(!shares(60.0, 100.0, 8.0).unwrap().tells());
        assert_eq!(
            length(12.0),
            None,
            "the noise of twenty cells is half the people"
        );
        assert_eq!(shares(0.0, 0.0, 0.0), None);
        assert_eq!(shares(5.0, -3.0, 1.0), None);
    }

    /// The truth is in it as often as it says, with noise in both sums.
    #[test]
    fn the_truth_is_in_it() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let (truth, noise, times) = (0.2, 3.0, 4_000);
        let mut inside = 0;
        for _ in 0..times {
            let hits = (0..200).filter(|_| uniform() < truth).count() as f64;
            // Ten cells of noise each: a sum of twelve uniform numbers has variance 1.
            let mut noised = |people: f64| {
                let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                people + noise * 10.0_f64.sqrt() * normal
            };
            let (hits, others) = (noised(hits), noised(200.0 - hits));
            let found = shares(hits, hits + others, noise).unwrap();
            inside += usize::from(found.low <= truth && truth <= found.high);
        }
        let share = f64::from(inside as u32) / f64::from(times);
        assert!((share - 0.95).abs() < 0.015, "{share}");
    }
}
