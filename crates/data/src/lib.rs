#![doc = include_str!("../README.md")]

mod dataset;
mod grouplens;
mod lines;
mod ncf;
mod read;
mod split;
mod synthesis;
mod titles;
mod traits;

pub use dataset::{Dataset, Held};
pub use read::{DataError, read};
pub use synthesis::{Synthesis, synthesise};
pub use traits::{Trait, traits};
