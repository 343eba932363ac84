//! What is known, where it is, and what is kept of what and why.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use chorus_client::{
    Consent, DataMap, Language, Protection, Purpose, RecordMap, State as Stands, Status,
};

use crate::answer::{Fault, page};
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    headline: String,
    lead: String,
    notices: Vec<Notice>,
    tiles: Vec<Tile>,
    kept: Vec<Kept>,
    protection: String,
}

struct Notice {
    tone: &'static str,
    text: String,
}

struct Tile {
    name: String,
    value: String,
    detail: String,
    link: &'static str,
    action: String,
}

struct Kept {
    what: String,
    fields: String,
    why: String,
    retention: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Fault> {
    let frame = visit.frame(Page::Overview);
    let words = visit.words();
    let now = visit.now();
    let (status, consents, signals, others) = visit.with(|client| {
        let others = client.settings().floor.cohort.saturating_sub(1);
        Ok((
            client.status(now)?,
            visit.consents(client)?,
            client.signals()?,
            others,
        ))
    })?;
    let on = consents.iter().any(is_on);
    let mut notices = Vec::new();
    if consents
        .iter()
        .any(|consent| consent.state == Stands::Pending)
    {
        notices.push(Notice {
            tone: "warn",
            text: words.get("notice.changed").to_owned(),
        });
    }
    if signals.iter().any(|signal| !signal.denied.is_empty()) {
        notices.push(Notice {
            tone: "good",
            text: words.get("notice.signals").to_owned(),
        });
    }
    let headline = match on || status.events > 0 {
        true => "overview.known",
        false => "overview.nothing",
    };
    let lead = if on {
        "overview.lead.on"
    } else if status.events > 0 {
        "overview.lead.off.kept"
    } else {
        "overview.lead.off"
    };
    Ok(page(&Overview {
        headline: words.get(headline).to_owned(),
        lead: words.get(lead).to_owned(),
        notices,
        tiles: tiles(&status, &consents, others, words),
        kept: records(frame.language, words),
        protection: protection(visit.shared.about.keys.protects(), words),
        frame,
    }))
}

fn is_on(consent: &Consent) -> bool {
    consent.state == Stands::Granted
}

fn tiles(status: &Status, consents: &[Consent], others: usize, words: &Words) -> Vec<Tile> {
    let contributions: usize = status.tasks.iter().map(|task| task.contributions).sum();
    let shared = match contributions {
        0 => words.get("tile.shared.none").to_owned(),
        _ if others > 0 => words.with("tile.shared.mixed", others),
        _ => words.get("tile.shared.alone").to_owned(),
    };
    // Sensitive topics have a place of their own: they would make "2 of 18" of what is 2 of 8.
    let plain = |consent: &&Consent| !matches!(consent.purpose, Purpose::Sensitive(_));
    let all = consents.iter().filter(plain).count();
    let on = consents
        .iter()
        .filter(plain)
        .filter(|consent| is_on(consent))
        .count();
    let tile = |name: &str, value: String, detail: String, link, action: &str| Tile {
        name: words.get(name).to_owned(),
        value,
        detail,
        link,
        action: words.get(action).to_owned(),
    };
    vec![
        tile(
            "tile.items",
            status.events.to_string(),
            words.get("tile.items.detail").to_owned(),
            "data",
            "tile.items.action",
        ),
        tile(
            "tile.shared",
            contributions.to_string(),
            shared,
            "sharing",
            "tile.shared.action",
        ),
        tile(
            "tile.choices",
            words.with_both("tile.choices.of", on, all),
            words.get("tile.choices.detail").to_owned(),
            "choices",
            "tile.choices.action",
        ),
    ]
}

/// Every record of the data map with its fields, under the purpose that it is kept for.
fn records(language: Language, words: &Words) -> Vec<Kept> {
    let map = DataMap::get();
    let title = |record: &RecordMap| {
        let first = record.purposes.first()?;
        let purpose = map.purposes.iter().find(|purpose| purpose.name == *first)?;
        purpose.title.get(&language).cloned()
    };
    let said = |text: &BTreeMap<Language, String>| text.get(&language).cloned().unwrap_or_default();
    let record = |record: &RecordMap| {
        let fields = record.fields.iter().map(|field| said(&field.text));
        Kept {
            what: said(&record.text),
            fields: fields.collect::<Vec<_>>().join(" "),
            why: title(record).unwrap_or_else(|| words.get("kept.always").to_owned()),
            retention: match record.days {
                0 => words.get("kept.until").to_owned(),
                days => words.with("kept.days", days),
            },
        }
    };
    map.records.iter().map(record).collect()
}

fn protection(protection: Protection, words: &Words) -> String {
    words
        .get(match protection {
            Protection::Platform => "protection.platform",
            Protection::Passphrase => "protection.passphrase",
            Protection::File => "protection.file",
        })
        .to_owned()
}
