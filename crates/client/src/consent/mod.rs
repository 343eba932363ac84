//! What the person said yes and no to, what their devices and browsers say for them, and what follows.

mod level;
mod purpose;

pub use level::Level;
pub use purpose::{Category, Purpose, PurposeError};
