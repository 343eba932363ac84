use std::fmt::Display;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::keys::KeyError;

/// A store that cannot be used, and what to do about it. Nothing is ever emptied or repaired silently.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file's content is broken.
    #[error(
        "the client's store {} is damaged ({reason}) and was left as it is: put a backup of its folder in its place, \
         or set it aside and enrol anew, which gives up its history and its record of what was contributed",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite or the content says.
        reason: String,
    },
    /// A file of another program.
    #[error("{} is a database, but not a client's store: choose another folder", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file by the name of one of the client's own, which the client did not write.
    #[error("{} is not the client's own ({reason}): move it elsewhere, and open the client again", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What says so.
        reason: String,
    },
    /// A newer version of this library wrote the file.
    #[error("the client's store {} has layout {found}, this version knows {known}: update the app", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Layout found.
        found: i64,
        /// Newest layout known here.
        known: i64,
    },
    /// The folder of a client, without its store.
    #[error(
        "the client's store {} is missing, and the rest of the client is still there: put the file back from a backup, or \
         erase what is left, or set it aside and begin anew, which gives up its history and its record of what was contributed",
        path.display()
    )]
    Missing {
        /// Where it was.
        path: PathBuf,
    },
    /// An older copy of the file took its place.
    #[error(
        "the client's store {} is older than the rest of its folder ({reason}), so what was withdrawn or contributed since is not in \
         it: put the newest file back, or a backup of the whole folder, or set it aside and begin anew",
        path.display()
    )]
    Behind {
        /// The file.
        path: PathBuf,
        /// What says so.
        reason: String,
    },
    /// The folder was erased, or its store moved away, while it was open.
    #[error(
        "the client's store {} was erased or moved away, and this client is closed: opening the folder again begins anew",
        path.display()
    )]
    Closed {
        /// Where it was.
        path: PathBuf,
    },
    /// The key store has no key, and the file needs one.
    #[error(
        "the client's store {} is sealed and its key is not in the key store: put the key back, or open it with the \
         key store that it was made with",
        path.display()
    )]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// The key store has a key of another store, or a damaged one.
    #[error(
        "the client's store {} does not open with this key: open it with the key store that it was made with, or put a backup of \
         the key back where it was damaged",
        path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// The key store itself.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder, the disk or its permissions.
    #[error(
        "the client's store {} cannot be used ({reason}): check that the folder can be written, that the disk \
         has room, and that no other program keeps the file locked",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the operating system or SQLite says.
        reason: String,
    },
    /// Another process carried the same round on, or took a new key.
    #[error(
        "the store {} was carried on elsewhere: run one process for each client folder, and open it again",
        path.display()
    )]
    Elsewhere {
        /// The file.
        path: PathBuf,
    },
}

/// Sorts SQLite's errors by what can be done about them.
pub(super) fn fault(path: &Path, error: rusqlite::Error) -> StoreError {
    let broken = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ) || matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::QueryReturnedNoRows
    );
    match broken {
        true => damaged(path, error),
        false => unusable(path, error),
    }
}

pub(super) fn damaged(path: &Path, reason: impl Display) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

pub(super) fn unusable(path: &Path, reason: impl Display) -> StoreError {
    StoreError::Unusable {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

pub(super) fn elsewhere(path: &Path) -> StoreError {
    StoreError::Elsewhere {
        path: path.to_owned(),
    }
}
