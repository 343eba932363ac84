//! What a restart needs: one SQLite file in write-ahead mode.
//!
//! The service and the operator's commands open the same file from different processes; every change is one
//! immediate transaction, so neither can see or leave half of one.

pub(crate) mod clients;
pub(crate) mod log;
pub(crate) mod models;
pub(crate) mod rejects;
pub(crate) mod revocations;
pub(crate) mod rounds;
pub(crate) mod tasks;
pub(crate) mod turns;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) use rusqlite::Connection;
use rusqlite::{ErrorCode, Transaction, TransactionBehavior};
use thiserror::Error;

use crate::directory::private_folder;

pub(crate) use models::NewVersion;
pub use models::VersionRow;
pub(crate) use revocations::Stored as Revocations;
pub use rounds::RoundState;
pub(crate) use rounds::{Closing, Kept, NewRound, Unfinished};
pub(crate) use tasks::TaskRow;
pub use tasks::{TaskState, Wanted};

/// Layout that this build reads and writes.
const LAYOUT: i64 = 3;
/// How long a command waits for the other process to finish its transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error(
        "the store {path} is held by another process for more than 10 seconds; end that process and try again"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Not a database, or a damaged one.
    #[error(
        "the store {path} is damaged or no store of a coordinator: {reason}; put a backup of the directory in its place"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer build.
    #[error("the store {path} has layout {found}, this build reads up to {LAYOUT}: update chorus")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// A directory or file that cannot be made or read.
    #[error("cannot use {path}: {reason}; check that it exists and belongs to this user")]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The disk is full or read-only.
    #[error("cannot write to the store {path}: {reason}; free some space or make it writable")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Any other refusal of SQLite.
    #[error("the store {path}: {reason}")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What goes wrong inside a transaction: SQLite, or a row that does not say what it should.
#[derive(Debug, Error)]
pub(crate) enum RowError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{table}: {reason}")]
    Content { table: &'static str, reason: String },
}

/// A row that does not say what it should.
pub(crate) fn content(table: &'static str, reason: impl ToString) -> RowError {
    RowError::Content {
        table,
        reason: reason.to_string(),
    }
}

/// The coordinator's store.
///
/// # Privacy
/// Of clients it keeps pseudonyms with the days of their first and last check-in; of rounds counts and digests; never
/// an upload. Of a task without noise it also keeps who was heard in the pass over the clients that runs, though not in which
/// round. While a round is between the end of its uploads and its own end, and no longer, it also keeps what a
/// restart needs to finish it: who survived, the public keys, the sum with its masks on, the shares given back so far.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    /// Opens the store in `directory`, and makes it where there is none.
    ///
    /// # Errors
    /// When the directory cannot be used, or the file is locked, damaged or of a newer layout.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        private_folder(directory).map_err(|error| StoreError::File {
            path: directory.to_owned(),
            reason: error.to_string(),
        })?;
        let path = directory.join("coordinator.sqlite");
        // SQLite takes an empty file for a new database: round ids would begin anew, and the log and the budget.
        if std::fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
            let reason = "the file is empty".to_owned();
            return Err(StoreError::Damaged { path, reason });
        }
        let fault = |error: rusqlite::Error| explain(&path, RowError::Sqlite(error));
        let connection = Connection::open(&path).map_err(fault)?;
        connection.busy_timeout(PATIENCE).map_err(fault)?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .and_then(|()| connection.pragma_update(None, "foreign_keys", "ON"))
            // What is deleted is overwritten: shares that were given back are of no use to anyone any more.
            .and_then(|()| connection.pragma_update(None, "secure_delete", "ON"))
            .map_err(fault)?;
        let store = Self {
            connection: Mutex::new(connection),
            path,
        };
        store.migrate()?;
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let found = self.write(|tx| {
            let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found == 0 {
                let foreign = "SELECT EXISTS (SELECT 1 FROM sqlite_master)";
                if tx.query_row(foreign, [], |row| row.get(0))? {
                    return Err(content("sqlite_master", "tables of another program"));
                }
                tx.execute_batch(include_str!("schema.sql"))?;
            }
            if found < 2 {
                tx.execute_batch(include_str!("layout_2.sql"))?;
            }
            if found < 3 {
                tx.execute_batch(include_str!("layout_3.sql"))?;
            }
            if found < LAYOUT {
                tx.pragma_update(None, "user_version", LAYOUT)?;
            }
            Ok(found)
        })?;
        if found > LAYOUT {
            return Err(StoreError::Newer {
                path: self.path.clone(),
                found,
            });
        }
        Ok(())
    }

    /// Looks something up.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, RowError>,
    ) -> Result<T, StoreError> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        question(&connection).map_err(|error| explain(&self.path, error))
    }

    /// Empties the write-ahead log, which otherwise keeps what was deleted until it is overwritten some day.
    pub(crate) fn forget(&self) -> Result<(), StoreError> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Whoever reads at this moment keeps it from being emptied; the end of the next round will.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| explain(&self.path, RowError::Sqlite(error)))
    }

    /// Changes something: all of it, durably, or nothing.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, RowError>,
    ) -> Result<T, StoreError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all = || {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = change(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        all().map_err(|error| explain(&self.path, error))
    }
}

/// The sentence for what SQLite says.
fn explain(path: &Path, error: RowError) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    let RowError::Sqlite(error) = error else {
        return StoreError::Damaged { path, reason };
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { path, reason }
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::File { path, reason }
        }
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) => {
            StoreError::Disk { path, reason }
        }
        // A column of another type, a missing table: not what this build writes.
        None => StoreError::Damaged { path, reason },
        Some(_) => StoreError::Database { path, reason },
    }
}
