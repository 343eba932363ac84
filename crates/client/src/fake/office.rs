use std::collections::BTreeSet;

use chorus_model::Learning;
use chorus_protocol::{
    ClientId, Digest, Event, Identity, Input, Invitation, LogEntry, Message, Millis, Origin, Phase,
    Purpose, Recovered, Reject, Request, Response, Round, RoundId, SignedEntry, Task, TaskName,
    Timing, decode,
};
use chorus_wire::{Kind, Rejection};

use super::FakeError;
use super::authority::Card;

/// A round, and who was invited to it.
pub(crate) struct Open {
    pub round: Round,
    pub invitation: Invitation,
    pub invited: BTreeSet<ClientId>,
    /// Its clients count the sum as contributed, whatever becomes of the round.
    charged: bool,
}

/// The coordinator: the product's rounds, plans, log and server steps, without a network, a disk or a clock.
pub(crate) struct Office {
    pub identity: Identity,
    pub task: Task,
    pub learning: Learning,
    pub log: Vec<SignedEntry>,
    /// Every version of the model, as it is sent.
    pub models: Vec<Vec<u8>>,
    /// The round that runs.
    pub open: Option<Open>,
    /// Rounds that are over: whoever was in them may still ask how they ended.
    past: Vec<Open>,
    /// What was learned from.
    pub recovered: Vec<Recovered>,
    pub now: Millis,
    next_sum: usize,
    rounds: u64,
    /// Why no further round can be.
    pub fault: Option<String>,
}

/// How long a phase waits for who does not come, on the office's own clock.
const TIMING: Timing = Timing {
    phase: 10_000,
    quiet: 1_000,
};

/// In as many parts a model is sent.
const PARTS: usize = 3;

impl Office {
    /// The task at its beginning, its first model published.
    pub fn new(identity: Identity, task: Task, seed: u64) -> Result<Self, FakeError> {
        let learning = task.recipe.start(seed);
        let first = learning.parameters.to_bytes()?;
        let mut office = Self {
            identity,
            task,
            learning,
            log: Vec::new(),
            models: Vec::new(),
            open: None,
            past: Vec::new(),
            recovered: Vec::new(),
            now: 0,
            next_sum: 0,
            rounds: 0,
            fault: None,
        };
        office.publish(Origin::Start, first)?;
        Ok(office)
    }

    pub fn is_finished(&self) -> bool {
        self.next_sum >= self.task.sums().len()
    }

    /// Opens a round of the next sum.
    pub fn open(&mut self, invited: BTreeSet<ClientId>) -> Result<(), FakeError> {
        self.rounds += 1;
        let model = self
            .models
            .last()
            .map_or(Digest::ZERO, |model| Digest::of(model));
        let (round, version) = (RoundId(self.rounds), self.log.len() as u64);
        let plan = self
            .task
            .plan(self.next_sum, invited.len(), round, version, model)?;
        let bytes = serde_json::to_vec(&plan).map_err(|error| FakeError(error.to_string()))?;
        self.open = Some(Open {
            round: Round::open(plan, &bytes, invited.clone(), TIMING, self.now),
            invitation: self.invitation(bytes),
            invited,
            charged: false,
        });
        Ok(())
    }

    /// Signs a plan.
    pub fn invitation(&self, plan: Vec<u8>) -> Invitation {
        let signature = self.identity.sign(Purpose::Plan, &[&plan]);
        Invitation { plan, signature }
    }

    /// Adds a version to the log.
    pub fn publish(&mut self, origin: Origin, model: Vec<u8>) -> Result<(), FakeError> {
        self.models.push(model);
        self.enter(origin, Digest::of(b""))
    }

    /// Signs another history of the same models, and one more version, which shows it to who follows the log.
    pub fn fork(&mut self) -> Result<(), FakeError> {
        self.models.extend(self.models.last().cloned());
        self.log.clear();
        while self.log.len() < self.models.len() {
            self.enter(Origin::Round, Digest::of(b"another history"))?;
        }
        Ok(())
    }

    /// Adds the entry of the first model that has none.
    fn enter(&mut self, origin: Origin, report: Digest) -> Result<(), FakeError> {
        let index = self.log.len();
        let model = self.models.get(index);
        let entry = LogEntry {
            index: index as u64,
            previous: self.log.last().map_or(Digest::ZERO, SignedEntry::digest),
            task: self.task.name.clone(),
            version: index as u64 + 1,
            origin,
            model: model.map_or(Digest::ZERO, |model| Digest::of(model)),
            report,
        };
        let entry = SignedEntry::sign(&entry, &self.identity);
        self.log
            .push(entry.map_err(|error| FakeError(error.to_string()))?);
        Ok(())
    }

    /// Answers one call of whoever holds the card.
    pub fn answer(&mut self, card: &Card, request: &Request) -> Result<Response, Rejection> {
        if let Some(fault) = &self.fault {
            return Err(Rejection::new(Kind::Broken, "internal", fault));
        }
        match request {
            Request::CheckIn { task } => self.check_in(card, task),
            Request::FetchLog { from } => {
                let rest = self.log.iter().skip(*from as usize);
                Ok(Response::Log(rest.cloned().collect()))
            }
            Request::FetchModel { digest, offset } => self.model(digest, *offset),
            Request::Await { round, awaited } => {
                Ok(self.round(*round)?.answer(&card.id, *awaited)?)
            }
            request => {
                let (round, message) = said(card, request).ok_or_else(Rejection::broken)?;
                let client = card.id;
                self.hear(round, Input::From { client, message })?;
                Ok(Response::Accepted)
            }
        }
    }

    fn check_in(&self, card: &Card, task: &TaskName) -> Result<Response, Rejection> {
        if *task != self.task.name {
            let words = format!("there is no task `{task}` here");
            return Err(Rejection::new(Kind::Unknown, "unknown-task", words));
        }
        Ok(match &self.open {
            Some(open)
                if open.round.phase() == Phase::Advertising && open.invited.contains(&card.id) =>
            {
                Response::Invited(open.invitation.clone())
            }
            None if self.is_finished() => Response::Finished,
            _ => Response::Wait { milliseconds: 0 },
        })
    }

    fn model(&self, digest: &Digest, offset: u64) -> Result<Response, Rejection> {
        let model = self
            .models
            .iter()
            .find(|model| Digest::of(model) == *digest);
        let model = model.ok_or_else(|| {
            Rejection::new(
                Kind::Unknown,
                "unknown-model",
                "there is no such model here",
            )
        })?;
        let part = model.len().div_ceil(PARTS);
        let rest = model.iter().skip(offset as usize).take(part);
        Ok(Response::Model {
            offset,
            total: model.len() as u64,
            bytes: rest.copied().collect(),
        })
    }

    fn round(&mut self, id: RoundId) -> Result<&mut Round, Reject> {
        let mut rounds = self.open.iter_mut().chain(&mut self.past);
        rounds
            .find(|open| open.round.plan().round == id)
            .map(|open| &mut open.round)
            .ok_or(Reject::UnknownRound(id.0))
    }

    fn hear(&mut self, round: RoundId, input: Input) -> Result<(), Reject> {
        let (now, mut events) = (self.now, Vec::new());
        self.round(round)?.handle(now, input, &mut events)?;
        for event in events {
            match event {
                Event::Began(Phase::Uploading) => {
                    if let Some(open) = &mut self.open {
                        open.charged = true;
                    }
                }
                Event::Began(_) => {}
                Event::Completed(recovered) => self.complete(recovered),
                Event::Aborted { reason } => self.abort(&reason),
            }
        }
        Ok(())
    }

    /// Tells the round that runs what time it is.
    pub fn tick(&mut self) {
        if let Some(open) = &self.open {
            // Time is nobody's fault: a tick is never rejected.
            let _told = self.hear(open.round.plan().round, Input::Tick);
        }
    }

    fn complete(&mut self, recovered: Recovered) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        match self.learn(&open, &recovered) {
            Ok(version) => {
                open.round.published(version);
                self.recovered.push(recovered);
            }
            Err(error) => self.fault = Some(error.to_string()),
        }
        self.past.push(open);
    }

    /// The server step: the version that came of it.
    fn learn(&mut self, open: &Open, recovered: &Recovered) -> Result<u64, FakeError> {
        let plan = open.round.plan();
        let mut delta = decode(&recovered.sum, plan, recovered.clients);
        delta.noise = delta.noise.hypot(recovered.surplus / plan.encoding.scale());
        let learned = self
            .task
            .learn(self.learning.clone(), self.next_sum, &delta)?;
        let origin = match learned.back {
            Some(_) => Origin::Rollback,
            None => Origin::Round,
        };
        self.publish(origin, learned.learning.parameters.to_bytes()?)?;
        self.learning = learned.learning;
        self.next_sum = learned.next;
        Ok(self.log.len() as u64)
    }

    /// A round without a sum. With noise each sum is taken once, so there is none after it.
    fn abort(&mut self, reason: &str) {
        let Some(open) = self.open.take() else {
            return;
        };
        if open.charged && self.task.privacy.bound().is_some() {
            self.fault = Some(format!(
                "a sum with noise failed, and is not taken twice: {reason}"
            ));
        }
        self.past.push(open);
    }
}

/// What a call says to a round, and to which.
fn said(card: &Card, request: &Request) -> Option<(RoundId, Message)> {
    Some(match request {
        Request::AdvertiseKeys {
            round,
            keys,
            signature,
        } => {
            let message = Message::Advertise {
                key: card.key,
                certificate: card.certificate.clone(),
                keys: *keys,
                signature: *signature,
            };
            (*round, message)
        }
        Request::ShareKeys { round, sealed } => (*round, Message::Share(sealed.clone())),
        Request::ConfirmShares { round, unopenable } => {
            (*round, Message::Confirm(unopenable.clone()))
        }
        Request::Upload { round, update } => (*round, Message::Upload(update.clone())),
        Request::Endorse { round, signature } => (*round, Message::Endorse(*signature)),
        Request::Unmask { round, revealed } => (*round, Message::Unmask(revealed.clone())),
        _ => return None,
    })
}
