//! What is kept of the person, to correct, remove, take along or erase.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use chorus_client::{Client, EventKind, KeptItem};
use serde::Deserialize;

use super::erased::remains;
use super::{day, title};
use crate::answer::{Fault, file, page};
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

/// Items on one page.
const LENGTH: usize = 50;

#[derive(Template)]
#[template(path = "data.html")]
struct Data {
    frame: Frame,
    history_title: String,
    items: Vec<Item>,
    more: Option<usize>,
    kinds: Vec<Kind>,
    remains: String,
}

struct Item {
    item: u32,
    title: String,
    did: String,
    when: String,
    events: Vec<Event>,
}

struct Event {
    at: i64,
    when: String,
    kind: &'static str,
}

struct Kind {
    value: &'static str,
    name: String,
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
    let kind = |kind: EventKind| Kind {
        value: kind.name(),
        name: words.get(&format!("kind.{}", kind.name())).to_owned(),
    };
    // A rating and an answer have a value of their own, which a choice of kinds cannot give.
    let plain = |kind: &EventKind| !matches!(kind, EventKind::Rating | EventKind::Survey);
    Ok(page(&Data {
        frame,
        history_title: words.with("data.history", all),
        items,
        more: (from + LENGTH < all).then_some(from + LENGTH),
        kinds: EventKind::ALL.into_iter().filter(plain).map(kind).collect(),
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
    let plain = viewed.events.iter().filter(|event| event.value.is_none());
    Item {
        item: viewed.item.0,
        title: title(client, viewed.item, words),
        did: did.join(", "),
        when: day(viewed.last),
        events: plain
            .map(|event| Event {
                at: event.at,
                when: day(event.at),
                kind: event.kind.name(),
            })
            .collect(),
    }
}

/// Everything, as a file.
pub(crate) async fn export(visit: Visit, Path(format): Path<String>) -> Result<Response, Fault> {
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
