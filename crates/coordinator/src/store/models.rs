use chorus_model::{Learning, Parameters};
use chorus_protocol::{Digest, Origin, TaskName};
use rusqlite::{Connection, OptionalExtension, Transaction};
use serde::{Deserialize, Serialize};

use super::{RowError, content};

/// A version that is about to be published.
pub(crate) struct NewVersion<'a> {
    pub task: &'a TaskName,
    pub version: u64,
    pub digest: Digest,
    pub parameters: &'a [u8],
    pub state: &'a [u8],
    pub next_sum: usize,
    pub origin: Origin,
    pub now: u64,
}

/// A published version with all it holds.
pub(crate) struct ModelRow {
    pub version: u64,
    pub digest: Digest,
    pub bytes: Vec<u8>,
    pub learning: Learning,
    pub next_sum: usize,
}

/// One published version, as an operator lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRow {
    /// From 1, growing by one.
    pub version: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Length of the file; nothing once an old version was dropped.
    pub bytes: Option<u64>,
    /// Why it came to be.
    pub origin: Origin,
    /// Sums of the task that are in it.
    pub sums: usize,
    /// When, in Unix seconds.
    pub published: u64,
}

pub(crate) fn insert(tx: &Transaction<'_>, new: &NewVersion<'_>) -> Result<(), RowError> {
    tx.execute(
        "INSERT INTO models (task, version, digest, parameters, state, next_sum, origin, published)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            new.task.as_str(),
            new.version as i64,
            &new.digest.0[..],
            new.parameters,
            new.state,
            new.next_sum as i64,
            name_of(new.origin),
            new.now as i64,
        ),
    )?;
    Ok(())
}

/// Drops the content of every version but the newest `keep`; what they were stays in the list and the log.
pub(crate) fn drop_old(tx: &Transaction<'_>, task: &TaskName, keep: u64) -> Result<(), RowError> {
    tx.execute(
        "UPDATE models SET parameters = NULL, state = NULL WHERE task = ?1 AND parameters IS NOT NULL
         AND version <= (SELECT max(version) FROM models WHERE task = ?1) - ?2",
        (task.as_str(), keep as i64),
    )?;
    Ok(())
}

/// The newest version of a task.
pub(crate) fn newest(connection: &Connection, task: &TaskName) -> Result<Option<u64>, RowError> {
    let mut query = connection.prepare_cached("SELECT max(version) FROM models WHERE task = ?1")?;
    let version: Option<i64> = query.query_row([task.as_str()], |row| row.get(0))?;
    Ok(version.map(|version| version as u64))
}

/// The newest version of a task and the sums that are in it.
pub(crate) fn progress(connection: &Connection, task: &TaskName) -> Result<(u64, usize), RowError> {
    let query =
        "SELECT version, next_sum FROM models WHERE task = ?1 ORDER BY version DESC LIMIT 1";
    let found = connection.query_row(query, [task.as_str()], |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as usize))
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// One version with all it holds; nothing when it never was or its content was dropped.
pub(crate) fn load(
    connection: &Connection,
    task: &TaskName,
    version: u64,
) -> Result<Option<ModelRow>, RowError> {
    let found = connection
        .query_row(
            "SELECT digest, parameters, state, next_sum FROM models
             WHERE task = ?1 AND version = ?2 AND parameters IS NOT NULL",
            (task.as_str(), version as i64),
            |row| {
                Ok((
                    row.get::<_, [u8; 32]>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                    row.get::<_, i64>(3)?,
                ))
            },
        )
        .optional()?;
    let Some((digest, bytes, state, next_sum)) = found else {
        return Ok(None);
    };
    let read =
        |bytes: &[u8]| Parameters::from_bytes(bytes).map_err(|error| content("models", error));
    if Digest::of(&bytes).0 != digest {
        return Err(content(
            "models",
            format!("version {version} is not what its digest says"),
        ));
    }
    let learning = Learning {
        parameters: read(&bytes)?,
        state: read(&state)?,
    };
    let next_sum = next_sum as usize;
    Ok(Some(ModelRow {
        version,
        digest: Digest(digest),
        bytes,
        learning,
        next_sum,
    }))
}

/// The file with this digest.
pub(crate) fn file(connection: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, RowError> {
    let mut query = connection.prepare_cached(
        "SELECT parameters FROM models WHERE digest = ?1 AND parameters IS NOT NULL LIMIT 1",
    )?;
    Ok(query
        .query_row([&digest.0[..]], |row| row.get(0))
        .optional()?)
}

/// Every version of a task, oldest first.
pub(crate) fn list(connection: &Connection, task: &TaskName) -> Result<Vec<VersionRow>, RowError> {
    let mut query = connection.prepare_cached(
        "SELECT version, digest, length(parameters), origin, next_sum, published
         FROM models WHERE task = ?1 ORDER BY version",
    )?;
    let rows = query.query_and_then([task.as_str()], |row| {
        let origin: String = row.get(3)?;
        Ok(VersionRow {
            version: row.get::<_, i64>(0)? as u64,
            digest: Digest(row.get(1)?),
            bytes: row.get::<_, Option<i64>>(2)?.map(|length| length as u64),
            origin: origin_of(&origin)?,
            sums: row.get::<_, i64>(4)? as usize,
            published: row.get::<_, i64>(5)? as u64,
        })
    })?;
    rows.collect()
}

fn name_of(origin: Origin) -> &'static str {
    match origin {
        Origin::Start => "start",
        Origin::Round => "round",
        Origin::Rollback => "rollback",
    }
}

fn origin_of(name: &str) -> Result<Origin, RowError> {
    [Origin::Start, Origin::Round, Origin::Rollback]
        .into_iter()
        .find(|origin| name_of(*origin) == name)
        .ok_or_else(|| content("models", format!("origin is `{name}`")))
}
