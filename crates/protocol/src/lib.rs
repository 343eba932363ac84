#![doc = include_str!("../README.md")]

mod ids;
mod message;
mod plan;
mod registry;
mod signing;

pub use ids::{ClientId, Digest, PROTOCOL_VERSION, RoundId, TaskName};
pub use message::{
    Addressed, Awaited, Neighbour, Neighbourhood, Request, Response, Revealed, Roster, Secret,
};
pub use plan::{Invitation, RoundPlan};
pub use registry::{LogEntry, LogError, LogView, Origin, SignedEntry};
pub use signing::{BadSignature, Identity, Purpose, verify, verify_advertisement};
