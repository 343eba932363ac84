//! The client's side of a round, without sockets, clocks or files.
//!
//! The app asks [`Participation::poll`] what to do next, does it, and tells the result. Between any two
//! steps it can [`save`](Participation::save) the whole and go away.

mod fetching;
mod masking;
mod saved;

use chorus_privacy::NoisedUpdate;
use chorus_secagg::{Generator, RoundDigest, RoundKeys};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Addressed, Awaited, Charge, Consistency, Digest, Floor, Identity, Invitation, LogView,
    Neighbourhood, PROTOCOL_VERSION, Purpose, Refusal, Request, Response, Revealed, RoundId,
    RoundPlan, SignedUpdate, TaskName, floor, signing,
};
pub use fetching::MODEL_BYTES;
use masking::{Circle, Held, Told};
pub use saved::SaveError;
pub(crate) use saved::array;

/// Checks that a certificate was issued by the authority, to a client or to a witness, and is valid now.
pub trait Certificates {
    /// The client's enrolled key.
    ///
    /// # Errors
    /// Why the certificate proves nothing, in a sentence.
    fn enrolled_key(&self, certificate: &[u8]) -> Result<[u8; 32], String>;

    /// The key of a witness, whose certificate must be the authority's and of that role.
    ///
    /// # Errors
    /// Why the certificate proves nothing, in a sentence.
    fn witness_key(&self, certificate: &[u8]) -> Result<[u8; 32], String>;
}

/// What a client brings to a round.
pub struct Standing<'a> {
    /// Its own limits.
    pub floor: &'a Floor,
    /// What it contributed before.
    pub charges: &'a [Charge],
    /// Rounds of the last day that it joined and whose reports are private by themselves.
    pub local_today: usize,
    /// The last round in which it took part.
    pub last_round: Option<RoundId>,
    /// What it has seen of the model log.
    pub log: LogView,
    /// The coordinator's public key.
    pub coordinator: [u8; 32],
    /// A model file that is already here.
    pub model: Option<Vec<u8>>,
}

/// What to do next.
pub enum Next<'a> {
    /// Send this and hand the answer to [`Participation::handle`].
    Send(Request),
    /// Learn from this model and hand the result to [`Participation::learned`].
    Learn {
        /// The plan.
        plan: &'a RoundPlan,
        /// The model file.
        model: &'a [u8],
    },
    /// Nothing: the round is over for this client.
    Over(&'a Outcome),
}

/// How a round ended for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The sum was recovered and led to this version of the model.
    Completed {
        /// The version.
        version: u64,
    },
    /// The round ended without a sum.
    Aborted {
        /// Why, in a sentence.
        reason: String,
    },
    /// The round went on without this client.
    LeftOut,
}

/// One client in one round. Its secrets of the round are wiped as soon as they are used up, and when it is dropped.
pub struct Participation {
    frame: Frame,
    state: State,
}

struct Frame {
    plan: RoundPlan,
    plan_bytes: Vec<u8>,
    coordinator: [u8; 32],
    log: LogView,
    /// The floor's smallest cohort: the clients that came may be fewer than the plan invited.
    cohort: usize,
    charge: Option<Charge>,
}

/// Each state is named after what it waits for, and holds only what is still needed. Secrets stay at one
/// address from their making to their wiping: moving them about would leave copies behind.
#[derive(Serialize, Deserialize)]
enum State {
    Log {
        model: Option<Vec<u8>>,
    },
    Model {
        bytes: Vec<u8>,
    },
    Learning {
        model: Vec<u8>,
    },
    Advertising {
        own: Box<Own>,
        #[serde(with = "saved::array")]
        signature: [u8; 64],
    },
    Neighbours {
        own: Box<Own>,
    },
    Sharing {
        own: Box<Own>,
        circle: Box<Circle>,
        sealed: Vec<Addressed>,
    },
    Shares {
        own: Box<Own>,
        circle: Box<Circle>,
    },
    Confirming {
        own: Box<Own>,
        circle: Box<Circle>,
        held: Held,
    },
    Sharers {
        own: Box<Own>,
        circle: Box<Circle>,
        held: Held,
    },
    Uploading {
        #[serde(with = "saved::masked")]
        update: SignedUpdate,
        #[serde(with = "saved::digest")]
        digest: RoundDigest,
        circle: Box<Circle>,
        held: Held,
    },
    Survivors {
        #[serde(with = "saved::digest")]
        digest: RoundDigest,
        circle: Box<Circle>,
        held: Held,
    },
    Endorsing {
        #[serde(with = "saved::array")]
        signature: [u8; 64],
        told: Told,
        circle: Box<Circle>,
        held: Held,
    },
    Proof {
        told: Told,
        circle: Box<Circle>,
        held: Held,
    },
    Unmasking {
        revealed: Vec<Revealed>,
    },
    Outcome,
    Over(Outcome),
}

/// The client's own secrets of the round, until they are used up.
#[derive(Serialize, Deserialize)]
struct Own {
    #[serde(with = "saved::keys")]
    keys: RoundKeys,
    #[serde(with = "saved::digest")]
    digest: RoundDigest,
    #[serde(with = "saved::words")]
    words: Zeroizing<Vec<u32>>,
    layers: Layers,
}

/// The seeds of the layers of the client's noise that can come off, in order.
type Layers = Vec<Zeroizing<[u8; 32]>>;

impl Participation {
    /// Considers the answer to a check-in for `task`: [`join`](Self::join), and the plan must be of that task.
    ///
    /// # Errors
    /// As [`join`](Self::join), and for a plan of another task.
    ///
    /// # Privacy
    /// Budgets are counted by task. A coordinator that could answer with a task of its own making would have a
    /// fresh budget each time.
    pub fn join_for(
        task: &TaskName,
        invitation: Invitation,
        standing: Standing<'_>,
    ) -> Result<Self, Refusal> {
        let joined = Self::join(invitation, standing)?;
        if joined.frame.plan.task == *task {
            return Ok(joined);
        }
        Err(Refusal::OtherTask {
            found: joined.frame.plan.task,
            asked: task.clone(),
        })
    }

    /// Considers an invitation, to whatever task it is. A client that checked in for one uses
    /// [`join_for`](Self::join_for).
    ///
    /// # Errors
    /// When the plan is unsigned, unreadable, repeated, or weaker than the client's floor.
    pub fn join(invitation: Invitation, standing: Standing<'_>) -> Result<Self, Refusal> {
        let plan_bytes = invitation.plan;
        let coordinator = standing.coordinator;
        signing::verify(
            &coordinator,
            Purpose::Plan,
            &[&plan_bytes],
            &invitation.signature,
        )
        .map_err(|_| Refusal::Signature)?;
        let unreadable = |error: serde_json::Error| Refusal::Unreadable(error.to_string());
        // First the version alone: a newer plan may have fields that this build does not know.
        let Spoken { protocol: found } = serde_json::from_slice(&plan_bytes).map_err(unreadable)?;
        if found != PROTOCOL_VERSION {
            return Err(Refusal::Version { found });
        }
        let plan: RoundPlan = serde_json::from_slice(&plan_bytes).map_err(unreadable)?;
        if let Some(last) = standing.last_round.filter(|last| plan.round <= *last) {
            return Err(Refusal::Repeated {
                found: plan.round,
                last,
            });
        }
        standing.floor.check(&plan, standing.charges)?;
        standing.floor.check_day(&plan, standing.local_today)?;
        let charge = None;
        let frame = Frame {
            plan,
            plan_bytes,
            coordinator,
            log: standing.log,
            cohort: standing.floor.cohort,
            charge,
        };
        let model = standing.model;
        // A log that is already up to date needs no question.
        let state = match (frame.is_logged(), model) {
            (true, model) => frame.with_model(model),
            (false, model) => State::Log { model },
        };
        Ok(Self { frame, state })
    }

    /// The plan of the round.
    pub fn plan(&self) -> &RoundPlan {
        &self.frame.plan
    }

    /// The model log as far as it was followed. Keep it: a coordinator that shows another history later is refused.
    pub fn log(&self) -> &LogView {
        &self.frame.log
    }

    /// What this round costs, from the moment the masked update exists.
    /// It must be in the client's ledger, durably, before anything more is sent.
    pub fn charge(&self) -> Option<&Charge> {
        self.frame.charge.as_ref()
    }

    /// What to do next. Asking again gives the same answer, so an interrupted step is simply repeated.
    pub fn poll(&self) -> Next<'_> {
        let round = self.frame.plan.round;
        let wait = |awaited| Next::Send(Request::Await { round, awaited });
        match &self.state {
            State::Log { .. } => Next::Send(Request::FetchLog {
                from: self.frame.log.length,
            }),
            State::Model { bytes } => Next::Send(Request::FetchModel {
                digest: self.frame.plan.model,
                offset: bytes.len() as u64,
            }),
            State::Learning { model } => Next::Learn {
                plan: &self.frame.plan,
                model,
            },
            State::Advertising { own, signature } => Next::Send(Request::AdvertiseKeys {
                round,
                keys: own.keys.public(),
                signature: *signature,
            }),
            State::Neighbours { .. } => wait(Awaited::Neighbours),
            State::Sharing { sealed, .. } => Next::Send(Request::ShareKeys {
                round,
                sealed: sealed.clone(),
            }),
            State::Shares { .. } => wait(Awaited::Shares),
            State::Confirming { held, .. } => Next::Send(Request::ConfirmShares {
                round,
                unopenable: held.unopenable.clone(),
            }),
            State::Sharers { .. } => wait(Awaited::Sharers),
            State::Uploading { update, .. } => Next::Send(Request::Upload {
                round,
                update: update.clone(),
            }),
            State::Survivors { .. } => wait(Awaited::Survivors),
            State::Endorsing { signature, .. } => Next::Send(Request::Endorse {
                round,
                signature: *signature,
            }),
            State::Proof { .. } => wait(Awaited::Proof),
            State::Unmasking { revealed } => Next::Send(Request::Unmask {
                round,
                revealed: revealed.clone(),
            }),
            State::Outcome => wait(Awaited::Outcome),
            State::Over(outcome) => Next::Over(outcome),
        }
    }

    /// Takes what was learned and noised, and makes this round's keys, with the generator of masks that suits this
    /// processor.
    ///
    /// # Errors
    /// When nothing was to be learned now, or the update has another length than the plan's; nothing changes then.
    pub fn learned(
        &mut self,
        update: NoisedUpdate,
        identity: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refusal> {
        self.learned_with(Generator::native(), update, identity, rng)
    }

    /// [`learned`](Self::learned), with a generator of the caller's choice.
    ///
    /// # Errors
    /// As [`learned`](Self::learned).
    pub fn learned_with(
        &mut self,
        generator: Generator,
        update: NoisedUpdate,
        identity: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refusal> {
        let State::Learning { model } = &self.state else {
            return Err(Refusal::Unexpected);
        };
        let frame = &self.frame;
        let expected = frame.plan.encoding.words();
        let seeds = update.seeds().iter();
        let layers: Layers = seeds.map(|seed| Zeroizing::new(*seed.as_bytes())).collect();
        let words = Zeroizing::new(update.into_words());
        if words.len() != expected {
            return Err(Refusal::Weak {
                field: "update",
                found: format!("{} words", words.len()),
                needed: format!("{expected}"),
            });
        }
        // Of the very bytes that were trained on: a client that was given another model
        // derives other keys, and its masks cancel with nobody's.
        let digest = frame.plan.digest(&frame.plan_bytes, &Digest::of(model));
        let keys = RoundKeys::generate(generator, rng);
        let signature = identity.advertise(&digest, &keys.public());
        self.state = State::Advertising {
            own: Box::new(Own {
                keys,
                digest,
                words,
                layers,
            }),
            signature,
        };
        Ok(())
    }

    /// Takes the answer to what [`poll`](Self::poll) asked for.
    ///
    /// # Errors
    /// When the answer must not be followed. The client is then done with this round: what it holds is erased,
    /// and nothing is said on the wire.
    pub fn handle(
        &mut self,
        response: Response,
        identity: &Identity,
        certificates: &impl Certificates,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refusal> {
        if matches!(self.state, State::Over(_)) {
            return Err(Refusal::Unexpected);
        }
        let state = std::mem::replace(&mut self.state, State::Over(Outcome::LeftOut));
        self.state = match (state, response) {
            (state, Response::Pending) => state,
            (_, Response::Aborted { reason }) => State::Over(Outcome::Aborted {
                reason: printable(&reason),
            }),
            (State::Log { model }, Response::Log(entries)) => self.frame.follow(model, &entries)?,
            (
                State::Model { bytes },
                Response::Model {
                    offset,
                    total,
                    bytes: more,
                },
            ) => self.frame.append(bytes, offset, total, &more)?,
            (State::Advertising { own, .. }, Response::Accepted) => State::Neighbours { own },
            (State::Neighbours { own }, Response::Neighbours(neighbourhood)) => {
                let enrolled = identity.public();
                let circle = self
                    .frame
                    .circle(neighbourhood, &own, enrolled, certificates)?;
                let mut circle = Box::new(circle);
                let sealed = circle.share(&own, rng)?;
                State::Sharing {
                    own,
                    circle,
                    sealed,
                }
            }
            (State::Sharing { own, circle, .. }, Response::Accepted) => {
                State::Shares { own, circle }
            }
            (State::Shares { own, circle }, Response::Shares(sealed)) => {
                let held = circle.open(&own, &sealed)?;
                State::Confirming { own, circle, held }
            }
            (State::Confirming { own, circle, held }, Response::Accepted) => {
                State::Sharers { own, circle, held }
            }
            (
                State::Sharers {
                    mut own,
                    mut circle,
                    held,
                },
                Response::Sharers(roster),
            ) => match circle.mask(&mut own, &roster, &self.frame.plan, identity)? {
                Some(update) => {
                    self.frame.charge = Some(self.frame.charge()?);
                    State::Uploading {
                        update,
                        digest: own.digest,
                        circle,
                        held,
                    }
                }
                None => State::Over(Outcome::LeftOut),
            },
            (
                State::Uploading {
                    digest,
                    circle,
                    held,
                    ..
                },
                Response::Accepted,
            ) => State::Survivors {
                digest,
                circle,
                held,
            },
            (
                State::Survivors {
                    digest,
                    circle,
                    held,
                },
                Response::Survivors(roster),
            ) => {
                let told = circle.told(&digest, &roster, &self.frame.plan)?;
                self.frame.vouch(told, circle, held, identity)
            }
            (
                State::Endorsing {
                    told, circle, held, ..
                },
                Response::Accepted,
            ) => State::Proof { told, circle, held },
            (State::Proof { told, circle, held }, Response::Proof(proof, masked)) => {
                circle.check_masked(&masked, &told)?;
                circle.check_proof(&proof, &told, &self.frame, certificates)?;
                State::Unmasking {
                    revealed: circle.reveal(held, &told, &self.frame.plan)?,
                }
            }
            (State::Unmasking { .. }, Response::Accepted) => State::Outcome,
            // Others may have unmasked the sum before this client was asked to help.
            (
                State::Survivors { .. }
                | State::Endorsing { .. }
                | State::Proof { .. }
                | State::Unmasking { .. }
                | State::Outcome,
                Response::Completed { version },
            ) => State::Over(Outcome::Completed { version }),
            // The round went on without it, and is over.
            (
                State::Neighbours { .. } | State::Shares { .. } | State::Sharers { .. },
                Response::Completed { .. },
            ) => State::Over(Outcome::LeftOut),
            _ => return Err(Refusal::Unexpected),
        };
        Ok(())
    }

    /// Ends the client's part: the coordinator said that the round goes on without it.
    /// A round that is over stays as it ended.
    pub fn left_out(&mut self) {
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(Outcome::LeftOut);
        }
    }
}

impl Frame {
    fn circle(
        &self,
        place: Neighbourhood,
        own: &Own,
        enrolled: [u8; 32],
        certificates: &impl Certificates,
    ) -> Result<Circle, Refusal> {
        if (place.cohort as usize) < self.cohort {
            return Err(Refusal::Roster {
                list: "neighbours",
                reason: "is of a cohort that is smaller than this client's floor",
            });
        }
        Circle::new(place, self, own, enrolled, certificates)
    }

    /// Signs what this client was told, where the cohort vouches for it. It is the only statement of the round that
    /// it ever signs: the state in which it could be told something else is gone.
    fn vouch(&self, told: Told, circle: Box<Circle>, held: Held, identity: &Identity) -> State {
        match self.plan.consistency {
            Consistency::Witness => State::Proof { told, circle, held },
            Consistency::Cohort => State::Endorsing {
                signature: identity.endorse(&told.statement),
                told,
                circle,
                held,
            },
        }
    }

    fn charge(&self) -> Result<Charge, Refusal> {
        Ok(Charge {
            task: self.plan.task.clone(),
            release: self.plan.release.clone(),
            round: self.plan.round,
            cost: floor::cost(&self.plan)?,
            survivors: self.plan.survivors,
        })
    }
}

/// Most characters of a coordinator's sentence that are kept.
const SENTENCE: usize = 1024;

/// The one field of a plan that every version has.
#[derive(Deserialize)]
struct Spoken {
    protocol: u32,
}

/// A coordinator's sentence is shown to people: nothing in it may move a terminal's cursor.
fn printable(sentence: &str) -> String {
    let plain = sentence.chars().filter(|letter| !letter.is_control());
    plain.take(SENTENCE).collect()
}
