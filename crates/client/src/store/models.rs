use chorus_protocol::TaskName;
use serde::{Deserialize, Serialize};

use super::{Batch, Kind, Record, Store, StoreError};

/// A model version that this client accepted.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredModel {
    /// Its task.
    pub task: TaskName,
    /// Its version in the log.
    pub version: u64,
    /// The file.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl Record for StoredModel {
    const KIND: Kind = Kind::Model;

    fn key(&self) -> String {
        self.task.as_str().to_owned()
    }

    fn tail(&self) -> &[u8] {
        &self.bytes
    }

    fn with_tail(self, tail: &[u8]) -> Self {
        let bytes = tail.to_vec();
        Self { bytes, ..self }
    }
}

impl Store {
    /// The newest accepted model of `task`.
    pub fn model(&self, task: &TaskName) -> Result<Option<StoredModel>, StoreError> {
        self.get(task.as_str())
    }

    /// The version of every model.
    pub fn model_versions(&self) -> Result<Vec<(TaskName, u64)>, StoreError> {
        let models = self.all::<StoredModel>()?.into_iter();
        Ok(models.map(|model| (model.task, model.version)).collect())
    }

    /// Keeps a model that is newer than what is there.
    pub fn put_model(&mut self, model: &StoredModel) -> Result<(), StoreError> {
        self.write(|batch| put(batch, model))
    }
}

/// Newer only: an older version never takes the place of a newer one.
pub(super) fn put(batch: &Batch<'_>, model: &StoredModel) -> Result<(), StoreError> {
    match batch.get::<StoredModel>(model.task.as_str())? {
        Some(known) if known.version >= model.version => Ok(()),
        _ => batch.put(model),
    }
}
