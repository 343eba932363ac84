//! Uploads that are on their way: kept when a stream breaks, so that the next goes on where it stopped.
//!
//! An upload begins only when there is room for the whole of it, and gives the room back when it was taken in, refused
//! or dropped. One that waits is not read: HTTP/2 stops its sender at [`crate::limits::STREAM_WINDOW_BYTES`].

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chorus_protocol::{ClientId, Digest, Response, RoundId};
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use super::Peer;
use crate::{
    Kind, Rejection,
    limits::{SLOWEST_BYTES_PER_SECOND, STREAM_WINDOW_BYTES},
    request::Start,
};

/// An upload without a byte for this long makes room when room is short.
const IDLE: Duration = Duration::from_secs(5);

/// An upload waits for room at most this long.
const WAIT: Duration = Duration::from_secs(15);

/// How often an upload that waits looks for others that fell silent.
const LOOK: Duration = Duration::from_secs(1);

/// An upload without a byte for this long is asked about: is its round still on?
pub(super) const STALE: Duration = Duration::from_secs(15);

/// An upload without a byte for this long is dropped.
const DEAD: Duration = Duration::from_secs(120);

/// However little room there is, so many uploads may wait for it.
const WAITING: u64 = 16;

pub(super) type Key = (ClientId, RoundId);

/// Every upload of a server.
pub(super) struct Uploads {
    entries: Mutex<HashMap<Key, Entry>>,
    /// One permit for each byte that may be held. First come, first served, so that none waits for ever.
    room: Arc<Semaphore>,
    limit: u64,
    /// One permit for each upload that may wait, because a little of each is read before its sender stops.
    seats: Semaphore,
    turns: AtomicU64,
}

struct Entry {
    peer: Arc<Peer>,
    total: u64,
    sha256: Digest,
    state: State,
    touched: Instant,
    /// When the present stream began, and how much was here then.
    opened: (Instant, u64),
    /// Which stream may add, never used again: a stream that was thought broken must not add to what another goes on
    /// with, or began anew.
    turn: u64,
    /// Given back when the bytes are gone.
    room: Option<OwnedSemaphorePermit>,
}

enum State {
    Arriving(Vec<u8>),
    InHand,
    Done(Box<Response>),
}

/// What a start leads to.
pub(super) enum Begun {
    /// Send the data; it is added by this turn.
    Open(u64),
    /// This very upload was accepted before, and this was the answer.
    Done(Box<Response>),
}

impl Entry {
    fn received(&self) -> u64 {
        match &self.state {
            State::Arriving(bytes) => bytes.len() as u64,
            State::InHand | State::Done(_) => self.total,
        }
    }

    /// True when it makes room for others: nothing came for a while, or it comes so slowly that it only takes up room.
    fn lags(&self, now: Instant) -> bool {
        let (since, before) = self.opened;
        let came = self.received().saturating_sub(before);
        let due = IDLE + Duration::from_secs(came / SLOWEST_BYTES_PER_SECOND);
        let is_late = now.saturating_duration_since(self.touched) > IDLE
            || now.saturating_duration_since(since) > due;
        matches!(self.state, State::Arriving(_)) && is_late
    }
}

fn out_of_place(label: &'static str, message: impl Into<String>) -> Rejection {
    Rejection::new(Kind::OutOfPlace, label, message)
}

fn no_room() -> Rejection {
    let message = "too many uploads are on their way; try again in a few seconds";
    Rejection::new(Kind::Busy, "upload-room", message)
}

impl Uploads {
    /// At most `limit` bytes of uploads at once, or one upload that is longer.
    pub fn new(limit: u64) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS as u64);
        let seats = (limit / u64::from(STREAM_WINDOW_BYTES)).max(WAITING);
        Self {
            entries: Mutex::default(),
            room: Arc::new(Semaphore::new(permits(limit))),
            limit,
            seats: Semaphore::new(permits(seats)),
            turns: AtomicU64::new(0),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that have arrived, and the digest that was announced.
    pub fn status(&self, key: Key) -> Option<(u64, Digest)> {
        self.entries()
            .get(&key)
            .map(|entry| (entry.received(), entry.sha256))
    }

    /// The answer to an upload that was accepted before.
    pub fn done(&self, key: Key, start: &Start) -> Option<Response> {
        match self.entries().get(&key) {
            Some(Entry {
                sha256,
                state: State::Done(response),
                ..
            }) if *sha256 == start.sha256 => Some(Response::clone(response)),
            _ => None,
        }
    }

    /// Begins or goes on, and waits a while for room to begin in.
    pub async fn begin(&self, peer: &Arc<Peer>, start: &Start) -> Result<Begun, Rejection> {
        let key = (peer.id, start.round);
        if let Some(begun) = self.go_on(&mut self.entries(), key, start, Instant::now())? {
            return Ok(begun);
        }
        let room = self.room(start.total).await?;
        let mut entries = self.entries();
        let now = Instant::now();
        // The same upload may have begun in another stream while this one waited.
        if let Some(begun) = self.go_on(&mut entries, key, start, now)? {
            return Ok(begun);
        }
        let turn = self.turn();
        let entry = Entry {
            peer: peer.clone(),
            total: start.total,
            sha256: start.sha256,
            state: State::Arriving(Vec::new()),
            touched: now,
            opened: (now, 0),
            turn,
            room: Some(room),
        };
        entries.insert(key, entry);
        Ok(Begun::Open(turn))
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Goes on with what is here; nothing when the upload must begin, and then what is here is dropped.
    fn go_on(
        &self,
        entries: &mut HashMap<Key, Entry>,
        key: Key,
        start: &Start,
        now: Instant,
    ) -> Result<Option<Begun>, Rejection> {
        let mut here = 0;
        if let Some(entry) = entries.get_mut(&key) {
            let is_same = entry.sha256 == start.sha256 && entry.total == start.total;
            match &mut entry.state {
                State::Done(response) if is_same => return Ok(Some(Begun::Done(response.clone()))),
                State::Done(_) => {
                    return Err(out_of_place(
                        "duplicate",
                        "another upload of this client was accepted in this round",
                    ));
                }
                State::InHand => {
                    return Err(Rejection::new(
                        Kind::Busy,
                        "upload-in-hand",
                        "the upload is being taken in; ask again",
                    ));
                }
                State::Arriving(bytes) if is_same && start.offset <= bytes.len() as u64 => {
                    bytes.truncate(usize::try_from(start.offset).unwrap_or(usize::MAX));
                    entry.turn = self.turn();
                    entry.touched = now;
                    entry.opened = (now, start.offset);
                    return Ok(Some(Begun::Open(entry.turn)));
                }
                State::Arriving(bytes) if entry.sha256 == start.sha256 => here = bytes.len(),
                State::Arriving(_) => {}
            }
        }
        if start.offset != 0 {
            let message = format!(
                "field `UploadStart.offset`: {here} bytes are here, found {}",
                start.offset
            );
            return Err(out_of_place("upload-offset", message));
        }
        entries.remove(&key);
        Ok(None)
    }

    /// Room for an upload of so many bytes. One that is longer than all the room there is gets all of it: the service
    /// has said how long it may be.
    async fn room(&self, total: u64) -> Result<OwnedSemaphorePermit, Rejection> {
        let wanted = u32::try_from(total.min(self.limit)).map_err(|_| no_room())?;
        if let Ok(room) = self.room.clone().try_acquire_many_owned(wanted) {
            return Ok(room);
        }
        let _seat = self.seats.try_acquire().map_err(|_| no_room())?;
        let deadline = Instant::now() + WAIT;
        let mut freed = pin!(self.room.clone().acquire_many_owned(wanted));
        while Instant::now() < deadline {
            let now = Instant::now();
            let pause = match self.drop_laggard(now) {
                true => Duration::ZERO,
                false => LOOK,
            };
            select! {
                biased;
                room = &mut freed => return room.map_err(|_| Rejection::broken()),
                () = sleep_until(deadline.min(now + pause)) => {}
            }
        }
        Err(no_room())
    }

    /// Drops the upload that was silent for longest of those that lag; false when none does.
    fn drop_laggard(&self, now: Instant) -> bool {
        let mut entries = self.entries();
        let laggards = entries.iter().filter(|(_, entry)| entry.lags(now));
        let longest = laggards.min_by_key(|(_, entry)| entry.touched);
        let key = longest.map(|(key, _)| *key);
        key.is_some_and(|key| entries.remove(&key).is_some())
    }

    /// Adds data. Gives the whole when it is all there, to be handed on: then [`Uploads::end`] must follow.
    pub fn add(
        &self,
        key: Key,
        turn: u64,
        data: Vec<u8>,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Rejection> {
        let mut entries = self.entries();
        let entry = entries.get_mut(&key).filter(|entry| entry.turn == turn);
        let Some(Entry {
            state: state @ State::Arriving(_),
            total,
            touched,
            ..
        }) = entry
        else {
            return Err(out_of_place(
                "upload-superseded",
                "this upload went on in another stream, or was dropped",
            ));
        };
        let State::Arriving(bytes) = &mut *state else {
            return Err(Rejection::broken());
        };
        if (bytes.len() + data.len()) as u64 > *total {
            let message = format!(
                "field `UploadChunk.data`: more than the {total} bytes that were announced"
            );
            entries.remove(&key);
            return Err(Rejection::new(Kind::Malformed, "field-too-long", message));
        }
        if data.len() as u64 == *total {
            *bytes = data;
        } else if !data.is_empty() {
            // At once for the whole: a vector that grows would hold it twice.
            let missing = usize::try_from(*total).unwrap_or_default() - bytes.len();
            bytes.reserve_exact(missing);
            bytes.extend_from_slice(&data);
        } else if (bytes.len() as u64) < *total {
            // Nothing came: it does not count as a sign of life.
            return Ok(None);
        }
        *touched = now;
        if (bytes.len() as u64) < *total {
            return Ok(None);
        }
        let bytes = std::mem::take(bytes);
        *state = State::InHand;
        Ok(Some(bytes))
    }

    /// The answer to an upload that was handed on. A refused one leaves nothing behind.
    pub fn end(&self, key: Key, answer: Option<Response>, now: Instant) {
        let mut entries = self.entries();
        match (entries.get_mut(&key), answer) {
            (Some(entry), Some(answer)) => {
                entry.state = State::Done(Box::new(answer));
                entry.touched = now;
                entry.room = None;
            }
            (Some(_), None) => {
                entries.remove(&key);
            }
            (None, _) => {}
        }
    }

    /// Drops what has been dead for long; gives what has been still for a while, to ask whether its round is on.
    pub fn stale(&self, now: Instant) -> Vec<(Key, Arc<Peer>)> {
        let mut entries = self.entries();
        entries.retain(|_, entry| {
            !matches!(entry.state, State::Arriving(_)) || now - entry.touched < DEAD
        });
        entries
            .iter()
            .filter(|(_, entry)| {
                now - entry.touched > STALE && !matches!(entry.state, State::InHand)
            })
            .map(|(key, entry)| (*key, entry.peer.clone()))
            .collect()
    }

    /// Drops an upload whose round is over.
    pub fn forget(&self, key: Key) {
        self.entries().remove(&key);
    }
}

fn permits(count: u64) -> usize {
    usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests;
