#![doc = include_str!("../README.md")]

mod answer;
mod drawing;
mod entry;
mod forms;
mod frame;
mod pages;
mod place;
mod serving;
mod visit;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use chorus_client::{Client, KeyStore, Language, Purpose};
use chorus_model::Engine;
use chorus_protocol::TaskName;
use chorus_wire::Clock;
use rand_core::CryptoRng;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::entry::Entry;
use crate::place::{Place, Shut};
use crate::serving::MAX_FORM_BYTES;

/// Opens the client at a time, seconds since 1970 UTC.
pub type Opening = dyn Fn(i64) -> Result<Client, chorus_client::Error> + Send + Sync;

/// What the pages are about.
pub struct About {
    /// Opens the client: when the centre opens, and when the person tries again what did not open or was not erased to the end.
    pub open: Box<Opening>,
    /// The client's folder.
    pub home: PathBuf,
    /// What the person calls the app.
    pub app: String,
    /// The task whose model ranks; without one, there are no lists.
    pub task: Option<TaskName>,
    /// What ranks.
    pub engine: Box<dyn Engine + Send + Sync>,
    /// What keeps the key of the client's store, for the day when everything is erased.
    pub keys: Box<dyn KeyStore + Send + Sync>,
    /// Purposes of those that need the app ([`Purpose::needs_the_app`]) which this app has built. The others are not offered: a
    /// switch that does nothing would be a lie.
    pub built: BTreeSet<Purpose>,
    /// The language of those whose browser asks for none that the pages are written in.
    pub language: Language,
    /// The time.
    pub clock: Clock,
}

/// Why the centre cannot open.
#[derive(Debug, Error)]
pub enum Error {
    /// It is for the person at this machine alone.
    #[error(
        "the privacy centre listens on this machine alone: {0} is not a loopback address; take 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The network of this machine.
    #[error("the privacy centre cannot listen ({0}): choose another port, or 0 for any")]
    Listen(#[from] std::io::Error),
}

/// The privacy centre of one client: pages on this machine, for the person in front of it.
///
/// # Privacy
/// Shows everything that is known about the person to who holds the one-time address. Sends nothing anywhere: pages ask no
/// other computer, and hold no script.
pub struct Centre {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all requests share.
pub(crate) struct Shared {
    place: Mutex<Place>,
    entry: Mutex<Entry>,
    about: About,
    /// Says that all was erased, so that the centre closes.
    erased: tokio::sync::Notify,
}

impl Shared {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self) -> MutexGuard<'_, Entry> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Centre {
    /// Opens the client, and the centre on a listener of this machine. A client that does not open can still be erased here.
    ///
    /// # Errors
    /// [`Error::NotLoopback`] for an address that others can reach.
    pub fn open(
        about: About,
        listener: TcpListener,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address));
        }
        Ok(Self {
            listener,
            shared: Arc::new(Shared {
                place: Mutex::new(Place::open(&about)),
                entry: Mutex::new(Entry::new(address.to_string(), rng)),
                about,
                erased: tokio::sync::Notify::new(),
            }),
        })
    }

    /// The address to open in a browser. It works once.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        self.shared.entry().address()
    }

    /// Why the client does not open, if it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &*self.shared.place() {
            Place::Shut(Shut { reason, .. }) => Some(reason.to_string()),
            Place::Open(_) | Place::Erased => None,
        }
    }

    /// Serves the pages until `shutdown` is ready, or until the person erased everything.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let (shared, pages) = (self.shared.clone(), routes(self.shared.clone()));
        let end = async move {
            tokio::select! {
                () = shutdown => {}
                () = shared.erased.notified() => {}
            }
        };
        serving::serve(self.listener, self.shared, pages, end).await;
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/enter", get(pages::enter))
        .route("/style.css", get(pages::style))
        .route("/", get(pages::overview::show))
        .route("/choices", get(pages::choices::show))
        .route("/taste", get(pages::taste::show))
        .route("/why", get(pages::why::show))
        .route("/sharing", get(pages::sharing::show))
        .route("/data", get(pages::data::show))
        .route("/language", get(pages::language))
        .route("/receipt", get(pages::receipt))
        .route("/export", get(pages::data::export))
        .route("/decide", post(forms::decide))
        .route("/level", post(forms::level))
        .route("/control", post(forms::control))
        .route("/correct", post(forms::correct))
        .route("/remove", post(forms::remove))
        .route("/reset", post(forms::reset))
        .route("/open", post(forms::open))
        .route("/erase", post(forms::erase))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(from_fn_with_state(shared.clone(), visit::explained))
        .with_state(shared)
}
