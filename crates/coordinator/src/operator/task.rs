use chorus_model::{Features, ItemFeatures, ModelPlan, ModelSource, Recipe};
use chorus_protocol::{Digest, Identity, Origin, Task, TaskName};
use serde::Serialize;
use thiserror::Error;

use super::{OperatorError, no_task};
use crate::registry::{self, Prepared};
use crate::store::{self, Store, TaskState, Wanted};
use crate::toml_words;

/// A task file that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the task file cannot be used: {0}")]
pub struct TaskFileError(String);

/// What a task file names in `recipe.model`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanFiles {
    /// The plan.
    pub plan: ModelPlan,
    /// The bytes of the module that the plan names, of a `torchscript` model.
    pub module: Option<Vec<u8>>,
}

/// A task was entered, and the first version of its model published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskCreated {
    /// The task.
    pub task: TaskName,
    /// The first version: 1.
    pub version: u64,
    /// SHA-256 of its file.
    pub digest: Digest,
    /// Rounds it takes.
    pub sums: usize,
    /// Clients in each.
    pub cohort: usize,
    /// What protects the clients, in words.
    pub guarantee: String,
}

/// What an operator wants of a task changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskChange {
    /// The task.
    pub task: TaskName,
    /// What is wanted now.
    pub wanted: Wanted,
    /// What the task was when this was said; a running service follows within a second.
    pub state: TaskState,
}

/// Reads a task from TOML and checks it. What its recipe may leave out with noise is filled in for its epsilon.
///
/// # Errors
/// With the line, for an unknown key the nearest known one, and for a value out of range the field; and when it names
/// another file, which [`read_task_with`] reads.
pub fn read_task(text: &str) -> Result<Task, TaskFileError> {
    let closed = |file: &str| format!("`{file}` cannot be read here");
    read_task_with(text, &|file| Err(closed(file)), &|file| Err(closed(file)))
}

/// Reads the plan of a model from TOML, such as `models/*/model.toml`, and checks it.
///
/// # Errors
/// With the line, for an unknown key the nearest known one, and for a value out of range the field.
pub fn read_plan(text: &str) -> Result<ModelPlan, TaskFileError> {
    let plan: ModelPlan =
        toml::from_str(text).map_err(|error| TaskFileError(toml_words::explain(text, &error)))?;
    plan.validate()
        .map_err(|error| TaskFileError(error.to_string()))?;
    Ok(plan)
}

/// The same; `load` reads the item features that the task file names in `recipe.features`, and `plan` the plan that it names
/// in `recipe.model`, with its module if it has one.
///
/// # Errors
/// As [`read_task`], and what `load` and `plan` say.
pub fn read_task_with(
    text: &str,
    load: &dyn Fn(&str) -> Result<ItemFeatures, String>,
    plan: &dyn Fn(&str) -> Result<PlanFiles, String>,
) -> Result<Task, TaskFileError> {
    let mut task: Task =
        toml::from_str(text).map_err(|error| TaskFileError(toml_words::explain(text, &error)))?;
    if let (Recipe::IalsPrivate(recipe), Some((epsilon, _))) =
        (&mut task.recipe, task.privacy.bound())
    {
        recipe.settle(epsilon);
        if let Some(Features::File(file)) = &recipe.features {
            let features = load(file)
                .map_err(|problem| TaskFileError(format!("recipe.features: {problem}")))?;
            recipe.features = Some(Features::Table(features));
        }
    }
    let has_noise = task.privacy.bound().is_some();
    if let Recipe::Trained(recipe) = &mut task.recipe {
        recipe.noise |= has_noise;
        if let Some(Features::File(file)) = &recipe.features {
            let features = load(file)
                .map_err(|problem| TaskFileError(format!("recipe.features: {problem}")))?;
            recipe.features = Some(Features::Table(features));
        }
        if let ModelSource::File(file) = &recipe.model {
            let named = |problem: String| TaskFileError(format!("recipe.model: {problem}"));
            let PlanFiles { plan, module } = plan(file).map_err(named)?;
            recipe.model = ModelSource::Plan(Box::new(plan));
            if let Some(module) = module {
                recipe.set_module(&module);
            }
        }
    }
    task.recipe.settle(task.cohort);
    check(&task).map_err(TaskFileError)?;
    Ok(task)
}

fn check(task: &Task) -> Result<(), String> {
    task.validate().map_err(|error| error.to_string())?;
    if task.split != 1 {
        return Err(
            "split: only 1 is possible here; a split population can be simulated".to_owned(),
        );
    }
    Ok(())
}

/// Enters a task, and publishes the first version of its model: drawn from `seed`, signed with `identity`.
/// The task is not started. `now`: Unix seconds.
///
/// # Errors
/// When the task is not valid or there is one of that name.
pub fn create_task(
    store: &Store,
    identity: &Identity,
    task: &Task,
    seed: u64,
    now: u64,
) -> Result<TaskCreated, OperatorError> {
    check(task).map_err(OperatorError::Invalid)?;
    let guarantee = task
        .guarantee()
        .map_err(|error| OperatorError::Invalid(error.to_string()))?;
    let first = Prepared::new(&task.recipe.start(seed), 0)?;
    let entered = store.write(|tx| {
        if !store::tasks::insert(tx, task, &guarantee, now)? {
            return Ok(None);
        }
        let why = (Origin::Start, Digest::of(&[]));
        registry::publish(tx, identity, &task.name, &first, 0, why, now)
    })?;
    let version = entered.ok_or_else(|| OperatorError::Exists(task.name.clone()))?;
    Ok(TaskCreated {
        task: task.name.clone(),
        version,
        digest: first.digest,
        sums: task.sums().len(),
        cohort: task.cohort_size(),
        guarantee,
    })
}

/// Wants rounds to run.
///
/// # Errors
/// When there is no such task, or it can never run again.
pub fn start_task(store: &Store, task: &TaskName) -> Result<TaskChange, OperatorError> {
    want(store, task, Wanted::Running)
}

/// Wants no more rounds. One in the middle ends without a sum, unless it has noise and its clients already masked:
/// then it may end first, since its sum can never be taken again.
///
/// # Errors
/// When there is no such task.
pub fn stop_task(store: &Store, task: &TaskName) -> Result<TaskChange, OperatorError> {
    want(store, task, Wanted::Stopped)
}

fn want(store: &Store, task: &TaskName, wanted: Wanted) -> Result<TaskChange, OperatorError> {
    let (row, known) = store.write(|tx| {
        let row = store::tasks::one(tx, task)?;
        let is_final = row.as_ref().is_some_and(|row| row.state.is_final());
        if row.is_some() && !(is_final && wanted == Wanted::Running) {
            store::tasks::want(tx, task, wanted)?;
        }
        Ok((row, store::tasks::all(tx)?))
    })?;
    let Some(row) = row else {
        let known: Vec<TaskName> = known.into_iter().map(|row| row.name).collect();
        return Err(no_task(task, &known));
    };
    if wanted == Wanted::Running && row.state.is_final() {
        return Err(OperatorError::Final {
            task: row.name,
            state: row.state.name(),
            reason: row.reason.unwrap_or_default(),
        });
    }
    Ok(TaskChange {
        task: row.name,
        wanted,
        state: row.state,
    })
}
