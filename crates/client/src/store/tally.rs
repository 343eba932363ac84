//! How far the store has grown: what lost its newest decisions or charges is found.
//!
//! Decisions and charges are only ever added. With each of them, in the same transaction, the store keeps a [`Tally`] of its kind: how
//! many there are, and their digest. Rows that were taken out of the file, or put back from an older one, do not fit it. A whole file
//! that was put back from an older copy fits itself; so there is a file beside it, as many bytes long as the store ever had of
//! them. Several processes can make that one longer at once, and none shorter; once it is longer, the tallies say so, and one that was
//! cut or emptied is found.

use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use chorus_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::fault::{damaged, fault, unusable};
use super::open::FILE;
use super::vault::{Name, Plain};
use super::{Kind, Record, Store, StoreError, View, file, transact};

/// The file beside the store.
pub(super) const TALLY: &str = "client.db-tally";

/// All that there is of a kind that only grows.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The name of the kind.
    pub of: String,
    /// How many records.
    pub count: u64,
    /// Over all of them.
    pub digest: Digest,
    /// How long the file beside the store is known to have been: it was never shorter since.
    #[serde(default)]
    pub beside: u64,
}

impl Record for Tally {
    const KIND: Kind = Kind::Tally;

    fn key(&self) -> String {
        self.of.clone()
    }
}

impl View<'_> {
    /// The tally of the records of a kind, as they are now.
    pub(super) fn tally(&self, kind: Kind) -> Result<Tally, StoreError> {
        let rows = || {
            let select = "SELECT name, sealed FROM records WHERE kind = ?";
            let mut select = self.connection.prepare_cached(select)?;
            let rows = select.query_map([kind.number()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(Name, Vec<u8>)>>>()
        };
        let rows = rows().map_err(|error| fault(self.path, error))?;
        let opened = rows
            .iter()
            .map(|(name, sealed)| self.open(kind, name, sealed));
        let mut records: Vec<Plain> = opened.collect::<Result<_, _>>()?;
        // Their names, and so their order in the file, change with the data key.
        records.sort_by(|one, other| one.as_slice().cmp(other.as_slice()));
        let parts: Vec<&[u8]> = records.iter().map(|record| record.as_slice()).collect();
        let kept = self.get::<Tally>(kind.name())?;
        Ok(Tally {
            of: kind.name().to_owned(),
            beside: kept.map_or(0, |kept| kept.beside),
            count: parts.len() as u64,
            digest: Digest::of_parts("chorus/store/tally", &parts),
        })
    }

    /// Refuses a kind whose records are not those that its tally was made of. None of it has no tally.
    pub(super) fn check_tally(&self, kind: Kind) -> Result<(), StoreError> {
        let (found, kept) = (self.tally(kind)?, self.get::<Tally>(kind.name())?);
        let fits = match kept {
            Some(kept) => kept == found,
            None => found.count == 0,
        };
        match fits {
            true => Ok(()),
            false => Err(damaged(
                self.path,
                format!(
                    "records of the kind {} were taken out or put back",
                    kind.name()
                ),
            )),
        }
    }

    pub(super) fn check_tallies(&self) -> Result<(), StoreError> {
        let mut kinds = Kind::GROWING.into_iter();
        kinds.try_for_each(|kind| self.check_tally(kind))
    }

    /// Makes the tallies of a store that had none.
    pub(super) fn put_tallies(&self) -> Result<(), StoreError> {
        for kind in Kind::GROWING {
            let tally = self.tally(kind)?;
            if tally.count > 0 {
                self.put(&tally)?;
            }
        }
        Ok(())
    }

    /// How many records there are that are only ever added, and how long the file beside the store is at least.
    pub(super) fn grown(&self) -> Result<(u64, u64), StoreError> {
        let kept = Kind::GROWING.map(|kind| self.get::<Tally>(kind.name()));
        kept.into_iter()
            .try_fold((0, 0), |(sum, beside): (u64, u64), kept| {
                let Some(kept) = kept? else {
                    return Ok((sum, beside));
                };
                Ok((sum.saturating_add(kept.count), beside.max(kept.beside)))
            })
    }

    /// Notes that the file beside the store is so long.
    fn put_length(&self, length: u64) -> Result<(), StoreError> {
        for kind in Kind::GROWING {
            match self.get::<Tally>(kind.name())? {
                Some(mut kept) if kept.beside < length => {
                    kept.beside = length;
                    self.put_alone(&kept)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The file beside the store, made if it is not there.
pub(super) fn make(home: &Path) -> Result<(), StoreError> {
    let path = home.join(TALLY);
    file::make(&path).map_err(|error| unusable(&path, error))
}

/// How far the store in the folder `home` ever came; nothing where the file that says so is gone.
pub(super) fn length(home: &Path) -> Result<Option<u64>, StoreError> {
    let path = home.join(TALLY);
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Err(StoreError::NotOurs {
            path,
            reason: "it is no plain file; put the client's own back in its place, from a backup of the folder".to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(&path, error)),
    }
}

/// Says beside the store how far it has come.
fn raise(path: &Path, grown: u64) -> std::io::Result<()> {
    let beside = beside(path);
    file::check_plain(&beside)?;
    let mut file = std::fs::OpenOptions::new().write(true).open(beside)?;
    let Some(last) = grown.checked_sub(1) else {
        return Ok(());
    };
    // Never shorter, whoever else does the same.
    file.seek(SeekFrom::Start(last))?;
    file.write_all(&[0])?;
    file.sync_data()
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name(TALLY)
}

impl Store {
    /// Says beside the store how far it has come, and in the store that it was said. What is in the store is acknowledged already: where
    /// this fails, the next write or opening does it.
    pub(super) fn note_growth(&mut self, grown: u64) {
        let vault = self.vault.read().unwrap_or_else(PoisonError::into_inner);
        let (connection, path) = (&mut self.connection, self.path.as_path());
        let noted = raise(path, grown)
            .map_err(|error| unusable(path, error))
            .and_then(|()| transact(connection, &vault, path, |view| view.put_length(grown)));
        if noted.is_err() {
            tracing::info!(
                "the tally beside the store could not be written; the next opening will"
            );
        }
    }

    /// Refuses a store whose newest records were taken out, or that an older copy took the place of.
    pub(super) fn check_growth(&mut self) -> Result<(), StoreError> {
        // Before the records: they grow first. And after them: they say last how long it is.
        let before = length(self.home())?;
        let (grown, beside) = self.read(|view| {
            view.check_tallies()?;
            view.grown()
        })?;
        let after = length(self.home())?;
        match before {
            Some(_) if after.is_some_and(|after| after < beside) => Err(damaged(
                &self.path,
                format!(
                    "the file {TALLY} beside it, which says how far it ever came, was cut or emptied"
                ),
            )),
            Some(length) if length <= grown => {
                if beside < grown {
                    self.note_growth(grown);
                }
                Ok(())
            }
            Some(length) => Err(behind(
                &self.path,
                format!(
                    "{FILE} holds {grown} decisions and contributions, and there were {length}"
                ),
            )),
            None => Err(behind(
                &self.path,
                format!("the file {TALLY}, which says how far it ever came, is gone"),
            )),
        }
    }
}

fn behind(path: &Path, reason: String) -> StoreError {
    StoreError::Behind {
        path: path.to_owned(),
        reason,
    }
}
