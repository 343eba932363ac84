//! What a round costs, before it is run.

use super::{Assumptions, GraphPlan};
use crate::{Ring, SEALED_BYTES};

/// Bytes of the value of one share that is given back.
const SHARE_BYTES: u64 = 32;

/// What one round costs a client and the coordinator, counted, not measured. Shares and uploads are counted without
/// what the transport adds around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Bytes of one masked update.
    pub upload_bytes: u64,
    /// Bytes of the same update as plain 32-bit floating point numbers.
    pub float32_bytes: u64,
    /// X25519 operations of one client: for each neighbour one to seal, one to open, one for the mask.
    pub client_key_agreements: u64,
    /// Keystream that one client expands: its own mask and one for each neighbour.
    pub client_keystream_bytes: u64,
    /// Sealed shares that one client sends, and the shares that it gives back.
    pub client_share_bytes_up: u64,
    /// Sealed shares that one client receives.
    pub client_share_bytes_down: u64,
    /// Keystream that the coordinator expands to unmask when as many clients vanish as may: the own mask of each
    /// survivor, and each mask that a survivor shares with a lost client.
    pub coordinator_keystream_bytes: u64,
    /// X25519 operations of the coordinator then, one for each mask of a survivor and a lost client.
    pub coordinator_key_agreements: u64,
    /// Uploads that it adds up then.
    pub coordinator_sum_bytes: u64,
}

/// What a round with this plan costs. `length`: values of the update. `dropout`: fraction of the cohort that vanishes
/// after it has shared its keys and before it uploads, the dearest moment; lost and surviving clients lie mixed, so a
/// survivor has its average number of lost neighbours.
pub fn work(plan: &GraphPlan, ring: Ring, length: usize, dropout: f64) -> Work {
    let assumed = Assumptions {
        dropout: dropout.clamp(0.0, 1.0),
        ..Assumptions::DEFAULT
    };
    let clients = plan.clients as u64;
    let lost = (assumed.dropped_of(plan.clients) as u64).min(clients);
    let survivors = clients - lost;
    let neighbours = plan.neighbours() as u64;
    let upload = ring.upload_bytes(length) as u64;
    let mask = (ring.masked_values(length) as u64).saturating_mul(ring.lane_bytes() as u64);
    let sealed = neighbours * SEALED_BYTES as u64;
    // Each lost client has `neighbours` of the other clients as neighbours, and this many of them survive on average.
    let others = clients.saturating_sub(1).max(1);
    let halves = lost
        .saturating_mul(neighbours)
        .saturating_mul(survivors)
        .div_ceil(others);
    Work {
        upload_bytes: upload,
        float32_bytes: (length as u64).saturating_mul(4),
        client_key_agreements: 3 * neighbours,
        client_keystream_bytes: (neighbours + 1).saturating_mul(mask),
        client_share_bytes_up: sealed + neighbours * SHARE_BYTES,
        client_share_bytes_down: sealed,
        coordinator_keystream_bytes: survivors.saturating_add(halves).saturating_mul(mask),
        coordinator_key_agreements: halves,
        coordinator_sum_bytes: survivors.saturating_mul(upload),
    }
}
