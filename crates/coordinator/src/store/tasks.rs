use chorus_protocol::{Task, TaskName};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};

use super::{RowError, content};

/// What an operator wants of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Rounds should run.
    Running,
    /// No rounds should run.
    Stopped,
}

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Never started.
    Created,
    /// Clients are gathered and rounds run.
    Running,
    /// An operator stopped it, or it cannot go on as it is.
    Stopped,
    /// All its sums are taken.
    Finished,
    /// A sum was spent without a model to show for it, and with noise it cannot be taken again.
    BudgetExhausted,
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Wanted::Running => "running",
            Wanted::Stopped => "stopped",
        }
    }

    fn of(name: &str) -> Result<Self, RowError> {
        [Wanted::Running, Wanted::Stopped]
            .into_iter()
            .find(|wanted| wanted.name() == name)
            .ok_or_else(|| content("tasks", format!("wanted is `{name}`")))
    }
}

impl TaskState {
    /// Its name in words and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Created => "created",
            TaskState::Running => "running",
            TaskState::Stopped => "stopped",
            TaskState::Finished => "finished",
            TaskState::BudgetExhausted => "budget-exhausted",
        }
    }

    /// True when no round of the task can ever run again.
    pub fn is_final(self) -> bool {
        matches!(self, TaskState::Finished | TaskState::BudgetExhausted)
    }

    fn of(name: &str) -> Result<Self, RowError> {
        use TaskState::{BudgetExhausted, Created, Finished, Running, Stopped};
        [Created, Running, Stopped, Finished, BudgetExhausted]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| content("tasks", format!("state is `{name}`")))
    }
}

/// One task as it is stored, without its specification.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskRow {
    pub name: TaskName,
    pub wanted: Wanted,
    pub state: TaskState,
    pub reason: Option<String>,
}

/// Enters a task. False when there is one of that name.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    task: &Task,
    guarantee: &str,
    now: u64,
) -> Result<bool, RowError> {
    let spec = serde_json::to_string(task).map_err(|error| content("tasks", error))?;
    let entered = tx.execute(
        "INSERT INTO tasks (name, spec, guarantee, wanted, state, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING",
        (
            task.name.as_str(),
            spec,
            guarantee,
            Wanted::Stopped.name(),
            TaskState::Created.name(),
            now as i64,
        ),
    )?;
    Ok(entered == 1)
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<TaskRow>, RowError> {
    let mut query =
        connection.prepare_cached("SELECT name, wanted, state, reason FROM tasks ORDER BY name")?;
    let rows = query.query_and_then([], row)?;
    rows.collect()
}

pub(crate) fn one(connection: &Connection, name: &TaskName) -> Result<Option<TaskRow>, RowError> {
    let mut query = connection
        .prepare_cached("SELECT name, wanted, state, reason FROM tasks WHERE name = ?1")?;
    let mut rows = query.query_and_then([name.as_str()], row)?;
    rows.next().transpose()
}

/// The task itself, and what protects its clients, in words.
pub(crate) fn spec(
    connection: &Connection,
    name: &TaskName,
) -> Result<Option<(Task, String)>, RowError> {
    let query = "SELECT spec, guarantee FROM tasks WHERE name = ?1";
    let found: Option<(String, String)> = connection
        .query_row(query, [name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((spec, guarantee)) = found else {
        return Ok(None);
    };
    let task = serde_json::from_str(&spec).map_err(|error| content("tasks", error))?;
    Ok(Some((task, guarantee)))
}

pub(crate) fn want(tx: &Transaction<'_>, name: &TaskName, wanted: Wanted) -> Result<(), RowError> {
    let change = "UPDATE tasks SET wanted = ?2 WHERE name = ?1";
    tx.execute(change, (name.as_str(), wanted.name()))?;
    Ok(())
}

/// Says what a task is, and why or what it waits for.
pub(crate) fn set(
    tx: &Transaction<'_>,
    name: &TaskName,
    state: TaskState,
    reason: Option<&str>,
) -> Result<(), RowError> {
    let change = "UPDATE tasks SET state = ?2, reason = ?3 WHERE name = ?1";
    tx.execute(change, (name.as_str(), state.name(), reason))?;
    Ok(())
}

fn row(row: &Row<'_>) -> Result<TaskRow, RowError> {
    let name: String = row.get(0)?;
    let wanted: String = row.get(1)?;
    let state: String = row.get(2)?;
    Ok(TaskRow {
        name: TaskName::try_from(name).map_err(|error| content("tasks", error))?,
        wanted: Wanted::of(&wanted)?,
        state: TaskState::of(&state)?,
        reason: row.get(3)?,
    })
}
