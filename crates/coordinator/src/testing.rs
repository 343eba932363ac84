//! Simulated clients: the product's own `Participation`, with a certificate that is the key itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chorus_model::{Delta, Direct, Engine, ItemId, Parameters, Step, TrainingSet};
use chorus_privacy::{Encoding, NoisedUpdate};
use chorus_protocol::{
    Certificates, Charge, Floor, Identity, Invitation, LogView, Next, Outcome, Participation,
    Refusal, Request, Response, RoundId, RoundPlan, Standing, Task, TaskName, contribute, encode,
    noise_share,
};
use chorus_wire::revocation::Revocations;
use chorus_wire::server::Peer;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::desk::Common;
use crate::revocation::Revoked;
use crate::{Clock, RawConfig, RawTiming, Store, create_task, start_task};

pub const ITEMS: usize = 12;

/// In these tests a certificate is the key itself.
pub struct Keys;

impl Certificates for Keys {
    fn enrolled_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        certificate.try_into().map_err(|_| "not a key".to_owned())
    }

    fn witness_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        self.enrolled_key(certificate)
    }
}

pub fn name() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

pub fn task(population: usize, noise: bool, rounds: usize) -> Task {
    let (noise, recipe) = match noise {
        true => (
            "{ noise = 'distributed', epsilon = 8.0, delta = 1e-5 }",
            format!(
                "{{ algorithm = 'ials-private', items = {ITEMS}, factors = 2, sweeps = {rounds} }}"
            ),
        ),
        false => (
            "{ noise = 'off' }",
            format!(
                "{{ algorithm = 'ials', items = {ITEMS}, factors = 2, rounds = {rounds}, head = 0 }}"
            ),
        ),
    };
    let text = format!(
        "name = 'films'\npopulation = {population}\ndropout = 0.2\nprivacy = {noise}\nrecipe = {recipe}\n"
    );
    crate::read_task(&text).unwrap()
}

/// A clock that a test moves.
pub fn manual_clock() -> (Clock, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(0));
    let (wall, elapsed) = (time.clone(), time.clone());
    let wall = move || 1_700_000_000 + (wall.load(Ordering::SeqCst) / 1_000) as i64;
    let clock = Clock::new(chorus_wire::Clock::new(wall), move || {
        elapsed.load(Ordering::SeqCst)
    });
    (clock, time)
}

/// A store in `directory` with a started task, and an empty list of revocations.
pub fn common(directory: &Path, clock: Clock, task: &Task) -> Arc<Common> {
    let raw = RawConfig {
        directory: Some(directory.to_owned()),
        timing: RawTiming {
            phase_seconds: Some(1.0),
            quiet_seconds: Some(0.3),
            gather_seconds: Some(0.5),
            long_poll_seconds: Some(2.0),
        },
        ..RawConfig::default()
    };
    let store = Arc::new(Store::open(directory).unwrap());
    let identity = Identity::from_seed(&[9; 32]);
    create_task(&store, &identity, task, 5, clock.unix()).unwrap();
    start_task(&store, &task.name).unwrap();
    let revoked = Revoked::default();
    revoked.set(Revocations::default());
    Arc::new(Common {
        config: raw.try_into().unwrap(),
        clock,
        store,
        identity,
        revoked,
        refusals: crate::refusals::Refusals::default(),
        witness: None,
    })
}

/// The last thing a client does before it goes silent in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vanish {
    BeforeAdvertising,
    BeforeSharing,
    BeforeUploading,
    BeforeEndorsing,
    BeforeUnmasking,
    Never,
}

pub struct Member {
    pub identity: Identity,
    pub participation: Option<Participation>,
    pub charges: Vec<Charge>,
    pub last_round: Option<RoundId>,
    pub log: LogView,
    pub vanish: Vanish,
    pub outcomes: BTreeMap<u64, Outcome>,
    pub refusals: Vec<Refusal>,
    pub set: TrainingSet,
    /// What it makes of what it should add, of any size: it keeps to no bound.
    pub spoil: Option<fn(Step, &mut [f32])>,
    rng: ChaCha20Rng,
}

/// What a member wants.
pub enum Want {
    Say(Request),
    Nothing,
}

impl Member {
    pub fn many(count: usize, seed: u64) -> Vec<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut one = |number: usize| Self {
            identity: Identity::generate(&mut rng),
            participation: None,
            charges: Vec::new(),
            last_round: None,
            log: LogView::default(),
            vanish: Vanish::Never,
            outcomes: BTreeMap::new(),
            refusals: Vec::new(),
            set: TrainingSet::of(
                [number, number / 2 + 3, 1].map(|item| ItemId((item % ITEMS) as u32)),
                ITEMS,
            ),
            spoil: None,
            rng: ChaCha20Rng::seed_from_u64(rng.next_u64()),
        };
        (0..count).map(&mut one).collect()
    }

    pub fn peer(&self) -> Peer {
        let key = self.identity.public();
        let certificate = key.to_vec();
        Peer {
            key,
            certificate,
            id: self.identity.id(),
            serial: vec![1],
            not_after: i64::MAX,
        }
    }

    pub fn join(&mut self, invitation: Invitation) {
        let floor = Floor {
            without_noise: true,
            ..Floor::default()
        };
        let standing = Standing {
            floor: &floor,
            charges: &self.charges,
            local_today: 0,
            last_round: self.last_round,
            log: self.log.clone(),
            coordinator: Identity::from_seed(&[9; 32]).public(),
            model: None,
        };
        match Participation::join(invitation, standing) {
            Ok(joined) => {
                self.last_round = Some(joined.plan().round);
                self.participation = Some(joined);
            }
            Err(refusal) => self.refusals.push(refusal),
        }
    }

    /// What the client says next; it learns on the way there.
    pub fn want(&mut self) -> Want {
        loop {
            let Some(participation) = &mut self.participation else {
                return Want::Nothing;
            };
            match participation.poll() {
                Next::Learn { plan, model } => {
                    let update = learn(plan, model, &self.set, self.spoil, &mut self.rng);
                    participation
                        .learned(update, &self.identity, &mut self.rng)
                        .unwrap();
                }
                Next::Send(request) => {
                    let silent = match &request {
                        Request::AdvertiseKeys { .. } => self.vanish <= Vanish::BeforeAdvertising,
                        Request::ShareKeys { .. } => self.vanish <= Vanish::BeforeSharing,
                        Request::Upload { .. } => self.vanish <= Vanish::BeforeUploading,
                        Request::Endorse { .. } => self.vanish <= Vanish::BeforeEndorsing,
                        Request::Unmask { .. } => self.vanish <= Vanish::BeforeUnmasking,
                        _ => false,
                    };
                    if silent {
                        self.participation = None;
                        return Want::Nothing;
                    }
                    return Want::Say(request);
                }
                Next::Over(outcome) => {
                    self.outcomes
                        .insert(participation.plan().round.0, outcome.clone());
                    self.log = participation.log().clone();
                    self.participation = None;
                    return Want::Nothing;
                }
            }
        }
    }

    /// What it would upload, without a mask.
    pub fn unmasked(&mut self, plan: &RoundPlan, model: &[u8]) -> Vec<u32> {
        learn(plan, model, &self.set, self.spoil, &mut self.rng).into_words()
    }

    /// Takes the answer, and keeps what it costs.
    pub fn hear(&mut self, response: Response) {
        let Some(participation) = &mut self.participation else {
            return;
        };
        if let Err(refusal) = participation.handle(response, &self.identity, &Keys, &mut self.rng) {
            self.refusals.push(refusal);
            self.participation = None;
            return;
        }
        if let Some(charge) = participation.charge()
            && !self.charges.contains(charge)
        {
            self.charges.push(charge.clone());
        }
    }

    /// The coordinator refused: the round goes on without this client.
    pub fn left_out(&mut self) {
        self.participation = None;
    }
}

/// What a client makes of its history; `spoil` keeps to no bound.
fn learn(
    plan: &RoundPlan,
    model: &[u8],
    set: &TrainingSet,
    spoil: Option<fn(Step, &mut [f32])>,
    rng: &mut ChaCha20Rng,
) -> NoisedUpdate {
    let model = Parameters::from_bytes(model).unwrap();
    let trainer = Direct.open(&model).unwrap();
    let mut delta = contribute(trainer.as_ref(), plan, set, &mut rng.clone()).unwrap();
    let mut bounds = plan.clone();
    if let Some(spoil) = spoil {
        let (scale, bits) = (plan.encoding.scale(), plan.encoding.bits());
        let clip = f64::from(1 << 30) / scale;
        bounds.encoding = Encoding::new(clip, scale, plan.encoding.length(), bits).unwrap();
        let mut values = delta.into_values();
        spoil(plan.step, &mut values);
        delta = Delta::new(values);
    }
    let share = noise_share(plan, rng).unwrap();
    encode(delta, &bounds, share, rng).unwrap().update
}
