//! What the person would see with their history and without it, their topics, and what decides the order.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use chorus_client::{Ask, Choice, Client, Error, MainParameter, Model, Order, Purpose, Subject};
use chorus_model::{Everything, ItemId};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::title;
use crate::Shared;
use crate::answer::{Fault, page};
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

/// Items on each of the two lists.
pub(super) const LENGTH: usize = 10;
/// Items that are named as the reason for another one.
const REASONS: usize = 2;
/// Topics that are shown, those with most items first.
const TOPICS: usize = 24;

#[derive(Template)]
#[template(path = "taste.html")]
struct Taste {
    frame: Frame,
    lead: String,
    absence: String,
    with: Vec<Pick>,
    without: Vec<Pick>,
    /// In the order of the app's catalogue, as long as there is no model.
    first: Vec<Pick>,
    topics: Vec<Topic>,
    muted: Vec<Pick>,
    parameters: Vec<MainParameter>,
}

struct Pick {
    item: u32,
    title: String,
    reason: String,
    explored: bool,
}

struct Topic {
    name: String,
    share: String,
    muted: bool,
}

/// Lists on these pages leave nothing to chance, so that they stay as they are when a page is looked at again.
pub(super) fn no_chance() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(0)
}

/// The newest model of the task, where there is a task and a model.
pub(super) fn model(shared: &Shared, client: &Client) -> Result<Option<Model>, Error> {
    let Some(task) = &shared.about.task else {
        return Ok(None);
    };
    match client.model(task, shared.about.engine.as_ref()) {
        Ok(model) => Ok(Some(model)),
        Err(Error::NoModel { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Fault> {
    let (words, now) = (visit.words(), visit.now());
    let taste = visit.with(|client| {
        let model = model(&visit.shared, client)?;
        let mut list = |order| picks(client, order, now, words);
        let (with, without, first) = match &model {
            Some(model) => (
                list(Order::Profiled(model))?,
                list(Order::Popular(model))?,
                Vec::new(),
            ),
            None => (Vec::new(), Vec::new(), list(Order::Editorial)?),
        };
        let (topics, muted) = controls(client, words)?;
        let lead = match client.granted(&Purpose::LocalPersonalisation)? {
            true => "taste.lead.on",
            false => "taste.lead.off",
        };
        let absence = match model {
            Some(_) => "",
            None => words.get("taste.no_model"),
        };
        Ok(Taste {
            frame: visit.frame(Page::Taste),
            lead: words.get(lead).to_owned(),
            absence: absence.to_owned(),
            with,
            without,
            first,
            topics,
            muted,
            parameters: client.main_parameters(visit.language)?,
        })
    })?;
    Ok(page(&taste))
}

/// The items of a list; none where nothing names any.
fn picks(
    client: &mut Client,
    order: Order<'_>,
    now: i64,
    words: &Words,
) -> Result<Vec<Pick>, Error> {
    let ask = Ask::best(order, LENGTH);
    let ranked = match client.rank(&ask, &Everything, &mut no_chance(), now) {
        Err(Error::NoCandidates) => return Ok(Vec::new()),
        ranked => ranked?,
    };
    let mut picks = Vec::with_capacity(ranked.places.len());
    for place in &ranked.places {
        let reason = match order {
            Order::Profiled(model) if ranked.profiled => reason(client, model, place.item, words)?,
            _ => String::new(),
        };
        picks.push(Pick {
            item: place.item.0,
            title: title(client, place.item, words),
            reason,
            explored: place.explored,
        });
    }
    Ok(picks)
}

fn reason(client: &Client, model: &Model, item: ItemId, words: &Words) -> Result<String, Error> {
    let causes = client.reasons(model, item, REASONS, false)?;
    let titles: Vec<String> = causes
        .iter()
        .map(|cause| title(client, cause.item, words))
        .collect();
    Ok(match titles.as_slice() {
        [] => words.get("taste.popular").to_owned(),
        [one] => words.with("taste.because", one),
        [one, other, ..] => words.with("taste.because", words.with_both("taste.and", one, other)),
    })
}

/// The topics of the history with their shares, and what was muted.
fn controls(client: &Client, words: &Words) -> Result<(Vec<Topic>, Vec<Pick>), Error> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let history = client.history(usize::MAX)?;
    for item in history.items() {
        for topic in client
            .about(*item)
            .map(|about| about.topics)
            .unwrap_or_default()
        {
            *counts.entry(topic).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|(one, left), (other, right)| right.cmp(left).then(one.cmp(other)));
    counts.truncate(TOPICS);
    let mut muted = Vec::new();
    let mut silent = Vec::new();
    for control in client.choices()? {
        match control.what {
            Subject::Item(item) if control.choice != Choice::Pin => muted.push(Pick {
                item: item.0,
                title: title(client, item, words),
                reason: String::new(),
                explored: false,
            }),
            Subject::Topic(topic) if control.choice == Choice::Mute => silent.push(topic),
            _ => {}
        }
    }
    let all = history.items().len().max(1);
    let known = counts
        .into_iter()
        .filter(|(topic, _)| !silent.contains(topic));
    let topic = |(name, count): (String, usize)| Topic {
        share: words.with("topics.share", (100 * count + all / 2) / all),
        name,
        muted: false,
    };
    let mut topics: Vec<Topic> = known.map(topic).collect();
    topics.extend(silent.iter().map(|name| Topic {
        name: name.clone(),
        share: String::new(),
        muted: true,
    }));
    Ok((topics, muted))
}
