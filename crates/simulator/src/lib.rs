#![doc = include_str!("../README.md")]

mod figures;
mod report;

pub use figures::{Figures, Noise, RoundRow};
pub use report::{Picture, Report};
