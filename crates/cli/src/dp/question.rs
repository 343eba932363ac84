//! What all commands ask about: a mechanism, how often it runs, and for whom.

use chorus_privacy::matrix::{Participation, PrefixError, Toeplitz};
use chorus_privacy::{Accountant, Event, Mechanism, PrivacyError};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit;
use crate::ranges::{MOST_STEPS, positive, share};

/// Rounds up to which the error of a factorisation is computed: it takes their square.
const ROUNDS_OF_ERROR: u64 = 20_000;

/// The mechanisms by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Continuous Gaussian noise; with a sampling rate below 1, on Poisson samples.
    Gaussian,
    /// Exact discrete Gaussian noise on integers.
    DiscreteGaussian,
    /// Symmetric Skellam noise on integers.
    Skellam,
    /// A binary tree of partial sums, added by a trusted coordinator; the multiplier is that of one node.
    Tree,
    /// Noise correlated by a banded Toeplitz matrix, added by a trusted coordinator; the multiplier is relative to the matrix's
    /// sensitivity.
    Matrix,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::DiscreteGaussian => "discrete-gaussian",
            Self::Skellam => "skellam",
            Self::Tree => "tree",
            Self::Matrix => "matrix",
        }
    }
}

/// The accountants by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// Renyi divergences, at the orders of dp-accounting.
    Rdp,
    /// The distribution of the privacy loss.
    Pld,
    /// The closed formula, where there is one.
    Exact,
    /// Zero-concentrated DP.
    Zcdp,
    /// The smallest bound that holds.
    Best,
}

impl Who {
    pub fn accountant(self) -> Accountant {
        match self {
            Self::Rdp => Accountant::Rdp,
            Self::Pld => Accountant::Pld,
            Self::Exact => Accountant::Exact,
            Self::Zcdp => Accountant::Zcdp,
            Self::Best => Accountant::Best,
        }
    }
}

/// Details that only some mechanisms have.
#[derive(Args, Clone, Debug)]
pub struct Details {
    /// Discrete noise: only one integer is released, and a client moves it by exactly this or not at all. Then its loss is known.
    #[arg(long, value_name = "INTEGER", value_parser = clap::value_parser!(u32).range(1..))]
    pub shift: Option<u32>,
    /// Skellam noise: steps of the integer grid in one clip norm.
    #[arg(long, value_name = "STEPS", default_value_t = 65_536.0, value_parser = positive)]
    pub grid: f64,
    /// Tree: how many trees, one after the other; every client is once in each.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_STEPS))]
    pub trees: u64,
    /// Matrix: coefficients of the square root that are kept. Without it, all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_STEPS))]
    pub bands: Option<u64>,
    /// Matrix: not the square root, but the best encoder of so many buffers, for up to 2048 rounds.
    #[arg(long, value_name = "N", conflicts_with = "bands", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub buffers: Option<u8>,
    /// Matrix: rounds between two rounds of one client. Without it, each client takes part once.
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u64).range(1..=MOST_STEPS))]
    pub min_separation: Option<u64>,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            shift: None,
            grid: 65_536.0,
            trees: 1,
            bands: None,
            buffers: None,
            min_separation: None,
        }
    }
}

/// What every command asks in the same words.
#[derive(Args)]
pub struct Terms {
    /// Probability that a client is in one step. Holds only against those who do not know the sample: not against a coordinator.
    #[arg(long, value_name = "Q", default_value_t = 1.0, value_parser = share)]
    pub sampling_rate: f64,
    /// Who computes.
    #[arg(long, value_enum, default_value = "best")]
    accountant: Who,
    #[command(flatten)]
    details: Details,
}

impl Terms {
    pub fn accountant(&self) -> Accountant {
        self.accountant.accountant()
    }

    /// Asks about `kind`, run `steps` times.
    pub fn question(&self, kind: Kind, steps: u64) -> Question {
        Question {
            kind,
            sampling_rate: self.sampling_rate,
            steps,
            details: self.details.clone(),
        }
    }
}

/// A mechanism without its noise.
#[derive(Clone, Debug)]
pub struct Question {
    pub kind: Kind,
    pub sampling_rate: f64,
    pub steps: u64,
    pub details: Details,
}

impl Question {
    /// The events at a noise multiplier.
    pub fn events(&self, noise_multiplier: f64) -> Vec<Event> {
        let shift = self.details.shift;
        let (mechanism, steps) = match self.kind {
            Kind::Gaussian if self.sampling_rate == 1.0 => {
                (Mechanism::Gaussian { noise_multiplier }, self.steps)
            }
            Kind::Gaussian => (
                Mechanism::SubsampledGaussian {
                    sampling_rate: self.sampling_rate,
                    noise_multiplier,
                },
                self.steps,
            ),
            Kind::DiscreteGaussian => (
                Mechanism::DiscreteGaussian {
                    noise_multiplier,
                    shift,
                },
                self.steps,
            ),
            Kind::Skellam => (
                Mechanism::Skellam {
                    noise_multiplier,
                    sensitivity: shift.map_or(self.details.grid, f64::from),
                    shift,
                },
                self.steps,
            ),
            Kind::Tree => (
                Mechanism::Tree {
                    noise_multiplier,
                    rounds: self.steps,
                },
                self.details.trees,
            ),
            Kind::Matrix => (
                Mechanism::Matrix {
                    noise_multiplier,
                    sensitivity: 1.0,
                },
                1,
            ),
        };
        vec![Event { mechanism, steps }]
    }

    /// Refuses what no theorem answers.
    pub fn check(&self) -> Result<(), String> {
        if self.kind != Kind::Gaussian && self.sampling_rate != 1.0 {
            return Err(format!(
                "sampling_rate is {}, but sampling is accounted for continuous Gaussian noise only: give 1 for {}",
                self.sampling_rate,
                self.kind.name()
            ));
        }
        if self.steps == 0 {
            return Err(PrivacyError::Steps(0).to_string());
        }
        Ok(())
    }

    /// Sensitivity of the matrix, and its error on prefixes; None for other mechanisms and for very many rounds.
    pub fn factorisation(&self) -> Result<Option<(f64, PrefixError)>, PrivacyError> {
        if self.kind != Kind::Matrix || self.steps > ROUNDS_OF_ERROR {
            return Ok(None);
        }
        let rounds = usize::try_from(self.steps).unwrap_or(usize::MAX);
        let whole = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).min(rounds);
        let separation = whole(self.details.min_separation.unwrap_or(self.steps));
        let participation = Participation {
            rounds,
            min_separation: separation,
            max_participations: rounds.div_ceil(separation.max(1)),
        };
        let encoder = match self.details.buffers {
            Some(buffers) => Toeplitz::best_buffered(&participation, usize::from(buffers))?,
            None => Toeplitz::square_root(whole(self.details.bands.unwrap_or(self.steps)))?,
        };
        let sensitivity = encoder.sensitivity(&participation)?;
        Ok(Some((sensitivity, encoder.prefix_error(rounds)?)))
    }

    /// In words, without the noise.
    pub fn words(&self) -> String {
        let steps = match self.steps {
            1 => "1 step".to_owned(),
            steps => format!("{steps} steps"),
        };
        match self.kind {
            Kind::Gaussian if self.sampling_rate < 1.0 => format!(
                "continuous Gaussian noise, {steps}, each on a Poisson sample of {} %",
                (self.sampling_rate * 1e8).round() / 1e6
            ),
            Kind::Gaussian => format!("continuous Gaussian noise, {steps}, everyone in each"),
            Kind::DiscreteGaussian => {
                format!("discrete Gaussian noise on integers, {steps}, everyone in each")
            }
            Kind::Skellam => format!("Skellam noise on integers, {steps}, everyone in each"),
            Kind::Tree => format!(
                "a binary tree over {steps}, {} such tree(s), every client once in each",
                self.details.trees
            ),
            Kind::Matrix => {
                format!("correlated noise over {steps}, relative to the sensitivity of the matrix")
            }
        }
    }
}

/// The exit code of an answer that there is not.
pub fn code(error: &PrivacyError) -> u8 {
    match error {
        PrivacyError::Unreachable(_)
        | PrivacyError::NotExact
        | PrivacyError::NotConcentrated
        | PrivacyError::NoLossDistribution
        | PrivacyError::NoiseTooWideToList(_) => exit::REFUSED,
        _ => exit::USAGE,
    }
}
