#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod aggregate;
mod derive;
mod envelope;
mod expand;
mod generator;
mod graph;
mod hypergeometric;
#[allow(
    unsafe_code,
    reason = "the instructions for AES and AVX-512; each use has its reason"
)]
mod kernel;
mod keys;
mod keystream;
mod mask;
mod pack;
mod plan;
mod recover;
mod ring;
mod shamir;

pub use aggregate::{Aggregate, SpoiledSum, WrongShape};
pub use derive::RoundDigest;
pub use envelope::{EnvelopeError, SEALED_BYTES, Sealed, SharePair, open, seal};
pub use expand::{Lane, UNIT_BYTES, expand};
pub use generator::{Generator, UnknownGenerator};
pub use graph::{Graph, share_position};
pub use kernel::Kernel;
pub use keys::{KeyError, PublicKeys, RoundKeys, secret_matches};
pub use keystream::Sign;
pub use mask::{MalformedUpdate, MaskKey, MaskedUpdate, mask, mask_with};
pub use plan::{
    Achieved, Assumptions, Bound, COMPLETE_BELOW, GUARDED_CORRECTNESS_BITS, GraphPlan,
    MAXIMUM_CLIENTS, MAXIMUM_DEGREE, MINIMUM_CLIENTS, MINIMUM_SECRECY_BITS, PlanError, Work, plan,
    ring_for, work,
};
pub use recover::{Dropped, recover_pairs};
pub use ring::{Ring, UnknownRing};
pub use shamir::{Share, ShareError, combine, split};
