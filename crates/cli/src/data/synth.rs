//! `chorus data synth`.

use std::path::PathBuf;

use chorus_data::{Fit, FitError, Likeness, Population, Synthesis, fit, invent};
use clap::Args;
use serde::Serialize;

use crate::exit::{self, OrExit, stop};
use crate::progress;
use crate::ranges::{share, skew, within};

/// Events that fit into the memory of a large machine.
const MOST_EVENTS: usize = 250_000_000;

/// Flags of `chorus data synth`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Synth {
    /// The folder to write events.csv, items.csv and users.csv into; made where it is missing.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// How many users; 400, or with --fit as many as are real.
    #[arg(long, value_name = "N", value_parser = within(1, 1 << 22))]
    users: Option<usize>,
    /// How many items: at least 20. [default: 240]
    #[arg(long, value_name = "M", conflicts_with = "fit", value_parser = within(20, 1 << 24))]
    items: Option<usize>,
    /// Events of a user on average: at least 5, at most a quarter of the items. [default: 25]
    #[arg(long, value_name = "X", conflicts_with = "fit", value_parser = within(5, 1 << 22))]
    events_per_user: Option<usize>,
    /// How unequally popular items are, from 0 (equally) to 4; 1 is Zipf's law. [default: 1]
    #[arg(long, value_name = "S", conflicts_with = "fit", value_parser = skew)]
    skew: Option<f64>,
    /// How many taste groups; at most a tenth of the items, with --fit a tenth of the people it is fitted to.
    #[arg(long, value_name = "G", default_value_t = 5, value_parser = within(1, 1 << 22))]
    groups: usize,
    /// The part of popularity that moves to other items over the year that is covered, from 0 to 1.
    #[arg(long, value_name = "D", default_value_t = 0.0, value_parser = share)]
    drift: f64,
    /// The same seed writes the same bytes.
    #[arg(long, value_name = "K", default_value_t = 1)]
    seed: u64,
    /// Make it like a real data set: its popularity, history lengths and mixture of tastes. Nothing is written when what
    /// comes out repeats real people. That is a check, not differential privacy: it promises nothing about anyone.
    #[arg(long, value_name = "DIR")]
    fit: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written {
    into: PathBuf,
    users: usize,
    items: usize,
    events: usize,
    sessions: usize,
    seed: u64,
    /// The memorisation check of a fit.
    likeness: Option<Likeness>,
}

impl Synth {
    pub fn run(&self) -> anyhow::Result<()> {
        if let Some(sentence) = self.fault() {
            return stop(exit::USAGE, sentence);
        }
        if self
            .into
            .read_dir()
            .is_ok_and(|mut files| files.next().is_some())
        {
            let into = self.into.display();
            return stop(
                exit::USAGE,
                format!("there are files in {into} already: name a new folder, or empty this one"),
            );
        }
        let (population, likeness) = self.population()?;
        population.write(&self.into).or_exit(exit::ENVIRONMENT)?;
        let written = Written {
            into: self.into.clone(),
            users: population.users(),
            items: population.items(),
            events: population.events(),
            sessions: population.sessions(),
            seed: self.seed,
            likeness,
        };
        if self.json {
            return progress::say_json(&written);
        }
        progress::say(&written.words());
        Ok(())
    }

    fn population(&self) -> anyhow::Result<(Population, Option<Likeness>)> {
        let Some(folder) = &self.fit else {
            return Ok((invent(&self.synthesis()), None));
        };
        let dataset = super::read(folder)?;
        let how = Fit {
            users: self.users,
            tastes: self.groups,
            drift: self.drift,
            seed: self.seed,
        };
        match fit(&dataset, &how) {
            Ok((population, likeness)) => Ok((population, Some(likeness))),
            Err(error) => {
                let code = match error {
                    FitError::TooAlike(_) => exit::REFUSED,
                    FitError::TooManyTastes { .. } => exit::USAGE,
                    FitError::TooFew { .. } => exit::DATA,
                };
                Err(error).or_exit(code)
            }
        }
    }

    fn synthesis(&self) -> Synthesis {
        let usual = Synthesis::default();
        Synthesis {
            users: self.users.unwrap_or(usual.users),
            items: self.items.unwrap_or(usual.items),
            tastes: self.groups,
            seed: self.seed,
            // One more is held out when it is read.
            mean_history: self
                .events_per_user
                .map_or(usual.mean_history, |events| events.saturating_sub(1)),
            skew: self.skew.unwrap_or(usual.skew),
            drift: self.drift,
        }
    }

    /// What cannot be made up, in a sentence. The library would take the nearest that can.
    fn fault(&self) -> Option<String> {
        let asked = self.synthesis();
        let most = asked.items / 4;
        let is_fitted = self.fit.is_some();
        let faults = [
            (
                !is_fitted && !(4..=most).contains(&asked.mean_history),
                format!(
                    "--events-per-user must lie within 5 and {} for {} items",
                    most + 1,
                    asked.items
                ),
            ),
            (
                !is_fitted && asked.users.saturating_mul(asked.mean_history) > MOST_EVENTS,
                format!(
                    "--users times --events-per-user is {}; at most {MOST_EVENTS} events are made up",
                    asked.users.saturating_mul(asked.mean_history + 1)
                ),
            ),
            (
                !is_fitted && asked.tastes > asked.items / 10,
                format!(
                    "--groups must be at most {}, a tenth of the items",
                    asked.items / 10
                ),
            ),
        ];
        faults
            .into_iter()
            .find(|(is_fault, _)| *is_fault)
            .map(|(_, sentence)| sentence)
    }
}

impl Written {
    fn words(&self) -> String {
        let mut lines = vec![format!(
            "wrote {} users, {} items and {} events in {} sessions into {}",
            self.users,
            self.items,
            self.events,
            self.sessions,
            self.into.display()
        )];
        if let Some(check) = &self.likeness {
            lines.push(format!("  repeats nobody  {check}"));
            lines.push("  no promise      what was fitted still says something of real people; this is no differential privacy".to_owned());
        }
        lines.join("\n")
    }
}
