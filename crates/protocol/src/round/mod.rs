//! The coordinator's side of a round, without sockets, clocks or files.
//!
//! Each phase is a struct that holds only what that phase may know, and is consumed when the next begins.

mod cohort;
mod phases;
mod unmasking;

use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::{MaskedUpdate, RoundDigest};

use crate::{
    Addressed, Awaited, ClientId, Digest, PublicKeys, Reject, Response, Revealed, RoundPlan,
};
use cohort::Advertisement;
use phases::{Advertising, Confirming, Sharing, Uploading};
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

/// What comes into a round.
pub enum Input {
    /// A message of a client whose certificate the caller has checked.
    From {
        /// Who.
        client: ClientId,
        /// What.
        message: Message,
    },
    /// Time passes.
    Tick,
}

/// A client's message, one kind for each phase.
pub enum Message {
    /// This round's keys.
    Advertise {
        /// The client's enrolled key, from its certificate; its id must be that of the sender.
        key: [u8; 32],
        /// The certificate, DER, for its neighbours to check.
        certificate: Vec<u8>,
        /// X25519 keys.
        keys: PublicKeys,
        /// Over the round digest and the keys.
        signature: [u8; 64],
    },
    /// Sealed shares, one for each neighbour, ascending.
    Share(Vec<Addressed>),
    /// Senders whose shares could not be opened, ascending.
    Confirm(Vec<u32>),
    /// The masked update.
    Upload(MaskedUpdate),
    /// Shares that unmask the sum, ascending by owner.
    Unmask(Vec<Revealed>),
}

impl Message {
    fn name(&self) -> &'static str {
        match self {
            Message::Advertise { .. } => "advertise",
            Message::Share(_) => "share",
            Message::Confirm(_) => "confirm",
            Message::Upload(_) => "upload",
            Message::Unmask(_) => "unmask",
        }
    }

    /// Tells a repeated message from a different one.
    fn digest(&self) -> Digest {
        let numbers = |numbers: &[u32]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect()
        };
        match self {
            Message::Advertise {
                keys, signature, ..
            } => Digest::of_parts("advertise", &[&keys.cipher, &keys.mask, signature]),
            Message::Share(sealed) => {
                let bytes: Vec<u8> = sealed
                    .iter()
                    .flat_map(|one| one.peer.to_be_bytes().into_iter().chain(one.sealed))
                    .collect();
                Digest::of_parts("share", &[&bytes])
            }
            Message::Confirm(unopenable) => Digest::of_parts("confirm", &[&numbers(unopenable)]),
            Message::Upload(update) => Digest::of_parts("upload", &[&update.to_le_bytes()]),
            Message::Unmask(revealed) => {
                let bytes: Vec<u8> = revealed
                    .iter()
                    .flat_map(|one| {
                        let kind = [one.kind as u8];
                        one.owner
                            .to_be_bytes()
                            .into_iter()
                            .chain(kind)
                            .chain(one.share)
                    })
                    .collect();
                Digest::of_parts("unmask", &[&bytes])
            }
        }
    }
}

/// What the caller must do or know after an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The round moved on; whoever waits can be answered. `Unmasking` must be charged to the budget,
    /// durably, before anyone is answered.
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
}

/// The phases, each named after what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Waits for keys.
    Advertising,
    /// Waits for sealed shares.
    Sharing,
    /// Waits for every receiver to say what it could open.
    Confirming,
    /// Waits for masked updates.
    Uploading,
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
            Phase::Sharing => "sharing",
            Phase::Confirming => "confirming",
            Phase::Uploading => "uploading",
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
    digest: RoundDigest,
    timing: Timing,
    invited: BTreeSet<ClientId>,
    accepted: BTreeMap<(ClientId, &'static str), Digest>,
    funnel: Funnel,
    began: Millis,
    heard: Millis,
}

#[derive(Clone, PartialEq)]
enum State {
    Advertising(Advertising),
    Sharing(Sharing),
    Confirming(Confirming),
    Uploading(Uploading),
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
            State::Sharing(_) => Phase::Sharing,
            State::Confirming(_) => Phase::Confirming,
            State::Uploading(_) => Phase::Uploading,
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
        if let Input::From { client, message } = input {
            self.take(now, client, message)?;
        }
        self.advance(now, out);
        Ok(())
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
            self.end(Turn::Abort(reason.to_owned()), out);
        }
    }

    /// The words of one upload, check words included.
    pub fn upload_words(&self) -> usize {
        self.frame.upload_words()
    }

    fn take(&mut self, now: Millis, client: ClientId, message: Message) -> Result<(), Reject> {
        let frame = &mut self.frame;
        if !frame.invited.contains(&client) {
            return Err(Reject::NotInvited);
        }
        let (name, digest) = (message.name(), message.digest());
        match frame.accepted.get(&(client, name)) {
            // A client that was interrupted sends again what it does not know to have arrived.
            Some(before) if *before == digest => return Ok(()),
            Some(_) => return Err(Reject::Duplicate(name)),
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
                phase.take(frame, client, &update)?;
            }
            (State::Unmasking(phase), Message::Unmask(revealed)) => {
                phase.take(client, revealed)?;
            }
            // The sum was unmasked with the help of others: late help is no fault.
            (State::Ended(_), Message::Unmask(_)) => return Ok(()),
            _ => {
                return Err(Reject::WrongPhase {
                    message: name,
                    phase: self.phase().name(),
                });
            }
        }
        self.frame.accepted.insert((client, name), digest);
        self.frame.heard = now;
        Ok(())
    }

    /// Moves through every phase that is ready to end.
    fn advance(&mut self, now: Millis, out: &mut Vec<Event>) {
        loop {
            let ended = State::Ended(Ending::Aborted {
                reason: String::new(),
            });
            let state = std::mem::replace(&mut self.state, ended);
            let frame = &mut self.frame;
            let turn = match state {
                State::Advertising(phase) => phase.turn(frame, now),
                State::Sharing(phase) => phase.turn(frame, now),
                State::Confirming(phase) => phase.turn(frame, now),
                State::Uploading(phase) => phase.turn(frame, now),
                State::Unmasking(phase) => phase.turn(frame, now),
                State::Ended(ending) => Turn::Stay(State::Ended(ending)),
            };
            match turn {
                Turn::Stay(state) => {
                    self.state = state;
                    return;
                }
                Turn::Next(state) => {
                    self.state = state;
                    self.frame.began = now;
                    self.frame.heard = now;
                    out.push(Event::Began(self.phase()));
                }
                turn => {
                    self.end(turn, out);
                    return;
                }
            }
        }
    }

    fn end(&mut self, turn: Turn, out: &mut Vec<Event>) {
        match turn {
            Turn::Complete(recovered) => {
                self.state = State::Ended(Ending::Completed { version: None });
                out.push(Event::Completed(recovered));
            }
            Turn::Abort(reason) => {
                self.state = State::Ended(Ending::Aborted {
                    reason: reason.clone(),
                });
                out.push(Event::Aborted { reason });
            }
            Turn::Stay(state) | Turn::Next(state) => self.state = state,
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
            (State::Unmasking(phase), Awaited::Survivors) => phase.survivors(client),
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
            Awaited::Survivors => Phase::Unmasking,
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
    fn upload_words(&self) -> usize {
        self.plan.encoding.length() + chorus_secagg::CHECK_WORDS
    }

    /// True when a phase that `answered` of `expected` clients answered should end.
    fn is_over(&self, now: Millis, answered: usize, expected: usize) -> bool {
        let enough = answered >= self.plan.survivors.minimum;
        answered >= expected
            || now.saturating_sub(self.began) >= self.timing.phase
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
