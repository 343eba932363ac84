//! What is kept, and the rights to it: import, view, export, correct, remove, reset, erase, and the key under it all.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use chorus_client::{Amended, Event, EventKind, Settings};
use chorus_model::ItemId;
use chorus_wire::Clock;
use clap::Args;

use super::explain;
use super::home::{Home, Key, key_store};
use crate::exit::{self, OrExit, stop};
use crate::{progress, ranges};

#[derive(Args)]
pub struct Import {
    /// The file.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Import {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let name = self.file.display().to_string();
        let reader = File::open(&self.file)
            .map_err(|error| anyhow::anyhow!("cannot read {name}: {error}"))
            .or_exit(exit::DATA)?;
        let mut client = home.open(Settings::default())?;
        let now = Clock::system().now();
        let imported = client
            .import(&name, BufReader::new(reader), now)
            .map_err(explain)?;
        if self.json {
            progress::say_json(&imported)?;
        } else {
            let (added, known) = (imported.added, imported.known);
            progress::say(&format!("{added} events added, {known} were here already"));
        }
        if imported.refused > 0 {
            progress::tell(&format!(
                "{} events made no sense (a time to come, a rating out of range) and were left out",
                imported.refused
            ));
        }
        match imported.not_granted {
            0 => Ok(()),
            _ => super::not_granted(),
        }
    }
}

#[derive(Args)]
pub struct View {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl View {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known(Settings::default())?;
        let view = client.view(Clock::system().now()).map_err(explain)?;
        if self.json {
            return progress::say_json(&view);
        }
        for section in view
            .sections
            .iter()
            .filter(|section| !section.entries.is_empty())
        {
            progress::say(&format!("{}: {}", section.title, section.entries.len()));
            for entry in &section.entries {
                progress::say(&format!("  {}", entry.value));
            }
        }
        for withheld in &view.withheld {
            progress::say(&format!(
                "not shown: {} of {}: {}",
                withheld.field.unwrap_or("bytes"),
                withheld.kind,
                withheld.why
            ));
        }
        Ok(())
    }
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct Export {
    /// For programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The history as a table.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// A page to read.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Export {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let files = [&self.json, &self.csv, &self.html];
        let named: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
        let own = ["client.db", "client.key"].map(|file| home.folder().join(file));
        progress::check_files(named.iter().copied(), own.iter().map(PathBuf::as_path))?;
        let client = home.open_known(Settings::default())?;
        let view = client.view(Clock::system().now()).map_err(explain)?;
        let texts = [view.to_json(), view.to_csv(), view.to_html()];
        for (file, text) in files.into_iter().zip(texts) {
            if let Some(file) = file {
                progress::write(file, text.as_bytes())?;
                progress::say(&format!("written: {}", file.display()));
            }
        }
        Ok(())
    }
}

#[derive(Args)]
pub struct Correct {
    /// The item.
    item: u32,
    /// When the event was, seconds since 1970 UTC, as `view` shows it.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    at: i64,
    /// What it was said to be.
    #[arg(long, value_name = "KIND", default_value = "click", value_parser = kind)]
    was: EventKind,
    /// What it was.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: EventKind,
    /// For a rating 1 to 5, for an answer -1 to 1.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = ranges::opinion)]
    value: Option<f32>,
}

/// What became of a correction, in words.
fn amended(amended: Amended) -> anyhow::Result<()> {
    match amended {
        Amended::Done => progress::say("done"),
        Amended::Unknown => return stop(exit::DATA, "there is no such event; `view` lists them"),
        Amended::Folded => {
            return stop(
                exit::DATA,
                "the event is a part of its item's summary by now: only the item as a whole can be removed",
            );
        }
        Amended::Refused(flaw) => return stop(exit::DATA, format!("{flaw}; nothing was changed")),
    }
    Ok(())
}

/// A kind of event by its name.
fn kind(name: &str) -> Result<EventKind, String> {
    let found = EventKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

impl Correct {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known(Settings::default())?;
        let now = Clock::system().now();
        let item = ItemId(self.item);
        let event = Event {
            kind: self.was,
            ..Event::click(item, self.at)
        };
        amended(
            client
                .correct(&event, self.kind, self.value, now)
                .map_err(explain)?,
        )
    }
}

#[derive(Args)]
pub struct Remove {
    /// The item.
    item: u32,
    /// Only the event of this time, seconds since 1970 UTC.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    at: Option<i64>,
    /// With --at: what the event was said to be.
    #[arg(long, value_name = "KIND", default_value = "click", value_parser = kind)]
    kind: EventKind,
}

impl Remove {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known(Settings::default())?;
        let item = ItemId(self.item);
        if let Some(at) = self.at {
            let event = Event {
                kind: self.kind,
                ..Event::click(item, at)
            };
            return amended(client.remove_event(&event).map_err(explain)?);
        }
        match client.remove_item(item).map_err(explain)? {
            true => progress::say("done"),
            false => return stop(exit::DATA, "there is no such item; `view` lists them"),
        }
        Ok(())
    }
}

/// Must be said before anything is gone for good.
#[derive(Args)]
struct Sure {
    /// Really do it.
    #[arg(long)]
    yes: bool,
}

impl Sure {
    fn check(&self, what: &str) -> anyhow::Result<()> {
        match self.yes {
            true => Ok(()),
            false => stop(exit::USAGE, format!("{what}; say --yes to do it")),
        }
    }
}

#[derive(Args)]
pub struct Reset {
    #[command(flatten)]
    sure: Sure,
}

impl Reset {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        self.sure
            .check("this forgets the whole history and every mute")?;
        let mut client = home.open_known(Settings::default())?;
        client.reset_profile().map_err(explain)?;
        progress::say(
            "the history is gone; purposes, enrolment and the record of contributions are as before",
        );
        Ok(())
    }
}

#[derive(Args)]
pub struct Erase {
    #[command(flatten)]
    sure: Sure,
    /// Keep the receipt in a file too.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

impl Erase {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        self.sure
            .check("this destroys the key and everything that it opens, for good")?;
        progress::check_files(self.receipt.iter().map(PathBuf::as_path), [])?;
        let client = home.open_known(Settings::default())?;
        let keys = home.keys()?;
        let receipt = client
            .erase(keys.as_ref(), Clock::system().now())
            .map_err(explain)?;
        if let Some(file) = &self.receipt {
            progress::write(file, &serde_json::to_vec_pretty(&receipt)?)?;
        }
        progress::say_json(&receipt)
    }
}

#[derive(Args)]
pub struct RotateKey {
    /// What keeps the new key; left out, the same as before. The passphrase of the new one is in CHORUS_NEW_PASSPHRASE.
    #[arg(long, value_enum)]
    to: Option<Key>,
}

impl RotateKey {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known(Settings::default())?;
        let keys = match self.to {
            Some(to) => key_store(home.folder(), to, "CHORUS_NEW_PASSPHRASE")?,
            None => home.keys()?,
        };
        client.rotate_key(keys.as_ref()).map_err(explain)?;
        progress::say("everything is sealed under a new key");
        progress::tell(&keys.protects().to_string());
        Ok(())
    }
}
