use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::{Flaw, Split};

/// A data set that cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// A folder or file that cannot be opened or read to its end.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The folder or file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder or file that cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Unwritable {
        /// The folder or file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// More copies of a population than a simulation takes.
    #[error(
        "copies: {copies} of everyone are {people} people, more than 4194304; take fewer copies"
    )]
    Copies {
        /// How many were asked for.
        copies: usize,
        /// People that they would be.
        people: u128,
    },
    /// A line that is not what its file should hold.
    #[error("{}, line {line}: expected {expected}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What should be there.
        expected: String,
    },
    /// A row of a file without lines that is not what its file should hold.
    #[error("{}, row {row}: expected {expected}", file.display())]
    MalformedRow {
        /// The file.
        file: PathBuf,
        /// The row, from 1.
        row: u64,
        /// What should be there.
        expected: String,
    },
    /// A file that is no table, or whose columns are of no use.
    #[error("{}: {reason}", file.display())]
    BadTable {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A table without a column that it needs.
    #[error(
        "{} has no column {}, only {}; rename it, or name yours in data.toml beside it: under [columns], \
         {column} = \"...\"",
        file.display(), wanted.join(" or "), listed(found)
    )]
    NoColumn {
        /// The file.
        file: PathBuf,
        /// What the column is for, as `data.toml` calls it.
        column: &'static str,
        /// The names that were looked for.
        wanted: Vec<String>,
        /// The names that are there.
        found: Vec<String>,
    },
    /// A `data.toml` that says something else than it can.
    #[error("{}: {reason}", file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder without any known layout.
    #[error(
        "no data set in {}: expected events.csv, events.tsv or events.parquet with the columns user, item and time; \
         or NAME.train.rating, NAME.test.rating and NAME.test.negative, \
         or train.txt and test.txt, or one of u.data, ratings.dat, ratings.csv; text may end in .gz",
        dir.display()
    )]
    NoLayout {
        /// The folder.
        dir: PathBuf,
    },
    /// A published split without one of its files.
    #[error("{} is missing (or the same name with .gz)", file.display())]
    MissingFile {
        /// The file that should be there.
        file: PathBuf,
    },
    /// More than one published split.
    #[error("{} holds several splits: {}; keep one a folder", dir.display(), names.join(", "))]
    SeveralSplits {
        /// The folder.
        dir: PathBuf,
        /// The names of the splits.
        names: Vec<String>,
    },
    /// A split that the data does not allow.
    #[error("{} cannot be split `{split}`: {reason}", path.display())]
    NoSuchSplit {
        /// The folder or file.
        path: PathBuf,
        /// The split that was asked for.
        split: Split,
        /// Why not, and what to do.
        reason: String,
    },
    /// Files without a single event.
    #[error("{} holds no events", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// More users or items than are read: a bound on memory that bad input cannot pass.
    #[error("{} names more than {most} {what}: take a part of it", file.display())]
    TooMany {
        /// The file.
        file: PathBuf,
        /// `users` or `items`.
        what: &'static str,
        /// As many are read.
        most: u32,
    },
    /// A data set whose parts contradict each other, so that a figure measured on it would be wrong.
    #[error("{} cannot be measured on: {flaw}", path.display())]
    Flawed {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        flaw: Flaw,
    },
}

/// Names of a file, of which there may be many, and long ones.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    const LONGEST: usize = 40;
    let short = |name: &String| name.chars().take(LONGEST).collect::<String>();
    let mut shown: Vec<String> = names.iter().take(MOST).map(short).collect();
    if names.len() > MOST {
        shown.push(format!("and {} more", names.len() - MOST));
    }
    shown.join(", ")
}
