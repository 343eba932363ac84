use serde::{Deserialize, Serialize};

/// Half the width of a 95 % interval of a normal law, in standard deviations.
pub(super) const NORMAL_95: f64 = 1.959_964;

/// A mean over people, with what is needed for its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    squares: f64,
    count: usize,
}

/// A mean and how far the truth may be from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of its 95 % interval, by the normal law over people.
    pub within: f64,
}

impl Mean {
    /// Adds one person.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.squares += value * value;
        self.count += 1;
    }

    /// Joins other people.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.squares += other.squares;
        self.count += other.count;
    }

    /// How many people.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean, 0 over nobody.
    pub fn value(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The standard deviation over people.
    pub fn deviation(&self) -> f64 {
        let mean = self.value();
        let squares = self.squares / self.count.max(1) as f64;
        (squares - mean * mean).max(0.0).sqrt()
    }

    /// The mean and its 95 % interval; an interval without end over fewer than two people would be no number, so it is 0 there.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            mean: self.value(),
            within: NORMAL_95 * self.deviation() / (self.count.max(1) as f64).sqrt(),
        }
    }
}
