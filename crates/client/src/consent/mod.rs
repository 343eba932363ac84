//! What the person said yes and no to, what their devices and browsers say for them, and what follows.

mod level;
mod notice;
mod purpose;
mod signal;
mod strings;

pub use level::Level;
pub use notice::{Change, Notice, Section};
pub use purpose::{Category, Purpose, PurposeError};
pub use signal::Signal;
