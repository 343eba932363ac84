//! The ways a store ends: erased, or set aside whole.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fault::unusable;
use super::open::{FILE, LOCK};
use super::{StoreError, file};
use crate::keys::KeyStore;

/// Says that everything in the folder is being erased; an opening that finds it goes on with that first.
const MARKER: &str = "client.erasing";

/// Everything that a client may have in its folder beside the marker and the lock.
const FILES: [&str; 8] = [
    FILE,
    "client.db-wal",
    "client.db-shm",
    "client.db-journal",
    "client.db.new",
    "client.key",
    "client.key.new",
    "lease",
];

/// What the folders of stores that were set aside begin with.
const ASIDE: &str = "set-aside-";

/// Erases everything that a client has in the folder `home`, the key first: from then on nothing of the rest can be read. Whatever
/// happens in between, the next opening finishes it. The store must be closed.
pub(crate) fn erase(home: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    let fault = |error| unusable(home, error);
    let lock = home.join(LOCK);
    let alone = file::lock(&lock).map_err(fault)?;
    file::replace(&home.join(MARKER), b"").map_err(fault)?;
    finish(home, keys)?;
    drop(alone);
    file::wipe(&lock).map_err(fault)
}

/// Goes on with an erasure that was broken off, if one was. The caller holds the lock.
pub(super) fn finish_erasure(home: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    match home.join(MARKER).exists() {
        true => finish(home, keys),
        false => Ok(()),
    }
}

fn finish(home: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    keys.destroy()?;
    let wipe_all = || {
        for entry in std::fs::read_dir(home)? {
            let entry = entry?;
            let is_aside = entry.file_name().to_string_lossy().starts_with(ASIDE);
            if is_aside && entry.file_type()?.is_dir() {
                for inside in std::fs::read_dir(entry.path())? {
                    file::wipe(&inside?.path())?;
                }
                std::fs::remove_dir(entry.path())?;
            }
        }
        for name in FILES {
            file::wipe(&home.join(name))?;
        }
        file::wipe(&home.join(MARKER))
    };
    wipe_all().map_err(|error| unusable(home, error))
}

/// Moves a store that cannot be used out of the way, whole, so that a new one can be made: into a folder inside `home`, which is
/// returned. `now`: seconds since 1970 UTC. The key stays where it is; with it, the files can be looked at elsewhere.
///
/// This gives up the history, what was granted and refused, and the record of what was contributed. Nothing does it on its own.
///
/// # Errors
/// When the folder cannot be written, or there is one of this moment already. What was moved then is found by the next call.
pub fn set_aside(home: &Path, now: i64) -> Result<PathBuf, StoreError> {
    let fault = |error| unusable(home, error);
    let _alone = file::lock(&home.join(LOCK)).map_err(fault)?;
    let folder = home.join(format!("{ASIDE}{now}"));
    std::fs::create_dir(&folder).map_err(fault)?;
    let moving = FILES.iter().filter(|name| name.starts_with(FILE));
    for name in moving {
        match std::fs::rename(home.join(name), folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    Ok(folder)
}
