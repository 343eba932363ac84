//! `chorus client consent` and `signal`: what the person allows.

use std::path::PathBuf;

use anyhow::Context;
use chorus_client::{
    Answer, Client, Consent, Decision, Language, Level, Notice, Purpose, Settings, Signal, State,
};
use chorus_wire::Clock;
use clap::{Subcommand, ValueEnum};

use super::explain;
use super::home::Home;
use crate::exit::{self, OrExit};
use crate::progress;

#[derive(Subcommand)]
pub enum Action {
    /// Say yes to purposes. The notice that explains them is shown first.
    ///
    /// Example: chorus client --home me consent grant local-personalisation contribute-training
    Grant {
        /// Which; `consent show` lists them.
        #[arg(required = true, value_name = "PURPOSE")]
        purposes: Vec<Purpose>,
        /// As JSON: the receipt.
        #[arg(long)]
        json: bool,
    },
    /// Say no to purposes, or take back a yes. It holds when the command ends, also for a client that is running.
    ///
    /// Example: chorus client --home me consent withdraw contribute-training
    Withdraw {
        /// Which; `consent show` lists them.
        #[arg(required = true, value_name = "PURPOSE")]
        purposes: Vec<Purpose>,
        /// As JSON: the receipt.
        #[arg(long)]
        json: bool,
    },
    /// Set the switches by a level: those of the level on, those of higher ones off.
    Level {
        /// Which.
        level: LevelName,
    },
    /// Every purpose and how it stands, or what the notice says of one.
    Show {
        /// Only this one, with what its notice says.
        purpose: Option<Purpose>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Language of the notice: en or de.
        #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
        language: Language,
    },
    /// All receipts so far (JSON-LD, ISO/IEC TS 27560), oldest first.
    Receipts,
}

/// The levels by their names.
#[derive(Clone, Copy, ValueEnum)]
pub enum LevelName {
    /// Nothing is kept.
    Off,
    /// Only while the app is open.
    Session,
    /// On this device.
    Device,
    /// And contribute to the shared model.
    Contribute,
    /// And on your other devices.
    Devices,
}

impl LevelName {
    fn level(self) -> Level {
        match self {
            LevelName::Off => Level::Off,
            LevelName::Session => Level::Session,
            LevelName::Device => Level::Device,
            LevelName::Contribute => Level::Contribute,
            LevelName::Devices => Level::Devices,
        }
    }
}

/// A language by its two letters.
pub fn language(code: &str) -> Result<Language, String> {
    let found = Language::ALL
        .into_iter()
        .find(|language| language.code() == code);
    found.ok_or_else(|| {
        let codes: Vec<&str> = Language::ALL
            .iter()
            .map(|language| language.code())
            .collect();
        format!("expected one of {}", codes.join(", "))
    })
}

impl Action {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let now = Clock::system().now();
        match self {
            Action::Grant { purposes, json } => {
                let mut client = home.open(Settings::default())?;
                let notice = notice(&client, Language::English)?;
                for purpose in purposes {
                    if let Some(section) = notice.sections.get(purpose) {
                        progress::tell(&format!(
                            "{purpose}: {} What it uses: {}",
                            section.benefit, section.cost
                        ));
                    }
                }
                decide(&mut client, Answer::Yes, purposes.iter().copied(), *json)
            }
            Action::Withdraw { purposes, json } => {
                let mut client = home.open_known(Settings::default())?;
                decide(&mut client, Answer::No, purposes.iter().copied(), *json)
            }
            Action::Level { level } => {
                let mut client = home.open(Settings::default())?;
                let on = level.level().purposes();
                let off: Vec<Purpose> =
                    Level::Devices.purposes().difference(&on).copied().collect();
                if !off.is_empty() {
                    decide(&mut client, Answer::No, off, false)?;
                }
                if !on.is_empty() {
                    decide(&mut client, Answer::Yes, on, false)?;
                }
                Ok(())
            }
            Action::Show {
                purpose: Some(purpose),
                json,
                language,
            } => {
                let client = home.open_known(Settings::default())?;
                let notice = notice(&client, *language)?;
                let consents = client.consents(now).map_err(explain)?;
                let consent = consents
                    .into_iter()
                    .find(|consent| consent.purpose == *purpose);
                let section = notice.sections.get(purpose);
                if *json {
                    return progress::say_json(
                        &serde_json::json!({ "consent": consent, "notice": section }),
                    );
                }
                if let Some(section) = section {
                    progress::say(&format!("{}: {}", purpose, section.title));
                    progress::say(&format!("  what you get   {}", section.benefit));
                    progress::say(&format!("  what it uses   {}", section.cost));
                    for field in &section.fields {
                        progress::say(&format!("                 {field}"));
                    }
                    for recipient in &section.recipients {
                        progress::say(&format!("  who gets it    {recipient}"));
                    }
                    progress::say(&format!("  how long       {}", section.retention));
                }
                if let Some(consent) = consent {
                    progress::say(&format!("  now            {}", stands(&consent)));
                }
                Ok(())
            }
            Action::Show {
                purpose: None,
                json,
                ..
            } => {
                let client = home.open_known(Settings::default())?;
                let consents = client.consents(now).map_err(explain)?;
                if *json {
                    return progress::say_json(&consents);
                }
                for consent in &consents {
                    progress::say(&format!(
                        "{:<32} {}",
                        consent.purpose.to_string(),
                        stands(consent)
                    ));
                }
                Ok(())
            }
            Action::Receipts => {
                let client = home.open_known(Settings::default())?;
                progress::say_json(&client.receipts().map_err(explain)?)
            }
        }
    }
}

fn decide(
    client: &mut Client,
    answer: Answer,
    purposes: impl IntoIterator<Item = Purpose>,
    json: bool,
) -> anyhow::Result<()> {
    let purposes: Vec<Purpose> = purposes.into_iter().collect();
    let notice = notice(client, Language::English)?;
    let decision = Decision::new(answer, purposes.iter().copied(), notice);
    let receipt = client
        .decide(&decision, Clock::system().now())
        .map_err(explain)?;
    if json {
        return progress::say_json(&receipt);
    }
    let state = match answer {
        Answer::Yes => "on",
        Answer::No => "off",
    };
    for purpose in purposes {
        progress::say(&format!("{purpose}: {state}"));
    }
    Ok(())
}

/// What a person reads before they decide.
fn notice(client: &Client, language: Language) -> anyhow::Result<&'static Notice> {
    let found = client.notice(language.code());
    found.with_context(|| format!("there is no notice in the language `{}`", language.code()))
}

/// How a purpose stands, in words.
fn stands(consent: &Consent) -> String {
    let state = match consent.state {
        State::Granted => "on",
        State::Off => "off",
        State::Refused => "off: refused",
        State::Withdrawn => "off: withdrawn",
        State::Denied => "off: a signal says no",
        State::Pending => "off until asked again: its notice changed",
    };
    match consent.signals.as_slice() {
        [] => state.to_owned(),
        signals => format!("{state} ({} says no)", signals.join(", ")),
    }
}

/// `chorus client signal`: what a browser or a system says for the person.
#[derive(Subcommand)]
pub enum SignalAction {
    /// Hand in a signal, as JSON: {"kind":"gpc","on":true}, {"kind":"tcf","applies":true,"string":"..."}, ...
    Hear {
        /// A file with the signal.
        file: PathBuf,
    },
    /// The signals so far, and what became of each.
    Show,
}

impl SignalAction {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        match self {
            SignalAction::Hear { file } => {
                let mut client = home.open(Settings::default())?;
                let text = std::fs::read_to_string(file)
                    .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", file.display()))
                    .or_exit(exit::DATA)?;
                let signal: Signal = serde_json::from_str(&text)
                    .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
                    .or_exit(exit::DATA)?;
                client
                    .signal(&signal, Clock::system().now())
                    .map_err(explain)?;
                progress::say(&format!("heard {}", signal.kind()));
                Ok(())
            }
            SignalAction::Show => {
                let client = home.open_known(Settings::default())?;
                progress::say_json(&client.signals().map_err(explain)?)
            }
        }
    }
}
