//! What the person said yes and no to, what their devices and browsers say for them, and what follows.

mod leave;
mod ledger;
mod level;
mod notice;
mod purpose;
mod receipt;
mod signal;
mod state;
mod strings;
mod switch;

pub(crate) use leave::Leave;
pub(crate) use ledger::LedgerError;
pub use ledger::{Answer, Decision, DecisionError};
#[cfg(test)]
pub(crate) use ledger::{Entry, Ledger};
pub use level::Level;
pub use notice::{Change, Notice, Section};
pub use purpose::{Category, Purpose, PurposeError};
pub use receipt::{Controller, Receipt};
pub use signal::Signal;
#[cfg(test)]
pub(crate) use state::{Asked, Heard};
pub use state::{COOL_DOWN, Consent, Honoured, State};
pub use switch::Switch;
