//! What an operator does with tasks and models. Each function works on the store, in whatever process: a running
//! service notices within a second.

mod model;
mod quality;
mod status;
mod task;

use chorus_model::ParametersError;
use chorus_protocol::TaskName;
use thiserror::Error;

pub use model::{Exported, ModelList, RolledBack, export_model, list_models, rollback_model};
pub use quality::{ModelQuality, VersionQuality, model_quality};
pub use status::{RunningRound, Status, TaskStatus, reports, status};
pub use task::{
    PlanFiles, TaskChange, TaskCreated, TaskFileError, create_task, read_plan, read_task,
    read_task_with, start_task, stop_task,
};

use crate::store::StoreError;

/// Why an operator's command was not carried out. Nothing has changed then.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such task.
    #[error("there is no task `{task}`; the tasks are: {known}")]
    NoTask {
        /// The name that was given.
        task: TaskName,
        /// The names that there are.
        known: String,
    },
    /// A task of that name exists.
    #[error("there is a task `{0}` already; choose another name")]
    Exists(TaskName),
    /// The task is not valid, or the coordinator cannot run it.
    #[error("the task cannot be run: {0}")]
    Invalid(String),
    /// It can never run again.
    #[error("task `{task}` is {state}: {reason}")]
    Final {
        /// The task.
        task: TaskName,
        /// Its state.
        state: &'static str,
        /// Why.
        reason: String,
    },
    /// No such version, or its content was dropped.
    #[error(
        "task `{task}` has no version {version} with its content; `model list` shows the versions"
    )]
    NoVersion {
        /// The task.
        task: TaskName,
        /// The version that was asked for.
        version: u64,
    },
    /// Going back to where one is.
    #[error("version {version} is the newest of task `{task}` already; name an older one")]
    Newest {
        /// The task.
        task: TaskName,
        /// The version.
        version: u64,
    },
    /// There is nothing to say of the model's quality.
    #[error("task `{0}` is not evaluated by its clients: its file has no `evaluate`")]
    NotEvaluated(TaskName),
    /// The model cannot be written.
    #[error(transparent)]
    Model(#[from] ParametersError),
}

fn no_task(task: &TaskName, known: &[TaskName]) -> OperatorError {
    let known = match known {
        [] => "none yet".to_owned(),
        known => known
            .iter()
            .map(TaskName::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    };
    OperatorError::NoTask {
        task: task.clone(),
        known,
    }
}
