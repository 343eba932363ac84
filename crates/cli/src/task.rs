//! `chorus task`: what is learned.

use std::path::{Path, PathBuf};

use chorus_coordinator::{
    Directory, PlanFiles, Store, create_task, read_plan, read_task_with, start_task, stop_task,
};
use chorus_model::ItemFeatures;
use chorus_wire::Clock;
use clap::{Args, Subcommand};

use crate::coordinator::Place;
use crate::exit::{self, OrExit};
use crate::learning::task_name;
use crate::progress;

/// Actions of `chorus task`.
#[derive(Subcommand)]
pub enum Task {
    /// Enter a task from a TOML file; `models/*/task.toml` are examples. It is not started yet.
    Create {
        #[command(flatten)]
        place: Place,
        /// The file.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Decides the first model.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a task run; a service that is running follows within a second.
    Start(Named),
    /// Let a task rest. It can be started again. A round in the middle ends without a sum, unless that sum could never be
    /// taken again.
    Stop(Named),
}

/// A task by its name.
#[derive(Args)]
pub struct Named {
    #[command(flatten)]
    place: Place,
    /// The task.
    name: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Task {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        match self {
            Task::Create {
                place,
                file,
                seed,
                json,
            } => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", file.display()))
                    .or_exit(exit::DATA)?;
                let folder = file.parent().unwrap_or(Path::new(""));
                let features = |name: &str| item_features(&folder.join(name));
                let plan = |name: &str| model(&folder.join(name));
                let task = read_task_with(&text, &features, &plan)
                    .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
                    .or_exit(exit::USAGE)?;
                let store = place.store()?;
                let identity = place.directory().identity().or_exit(exit::ENVIRONMENT)?;
                let created =
                    create_task(&store, &identity, &task, *seed, now()).or_exit(exit::DATA)?;
                if *json {
                    return progress::say_json(&created);
                }
                progress::say(&format!(
                    "task `{}`: {} sums of {} clients each; start it with `chorus task start {}`",
                    created.task, created.sums, created.cohort, created.task
                ));
                progress::say(&created.guarantee);
            }
            Task::Start(named) => named.change(start_task)?,
            Task::Stop(named) => named.change(stop_task)?,
        }
        Ok(())
    }
}

/// What starting and stopping have in common.
type Change = fn(
    &Store,
    &chorus_protocol::TaskName,
) -> Result<chorus_coordinator::TaskChange, chorus_coordinator::OperatorError>;

impl Named {
    fn change(&self, change: Change) -> anyhow::Result<()> {
        let changed = change(&self.place.store()?, &task_name(&self.name)?).or_exit(exit::DATA)?;
        if self.json {
            return progress::say_json(&changed);
        }
        progress::say(
            &format!("task `{}` is to be {:?} now", changed.task, changed.wanted).to_lowercase(),
        );
        Ok(())
    }
}

/// Item features that a task file names, from its folder on: a CSV file `item,feature,weight`, or the folder of a data set,
/// whose genres and years they are.
fn item_features(path: &Path) -> Result<ItemFeatures, String> {
    if path.is_dir() {
        let dataset = chorus_data::read(path).map_err(|error| error.to_string())?;
        let none = || format!("the data in {} says nothing of its items", path.display());
        return dataset.features.ok_or_else(none);
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    ItemFeatures::from_csv(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The plan in the file, or in `model.toml` in the folder, and the module `module.pt` beside it if the plan names one.
pub fn model(path: &Path) -> Result<PlanFiles, String> {
    let file = match path.is_dir() {
        true => path.join("model.toml"),
        false => path.to_path_buf(),
    };
    let unread =
        |file: &Path, error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let text = std::fs::read_to_string(&file).map_err(|error| unread(&file, error))?;
    let plan = read_plan(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    if plan.module.is_none() {
        return Ok(PlanFiles { plan, module: None });
    }
    let file = file.with_file_name("module.pt");
    let module = std::fs::read(&file).map_err(|error| unread(&file, error))?;
    // Clients do the same before they open it, so what they would refuse is not even entered.
    #[cfg(feature = "torch")]
    chorus_torch::check_module(&module, &plan)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(PlanFiles {
        plan,
        module: Some(module),
    })
}

/// Enters a task and lets it run: what a demo needs before its coordinator starts.
pub fn create_and_start(
    home: &Path,
    task: &chorus_protocol::Task,
    seed: u64,
) -> anyhow::Result<()> {
    let store = Store::open(home).or_exit(exit::ENVIRONMENT)?;
    let identity = Directory::new(home).identity().or_exit(exit::ENVIRONMENT)?;
    create_task(&store, &identity, task, seed, now())?;
    start_task(&store, &task.name)?;
    Ok(())
}

/// Unix seconds.
pub fn now() -> u64 {
    u64::try_from(Clock::system().now()).unwrap_or(0)
}
