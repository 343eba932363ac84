//! What is kept, and the rights to it: import, view, export, correct, remove, reset, erase, and the key under it all.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use chorus_client::{
    Amended, Category, Client, Error, Event, EventKind, Language, Source, StoreError,
};
use chorus_model::ItemId;
use chorus_wire::Clock;
use clap::Args;

use super::catalogue::category;
use super::consent::language;
use super::home::{Home, Key, key_store};
use super::{Told, explain};
use crate::exit::{self, OrExit, stop};
use crate::{progress, ranges, words};

#[derive(Args)]
pub struct Import {
    /// The file: a table with a header that names its columns, tabs, commas or semicolons between them; or a JSON object a line; or
    /// lines `item` or `item<TAB>seconds since 1970`. Only `item`, a number, must be there. `kind` is one of view, click (where it is
    /// left out), pause, purchase, rating, survey, dismiss. `at` is in seconds since 1970 UTC, or now. `value` is 1 to 5 of a rating
    /// and -1 to 1 of a survey. `source` is first-party (where it is left out) or third-party, which needs a grant of its own.
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
        let mut client = home.open()?;
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
        if imported.private > 0 {
            let events = words::counted(imported.private as u64, "event");
            let says = format!(
                "{events} not kept: this is a private session; leave out --private to keep them"
            );
            return stop(exit::REFUSED, says);
        }
        let read = imported.added + imported.known + imported.refused + imported.not_granted;
        if read == 0 {
            return stop(
                exit::DATA,
                format!("{name} holds no event; nothing was added"),
            );
        }
        if imported.refused > 0 {
            progress::tell(&format!(
                "{} events made no sense (a time to come, a rating out of range) and were left out",
                imported.refused
            ));
        }
        match imported.not_granted {
            0 => Ok(()),
            _ => super::not_granted(imported.missing),
        }
    }
}

#[derive(Args)]
pub struct View {
    /// As JSON, with times in seconds since 1970 UTC, as `correct` and `remove` take them.
    #[arg(long)]
    json: bool,
    /// Language: en or de.
    #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
    language: Language,
}

impl View {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        let view = client.view(Clock::system().now()).map_err(explain)?;
        if self.json {
            return progress::say_json(&view);
        }
        progress::say(view.to_text(self.language).trim_end());
        Ok(())
    }
}

#[derive(Args)]
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
    /// Language of the page: en or de.
    #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
    language: Language,
}

impl Export {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let files = [&self.json, &self.csv, &self.html];
        let named: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
        if named.is_empty() {
            let says = "name what to write: --json FILE, --csv FILE or --html FILE";
            return stop(exit::USAGE, says);
        }
        progress::check_files(named.iter().copied(), [])?;
        for file in named {
            progress::is_plain(file)?;
            home.keep_out(file)?;
        }
        let client = home.open_known()?;
        let view = client.view(Clock::system().now()).map_err(explain)?;
        let texts = [view.to_json(), view.to_csv(), view.to_html(self.language)];
        for (file, text) in files.into_iter().zip(texts) {
            if let Some(file) = file {
                progress::write_private(file, text.as_bytes())?;
                progress::say(&format!("written: {}", file.display()));
            }
        }
        Ok(())
    }
}

#[derive(Args)]
pub struct Correct {
    /// The item.
    #[arg(allow_negative_numbers = true, value_parser = ranges::item)]
    item: u32,
    /// When the event was, seconds since 1970 UTC, as `view --json` shows it.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    at: i64,
    /// What it was said to be.
    #[arg(long, value_name = "KIND", default_value = "click", value_parser = kind)]
    was: EventKind,
    /// Where it came from: first-party or third-party.
    #[arg(long, value_name = "SOURCE", default_value = "first-party", value_parser = source)]
    source: Source,
    /// What it was.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: EventKind,
    /// For a rating 1 to 5, for an answer -1 to 1.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = ranges::opinion)]
    value: Option<f32>,
    #[command(flatten)]
    told: Told,
}

/// What became of a change to an event, in words.
fn amended(amended: Amended, event: &Event, told: &Told) -> anyhow::Result<()> {
    let (item, kind, at) = (event.item.0, event.kind.name(), event.at);
    let says = match amended {
        Amended::Done => return told.tell(true, "done"),
        Amended::Unknown => {
            let source = event.source.name();
            format!(
                "there is no such event: a {source} {kind} of item {item} at {at}; `view --json` lists them"
            )
        }
        Amended::Folded => format!(
            "the {kind} of item {item} at {at} is a part of the item's summary by now: only the item as a whole can be removed, by \
             `remove {item}`"
        ),
        Amended::Refused(flaw) => {
            format!("the {kind} of item {item} at {at}: {flaw}; nothing was changed")
        }
    };
    stop(exit::DATA, says)
}

/// A kind of event by its name.
fn kind(name: &str) -> Result<EventKind, String> {
    let found = EventKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// A source of events by its name.
fn source(name: &str) -> Result<Source, String> {
    let mut all = [Source::FirstParty, Source::ThirdParty].into_iter();
    let found = all.find(|source| source.name() == name);
    found.ok_or_else(|| "expected one of first-party, third-party".to_owned())
}

impl Correct {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known()?;
        let now = Clock::system().now();
        let item = ItemId(self.item);
        let event = Event {
            kind: self.was,
            source: self.source,
            ..Event::click(item, self.at)
        };
        let corrected = client.correct(&event, self.kind, self.value, now);
        amended(corrected.map_err(explain)?, &event, &self.told)
    }
}

#[derive(Args)]
pub struct Remove {
    /// The item; left out, all that came from --source, or is of the category --sensitive.
    #[arg(allow_negative_numbers = true, value_parser = ranges::item)]
    item: Option<u32>,
    /// Only the event of this time, seconds since 1970 UTC.
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        requires = "item"
    )]
    at: Option<i64>,
    /// With --at: what the event was said to be.
    #[arg(long, value_name = "KIND", default_value = "click", value_parser = kind)]
    kind: EventKind,
    /// Where it came from: first-party or third-party. Without an item, everything from there.
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    source: Option<Source>,
    /// Everything of a sensitive category, such as health; the catalogue says what is.
    #[arg(long, value_name = "CATEGORY", value_parser = category, conflicts_with_all = ["item", "source"])]
    sensitive: Option<Category>,
    #[command(flatten)]
    told: Told,
}

impl Remove {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known()?;
        let item = match (self.item, self.source, self.sensitive) {
            (Some(item), ..) => ItemId(item),
            (None, Some(source), _) => return self.remove_source(&mut client, source),
            (None, None, Some(category)) => return self.remove_category(&mut client, category),
            (None, None, None) => {
                let says = "name an item, or with --source where all of it came from, or with --sensitive of what it is";
                return stop(exit::USAGE, says);
            }
        };
        if let Some(at) = self.at {
            let event = Event {
                kind: self.kind,
                source: self.source.unwrap_or_default(),
                ..Event::click(item, at)
            };
            let removed = client.remove_event(&event).map_err(explain)?;
            return amended(removed, &event, &self.told);
        }
        if self.source.is_some() {
            let says = "say with --at which event of this item, or leave the item out";
            return stop(exit::USAGE, says);
        }
        match client.remove_item(item).map_err(explain)? {
            true => self.told.tell(true, "done"),
            false => stop(
                exit::DATA,
                format!(
                    "there is no item {} in the history; `view` lists them",
                    item.0
                ),
            ),
        }
    }
}

impl Remove {
    /// Everything from one source.
    fn remove_source(&self, client: &mut Client, source: Source) -> anyhow::Result<()> {
        match client.remove_source(source).map_err(explain)? {
            0 => stop(
                exit::DATA,
                format!("nothing here is from `{}`", source.name()),
            ),
            items => {
                let items = words::counted(items as u64, "item");
                let says = format!("removed from {items}: all that was `{}`", source.name());
                self.told.tell(true, &says)
            }
        }
    }

    /// Everything of one sensitive category.
    fn remove_category(&self, client: &mut Client, category: Category) -> anyhow::Result<()> {
        let name = category.name();
        if !client.lists_items() {
            let says =
                format!("only the catalogue knows what is of `{name}`: name it with --catalogue");
            return stop(exit::USAGE, says);
        }
        match client.remove_category(category).map_err(explain)? {
            0 => stop(exit::DATA, format!("nothing here is of `{name}`")),
            items => {
                let items = words::counted(items as u64, "item");
                let says = format!("removed {items}: all that was of `{name}`");
                self.told.tell(true, &says)
            }
        }
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
    #[command(flatten)]
    told: Told,
}

impl Reset {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        self.sure
            .check("this forgets the whole history and every mute")?;
        let mut client = home.open_known()?;
        client.reset_profile().map_err(explain)?;
        let says = "the history is gone; purposes, enrolment and the record of contributions are as before";
        self.told.tell(true, says)
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
        progress::check_files(self.receipt.as_deref(), [])?;
        if let Some(file) = &self.receipt {
            progress::is_plain(file)?;
            home.keep_out(file)?;
        }
        home.known()?;
        let (keys, now) = (home.keys()?, Clock::system().now());
        let receipt = match Client::open(home.folder(), keys.as_ref(), home.settings()?, now) {
            Ok(client) => client.erase(keys.as_ref(), now),
            // A file of another program is not ours to erase.
            Err(error @ Error::Store(StoreError::Foreign { .. })) => Err(error),
            Err(Error::Store(error)) => {
                progress::tell(&format!(
                    "the store does not open, so the receipt cannot say what was in it and what privacy was spent: {error}"
                ));
                chorus_client::erase(home.folder(), keys.as_ref(), now)
            }
            Err(error) => Err(error),
        };
        let receipt = receipt.map_err(explain)?;
        let erasure = receipt.verify()?;
        if !erasure.left.is_empty() {
            let left = erasure.left.join(", ");
            progress::tell(&format!(
                "no client wrote these, so they are still there: {left}"
            ));
        }
        progress::say_json(&receipt)?;
        match &self.receipt {
            Some(file) => progress::write_private(file, &serde_json::to_vec_pretty(&receipt)?),
            None => Ok(()),
        }
    }
}

#[derive(Args)]
pub struct RotateKey {
    /// What keeps the new key; left out, the same as before. The passphrase of the new one is in CHORUS_NEW_PASSPHRASE.
    #[arg(long, value_enum)]
    to: Option<Key>,
    #[command(flatten)]
    told: Told,
}

impl RotateKey {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known()?;
        let keys = match self.to {
            Some(to) => key_store(home.folder(), to, "CHORUS_NEW_PASSPHRASE")?,
            None => home.keys()?,
        };
        client.rotate_key(keys.as_ref()).map_err(explain)?;
        progress::tell(&keys.protects().to_string());
        self.told.tell(true, "everything is sealed under a new key")
    }
}
