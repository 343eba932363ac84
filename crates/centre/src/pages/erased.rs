//! The last page: what is gone, what cannot go, and the receipt to keep. Nothing answers after it, so it holds all that it needs.

use askama::Template;
use axum::response::Response;
use chorus_client::{Client, Language, View};

use super::sharing;
use crate::answer::last_page;
use crate::place::Gone;
use crate::visit::Visit;
use crate::words::{self, Words};

/// What there was, looked at before it goes.
pub(crate) struct Before {
    gone: Vec<String>,
    remains: String,
    spent: Vec<sharing::Task>,
}

impl Before {
    /// `now`: seconds since 1970 UTC.
    pub fn of(client: &Client, visit: &Visit) -> Result<Self, chorus_client::Error> {
        let (now, words) = (visit.now(), visit.words());
        let status = client.status(now)?;
        let limit = client.settings().floor.epsilon;
        let tasks = status.tasks.iter().filter(|task| task.contributions > 0);
        let rounds: usize = status.tasks.iter().map(|task| task.contributions).sum();
        Ok(Self {
            gone: gone(&client.view(now)?, visit.language),
            remains: remains(rounds, words),
            spent: tasks
                .map(|task| sharing::task(task, limit, words))
                .collect(),
        })
    }

    /// Where nobody could look.
    pub fn unread(visit: &Visit) -> Self {
        Self {
            gone: Vec::new(),
            remains: visit.words().get("erase.remains.unread").to_owned(),
            spent: Vec::new(),
        }
    }
}

/// One line for each kind of record that there was.
fn gone(view: &View, language: Language) -> Vec<String> {
    let sections = view.sections.iter();
    sections
        .filter(|section| !section.entries.is_empty())
        .filter_map(|section| {
            let what = section.text.get(&language)?.trim_end_matches('.');
            Some(format!("{what} ({})", section.entries.len()))
        })
        .collect()
}

/// What of a person is in sums that others have.
pub(super) fn remains(rounds: usize, words: &Words) -> String {
    match rounds {
        0 => words.get("erase.remains.none").to_owned(),
        rounds => words.with("erase.remains", rounds),
    }
}

#[derive(Template)]
#[template(path = "erased.html")]
struct Erased {
    language: Language,
    nonce: String,
    gone: Vec<String>,
    remains: String,
    spent: Vec<sharing::Task>,
    receipt: String,
    link: String,
}

impl Erased {
    fn t<'a>(&self, name: &'a str) -> &'a str {
        words::of(self.language).get(name)
    }
}

/// The page that stands when the centre has closed.
pub(crate) fn show(visit: &Visit, Gone { before, receipt }: Gone) -> Response {
    // A map of texts: it has no way to fail.
    let receipt = serde_json::to_string_pretty(&receipt).unwrap_or_default();
    let nonce = visit.shared.entry().proof().to_owned();
    let page = Erased {
        language: visit.language,
        nonce: nonce.clone(),
        gone: before.gone,
        remains: before.remains,
        spent: before.spent,
        link: address(&receipt),
        receipt,
    };
    last_page(&page, &nonce)
}

/// A text as an address that holds it (RFC 2397): it can be saved although nobody serves it any more.
fn address(text: &str) -> String {
    let bytes = text.bytes().map(|byte| format!("%{byte:02X}"));
    format!("data:application/json,{}", bytes.collect::<String>())
}
