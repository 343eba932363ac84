//! `--sweep`: one run for each combination of values, all checked before any begins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use chorus_simulator::{Figures, Folder, Keys};
use clap::{CommandFactory, FromArgMatches};
use serde::Serialize;
use serde_json::Value;

use super::interruption::Interruption;
use super::keys::{flags, given, sweepable};
use super::prepared::{Prepared, Shelf, Watch};
use super::{Simulate, or_exit};
use crate::exit::{self, stop};
use crate::words::bytes;
use crate::{Action, Command, progress};

/// Runs that one sweep may ask for: more is a slip of the hand.
const MOST: usize = 10_000;

/// What `--json` has of one run.
#[derive(Serialize)]
struct Swept {
    /// The keys that were swept over, and their values here.
    sweep: BTreeMap<String, String>,
    #[serde(flatten)]
    figures: Figures,
}

/// One combination, checked.
struct Planned {
    chosen: BTreeMap<String, String>,
    prepared: Prepared,
    /// Nothing without `--out`, and before it begins.
    folder: Option<Folder>,
    /// What it measured, where it is finished.
    figures: Option<Figures>,
}

impl Planned {
    fn name(&self) -> String {
        named(&self.chosen)
    }

    /// Without letters that are not for names of folders.
    fn folder_name(&self) -> String {
        let safe = |letter: char| letter.is_ascii_alphanumeric() || "._-=,".contains(letter);
        self.name()
            .chars()
            .map(|letter| if safe(letter) { letter } else { '-' })
            .collect()
    }
}

/// Runs all of them.
pub fn run(base: &Simulate, keys: &Keys) -> anyhow::Result<()> {
    progress::check_files(base.json.file(), [base.data.as_path()])?;
    let mut planned = plan(base, keys)?;
    if let Some(out) = &base.out {
        settle(&mut planned, out)?;
    }
    let interruption = base
        .out
        .as_ref()
        .map(|_| Interruption::heard())
        .transpose()?;
    let open = planned.iter().filter(|one| one.figures.is_none());
    let mut watch = Watch::new(open.map(|one| one.prepared.rounds()).sum());
    let mut before = 0;
    let (all, mut finished) = (planned.len(), 0);
    for (number, one) in (1..).zip(&mut planned) {
        if one.figures.is_none() {
            watch.next(&format!("run {number} of {all}, {}", one.name()), before);
            before += one.prepared.rounds();
            if let (Some(out), None) = (&base.out, &one.folder) {
                one.folder = Some(one.prepared.begin(&out.join(one.folder_name()))?);
            }
            let run = one
                .prepared
                .run(one.folder.as_ref(), interruption.as_ref(), &mut watch)?;
            let Some(run) = run else {
                watch.end();
                return stop(
                    exit::INTERRUPTED,
                    format!(
                        "interrupted in run {number} of {all}, {finished} are finished; the same command goes on"
                    ),
                );
            };
            one.figures = Some(run.figures);
        }
        finished += 1;
    }
    watch.end();
    let results: Vec<Swept> = planned
        .into_iter()
        .filter_map(|one| {
            Some(Swept {
                sweep: one.chosen,
                figures: one.figures?,
            })
        })
        .collect();
    base.json.write(&results)?;
    if !base.json.replaces_words() {
        progress::say(&table(&results));
    }
    Ok(())
}

/// Every combination, checked.
fn plan(base: &Simulate, keys: &Keys) -> anyhow::Result<Vec<Planned>> {
    let mut shelf = Shelf::default();
    let mut planned = Vec::new();
    for chosen in combinations(&base.sweep)? {
        let mut keys = keys.clone();
        keys.extend(
            chosen
                .iter()
                .map(|(key, value)| (key.clone(), Value::String(value.clone()))),
        );
        let place = format!("--sweep, {}", named(&chosen));
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
            chosen,
            prepared,
            folder: None,
            figures: None,
        });
    }
    Ok(planned)
}

/// `epsilon=2,seed=1`
fn named(chosen: &BTreeMap<String, String>) -> String {
    let pairs = chosen.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// The product of all sweeps; the last key changes fastest.
fn combinations(sweeps: &[String]) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
    let mut all = vec![BTreeMap::new()];
    for sweep in sweeps {
        let refuse = |problem: String| stop(exit::USAGE, format!("--sweep {sweep}: {problem}"));
        let Some((key, values)) = sweep.split_once('=') else {
            return refuse("expected KEY=A,B,C, such as epsilon=2,4,8".to_owned());
        };
        if let Err(problem) = sweepable(key) {
            return refuse(problem);
        }
        let values: Vec<&str> = values.split(',').map(str::trim).collect();
        let is_twice = |value: &&str| values.iter().filter(|other| *other == value).count() > 1;
        if let Some(value) = values
            .iter()
            .find(|value| value.is_empty() || is_twice(value))
        {
            return refuse(format!(
                "`{value}` is empty or there twice; name each value once"
            ));
        }
        let is_known = |one: &BTreeMap<String, String>| one.contains_key(key);
        if all.first().is_some_and(is_known) {
            return refuse(format!(
                "`{key}` is swept over twice: name all of its values in one"
            ));
        }
        if all.len() * values.len() > MOST {
            return refuse(format!("that is more than {MOST} runs; take fewer values"));
        }
        let with = |one: &BTreeMap<String, String>, value: &str| {
            let mut one = one.clone();
            one.insert(key.to_owned(), value.to_owned());
            one
        };
        let longer = all
            .iter()
            .flat_map(|one| values.iter().map(move |value| with(one, value)));
        all = longer.collect();
    }
    Ok(all)
}

/// Finds what the folder holds already: runs that are finished, and those that can be gone on with.
fn settle(planned: &mut [Planned], out: &Path) -> anyhow::Result<()> {
    if out.join("run.json").exists() {
        return stop(
            exit::USAGE,
            format!("{} holds another run: take another folder", out.display()),
        );
    }
    let mut taken = BTreeMap::new();
    for one in planned {
        let place = out.join(one.folder_name());
        if let Some(other) = taken.insert(one.folder_name(), one.name()) {
            let problem = format!(
                "--sweep: {other} and {} would have the same folder {}",
                one.name(),
                place.display()
            );
            return stop(exit::USAGE, problem);
        }
        if !place.join("run.json").exists() {
            continue;
        }
        let (_, record) = or_exit(Folder::open(&place))?;
        if record.is_finished() && record.other_run(&one.prepared.record).is_empty() {
            one.figures = record.figures;
        } else {
            one.folder = Some(one.prepared.go_on(&place)?);
        }
    }
    Ok(())
}

/// One line a run: what was chosen, how good, how private, at what cost.
fn table(results: &[Swept]) -> String {
    let keys: Vec<&String> = results
        .first()
        .map(|one| one.sweep.keys().collect())
        .unwrap_or_default();
    let measures = [
        "HR@10",
        "NDCG@10",
        "NDCG@10 of all",
        "epsilon",
        "upload",
        "seconds",
    ];
    let mut rows = vec![
        keys.iter()
            .map(|key| (*key).clone())
            .chain(measures.map(str::to_owned))
            .collect::<Vec<String>>(),
    ];
    for one in results {
        let figures = &one.figures;
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
        rows.push(one.sweep.values().cloned().chain(cells).collect());
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
