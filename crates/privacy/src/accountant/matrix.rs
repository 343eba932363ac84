//! Correlated noise for a trusted coordinator: prefix sums through a tree or a Toeplitz factorisation (DP-FTRL).
//!
//! The releases are prefix sums A x of the rounds' sums x, A lower triangular of ones, as A C^-1 (C x + noise). C decides how much a
//! client that takes part several times changes C x (the sensitivity), and A C^-1 how much noise is on a prefix (the error).
//! Sampling gives nothing here; participation is limited instead: rounds of one client are at least `min_separation` apart.
//!
//! Sources: Kairouz, McMahan, Song, Thakkar, Thakurta, Xu 2021 (tree; arXiv 2103.00039); Denisov, McMahan, Rush, Smith, Thakurta
//! 2022 (adaptive streams); Choquette-Choo et al. 2023 (bands and separation; arXiv 2306.08153); Dvijotham, McMahan, Pillutla, Steinke,
//! Thakurta 2024 (buffered Toeplitz; arXiv 2404.16706).

use crate::PrivacyError;

/// Rounds at most.
const MOST_ROUNDS: usize = 1 << 20;

/// Levels of a binary tree over `rounds` leaves that one leaf is part of: ceil(log2(rounds + 1)).
pub fn tree_height(rounds: u64) -> u32 {
    u64::BITS - rounds.leading_zeros()
}

/// Who can take part when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participation {
    /// Rounds of the run.
    pub rounds: usize,
    /// Between two rounds of one client lie at least this many rounds, counting the second.
    pub min_separation: usize,
    /// Rounds that one client is in, at most.
    pub max_participations: usize,
}

impl Participation {
    fn check(&self) -> Result<(), PrivacyError> {
        let fine = (1..=MOST_ROUNDS).contains(&self.rounds)
            && self.min_separation >= 1
            && self.max_participations >= 1;
        fine.then_some(()).ok_or(PrivacyError::Participation)
    }
}

/// Noise on prefix sums, for an independent noise whose deviation is 1 on each coordinate of C x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefixError {
    /// Deviation on the noisiest prefix.
    pub largest: f64,
    /// Root of the mean variance over all prefixes.
    pub typical: f64,
}

/// A lower triangular Toeplitz encoder C, by its first column.
#[derive(Clone, Debug, PartialEq)]
pub struct Toeplitz {
    column: Vec<f64>,
}

impl Toeplitz {
    /// From the first column; missing entries are 0.
    ///
    /// # Errors
    /// A column that does not start above 0, rises, or has negative or infinite entries: its sensitivity would have no formula.
    pub fn new(column: Vec<f64>) -> Result<Self, PrivacyError> {
        let starts = column
            .first()
            .is_some_and(|first| first.is_finite() && *first > 0.0);
        let falls = column
            .windows(2)
            .all(|pair| matches!(pair, [left, right] if right <= left && *right >= 0.0));
        (starts && falls)
            .then_some(Self { column })
            .ok_or(PrivacyError::Coefficients)
    }

    /// Independent noise: C is the identity.
    pub fn identity() -> Self {
        Self { column: vec![1.0] }
    }

    /// The square root of A, cut after `bands` coefficients: binom(2j, j) / 4^j. Without cut, give the number of rounds.
    ///
    /// # Errors
    /// No bands.
    pub fn square_root(bands: usize) -> Result<Self, PrivacyError> {
        let next = |(at, value): &(usize, f64)| {
            let at = at + 1;
            Some((at, value * (2.0 * at as f64 - 1.0) / (2.0 * at as f64)))
        };
        let column = std::iter::successors(Some((0, 1.0)), next).map(|(_, value)| value);
        Self::new(column.take(bands.min(MOST_ROUNDS)).collect())
    }

    /// A buffered linear Toeplitz encoder: 1, then the sum over buffers of weight decay^(j-1). One buffer costs one vector of memory.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn buffered(buffers: &[(f64, f64)], rounds: usize) -> Result<Self, PrivacyError> {
        let later = (1..rounds.min(MOST_ROUNDS)).map(|at| {
            let part = |(weight, decay): &(f64, f64)| weight * decay.powf(at as f64 - 1.0);
            buffers.iter().map(part).sum::<f64>()
        });
        Self::new(std::iter::once(1.0).chain(later).collect())
    }

    /// Coefficient at lag `at`.
    fn coefficient(&self, at: usize) -> f64 {
        self.column.get(at).copied().unwrap_or(0.0)
    }

    /// Squared L2 sensitivity of C x to one client of norm 1: the squared norm of the sum of columns 0, b, 2b, ..., which is the worst
    /// choice when the first column falls and is nowhere negative (arXiv 2306.08153, Theorem 2; arXiv 2404.16706, Theorem 2).
    ///
    /// # Errors
    /// A participation that makes no sense.
    pub fn squared_sensitivity(&self, participation: &Participation) -> Result<f64, PrivacyError> {
        participation.check()?;
        let starts: Vec<usize> = (0..participation.rounds)
            .step_by(participation.min_separation)
            .take(participation.max_participations)
            .collect();
        let row = |round: usize| -> f64 {
            let begun = starts.iter().take_while(|start| **start <= round);
            begun.map(|start| self.coefficient(round - start)).sum()
        };
        Ok((0..participation.rounds)
            .map(|round| row(round).powi(2))
            .sum())
    }

    /// Root of [`squared_sensitivity`](Self::squared_sensitivity).
    ///
    /// # Errors
    /// As there.
    pub fn sensitivity(&self, participation: &Participation) -> Result<f64, PrivacyError> {
        self.squared_sensitivity(participation).map(f64::sqrt)
    }

    /// What noise A C^-1 leaves on the prefixes of `rounds` rounds. Multiply by deviation, that is by z times the sensitivity.
    ///
    /// # Errors
    /// No rounds, or more than 2^20.
    pub fn prefix_error(&self, rounds: usize) -> Result<PrefixError, PrivacyError> {
        if !(1..=MOST_ROUNDS).contains(&rounds) {
            return Err(PrivacyError::Participation);
        }
        // First column of A C^-1: forward substitution of C b = (1, 1, 1, ...).
        let first = self.coefficient(0);
        let mut column: Vec<f64> = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let known = column.iter().rev().zip(self.column.iter().skip(1));
            let sum: f64 = known
                .map(|(before, coefficient)| before * coefficient)
                .sum();
            column.push((1.0 - sum) / first);
        }
        let (mut variance, mut total) = (0.0, 0.0);
        for entry in &column {
            variance += entry * entry;
            total += variance;
        }
        Ok(PrefixError {
            largest: f64::sqrt(variance),
            typical: (total / rounds as f64).sqrt(),
        })
    }
}

/// The binary tree over `rounds` rounds, each prefix as few nodes as possible (no weighting of redundant nodes).
///
/// # Errors
/// No rounds, or more than 2^20.
pub fn tree_prefix_error(rounds: usize) -> Result<PrefixError, PrivacyError> {
    if !(1..=MOST_ROUNDS).contains(&rounds) {
        return Err(PrivacyError::Participation);
    }
    let nodes = |prefix: usize| f64::from(prefix.count_ones());
    Ok(PrefixError {
        largest: (1..=rounds).map(nodes).fold(0.0, f64::max).sqrt(),
        typical: ((1..=rounds).map(nodes).sum::<f64>() / rounds as f64).sqrt(),
    })
}

/// Sensitivity of one tree to a client that is in `participations` rounds of it, wherever they are: at most all of them meet in every node
/// on the way to the root.
pub fn tree_sensitivity(rounds: u64, participations: u64) -> f64 {
    participations as f64 * f64::from(tree_height(rounds)).sqrt()
}
