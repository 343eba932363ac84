//! What the person does. Every form says who sent it, does one thing, and goes back to its page.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use chorus_client::{
    Amended, Answer, Choice, Control, Decision, Event, EventKind, Level, Purpose, Subject,
};
use chorus_model::ItemId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Shared;
use crate::answer::{Fault, Message, go, page};
use crate::pages::{Visit, notice};
use crate::words;

/// What every form brings besides.
#[derive(Deserialize)]
pub(crate) struct Sent<T> {
    proof: String,
    #[serde(flatten)]
    form: T,
}

/// A form as it came, or why it could not be read.
type Came<T> = Result<Form<Sent<T>>, FormRejection>;

/// Does `act` with a form that one of the centre's own pages sent, and answers with what it gives.
fn taken<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    came: Came<T>,
    act: impl FnOnce(T, &Visit<'_>) -> Result<Response, Fault>,
) -> Response {
    let visit = Visit { shared, headers };
    visit.answered(|| {
        // Who asks comes first: a stranger learns nothing about forms.
        shared.entry().check(headers)?;
        let Form(Sent { proof, form }) = came.map_err(|_| Fault::Form)?;
        if !shared.entry().proves(&proof) {
            return Err(Fault::Form);
        }
        act(form, &visit)
    })
}

#[derive(Deserialize)]
pub(crate) struct Decide {
    purpose: Purpose,
    granted: String,
}

/// A switch.
pub(crate) async fn decide(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Decide>,
) -> Response {
    taken(
        &shared,
        &headers,
        came,
        |Decide { purpose, granted }, visit| {
            let answer = match granted.as_str() {
                "true" => Answer::Yes,
                "false" => Answer::No,
                _ => return Err(Fault::Form),
            };
            decided(visit, answer, [purpose])?;
            Ok(go("/choices", None))
        },
    )
}

fn decided(
    visit: &Visit<'_>,
    answer: Answer,
    purposes: impl IntoIterator<Item = Purpose>,
) -> Result<(), Fault> {
    let now = visit.shared.about.clock.now();
    let language = visit.language();
    visit.shared.with(|client| {
        let decision = Decision::new(answer, purposes, notice(client, language)?);
        client.decide(&decision, now).map(drop)
    })
}

#[derive(Deserialize)]
pub(crate) struct Pick {
    level: String,
}

/// A level: its switches on, those of higher levels off.
pub(crate) async fn level(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Pick>,
) -> Response {
    taken(&shared, &headers, came, |Pick { level }, visit| {
        let number: usize = level.parse().map_err(|_| Fault::Form)?;
        let level = Level::ALL.get(number).ok_or(Fault::Form)?;
        let on = level.purposes();
        let off: Vec<Purpose> = Level::Devices.purposes().difference(&on).copied().collect();
        if !off.is_empty() {
            decided(visit, Answer::No, off)?;
        }
        if !on.is_empty() {
            decided(visit, Answer::Yes, on)?;
        }
        Ok(go("/choices", None))
    })
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    item: Option<String>,
    topic: Option<String>,
    control: String,
}

/// Mute, and its opposite.
pub(crate) async fn control(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Chosen>,
) -> Response {
    taken(&shared, &headers, came, |chosen, _| {
        let what = match (chosen.item, chosen.topic) {
            (Some(item), None) => Subject::Item(number(&item)?),
            (None, Some(topic)) => Subject::Topic(topic),
            _ => return Err(Fault::Form),
        };
        match chosen.control.as_str() {
            "mute" => shared.with(|client| {
                client.choose(&Control {
                    what,
                    choice: Choice::Mute,
                })
            })?,
            "unmute" => shared.with(|client| client.unchoose(&what))?,
            _ => return Err(Fault::Form),
        };
        Ok(go("/taste", None))
    })
}

/// The number of an item.
fn number(text: &str) -> Result<ItemId, Fault> {
    text.parse().map(ItemId).map_err(|_| Fault::Form)
}

#[derive(Deserialize)]
pub(crate) struct Corrected {
    item: String,
    at: String,
    was: EventKind,
    kind: EventKind,
}

/// What an event was.
pub(crate) async fn correct(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Corrected>,
) -> Response {
    taken(&shared, &headers, came, |corrected, _| {
        let item = number(&corrected.item)?;
        let at: i64 = corrected.at.parse().map_err(|_| Fault::Form)?;
        let now = shared.about.clock.now();
        let event = Event {
            kind: corrected.was,
            ..Event::click(item, at)
        };
        match shared.with(|client| client.correct(&event, corrected.kind, None, now))? {
            Amended::Done => Ok(go("/data", None)),
            // The page is older than what it shows.
            Amended::Unknown | Amended::Folded | Amended::Refused(_) => Err(Fault::Form),
        }
    })
}

#[derive(Deserialize)]
pub(crate) struct Removed {
    item: String,
}

/// An item, as if it had never been there.
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Removed>,
) -> Response {
    taken(&shared, &headers, came, |removed, _| {
        let item = number(&removed.item)?;
        shared.with(|client| client.remove_item(item))?;
        Ok(go("/data", None))
    })
}

#[derive(Deserialize)]
pub(crate) struct Nothing {}

/// The whole history.
pub(crate) async fn reset(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Nothing>,
) -> Response {
    taken(&shared, &headers, came, |Nothing {}, _| {
        shared.with(|client| client.reset_profile())?;
        Ok(go("/data", None))
    })
}

#[derive(Deserialize)]
pub(crate) struct Sure {
    sure: String,
}

/// Everything; the centre closes after this.
pub(crate) async fn erase(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    came: Came<Sure>,
) -> Response {
    taken(&shared, &headers, came, |Sure { sure }, visit| {
        if sure != "yes" {
            return Err(Fault::Form);
        }
        let now = shared.about.clock.now();
        let client = shared.client().take().ok_or(Fault::Erased)?;
        let receipt = client.erase(shared.about.keys.as_ref(), now)?;
        shared.erased.notify_one();
        let language = visit.language();
        let words = words::of(language);
        Ok(page(&Message {
            language,
            headline: words.get("erased.title").to_owned(),
            lines: vec![words.get("erased.lead").to_owned()],
            receipt: serde_json::to_string_pretty(&receipt).unwrap_or_default(),
            receipt_title: words.get("erased.receipt").to_owned(),
            back: String::new(),
            back_title: String::new(),
        }))
    })
}
