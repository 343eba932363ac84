//! The ways a store ends: erased, or set aside whole.

use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::fault::unusable;
use super::open::{FILE, LOCK};
use super::tally::TALLY;
use super::{StoreError, file};
use crate::keys::KeyStore;
use crate::rights::ErasureReceipt;

/// Says that everything in the folder is being erased, and holds the receipt for it; an opening that finds it goes on with that
/// first.
const MARKER: &str = "client.erasing";

/// What the marker is before it has its name.
const MARKER_DRAFT: &str = "client.erasing.new";

/// The receipt of an erasure that an opening had to finish: nobody was there to be given it.
const RECEIPT: &str = "client.erased";

/// Everything that a client may have in its folder beside the marker and the lock, drafts and what SQLite puts beside its files included.
const FILES: [&str; 14] = [
    FILE,
    "client.db-wal",
    "client.db-shm",
    "client.db-journal",
    "client.db.new",
    "client.db.new-wal",
    "client.db.new-shm",
    "client.db.new-journal",
    TALLY,
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
/// happens in between, the next opening finishes it, and keeps `receipt` for the person. Where the disk has no room to note that for
/// the next opening, the key goes all the same. The store must be closed.
pub(crate) fn erase(
    home: &Path,
    keys: &dyn KeyStore,
    receipt: &ErasureReceipt,
) -> Result<(), StoreError> {
    let fault = |error| unusable(home, error);
    let (lock, marker) = (home.join(LOCK), home.join(MARKER));
    // Who cannot have the lock because it cannot be made shares that with whoever opens the folder.
    let alone = file::lock(&lock);
    let note = serde_json::to_vec(receipt).unwrap_or_default();
    if file::replace(&marker, &note).is_err() {
        tracing::info!("an erasure could not be noted for the next opening");
    }
    finish(home, keys)?;
    wipe_marker(home).map_err(fault)?;
    drop(alone);
    file::wipe(&lock).map_err(fault)
}

/// Goes on with an erasure that was broken off, if one was. The caller holds the lock.
pub(super) fn finish_erasure(home: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    let marker = home.join(MARKER);
    let Some(note) = read(&marker)? else {
        // It never began, or all but its receipt is erased.
        let draft = home.join(MARKER_DRAFT);
        return file::wipe(&draft).map_err(|error| unusable(home, error));
    };
    if parse(&note).is_none() {
        return Err(StoreError::NotOurs {
            path: marker,
            reason: "it holds no receipt of an erasure, so nothing was erased".to_owned(),
        });
    }
    finish(home, keys)?;
    file::rename(&marker, &home.join(RECEIPT)).map_err(|error| unusable(home, error))
}

/// The receipt of an erasure that an opening of the folder finished, if one did.
pub(crate) fn receipt(home: &Path) -> Result<Option<ErasureReceipt>, StoreError> {
    Ok(read(&home.join(RECEIPT))?.and_then(|receipt| parse(&receipt)))
}

/// The receipt of an erasure that broke off, if one did.
pub(crate) fn unfinished(home: &Path) -> Result<Option<ErasureReceipt>, StoreError> {
    Ok(read(&home.join(MARKER))?.and_then(|receipt| parse(&receipt)))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    file::check_plain(path).map_err(|error| unusable(path, error))?;
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, error)),
    }
}

/// A receipt whose signature fits: nothing else that a program may write under its name begins an erasure.
fn parse(receipt: &[u8]) -> Option<ErasureReceipt> {
    let receipt: ErasureReceipt = serde_json::from_slice(receipt).ok()?;
    receipt.verify().ok().map(|_| receipt)
}

/// What is in the folder `home` and no client wrote: an erasure leaves it there.
pub(crate) fn strangers(home: &Path) -> Result<Vec<String>, StoreError> {
    let own = |entry: &DirEntry| -> io::Result<bool> {
        let name = entry.file_name();
        let is_folder = entry.file_type()?.is_dir();
        let is_named = FILES
            .iter()
            .chain(&[MARKER, MARKER_DRAFT, LOCK])
            .any(|own| name == **own);
        Ok((is_named && !is_folder) || (is_folder && is_aside(&name)))
    };
    let find = || -> io::Result<Vec<String>> {
        let mut strangers = Vec::new();
        for entry in std::fs::read_dir(home)? {
            let entry = entry?;
            if !own(&entry)? {
                strangers.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        strangers.sort();
        Ok(strangers)
    };
    find().map_err(|error| unusable(home, error))
}

/// Whether this is what a folder is called that a store was set aside in.
fn is_aside(name: &OsStr) -> bool {
    let moment = name.to_str().and_then(|name| name.strip_prefix(ASIDE));
    moment.is_some_and(|moment| moment.parse::<i64>().is_ok())
}

/// The key, and whatever comes of that, the rest. What failed first is the error.
fn finish(home: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    let destroyed = keys.destroy();
    let wiped = wipe_all(home, FILES);
    let sets = wipe_sets(home);
    destroyed?;
    wiped.and(sets).map_err(|error| unusable(home, error))
}

/// Under its name the marker has to be whole: it loses the name before its content.
fn wipe_marker(home: &Path) -> io::Result<()> {
    let (marker, draft) = (home.join(MARKER), home.join(MARKER_DRAFT));
    file::wipe(&draft)?;
    match file::rename(&marker, &draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => file::wipe(&draft),
    }
}

/// Wipes the files of these names, each whatever became of the others.
fn wipe_all(home: &Path, names: impl IntoIterator<Item = &'static str>) -> io::Result<()> {
    let wiped = names.into_iter().map(|name| file::wipe(&home.join(name)));
    wiped.fold(Ok(()), Result::and)
}

/// Wipes the folders that stores were set aside in, with whatever was put there since.
fn wipe_sets(home: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(home)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && is_aside(&entry.file_name()) {
            wipe_folder(&entry.path())?;
        }
    }
    Ok(())
}

fn wipe_folder(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => wipe_folder(&entry.path())?,
            false => file::wipe(&entry.path())?,
        }
    }
    std::fs::remove_dir(folder)
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
