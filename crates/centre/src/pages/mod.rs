//! The pages, one file each, and what all of them begin with.

pub(crate) mod choices;
pub(crate) mod data;
pub(crate) mod overview;
pub(crate) mod sharing;
pub(crate) mod taste;
pub(crate) mod why;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::response::Response;
use chorus_client::{Client, DecisionError, Error, Language, Notice};
use chorus_model::ItemId;
use serde::Deserialize;

use crate::Shared;
use crate::answer::{Fault, file, go};
use crate::entry::Barred;
use crate::frame::{Frame, Page};
use crate::words::{self, Words};

/// Name of the cookie that remembers a language.
const LANGUAGE_COOKIE: &str = "chorus_language";

/// What a browser sends with every request.
pub(crate) struct Visit<'a> {
    pub shared: &'a Shared,
    pub headers: &'a HeaderMap,
}

impl Visit<'_> {
    /// The language that the person chose, or that the browser asks for, or that the app names.
    pub fn language(&self) -> Language {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let chosen = text(COOKIE)
            .into_iter()
            .flat_map(|cookies| cookies.split(';'));
        let chosen = chosen
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find_map(|(name, value)| {
                (name == LANGUAGE_COOKIE).then(|| words::from_code(value))?
            });
        chosen
            .or_else(|| words::accepted(text(ACCEPT_LANGUAGE)?))
            .unwrap_or(self.shared.about.language)
    }

    /// The frame of a page, for those who came in.
    pub fn frame(&self, here: Page) -> Result<Frame, Fault> {
        let entry = self.shared.entry();
        entry.check(self.headers)?;
        Ok(Frame {
            app: self.shared.about.app.clone(),
            here,
            language: self.language(),
            proof: entry.proof().to_owned(),
        })
    }

    /// What `work` gives, or words for what did not work.
    pub fn answered(&self, work: impl FnOnce() -> Result<Response, Fault>) -> Response {
        work().unwrap_or_else(|fault| fault.answer(self.language()))
    }
}

#[derive(Deserialize)]
pub(crate) struct Token {
    token: String,
}

/// The way in.
pub(crate) async fn enter(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(Token { token }): Query<Token>,
) -> Response {
    let visit = Visit {
        shared: &shared,
        headers: &headers,
    };
    visit.answered(|| {
        let mut entry = shared.entry();
        entry.check_place(&headers)?;
        let cookie = entry.enter(&token).ok_or(Barred::Stranger)?;
        Ok(go("/", Some(&cookie)))
    })
}

/// How pages look; nothing personal, so anyone on this machine may have it.
pub(crate) async fn style() -> Response {
    crate::answer::style(include_str!("../../templates/style.css"))
}

#[derive(Deserialize)]
pub(crate) struct Tongue {
    to: String,
    back: String,
}

/// Another language.
pub(crate) async fn language(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(Tongue { to, back }): Query<Tongue>,
) -> Response {
    let visit = Visit {
        shared: &shared,
        headers: &headers,
    };
    visit.answered(|| {
        shared.entry().check(&headers)?;
        let language = words::from_code(&to).ok_or(Fault::Form)?;
        let cookie = format!(
            "{LANGUAGE_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict",
            language.code()
        );
        Ok(go(Page::at(&back).path(), Some(&cookie)))
    })
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
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(Which { of }): Query<Which>,
) -> Response {
    let visit = Visit {
        shared: &shared,
        headers: &headers,
    };
    visit.answered(|| {
        shared.entry().check(&headers)?;
        let receipts = shared.with(|client| client.receipts())?;
        let receipt = receipts.get(of).ok_or(Fault::Form)?;
        Ok(file(
            "application/ld+json",
            &format!("receipt-{of}.json"),
            receipt.to_string(),
        ))
    })
}
