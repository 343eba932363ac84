#![doc = include_str!("../README.md")]

mod clock;
mod config;
mod desk;
mod directory;
mod error;
mod gathering;
mod left;
mod operator;
mod refusals;
mod registry;
mod revocation;
mod serve;
mod service;
mod store;
#[cfg(test)]
mod testing;
mod toml_words;

pub use clock::Clock;
pub use config::{Config, ConfigError, RawAuthority, RawConfig, RawLimits, RawTiming, RawWitness};
pub use directory::{Directory, DirectoryError, Lock};
pub use error::ServeError;
pub use operator::{
    Exported, ModelList, ModelQuality, OperatorError, PlanFiles, RolledBack, RunningRound, Status,
    TaskChange, TaskCreated, TaskFileError, TaskStatus, VersionQuality, create_task, export_model,
    list_models, model_quality, read_plan, read_task, read_task_with, reports, rollback_model,
    start_task, status, stop_task,
};
pub use serve::serve;
pub use store::{RoundState, Store, StoreError, TaskState, VersionRow, Wanted};
