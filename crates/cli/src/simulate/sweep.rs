//! `--sweep`: one run for each combination of values, all checked before any begins.

use chorus_simulator::{Figures, Keys};
use serde::Serialize;

use super::Simulate;
use super::interruption::Interruption;
use super::prepared::Watch;
use super::several::{Chosen, pair, plan, settle, table};
use crate::exit::{self, stop};
use crate::progress;

/// Runs that one sweep may ask for: more is a slip of the hand.
const MOST: usize = 10_000;

/// What `--json` has of one run.
#[derive(Serialize)]
struct Swept {
    /// The keys that were swept over, and their values here.
    sweep: Chosen,
    #[serde(flatten)]
    figures: Figures,
}

/// Runs all of them.
pub fn run(base: &Simulate, keys: &Keys) -> anyhow::Result<()> {
    progress::check_files(base.json.file(), [base.data.as_path()])?;
    let runs = combinations(&base.sweep)?;
    let runs = runs.into_iter().map(|chosen| (named(&chosen), chosen));
    let mut planned = plan("--sweep", runs, keys)?;
    if let Some(out) = &base.out {
        settle("--sweep", &mut planned, out)?;
    }
    let interruption = base
        .out
        .as_ref()
        .map(|_| Interruption::heard())
        .transpose()?;
    let open = planned.iter().filter(|one| one.finished.is_none());
    let mut watch = Watch::new(open.map(|one| one.prepared.rounds()).sum());
    let mut before = 0;
    let (all, mut finished) = (planned.len(), 0);
    for (number, one) in (1..).zip(&mut planned) {
        if one.finished.is_none() {
            watch.next(&format!("run {number} of {all}, {}", one.name), before);
            before += one.prepared.rounds();
            one.begin(base.out.as_deref())?;
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
            one.finish(&run)?;
        }
        finished += 1;
    }
    watch.end();
    let results: Vec<Swept> = planned
        .into_iter()
        .filter_map(|one| {
            Some(Swept {
                sweep: one.chosen,
                figures: one.finished?.figures?,
            })
        })
        .collect();
    base.json.write(&results)?;
    if !base.json.replaces_words() {
        let keys = results.first().into_iter().flat_map(|one| one.sweep.keys());
        let rows = results.iter().map(|one| {
            let values = one.sweep.values().cloned();
            (values.collect(), &one.figures)
        });
        progress::say(&table(keys.map(String::as_str), rows));
    }
    Ok(())
}

/// `epsilon=2,seed=1`
fn named(chosen: &Chosen) -> String {
    let pairs = chosen.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// The product of all sweeps; the last key changes fastest.
fn combinations(sweeps: &[String]) -> anyhow::Result<Vec<Chosen>> {
    let mut all = vec![Chosen::new()];
    for sweep in sweeps {
        let refuse = |problem: String| stop(exit::USAGE, format!("--sweep {sweep}: {problem}"));
        let (key, values) = match pair(sweep, "KEY=A,B,C, such as epsilon=2,4,8") {
            Ok(pair) => pair,
            Err(problem) => return refuse(problem),
        };
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
        let is_known = |one: &Chosen| one.contains_key(key);
        if all.first().is_some_and(is_known) {
            return refuse(format!(
                "`{key}` is swept over twice: name all of its values in one"
            ));
        }
        if all.len() * values.len() > MOST {
            return refuse(format!("that is more than {MOST} runs; take fewer values"));
        }
        let with = |one: &Chosen, value: &str| {
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
