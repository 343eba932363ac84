use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::fault;
use super::rotate::{put_wrapping, rewrap};
use super::vault::Vault;
use super::{StoreError, View, plain};
use crate::keys::Key;

/// "Chor", so that a client's store can be told from any other database.
pub(super) const APPLICATION: i64 = 0x4368_6f72;

/// Layouts 1 and 2, which were not sealed: each brings a store from its place in the list to the next number.
pub(super) const PLAIN: [&str; 2] = [
    "
CREATE TABLE events (
    item INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (item, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolment (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32),
    certificate BLOB,
    authority BLOB
) STRICT;
CREATE TABLE charges (
    task TEXT NOT NULL,
    round INTEGER NOT NULL,
    charge TEXT NOT NULL,
    PRIMARY KEY (task, round)
) STRICT, WITHOUT ROWID;
CREATE TABLE standing (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    coordinator BLOB CHECK (length(coordinator) = 32),
    log TEXT,
    last_round TEXT,
    turn INTEGER NOT NULL,
    saved BLOB
) STRICT;
INSERT INTO standing (only, turn) VALUES (1, 0);
CREATE TABLE models (
    task TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    bytes BLOB NOT NULL
) STRICT;
",
    "
CREATE TABLE local_reports (
    round INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX local_reports_by_time ON local_reports (at);
",
];

/// Layouts 3 and 4: sealed records, and the key that seals them, wrapped. Layout 4 keeps tallies among the records.
pub(super) const SEALED: &str = "
CREATE TABLE keys (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    data BLOB NOT NULL CHECK (length(data) = 16),
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    kind INTEGER NOT NULL,
    name BLOB NOT NULL CHECK (length(name) = 16),
    sealed BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
";

/// The first layout that is sealed.
pub(super) const FIRST_SEALED: i64 = 3;

/// The layout that this version writes. Layouts that were released are never changed; a change is a new one.
pub(super) const NEWEST: i64 = 4;

/// Makes an empty store of an empty file.
pub(super) fn create(
    connection: &mut Connection,
    path: &Path,
    vault: &Vault,
    key: &Key,
) -> Result<(), StoreError> {
    let transaction = begin(connection, path)?;
    seal(&transaction, path, vault, key)?;
    commit(transaction, path)
}

/// Brings a store of an earlier layout to the newest, whole or not at all: seals everything that was plain, and overwrites it.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    from: i64,
    vault: &Vault,
    key: &Key,
) -> Result<(), StoreError> {
    let transaction = begin(connection, path)?;
    let view = View {
        connection: &transaction,
        vault,
        path,
    };
    if from < FIRST_SEALED {
        for step in PLAIN.iter().skip(usize::try_from(from).unwrap_or(0)) {
            let stepped = transaction.execute_batch(step);
            stepped.map_err(|error| fault(path, error))?;
        }
        seal(&transaction, path, vault, key)?;
        plain::carry_over(&view)?;
    } else {
        rewrap(&transaction, path, vault, key)?;
        view.put_tallies()?;
    }
    commit(transaction, path)
}

fn begin<'a>(connection: &'a mut Connection, path: &Path) -> Result<Transaction<'a>, StoreError> {
    Transaction::new(connection, TransactionBehavior::Immediate).map_err(|error| fault(path, error))
}

fn seal(connection: &Connection, path: &Path, vault: &Vault, key: &Key) -> Result<(), StoreError> {
    let sealed = connection.execute_batch(SEALED);
    sealed.map_err(|error| fault(path, error))?;
    put_wrapping(connection, path, vault, key)
}

fn commit(transaction: Transaction<'_>, path: &Path) -> Result<(), StoreError> {
    let finish = || {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", NEWEST)?;
        transaction.commit()
    };
    finish().map_err(|error| fault(path, error))
}
