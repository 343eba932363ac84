#![doc = include_str!("../README.md")]

mod audit;
mod buffered;
mod central;
mod company;
mod draw;
mod error;
mod evaluate;
mod figures;
mod forecast;
mod hooks;
mod malice;
mod masked;
mod plain;
#[cfg(test)]
mod ranked;
mod report;
mod run;
mod sampling;
mod settings;
mod simulate;
mod simulation;

pub use audit::{
    AttackOptions, AttackRow, Attacks, AuditOptions, Check, Control, Effort, Evidence, Fault,
    Finding, Look, Measured, Monitor, OneRound, PrivacyAudit, Proof, Verdict, attack,
    attack_one_round, audit_privacy, control, self_test,
};
pub use buffered::Buffer;
pub use central::{Central, CentralPlan, Yardstick, train_centrally, train_plan_centrally};
pub use company::{Alone, Company, Farewell};
pub use error::{EvaluateError, SimulateError};
pub use evaluate::{
    Evaluation, Explanations, Gap, Group, Groups, Source, evaluate, evaluation, popularity, scores,
};
pub use figures::{Content, Figures, Live, Noise, RoundRow};
pub use forecast::{Forecast, SumForecast, forecast};
pub use hooks::{Draw, HookError, Hooks, ServerStep};
pub use malice::{Attack, Malice};
pub use report::{Comparison, InOnePlace, Picture, Report, ShownRun, drawn};
pub use run::{
    Checkpoint, CheckpointError, Column, Data, Folder, FolderError, Record, Together, columns,
    differences,
};
pub use sampling::{Availability, AvailabilityError, Sampling};
pub use settings::{
    DEFAULT_EPSILON, Keys, NoiseChoice, Settings, SettingsError, nearest, plainly, ranges, trained,
    width,
};
pub use simulate::{Options, Progress, Run, check, content, simulate};
pub use simulation::Simulation;
