use chorus_protocol::{Digest, TaskName};
use rusqlite::{OptionalExtension, Transaction};

use super::{Store, StoreError};

/// A model version that this client accepted.
pub(crate) struct StoredModel {
    /// Its version in the log.
    pub version: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Store {
    /// The newest accepted model of `task`.
    pub fn model(&self, task: &TaskName) -> Result<Option<StoredModel>, StoreError> {
        let row = self
            .connection
            .query_row(
                "SELECT version, digest, bytes FROM models WHERE task = ?",
                [task.as_str()],
                |row| {
                    Ok(StoredModel {
                        version: row.get::<_, i64>(0)?.cast_unsigned(),
                        digest: Digest(row.get(1)?),
                        bytes: row.get(2)?,
                    })
                },
            )
            .optional()
            .map_err(|error| self.fault(error))?;
        // The disk is not trusted with what everything is ranked by.
        match row {
            Some(model) if Digest::of(&model.bytes) != model.digest => {
                Err(self.damaged("a model's bytes changed"))
            }
            row => Ok(row),
        }
    }

    /// Version and digest of every model.
    pub fn model_versions(&self) -> Result<Vec<(TaskName, u64)>, StoreError> {
        let read = || {
            let mut select = self
                .connection
                .prepare("SELECT task, version FROM models ORDER BY task")?;
            let rows = select.query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?.cast_unsigned(),
                ))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|error| self.fault(error))?;
        let named = |(task, version)| {
            let task = TaskName::try_from(task).map_err(|reason| self.damaged(reason))?;
            Ok((task, version))
        };
        rows.into_iter().map(named).collect()
    }

    /// Keeps a model that is newer than what is there.
    pub fn put_model(&mut self, task: &TaskName, model: &StoredModel) -> Result<(), StoreError> {
        self.write(|transaction| put(transaction, task, model))
    }
}

/// Newer only: an older version never takes the place of a newer one.
pub(super) fn put(
    transaction: &Transaction<'_>,
    task: &TaskName,
    model: &StoredModel,
) -> rusqlite::Result<()> {
    transaction
        .execute(
            "INSERT INTO models (task, version, digest, bytes) VALUES (?, ?, ?, ?)
             ON CONFLICT (task) DO UPDATE
             SET version = excluded.version, digest = excluded.digest, bytes = excluded.bytes
             WHERE excluded.version > models.version",
            (
                task.as_str(),
                model.version.cast_signed(),
                &model.digest.0,
                &model.bytes,
            ),
        )
        .map(drop)
}
