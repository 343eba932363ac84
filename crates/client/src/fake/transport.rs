use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use chorus_protocol::{Request, Response};
use chorus_wire::client::SendError;

use super::Desk;
use super::authority::Card;
use crate::{Pass, Transport};

/// What can go wrong on the way to a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call gets nowhere.
    Unreachable,
    /// The call is heard, and its answer is lost: the coordinator acted, and the client does not know.
    AnswerLost,
}

/// One client's way to a [`FakeCoordinator`](crate::FakeCoordinator). Every answer is ready at once. Nothing is handed to the operating
/// system, and [`Client::activity`](crate::Client::activity) says just that: what was said how often, in 0 bytes.
#[derive(Clone)]
pub struct FakeTransport {
    desk: Arc<Mutex<Desk>>,
    card: Card,
    calls: u64,
    troubles: Vec<(Range<u64>, Trouble)>,
}

impl FakeTransport {
    pub(super) fn new(desk: Arc<Mutex<Desk>>, card: Card) -> Self {
        Self {
            desk,
            card,
            calls: 0,
            troubles: Vec::new(),
        }
    }

    /// Calls that are in `calls` will have this trouble; 0 is the next one.
    pub fn trouble(&mut self, calls: Range<u64>, trouble: Trouble) {
        let from = |call: u64| call.saturating_add(self.calls);
        self.troubles
            .push((from(calls.start)..from(calls.end), trouble));
    }

    /// Calls that were made, whatever became of them.
    pub fn calls(&self) -> u64 {
        self.calls
    }
}

impl Transport for FakeTransport {
    async fn send(&mut self, _pass: Pass, request: &Request) -> Result<Response, SendError> {
        let mut troubles = self.troubles.iter();
        let trouble = troubles.find(|(calls, _)| calls.contains(&self.calls));
        let trouble = trouble.map(|(_, trouble)| *trouble);
        self.calls += 1;
        let lost = || Err(SendError::Unreachable("the way is broken".to_owned()));
        if trouble == Some(Trouble::Unreachable) {
            return lost();
        }
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = desk.call(&self.card, request);
        if trouble == Some(Trouble::AnswerLost) {
            return lost();
        }
        answer.map_err(|rejection| SendError::Refused {
            label: rejection.label.to_owned(),
            message: rejection.message,
        })
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        Some(desk.office.identity.public())
    }
}
