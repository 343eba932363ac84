//! The coordinator's side of a round, without sockets, clocks or files.
//!
//! Each phase is a struct that holds only what that phase may know, and is consumed when the next begins.

mod agreeing;
mod checkpoint;
mod cohort;
mod input;
mod phases;
mod secrets;
mod unmasking;

use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::RoundDigest;

use crate::{
    Awaited, ClientId, Consistency, Digest, Question, Reject, Response, RoundPlan, Testimony,
};
use agreeing::Endorsing;
pub use checkpoint::{Record, Unreadable};
use cohort::Advertisement;
pub(crate) use cohort::key_leaf;
use input::Kind;
pub use input::{Input, Message};
use phases::{Advertising, Confirming, Drawing, Sharing, Uploading};
use unmasking::Unmasking;

/// Milliseconds on the caller's clock.
pub type Millis = u64;

/// How long a phase waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A phase never lasts longer.
    pub phase: Millis,
    /// Once enough clients answered, the phase ends after so long a silence.
    pub quiet: Millis,
}

/// What the caller must do or know after an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The round moved on; whoever waits can be answered. With `Endorsing` the survivors are settled: before anyone
    /// is answered, the sum must be charged to the budget and the round's [`checkpoint`](Round::checkpoint) kept, durably.
    Began(Phase),
    /// The sum was recovered.
    Completed(Recovered),
    /// The round ended without a sum, and nothing was revealed.
    Aborted {
        /// Why, in a sentence.
        reason: String,
    },
}

/// A recovered sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The modular sum of the survivors' encoded updates.
    pub sum: Vec<u32>,
    /// How many clients are in it.
    pub clients: usize,
    /// Who they are, so that they need not be asked again soon.
    pub survivors: BTreeSet<ClientId>,
    /// Deviation of the surplus noise that stayed on in each coordinate because its clients did not answer, grid units.
    pub surplus: f64,
}

/// The phases, each named after what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Waits for keys.
    Advertising,
    /// Waits for the witness to draw what the graph is made from.
    Drawing,
    /// Waits for sealed shares.
    Sharing,
    /// Waits for every receiver to say what it could open.
    Confirming,
    /// Waits for masked updates.
    Uploading,
    /// Waits for proof that everyone was told the same survivors.
    Endorsing,
    /// Waits for the shares that unmask the sum.
    Unmasking,
    /// Over.
    Ended,
}

impl Phase {
    /// Its name in messages and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Advertising => "advertising",
            Phase::Drawing => "drawing",
            Phase::Sharing => "sharing",
            Phase::Confirming => "confirming",
            Phase::Uploading => "uploading",
            Phase::Endorsing => "endorsing",
            Phase::Unmasking => "unmasking",
            Phase::Ended => "ended",
        }
    }
}

/// How many clients passed each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Funnel {
    /// Invited to the round.
    pub invited: usize,
    /// Sent keys: the cohort.
    pub advertised: usize,
    /// Sent shares.
    pub shared: usize,
    /// Could be masked with.
    pub confirmed: usize,
    /// Are in the sum.
    pub uploaded: usize,
    /// Helped to unmask it.
    pub unmasked: usize,
}

/// One round.
#[derive(Clone, PartialEq)]
pub struct Round {
    frame: Frame,
    state: State,
}

/// What every phase needs and none changes, except the notes on what was accepted.
#[derive(Clone, PartialEq)]
struct Frame {
    plan: RoundPlan,
    plan_bytes: Vec<u8>,
    digest: RoundDigest,
    timing: Timing,
    invited: BTreeSet<ClientId>,
    accepted: BTreeMap<(ClientId, Kind), Digest>,
    funnel: Funnel,
    began: Millis,
    heard: Millis,
}

#[derive(Clone, PartialEq)]
enum State {
    Advertising(Advertising),
    Drawing(Drawing),
    Sharing(Sharing),
    Confirming(Confirming),
    Uploading(Uploading),
    Endorsing(Endorsing),
    Unmasking(Unmasking),
    Ended(Ending),
}

#[derive(Clone, PartialEq)]
enum Ending {
    Completed { version: Option<u64> },
    Aborted { reason: String },
}

/// What a phase becomes when it ends.
enum Turn {
    Stay(State),
    Next(State),
    Complete(Recovered),
    Abort(String),
}

impl Round {
    /// Opens a round for the clients that were invited.
    pub fn open(
        plan: RoundPlan,
        plan_bytes: &[u8],
        invited: BTreeSet<ClientId>,
        timing: Timing,
        now: Millis,
    ) -> Self {
        let digest = plan.digest(plan_bytes, &plan.model);
        let funnel = Funnel {
            invited: invited.len(),
            ..Funnel::default()
        };
        let frame = Frame {
            plan,
            plan_bytes: plan_bytes.to_vec(),
            digest,
            timing,
            invited,
            accepted: BTreeMap::new(),
            funnel,
            began: now,
            heard: now,
        };
        Self {
            frame,
            state: State::Advertising(Advertising::default()),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &RoundPlan {
        &self.frame.plan
    }

    /// Where the round is.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Advertising(_) => Phase::Advertising,
            State::Drawing(_) => Phase::Drawing,
            State::Sharing(_) => Phase::Sharing,
            State::Confirming(_) => Phase::Confirming,
            State::Uploading(_) => Phase::Uploading,
            State::Endorsing(_) => Phase::Endorsing,
            State::Unmasking(_) => Phase::Unmasking,
            State::Ended(_) => Phase::Ended,
        }
    }

    /// How many clients passed each phase so far.
    pub fn funnel(&self) -> Funnel {
        self.frame.funnel
    }

    /// Takes one input. Events are appended to `out` in the order in which they happened.
    ///
    /// # Errors
    /// When the peer did something wrong; the round is then exactly as it was.
    pub fn handle(
        &mut self,
        now: Millis,
        input: Input,
        out: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        match input {
            Input::From { client, message } => self.take(now, client, message)?,
            Input::Witness(testimony) => self.testify(now, testimony, out)?,
            Input::Tick => {}
        }
        self.advance(now, out);
        Ok(())
    }

    /// What the witness must be asked now; nothing when the round does not wait for it.
    pub fn question(&self) -> Option<Question> {
        let round = self.frame.plan.round;
        match &self.state {
            State::Drawing(phase) => Some(Question::Draw {
                round,
                commitment: phase.commitment(&self.frame),
            }),
            State::Endorsing(phase) if self.frame.plan.consistency == Consistency::Witness => {
                let statement = phase.settled().statement(&self.frame);
                Some(Question::Seal { round, statement })
            }
            _ => None,
        }
    }

    /// Tells the clients of a completed round which version their sum led to.
    pub fn published(&mut self, version: u64) {
        if let State::Ended(Ending::Completed { version: known }) = &mut self.state {
            *known = Some(version);
        }
    }

    /// Ends the round without a sum: the caller's own failure, or its wish.
    pub fn abort(&mut self, reason: &str, out: &mut Vec<Event>) {
        if self.phase() != Phase::Ended {
            self.turn(Turn::Abort(reason.to_owned()), self.frame.heard, out);
        }
    }

    /// The bytes of one upload, check values included.
    pub fn upload_bytes(&self) -> usize {
        self.frame.upload_bytes()
    }

    fn take(&mut self, now: Millis, client: ClientId, message: Message) -> Result<(), Reject> {
        let frame = &mut self.frame;
        if !frame.invited.contains(&client) {
            return Err(Reject::NotInvited);
        }
        let (kind, digest) = (message.kind(), message.digest());
        match frame.accepted.get(&(client, kind)) {
            // A client that was interrupted sends again what it does not know to have arrived.
            Some(before) if *before == digest => return Ok(()),
            Some(_) => return Err(Reject::Duplicate(kind.name())),
            None => {}
        }
        match (&mut self.state, message) {
            (
                State::Advertising(phase),
                Message::Advertise {
                    key,
                    certificate,
                    keys,
                    signature,
                },
            ) => phase.take(
                frame,
                client,
                Advertisement {
                    key,
                    certificate,
                    keys,
                    signature,
                },
            )?,
            (State::Sharing(phase), Message::Share(sealed)) => phase.take(client, sealed)?,
            (State::Confirming(phase), Message::Confirm(list)) => phase.take(client, list)?,
            (State::Uploading(phase), Message::Upload(update)) => {
                phase.take(frame, client, update)?;
            }
            (State::Endorsing(phase), Message::Endorse(signature)) => {
                phase.take(frame, client, signature)?;
            }
            (State::Unmasking(phase), Message::Unmask(revealed)) => {
                phase.take(&client, revealed, &frame.plan)?;
            }
            (State::Endorsing(phase), Message::Unmask(revealed)) if phase.is_again() => {
                phase.take_early(&client, revealed, &frame.plan)?;
            }
            // The round went on with the help of others: late help is no fault.
            (State::Ended(_), Message::Unmask(_) | Message::Endorse(_)) => return Ok(()),
            (State::Unmasking(phase), Message::Endorse(_)) => {
                return phase.settled().survivor(&client).map(|_| ());
            }
            _ => {
                return Err(Reject::WrongPhase {
                    message: kind.name(),
                    phase: self.phase().name(),
                });
            }
        }
        self.frame.accepted.insert((client, kind), digest);
        self.frame.heard = now;
        Ok(())
    }

    /// Takes what the witness answered.
    fn testify(
        &mut self,
        now: Millis,
        testimony: Testimony,
        out: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let phase = self.phase();
        let turn = match (self.take_state(), testimony) {
            (State::Drawing(phase), Testimony::Beacon(beacon)) => {
                phase.take(&mut self.frame, beacon)
            }
            (State::Endorsing(phase), Testimony::Seal(seal))
                if self.frame.plan.consistency == Consistency::Witness =>
            {
                phase.seal(seal)
            }
            (state, _) => {
                self.state = state;
                return Err(Reject::WrongPhase {
                    message: "witness",
                    phase: phase.name(),
                });
            }
        };
        self.turn(turn, now, out);
        Ok(())
    }

    /// Takes the state out, to be consumed by what comes next.
    fn take_state(&mut self) -> State {
        let ended = State::Ended(Ending::Aborted {
            reason: String::new(),
        });
        std::mem::replace(&mut self.state, ended)
    }

    /// Moves through every phase that is ready to end.
    fn advance(&mut self, now: Millis, out: &mut Vec<Event>) {
        loop {
            let state = self.take_state();
            let frame = &mut self.frame;
            let turn = match state {
                State::Advertising(phase) => phase.turn(frame, now),
                State::Drawing(phase) => phase.turn(frame, now),
                State::Sharing(phase) => phase.turn(frame, now),
                State::Confirming(phase) => phase.turn(frame, now),
                State::Uploading(phase) => phase.turn(frame, now),
                State::Endorsing(phase) => phase.turn(frame, now),
                State::Unmasking(phase) => phase.turn(frame, now),
                State::Ended(ending) => Turn::Stay(State::Ended(ending)),
            };
            if !self.turn(turn, now, out) {
                return;
            }
        }
    }

    /// Makes a turn. True when the round went on to another phase that waits.
    fn turn(&mut self, turn: Turn, now: Millis, out: &mut Vec<Event>) -> bool {
        match turn {
            Turn::Stay(state) => {
                self.state = state;
                false
            }
            Turn::Next(state) => {
                self.state = state;
                self.frame.began = now;
                self.frame.heard = now;
                out.push(Event::Began(self.phase()));
                true
            }
            Turn::Complete(recovered) => {
                self.state = State::Ended(Ending::Completed { version: None });
                out.push(Event::Completed(recovered));
                false
            }
            Turn::Abort(reason) => {
                self.state = State::Ended(Ending::Aborted {
                    reason: reason.clone(),
                });
                out.push(Event::Aborted { reason });
                false
            }
        }
    }

    /// What a waiting client is told: the answer if the round has come to it, `Pending` if not.
    ///
    /// # Errors
    /// When the client is not, or no longer, in the round.
    pub fn answer(&self, client: &ClientId, awaited: Awaited) -> Result<Response, Reject> {
        if !self.frame.invited.contains(client) {
            return Err(Reject::NotInvited);
        }
        match (&self.state, awaited) {
            (State::Ended(Ending::Aborted { reason }), _) => Ok(Response::Aborted {
                reason: reason.clone(),
            }),
            (
                State::Ended(Ending::Completed {
                    version: Some(version),
                }),
                _,
            ) => Ok(Response::Completed { version: *version }),
            (State::Sharing(phase), Awaited::Neighbours) => phase.neighbours(client),
            (State::Confirming(phase), Awaited::Shares) => phase.shares(client),
            (State::Uploading(phase), Awaited::Sharers) => phase.sharers(client),
            (State::Endorsing(phase), Awaited::Survivors) => phase.settled().told(client),
            (State::Unmasking(phase), Awaited::Survivors) => phase.settled().told(client),
            (State::Unmasking(phase), Awaited::Proof) => phase.proof(client),
            _ if self.gone_by(awaited) => Err(Reject::LeftOut),
            _ => Ok(Response::Pending),
        }
    }

    /// True when the phase in which `awaited` could be answered is over.
    fn gone_by(&self, awaited: Awaited) -> bool {
        let answered_in = match awaited {
            Awaited::Neighbours => Phase::Sharing,
            Awaited::Shares => Phase::Confirming,
            Awaited::Sharers => Phase::Uploading,
            Awaited::Survivors | Awaited::Proof => Phase::Unmasking,
            Awaited::Outcome => Phase::Ended,
        };
        self.phase() > answered_in
            && !matches!(
                self.state,
                State::Ended(Ending::Completed { version: None })
            )
    }
}

impl Frame {
    fn upload_bytes(&self) -> usize {
        self.plan.ring().upload_bytes(self.plan.encoding.words())
    }

    /// True when the phase has lasted as long as a phase may.
    fn is_late(&self, now: Millis) -> bool {
        now.saturating_sub(self.began) >= self.timing.phase
    }

    /// True when a phase that `answered` of `expected` clients answered should end.
    fn is_over(&self, now: Millis, answered: usize, expected: usize) -> bool {
        let enough = answered >= self.plan.survivors.minimum;
        answered >= expected
            || self.is_late(now)
            || (enough && now.saturating_sub(self.heard) >= self.timing.quiet)
    }

    /// The sentence for a round that lost too many clients.
    fn too_few(&self, found: usize, did: &str) -> Turn {
        Turn::Abort(format!(
            "{found} of {} invited clients {did}; the plan needs {}",
            self.plan.invited, self.plan.survivors.minimum
        ))
    }
}
