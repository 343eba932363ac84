//! Many questions in a file: one row each, answered in their order.

use std::fs;
use std::path::Path;

use anyhow::Context;
use chorus_privacy::account;
use clap::ValueEnum;

use super::question::{Details, Kind, Question, Who};
use crate::exit::{self, OrExit, stop};
use crate::progress;

/// Columns that a file must have, in any order; others are kept as they are.
const COLUMNS: [&str; 6] = [
    "mechanism",
    "noise_multiplier",
    "sampling_rate",
    "steps",
    "delta",
    "accountant",
];
/// Bad rows that are named at most.
const NAMED: usize = 20;

/// Prints the rows of `file` with epsilon added, or names every row that cannot be answered.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .or_exit(exit::DATA)?;
    let mut lines = text.lines().enumerate();
    let header = lines
        .next()
        .map(|(_, line)| line.trim_end())
        .unwrap_or_default();
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    if let Some(missing) = COLUMNS.iter().find(|column| !names.contains(column)) {
        let sentence = format!(
            "{}, line 1: the column {missing} is missing; the columns are {}",
            file.display(),
            COLUMNS.join(", ")
        );
        return stop(exit::DATA, sentence);
    }
    let mut answers = vec![format!("{header},epsilon")];
    let mut bad = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match answer(&names, line) {
            Ok(epsilon) => answers.push(format!("{},{epsilon}", line.trim_end())),
            Err(sentence) => bad.push(format!(
                "{}, line {}: {sentence}",
                file.display(),
                number + 1
            )),
        }
    }
    if !bad.is_empty() {
        let more = bad.len().saturating_sub(NAMED);
        bad.truncate(NAMED);
        if more > 0 {
            bad.push(format!("and {more} more"));
        }
        return stop(exit::DATA, bad.join("\n"));
    }
    progress::say(&answers.join("\n"));
    Ok(())
}

fn answer(names: &[&str], line: &str) -> Result<f64, String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    if cells.len() != names.len() {
        return Err(format!(
            "{} cells, but {} columns",
            cells.len(),
            names.len()
        ));
    }
    let cell = |column: &str| {
        let pairs = names.iter().zip(&cells);
        pairs
            .filter(|(name, _)| **name == column)
            .map(|(_, cell)| *cell)
            .next()
            .unwrap_or_default()
    };
    let number = |column: &str| {
        let written = cell(column);
        written
            .parse::<f64>()
            .map_err(|_| format!("{column} is `{written}`, but must be a number"))
    };
    let written = cell("steps");
    let steps = written
        .parse()
        .map_err(|_| format!("steps is `{written}`, but must be a whole number"))?;
    let kind = Kind::from_str(cell("mechanism"), true).map_err(|_| {
        format!(
            "mechanism is `{}`, but must be gaussian, discrete-gaussian, skellam, tree or matrix",
            cell("mechanism")
        )
    })?;
    let who = match cell("accountant") {
        "" => Who::Best,
        name => Who::from_str(name, true).map_err(|_| {
            format!("accountant is `{name}`, but must be rdp, pld, exact, zcdp or best")
        })?,
    };
    let sampling_rate = match cell("sampling_rate") {
        "" => 1.0,
        _ => number("sampling_rate")?,
    };
    let question = Question {
        kind,
        sampling_rate,
        steps,
        details: Details::default(),
    };
    question.check()?;
    let events = question.events(number("noise_multiplier")?);
    account::upper_bound(&events, number("delta")?, who.accountant())
        .map(|(epsilon, _)| epsilon)
        .map_err(|error| error.to_string())
}
