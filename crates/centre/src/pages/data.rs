//! What is kept of the person, to correct, remove, take along or erase.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use chorus_client::{Client, EventKind, KeptItem};
use serde::Deserialize;

use super::erased::remains;
use super::{day, minute, title};
use crate::answer::{Fault, file, page};
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

/// Items on one page.
const LENGTH: usize = 50;
/// What a person says with stars.
const STARS: [f32; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];
/// What a person answers, and its word.
const ANSWERS: [(f32, &str); 5] = [
    (-1.0, "answer.no"),
    (-0.5, "answer.rather_no"),
    (0.0, "answer.neither"),
    (0.5, "answer.rather_yes"),
    (1.0, "answer.yes"),
];

#[derive(Template)]
#[template(path = "data.html")]
struct Data {
    frame: Frame,
    history_title: String,
    items: Vec<Item>,
    more: Option<usize>,
    remains: String,
}

struct Item {
    item: u32,
    title: String,
    did: String,
    when: String,
    used: bool,
    events: Vec<Event>,
}

struct Event {
    at: i64,
    when: String,
    kind: &'static str,
    source: &'static str,
    choices: Vec<Choice>,
}

/// What an event can be said to be.
struct Choice {
    value: String,
    name: String,
    chosen: bool,
}

#[derive(Deserialize)]
pub(crate) struct From {
    from: Option<usize>,
}

pub(crate) async fn show(
    visit: Visit,
    Query(From { from }): Query<From>,
) -> Result<Response, Fault> {
    let frame = visit.frame(Page::Data);
    let words = visit.words();
    let now = visit.now();
    let from = from.unwrap_or(0);
    let (all, items, rounds) = visit.with(|client| {
        let viewed = client.items()?;
        let shown = viewed.iter().skip(from).take(LENGTH);
        let items: Vec<Item> = shown.map(|item| line(client, item, words)).collect();
        let status = client.status(now)?;
        let rounds: usize = status.tasks.iter().map(|task| task.contributions).sum();
        Ok((viewed.len(), items, rounds))
    })?;
    Ok(page(&Data {
        frame,
        history_title: words.with("data.history", all),
        items,
        more: (from + LENGTH < all).then_some(from + LENGTH),
        remains: remains(rounds, words),
    }))
}

fn line(client: &Client, viewed: &KeptItem, words: &Words) -> Item {
    let kind = |kind: EventKind| words.get(&format!("kind.{}", kind.name())).to_owned();
    let mut did: Vec<String> = viewed
        .kinds
        .iter()
        .map(|(of, count)| match count {
            1 => kind(*of),
            count => format!("{} ({})", kind(*of), words.with("data.folded", count)),
        })
        .collect();
    did.dedup();
    Item {
        item: viewed.item.0,
        title: title(client, viewed.item, words),
        did: did.join(", "),
        when: day(viewed.last),
        used: viewed.used,
        events: viewed
            .events
            .iter()
            .map(|event| Event {
                at: event.at,
                when: minute(event.at),
                kind: event.kind.name(),
                source: event.source.name(),
                choices: choices(event, words),
            })
            .collect(),
    }
}

/// Everything that an event can be said to be, with what it is now chosen.
fn choices(event: &chorus_client::Event, words: &Words) -> Vec<Choice> {
    let now = (event.kind, event.value);
    let mut all: Vec<(EventKind, Option<f32>)> = Vec::new();
    for kind in EventKind::ALL {
        let values: &[f32] = match kind {
            EventKind::Rating => &STARS,
            EventKind::Survey => &ANSWERS.map(|(value, _)| value),
            _ => &[],
        };
        all.extend(values.iter().map(|value| (kind, Some(*value))));
        // What an app can say and a person would not: 4.3 stars.
        if values.is_empty() || (kind == event.kind && !all.contains(&now)) {
            all.push((kind, event.value.filter(|_| kind == event.kind)));
        }
    }
    let choice = |(kind, value): (EventKind, Option<f32>)| Choice {
        value: match value {
            Some(value) => format!("{} {value}", kind.name()),
            None => kind.name().to_owned(),
        },
        name: said(kind, value, words),
        chosen: (kind, value) == now,
    };
    all.into_iter().map(choice).collect()
}

/// What was done, in words.
fn said(kind: EventKind, value: Option<f32>, words: &Words) -> String {
    let plain = words.get(&format!("kind.{}", kind.name())).to_owned();
    let answer = |value: f32| ANSWERS.iter().find(|(known, _)| *known == value);
    match (kind, value) {
        (EventKind::Rating, Some(stars)) => words.with("kind.rating.stars", stars),
        (EventKind::Survey, Some(value)) => {
            let word = answer(value).map(|(_, word)| words.get(word).to_owned());
            format!("{plain}: {}", word.unwrap_or_else(|| value.to_string()))
        }
        _ => plain,
    }
}

#[derive(Deserialize)]
pub(crate) struct Format {
    format: String,
}

/// Everything, as a file.
pub(crate) async fn export(
    visit: Visit,
    Query(Format { format }): Query<Format>,
) -> Result<Response, Fault> {
    let now = visit.now();
    let view = visit.with(|client| client.view(now))?;
    match format.as_str() {
        "json" => Ok(file("application/json", "my-data.json", view.to_json())),
        "csv" => Ok(file(
            "text/csv; charset=utf-8",
            "my-data.csv",
            view.to_csv(),
        )),
        "html" => Ok(file(
            "text/html; charset=utf-8",
            "my-data.html",
            view.to_html(visit.language),
        )),
        _ => Err(Fault::Form),
    }
}
