//! From a folder to an open store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault::{damaged, fault, unusable};
use super::vault::{Name, Vault, key_id};
use super::{Durability, Store, StoreError, file, plain, schema, tally, wipe};
use crate::keys::{Key, KeyStore, random};

/// Name of the file in the client's folder.
pub(super) const FILE: &str = "client.db";

/// Held while a store is opened: of two processes that come first, one makes it and the other finds it.
pub(super) const LOCK: &str = "client.lock";

impl Store {
    /// Opens the store in the folder `home`, making both when they are not there.
    pub fn open(
        home: &Path,
        keys: &dyn KeyStore,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        let path = home.join(FILE);
        file::make_folder(home).map_err(|error| unusable(&path, error))?;
        let _alone = file::lock(&home.join(LOCK)).map_err(|error| unusable(&path, error))?;
        wipe::finish_erasure(home, keys)?;
        if !path.exists() {
            create(home, &path, keys, durability)?;
        }
        wipe::forget_aside(home)?;
        let id = file::id(&path).map_err(|error| unusable(&path, error))?;
        let mut connection = connect(&path, durability)?;
        let layout = check(&connection, &path)?;
        let (key, vault) = match layout < schema::FIRST_SEALED {
            true => (key_for_plain(&connection, &path, keys)?, Vault::generate()?),
            false => find_vault(&connection, &path, layout, keys)?,
        };
        if layout < schema::NEWEST {
            tally::make(home)?;
            schema::migrate(&mut connection, &path, layout, &vault, &key)?;
        }
        keep_a_log(&connection).map_err(|error| fault(&path, error))?;
        sweep(&connection);
        let mut store = Self {
            connection,
            path,
            id,
            durability,
            vault: Arc::new(RwLock::new(vault)),
        };
        store.check_growth()?;
        Ok(store)
    }
}

/// The key of the key store, made now if there is none.
fn make_key(keys: &dyn KeyStore) -> Result<Key, StoreError> {
    if let Some(key) = keys.load()? {
        return Ok(key);
    }
    let key = Key::new(random()?);
    keys.replace(&key)?;
    Ok(key)
}

/// A new key for a store that is not sealed yet. Where there is a key already, a store was sealed before: what is plain is then not
/// the client's own, unless it says that it was about to be sealed under just this key.
fn key_for_plain(
    connection: &Connection,
    path: &Path,
    keys: &dyn KeyStore,
) -> Result<Key, StoreError> {
    if let Some(key) = keys.load()? {
        return match plain::awaits(connection, path, &key)? {
            true => Ok(key),
            false => Err(StoreError::NotOurs {
                path: path.to_owned(),
                reason: "it is not sealed, and the client's own has been since it has a key"
                    .to_owned(),
            }),
        };
    }
    let key = Key::new(random()?);
    plain::await_key(connection, path, &key)?;
    keys.replace(&key)?;
    Ok(key)
}

/// The vault that the key of the key store opens. A key that is missing or of another store is never replaced: what is
/// in the file would be lost with it.
fn find_vault(
    connection: &Connection,
    path: &Path,
    layout: i64,
    keys: &dyn KeyStore,
) -> Result<(Key, Vault), StoreError> {
    let key = keys.load()?.ok_or_else(|| StoreError::KeyMissing {
        path: path.to_owned(),
    })?;
    let wrappings = wrappings(connection).map_err(|error| fault(path, error))?;
    let unwrap = |wrapping: &Wrapping| match layout < schema::NEWEST {
        true => Vault::unwrap_without_tallies(&key, &wrapping.sealed),
        false => Vault::unwrap(&key, &wrapping.sealed),
    };
    let id = key_id(&key);
    let Some(own) = wrappings.iter().find(|wrapping| wrapping.id == id) else {
        // What this key opens is its own, whatever name it has by now.
        return Err(
            match wrappings.is_empty() || wrappings.iter().any(|other| unwrap(other).is_some()) {
                true => damaged(path, "the record of its key does not fit"),
                false => StoreError::WrongKey {
                    path: path.to_owned(),
                },
            },
        );
    };
    let vault = unwrap(own).filter(|vault| vault.id() == own.data);
    let vault = vault.ok_or_else(|| damaged(path, "the record of its key does not fit"))?;
    Ok((key, vault))
}

/// The data key of a store as a key of a key store wrapped it.
struct Wrapping {
    /// Of the key that wrapped it.
    id: Name,
    /// Of the data key.
    data: Name,
    sealed: Vec<u8>,
}

fn wrappings(connection: &Connection) -> rusqlite::Result<Vec<Wrapping>> {
    let mut select = connection.prepare("SELECT id, data, sealed FROM keys")?;
    let wrapping = |row: &rusqlite::Row<'_>| {
        Ok(Wrapping {
            id: row.get(0)?,
            data: row.get(1)?,
            sealed: row.get(2)?,
        })
    };
    select.query_map([], wrapping)?.collect()
}

/// Refuses files that are broken, foreign or from the future, before anything is written. Returns the layout.
fn check(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    // SQLite takes an empty file for a new database: what was once a store would come back empty.
    if length(path)? == 0 {
        return Err(damaged(path, "it is empty"));
    }
    let pragma = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
            .map_err(|error| fault(path, error))
    };
    if pragma("application_id")? != schema::APPLICATION {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    let (found, known) = (pragma("user_version")?, schema::NEWEST);
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    // Whatever was missing at the end would be read as zeros. While there is a log, its pages come from there: a process that ended while
    // it brought them into the file leaves the last of them cut.
    let page = pragma("page_size")?.unsigned_abs();
    let [log, _] = beside(path);
    let has_log = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    if !has_log && length(path)?.checked_rem(page) != Some(0) {
        return Err(damaged(path, "it ends in the middle of a page"));
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| fault(path, error))?;
    match verdict.as_str() {
        "ok" => Ok(found),
        problem => Err(damaged(path, problem)),
    }
}

/// Bytes in the file.
fn length(path: &Path) -> Result<u64, StoreError> {
    let metadata = std::fs::metadata(path).map_err(|error| unusable(path, error))?;
    Ok(metadata.len())
}

pub(super) fn connect(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // Overwriting what was deleted matters more than speed: used-up secrets of rounds are among it.
        connection.execute_batch(&format!(
            "PRAGMA synchronous = {};
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

/// Writes go to a log beside the file first, which takes one `fsync` where a rollback journal takes six.
fn keep_a_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA journal_mode = WAL;")
}

/// Brings everything from the log into the file and empties the log: what was overwritten is then in neither. Where
/// that does not work, the next opening does it.
pub(super) fn sweep(connection: &Connection) {
    let sweep = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy = connection.query_row(sweep, [], |row| row.get::<_, bool>(0));
    if is_busy.unwrap_or(true) {
        tracing::info!("the log of the store could not be emptied; the next opening will");
    }
}

/// Makes a whole store beside its place and then puts it there, so that an empty file in that place
/// can only be a damaged one.
fn create(
    home: &Path,
    path: &Path,
    keys: &dyn KeyStore,
    durability: Durability,
) -> Result<(), StoreError> {
    if let Some(left) = beside(path).into_iter().find(|left| left.exists()) {
        let reason = format!("it is gone, and {} is still there", left.display());
        return Err(damaged(path, reason));
    }
    if wipe::is_missing(home) {
        return Err(StoreError::Missing {
            path: path.to_owned(),
        });
    }
    if tally::length(home)?.is_some_and(|length| length > 0) {
        let reason = format!("it is gone, and {} is still there", tally::TALLY);
        return Err(damaged(path, reason));
    }
    tally::make(home)?;
    let (key, vault) = (make_key(keys)?, Vault::generate()?);
    let draft = home.join(format!("{FILE}.new"));
    file::make_private(&draft).map_err(|error| unusable(path, error))?;
    let mut connection = connect(&draft, durability)?;
    schema::create(&mut connection, path, &vault, &key)?;
    connection
        .close()
        .map_err(|(_, error)| fault(path, error))?;
    let placed = match durability {
        Durability::PowerLoss => file::rename(&draft, path),
        Durability::ProcessEnd => std::fs::rename(&draft, path),
    };
    placed.map_err(|error| unusable(path, error))
}

/// What SQLite may leave beside its file when a process ends suddenly; without the file it is of no use, and with a new one it
/// would do harm.
fn beside(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-journal"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}
