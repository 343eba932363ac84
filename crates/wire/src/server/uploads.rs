//! Uploads that are on their way: kept when a stream breaks, so that the next goes on where it stopped.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chorus_protocol::{ClientId, Digest, Response, RoundId};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::Peer;
use crate::{Kind, Rejection, request::Start};

/// An upload without a byte for this long makes room when room is short.
const IDLE: Duration = Duration::from_secs(5);

/// An upload waits for room at most this long, unread: the sender's own window holds it back.
const WAIT: Duration = Duration::from_secs(15);

/// An upload without a byte for this long is asked about: is its round still on?
pub(super) const STALE: Duration = Duration::from_secs(15);

/// An upload without a byte for this long is dropped.
const DEAD: Duration = Duration::from_secs(120);

const NO_ROOM: &str = "upload-room";

pub(super) type Key = (ClientId, RoundId);

/// Every upload of a server.
pub(super) struct Uploads {
    entries: Mutex<HashMap<Key, Entry>>,
    limit: u64,
    turns: AtomicU64,
    freed: Notify,
}

struct Entry {
    peer: Arc<Peer>,
    total: u64,
    sha256: Digest,
    state: State,
    touched: Instant,
    /// Which stream may add, never used again: a stream that was thought broken must not add to what another goes on
    /// with, or began anew.
    turn: u64,
}

enum State {
    Arriving(Vec<u8>),
    InHand,
    Done(Response),
}

/// What a start leads to.
pub(super) enum Begun {
    /// Send the data; it is added by this turn.
    Open(u64),
    /// This very upload was accepted before, and this was the answer.
    Done(Response),
}

impl Entry {
    fn received(&self) -> u64 {
        match &self.state {
            State::Arriving(bytes) => bytes.len() as u64,
            State::InHand | State::Done(_) => self.total,
        }
    }

    /// Bytes that this upload may still come to hold.
    fn room(&self) -> u64 {
        match self.state {
            State::Arriving(_) | State::InHand => self.total,
            State::Done(_) => 0,
        }
    }
}

fn out_of_place(label: &'static str, message: impl Into<String>) -> Rejection {
    Rejection::new(Kind::OutOfPlace, label, message)
}

impl Uploads {
    pub fn new(limit: u64) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
            turns: AtomicU64::new(0),
            freed: Notify::new(),
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
            }) if *sha256 == start.sha256 => Some(response.clone()),
            _ => None,
        }
    }

    /// As [`begin`](Self::begin), but waits a while for room.
    pub async fn enter(&self, peer: &Arc<Peer>, start: &Start) -> Result<Begun, Rejection> {
        let deadline = Instant::now() + WAIT;
        loop {
            let freed = self.freed.notified();
            match self.begin(peer, start, Instant::now()) {
                Err(full) if full.label == NO_ROOM => {
                    // Uploads that fell silent make room without a word: look again now and then.
                    let next = deadline.min(Instant::now() + IDLE / 5);
                    if Instant::now() >= deadline {
                        return Err(full);
                    }
                    let _woken = timeout_at(next, freed).await;
                }
                begun => return begun,
            }
        }
    }

    /// Begins or goes on.
    pub fn begin(&self, peer: &Arc<Peer>, start: &Start, now: Instant) -> Result<Begun, Rejection> {
        let mut entries = self.entries();
        let key = (peer.id, start.round);
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = entries.get_mut(&key) {
            let is_same = entry.sha256 == start.sha256 && entry.total == start.total;
            match &mut entry.state {
                State::Done(response) if is_same => return Ok(Begun::Done(response.clone())),
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
                    entry.turn = turn;
                    entry.touched = now;
                    return Ok(Begun::Open(entry.turn));
                }
                State::Arriving(_) => {}
            }
        }
        if start.offset != 0 {
            let here = entries
                .get(&key)
                .filter(|entry| entry.sha256 == start.sha256)
                .map_or(0, Entry::received);
            let message = format!(
                "field `UploadStart.offset`: {here} bytes are here, found {}",
                start.offset
            );
            return Err(out_of_place("upload-offset", message));
        }
        entries.remove(&key);
        self.make_room(&mut entries, start.total, now)?;
        let state = State::Arriving(Vec::new());
        let (total, sha256) = (start.total, start.sha256);
        entries.insert(
            key,
            Entry {
                peer: peer.clone(),
                total,
                sha256,
                state,
                touched: now,
                turn,
            },
        );
        Ok(Begun::Open(turn))
    }

    fn make_room(
        &self,
        entries: &mut HashMap<Key, Entry>,
        wanted: u64,
        now: Instant,
    ) -> Result<(), Rejection> {
        let held = |entries: &HashMap<Key, Entry>| entries.values().map(Entry::room).sum::<u64>();
        if held(entries).saturating_add(wanted) > self.limit {
            let is_idle = |entry: &Entry| {
                matches!(entry.state, State::Arriving(_)) && now - entry.touched > IDLE
            };
            entries.retain(|_, entry| !is_idle(entry));
        }
        // One upload alone always has room: the service has said how long it may be.
        let held = held(entries);
        if held > 0 && held.saturating_add(wanted) > self.limit {
            let message = "too many uploads are on their way; try again in a few seconds";
            return Err(Rejection::new(Kind::Busy, NO_ROOM, message));
        }
        Ok(())
    }

    /// Adds data. Gives the whole when it is all there, to be handed on: then [`Uploads::end`] must follow.
    pub fn add(
        &self,
        key: Key,
        turn: u64,
        data: &[u8],
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
        if bytes.is_empty() {
            bytes.reserve_exact(usize::try_from(*total).unwrap_or_default());
        }
        bytes.extend_from_slice(data);
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
                entry.state = State::Done(answer);
                entry.touched = now;
            }
            (Some(_), None) => {
                entries.remove(&key);
            }
            (None, _) => {}
        }
        drop(entries);
        self.freed.notify_waiters();
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
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{Enrolled, Role};

    fn peer(key: u8) -> Arc<Peer> {
        let enrolled = Enrolled {
            key: [key; 32],
            role: Role::Client,
            not_before: 0,
            not_after: 1,
            serial: vec![key],
        };
        Arc::new(Peer::new(&[], enrolled))
    }

    fn start(total: u64, offset: u64) -> Start {
        Start {
            round: RoundId(1),
            total,
            sha256: Digest([1; 32]),
            offset,
        }
    }

    fn open(begun: Result<Begun, Rejection>) -> u64 {
        match begun {
            Ok(Begun::Open(turn)) => turn,
            Ok(Begun::Done(_)) => panic!("done"),
            Err(rejection) => panic!("{rejection}"),
        }
    }

    fn label<T>(result: Result<T, Rejection>) -> &'static str {
        result.err().map_or("none", |rejection| rejection.label)
    }

    #[test]
    fn a_stream_that_was_thought_broken_adds_nothing() {
        let (uploads, now, peer) = (Uploads::new(100), Instant::now(), peer(1));
        let key = (peer.id, RoundId(1));
        let first = open(uploads.begin(&peer, &start(10, 0), now));
        assert_eq!(uploads.add(key, first, &[1; 6], now), Ok(None));
        let second = open(uploads.begin(&peer, &start(10, 4), now));
        assert_eq!(
            label(uploads.add(key, first, &[9; 4], now)),
            "upload-superseded"
        );
        // Also not to one that was begun anew after the first was forgotten.
        uploads.forget(key);
        let third = open(uploads.begin(&peer, &start(10, 0), now));
        assert_eq!(
            label(uploads.add(key, first, &[9; 4], now)),
            "upload-superseded"
        );
        assert_eq!(
            label(uploads.add(key, second, &[9; 4], now)),
            "upload-superseded"
        );
        assert_eq!(
            uploads.add(key, third, &[2; 10], now),
            Ok(Some(vec![2; 10]))
        );
        assert_eq!(
            label(uploads.begin(&peer, &start(10, 0), now)),
            "upload-in-hand"
        );
        uploads.end(key, Some(Response::Accepted), now);
        assert!(matches!(
            uploads.begin(&peer, &start(10, 0), now),
            Ok(Begun::Done(Response::Accepted))
        ));
        assert_eq!(uploads.status(key), Some((10, Digest([1; 32]))));
    }

    #[test]
    fn room_is_made_by_those_who_do_not_get_on() {
        let (uploads, now) = (Uploads::new(25), Instant::now());
        let (one, two, three) = (peer(1), peer(2), peer(3));
        open(uploads.begin(&one, &start(10, 0), now));
        open(uploads.begin(&two, &start(10, 0), now));
        assert_eq!(
            label(uploads.begin(&three, &start(10, 0), now)),
            "upload-room"
        );
        let later = now + IDLE + Duration::from_secs(1);
        let turn = open(uploads.begin(&two, &start(10, 0), later));
        open(uploads.begin(&three, &start(10, 0), later));
        assert_eq!(uploads.status((one.id, RoundId(1))), None);
        assert_eq!(
            uploads.add((two.id, RoundId(1)), turn, &[1], later),
            Ok(None)
        );
    }

    #[test]
    fn nothing_stays_for_ever() {
        let (uploads, now, peer) = (Uploads::new(100), Instant::now(), peer(1));
        let key = (peer.id, RoundId(1));
        open(uploads.begin(&peer, &start(10, 0), now));
        assert!(uploads.stale(now + STALE).is_empty());
        assert_eq!(uploads.stale(now + STALE + Duration::from_secs(1)).len(), 1);
        assert!(uploads.stale(now + DEAD).is_empty());
        assert_eq!(uploads.status(key), None);
    }
}
