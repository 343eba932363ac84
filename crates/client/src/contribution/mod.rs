//! When a client works for the shared model, how much, and the log of all that left.

mod activity;
mod budget;
mod conditions;

pub(crate) use activity::Unwritten;
pub use activity::{Message, Sent};
pub use budget::Budget;
pub(crate) use budget::Session;
pub use conditions::{Conditions, Hold, Requirements};
