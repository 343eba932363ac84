//! What goes back to the browser: pages, files, the way to another page, and words for what did not work.

use std::sync::Arc;

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chorus_client::{Error, Language, StoreError};

use crate::entry::Barred;
use crate::words;

/// No script, no frame, no other computer: only the style sheet, and forms that come back here.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Why there is no page. It becomes words where the language of who asked is known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The request is turned away.
    Barred,
    /// A form or a question that no page of this centre asks.
    Form,
    /// Everything was erased before.
    Erased,
    /// The client does not open, or was not erased to the end: a page of its own says why, and what to do.
    Shut,
    /// The client could not do it.
    Client(Box<Error>),
}

impl From<Barred> for Fault {
    /// Whoever is turned away is not told why.
    fn from(_: Barred) -> Self {
        Fault::Barred
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(StoreError::Closed { .. }) => Fault::Erased,
            error => Fault::Client(Box::new(error)),
        }
    }
}

/// A page without the bar, for what did not work.
#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    pub language: Language,
    pub headline: String,
    pub line: String,
    pub back: String,
    pub back_title: String,
}

/// A page, or what stands in its place.
pub(crate) fn page(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => sealed(StatusCode::OK, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!("a page could not be written");
            sealed(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                error.to_string(),
            )
        }
    }
}

/// A page that brings its own style, marked with `nonce`: once the centre has closed, nobody serves it.
pub(crate) fn last_page(last: &impl Template, nonce: &str) -> Response {
    let mut response = page(last);
    let policy = POLICY.replace("style-src 'self'", &format!("style-src 'nonce-{nonce}'"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A file to keep.
pub(crate) fn file(kind: &'static str, name: &str, text: String) -> Response {
    let mut response = sealed(StatusCode::OK, kind, text);
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    if let Ok(disposition) = disposition {
        response
            .headers_mut()
            .insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// The style sheet.
pub(crate) fn style(text: &'static str) -> Response {
    sealed(StatusCode::OK, "text/css; charset=utf-8", text.to_owned())
}

/// After a form: look at the page again (RFC 9110, section 15.4.4), so that loading it anew repeats nothing.
pub(crate) fn go(path: &str, cookie: Option<&str>) -> Response {
    let mut response = sealed(
        StatusCode::SEE_OTHER,
        "text/plain; charset=utf-8",
        String::new(),
    );
    let headers = response.headers_mut();
    if let Ok(path) = HeaderValue::from_str(path) {
        headers.insert(LOCATION, path);
    }
    if let Some(Ok(cookie)) = cookie.map(HeaderValue::from_str) {
        headers.insert(SET_COOKIE, cookie);
    }
    response
}

impl Fault {
    /// In the person's language, where one is known.
    pub fn answer(&self, language: Language) -> Response {
        let words = words::of(language);
        let (code, headline, line) = match self {
            Fault::Barred => (
                StatusCode::FORBIDDEN,
                "barred.title",
                words.get("barred.lead").to_owned(),
            ),
            // A form without its page has no better words.
            Fault::Form | Fault::Shut => (
                StatusCode::BAD_REQUEST,
                "problem.title",
                words.get("problem.form").to_owned(),
            ),
            Fault::Erased => (
                StatusCode::GONE,
                "erased.title",
                words.get("erased.lead").to_owned(),
            ),
            Fault::Client(error) => {
                let code = match **error {
                    // What was asked for makes no sense.
                    Error::UnknownTopic { .. } | Error::Personal { .. } | Error::Rules { .. } => {
                        StatusCode::BAD_REQUEST
                    }
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                (code, "problem.title", error.to_string())
            }
        };
        let back = match self {
            Fault::Form | Fault::Shut | Fault::Client(_) => "./",
            Fault::Barred | Fault::Erased => "",
        };
        let message = Message {
            language,
            headline: words.get(headline).to_owned(),
            line,
            back: back.to_owned(),
            back_title: words.get("back").to_owned(),
        };
        let mut response = page(&message);
        *response.status_mut() = code;
        response
    }
}

/// With the headers that keep a page to itself.
fn sealed(code: StatusCode, kind: &'static str, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // The folder of the pages is nobody's business, not even that of another server on this machine.
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (code, headers, text).into_response()
}
