//! What the person allows, signals, and the history of both.

use askama::Template;
use axum::response::Response;
use chorus_client::{Consent, Honoured, Level, Notice, Purpose, Receipt, State as Stands};

use super::{day, named, notice};
use crate::answer::{Fault, page};
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

#[derive(Template)]
#[template(path = "choices.html")]
struct Choices {
    frame: Frame,
    changes: Vec<Changed>,
    levels: Vec<Step>,
    purposes: Vec<Switch>,
    sensitive: Vec<Switch>,
    sensitive_on: bool,
    signals: Vec<Signal>,
    decisions: Vec<Decided>,
}

struct Changed {
    purpose: String,
    title: String,
    lines: Vec<Line>,
}

struct Line {
    before: String,
    after: String,
}

struct Step {
    number: usize,
    name: String,
    detail: String,
    chosen: bool,
}

struct Switch {
    id: String,
    title: String,
    on: bool,
    state: String,
    benefit: String,
    cost: String,
    recipients: String,
    signal: String,
}

struct Signal {
    name: String,
    effect: String,
}

struct Decided {
    number: usize,
    when: String,
    purpose: String,
    choice: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Fault> {
    let frame = visit.frame(Page::Choices);
    let words = visit.words();
    let (notice, consents, signals, receipts) = visit.with(|client| {
        let notice = notice(client, frame.language)?;
        Ok((
            notice,
            visit.consents(client)?,
            client.signals()?,
            client.receipts()?,
        ))
    })?;
    let is_sensitive = |consent: &Consent| matches!(consent.purpose, Purpose::Sensitive(_));
    let (sensitive, purposes): (Vec<Consent>, Vec<Consent>) =
        consents.into_iter().partition(is_sensitive);
    let switches = |consents: &[Consent]| -> Vec<Switch> {
        let switch = |consent: &Consent| switch(consent, notice, words);
        consents.iter().map(switch).collect()
    };
    let all = purposes.iter().chain(&sensitive);
    let decisions = receipts.iter().enumerate().rev();
    Ok(page(&Choices {
        changes: all.filter_map(|consent| changed(consent, notice)).collect(),
        levels: levels(&visit, &purposes),
        purposes: switches(&purposes),
        sensitive_on: sensitive
            .iter()
            .any(|consent| consent.state == Stands::Granted),
        sensitive: switches(&sensitive),
        signals: signals
            .iter()
            .map(|signal| honoured(signal, notice, words))
            .collect(),
        decisions: decisions
            .map(|(number, receipt)| decided(number, receipt, notice, words))
            .collect(),
        frame,
    }))
}

/// What is new about a purpose that waits for a choice.
fn changed(consent: &Consent, notice: &Notice) -> Option<Changed> {
    if consent.state != Stands::Pending {
        return None;
    }
    let line = |change: &chorus_client::Change| {
        let said = |lines: &std::collections::BTreeSet<String>| {
            lines.iter().cloned().collect::<Vec<_>>().join(" ")
        };
        Line {
            before: said(&change.before),
            after: said(&change.now),
        }
    };
    Some(Changed {
        purpose: consent.purpose.to_string(),
        title: named(consent.purpose, notice),
        lines: consent.changes.iter().map(line).collect(),
    })
}

/// The levels; chosen is the one whose switches are just those that are on.
fn levels(visit: &Visit, purposes: &[Consent]) -> Vec<Step> {
    let words = visit.words();
    let highest = Level::Devices.purposes();
    let on: std::collections::BTreeSet<Purpose> = purposes
        .iter()
        .filter(|consent| consent.state == Stands::Granted && highest.contains(&consent.purpose))
        .map(|consent| consent.purpose)
        .collect();
    let chosen = Level::ALL.iter().position(|level| level.purposes() == on);
    let step = |(number, level): (usize, &Level)| {
        let name = match level {
            Level::Off => "level.off",
            Level::Session => "level.session",
            Level::Device => "level.device",
            Level::Contribute => "level.contribute",
            Level::Devices => "level.devices",
        };
        Step {
            number,
            name: words.get(name).to_owned(),
            detail: words.get(&format!("{name}.detail")).to_owned(),
            chosen: chosen == Some(number),
        }
    };
    let offered = Level::ALL.iter().enumerate().filter(|(_, level)| {
        let purposes = level.purposes();
        purposes.into_iter().all(|purpose| visit.offers(purpose))
    });
    offered.map(step).collect()
}

fn switch(consent: &Consent, notice: &Notice, words: &Words) -> Switch {
    let section = notice.sections.get(&consent.purpose);
    let said = |what: fn(&chorus_client::Section) -> String| section.map(what).unwrap_or_default();
    let state = match consent.state {
        Stands::Granted => "state.granted",
        Stands::Off => "state.off",
        Stands::Refused => "state.refused",
        Stands::Withdrawn => "state.withdrawn",
        Stands::Denied => "state.denied",
        Stands::Pending => "state.pending",
    };
    let on = consent.state == Stands::Granted;
    Switch {
        id: consent.purpose.to_string(),
        title: named(consent.purpose, notice),
        on,
        state: words.get(state).to_owned(),
        benefit: said(|section| section.benefit.clone()),
        cost: said(|section| section.cost.clone()),
        recipients: said(|section| {
            section
                .recipients
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        }),
        signal: match on && !consent.signals.is_empty() {
            true => words.get("signals.conflict").to_owned(),
            false => String::new(),
        },
    }
}

fn honoured(signal: &Honoured, notice: &Notice, words: &Words) -> Signal {
    let titles = |purposes: &std::collections::BTreeSet<Purpose>| {
        let titles: Vec<String> = purposes
            .iter()
            .map(|purpose| named(*purpose, notice))
            .collect();
        titles.join(", ")
    };
    let effect = match signal.denied.is_empty() {
        true => words.get("signals.nothing").to_owned(),
        false => words.with("signals.denies", titles(&signal.denied)),
    };
    let name = match signal.signal.kind() {
        "gpc" => "signal.gpc",
        "gpp" => "signal.gpp",
        "tcf" => "signal.tcf",
        _ => "signal.tracking",
    };
    Signal {
        name: words.get(name).to_owned(),
        effect,
    }
}

/// What a receipt says, in a line.
fn decided(number: usize, receipt: &Receipt, notice: &Notice, words: &Words) -> Decided {
    let titles: Vec<String> = receipt
        .purposes()
        .map(|purpose| named(purpose, notice))
        .collect();
    let choice = match receipt.is_yes() {
        true => "yes",
        false => "no",
    };
    Decided {
        number,
        when: day(receipt.at()),
        purpose: titles.join(", "),
        choice: words.get(choice).to_owned(),
    }
}
