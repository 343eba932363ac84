//! What the person does. Every form does one thing, and goes back to its page.

use axum::response::Response;
use chorus_client::{
    Amended, Answer, Choice, Control, Decision, Event, EventKind, Level, Purpose, Source, Subject,
};
use chorus_model::ItemId;
use serde::Deserialize;

use crate::answer::{Fault, go};
use crate::pages::erased::{self, Before};
use crate::pages::notice;
use crate::visit::{Posted, Visit};

#[derive(Deserialize)]
pub(crate) struct Decide {
    purpose: Purpose,
    granted: String,
}

/// A switch.
pub(crate) async fn decide(Posted { visit, form }: Posted<Decide>) -> Result<Response, Fault> {
    let answer = match form.granted.as_str() {
        "true" => Answer::Yes,
        "false" => Answer::No,
        _ => return Err(Fault::Form),
    };
    decided(&visit, answer, [form.purpose])?;
    Ok(go("choices", None))
}

fn decided(
    visit: &Visit,
    answer: Answer,
    purposes: impl IntoIterator<Item = Purpose>,
) -> Result<(), Fault> {
    visit.with(|client| {
        let decision = Decision::new(answer, purposes, notice(client, visit.language)?);
        client.decide(&decision, visit.now()).map(drop)
    })
}

#[derive(Deserialize)]
pub(crate) struct Pick {
    level: String,
}

/// A level: its switches on, those of higher levels off.
pub(crate) async fn level(Posted { visit, form }: Posted<Pick>) -> Result<Response, Fault> {
    let number: usize = form.level.parse().map_err(|_| Fault::Form)?;
    let level = Level::ALL.get(number).ok_or(Fault::Form)?;
    let on = level.purposes();
    let mut off: Vec<Purpose> = visit
        .with(|client| visit.consents(client))?
        .into_iter()
        .map(|consent| consent.purpose)
        .collect();
    let highest = Level::Devices.purposes();
    off.retain(|purpose| highest.contains(purpose) && !on.contains(purpose));
    if !off.is_empty() {
        decided(&visit, Answer::No, off)?;
    }
    if !on.is_empty() {
        decided(&visit, Answer::Yes, on)?;
    }
    Ok(go("choices", None))
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    item: Option<String>,
    topic: Option<String>,
    control: String,
}

/// Mute, and its opposite.
pub(crate) async fn control(Posted { visit, form }: Posted<Chosen>) -> Result<Response, Fault> {
    let what = match (form.item, form.topic) {
        (Some(item), None) => Subject::Item(number(&item)?),
        (None, Some(topic)) => Subject::Topic(topic),
        _ => return Err(Fault::Form),
    };
    let choice = Choice::Mute;
    match form.control.as_str() {
        "mute" => visit.with(|client| client.choose(&Control { what, choice }))?,
        "unmute" => visit.with(|client| client.unchoose(&what))?,
        _ => return Err(Fault::Form),
    };
    Ok(go("taste", None))
}

/// The number of an item.
fn number(text: &str) -> Result<ItemId, Fault> {
    text.parse().map(ItemId).map_err(|_| Fault::Form)
}

/// One event, as the page shows it.
#[derive(Deserialize)]
pub(crate) struct Shown {
    at: String,
    was: EventKind,
    source: Source,
}

impl Shown {
    fn of(self, item: ItemId) -> Result<Event, Fault> {
        let at: i64 = self.at.parse().map_err(|_| Fault::Form)?;
        Ok(Event {
            kind: self.was,
            source: self.source,
            ..Event::click(item, at)
        })
    }
}

/// Where a change leads.
fn amended(amended: Amended) -> Result<Response, Fault> {
    match amended {
        Amended::Done => Ok(go("data", None)),
        // The page is older than what it shows.
        Amended::Unknown | Amended::Folded | Amended::Refused(_) => Err(Fault::Form),
    }
}

#[derive(Deserialize)]
pub(crate) struct Corrected {
    item: String,
    #[serde(flatten)]
    event: Shown,
    to: String,
}

/// What an event was: `click`, or `rating 4`.
pub(crate) async fn correct(Posted { visit, form }: Posted<Corrected>) -> Result<Response, Fault> {
    let event = form.event.of(number(&form.item)?)?;
    let (kind, value) = match form.to.split_once(' ') {
        Some((kind, value)) => (kind, Some(value.parse().map_err(|_| Fault::Form)?)),
        None => (form.to.as_str(), None),
    };
    let mut kinds = EventKind::ALL.into_iter();
    let kind = kinds
        .find(|known| known.name() == kind)
        .ok_or(Fault::Form)?;
    amended(visit.with(|client| client.correct(&event, kind, value, visit.now()))?)
}

#[derive(Deserialize)]
pub(crate) struct Removed {
    item: String,
    #[serde(flatten)]
    event: Option<Shown>,
}

/// An item or one event of it, as if it had never been there.
pub(crate) async fn remove(Posted { visit, form }: Posted<Removed>) -> Result<Response, Fault> {
    let item = number(&form.item)?;
    let Some(event) = form.event else {
        visit.with(|client| client.remove_item(item))?;
        return Ok(go("data", None));
    };
    let event = event.of(item)?;
    amended(visit.with(|client| client.remove_event(&event))?)
}

#[derive(Deserialize)]
pub(crate) struct Nothing {}

/// The whole history.
pub(crate) async fn reset(Posted { visit, .. }: Posted<Nothing>) -> Result<Response, Fault> {
    visit.with(|client| client.reset_profile())?;
    Ok(go("data", None))
}

#[derive(Deserialize)]
pub(crate) struct Sure {
    sure: String,
}

/// Everything; the centre closes once all of it is gone.
pub(crate) async fn erase(Posted { visit, form }: Posted<Sure>) -> Result<Response, Fault> {
    if form.sure != "yes" {
        return Err(Fault::Form);
    }
    // A store that cannot be read is erased all the same.
    let before = visit.with(|client| Before::of(client, &visit));
    let before = before.unwrap_or_else(|_| Before::unread(&visit));
    let shared = &visit.shared;
    let gone = shared.place().erase(before, &shared.about)?;
    shared.erased.notify_one();
    Ok(erased::show(&visit, gone))
}

/// What did not open, once more.
pub(crate) async fn open(Posted { visit, .. }: Posted<Nothing>) -> Result<Response, Fault> {
    visit.shared.place().open_again(&visit.shared.about);
    Ok(go("./", None))
}
