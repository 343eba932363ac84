use std::collections::BTreeMap;

use chorus_privacy::{Spent, spent};
use chorus_protocol::{Digest, RoundReport, TaskName};
use serde::Serialize;

use super::{OperatorError, VersionQuality, no_task, quality};
use crate::Directory;
use crate::store::{self, RowError, Store, TaskState, Wanted, content};

/// How everything stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// True while a service runs on the directory.
    pub serving: bool,
    /// Clients that were ever here.
    pub clients: u64,
    /// Entries of the model log.
    pub log_length: u64,
    /// Digest of its last entry.
    pub log_head: Digest,
    /// When the list of revoked certificates was last fetched, in Unix seconds; nothing if it never was.
    pub revocations_fetched: Option<u64>,
    /// Calls that were refused, by reason, since the store was made.
    pub rejected: BTreeMap<String, u64>,
    /// Until when the coordinator's certificate is valid, in Unix seconds; nothing if it is not enrolled.
    pub certificate_until: Option<i64>,
    /// Every task.
    pub tasks: Vec<TaskStatus>,
}

/// How one task stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskName,
    /// What the operator wants.
    pub wanted: Wanted,
    /// What it is.
    pub state: TaskState,
    /// Why it is so, or what it waits for.
    pub reason: Option<String>,
    /// The newest version of its model.
    pub version: u64,
    /// Sums that are in that version.
    pub sums_taken: usize,
    /// Sums that the whole task takes.
    pub sums: usize,
    /// Rounds that led to a version.
    pub rounds_completed: u64,
    /// Rounds that ended without a sum.
    pub rounds_aborted: u64,
    /// The round that runs now.
    pub running: Option<RunningRound>,
    /// The last round that ended.
    pub last: Option<RoundReport>,
    /// What clients' own ranks said last; nothing before that, or in a task that is not evaluated.
    pub quality: Option<VersionQuality>,
    /// What was spent so far; nothing without noise.
    pub spent: Option<Spent>,
    /// What protects the clients, in words.
    pub guarantee: String,
    /// Against whom the sums are protected, in words.
    pub trust: String,
}

/// A round that runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningRound {
    /// Its number.
    pub round: u64,
    /// The named sum.
    pub release: String,
    /// Clients invited.
    pub invited: usize,
}

/// How everything stands. `one_party`: the same party runs the enrolment authority.
///
/// # Errors
/// When the store cannot be read.
pub fn status(
    store: &Store,
    directory: &Directory,
    one_party: bool,
) -> Result<Status, OperatorError> {
    let status = store.read(|connection| {
        let (log_length, log_head) = store::log::head(connection)?;
        let revocations = store::revocations::last(connection)?;
        let rows = store::tasks::all(connection)?;
        let tasks = rows
            .into_iter()
            .map(|row| task_status(connection, row, one_party))
            .collect::<Result<Vec<_>, RowError>>()?;
        Ok(Status {
            serving: directory.is_served(),
            clients: store::clients::count(connection)?,
            log_length,
            log_head,
            revocations_fetched: revocations.map(|stored| stored.fetched),
            rejected: store::rejects::all(connection)?,
            certificate_until: directory.certificate_until(),
            tasks,
        })
    })?;
    Ok(status)
}

fn task_status(
    connection: &store::Connection,
    row: store::TaskRow,
    one_party: bool,
) -> Result<TaskStatus, RowError> {
    let name = row.name;
    let (task, guarantee) = store::tasks::spec(connection, &name)?
        .ok_or_else(|| content("tasks", "a task without its specification"))?;
    let (version, sums_taken) = store::models::progress(connection, &name)?;
    let (rounds_completed, rounds_aborted) = store::rounds::counts(connection, &name)?;
    let running = store::rounds::unfinished(connection, &name)?.pop();
    let charges = store::rounds::charges(connection, &name)?;
    let spent = match task.privacy.bound() {
        Some((_, delta)) if !charges.is_empty() => {
            Some(spent(&charges, delta).map_err(|error| content("budget", error))?)
        }
        _ => None,
    };
    Ok(TaskStatus {
        wanted: row.wanted,
        state: row.state,
        reason: row.reason,
        version,
        sums_taken,
        sums: task.sums().len(),
        rounds_completed,
        rounds_aborted,
        running: running.map(|round| RunningRound {
            round: round.round.0,
            release: round.release,
            invited: round.invited,
        }),
        quality: quality::newest(connection, &task)?,
        last: store::rounds::reports(connection, &name, 1)?.pop(),
        spent,
        guarantee,
        trust: task.trust(one_party),
        task: name,
    })
}

/// The reports of a task's rounds that ended, oldest first.
///
/// # Errors
/// When there is no such task, or the store cannot be read.
pub fn reports(store: &Store, task: &TaskName) -> Result<Vec<RoundReport>, OperatorError> {
    let (known, mut reports) = store.read(|connection| {
        let known = store::tasks::all(connection)?;
        Ok((
            known,
            store::rounds::reports(connection, task, usize::MAX >> 1)?,
        ))
    })?;
    let known: Vec<TaskName> = known.into_iter().map(|row| row.name).collect();
    if !known.contains(task) {
        return Err(no_task(task, &known));
    }
    reports.reverse();
    Ok(reports)
}
