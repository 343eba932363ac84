#![doc = include_str!("../README.md")]

mod client;
mod consent;
mod enrolment;
mod error;
#[cfg(feature = "fake")]
mod fake;
mod import;
mod keys;
mod model;
mod recommend;
mod run;
mod settings;
mod status;
mod step;
mod store;
mod transport;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use consent::{Category, Change, Level, Notice, Purpose, PurposeError, Section};
pub use error::Error;
#[cfg(feature = "fake")]
pub use fake::{FakeCoordinator, FakeError, FakeTransport, Trouble, Upload};
pub use import::Imported;
#[cfg(feature = "platform-keys")]
pub use keys::PlatformKey;
pub use keys::{FileKey, Key, KeyError, KeyStore, PassphraseKey, Protection};
pub use model::{Accepted, LogHead};
pub use recommend::Explanation;
pub use run::{End, Loop, News};
pub use settings::{Pace, Settings};
pub use status::{EnrolmentStatus, Status, TaskStatus};
pub use step::{CheckIn, Ending, Step};
pub use store::{Durability, StoreError};
pub use transport::Transport;
