//! What clients hear. Every answer comes from a desk or, for what is over, from the store.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chorus_protocol::{
    Awaited, ClientId, Digest, Message, Reject, Request, Response, RoundId, TaskName,
};
use chorus_wire::limits::LOG_ENTRIES_PER_ANSWER;
use chorus_wire::server::{Peer, Service};
use chorus_wire::{Kind, Rejection, Shape};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::desk::{Answer, Call, Common, News};
use crate::store::{self, RoundState, RowError, TaskState};

/// How a desk is reached.
#[derive(Clone)]
pub(crate) struct Handle {
    pub calls: mpsc::Sender<Call>,
    pub news: watch::Receiver<News>,
}

/// Handles are the same when they reach the same desk; one that has ended is still another than none.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        self.calls.same_channel(&other.calls)
    }
}

/// A task as the service knows it.
#[derive(Clone, PartialEq)]
pub(crate) struct Place {
    pub state: TaskState,
    pub desk: Option<Handle>,
}

/// Every task.
pub(crate) type Places = BTreeMap<TaskName, Place>;

/// The coordinator, as the wire drives it.
pub(crate) struct Coordinator {
    common: Arc<Common>,
    places: watch::Receiver<Arc<Places>>,
    tickets: AtomicU64,
}

/// What comes for a round that is over.
#[derive(Clone, Copy)]
enum Late {
    Await,
    Unmask,
    Message,
}

/// A client whose long poll ended without a round asks again after so many milliseconds.
const AGAIN: u64 = 50;

impl Handle {
    /// Brings a call to the desk. Nothing when the desk is gone.
    pub(crate) async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(call(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Tells the desk when a check-in breaks off: its client is not waiting any more.
struct Waiting<'a> {
    desk: &'a Handle,
    client: ClientId,
    ticket: u64,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let (client, ticket) = (self.client, self.ticket);
            // A desk that is too busy to hear it finds out when the client is not fresh any more.
            let _full = self.desk.calls.try_send(Call::Leave { client, ticket });
        }
    }
}

impl Coordinator {
    pub fn new(common: Arc<Common>, places: watch::Receiver<Arc<Places>>) -> Self {
        Self {
            common,
            places,
            tickets: AtomicU64::new(0),
        }
    }

    async fn check_in(&self, peer: &Peer, task: &TaskName) -> Result<Response, Rejection> {
        let deadline = Instant::now() + self.common.config.long_poll();
        let mut places = self.places.clone();
        loop {
            let place = places.borrow_and_update().get(task).cloned();
            match place {
                None => {
                    let message = format!("there is no task `{task}` here; check the name");
                    return Err(Rejection::new(Kind::Unknown, "unknown-task", message));
                }
                Some(Place {
                    desk: Some(desk), ..
                }) => {
                    if let Some(response) = self.invited(peer, &desk, deadline).await? {
                        return Ok(response);
                    }
                }
                Some(Place { state, .. }) if state.is_final() => return Ok(Response::Finished),
                Some(_) => {}
            }
            // The task is not running, or its desk just ended.
            tokio::select! {
                changed = places.changed() => {
                    if changed.is_err() {
                        return Ok(Response::Wait { milliseconds: 1_000 });
                    }
                }
                () = sleep_until(deadline) => return Ok(Response::Wait { milliseconds: AGAIN }),
            }
        }
    }

    /// Waits for an invitation. Nothing when the desk ends meanwhile.
    async fn invited(
        &self,
        peer: &Peer,
        desk: &Handle,
        deadline: Instant,
    ) -> Result<Option<Response>, Rejection> {
        let (client, mut news) = (peer.id, desk.news.clone());
        loop {
            let opened = news.borrow_and_update().opened;
            let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
            let mut waiting = Waiting {
                desk,
                client,
                ticket,
                answered: false,
            };
            let answer = desk
                .ask(|answer| Call::CheckIn {
                    client,
                    ticket,
                    answer,
                })
                .await;
            let response = match answer {
                Some(Ok(Response::Pending)) => None,
                Some(response) => Some(response?),
                None => {
                    waiting.answered = true;
                    return Ok(None);
                }
            };
            if response.is_some() {
                waiting.answered = true;
                return Ok(response);
            }
            tokio::select! {
                grown = news.wait_for(|news| news.opened != opened) => {
                    waiting.answered = true;
                    if grown.is_err() {
                        return Ok(None);
                    }
                }
                () = sleep_until(deadline) => {
                    waiting.answered = true;
                    return Ok(Some(Response::Wait { milliseconds: AGAIN }));
                }
            }
            self.admit(peer)?;
        }
    }

    async fn wait(
        &self,
        peer: &Peer,
        round: RoundId,
        awaited: Awaited,
    ) -> Result<Response, Rejection> {
        let deadline = Instant::now() + self.common.config.long_poll();
        let client = peer.id;
        loop {
            let Some(desk) = self.desk_of(round) else {
                return self.past(round, Late::Await).await;
            };
            let mut news = desk.news.clone();
            let steps = news.borrow_and_update().steps;
            match desk
                .ask(|answer| Call::Await {
                    client,
                    round,
                    awaited,
                    answer,
                })
                .await
            {
                Some(Ok(Response::Pending)) => {}
                None | Some(Err(Reject::UnknownRound(_))) => {
                    return self.past(round, Late::Await).await;
                }
                Some(answer) => return Ok(answer?),
            }
            tokio::select! {
                // An error means that the desk ended; the next turn finds that out.
                _ = news.wait_for(|news| news.steps != steps) => {}
                () = sleep_until(deadline) => return Ok(Response::Pending),
            }
            self.admit(peer)?;
        }
    }

    async fn message(
        &self,
        peer: &Peer,
        round: RoundId,
        message: Message,
    ) -> Result<Response, Rejection> {
        let client = peer.id;
        let late = match &message {
            Message::Unmask(_) => Late::Unmask,
            Message::Endorse(_) => Late::Unmask,
            _ => Late::Message,
        };
        let Some(desk) = self.desk_of(round) else {
            return self.past(round, late).await;
        };
        let call = |answer: Answer| Call::Message {
            client,
            round,
            message,
            answer,
        };
        match desk.ask(call).await {
            None | Some(Err(Reject::UnknownRound(_))) => self.past(round, late).await,
            Some(answer) => Ok(answer?),
        }
    }

    fn desk_of(&self, round: RoundId) -> Option<Handle> {
        let places = self.places.borrow();
        let mut desks = places.values().filter_map(|place| place.desk.as_ref());
        desks
            .find(|desk| desk.news.borrow().round == Some(round))
            .cloned()
    }

    /// What is still to be said of a round that no desk holds any more: the same as a desk that holds it would say.
    async fn past(&self, round: RoundId, late: Late) -> Result<Response, Rejection> {
        let state = self
            .look(move |connection| store::rounds::state(connection, round))
            .await?;
        match (state, late) {
            (Some(RoundState::Aborted { reason }), _) => Ok(Response::Aborted { reason }),
            (Some(RoundState::Completed { version }), Late::Await) => {
                Ok(Response::Completed { version })
            }
            (Some(RoundState::Completed { .. }), Late::Unmask) => Ok(Response::Accepted),
            (Some(RoundState::Completed { .. }), Late::Message) => Err(Reject::LeftOut.into()),
            (Some(RoundState::Running), _) => {
                let message = "the coordinator is restarting this task; ask again in a moment";
                Err(Rejection::new(Kind::Busy, "restarting", message))
            }
            (None, _) => Err(Reject::UnknownRound(round.0).into()),
        }
    }

    /// Looks something up in the store, off the threads that answer calls.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&store::Connection) -> Result<T, RowError> + Send + 'static,
    ) -> Result<T, Rejection> {
        let common = self.common.clone();
        let looked = tokio::task::spawn_blocking(move || common.store.read(question)).await;
        match looked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "the store could not be read");
                Err(Rejection::broken())
            }
            Err(_) => Err(Rejection::broken()),
        }
    }
}

impl Service for Coordinator {
    fn admit(&self, peer: &Peer) -> Result<(), Rejection> {
        if peer.not_after < self.common.clock.wall().now() {
            let message = "the certificate has expired; enrol again with a new invitation";
            return Err(Rejection::new(Kind::Forbidden, "expired", message));
        }
        if self.common.revoked.names(&peer.id, &peer.serial) {
            let message = "the certificate was revoked by the enrolment authority; ask it for a new invitation";
            return Err(Rejection::new(Kind::Forbidden, "revoked", message));
        }
        Ok(())
    }

    fn refused(&self, label: &str) {
        self.common.refusals.count(label);
    }

    async fn handle(&self, peer: &Peer, request: Request) -> Result<Response, Rejection> {
        self.admit(peer)?;
        match request {
            Request::CheckIn { task } => self.check_in(peer, &task).await,
            Request::FetchLog { from } => {
                let page = move |connection: &store::Connection| {
                    store::log::page(connection, from, LOG_ENTRIES_PER_ANSWER)
                };
                self.look(page).await.map(Response::Log)
            }
            Request::FetchModel { digest, offset } => {
                let model = self.model(peer, digest).await?;
                let begin = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = model.get(begin..).unwrap_or_default().to_vec();
                Ok(Response::Model {
                    offset,
                    total: model.len() as u64,
                    bytes,
                })
            }
            Request::AdvertiseKeys {
                round,
                keys,
                signature,
            } => {
                let (key, certificate) = (peer.key, peer.certificate.clone());
                let message = Message::Advertise {
                    key,
                    certificate,
                    keys,
                    signature,
                };
                self.message(peer, round, message).await
            }
            Request::ShareKeys { round, sealed } => {
                self.message(peer, round, Message::Share(sealed)).await
            }
            Request::ConfirmShares { round, unopenable } => {
                self.message(peer, round, Message::Confirm(unopenable))
                    .await
            }
            Request::Upload { round, update } => {
                self.message(peer, round, Message::Upload(update)).await
            }
            Request::Endorse { round, signature } => {
                self.message(peer, round, Message::Endorse(signature)).await
            }
            Request::Unmask { round, revealed } => {
                self.message(peer, round, Message::Unmask(revealed)).await
            }
            Request::Await { round, awaited } => self.wait(peer, round, awaited).await,
        }
    }

    async fn model(&self, peer: &Peer, digest: Digest) -> Result<Arc<[u8]>, Rejection> {
        self.admit(peer)?;
        let newest = |place: &Place| {
            let desk = place.desk.as_ref()?;
            let news = desk.news.borrow();
            news.model
                .as_ref()
                .filter(|(held, _)| *held == digest)
                .map(|(_, file)| file.clone())
        };
        if let Some(file) = self.places.borrow().values().find_map(newest) {
            return Ok(file);
        }
        let file = self
            .look(move |connection| store::models::file(connection, &digest))
            .await?;
        file.map(Arc::from).ok_or_else(|| {
            let message =
                "no version of a model has this digest, or it was dropped; fetch the log again";
            Rejection::new(Kind::Unknown, "unknown-model", message)
        })
    }

    async fn upload_shape(&self, peer: &Peer, round: RoundId) -> Result<Shape, Rejection> {
        self.admit(peer)?;
        let client = peer.id;
        let unknown = Reject::UnknownRound(round.0);
        let Some(desk) = self.desk_of(round) else {
            return Err(unknown.into());
        };
        let shape = desk
            .ask(|answer| Call::UploadShape {
                client,
                round,
                answer,
            })
            .await;
        Ok(shape.unwrap_or(Err(unknown))?)
    }
}
