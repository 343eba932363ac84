#![doc = include_str!("../README.md")]

mod archive;
mod catalogue;
mod dataset;
mod describe;
mod error;
mod films;
mod flaw;
mod grouplens;
mod lightgcn;
mod lines;
mod log;
mod marks;
mod moment;
mod ncf;
mod negatives;
mod numbering;
mod read;
mod settings;
mod split;
mod synthesis;
mod table;
mod traits;

pub use archive::{ARCHIVES, Archive, ArchiveError, GROUPLENS, MOST_BYTES, TERMS};
pub use dataset::{Dataset, Held};
pub use describe::{Description, Group, Spread, describe};
pub use error::DataError;
pub use flaw::{Flaw, check};
pub use read::{read, read_as};
pub use settings::{Columns, Reading};
pub use split::{Cut, Split};
pub use synthesis::{Fit, FitError, Likeness, Population, Synthesis, fit, invent, synthesise};
pub use traits::{Trait, traits};
