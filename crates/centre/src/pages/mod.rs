//! The pages, one file each, and what all of them begin with.

pub(crate) mod choices;
pub(crate) mod data;
pub(crate) mod erased;
pub(crate) mod overview;
pub(crate) mod sharing;
pub(crate) mod shut;
pub(crate) mod taste;
pub(crate) mod why;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chorus_client::{Client, DecisionError, Error, Language, Notice, Purpose};
use chorus_model::ItemId;
use serde::Deserialize;

use crate::Shared;
use crate::answer::{Fault, file, go};
use crate::entry::Barred;
use crate::frame::Page;
use crate::visit::{LANGUAGE_COOKIE, Visit};
use crate::words::{self, Words};

#[derive(Deserialize)]
pub(crate) struct Token {
    #[serde(default)]
    token: String,
}

/// The way in.
pub(crate) async fn enter(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(Token { token }): Query<Token>,
) -> Result<Response, Fault> {
    let mut entry = shared.entry();
    entry.check_place(&headers)?;
    let cookie = entry.enter(&token).ok_or(Barred::Stranger)?;
    Ok(go("./", Some(&cookie)))
}

/// How pages look.
pub(crate) const STYLE: &str = include_str!("../../templates/style.css");

/// The same as a file; nothing personal, so anyone on this machine may have it.
pub(crate) async fn style() -> Response {
    crate::answer::style(STYLE)
}

#[derive(Deserialize)]
pub(crate) struct Tongue {
    to: String,
    back: String,
}

/// Another language.
pub(crate) async fn language(
    visit: Visit,
    Query(Tongue { to, back }): Query<Tongue>,
) -> Result<Response, Fault> {
    let language = words::from_code(&to).ok_or(Fault::Form)?;
    let entry = visit.shared.entry();
    let cookie = entry.cookie(LANGUAGE_COOKIE, language.code());
    Ok(go(Page::at(&back).path(), Some(&cookie)))
}

/// A day as people everywhere read it (ISO 8601), from seconds since 1970 UTC.
fn day(at: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(at).map(|time| time.date());
    date.map_or_else(|_| String::new(), |date| date.to_string())
}

/// The same with hours and minutes.
fn minute(at: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(at);
    time.map_or_else(
        |_| String::new(),
        |time| {
            format!(
                "{} {:02}:{:02} UTC",
                time.date(),
                time.hour(),
                time.minute()
            )
        },
    )
}

/// What a person reads before they decide, in their language.
pub(crate) fn notice(client: &Client, language: Language) -> Result<&'static Notice, Error> {
    let nothing = DecisionError::OtherNotice;
    Ok(client.notice(language.code()).ok_or(nothing)?)
}

/// What a purpose is called, for people.
fn named(purpose: Purpose, notice: &Notice) -> String {
    let section = notice.sections.get(&purpose);
    section.map_or_else(|| purpose.to_string(), |section| section.title.clone())
}

/// What an item is called, for people.
fn title(client: &Client, item: ItemId, words: &Words) -> String {
    let about = client.about(item);
    let title = about
        .map(|about| about.title)
        .filter(|title| !title.is_empty());
    title.unwrap_or_else(|| words.with("item.unnamed", item.0))
}

#[derive(Deserialize)]
pub(crate) struct Which {
    of: usize,
}

/// A receipt, to keep.
pub(crate) async fn receipt(
    visit: Visit,
    Query(Which { of }): Query<Which>,
) -> Result<Response, Fault> {
    let receipts = visit.with(|client| client.receipts())?;
    let receipt = receipts.get(of).ok_or(Fault::Form)?;
    Ok(file(
        "application/ld+json",
        &format!("receipt-{of}.json"),
        receipt.to_string(),
    ))
}
