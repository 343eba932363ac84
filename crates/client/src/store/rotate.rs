use std::path::Path;
use std::sync::PoisonError;

use rusqlite::Connection;

use super::fault::{damaged, fault};
use super::vault::{Vault, key_id};
use super::{Store, StoreError, View, open, record, transact};
use crate::keys::{Key, KeyStore, random};

impl Store {
    /// Gives the key store a new key and seals everything anew under a new data key. Whenever it breaks off, the key
    /// that the key store has then opens the store: both wrappings are in the file while the key changes.
    pub fn rotate(&mut self, keys: &dyn KeyStore) -> Result<(), StoreError> {
        self.here()?;
        // Nobody of this process reads with the old key meanwhile.
        let mut vault = self.vault.write().unwrap_or_else(PoisonError::into_inner);
        let key = Key::new(random()?);
        let (connection, path) = (&mut self.connection, self.path.as_path());
        transact(connection, &vault, path, |old| {
            put_wrapping(old.connection, path, &vault, &key)
        })?;
        let new = Vault::generate()?;
        transact(connection, &vault, path, |old| {
            keys.replace(&key)?;
            old.seal_anew(&new)?;
            rewrap(old.connection, path, &new, &key)
        })?;
        *vault = new;
        open::sweep(&self.connection);
        Ok(())
    }
}

/// Writes the data key of `vault`, wrapped under `key`, in the place of every other wrapping.
pub(super) fn rewrap(
    connection: &Connection,
    path: &Path,
    vault: &Vault,
    key: &Key,
) -> Result<(), StoreError> {
    let forgotten = connection.execute("DELETE FROM keys", []);
    forgotten.map_err(|error| fault(path, error))?;
    put_wrapping(connection, path, vault, key)
}

/// Writes the data key of `vault`, wrapped under `key`.
pub(super) fn put_wrapping(
    connection: &Connection,
    path: &Path,
    vault: &Vault,
    key: &Key,
) -> Result<(), StoreError> {
    let row = (key_id(key), vault.id(), vault.wrap(key)?);
    let insert = "INSERT INTO keys (id, data, sealed) VALUES (?, ?, ?)";
    let put = connection.execute(insert, row);
    put.map_err(|error| fault(path, error)).map(drop)
}

impl View<'_> {
    /// Opens every record and puts it back as `new` seals it.
    fn seal_anew(&self, new: &Vault) -> Result<(), StoreError> {
        for (kind, name) in self.names()? {
            let sealed = self.sealed(kind, &name)?.unwrap_or_default();
            let plain = self.open(kind, &name, &sealed)?;
            let parts = record::parts(&plain);
            let (key, ..) = parts.ok_or_else(|| damaged(self.path, "a record is cut short"))?;
            let new_name = new.name(kind, key);
            let row = (
                new_name,
                new.seal(kind, &new_name, &plain)?,
                kind.number(),
                name,
            );
            let put = || {
                let update = "UPDATE records SET name = ?, sealed = ? WHERE kind = ? AND name = ?";
                self.connection.prepare_cached(update)?.execute(row)
            };
            put().map_err(|error| fault(self.path, error))?;
        }
        Ok(())
    }
}
