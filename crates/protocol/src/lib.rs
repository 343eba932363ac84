#![doc = include_str!("../README.md")]

mod at_rest;
mod consistency;
mod floor;
mod ids;
mod merkle;
mod message;
mod participation;
mod plan;
mod registry;
mod reject;
mod report;
mod road;
mod round;
mod signing;
mod task;
mod turns;

pub use chorus_secagg::{Generator, PublicKeys};
pub use consistency::{
    Beacon, COHORT_MOST, Consistency, Endorsement, MaskedWith, Proof, Question, Seal, Statement,
    Testimony, Unproven, WITNESS_MOST, commitment, quorum,
};
pub use floor::{Charge, Floor, Refusal, cost};
pub use ids::{ClientId, Digest, PROTOCOL_VERSION, RoundId, TaskName};
pub use message::{
    Addressed, Awaited, Neighbour, Neighbourhood, Request, Response, Revealed, Roster, Secret,
    SignedUpdate,
};
pub use participation::{
    Certificates, MODEL_BYTES, Next, Outcome, Participation, SaveError, Standing,
};
pub use plan::{Invitation, RoundPlan};
pub use registry::{LogEntry, LogError, LogView, Origin, SignedEntry};
pub use reject::Reject;
pub use report::{RoundReport, sum_digest};
pub use road::{Encoded, contribute, decode, encode, noise_share};
pub use round::{
    Event, Funnel, Input, Message, Millis, Phase, Record, Recovered, Round, Timing, Unreadable,
};
pub use signing::{BadSignature, Identity, Purpose, verify, verify_advertisement};
pub use task::{NoiseMaking, Privacy, Surplus, Task, TaskError};
pub use turns::{Draw, Turns};
