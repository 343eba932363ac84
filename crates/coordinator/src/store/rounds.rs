use chorus_privacy::Release;
use chorus_protocol::{ClientId, Record, RoundId, RoundPlan, RoundReport, TaskName};
use rusqlite::{Connection, OptionalExtension, Transaction};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{RowError, content};

/// How a round stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RoundState {
    /// It runs.
    Running,
    /// Its sum led to this version.
    Completed {
        /// The version.
        version: u64,
    },
    /// It ended without a sum.
    Aborted {
        /// Why, in a sentence.
        reason: String,
    },
}

/// A round that is about to be opened.
pub(crate) struct NewRound<'a> {
    pub plan: &'a RoundPlan,
    pub now: u64,
}

/// How a round ended.
pub(crate) struct Closing<'a> {
    pub report: &'a RoundReport,
    /// The version that its sum led to.
    pub published: Option<u64>,
    pub now: u64,
}

/// A round that was running when the coordinator ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub round: RoundId,
    pub release: String,
    pub trained: u64,
    pub invited: usize,
    /// Its clients were told to mask.
    pub masked: bool,
}

/// Takes the next round id. It is given out once, even when the round is never opened.
pub(crate) fn next_id(tx: &Transaction<'_>) -> Result<RoundId, RowError> {
    let id: i64 = tx.query_row(
        "UPDATE counters SET value = value + 1 WHERE name = 'round' RETURNING value",
        [],
        |row| row.get(0),
    )?;
    Ok(RoundId(id as u64))
}

pub(crate) fn open(tx: &Transaction<'_>, new: &NewRound<'_>) -> Result<(), RowError> {
    let plan = new.plan;
    tx.execute(
        "INSERT INTO rounds (id, task, release, trained, invited, state, began)
         VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6)",
        (
            plan.round.0 as i64,
            plan.task.as_str(),
            &plan.release,
            plan.version as i64,
            plan.invited as i64,
            new.now as i64,
        ),
    )?;
    Ok(())
}

/// Notes that clients are about to be told with whom to mask: from here they count the release as contributed.
pub(crate) fn mark_masked(tx: &Transaction<'_>, round: RoundId) -> Result<(), RowError> {
    tx.execute(
        "UPDATE rounds SET masked = 1 WHERE id = ?1",
        [round.0 as i64],
    )?;
    Ok(())
}

/// Charges a release to the task's budget.
pub(crate) fn charge(
    tx: &Transaction<'_>,
    plan: &RoundPlan,
    cost: Option<&Release>,
) -> Result<(), RowError> {
    let cost = cost
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| content("budget", error))?;
    tx.execute(
        "INSERT INTO budget (task, release, round, cost) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
        (plan.task.as_str(), &plan.release, plan.round.0 as i64, cost),
    )?;
    Ok(())
}

/// Everything that was charged with noise so far.
pub(crate) fn charges(connection: &Connection, task: &TaskName) -> Result<Vec<Release>, RowError> {
    let mut query = connection.prepare_cached(
        "SELECT cost FROM budget WHERE task = ?1 AND cost IS NOT NULL ORDER BY round, release",
    )?;
    let costs = query.query_map([task.as_str()], |row| row.get::<_, String>(0))?;
    costs
        .map(|cost| serde_json::from_str(&cost?).map_err(|error| content("budget", error)))
        .collect()
}

/// The round in which clients of the task already masked, and so count, this release.
pub(crate) fn spent_in(
    connection: &Connection,
    task: &TaskName,
    release: &str,
) -> Result<Option<RoundId>, RowError> {
    let query = "SELECT max(id) FROM rounds WHERE task = ?1 AND release = ?2 AND masked = 1";
    let id: Option<i64> =
        connection.query_row(query, (task.as_str(), release), |row| row.get(0))?;
    Ok(id.map(|id| RoundId(id as u64)))
}

/// What the next start needs to take up a round.
pub(crate) struct Kept {
    pub checkpoint: Vec<u8>,
    /// In the order in which they were accepted.
    pub records: Vec<(ClientId, Zeroizing<Vec<u8>>)>,
}

/// Keeps a round whose survivors are settled. Written once: no other list of survivors ever takes its place.
pub(crate) fn keep(
    tx: &Transaction<'_>,
    round: RoundId,
    checkpoint: &[u8],
) -> Result<(), RowError> {
    tx.execute(
        "INSERT INTO checkpoints (round, content) VALUES (?1, ?2)",
        (round.0 as i64, checkpoint),
    )?;
    Ok(())
}

/// Keeps what clients said since the checkpoint.
pub(crate) fn record(
    tx: &Transaction<'_>,
    round: RoundId,
    records: &[(ClientId, Record)],
) -> Result<(), RowError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO records (round, client, kind, content) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    for (client, record) in records {
        insert.execute((
            round.0 as i64,
            client.0.as_slice(),
            record.kind(),
            record.bytes(),
        ))?;
    }
    Ok(())
}

/// The checkpoint of a round and what came after it; nothing for a round whose survivors were never settled.
pub(crate) fn kept(connection: &Connection, round: RoundId) -> Result<Option<Kept>, RowError> {
    let id = round.0 as i64;
    let query = "SELECT content FROM checkpoints WHERE round = ?1";
    let checkpoint: Option<Vec<u8>> = connection
        .query_row(query, [id], |row| row.get(0))
        .optional()?;
    let Some(checkpoint) = checkpoint else {
        return Ok(None);
    };
    let mut query = connection
        .prepare_cached("SELECT client, content FROM records WHERE round = ?1 ORDER BY place")?;
    let rows = query.query_map([id], |row| {
        let client: [u8; 16] = row.get(0)?;
        Ok((ClientId(client), Zeroizing::new(row.get::<_, Vec<u8>>(1)?)))
    })?;
    Ok(Some(Kept {
        checkpoint,
        records: rows.collect::<Result<_, _>>()?,
    }))
}

pub(crate) fn close(
    tx: &Transaction<'_>,
    round: RoundId,
    closing: &Closing<'_>,
) -> Result<(), RowError> {
    let state = if closing.published.is_some() {
        "completed"
    } else {
        "aborted"
    };
    tx.execute(
        "UPDATE rounds SET state = ?2, published = ?3, report = ?4, ended = ?5 WHERE id = ?1",
        (
            round.0 as i64,
            state,
            closing.published.map(|version| version as i64),
            report_bytes(closing.report)?,
            closing.now as i64,
        ),
    )?;
    let id = [round.0 as i64];
    tx.execute("DELETE FROM records WHERE round = ?1", id)?;
    tx.execute("DELETE FROM checkpoints WHERE round = ?1", id)?;
    Ok(())
}

/// A report as it is stored; the model log holds the digest of these bytes.
pub(crate) fn report_bytes(report: &RoundReport) -> Result<String, RowError> {
    serde_json::to_string(report).map_err(|error| content("rounds", error))
}

/// The task's round that has no end yet.
pub(crate) fn unfinished(
    connection: &Connection,
    task: &TaskName,
) -> Result<Vec<Unfinished>, RowError> {
    let mut query = connection.prepare_cached(
        "SELECT id, release, trained, invited, masked FROM rounds WHERE state = 'running' AND task = ?1 ORDER BY id",
    )?;
    let rows = query.query_map([task.as_str()], |row| {
        Ok(Unfinished {
            round: RoundId(row.get::<_, i64>(0)? as u64),
            release: row.get(1)?,
            trained: row.get::<_, i64>(2)? as u64,
            invited: row.get::<_, i64>(3)? as usize,
            masked: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How a round stands; nothing when there never was such a round.
pub(crate) fn state(
    connection: &Connection,
    round: RoundId,
) -> Result<Option<RoundState>, RowError> {
    let Ok(id) = i64::try_from(round.0) else {
        return Ok(None);
    };
    let found: Option<(Option<i64>, Option<String>)> = connection
        .query_row(
            "SELECT published, report FROM rounds WHERE id = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(match found {
        None => None,
        Some((Some(version), _)) => Some(RoundState::Completed {
            version: version as u64,
        }),
        Some((None, None)) => Some(RoundState::Running),
        Some((None, Some(report))) => {
            let report = parse(&report)?;
            Some(RoundState::Aborted {
                reason: report.aborted.unwrap_or_default(),
            })
        }
    })
}

/// The newest reports of a task, newest first.
pub(crate) fn reports(
    connection: &Connection,
    task: &TaskName,
    most: usize,
) -> Result<Vec<RoundReport>, RowError> {
    let mut query = connection.prepare_cached(
        "SELECT report FROM rounds WHERE task = ?1 AND report IS NOT NULL ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = query.query_map((task.as_str(), most as i64), |row| row.get::<_, String>(0))?;
    rows.map(|report| parse(&report?)).collect()
}

/// How many rounds of a task completed, and how many were aborted.
pub(crate) fn counts(connection: &Connection, task: &TaskName) -> Result<(u64, u64), RowError> {
    let query = "SELECT count(*) FILTER (WHERE state = 'completed'), count(*) FILTER (WHERE state = 'aborted')
                 FROM rounds WHERE task = ?1";
    Ok(connection.query_row(query, [task.as_str()], |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
    })?)
}

fn parse(report: &str) -> Result<RoundReport, RowError> {
    serde_json::from_str(report).map_err(|error| content("rounds", error))
}
