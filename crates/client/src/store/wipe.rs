//! The ways a store ends: erased, or set aside whole.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fault::unusable;
use super::open::{FILE, LOCK};
use super::{StoreError, file};
use crate::keys::KeyStore;

/// Says that everything in the folder is being erased, and holds the receipt for it; an opening that finds it goes on with that
/// first.
const MARKER: &str = "client.erasing";

/// What the marker is before it has its name.
const MARKER_DRAFT: &str = "client.erasing.new";

/// The receipt of an erasure that an opening had to finish: nobody was there to be given it.
const RECEIPT: &str = "client.erased";

/// Everything that a client may have in its folder beside the marker and the lock.
const FILES: [&str; 10] = [
    FILE,
    "client.db-wal",
    "client.db-shm",
    "client.db-journal",
    "client.db.new",
    "client.key",
    "client.key.new",
    LEASE,
    ASIDE_MARKER,
    RECEIPT,
];

/// The file of the door, which there is from the first opening on.
pub(crate) const LEASE: &str = "lease";

/// Says that the store is not in its place because it was set aside.
const ASIDE_MARKER: &str = "client.aside";

/// What the folders of stores that were set aside begin with.
const ASIDE: &str = "set-aside-";

/// Erases everything that a client has in the folder `home`, the key first: from then on nothing of the rest can be read. Whatever
/// happens in between, the next opening finishes it, and keeps `receipt` for the person. The store must be closed.
pub(crate) fn erase(home: &Path, keys: &dyn KeyStore, receipt: &[u8]) -> Result<(), StoreError> {
    let fault = |error| unusable(home, error);
    let lock = home.join(LOCK);
    let alone = file::lock(&lock).map_err(fault)?;
    let marker = home.join(MARKER);
    file::replace(&marker, receipt).map_err(fault)?;
    finish(home, keys)?;
    file::wipe(&marker).map_err(fault)?;
    drop(alone);
    file::wipe(&lock).map_err(fault)
}

/// Goes on with an erasure that was broken off, if one was. The caller holds the lock.
pub(super) fn finish_erasure(home: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    let marker = home.join(MARKER);
    if !marker.exists() {
        // It never began, and the draft of its receipt is all there is of it.
        let draft = home.join(MARKER_DRAFT);
        return file::wipe(&draft).map_err(|error| unusable(home, error));
    }
    finish(home, keys)?;
    file::rename(&marker, &home.join(RECEIPT)).map_err(|error| unusable(home, error))
}

/// The receipt of an erasure that an opening of the folder finished, if one did.
pub(crate) fn receipt(home: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match std::fs::read(home.join(RECEIPT)) {
        Ok(receipt) => Ok(Some(receipt)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(home, error)),
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
        let mut files = FILES.iter();
        files.try_for_each(|name| file::wipe(&home.join(name)))
    };
    wipe_all().map_err(|error| unusable(home, error))
}

/// Whether there was a store in the folder `home`, and nobody set it aside.
pub(super) fn is_missing(home: &Path) -> bool {
    home.join(LEASE).exists() && !home.join(ASIDE_MARKER).exists()
}

/// There is a new store: when it is gone one day, it is missing.
pub(super) fn forget_aside(home: &Path) -> Result<(), StoreError> {
    file::wipe(&home.join(ASIDE_MARKER)).map_err(|error| unusable(home, error))
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
    file::make_private(&home.join(ASIDE_MARKER)).map_err(fault)?;
    Ok(folder)
}
