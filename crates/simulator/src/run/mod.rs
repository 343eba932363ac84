//! A run folder: everything that is needed to read a run, to go on with it, and to prove it by running it again.

mod checkpoint;
mod folder;
mod found;
mod record;
mod rows;
mod tensorboard;
mod together;

pub(crate) use checkpoint::Standing;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use folder::{Folder, FolderError};
pub(crate) use found::differing;
pub use record::{Data, Record, differences};
pub use rows::{Column, columns};
pub use together::Together;
