//! A federation without sockets: every client is a `Participation`, the coordinator is a `Round`.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod kept;
pub mod loot;
pub mod story;
pub mod tree;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};

use chorus_model::Delta;
use chorus_privacy::NoisedUpdate;
use chorus_protocol::{
    Awaited, Beacon, Certificates, ClientId, Consistency, Digest, Event, Floor, Identity, Input,
    Invitation, LogEntry, LogView, Message, Next, Origin, Outcome, Participation, Phase, Privacy,
    Purpose, Question, Record, Recovered, Refusal, Reject, Request, Response, Round, RoundId,
    RoundPlan, Seal, SignedEntry, Standing, Task, Testimony, encode, noise_share,
};
use chorus_secagg::Generator;
use kept::{Kept, TIMING};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

pub const MODEL: &[u8] = b"the model that everyone trains";

/// Every word of an update, zeros included.
pub fn dense(update: &NoisedUpdate) -> Vec<u32> {
    let mut words = vec![0; update.length()];
    for (first, own) in update.stretches() {
        words[first..first + own.len()].copy_from_slice(own);
    }
    words
}

/// In these tests a certificate is the key itself.
pub struct Keys;

impl Certificates for Keys {
    fn enrolled_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        certificate.try_into().map_err(|_| "not a key".to_owned())
    }

    /// A witness's certificate is its key after this word.
    fn witness_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        let key = certificate.strip_prefix(b"witness");
        key.and_then(|key| key.try_into().ok())
            .ok_or_else(|| "not the certificate of a witness".to_owned())
    }
}

/// A witness that keeps its word: one beacon and one seal a round.
pub struct Witness {
    pub identity: Identity,
    pub answered: Vec<(Question, Testimony)>,
    /// From this phase of the round on it says nothing.
    pub silent_from: Phase,
}

impl Witness {
    pub fn new(seed: u8) -> Self {
        Self {
            identity: Identity::from_seed(&[seed; 32]),
            answered: Vec::new(),
            silent_from: Phase::Ended,
        }
    }

    pub fn certificate(&self) -> Vec<u8> {
        [b"witness", &self.identity.public()[..]].concat()
    }

    /// Answers a question; nothing to a second one of the same kind for the same round.
    pub fn answer(&mut self, coordinator: &[u8; 32], question: Question) -> Option<Testimony> {
        if let Some((_, testimony)) = self.answered.iter().find(|(asked, _)| *asked == question) {
            return Some(testimony.clone());
        }
        let kind = |question: &Question| match question {
            Question::Draw { round, .. } => (0, *round),
            Question::Seal { round, .. } => (1, *round),
        };
        if self
            .answered
            .iter()
            .any(|(asked, _)| kind(asked) == kind(&question))
        {
            return None;
        }
        let (identity, certificate) = (&self.identity, self.certificate());
        let testimony = match &question {
            Question::Draw { round, commitment } => {
                let drawn = Digest::of_parts("a test's witness draws", &[&commitment.0]).0;
                Testimony::Beacon(Beacon::sign(
                    identity,
                    certificate,
                    coordinator,
                    *round,
                    commitment,
                    drawn,
                ))
            }
            Question::Seal { round, statement } => Testimony::Seal(Seal::sign(
                identity,
                certificate,
                coordinator,
                *round,
                statement,
            )),
        };
        self.answered.push((question, testimony.clone()));
        Some(testimony)
    }
}

/// Where a client goes silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vanish {
    BeforeAdvertising,
    BeforeSharing,
    BeforeConfirming,
    BeforeUploading,
    BeforeEndorsing,
    BeforeUnmasking,
    Never,
}

pub struct Member {
    pub identity: Identity,
    pub participation: Option<Participation>,
    pub words: Vec<u32>,
    /// Of the layers of its noise.
    pub seeds: Vec<[u8; 32]>,
    pub vanish: Vanish,
    pub rng: ChaCha20Rng,
    pub refusal: Option<Refusal>,
    /// Of its masks; the processor's when it does not say.
    pub generator: Option<Generator>,
}

pub struct Federation {
    pub coordinator: Identity,
    pub plan: RoundPlan,
    pub plan_bytes: Vec<u8>,
    pub round: Round,
    pub members: Vec<Member>,
    pub entry: SignedEntry,
    pub events: Vec<Event>,
    pub now: u64,
    /// What the members are given instead of `MODEL`.
    pub models: BTreeMap<usize, Vec<u8>>,
    /// Asked where the plan names one.
    pub witness: Witness,
    /// Saves and restores every participation between any two steps.
    pub interrupted: bool,
    /// What the coordinator keeps for its next start.
    pub kept: Kept,
}

pub fn task(population: usize, noise: bool) -> Task {
    let recipe = match noise {
        true => r#"{"algorithm": "ials-private", "items": 24, "factors": 2, "sweeps": 1}"#,
        // A grid of 16 bits for a hundred clients bears no larger clip.
        false => r#"{"algorithm": "ials", "items": 24, "factors": 2, "rounds": 2, "clip": 64.0}"#,
    };
    let privacy = match noise {
        true => Privacy::Distributed {
            epsilon: 8.0,
            delta: 1e-5,
        },
        false => Privacy::Off,
    };
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population,
        cohort: 1.0,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe: serde_json::from_str(recipe).unwrap(),
    }
}

impl Federation {
    pub fn new(clients: usize, noise: bool, seed: u64) -> Self {
        Self::of(&task(clients, noise), seed)
    }

    pub fn of(task: &Task, seed: u64) -> Self {
        let clients = task.population;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let coordinator = Identity::generate(&mut rng);
        task.validate().unwrap();
        let plan = task
            .plan(0, clients, RoundId(7), 1, Digest::of(MODEL))
            .unwrap();
        let plan_bytes = serde_json::to_vec(&plan).unwrap();
        let entry = LogEntry {
            index: 0,
            previous: Digest::ZERO,
            task: plan.task.clone(),
            version: 1,
            origin: Origin::Start,
            model: Digest::of(MODEL),
            report: Digest::of(b""),
        };
        let entry = SignedEntry::sign(&entry, &coordinator).unwrap();
        let members: Vec<Member> = (0..clients)
            .map(|_| Member {
                identity: Identity::generate(&mut rng),
                participation: None,
                words: Vec::new(),
                seeds: Vec::new(),
                vanish: Vanish::Never,
                rng: ChaCha20Rng::seed_from_u64(rng.next_u64()),
                refusal: None,
                generator: None,
            })
            .collect();
        let invited: BTreeSet<ClientId> =
            members.iter().map(|member| member.identity.id()).collect();
        let round = Round::open(plan.clone(), &plan_bytes, invited, TIMING, 0);
        Self {
            coordinator,
            plan,
            plan_bytes,
            round,
            members,
            entry,
            events: Vec::new(),
            now: 0,
            models: BTreeMap::new(),
            witness: Witness::new(77),
            interrupted: false,
            kept: Kept::default(),
        }
    }

    pub fn invitation(&self) -> Invitation {
        let signature = self.coordinator.sign(Purpose::Plan, &[&self.plan_bytes]);
        Invitation {
            plan: self.plan_bytes.clone(),
            signature,
        }
    }

    pub fn floor(&self) -> Floor {
        Floor {
            without_noise: true,
            ..Floor::default()
        }
    }

    pub fn join(&self, floor: &Floor) -> Result<Participation, Refusal> {
        let standing = Standing {
            floor,
            charges: &[],
            local_today: 0,
            last_round: None,
            log: LogView::default(),
            coordinator: self.coordinator.public(),
            model: None,
        };
        Participation::join(self.invitation(), standing)
    }

    pub fn join_all(&mut self) {
        let floor = self.floor();
        for index in 0..self.members.len() {
            self.members[index].participation = Some(self.join(&floor).unwrap());
        }
    }

    /// Runs until nobody has anything to say and time brings nothing more.
    pub fn run(&mut self) {
        self.join_all();
        self.go_on();
    }

    pub fn go_on(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for index in 0..self.members.len() {
                moved |= self.step(index);
            }
            if !moved {
                if self.is_over() {
                    return;
                }
                self.now += 50;
                self.tick();
            }
        }
        panic!("the round does not end");
    }

    /// Time passes, and the witness answers what the round asks it.
    pub fn tick(&mut self) {
        let tick = Input::Tick;
        self.round.handle(self.now, tick, &mut self.events).unwrap();
        self.kept.settle(&self.round);
        self.ask_witness();
    }

    pub fn ask_witness(&mut self) {
        let asks = self.round.phase() < self.witness.silent_from;
        if let Some(question) = self.round.question().filter(|_| asks) {
            let coordinator = self.coordinator.public();
            if let Some(testimony) = self.witness.answer(&coordinator, question) {
                let input = Input::Witness(testimony);
                self.round
                    .handle(self.now, input, &mut self.events)
                    .unwrap();
            }
        }
    }

    pub fn is_over(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, Event::Completed(_) | Event::Aborted { .. }))
    }

    pub fn recovered(&self) -> Option<&Recovered> {
        self.events.iter().find_map(|event| match event {
            Event::Completed(recovered) => Some(recovered),
            _ => None,
        })
    }

    pub fn aborted(&self) -> Option<&str> {
        self.events.iter().find_map(|event| match event {
            Event::Aborted { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    /// One step of one member; false when it waits or is gone.
    pub fn step(&mut self, index: usize) -> bool {
        let Some(mut participation) = self.members[index].participation.take() else {
            return false;
        };
        if self.interrupted {
            participation = Participation::restore(&participation.save().unwrap()).unwrap();
        }
        let vanish = self.members[index].vanish;
        let (moved, gone) = match participation.poll() {
            Next::Over(_) => (false, false),
            Next::Learn { plan, .. } => {
                let member = &mut self.members[index];
                let values = (0..plan.encoding.length())
                    .map(|place| ((place * 31 + index * 17) % 13) as f32 / 13.0 - 0.5)
                    .collect();
                let encoded = encode(
                    Delta::new(values),
                    plan,
                    noise_share(plan, &mut member.rng).unwrap(),
                    &mut member.rng,
                )
                .unwrap();
                member.words = dense(&encoded.update);
                member.seeds = encoded
                    .update
                    .seeds()
                    .iter()
                    .map(|seed| *seed.as_bytes())
                    .collect();
                let generator = member.generator.unwrap_or_else(Generator::native);
                let (identity, rng) = (&member.identity, &mut member.rng);
                participation
                    .learned_with(generator, encoded.update, identity, rng)
                    .unwrap();
                (true, false)
            }
            Next::Send(request) => match leaves(&request, vanish) {
                true => (false, true),
                false => {
                    let answer = self.ask(index, request);
                    let member = &mut self.members[index];
                    match answer {
                        Ok(Response::Pending) => (false, false),
                        Ok(response) => {
                            let result = participation.handle(
                                response,
                                &member.identity,
                                &Keys,
                                &mut member.rng,
                            );
                            member.refusal = result.err();
                            (true, false)
                        }
                        Err(_) => {
                            participation.left_out();
                            (true, false)
                        }
                    }
                }
            },
        };
        if !gone {
            self.members[index].participation = Some(participation);
        }
        moved
    }

    pub fn outcome(&self, index: usize) -> Option<Outcome> {
        match self.members[index].participation.as_ref()?.poll() {
            Next::Over(outcome) => Some(outcome.clone()),
            _ => None,
        }
    }

    /// What the coordinator's service does with a request.
    pub fn ask(&mut self, index: usize, request: Request) -> Result<Response, Reject> {
        let client = self.members[index].identity.id();
        let message = match request {
            Request::CheckIn { .. } => return Ok(Response::Finished),
            Request::FetchLog { from: 0 } => return Ok(Response::Log(vec![self.entry.clone()])),
            Request::FetchLog { .. } => return Ok(Response::Log(Vec::new())),
            Request::FetchModel { offset, .. } => {
                let model = self.models.get(&index).map_or(MODEL, Vec::as_slice);
                let from = offset as usize;
                let to = (from + 10).min(model.len());
                let total = model.len() as u64;
                return Ok(Response::Model {
                    offset,
                    total,
                    bytes: model[from..to].to_vec(),
                });
            }
            Request::Await { awaited, .. } => return self.round.answer(&client, awaited),
            Request::AdvertiseKeys {
                keys, signature, ..
            } => {
                let key = self.members[index].identity.public();
                Message::Advertise {
                    key,
                    certificate: key.to_vec(),
                    keys,
                    signature,
                }
            }
            Request::ShareKeys { sealed, .. } => Message::Share(sealed),
            Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable),
            Request::Upload { update, .. } => Message::Upload(update),
            Request::Endorse { signature, .. } => Message::Endorse(signature),
            Request::Unmask { revealed, .. } => Message::Unmask(revealed),
        };
        self.say(client, message)?;
        self.ask_witness();
        if self.recovered().is_some() {
            self.round.published(2);
        }
        Ok(Response::Accepted)
    }

    /// Goes on with everyone until member `index` waits for `awaited` and would be answered; gives that answer
    /// back instead of handing it over.
    pub fn halt_at(&mut self, index: usize, awaited: Awaited) -> Response {
        for _ in 0..10_000 {
            let mut moved = false;
            for other in 0..self.members.len() {
                let next = self.members[other].participation.as_ref().map(|p| p.poll());
                let waits = matches!(
                    next,
                    Some(Next::Send(Request::Await { awaited: at, .. })) if at == awaited
                );
                if other == index && waits {
                    let round = self.plan.round;
                    match self.ask(index, Request::Await { round, awaited }).unwrap() {
                        Response::Pending => {}
                        response => return response,
                    }
                } else {
                    moved |= self.step(other);
                }
            }
            if !moved {
                self.now += 50;
                self.tick();
            }
        }
        panic!("member {index} never waits for {awaited:?}");
    }

    /// Goes on with everyone until the round is in `phase`.
    pub fn run_to(&mut self, phase: Phase) {
        for _ in 0..10_000 {
            for index in 0..self.members.len() {
                if self.round.phase() >= phase {
                    return;
                }
                self.step(index);
            }
        }
        panic!("the round never comes to {phase:?}");
    }

    /// Hands a member an answer.
    pub fn tell(&mut self, index: usize, response: Response) -> Result<(), Refusal> {
        let member = &mut self.members[index];
        let participation = member.participation.as_mut().unwrap();
        participation.handle(response, &member.identity, &Keys, &mut member.rng)
    }

    /// A message of any client. What must outlive the coordinator is kept before the client is answered.
    pub fn say(&mut self, client: ClientId, message: Message) -> Result<(), Reject> {
        let record = Record::of(&message);
        let input = Input::From { client, message };
        self.round.handle(self.now, input, &mut self.events)?;
        self.kept.keep(&self.round, client, record);
        Ok(())
    }

    /// The sum of the encodings of those whose update arrived, without any mask, in the plan's ring.
    pub fn plain_sum(&self, uploaded: impl Fn(&Member) -> bool) -> Vec<u32> {
        let ring = self.plan.ring();
        let mut sum = vec![0u32; self.plan.encoding.length()];
        for member in self.members.iter().filter(|member| uploaded(member)) {
            for (total, word) in sum.iter_mut().zip(&member.words) {
                *total = ring.reduce(total.wrapping_add(*word));
            }
        }
        sum
    }
}

fn leaves(request: &Request, vanish: Vanish) -> bool {
    let before = match request {
        Request::AdvertiseKeys { .. } => Vanish::BeforeAdvertising,
        Request::ShareKeys { .. } => Vanish::BeforeSharing,
        Request::ConfirmShares { .. } => Vanish::BeforeConfirming,
        Request::Upload { .. } => Vanish::BeforeUploading,
        Request::Endorse { .. } => Vanish::BeforeEndorsing,
        Request::Unmask { .. } => Vanish::BeforeUnmasking,
        _ => return false,
    };
    before >= vanish
}

/// Hands member 0 an answer that it must not follow. It is done with the round, silently, and keeps nothing of it.
pub fn refused(federation: &mut Federation, response: Response) -> Refusal {
    let before = federation.members[0].participation.as_ref().unwrap();
    let saved = before.save().unwrap();
    let refusal = federation.tell(0, response).unwrap_err();
    let participation = federation.members[0].participation.as_mut().unwrap();
    assert!(matches!(participation.poll(), Next::Over(Outcome::LeftOut)));
    assert!(participation.save().unwrap().len() <= saved.len() + 1);
    // The next case begins where this one did.
    *participation = Participation::restore(&saved).unwrap();
    refusal
}
