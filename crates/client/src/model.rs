//! The shared model on the client: only what the log names, and only forward.

use chorus_model::{Parameters, TrainError};
use chorus_protocol::{Digest, Request, Response, TaskName};
use serde::Serialize;

use crate::consent::Leave;
use crate::store::StoredModel;
use crate::{Client, Error, Transport};

/// How much of the model log a client has seen. Two clients with the same length must have the same digest;
/// where they differ, the coordinator showed them different models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LogHead {
    /// Entries seen.
    pub length: u64,
    /// Digest of the last one; zeros before the first.
    pub digest: Digest,
}

/// The newest model that a client accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Its version in the log.
    pub version: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// True when it came just now.
    pub is_new: bool,
}

impl Client {
    /// Follows the model log from where this client left it, and fetches the newest model of `task` if it is
    /// newer than the one that is here.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave to use a model; [`Error::Log`] when the log does not continue what this client has seen, [`Error::Model`] when the
    /// bytes are not those that the log names, [`Error::NoModel`] when the log has no model of the task.
    ///
    /// # Privacy
    /// Tells the coordinator how much of the log this client has seen, and which model it fetches.
    pub async fn refresh(
        &mut self,
        transport: &mut impl Transport,
        task: &TaskName,
    ) -> Result<Accepted, Error> {
        self.follow(transport).await?;
        let newest = self.store.log()?.newest(task).cloned();
        let newest = newest.ok_or_else(|| Error::NoModel { task: task.clone() })?;
        let (version, digest) = (newest.version, newest.model);
        let accepted = |is_new| Accepted {
            version,
            digest,
            is_new,
        };
        if let Some(model) = self.store.model(task)?
            && model.version >= version
        {
            return Ok(accepted(false));
        }
        let bytes = fetch(self, transport, task, digest).await?;
        self.store.put_model(&StoredModel {
            task: task.clone(),
            version,
            bytes,
        })?;
        Ok(accepted(true))
    }

    /// The model log as far as this client has seen it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head(&self) -> Result<LogHead, Error> {
        let log = self.store.log()?;
        Ok(LogHead {
            length: log.length,
            digest: log.head,
        })
    }

    /// Kept after every part, so that a fork is seen even if the way breaks in between.
    async fn follow(&mut self, transport: &mut impl Transport) -> Result<(), Error> {
        loop {
            let before = self.store.log()?;
            let request = Request::FetchLog {
                from: before.length,
            };
            let Response::Log(entries) = self.ask(transport, Leave::Model, &request).await? else {
                return Err(Error::answer());
            };
            let coordinator = self.store.coordinator()?.ok_or(Error::Stranger)?;
            if entries.is_empty() {
                return Ok(());
            }
            let mut after = before.clone();
            after.follow(&entries, &coordinator)?;
            self.store.put_log(&before, &after)?;
        }
    }
}

/// Collects a model file and checks it against its digest.
async fn fetch(
    client: &mut Client,
    transport: &mut impl Transport,
    task: &TaskName,
    digest: Digest,
) -> Result<Vec<u8>, Error> {
    let fault = |reason: &str| Error::Model {
        task: task.clone(),
        reason: reason.to_owned(),
    };
    let mut bytes = Vec::new();
    loop {
        let offset = bytes.len() as u64;
        match client
            .ask(
                transport,
                Leave::Model,
                &Request::FetchModel { digest, offset },
            )
            .await?
        {
            Response::Model {
                offset: from,
                total,
                bytes: more,
            } => {
                let found = offset + more.len() as u64;
                if from != offset || found > total || total > chorus_wire::limits::MAX_MODEL_BYTES {
                    return Err(fault("its parts do not fit together"));
                }
                if more.is_empty() && found < total {
                    return Err(fault("it ends before its end"));
                }
                bytes.extend_from_slice(&more);
                if found == total {
                    break;
                }
            }
            _ => return Err(Error::answer()),
        }
    }
    if Digest::of(&bytes) != digest {
        return Err(fault("its bytes are not those that the log names"));
    }
    Ok(bytes)
}

/// Items in the catalogue of a model.
pub(crate) fn catalogue(parameters: &Parameters) -> Result<usize, TrainError> {
    Ok(parameters.items()?)
}
