//! Several runs of one command: checked before any begins, each with a folder of its own, and told of in one table.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use chorus_simulator::{Figures, Folder, Keys, Record, Run};
use clap::{CommandFactory, FromArgMatches};
use serde_json::Value;

use super::keys::{flags, given, sweepable};
use super::or_exit;
use super::prepared::{Prepared, Shelf};
use crate::exit::{self, stop};
use crate::words::bytes;
use crate::{Action, Command};

/// Keys that one of several runs has for itself, and their values.
pub type Chosen = BTreeMap<String, String>;

/// One of several runs, checked.
pub struct Planned {
    /// What it is called; its folder is, too.
    pub name: String,
    pub chosen: Chosen,
    pub prepared: Prepared,
    /// Nothing without `--out`, and before it begins.
    pub folder: Option<Folder>,
    /// With what came out, where it is finished.
    pub finished: Option<Record>,
}

impl Planned {
    /// The name without letters that are not for names of folders.
    pub fn folder_name(&self) -> String {
        let safe = |letter: char| letter.is_ascii_alphanumeric() || "._-=,".contains(letter);
        let letters = self.name.chars();
        letters
            .map(|letter| if safe(letter) { letter } else { '-' })
            .collect()
    }

    /// Keeps what came out.
    pub fn finish(&mut self, run: &Run) -> anyhow::Result<()> {
        self.finished = Some(self.prepared.record.clone().finished(run)?);
        Ok(())
    }

    /// Begins its folder, where there are folders and it has none.
    pub fn begin(&mut self, out: Option<&Path>) -> anyhow::Result<()> {
        if let (Some(out), None) = (out, &self.folder) {
            self.folder = Some(self.prepared.begin(&out.join(self.folder_name()))?);
        }
        Ok(())
    }
}

/// A key and its value, of `KEY=VALUE` in the words of a flag.
pub fn pair<'a>(words: &'a str, example: &str) -> Result<(&'a str, &'a str), String> {
    let Some((key, value)) = words.split_once('=') else {
        return Err(format!("expected {example}"));
    };
    sweepable(key).map(|()| (key.trim(), value))
}

/// Every one of them, checked: the keys of the command, and over them its own, of which an empty one leaves the command's out. `flag`
/// is what asked for them.
pub fn plan(
    flag: &str,
    runs: impl IntoIterator<Item = (String, Chosen)>,
    keys: &Keys,
) -> anyhow::Result<Vec<Planned>> {
    let mut shelf = Shelf::default();
    let mut planned = Vec::new();
    for (name, chosen) in runs {
        let mut keys = keys.clone();
        for (key, value) in &chosen {
            match value.as_str() {
                "" => keys.remove(key),
                value => keys.insert(key.clone(), Value::String(value.to_owned())),
            };
        }
        let place = format!("{flag}, {name}");
        let words = ["chorus", "simulate"].map(OsString::from).into_iter();
        let words = words.chain(flags(&keys, &place)?);
        let parsed = Command::command()
            .try_get_matches_from(words)
            .and_then(|matches| Ok((Command::from_arg_matches(&matches)?, matches)));
        let (command, matches) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return stop(exit::USAGE, format!("{place}: {error}")),
        };
        let (Action::Simulate(asked), Some(matches)) =
            (command.action, matches.subcommand_matches("simulate"))
        else {
            continue;
        };
        let prepared = Prepared::new(&asked, given(matches), &mut shelf)
            .map_err(|error| exit::with(exit::code_of(&error), error.context(place)))?;
        planned.push(Planned {
            name,
            chosen,
            prepared,
            folder: None,
            finished: None,
        });
    }
    Ok(planned)
}

/// Finds what the folder holds already: runs that are finished, and those that can be gone on with.
pub fn settle(flag: &str, planned: &mut [Planned], out: &Path) -> anyhow::Result<()> {
    if out.join("run.json").exists() {
        return stop(
            exit::USAGE,
            format!("{} holds another run: take another folder", out.display()),
        );
    }
    let mut taken = BTreeMap::new();
    for one in planned {
        let place = out.join(one.folder_name());
        if let Some(other) = taken.insert(one.folder_name(), one.name.clone()) {
            let problem = format!(
                "{flag}: {other} and {} would have the same folder {}",
                one.name,
                place.display()
            );
            return stop(exit::USAGE, problem);
        }
        if !place.join("run.json").exists() {
            continue;
        }
        let (_, record) = or_exit(Folder::open(&place))?;
        if record.is_finished() && record.other_run(&one.prepared.record).is_empty() {
            one.finished = Some(record);
        } else {
            one.folder = Some(one.prepared.go_on(&place)?);
        }
    }
    Ok(())
}

/// One line a run: what was chosen, how good, how private, at what cost.
pub fn table<'a>(
    keys: impl IntoIterator<Item = &'a str>,
    results: impl IntoIterator<Item = (Vec<String>, &'a Figures)>,
) -> String {
    let measures = [
        "HR@10",
        "NDCG@10",
        "NDCG@10 of all",
        "epsilon",
        "upload",
        "seconds",
    ];
    let mut rows = vec![
        keys.into_iter()
            .chain(measures)
            .map(str::to_owned)
            .collect::<Vec<String>>(),
    ];
    for (chosen, figures) in results {
        let epsilon = figures
            .epsilon
            .map_or("-".to_owned(), |epsilon| format!("{epsilon:.2}"));
        let cells = [
            format!("{:.4}", figures.hr_at_10),
            format!("{:.4}", figures.ndcg_at_10),
            format!("{:.4}", figures.full_ndcg_at_10),
            epsilon,
            bytes(figures.upload_bytes_per_client),
            format!("{:.1}", figures.wall_seconds),
        ];
        rows.push(chosen.into_iter().chain(cells).collect());
    }
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
