#![doc = include_str!("../README.md")]

mod catalogue;
mod dataset;
mod films;
mod grouplens;
mod lightgcn;
mod lines;
mod ncf;
mod read;
mod split;
mod synthesis;
mod traits;

pub use dataset::{Dataset, Held};
pub use read::{DataError, read};
pub use synthesis::{Synthesis, synthesise};
pub use traits::{Trait, traits};
