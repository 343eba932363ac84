#![doc = include_str!("../README.md")]

mod directory;
mod error;
mod serve;
mod status;
mod store;
mod witness;

pub use directory::{Directory, Lock};
pub use error::{Refusal, WitnessError};
pub use serve::serve;
pub use status::{CoordinatorStatus, Status, status};
pub use store::REMEMBERED;
pub use witness::Witness;
