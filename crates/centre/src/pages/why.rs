//! Why one item is on the list, and what it would be without one thing of the history.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use chorus_client::{Ask, Client, Error, Model, Order};
use chorus_model::{Everything, ItemId, Recommendation};
use serde::Deserialize;

use super::taste::{LENGTH, model, no_chance};
use super::title;
use crate::answer::{Fault, page};
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

/// Reasons on the page.
const MOST: usize = 8;
/// Width of the bars, in the units of the drawing.
const WIDTH: f32 = 100.0;

#[derive(Template)]
#[template(path = "why.html")]
struct Why {
    frame: Frame,
    item: u32,
    headline: String,
    lead: String,
    causes: Vec<Bar>,
    what_if: Option<WhatIf>,
}

struct Bar {
    item: u32,
    title: String,
    share: String,
    width: String,
}

struct WhatIf {
    item: u32,
    headline: String,
    place: String,
    before: Vec<String>,
    after: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Question {
    item: u32,
    without: Option<u32>,
}

pub(crate) async fn show(
    visit: Visit,
    Query(Question { item, without }): Query<Question>,
) -> Result<Response, Fault> {
    let frame = visit.frame(Page::Taste);
    let words = visit.words();
    let now = visit.now();
    let about = ItemId(item);
    let found = visit.with(|client| {
        let Some(model) = model(&visit.shared, client)? else {
            return Ok(None);
        };
        let causes = bars(client, &model, about, words)?;
        let what_if = match without {
            Some(without) => Some(what_if(client, &model, about, ItemId(without), now, words)?),
            None => None,
        };
        Ok(Some((title(client, about, words), causes, what_if)))
    })?;
    let (name, causes, what_if) = found.ok_or(Fault::Form)?;
    let lead = if causes.is_empty() {
        "why.none"
    } else {
        "why.lead"
    };
    Ok(page(&Why {
        headline: words.with("why.title", name),
        lead: words.get(lead).to_owned(),
        frame,
        item,
        causes,
        what_if,
    }))
}

/// The reasons with their shares of everything that speaks for the item.
fn bars(client: &Client, model: &Model, item: ItemId, words: &Words) -> Result<Vec<Bar>, Error> {
    let causes = client.reasons(model, item, usize::MAX, false)?;
    let all: f32 = causes.iter().map(|cause| cause.adds).sum();
    let bar = |cause: &chorus_model::Cause| {
        let share = cause.adds / all.max(f32::MIN_POSITIVE);
        Bar {
            item: cause.item.0,
            title: title(client, cause.item, words),
            share: words.with("why.share", format!("{:.0}", 100.0 * share)),
            width: format!("{:.1}", WIDTH * share),
        }
    };
    Ok(causes.iter().take(MOST).map(bar).collect())
}

fn what_if(
    client: &Client,
    model: &Model,
    item: ItemId,
    without: ItemId,
    now: i64,
    words: &Words,
) -> Result<WhatIf, Error> {
    let whole = Ask::best(Order::Profiled(model), model.items());
    let both = client.what_if(&whole, without, &Everything, &mut no_chance(), now)?;
    let place = |list: &[Recommendation]| {
        let found = list.iter().position(|place| place.item == item);
        found.map(|place| place + 1)
    };
    let place = match (place(&both.with), place(&both.without)) {
        (Some(one), Some(other)) if one != other => words.with_both("what_if.moved", one, other),
        (_, Some(place)) => words.with("what_if.first", place),
        _ => String::new(),
    };
    let titles = |list: &[Recommendation]| {
        let first = list.iter().take(LENGTH);
        first
            .map(|place| title(client, place.item, words))
            .collect()
    };
    Ok(WhatIf {
        item: without.0,
        headline: words.with("what_if.title", title(client, without, words)),
        place,
        before: titles(&both.with),
        after: titles(&both.without),
    })
}
