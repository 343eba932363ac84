//! Why there is no safe plan, in words that say what would help.

use core::fmt;

use thiserror::Error;

use super::{MAXIMUM_CLIENTS, MAXIMUM_DEGREE, MINIMUM_CLIENTS, MINIMUM_SECRECY_BITS};

/// What a graph can fail in, however many neighbours clients have and however many shares open a secret. (Secrecy alone
/// never is: a threshold that is high enough meets it.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The honest survivors hang together, so that only their whole sum is revealed.
    Connectivity,
    /// Every client keeps so many living neighbours that its secrets can be opened.
    Correctness,
    /// Survivors that nobody chose keep some of every two runs of the ring, as [`GraphPlan::guard`] demands.
    ///
    /// [`GraphPlan::guard`]: super::GraphPlan::guard
    Guard,
}

impl Bound {
    /// What happens when the bound fails.
    fn failure(self) -> &'static str {
        match self {
            Self::Connectivity => "the honest survivors fall apart and reveal two sums",
            Self::Correctness => {
                "some client keeps fewer living neighbours than a threshold that is safe from its corrupt ones"
            }
            Self::Guard => {
                "the survivors of an honest round look like those of a coordinator that divides the cohort"
            }
        }
    }

    /// What would help.
    fn remedy(self) -> &'static str {
        match self {
            Self::Connectivity => "assume fewer corrupt clients or fewer dropouts",
            Self::Correctness | Self::Guard => {
                "assume fewer dropouts or fewer corrupt clients, or ask for fewer bits of correctness"
            }
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connectivity => "connectivity",
            Self::Correctness => "correctness",
            Self::Guard => "guard",
        })
    }
}

/// Why no plan can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Fewer than [`MINIMUM_CLIENTS`].
    #[error(
        "a round needs at least {MINIMUM_CLIENTS} clients, this one has {clients}: invite more"
    )]
    TooFewClients {
        /// Number of clients asked for.
        clients: usize,
    },
    /// More than [`MAXIMUM_CLIENTS`].
    #[error(
        "a round takes at most {MAXIMUM_CLIENTS} clients, this one has {clients}: split the cohort"
    )]
    TooManyClients {
        /// Number of clients asked for.
        clients: usize,
    },
    /// A number outside the ranges given at [`Assumptions`](super::Assumptions).
    #[error(
        "assumptions out of range: corrupt must be in [0, 0.5), dropout in [0, 1), their sum below 1, \
         secrecy_bits in {MINIMUM_SECRECY_BITS}..=256, correctness_bits in 1..=256"
    )]
    Assumptions,
    /// A small cohort, in which everyone is everyone's neighbour, would not keep enough clients to open its secrets.
    #[error(
        "no safe plan for {clients} clients: {threshold} shares open a secret (those of more than half of the honest clients \
         and of all corrupt ones), but after the assumed dropouts only {holders} other clients are left: assume fewer \
         dropouts or fewer corrupt clients, or invite more clients"
    )]
    TooManyLost {
        /// Number of clients asked for.
        clients: usize,
        /// Shares needed to open a secret.
        threshold: usize,
        /// Other clients that are left to hold one.
        holders: usize,
    },
    /// No graph with at most [`MAXIMUM_DEGREE`] neighbours meets the bounds.
    #[error(
        "no safe plan for {clients} clients: even with {degree} neighbours for each (at most {MAXIMUM_DEGREE} can hold \
         shares), the chance that {} is {}, and at most 2^-{wanted} was asked for ({bound}): {}, or {}",
        .bound.failure(),
        chance(*.found),
        .bound.remedy(),
        size(*.clients)
    )]
    Infeasible {
        /// The bound that fails.
        bound: Bound,
        /// Number of clients asked for.
        clients: usize,
        /// The largest degree tried.
        degree: usize,
        /// At that degree the bound fails with a probability of about `2^-found`.
        found: u32,
        /// It may fail with a probability of `2^-wanted`.
        wanted: u32,
    },
}

fn chance(found: u32) -> String {
    match found {
        0 => "over a half".to_owned(),
        found => format!("2^-{found}"),
    }
}

/// How another number of clients would help: with few, more neighbours become possible; with many, a union bound over
/// fewer is smaller.
fn size(clients: usize) -> &'static str {
    if clients < MAXIMUM_DEGREE + 2 {
        "invite more clients"
    } else {
        "split the cohort"
    }
}
