//! Who is looking: every page and every form begins with a visit, and none begins without.

use std::sync::Arc;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use chorus_client::{Client, Consent, Language, Purpose, State as Stands};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Shared;
use crate::answer::Fault;
use crate::frame::{Frame, Page};
use crate::pages::shut;
use crate::place::Place;
use crate::words::{self, Words};

/// Name of the cookie that remembers a language.
pub(crate) const LANGUAGE_COOKIE: &str = "chorus_language";

/// A request of the person who came in.
pub(crate) struct Visit {
    pub shared: Arc<Shared>,
    pub language: Language,
}

impl Visit {
    /// The frame of a page.
    pub fn frame(&self, here: Page) -> Frame {
        Frame {
            app: self.shared.about.app.clone(),
            here,
            language: self.language,
            proof: self.shared.entry().proof().to_owned(),
        }
    }

    /// Asks the client something, where there is one.
    pub fn with<T>(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<T, chorus_client::Error>,
    ) -> Result<T, Fault> {
        match &mut *self.shared.place() {
            Place::Open(client) => Ok(ask(client)?),
            Place::Shut(_) => Err(Fault::Shut),
            Place::Erased => Err(Fault::Erased),
        }
    }

    /// Whether a yes would do anything.
    pub fn offers(&self, purpose: Purpose) -> bool {
        !purpose.needs_the_app() || self.shared.about.built.contains(&purpose)
    }

    /// How the purposes stand that the person has a switch for: those that are offered, and what is on whatever it is.
    pub fn consents(&self, client: &Client) -> Result<Vec<Consent>, chorus_client::Error> {
        let mut consents = client.consents(self.now())?;
        let is_on = |consent: &Consent| consent.state == Stands::Granted;
        consents.retain(|consent| self.offers(consent.purpose) || is_on(consent));
        Ok(consents)
    }

    pub fn words(&self) -> &'static Words {
        words::of(self.language)
    }

    /// The time, seconds since 1970 UTC.
    pub fn now(&self) -> i64 {
        self.shared.about.clock.now()
    }
}

impl FromRequestParts<Arc<Shared>> for Visit {
    type Rejection = Fault;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        shared.entry().check(&parts.headers)?;
        Ok(Self {
            shared: shared.clone(),
            language: language(shared, &parts.headers),
        })
    }
}

/// A form that one of the centre's own pages sent, and the visit that it belongs to.
pub(crate) struct Posted<T> {
    pub visit: Visit,
    pub form: T,
}

/// What every form brings besides.
#[derive(Deserialize)]
struct Sent<T> {
    proof: String,
    #[serde(flatten)]
    form: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Posted<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        // Who asks comes first: a stranger learns nothing about forms.
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, shared).await?;
        let request = Request::from_parts(parts, body);
        let form = Form::<Sent<T>>::from_request(request, shared).await;
        let Form(Sent { proof, form }) = form.map_err(|_| Fault::Form)?;
        match shared.entry().proves(&proof) {
            true => Ok(Self { visit, form }),
            false => Err(Fault::Form),
        }
    }
}

/// Puts what did not work into the words of who asked.
pub(crate) async fn explained(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let language = language(&shared, request.headers());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Arc<Fault>>() {
        // Only who came in meets this one.
        Some(fault) if matches!(*fault, Fault::Shut) => shut::show(&shared, language),
        Some(fault) => fault.answer(language),
        None => response,
    }
}

/// The language that the person chose, or that the browser asks for, or that the app names.
fn language(shared: &Shared, headers: &HeaderMap) -> Language {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let chosen = text(COOKIE)
        .into_iter()
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == LANGUAGE_COOKIE).then(|| words::from_code(value))?);
    chosen
        .or_else(|| words::accepted(text(ACCEPT_LANGUAGE)?))
        .unwrap_or(shared.about.language)
}
