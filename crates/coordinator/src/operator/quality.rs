use chorus_model::{Measured, Step};
use chorus_protocol::{RoundReport, Task, TaskName};
use serde::Serialize;

use super::{OperatorError, no_task, reports};
use crate::store::{self, Connection, RowError, Store};

/// What clients' own ranks said of a task's model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelQuality {
    /// The task.
    pub task: TaskName,
    /// One for each sum of ranks, oldest first.
    pub versions: Vec<VersionQuality>,
}

/// What one sum of ranks said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VersionQuality {
    /// The version that was ranked by.
    pub version: u64,
    /// The sum.
    pub release: String,
    /// What it said; nothing where that would be of fewer than 50 people.
    pub measured: Option<Measured>,
    /// Anything out of the ordinary: that the version gave way to the best one so far.
    pub note: Option<String>,
}

/// What clients' own ranks said of each version that they were asked about.
///
/// # Errors
/// When there is no such task, or it is not evaluated.
pub fn model_quality(store: &Store, task: &TaskName) -> Result<ModelQuality, OperatorError> {
    let Some((spec, _)) = store.read(|connection| store::tasks::spec(connection, task))? else {
        let rows = store.read(store::tasks::all)?;
        let known: Vec<TaskName> = rows.into_iter().map(|row| row.name).collect();
        return Err(no_task(task, &known));
    };
    if spec.evaluate.is_none() {
        return Err(OperatorError::NotEvaluated(task.clone()));
    }
    Ok(ModelQuality {
        task: task.clone(),
        versions: of(&spec, reports(store, task)?),
    })
}

/// What the last sum of ranks said; nothing before it, or in a task that is not evaluated.
pub(super) fn newest(
    connection: &Connection,
    task: &Task,
) -> Result<Option<VersionQuality>, RowError> {
    if task.evaluate.is_none() {
        return Ok(None);
    }
    let reports = store::rounds::reports(connection, &task.name, usize::MAX >> 1)?;
    Ok(of(task, reports).into_iter().next())
}

/// The reports that are of a sum of ranks.
fn of(task: &Task, reports: Vec<RoundReport>) -> Vec<VersionQuality> {
    let sums = task.sums();
    let is_of_ranks = |report: &RoundReport| {
        let mut sums = sums.iter().filter(|sum| sum.step == Step::Ranks);
        report.sum.is_some() && sums.any(|sum| sum.name == report.release)
    };
    let reports = reports.into_iter().filter(is_of_ranks);
    reports
        .map(|report| VersionQuality {
            version: report.trained,
            release: report.release,
            measured: report.measured,
            note: report.note,
        })
        .collect()
}
