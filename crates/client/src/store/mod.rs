//! Everything personal that is on the disk: one SQLite file per client, every value in it sealed.
//!
//! Every read and write of personal data goes through this module and nowhere else.

mod enrolment;
mod fault;
pub(crate) mod file;
mod kind;
mod models;
mod open;
mod plain;
mod record;
mod rotate;
mod rounds;
mod schema;
mod tally;
mod vault;
mod wipe;

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use fault::{damaged, elsewhere, fault};
use vault::{Name, Plain, Vault};

#[cfg(test)]
pub(crate) use enrolment::Enrolment;
pub(crate) use enrolment::{Enrolled, put_enrolled, put_identity};
pub use fault::StoreError;
pub(crate) use kind::Kind;
pub(crate) use models::StoredModel;
pub(crate) use record::Record;
#[cfg(test)]
pub(crate) use rounds::Standing;
pub(crate) use rounds::{LocalReport, Progress, Turn, forget_round};
#[cfg(test)]
pub(crate) use tally::Tally;
pub use wipe::set_aside;
pub(crate) use wipe::{LEASE, erase, receipt, strangers, unfinished};

/// What a write must survive before the client goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// A power failure: every write reaches the disk first, which costs one `fsync`.
    #[default]
    PowerLoss,
    /// The end of the process, however sudden; a power failure can lose or damage the file. For
    /// demonstrations and tests, where hundreds of clients share one disk and none outlives the day.
    ProcessEnd,
}

/// An open store.
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
    /// Which file it was when it was opened.
    id: (u64, u64),
    durability: Durability,
    /// Shared with every [`second`](Self::second) one, so that a new key reaches them.
    vault: Arc<RwLock<Vault>>,
}

impl Store {
    /// The record of a kind under `key`.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        self.read(|view| view.get(key))
    }

    /// All records of a kind, by key.
    pub fn all<R: Record>(&self) -> Result<Vec<R>, StoreError> {
        self.read(|view| view.all())
    }

    /// Runs `work` in one transaction that no other writer can slip into: all of it is kept, or nothing. It is on the
    /// disk, as far as [`Durability`] says, when this returns.
    pub fn write<T>(
        &mut self,
        work: impl FnOnce(&Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.here()?;
        let vault = self.vault.read().unwrap_or_else(PoisonError::into_inner);
        let (is_spent, has_grown) = (Cell::new(false), Cell::new(false));
        let done = transact(&mut self.connection, &vault, &self.path, |view| {
            let value = work(&Batch {
                view,
                is_spent: &is_spent,
                has_grown: &has_grown,
            })?;
            let grown = has_grown.get().then(|| view.grown()).transpose()?;
            Ok((value, grown))
        });
        drop(vault);
        let (value, grown) = done.map_err(|error| closed(&self.path, self.id).unwrap_or(error))?;
        if let Some((grown, _)) = grown {
            self.note_growth(grown);
        }
        if is_spent.get() {
            open::sweep(&self.connection);
        }
        Ok(value)
    }

    /// A number that changes when anybody else writes to the store: another process, or a [`second`](Self::second) one.
    pub fn version(&self) -> Result<i64, StoreError> {
        self.here()?;
        version(&self.connection).map_err(|error| self.fault(fault(&self.path, error)))
    }

    /// Says so where the file is not in its place any more: SQLite goes on with what was erased or moved away, and finds it
    /// damaged at best.
    pub fn here(&self) -> Result<(), StoreError> {
        closed(&self.path, self.id).map_or(Ok(()), Err)
    }

    /// What an error comes from.
    fn fault(&self, error: StoreError) -> StoreError {
        closed(&self.path, self.id).unwrap_or(error)
    }

    /// Every record, by kind and key: its kind, its key, its value, and how many bytes are behind it.
    pub fn everything(&self) -> Result<Vec<(Kind, String, Value, usize)>, StoreError> {
        self.read(|view| {
            view.check_tallies()?;
            let mut found = Vec::new();
            for (kind, name) in view.names()? {
                let sealed = view.sealed(kind, &name)?.unwrap_or_default();
                let plain = view.open(kind, &name, &sealed)?;
                let parts = record::parts(&plain);
                let (key, json, tail) =
                    parts.ok_or_else(|| damaged(view.path, "a record is cut short"))?;
                let value =
                    serde_json::from_slice(json).map_err(|error| damaged(view.path, error))?;
                found.push((kind, key.to_owned(), value, tail.len()));
            }
            found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
            Ok(found)
        })
    }

    /// The folder that it is in.
    pub fn home(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Another connection to the same store, for another thread.
    pub fn second(&self) -> Result<Store, StoreError> {
        self.here()?;
        let connection = open::connect(&self.path, self.durability);
        Ok(Store {
            connection: connection.map_err(|error| self.fault(error))?,
            id: self.id,
            path: self.path.clone(),
            durability: self.durability,
            vault: Arc::clone(&self.vault),
        })
    }

    /// Runs `work` on one unchanging state of the file.
    fn read<T>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.here()?;
        self.read_here(work).map_err(|error| self.fault(error))
    }

    fn read_here<T>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let vault: RwLockReadGuard<'_, Vault> =
            self.vault.read().unwrap_or_else(PoisonError::into_inner);
        // Undone when it is dropped, which for a reader is the end of it.
        let begun = self.connection.unchecked_transaction();
        let transaction = begun.map_err(|error| fault(&self.path, error))?;
        let view = View {
            connection: &transaction,
            vault: &vault,
            path: &self.path,
        };
        view.check()?;
        work(&view)
    }
}

/// What is wrong where the file in this place is not this one.
fn closed(path: &Path, id: (u64, u64)) -> Option<StoreError> {
    let is_gone = match file::id(path) {
        Ok(found) => found != id,
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    is_gone.then(|| StoreError::Closed {
        path: path.to_owned(),
    })
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached("PRAGMA data_version")?;
    select.query_row([], |row| row.get(0))
}

/// Runs `work` in one transaction that no other writer can slip into.
fn transact<T>(
    connection: &mut Connection,
    vault: &Vault,
    path: &Path,
    work: impl FnOnce(&View<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let begun = Transaction::new(connection, TransactionBehavior::Immediate);
    let transaction = begun.map_err(|error| fault(path, error))?;
    let view = View {
        connection: &transaction,
        vault,
        path,
    };
    view.check()?;
    let value = work(&view)?;
    transaction.commit().map_err(|error| fault(path, error))?;
    Ok(value)
}

/// One state of the file.
struct View<'a> {
    connection: &'a Connection,
    vault: &'a Vault,
    path: &'a Path,
}

impl View<'_> {
    /// Another process may have taken a new key: with the old one, everything would seem to be gone.
    fn check(&self) -> Result<(), StoreError> {
        let find = || {
            let mut select = self
                .connection
                .prepare_cached("SELECT 1 FROM keys WHERE data = ?")?;
            select.exists([self.vault.id()])
        };
        match find().map_err(|error| fault(self.path, error))? {
            true => Ok(()),
            false => Err(elsewhere(self.path)),
        }
    }

    fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        let name = self.vault.name(R::KIND, key);
        let Some(sealed) = self.sealed(R::KIND, &name)? else {
            return Ok(None);
        };
        let plain = self.open(R::KIND, &name, &sealed)?;
        record::decode(&plain, self.path).map(|(_, record)| Some(record))
    }

    fn sealed(&self, kind: Kind, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        let find = || {
            let mut select = self
                .connection
                .prepare_cached("SELECT sealed FROM records WHERE kind = ? AND name = ?")?;
            let row = select.query_row((kind.number(), name), |row| row.get(0));
            row.optional()
        };
        find().map_err(|error| fault(self.path, error))
    }

    fn all<R: Record>(&self) -> Result<Vec<R>, StoreError> {
        if Kind::GROWING.contains(&R::KIND) {
            self.check_tally(R::KIND)?;
        }
        let mut found: Vec<(String, R)> = Vec::new();
        let mut fill = || {
            let mut select = self
                .connection
                .prepare_cached("SELECT name, sealed FROM records WHERE kind = ?")?;
            let mut rows = select.query([R::KIND.number()])?;
            while let Some(row) = rows.next()? {
                let name: Name = row.get(0)?;
                let sealed = row.get_ref(1)?.as_blob()?;
                let plain = self.open(R::KIND, &name, sealed);
                match plain.and_then(|plain| record::decode(&plain, self.path)) {
                    Ok(record) => found.push(record),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        };
        fill().map_err(|error| fault(self.path, error))??;
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    /// Where every record is.
    fn names(&self) -> Result<Vec<(Kind, Name)>, StoreError> {
        let names = || {
            let mut select = self.connection.prepare("SELECT kind, name FROM records")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(u8, Name)>>>()
        };
        let names = names().map_err(|error| fault(self.path, error))?;
        let known = |(kind, name)| match Kind::of(kind) {
            Some(kind) => Ok((kind, name)),
            None => Err(damaged(self.path, "a record is of no kind")),
        };
        names.into_iter().map(known).collect()
    }

    fn open(&self, kind: Kind, name: &Name, sealed: &[u8]) -> Result<Plain, StoreError> {
        let plain = self.vault.open(kind, name, sealed);
        plain.ok_or_else(|| damaged(self.path, "a record does not open"))
    }

    /// Puts a record in the place of the one with its key. What is missing of a kind that only grows is not covered up by its next one.
    fn put<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        if !Kind::GROWING.contains(&R::KIND) {
            return self.put_alone(record);
        }
        self.check_tally(R::KIND)?;
        self.put_alone(record)?;
        self.put_alone(&self.tally(R::KIND)?)
    }

    fn put_alone<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        let name = self.vault.name(R::KIND, &record.key());
        let plain = record::encode(record, self.path)?;
        let sealed = self.vault.seal(R::KIND, &name, &plain)?;
        let put = || {
            let replace = "INSERT OR REPLACE INTO records (kind, name, sealed) VALUES (?, ?, ?)";
            let mut replace = self.connection.prepare_cached(replace)?;
            replace.execute((R::KIND.number(), name, sealed))
        };
        put().map_err(|error| fault(self.path, error)).map(drop)
    }
}

/// What is written together.
pub(crate) struct Batch<'a> {
    view: &'a View<'a>,
    is_spent: &'a Cell<bool>,
    /// Something came to what only grows.
    has_grown: &'a Cell<bool>,
}

impl Batch<'_> {
    /// The record of a kind under `key`, as this batch left it.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        self.view.get(key)
    }

    /// All records of a kind, by key.
    pub fn all<R: Record>(&self) -> Result<Vec<R>, StoreError> {
        self.view.all()
    }

    /// Puts a record in the place of the one with its key.
    pub fn put<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        if R::KIND.is_spent_by_change() {
            self.is_spent.set(true);
        }
        if Kind::GROWING.contains(&R::KIND) {
            self.has_grown.set(true);
        }
        self.view.put(record)
    }

    /// Removes the record under `key`; false when there is none. Afterwards it is in no file of the store, not even
    /// sealed.
    pub fn remove<R: Record>(&self, key: &str) -> Result<bool, StoreError> {
        let name = self.view.vault.name(R::KIND, key);
        let remove = || {
            let mut delete = self
                .view
                .connection
                .prepare_cached("DELETE FROM records WHERE kind = ? AND name = ?")?;
            delete.execute((R::KIND.number(), name))
        };
        let removed = remove().map_err(|error| fault(self.view.path, error))?;
        if removed > 0 {
            self.is_spent.set(true);
        }
        Ok(removed > 0)
    }

    /// Removes every record of a kind, as [`remove`](Self::remove) does; returns how many there were.
    pub fn clear(&self, kind: Kind) -> Result<usize, StoreError> {
        let delete = "DELETE FROM records WHERE kind = ?";
        let removed = self.view.connection.execute(delete, [kind.number()]);
        let removed = removed.map_err(|error| fault(self.view.path, error))?;
        if removed > 0 {
            self.is_spent.set(true);
        }
        Ok(removed)
    }

    /// As [`Store::version`], of the state that this batch works on.
    pub fn version(&self) -> Result<i64, StoreError> {
        version(self.view.connection).map_err(|error| fault(self.view.path, error))
    }

    /// The file, for errors.
    pub fn path(&self) -> &Path {
        self.view.path
    }
}

#[cfg(test)]
mod tests;
