#![doc = include_str!("../README.md")]

pub mod certificate;
pub mod client;
mod clock;
mod error;
mod invitation;
pub mod limits;
mod rejection;
mod reply;
mod request;
pub mod revocation;
pub mod server;
pub mod tls;

/// The messages of `proto/chorus/v1`, generated: see `proto/README.md`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
pub mod proto {
    include!("generated/chorus.v1.rs");
}

pub use clock::Clock;
pub use error::WireError;
pub use invitation::{InvitationCode, InvitationError};
pub use rejection::{Kind, Rejection};
pub use request::{Call, Shape};
