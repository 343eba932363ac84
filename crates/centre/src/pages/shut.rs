//! The page in place of all others while there is no client: why, and what to do.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use chorus_client::{Error, KeyError, Language, StoreError};

use crate::Shared;
use crate::answer::{Fault, page};
use crate::place::Place;
use crate::words;

#[derive(Template)]
#[template(path = "shut.html")]
struct Page {
    language: Language,
    proof: String,
    headline: &'static str,
    lead: &'static str,
    /// In the language of the person.
    what: &'static str,
    /// As the client says it.
    reason: String,
    /// What was erased in part does not come back.
    may_open: bool,
    may_erase: bool,
}

impl Page {
    fn t<'a>(&self, name: &'a str) -> &'a str {
        words::of(self.language).get(name)
    }
}

/// For who came in alone.
pub(crate) fn show(shared: &Shared, language: Language) -> Response {
    let place = shared.place();
    let shut = match &*place {
        Place::Shut(shut) => shut,
        // Meanwhile somebody opened or erased it.
        Place::Open(_) => return crate::answer::go("./", None),
        Place::Erased => return Fault::Erased.answer(language),
    };
    let (headline, lead) = match (&shut.before, shut.may_erase()) {
        (Some(_), _) => ("not_erased.title", "not_erased.lead"),
        (None, true) => ("shut.title", "shut.lead"),
        (None, false) => ("shut.title", "shut.lead.foreign"),
    };
    let mut response = page(&Page {
        language,
        proof: shared.entry().proof().to_owned(),
        headline,
        lead,
        what: what(&shut.reason),
        reason: shut.reason.to_string(),
        may_open: shut.before.is_none(),
        may_erase: shut.may_erase(),
    });
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// What went wrong, as far as it changes what the person can do.
fn what(reason: &Error) -> &'static str {
    let Error::Store(error) = reason else {
        return "shut.what.other";
    };
    match error {
        StoreError::Unusable { .. } | StoreError::Key(KeyError::Unusable { .. }) => {
            "shut.what.disk"
        }
        StoreError::WrongKey { .. } | StoreError::KeyMissing { .. } | StoreError::Key(_) => {
            "shut.what.key"
        }
        StoreError::Damaged { .. } => "shut.what.damaged",
        StoreError::Behind { .. } => "shut.what.behind",
        StoreError::NotOurs { .. } => "shut.what.stranger",
        StoreError::Missing { .. } => "shut.what.missing",
        StoreError::Newer { .. } => "shut.what.newer",
        StoreError::Foreign { .. } => "shut.what.foreign",
        StoreError::Elsewhere { .. } => "shut.what.elsewhere",
        StoreError::Closed { .. } => "shut.what.other",
    }
}
