//! How many neighbours each client masks with, and how many shares open a secret.

mod achieved;
mod bounds;
mod error;
mod work;

use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Ring;
use bounds::Bounds;

pub use achieved::Achieved;
pub use error::{Bound, PlanError};
pub use work::{Work, work};

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
/// All causes together make an honest round fail at most once in `2^20`, unless fewer bits of correctness are asked for.
/// More bits are for the want of shares alone: for [`GraphPlan::guard`] too they would take half as many neighbours again.
pub const GUARDED_CORRECTNESS_BITS: u32 = 20;

/// What a round assumes about its clients. The guarantee holds only as far as these do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// Largest fraction of the cohort that shares all it knows with the coordinator; `0 <= corrupt < 0.5`.
    pub corrupt: f64,
    /// Largest fraction of the cohort that vanishes during the round; `0 <= dropout < 1`.
    pub dropout: f64,
    /// The chance that some client's secrets fall to its corrupt neighbours, or that the honest survivors are divided,
    /// is at most `2^-secrecy_bits`.
    pub secrecy_bits: u32,
    /// The chance that the round must be given up for want of shares is at most `2^-correctness_bits`; for whatever
    /// reason, at most `2^-`[`GUARDED_CORRECTNESS_BITS`] too.
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

    /// Corrupt clients of a cohort, rounded up: `0.1 * 70` is `7.000000000000001` in floating point, and means 7.
    pub fn corrupt_of(&self, clients: usize) -> usize {
        (self.corrupt * clients as f64 - 1e-9).ceil() as usize
    }

    /// Clients of a cohort that may vanish: the whole clients within the fraction.
    pub fn dropped_of(&self, clients: usize) -> usize {
        (self.dropout * clients as f64 + 1e-9).floor() as usize
    }

    /// How often a round may be given up for whatever reason.
    fn correctness_of_all(&self) -> u32 {
        self.correctness_bits.min(GUARDED_CORRECTNESS_BITS)
    }

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

/// Computes the graph plan for a cohort. Deterministic, pure, and well under a millisecond, so that every client
/// computes it for itself instead of believing the coordinator.
///
/// Below [`COMPLETE_BELOW`] clients: the complete graph, threshold `floor((n + ceil(corrupt n)) / 2) + 1`.
/// Otherwise the smallest even degree `k`, and for it the smallest threshold `t`, that meet the bounds on secrecy,
/// connectivity and correctness: the conditions for a good graph in Bell, Bonawitz, Gascon, Lepoint, Raykova, *Secure
/// Single-Server Aggregation with (Poly)Logarithmic Overhead*, CCS 2020, section 3, as union bounds over exact
/// hypergeometric tails; then so many more neighbours that the guard seldom costs an honest round. The crate's first
/// page has the formulas, and what they were compared with.
///
/// # Errors
/// [`PlanError`] when the cohort is too small or too large, the assumptions are out of range, or no graph with at
/// most [`MAXIMUM_DEGREE`] neighbours exists. It says which bound fails and what would help. A witness would not: it
/// proves that everyone was told the same, and changes nothing about who is whose neighbour.
///
/// # Privacy
/// The bounds hold when corruption and dropouts do not depend on the graph, and against a coordinator that tells
/// every client the same story. For one that calls lost whom it pleases, see [`GraphPlan::guard`].
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
    if clients < COMPLETE_BELOW {
        complete(clients, assumptions)
    } else {
        guarded(good(clients, assumptions)?, assumptions)
    }
}

/// The narrowest ring in which a sum cannot wrap around: of `clients` values of `value_bits` bits each, sign and noise
/// included. The sum of `n` such values has `value_bits + ceil(log2 n)` bits. `None` when that is more than 32.
pub fn ring_for(clients: usize, value_bits: u32) -> Option<Ring> {
    let carries = usize::BITS - clients.saturating_sub(1).leading_zeros();
    Ring::smallest_holding(value_bits.saturating_add(carries))
}

fn complete(clients: usize, assumptions: &Assumptions) -> Result<GraphPlan, PlanError> {
    let threshold = (clients + assumptions.corrupt_of(clients)) / 2 + 1;
    // A survivor's shares lie with the other survivors; its own device holds none.
    let holders = (clients - 1).saturating_sub(assumptions.dropped_of(clients));
    if threshold > holders {
        return Err(PlanError::TooManyLost {
            clients,
            threshold,
            holders,
        });
    }
    Ok(GraphPlan {
        clients,
        degree: clients - 1,
        threshold,
    })
}

/// The smallest good graph.
fn good(clients: usize, assumptions: &Assumptions) -> Result<GraphPlan, PlanError> {
    let bounds = Bounds::new(clients, assumptions);
    let mut infeasible = PlanError::Assumptions;
    for degree in degrees(2, clients) {
        let Some(threshold) = safe_threshold(&bounds, degree, assumptions) else {
            let disconnected = bounds.connectivity(degree);
            let wanted = assumptions.secrecy_bits;
            infeasible = fails(Bound::Connectivity, clients, degree, disconnected, wanted);
            continue;
        };
        let lost = bounds.correctness(degree, threshold);
        if lost <= ln_of_bits(assumptions.correctness_bits) {
            return Ok(GraphPlan {
                clients,
                degree,
                threshold,
            });
        }
        let wanted = assumptions.correctness_bits;
        infeasible = fails(Bound::Correctness, clients, degree, lost, wanted);
    }
    Err(infeasible)
}

/// The smallest graph that is at least as large as a good one, and in which survivors that nobody chose meet the guard.
fn guarded(good: GraphPlan, assumptions: &Assumptions) -> Result<GraphPlan, PlanError> {
    let clients = good.clients;
    let wanted = assumptions.correctness_of_all();
    let bounds = Bounds::new(clients, assumptions);
    let mut infeasible = PlanError::Assumptions;
    for degree in degrees(good.degree, clients) {
        let Some(threshold) = safe_threshold(&bounds, degree, assumptions) else {
            continue;
        };
        let plan = GraphPlan {
            clients,
            degree,
            threshold,
        };
        let lost = bounds.correctness(degree, threshold);
        let unguarded = bounds.guarded(degree, plan.guard(assumptions));
        let given_up = bounds::ln_sum(lost, unguarded);
        if lost <= ln_of_bits(assumptions.correctness_bits) && given_up <= ln_of_bits(wanted) {
            return Ok(plan);
        }
        infeasible = fails(Bound::Guard, clients, degree, given_up, wanted);
    }
    Err(infeasible)
}

fn degrees(smallest: usize, clients: usize) -> impl Iterator<Item = usize> {
    (smallest..=MAXIMUM_DEGREE.min(clients - 2)).step_by(2)
}

/// The smallest threshold for a degree; `None` when the graph would fall apart too often, whatever the threshold.
fn safe_threshold(bounds: &Bounds, degree: usize, assumptions: &Assumptions) -> Option<usize> {
    // Both ways of losing secrecy together may have the probability that was asked for.
    let left = ln_of_bits(assumptions.secrecy_bits).exp() - bounds.connectivity(degree).exp();
    let safe = |threshold: &usize| left > 0.0 && bounds.secrecy(degree, *threshold) <= left.ln();
    // A threshold of 1 would put the secret itself into every envelope.
    smallest(2..degree + 1, safe)
}

/// The smallest number of a range for which something holds that holds for all larger ones too.
fn smallest(mut range: Range<usize>, holds: impl Fn(&usize) -> bool) -> Option<usize> {
    let end = range.end;
    while !range.is_empty() {
        let middle = range.start + range.len() / 2;
        match holds(&middle) {
            true => range.end = middle,
            false => range.start = middle + 1,
        }
    }
    (range.start < end).then_some(range.start)
}

fn fails(
    bound: Bound,
    clients: usize,
    degree: usize,
    ln_probability: f64,
    wanted: u32,
) -> PlanError {
    PlanError::Infeasible {
        bound,
        clients,
        degree,
        // Never negative: a probability is at most 1.
        found: (-ln_probability / core::f64::consts::LN_2).floor() as u32,
        wanted,
    }
}

/// The natural logarithm of `2^-bits`.
fn ln_of_bits(bits: u32) -> f64 {
    -f64::from(bits) * core::f64::consts::LN_2
}

#[cfg(test)]
mod tests;
