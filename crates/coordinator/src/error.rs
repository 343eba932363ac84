use chorus_protocol::TaskName;
use thiserror::Error;

use crate::directory::DirectoryError;
use crate::store::StoreError;

/// Why the service ended on its own.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The key, a certificate or the lock of the directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TLS or the listener.
    #[error("the service cannot listen: {0}")]
    Transport(String),
}

/// Why a task cannot go on for now.
#[derive(Debug, Error)]
pub(crate) enum DeskError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no task `{0}` in the store")]
    NoTask(TaskName),
    #[error("the store holds no model of task `{0}`")]
    NoModel(TaskName),
    #[error("{0}")]
    Task(String),
}
