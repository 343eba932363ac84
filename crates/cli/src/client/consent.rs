//! `chorus client consent` and `signal`: what the person allows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context;
use chorus_client::{
    Answer, Change, Client, Consent, Decision, Honoured, Language, Level, Notice, Purpose, Section,
    Signal, State,
};
use chorus_wire::Clock;
use clap::{Subcommand, ValueEnum};

use super::home::Home;
use super::unused::unused;
use super::{Told, explain};
use crate::exit::{self, OrExit};
use crate::{progress, words};

#[derive(Subcommand)]
pub enum Action {
    /// Say yes to purposes. The whole notice of each is shown first: what is used, who gets something, and how long it is kept.
    ///
    /// Example: chorus client --home me consent grant local-personalisation contribute-training
    Grant {
        /// Which; `consent show` lists them.
        #[arg(required = true, value_name = "PURPOSE")]
        purposes: Vec<Purpose>,
        /// As JSON: the receipt; the notice goes to the other output.
        #[arg(long)]
        json: bool,
        /// Language of the notice: en or de.
        #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
        language: Language,
    },
    /// Say no to purposes, or take back a yes. It holds when the command ends, also for a client that is running. What was kept
    /// before stays here until `remove`, `reset` or `erase` removes it.
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
    /// Set the switches by a level: those of the level on, those of higher ones off. The whole notice of each that is turned on is
    /// shown first.
    Level {
        /// Which.
        level: LevelName,
        /// Language of the notice: en or de.
        #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
        language: Language,
    },
    /// Every purpose and how it stands, or what the notice says of one. Where a notice changed, what it said before and says now.
    ///
    /// Example: chorus client --home me consent show contribute-training
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

/// What a yes to a purpose does that needs the app.
const NOT_BUILT: &str = "this command does nothing with it: the yes is kept for an app that does";

/// The levels by their names.
#[derive(Clone, Copy, ValueEnum)]
pub enum LevelName {
    /// Nothing new is kept; what is here stays until `reset` or `erase` removes it.
    Off,
    /// Only while the app is open; what is here stays as well.
    Session,
    /// On this device.
    Device,
    /// And contribute to the shared model.
    Contribute,
}

impl LevelName {
    fn level(self) -> Level {
        match self {
            LevelName::Off => Level::Off,
            LevelName::Session => Level::Session,
            LevelName::Device => Level::Device,
            LevelName::Contribute => Level::Contribute,
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
            Action::Grant {
                purposes,
                json,
                language,
            } => grant(&mut home.open()?, purposes, *language, *json),
            Action::Withdraw { purposes, json } => {
                let mut client = home.open_known()?;
                withdraw(&mut client, purposes, *json)
            }
            Action::Level { level, language } => {
                let mut client = home.open()?;
                let on = level.level().purposes();
                let consents = client.consents(now).map_err(explain)?;
                let mut off = Level::Devices.purposes();
                // Nobody was asked about what is not built; what is on all the same goes off.
                off.retain(|purpose| {
                    let is_on = consents.iter().any(|consent| {
                        consent.purpose == *purpose && consent.state == State::Granted
                    });
                    !on.contains(purpose) && (is_on || !purpose.needs_the_app())
                });
                let [off, on] = [off, on].map(Vec::from_iter);
                if !off.is_empty() {
                    withdraw(&mut client, &off, false)?;
                }
                if !on.is_empty() {
                    grant(&mut client, &on, *language, false)?;
                }
                Ok(())
            }
            Action::Show {
                purpose: Some(purpose),
                json,
                language,
            } => {
                let client = home.open_known()?;
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
                say_section(*purpose, section, progress::say);
                if let Some(consent) = consent {
                    progress::say(&format!("  now            {}", stands(&consent)));
                    difference(&consent)
                        .iter()
                        .for_each(|line| progress::say(line));
                }
                if purpose.needs_the_app() {
                    progress::say(&format!("  not built      {NOT_BUILT}"));
                }
                Ok(())
            }
            Action::Show {
                purpose: None,
                json,
                ..
            } => {
                let client = home.open_known()?;
                let consents = client.consents(now).map_err(explain)?;
                if *json {
                    return progress::say_json(&consents);
                }
                for consent in &consents {
                    let (name, stands) = (consent.purpose.to_string(), stands(consent));
                    let note = match consent.purpose.needs_the_app() {
                        true => " (not built: a yes does nothing here)",
                        false => "",
                    };
                    progress::say(&format!("{name:<32} {stands}{note}"));
                    difference(consent)
                        .iter()
                        .for_each(|line| progress::say(line));
                }
                Ok(())
            }
            Action::Receipts => {
                let client = home.open_known()?;
                progress::say_json(&client.receipts().map_err(explain)?)
            }
        }
    }
}

/// Shows the whole notice of the purposes, and says yes to them.
fn grant(
    client: &mut Client,
    purposes: &[Purpose],
    language: Language,
    json: bool,
) -> anyhow::Result<()> {
    let notice = notice(client, language)?;
    let say = match json {
        true => progress::tell,
        false => progress::say,
    };
    for purpose in purposes {
        say_section(*purpose, notice.sections.get(purpose), say);
        if purpose.needs_the_app() {
            say(&format!("  not built      {NOT_BUILT}"));
        }
    }
    let (version, digest) = (notice.version, notice.digest());
    say(&format!("notice version {version}, SHA-256 {digest}"));
    decide(client, Answer::Yes, purposes, notice, json)?;
    if json {
        return Ok(());
    }
    // A signal that objects may not go unnoticed.
    let now = Clock::system().now();
    let consents = client.consents(now).map_err(explain)?;
    for consent in consents {
        if purposes.contains(&consent.purpose) && !consent.signals.is_empty() {
            let (name, stands) = (consent.purpose, stands(&consent));
            progress::tell(&format!("{name}: {stands}; your yes came later and counts"));
        }
    }
    Ok(())
}

/// Says no to the purposes, and what that leaves.
fn withdraw(client: &mut Client, purposes: &[Purpose], json: bool) -> anyhow::Result<()> {
    let notice = notice(client, Language::English)?;
    decide(client, Answer::No, purposes, notice, json)?;
    let events = client
        .status(Clock::system().now())
        .map_err(explain)?
        .events;
    if events > 0 && purposes.contains(&Purpose::LocalPersonalisation) {
        progress::tell(&format!(
            "nothing new is kept; the {events} events of before stay here until `reset --yes` forgets the history or `erase --yes` erases everything"
        ));
    }
    for purpose in purposes {
        if let Some(says) = unused(client, *purpose)? {
            progress::tell(&says);
        }
        if let (Purpose::Sensitive(category), false, 1..) = (purpose, client.lists_items(), events)
        {
            let category = category.name();
            progress::tell(&format!(
                "what was kept of `{purpose}` before stays here; only the catalogue knows which of the {events} events that is: with --catalogue, \
                 `remove --sensitive {category}` removes it"
            ));
        }
    }
    Ok(())
}

fn decide(
    client: &mut Client,
    answer: Answer,
    purposes: &[Purpose],
    notice: &Notice,
    json: bool,
) -> anyhow::Result<()> {
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

/// All that a notice says of a purpose.
fn say_section(purpose: Purpose, section: Option<&Section>, say: impl Fn(&str)) {
    let Some(section) = section else { return };
    say(&format!("{purpose}: {}", section.title));
    say(&format!("  what you get   {}", section.benefit));
    say(&format!("  what it uses   {}", section.cost));
    for field in &section.fields {
        say(&format!("                 {field}"));
    }
    for recipient in &section.recipients {
        say(&format!("  who gets it    {recipient}"));
    }
    say(&format!("  how long       {}", section.retention));
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

/// What the notice of a purpose said before and says now, where it changed since the person said yes.
fn difference(consent: &Consent) -> Vec<String> {
    let line = |sign: &str, what: &str, sentence: &str| format!("  {sign} {what}: {sentence}");
    let change = |change: &Change| {
        let before = change
            .before
            .iter()
            .map(|said| line("-", &change.what, said));
        let now = change.now.iter().map(|says| line("+", &change.what, says));
        before.chain(now).collect::<Vec<String>>()
    };
    consent.changes.iter().flat_map(change).collect()
}

/// What a file with a signal should hold, and what is wrong with it.
fn expected_signal(error: &serde_json::Error) -> String {
    format!(
        "{error}; expected one of {{\"kind\":\"gpc\",\"on\":true}}, {{\"kind\":\"limit-ad-tracking\",\"on\":true}}, {{\"kind\":\"tcf\",\"applies\":true,\"string\":\"...\"}}, {{\"kind\":\"gpp\",\"sections\":[7],\"string\":\"...\"}}; nothing was changed"
    )
}

/// `chorus client signal`: what a browser or a system says for the person.
#[derive(Subcommand)]
pub enum SignalAction {
    /// Hand in a signal, as JSON: {"kind":"gpc","on":true}, {"kind":"tcf","applies":true,"string":"..."}, ...
    Hear {
        /// A file with the signal.
        file: PathBuf,
        #[command(flatten)]
        told: Told,
    },
    /// The signals so far, and what became of each.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl SignalAction {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        match self {
            SignalAction::Hear { file, told } => {
                let mut client = home.open()?;
                let text = progress::read(file, exit::DATA)?;
                let signal: Signal = serde_json::from_str(&text)
                    .map_err(|error| {
                        anyhow::anyhow!("{}: {}", file.display(), expected_signal(&error))
                    })
                    .or_exit(exit::DATA)?;
                client
                    .signal(&signal, Clock::system().now())
                    .map_err(explain)?;
                let denied: Vec<String> = signal.denies().iter().map(Purpose::to_string).collect();
                let denied = denied.join(", ");
                let says = match (denied.is_empty(), signal.is_readable()) {
                    (true, _) => "it says no to nothing".to_owned(),
                    (false, true) => format!("it says no to {denied}"),
                    (false, false) => format!(
                        "its string cannot be read, so it says no to all that it could speak of: {denied}"
                    ),
                };
                told.tell(true, &format!("heard {}: {says}", signal.kind()))
            }
            SignalAction::Show { json } => {
                let signals = home.open_known()?.signals().map_err(explain)?;
                if *json {
                    return progress::say_json(&signals);
                }
                if signals.is_empty() {
                    progress::tell("no signal was handed in");
                }
                signals.iter().for_each(|heard| progress::say(&line(heard)));
                Ok(())
            }
        }
    }
}

/// A signal and what became of it.
fn line(heard: &Honoured) -> String {
    let named = |purposes: &BTreeSet<Purpose>| {
        let names: Vec<String> = purposes.iter().map(Purpose::to_string).collect();
        names.join(", ")
    };
    let (kind, since) = (heard.signal.kind(), words::moment(heard.since));
    let denied = match heard.denied.is_empty() {
        true => "nothing".to_owned(),
        false => named(&heard.denied),
    };
    let overridden = match heard.overridden.is_empty() {
        true => String::new(),
        false => format!(
            "; your yes to {} came later and counts",
            named(&heard.overridden)
        ),
    };
    format!("{kind}\t{since}\tsays no to {denied}{overridden}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_notice_is_shown_with_what_it_said_before() {
        let said = |sentence: &str| std::iter::once(sentence.to_owned()).collect();
        let mut consent = Consent {
            purpose: Purpose::ContributeTraining,
            state: State::Pending,
            since: Some(0),
            changes: vec![Change {
                before: said("It costs nothing."),
                now: said("It costs a little."),
                what: "cost".to_owned(),
            }],
            signals: Vec::new(),
            may_ask: true,
        };
        let lines = [
            "  - cost: It costs nothing.",
            "  + cost: It costs a little.",
        ];
        assert_eq!(difference(&consent), lines);
        consent.changes.clear();
        assert_eq!(difference(&consent), Vec::<String>::new());
    }
}
