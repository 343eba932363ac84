//! The one door to everything personal: one SQLite file per client.
//!
//! Every read and write of personal data goes through this module and nowhere else, so that encryption
//! at rest and consent have one place to stand.

mod enrolment;
mod events;
mod models;
mod rounds;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use enrolment::Enrolled;
pub(crate) use models::StoredModel;
pub(crate) use rounds::{Progress, Turn};

/// Name of the file in the client's folder.
const FILE: &str = "client.db";

/// What a write must survive before the client goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// A power failure: every write reaches the disk first. Costs some 20 ms a step on an ordinary disk.
    #[default]
    PowerLoss,
    /// The end of the process, however sudden; a power failure can lose or damage the file. For
    /// demonstrations and tests, where hundreds of clients share one disk and none outlives the day.
    ProcessEnd,
}

/// A store that cannot be used, and what to do about it. Nothing is ever emptied or repaired silently.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file's content is broken.
    #[error(
        "the client's store {} is damaged ({reason}) and was left as it is: put a backup of it in its place, \
         or move it away and enrol anew, which gives up its history and its record of what was contributed",
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
    /// Another process carried the same round on.
    #[error("the store {} was carried on elsewhere: run one process for each client folder", path.display())]
    Elsewhere {
        /// The file.
        path: PathBuf,
    },
}

/// An open store.
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the store in the folder `home`, making both when they are not there.
    pub fn open(home: &Path, durability: Durability) -> Result<Self, StoreError> {
        let path = home.join(FILE);
        if !path.exists() {
            make_folder(home).map_err(|error| unusable(&path, &error))?;
            create(home, &path)?;
        }
        let mut store = Self {
            connection: connect(&path, durability)?,
            path,
        };
        store.check()?;
        store.migrate()?;
        Ok(store)
    }

    /// Refuses files that are broken, foreign or from the future, before anything is written.
    fn check(&self) -> Result<(), StoreError> {
        // SQLite takes an empty file for a new database: what was once a store would come back empty.
        if self.length()? == 0 {
            return Err(self.damaged("it is empty"));
        }
        let pragma = |name: &str| {
            self.connection
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
                .map_err(|error| self.fault(error))
        };
        if pragma("application_id")? != schema::APPLICATION {
            return Err(StoreError::Foreign {
                path: self.path.clone(),
            });
        }
        let (found, known) = (pragma("user_version")?, schema::newest());
        if found > known {
            return Err(StoreError::Newer {
                path: self.path.clone(),
                found,
                known,
            });
        }
        // Whatever was missing at the end would be read as zeros.
        let page = pragma("page_size")?.unsigned_abs();
        if self.length()?.checked_rem(page) != Some(0) {
            return Err(self.damaged("it ends in the middle of a page"));
        }
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| self.fault(error))?;
        match verdict.as_str() {
            "ok" => Ok(()),
            problem => Err(self.damaged(problem)),
        }
    }

    /// Bytes in the file.
    fn length(&self) -> Result<u64, StoreError> {
        let metadata = std::fs::metadata(&self.path);
        metadata
            .map(|metadata| metadata.len())
            .map_err(|error| unusable(&self.path, &error))
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        schema::migrate(&mut self.connection).map_err(|error| fault(&self.path, error))
    }

    /// Runs `work` in one transaction that no other writer can slip into.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let run = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run(&mut self.connection).map_err(|error| fault(&self.path, error))
    }

    /// Sorts SQLite's errors by what can be done about them.
    fn fault(&self, error: rusqlite::Error) -> StoreError {
        fault(&self.path, error)
    }

    fn damaged(&self, reason: impl ToString) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }
}

fn fault(path: &Path, error: rusqlite::Error) -> StoreError {
    if matches!(error, rusqlite::Error::StatementChangedRows(_)) {
        return StoreError::Elsewhere {
            path: path.to_owned(),
        };
    }
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
    if broken {
        return StoreError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        };
    }
    unusable(path, &error)
}

/// Ends a transaction, undone, when a row that was there before is not as it was left.
fn unchanged_elsewhere(rows: usize) -> rusqlite::Result<()> {
    match rows {
        1 => Ok(()),
        rows => Err(rusqlite::Error::StatementChangedRows(rows)),
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn connect(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    let open = || {
        let flags =
            rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // A rollback journal is open during a write only: one file descriptor is enough for a client at rest.
        // Overwriting what was deleted matters more than speed: used-up secrets of rounds are among it.
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = TRUNCATE;
             PRAGMA synchronous = {};
             PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -256;
             PRAGMA trusted_schema = OFF;",
            match durability {
                Durability::PowerLoss => "FULL",
                Durability::ProcessEnd => "OFF",
            }
        ))?;
        Ok(connection)
    };
    open().map_err(|error| fault(path, error))
}

/// Makes a whole store beside its place and then puts it there, so that an empty file in that place
/// can only be a damaged one.
fn create(home: &Path, path: &Path) -> Result<(), StoreError> {
    let draft = home.join(format!("{FILE}.new"));
    let made = || {
        std::fs::File::create(&draft).and_then(|file| private(&file))?;
        Ok::<_, std::io::Error>(())
    };
    made().map_err(|error| unusable(path, &error))?;
    let mut connection = connect(&draft, Durability::PowerLoss)?;
    schema::migrate(&mut connection).map_err(|error| fault(path, error))?;
    connection
        .close()
        .map_err(|(_, error)| fault(path, error))?;
    std::fs::rename(&draft, path).map_err(|error| unusable(path, &error))
}

/// Readable by the owner alone; SQLite gives its journal the same mode.
#[cfg(unix)]
fn private(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn private(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn make_folder(home: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
}

#[cfg(not(unix))]
fn make_folder(home: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(home)
}

#[cfg(test)]
mod tests;
