//! How many neighbours each client masks with, and how many shares open a secret.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hypergeometric::{Hypergeometric, ln_choose};

/// Fewest clients a round may have. A sum over fewer people hides nobody.
pub const MINIMUM_CLIENTS: usize = 10;
/// Most clients of one graph; larger populations are split into sub-cohorts (secagg.md 4.7).
pub const MAXIMUM_CLIENTS: usize = 1 << 20;
/// Below this many clients everyone is everyone's neighbour.
pub const COMPLETE_BELOW: usize = 100;
/// Most neighbours of one client in a sparse graph: shares are numbered by one non-zero byte (secagg.md 4.3).
pub const MAXIMUM_DEGREE: usize = 254;
/// Secrecy may be asked to be stronger than this, never weaker (secagg.md 4.1).
pub const MINIMUM_SECRECY_BITS: u32 = 40;

/// What a round assumes about its clients. The guarantee holds only as far as these do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// Largest fraction of the cohort that shares all it knows with the coordinator; `0 <= corrupt < 0.5`.
    pub corrupt: f64,
    /// Largest fraction of the cohort that vanishes during the round; `0 <= dropout < 1`.
    pub dropout: f64,
    /// The chance that some client's secrets fall to its corrupt neighbours is at most `2^-secrecy_bits`.
    pub secrecy_bits: u32,
    /// The chance that the round must be given up for want of shares is at most `2^-correctness_bits`.
    pub correctness_bits: u32,
}

impl Assumptions {
    /// The row the product runs with: 10 % corrupt, 30 % dropping out, 40 bits for both bounds.
    pub const DEFAULT: Self = Self {
        corrupt: 0.10,
        dropout: 0.30,
        secrecy_bits: 40,
        correctness_bits: 40,
    };

    fn valid(&self) -> bool {
        // Written so that NaN fails every comparison.
        (0.0..0.5).contains(&self.corrupt)
            && (0.0..1.0).contains(&self.dropout)
            && self.corrupt + self.dropout < 1.0
            && (MINIMUM_SECRECY_BITS..=256).contains(&self.secrecy_bits)
            && (1..=256).contains(&self.correctness_bits)
    }
}

/// The shape of one round's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphPlan {
    /// Number of clients in the cohort.
    pub clients: usize,
    /// Neighbours of every client, itself not counted.
    pub degree: usize,
    /// Shares needed to open a secret.
    pub threshold: usize,
}

/// Why no plan can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Fewer than [`MINIMUM_CLIENTS`].
    #[error("a round needs at least {MINIMUM_CLIENTS} clients, this one has {clients}")]
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
    /// A number outside the ranges given at [`Assumptions`].
    #[error(
        "assumptions out of range: corrupt must be in [0, 0.5), dropout in [0, 1), their sum below 1, \
         secrecy_bits in {MINIMUM_SECRECY_BITS}..=256, correctness_bits in 1..=256"
    )]
    Assumptions,
    /// No graph with at most [`MAXIMUM_DEGREE`] neighbours meets the bounds.
    #[error(
        "no graph of {clients} clients with at most {MAXIMUM_DEGREE} neighbours each meets the bounds: \
         assume fewer corrupt or vanishing clients"
    )]
    Infeasible {
        /// Number of clients asked for.
        clients: usize,
    },
}

/// Computes the graph plan for a cohort. Deterministic, pure, and well under a millisecond, so that every client
/// computes it for itself instead of believing the coordinator.
///
/// Below [`COMPLETE_BELOW`] clients: the complete graph, threshold `floor((n + ceil(corrupt n)) / 2) + 1`.
/// Otherwise the smallest even degree `k`, and for it the smallest threshold `t`, that meet the three bounds of
/// secagg.md 4.1, a re-derivation with hypergeometric tails of the conditions for a good graph in Bell, Bonawitz,
/// Gascon, Lepoint, Raykova, *Secure Single-Server Aggregation with (Poly)Logarithmic Overhead*, CCS 2020, section 3:
/// secrecy, connectivity and correctness (formulas in the crate's first page).
///
/// # Errors
/// [`PlanError`] when the cohort is too small or too large, the assumptions are out of range, or no graph with at
/// most [`MAXIMUM_DEGREE`] neighbours exists.
///
/// # Privacy
/// The bounds hold when corruption and dropouts do not depend on the graph, and against a coordinator that tells
/// every client the same story. See the crate's first page.
pub fn plan(clients: usize, assumptions: &Assumptions) -> Result<GraphPlan, PlanError> {
    if clients < MINIMUM_CLIENTS {
        return Err(PlanError::TooFewClients { clients });
    }
    if clients > MAXIMUM_CLIENTS {
        return Err(PlanError::TooManyClients { clients });
    }
    if !assumptions.valid() {
        return Err(PlanError::Assumptions);
    }
    let plan = if clients < COMPLETE_BELOW {
        complete(clients, assumptions)
    } else {
        sparse(clients, assumptions)
    };
    plan.ok_or(PlanError::Infeasible { clients })
}

/// Corrupt clients, rounded up: `0.1 * 70` is `7.000000000000001` in floating point, and means 7.
fn corrupt_clients(clients: usize, assumptions: &Assumptions) -> usize {
    (assumptions.corrupt * clients as f64 - 1e-9).ceil() as usize
}

/// Clients that may vanish: the whole clients within the fraction.
fn dropped_clients(clients: usize, assumptions: &Assumptions) -> usize {
    (assumptions.dropout * clients as f64 + 1e-9).floor() as usize
}

fn complete(clients: usize, assumptions: &Assumptions) -> Option<GraphPlan> {
    let corrupt = corrupt_clients(clients, assumptions);
    let threshold = (clients + corrupt) / 2 + 1;
    // A survivor's shares lie with the other survivors; its own device holds none.
    let holders = clients - 1 - dropped_clients(clients, assumptions);
    (threshold <= holders).then_some(GraphPlan {
        clients,
        degree: clients - 1,
        threshold,
    })
}

fn sparse(clients: usize, assumptions: &Assumptions) -> Option<GraphPlan> {
    let n = clients as u64;
    let corrupt = corrupt_clients(clients, assumptions) as u64;
    let dropped = dropped_clients(clients, assumptions) as u64;
    let removed = corrupt + dropped;
    let ln_n = (clients as f64).ln();
    let secrecy = -f64::from(assumptions.secrecy_bits) * core::f64::consts::LN_2;
    let correctness = -f64::from(assumptions.correctness_bits) * core::f64::consts::LN_2;

    // A threshold of 1 would put the secret itself into every envelope.
    let mut threshold = 2;
    for degree in (2..=MAXIMUM_DEGREE.min(clients - 2)).step_by(2) {
        let k = degree as u64;
        // One more neighbour can only add a corrupt one, so the smallest safe threshold never falls as k grows.
        let corrupt_neighbours = Hypergeometric::new(n - 1, corrupt, k);
        while threshold <= k && ln_n + corrupt_neighbours.ln_at_least(threshold) > secrecy {
            threshold += 1;
        }
        if threshold > k {
            continue;
        }
        let ln_disconnected = ln_choose(n, 2) + ln_choose(removed, k) - ln_choose(n, k);
        if ln_disconnected > secrecy {
            continue;
        }
        let surviving_neighbours = Hypergeometric::new(n - 1, n - dropped, k);
        if ln_n + surviving_neighbours.ln_below(threshold) <= correctness {
            return Some(GraphPlan {
                clients,
                degree,
                threshold: threshold as usize,
            });
        }
    }
    None
}

#[cfg(test)]
mod tests;
