//! One running task. A desk has a thread of its own, and everything of its task passes through one short loop:
//! wait, handle, persist, then answer. It shares no lock with anyone, so that unmasking a large sum or waiting for
//! the disk holds up nobody else's calls and no handshake.

mod ending;
mod opening;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chorus_model::{Learning, Sum};
use chorus_protocol::{
    Awaited, ClientId, Digest, Event, Identity, Input, Invitation, Message, Millis, Phase, Privacy,
    Question, Record, Reject, Response, Round, RoundId, Task, Testimony,
};
use chorus_wire::Shape;
use chorus_wire::client::SendError;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::DeskError;
use crate::gathering::{Gathering, Need};
use crate::refusals::Refusals;
use crate::revocation::Revoked;
use crate::store::{self, Store, TaskState, Wanted};
use crate::{Clock, Config};
use witness::Asked;
pub(crate) use witness::Witness;

/// What every desk works with.
pub(crate) struct Common {
    pub config: Config,
    pub clock: Clock,
    pub store: Arc<Store>,
    pub identity: Identity,
    pub revoked: Revoked,
    /// Calls that were refused.
    pub refusals: Refusals,
    /// How the witness is asked, where the operator named one.
    pub witness: Option<Witness>,
}

/// Where the answer to a call goes.
pub(crate) type Answer = oneshot::Sender<Result<Response, Reject>>;

/// What is brought to a desk.
pub(crate) enum Call {
    /// A client wants to take part. Answered with an invitation, `Wait` where there is no room, else `Pending`.
    CheckIn {
        client: ClientId,
        ticket: u64,
        answer: Answer,
    },
    /// The client's check-in broke off.
    Leave { client: ClientId, ticket: u64 },
    /// A client's part of a round.
    Message {
        client: ClientId,
        round: RoundId,
        message: Message,
        answer: Answer,
    },
    /// What has the round come to?
    Await {
        client: ClientId,
        round: RoundId,
        awaited: Awaited,
        answer: Answer,
    },
    /// What must the client's upload be?
    UploadShape {
        client: ClientId,
        round: RoundId,
        answer: oneshot::Sender<Result<Shape, Reject>>,
    },
    /// What the witness answered, or why it did not.
    Witness {
        question: Question,
        answer: Result<Testimony, SendError>,
    },
    /// Time passes.
    Tick,
    /// The service ends. A round whose survivors are settled is taken up again by the next start, any other is aborted.
    /// Unless it must be `now`, a round with noise whose clients already masked may end first: its sum can never be
    /// taken again.
    Close { now: bool },
    /// How much is held?
    #[cfg(test)]
    Count { answer: oneshot::Sender<usize> },
}

/// What anyone may know of a desk without asking it.
#[derive(Clone, Default)]
pub(crate) struct News {
    /// Rounds opened so far: a waiting client asks again when it grows.
    pub opened: u64,
    /// Steps of rounds so far: a client in a round asks again when it grows.
    pub steps: u64,
    /// The last round, running or ended.
    pub round: Option<RoundId>,
    /// The newest model file.
    pub model: Option<(Digest, Arc<[u8]>)>,
}

/// A round from its invitation until the next one opens, so that its last clients can still ask how it ended.
struct Running {
    round: Round,
    invitation: Invitation,
    /// Invited clients that have not sent keys yet.
    expected: BTreeSet<ClientId>,
    began: Millis,
    /// Clients were told with whom to mask.
    masked: bool,
    /// The sum was recovered, but could not be used.
    failed: Option<String>,
    /// What the witness was asked last.
    asked: Option<Asked>,
    /// Messages that were refused, by reason.
    rejected: BTreeMap<String, u64>,
}

/// An answer that waits until everything before it is on the disk.
type Unsent = (Answer, Result<Response, Reject>);

/// Calls that are taken before what they changed is written, all at once.
const BATCH: usize = 64;

/// The operator's wishes are looked up, and notes written, this often.
const LOOK: Millis = 500;

pub(crate) struct Desk {
    common: Arc<Common>,
    task: Task,
    need: Need,
    sums: Vec<Sum>,
    guarantee: String,
    learning: Learning,
    version: u64,
    digest: Digest,
    next_sum: usize,
    gathering: Gathering,
    /// Clients that checked in since they were last noted in the store.
    seen: BTreeSet<ClientId>,
    running: Option<Running>,
    /// Messages after the round's checkpoint that are not on the disk yet.
    records: Vec<(ClientId, Record)>,
    unsent: Vec<Unsent>,
    /// Its own inbox, for the witness's answers.
    calls: mpsc::WeakSender<Call>,
    news: watch::Sender<News>,
    rng: StdRng,
    looked: Millis,
    note: Option<String>,
    /// The running round is the last one of this desk: the service ends, or the operator stopped the task.
    closing: bool,
    over: bool,
}

impl Desk {
    /// Works until the task ends, is stopped, or the service closes.
    pub fn run(mut self, inbox: &mut mpsc::Receiver<Call>) -> Result<(), DeskError> {
        while !self.over {
            let Some(call) = inbox.blocking_recv() else {
                return self.close();
            };
            self.take(call)?;
            // What else is there already costs no second wait for the disk.
            for _ in 1..BATCH {
                match inbox.try_recv() {
                    Ok(call) if !self.over => self.take(call)?,
                    _ => break,
                }
            }
            self.flush()?;
            self.over |= self.closing && self.is_idle();
        }
        Ok(())
    }

    /// Keeps what came since the checkpoint, and only then answers.
    fn flush(&mut self) -> Result<(), DeskError> {
        let records = std::mem::take(&mut self.records);
        if let Some(running) = self.running.as_ref().filter(|_| !records.is_empty()) {
            let round = running.round.plan().round;
            self.common
                .store
                .write(|tx| store::rounds::record(tx, round, &records))?;
        }
        for (answer, response) in self.unsent.drain(..) {
            let _gone = answer.send(response);
        }
        Ok(())
    }

    fn take(&mut self, call: Call) -> Result<(), DeskError> {
        let now = self.common.clock.elapsed();
        match call {
            Call::CheckIn {
                client,
                ticket,
                answer,
            } => {
                let response = self.check_in(client, ticket, now)?;
                let _gone = answer.send(Ok(response));
            }
            Call::Leave { client, ticket } => self.gathering.leave(&client, ticket),
            Call::Message {
                client,
                round,
                message,
                answer,
            } => {
                let response = self.message(client, round, message, now)?;
                self.unsent.push((answer, response));
            }
            Call::Witness { question, answer } => self.testify(question, answer, now)?,
            Call::Await {
                client,
                round,
                awaited,
                answer,
            } => {
                let _gone = answer.send(self.answer(&client, round, awaited));
            }
            Call::UploadShape {
                client,
                round,
                answer,
            } => {
                let _gone = answer.send(self.upload_shape(&client, round));
            }
            Call::Tick => self.tick(now)?,
            Call::Close { now } if now || !self.is_irreplaceable() => self.close()?,
            Call::Close { .. } => self.closing = true,
            #[cfg(test)]
            Call::Count { answer } => {
                let _gone = answer.send(self.held());
            }
        }
        Ok(())
    }

    fn check_in(
        &mut self,
        client: ClientId,
        ticket: u64,
        now: Millis,
    ) -> Result<Response, DeskError> {
        if let Some(invited) = self.invitation_of(&client) {
            return Ok(invited);
        }
        self.seen.insert(client);
        if !self.gathering.check_in(client, ticket, now) {
            return Ok(Response::Wait {
                milliseconds: 30_000,
            });
        }
        if self.is_idle() {
            self.consider(now)?;
        }
        Ok(self.invitation_of(&client).unwrap_or(Response::Pending))
    }

    fn invitation_of(&self, client: &ClientId) -> Option<Response> {
        let running = self.running.as_ref()?;
        let open = running.round.phase() == Phase::Advertising && running.expected.contains(client);
        open.then(|| Response::Invited(running.invitation.clone()))
    }

    /// True when no round is in its course.
    fn is_idle(&self) -> bool {
        self.running
            .as_ref()
            .is_none_or(|running| running.round.phase() == Phase::Ended)
    }

    /// True when the running round's sum can be had now or never.
    fn is_irreplaceable(&self) -> bool {
        let masked = self.running.as_ref().is_some_and(|running| running.masked);
        self.has_noise() && masked && !self.is_idle()
    }

    /// True when the running round is kept, so that the next start can take it up.
    fn is_kept(&self) -> bool {
        let phase = self.running.as_ref().map(|running| running.round.phase());
        matches!(phase, Some(Phase::Endorsing | Phase::Unmasking))
    }

    fn current(&mut self, round: RoundId) -> Result<&mut Running, Reject> {
        self.running
            .as_mut()
            .filter(|running| running.round.plan().round == round)
            .ok_or(Reject::UnknownRound(round.0))
    }

    fn message(
        &mut self,
        client: ClientId,
        round: RoundId,
        message: Message,
        now: Millis,
    ) -> Result<Result<Response, Reject>, DeskError> {
        let running = match self.current(round) {
            Ok(running) => running,
            Err(reject) => return Ok(Err(reject)),
        };
        if let Ok(aborted @ Response::Aborted { .. }) = running.answer(&client, Awaited::Outcome) {
            return Ok(Ok(aborted));
        }
        let advertises = matches!(message, Message::Advertise { .. });
        let settled = matches!(running.round.phase(), Phase::Endorsing | Phase::Unmasking);
        let record = Record::of(&message).filter(|_| settled);
        let mut events = Vec::new();
        if let Err(reject) = running
            .round
            .handle(now, Input::From { client, message }, &mut events)
        {
            let count = running.rejected.entry(reject.label().to_owned());
            *count.or_default() += 1;
            return Ok(Err(reject));
        }
        if advertises {
            running.expected.remove(&client);
        }
        self.records.extend(record.map(|record| (client, record)));
        self.react(events, now)?;
        Ok(Ok(Response::Accepted))
    }

    fn answer(
        &mut self,
        client: &ClientId,
        round: RoundId,
        awaited: Awaited,
    ) -> Result<Response, Reject> {
        self.current(round)?.answer(client, awaited)
    }

    fn upload_shape(&mut self, client: &ClientId, round: RoundId) -> Result<Shape, Reject> {
        let running = self.current(round)?;
        let plan = running.round.plan();
        match (
            running.round.phase(),
            running.answer(client, Awaited::Sharers)?,
        ) {
            (Phase::Uploading, Response::Sharers(_)) => Ok(Shape {
                ring: plan.ring(),
                length: plan.encoding.words(),
            }),
            (phase, _) => Err(Reject::WrongPhase {
                message: "upload",
                phase: phase.name(),
            }),
        }
    }

    fn tick(&mut self, now: Millis) -> Result<(), DeskError> {
        if now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            self.look(now)?;
        }
        if self.over {
            return Ok(());
        }
        match &mut self.running {
            Some(running) if running.round.phase() != Phase::Ended => {
                let mut events = Vec::new();
                // A tick is nobody's message: there is no one to reject.
                let _accepted = running.round.handle(now, Input::Tick, &mut events);
                self.react(events, now)?;
                self.ask_witness(now);
                Ok(())
            }
            _ => {
                let revoked = self.common.revoked.current();
                self.gathering.sweep(now, |client| {
                    revoked
                        .as_ref()
                        .is_some_and(|revoked| revoked.clients.contains(client))
                });
                self.consider(now)
            }
        }
    }

    /// Persists what the events ask for, before anyone who waits can be answered.
    fn react(&mut self, events: Vec<Event>, now: Millis) -> Result<(), DeskError> {
        if events.is_empty() {
            return Ok(());
        }
        // Whatever ends the round must not come before what led to it.
        self.flush()?;
        for event in events {
            match event {
                Event::Began(Phase::Uploading) => self.charge()?,
                Event::Began(Phase::Endorsing) => self.settle()?,
                Event::Began(_) => {}
                Event::Completed(recovered) => self.complete(recovered, now)?,
                Event::Aborted { reason } => self.aborted(&reason, now)?,
            }
        }
        self.ask_witness(now);
        self.news.send_modify(|news| news.steps += 1);
        Ok(())
    }

    /// Looks at what the operator wants, and notes how things stand.
    fn look(&mut self, now: Millis) -> Result<(), DeskError> {
        let (task, unix) = (&self.task.name, self.common.clock.unix());
        let (row, newest) = self.common.store.read(|connection| {
            let row = store::tasks::one(connection, task)?;
            Ok((row, store::models::newest(connection, task)?))
        })?;
        if row.is_none_or(|row| row.wanted == Wanted::Stopped) {
            if self.is_irreplaceable() {
                // Aborted now, its sum would be spent for nothing, and the task could never go on.
                self.closing = true;
            } else {
                return self.stop("stopped by the operator", now);
            }
        }
        if newest != Some(self.version) {
            self.abort(
                "the operator brought an earlier version of the model back",
                now,
            )?;
            if !self.over {
                self.reload(now)?;
            }
            if self.over {
                return Ok(());
            }
        }
        let note = self.standing();
        let changed = note != self.note;
        if changed || !self.seen.is_empty() {
            let seen = std::mem::take(&mut self.seen);
            self.common.store.write(|tx| {
                store::clients::seen(tx, &seen, unix)?;
                store::tasks::set(tx, &self.task.name, TaskState::Running, note.as_deref())
            })?;
            self.note = note;
        }
        Ok(())
    }

    /// What the task waits for, in a sentence.
    fn standing(&self) -> Option<String> {
        if !self.is_idle() {
            return None;
        }
        if self.common.revoked.current().is_none() {
            return Some(
                "no round starts: the list of revoked certificates was never fetched from the \
                 authority; check that it runs and that its address is right"
                    .to_owned(),
            );
        }
        if self.lacks_witness() {
            return Some(
                "no round starts: the task needs a witness, and none is named in the configuration; set \
                 `witness.address`"
                    .to_owned(),
            );
        }
        let Need {
            at_once, at_last, ..
        } = self.need;
        Some(format!(
            "waiting for clients: {} are here, {} of them not heard in this pass; a round starts with {at_once}, or with \
             {} after {} s",
            self.gathering.waiting(),
            self.gathering.unheard(),
            at_last.min(at_once),
            self.common.config.gather().as_secs_f64(),
        ))
    }

    fn has_noise(&self) -> bool {
        self.task.privacy != Privacy::Off
    }

    /// How many clients, keys and numbers are held beside the running round and the model.
    #[cfg(test)]
    fn held(&self) -> usize {
        let expected = self
            .running
            .as_ref()
            .map_or(0, |running| running.expected.len());
        self.gathering.waiting() + self.seen.len() + expected
    }
}

impl Running {
    fn answer(&self, client: &ClientId, awaited: Awaited) -> Result<Response, Reject> {
        let response = self.round.answer(client, awaited)?;
        Ok(match &self.failed {
            Some(reason) => Response::Aborted {
                reason: reason.clone(),
            },
            None => response,
        })
    }
}
