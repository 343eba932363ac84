//! `chorus data`: look at data, make some up, fetch some.

mod describe;
mod fetch;
mod page;
mod synth;

use std::path::{Path, PathBuf};

use chorus_data::{Columns, DataError, Dataset, Reading, Split};
use clap::{Args, Subcommand};

use crate::exit::{self, OrExit};
use crate::progress;

/// Actions of `chorus data`.
#[derive(Subcommand)]
pub enum Data {
    /// Say what a data set holds: users, items, events, skew, times, split, groups.
    ///
    /// Examples: chorus data describe ml-100k, or chorus data describe shop/events.parquet --user-column customer --json
    /// or chorus data describe ml-1m --split temporal:0.1 --report data.html
    Describe(describe::Describe),
    /// Make up a population, from nothing or like a real one: events in sessions, items, groups.
    ///
    /// Examples: chorus data synth --into made --users 5000 --items 1000 --groups 8 --drift 0.3 --seed 7
    /// or chorus data synth --into like-ml --fit ml-100k --groups 12
    Synth(synth::Synth),
    /// Download a published data set, after you have accepted its terms.
    ///
    /// Example: chorus data fetch movielens-100k --into ml-100k
    Fetch(fetch::Fetch),
}

impl Data {
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Describe(asked) => asked.run(),
            Self::Synth(asked) => asked.run(),
            Self::Fetch(asked) => asked.run(),
        }
    }
}

/// How to read a data set, where the files do not say it.
#[derive(Args)]
struct Source {
    /// A data set: a folder, or one file of events (CSV, TSV or Parquet).
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Which events are held out: published, leave-one-out, temporal, temporal:SHARE or temporal:TIME.
    #[arg(long, value_name = "SPLIT")]
    split: Option<Split>,
    /// The column of events that says who; `user` by default. Columns can be named in data.toml too.
    #[arg(long, value_name = "NAME")]
    user_column: Option<String>,
    /// The column that says what; `item` by default.
    #[arg(long, value_name = "NAME")]
    item_column: Option<String>,
    /// The column that says when; `time` by default, if there is one.
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
    /// The column that says how much; `rating` by default, if there is one.
    #[arg(long, value_name = "NAME")]
    rating_column: Option<String>,
}

impl Source {
    fn read(&self) -> anyhow::Result<Dataset> {
        let reading = Reading {
            split: self.split,
            columns: Columns {
                user: self.user_column.clone(),
                item: self.item_column.clone(),
                time: self.time_column.clone(),
                rating: self.rating_column.clone(),
                ..Columns::default()
            },
        };
        told(chorus_data::read_as(&self.data, &reading))
    }
}

/// Reads a data set.
pub fn read(path: &Path) -> anyhow::Result<Dataset> {
    told(chorus_data::read(path))
}

/// Says on standard error what of the files is not used as it stands.
fn told(read: Result<Dataset, DataError>) -> anyhow::Result<Dataset> {
    let dataset = read.or_exit(exit::DATA)?;
    dataset.notes.iter().for_each(|note| progress::tell(note));
    Ok(dataset)
}
