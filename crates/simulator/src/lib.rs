#![doc = include_str!("../README.md")]

mod draw;
mod error;
mod evaluate;
mod figures;
mod masked;
mod plain;
mod report;
mod simulate;

pub use error::{EvaluateError, SimulateError};
pub use evaluate::{evaluate, popularity, scores};
pub use figures::{Figures, Noise, RoundRow};
pub use report::{Picture, Report};
pub use simulate::{Options, Progress, Run, simulate};
