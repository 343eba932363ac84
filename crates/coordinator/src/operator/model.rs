use chorus_protocol::{Digest, Identity, Origin, TaskName};
use serde::Serialize;

use super::{OperatorError, no_task};
use crate::left::Left;
use crate::registry::{self, Prepared};
use crate::store::{self, Store, TaskState, VersionRow, Wanted};

/// Every version of a task's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelList {
    /// The task.
    pub task: TaskName,
    /// Sums that the whole task takes.
    pub sums: usize,
    /// What protects the people whose contributions are in it, in words.
    pub guarantee: String,
    /// Oldest first.
    pub versions: Vec<VersionRow>,
}

/// A version's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The task.
    pub task: TaskName,
    /// The version.
    pub version: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What protects the people whose contributions are in it, in words.
    pub guarantee: String,
    /// The file, safetensors.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// An earlier version was brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The task.
    pub task: TaskName,
    /// The version that was brought back.
    pub restored: u64,
    /// The new version that holds its content.
    pub version: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What the operator should know.
    pub note: Option<String>,
}

/// Lists the versions of a task's model.
///
/// # Errors
/// When there is no such task.
pub fn list_models(store: &Store, task: &TaskName) -> Result<ModelList, OperatorError> {
    let (spec, versions) = store.read(|connection| {
        let spec = store::tasks::spec(connection, task)?;
        Ok((spec, store::models::list(connection, task)?))
    })?;
    let Some((task_spec, guarantee)) = spec else {
        return Err(missing(store, task)?);
    };
    Ok(ModelList {
        task: task.clone(),
        sums: task_spec.sums().len(),
        guarantee,
        versions,
    })
}

/// The file of a version; of the newest when none is named.
///
/// # Errors
/// When there is no such task or version, or the version's content was dropped.
pub fn export_model(
    store: &Store,
    task: &TaskName,
    version: Option<u64>,
) -> Result<Exported, OperatorError> {
    let (spec, wanted, model) = store.read(|connection| {
        let spec = store::tasks::spec(connection, task)?;
        let newest = store::models::newest(connection, task)?;
        let Some(wanted) = version.or(newest) else {
            return Ok((spec, None, None));
        };
        let model = store::models::load(connection, task, wanted)?;
        Ok((spec, Some(wanted), model))
    })?;
    match (spec, wanted, model) {
        (Some((_, guarantee)), Some(version), Some(model)) => Ok(Exported {
            task: task.clone(),
            version,
            digest: model.digest,
            guarantee,
            bytes: model.bytes,
        }),
        (Some(_), Some(version), None) => Err(OperatorError::NoVersion {
            task: task.clone(),
            version,
        }),
        _ => Err(missing(store, task)?),
    }
}

/// Publishes the content of an earlier version as a new one, signed with `identity` and logged as a rollback.
/// Learning goes on from it: without noise the sums after it are taken anew. With noise they were spent, so that nothing can be
/// learned from there; the version is served, and the task says why it has ended. `now`: Unix seconds.
///
/// # Errors
/// When there is no such task or version, its content was dropped, or it is the newest.
pub fn rollback_model(
    store: &Store,
    identity: &Identity,
    task: &TaskName,
    version: u64,
    now: u64,
) -> Result<RolledBack, OperatorError> {
    let no_version = || OperatorError::NoVersion {
        task: task.clone(),
        version,
    };
    let model = match store.read(|connection| store::models::load(connection, task, version))? {
        Some(model) => model,
        None if store.read(|c| store::tasks::one(c, task))?.is_some() => return Err(no_version()),
        None => return Err(missing(store, task)?),
    };
    let prepared = Prepared::new(&model.learning, model.next_sum)?;
    let spec = store.read(|connection| store::tasks::spec(connection, task))?;
    let (spec, _) = spec.ok_or_else(no_version)?;
    let published = store.write(|tx| {
        let newest = store::models::newest(tx, task)?.unwrap_or(0);
        if newest == version {
            return Ok(None);
        }
        let why = (Origin::Rollback, Digest::of(&[]));
        let new = registry::publish(tx, identity, task, &prepared, newest, why, now)?;
        let row = store::tasks::one(tx, task)?;
        let note = match row.map(|row| row.state).filter(|state| state.is_final()) {
            None => None,
            Some(state) => {
                let (state, words) = match Left::of(tx, &spec, model.next_sum)? {
                    Left::Sum(_) => {
                        store::tasks::want(tx, task, Wanted::Stopped)?;
                        let words = "the task had ended; start it to train on from here".to_owned();
                        (TaskState::Stopped, words)
                    }
                    Left::End(_, why) => (state, format!("the task has ended: {why}")),
                };
                let reason = format!("version {version} was brought back; {words}");
                store::tasks::set(tx, task, state, Some(&reason))?;
                Some(words)
            }
        };
        Ok(new.map(|new| (new, note)))
    })?;
    let Some((new, note)) = published else {
        return Err(OperatorError::Newest {
            task: task.clone(),
            version,
        });
    };
    let task = task.clone();
    Ok(RolledBack {
        task,
        restored: version,
        version: new,
        digest: prepared.digest,
        note,
    })
}

fn missing(store: &Store, task: &TaskName) -> Result<OperatorError, OperatorError> {
    let rows = store.read(store::tasks::all)?;
    let known: Vec<TaskName> = rows.into_iter().map(|row| row.name).collect();
    Ok(no_task(task, &known))
}
