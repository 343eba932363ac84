#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod aggregate;
mod derive;
mod envelope;
mod graph;
mod hypergeometric;
mod keys;
mod keystream;
mod mask;
mod plan;
mod shamir;

pub use aggregate::{Aggregate, SpoiledSum};
pub use derive::RoundDigest;
pub use envelope::{EnvelopeError, SEALED_BYTES, Sealed, SharePair, open, seal};
pub use graph::{Graph, share_position};
pub use keys::{KeyError, PublicKeys, RoundKeys, secret_matches};
pub use keystream::Sign;
pub use mask::{
    MaskKey, MaskedUpdate, WrongLength, expand_add, expand_range, expand_sub, mask, masked_words,
};
pub use plan::{
    Assumptions, COMPLETE_BELOW, GraphPlan, MAXIMUM_CLIENTS, MAXIMUM_DEGREE, MINIMUM_CLIENTS,
    MINIMUM_SECRECY_BITS, PlanError, plan,
};
pub use shamir::{Share, ShareError, combine, split};

/// Number of words, all zero before masking, at the end of every masked vector.
///
/// Only when every mask cancels is their sum zero again, so [`Aggregate::finish`] can tell a sound sum from a
/// spoiled one (a client that saw another model, a wrong share, a forgotten mask) before any value is decoded.
/// Eight words of 32 bits let a spoiled sum pass with probability `2^-256`.
pub const CHECK_WORDS: usize = 8;
