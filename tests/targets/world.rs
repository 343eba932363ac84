//! Two small rounds, one of each kind of proof, and everything that was said, kept and saved in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use chorus_model::Delta;
use chorus_protocol::{
    Beacon, Certificates, ClientId, Consistency, Digest, Event, Floor, Identity, Input, Invitation,
    LogEntry, LogView, Message, Next, Origin, Participation, Phase, Privacy, Purpose, Question,
    Record, Request, Response, Round, RoundId, RoundPlan, Seal, SignedEntry, Standing, Task,
    Testimony, Timing, encode, noise_share,
};
use chorus_wire::Call;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// What was heard.
#[derive(Default)]
pub struct World {
    pub calls: Vec<Call>,
    pub replies: Vec<Response>,
    /// Of one client, between any two of its steps.
    pub saved: Vec<Vec<u8>>,
    pub plans: Vec<Vec<u8>>,
    pub entries: Vec<Vec<u8>>,
    pub checkpoints: Vec<Vec<u8>>,
    /// A client and what was recorded of it.
    pub records: Vec<(ClientId, Vec<u8>)>,
}

pub const TIMING: Timing = Timing {
    phase: 1_000,
    quiet: 100,
};

/// The model file of the rounds.
pub const MODEL: &[u8] = b"the model that everyone trains";
const CLIENTS: u8 = 12;

/// Who signs plans, log entries and revocations here.
pub fn signer() -> Identity {
    Identity::from_seed(&[200; 32])
}

/// A member of the rounds.
pub fn member(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

/// A certificate is the key itself.
pub struct Keys;

impl Certificates for Keys {
    fn enrolled_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        certificate.try_into().map_err(|_| "not a key".to_owned())
    }

    fn witness_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        self.enrolled_key(certificate)
    }
}

/// The limits of the clients here.
pub fn floor() -> Floor {
    Floor {
        without_noise: true,
        ..Floor::default()
    }
}

/// What a client brings that has never taken part.
pub fn standing(floor: &Floor) -> Standing<'_> {
    Standing {
        floor,
        charges: &[],
        local_today: 0,
        last_round: None,
        log: LogView::default(),
        coordinator: signer().public(),
        model: None,
    }
}

/// The world, which is made once.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut world = World::default();
        live(&mut world, Consistency::Cohort, 32);
        live(&mut world, Consistency::Witness, 20);
        let noised = task(Consistency::Cohort, 24, true);
        let plan = plan(&noised);
        world
            .plans
            .push(serde_json::to_vec(&plan).expect("plans are written"));
        world
    })
}

fn task(consistency: Consistency, bits: u32, noise: bool) -> Task {
    let recipe = match noise {
        true => r#"{"algorithm": "ials-private", "items": 24, "factors": 2, "sweeps": 1}"#,
        false => r#"{"algorithm": "ials", "items": 6, "factors": 2, "rounds": 2}"#,
    };
    let privacy = match noise {
        true => Privacy::Distributed {
            epsilon: 8.0,
            delta: 1e-5,
        },
        false => Privacy::Off,
    };
    Task {
        name: "films".to_owned().try_into().expect("a name"),
        population: CLIENTS.into(),
        cohort: 1.0,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits,
        consistency,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe: serde_json::from_str(recipe).expect("a recipe"),
    }
}

fn plan(task: &Task) -> RoundPlan {
    let model = Digest::of(MODEL);
    task.plan(0, CLIENTS.into(), RoundId(7), 1, model)
        .expect("a plan")
}

/// A round to its end. The last client goes silent before it uploads.
fn live(world: &mut World, consistency: Consistency, bits: u32) {
    let plan = plan(&task(consistency, bits, false));
    let plan_bytes = serde_json::to_vec(&plan).expect("plans are written");
    let entry = LogEntry {
        index: 0,
        previous: Digest::ZERO,
        task: plan.task.clone(),
        version: 1,
        origin: Origin::Start,
        model: plan.model,
        report: Digest::of(b""),
    };
    let entry = SignedEntry::sign(&entry, &signer()).expect("entries are written");
    let invitation = Invitation {
        signature: signer().sign(Purpose::Plan, &[&plan_bytes]),
        plan: plan_bytes.clone(),
    };
    world.plans.push(plan_bytes.clone());
    world.entries.push(entry.bytes.clone());
    world.replies.push(Response::Invited(invitation.clone()));
    let identities: Vec<Identity> = (0..CLIENTS).map(member).collect();
    let invited: BTreeSet<ClientId> = identities.iter().map(Identity::id).collect();
    let floor = floor();
    let mut clients: BTreeMap<usize, (Participation, ChaCha20Rng)> = (0..identities.len())
        .map(|index| {
            let joined = Participation::join(invitation.clone(), standing(&floor));
            let rng = ChaCha20Rng::seed_from_u64(index as u64);
            (index, (joined.expect("a sound plan"), rng))
        })
        .collect();
    let mut coordinator = Coordinator {
        round: Round::open(plan, &plan_bytes, invited, TIMING, 0),
        entry,
        events: Vec::new(),
        is_kept: false,
    };
    for now in (0..).step_by(20) {
        for (index, identity) in identities.iter().enumerate() {
            let Some((mut client, mut rng)) = clients.remove(&index) else {
                continue;
            };
            if index == 0 {
                world
                    .saved
                    .push(client.save().expect("it is saved").to_vec());
            }
            let stays = match client.poll() {
                Next::Over(_) => false,
                Next::Learn { plan, .. } => {
                    let values = vec![0.25; plan.encoding.length()];
                    let share = noise_share(plan, &mut rng).expect("it is drawn");
                    let delta = Delta::new(values);
                    let encoded = encode(delta, plan, share, &mut rng).expect("it fits");
                    client
                        .learned(encoded.update, identity, &mut rng)
                        .expect("it is learned");
                    true
                }
                Next::Send(Request::Upload { .. }) if index + 1 == identities.len() => false,
                Next::Send(request) => {
                    if index == 0 {
                        world.calls.push(Call::from(&request));
                    }
                    let response = coordinator.ask(world, identity, request, now);
                    if index == 0 {
                        world.replies.push(response.clone());
                    }
                    client
                        .handle(response, identity, &Keys, &mut rng)
                        .expect("an honest coordinator");
                    true
                }
            };
            if stays {
                clients.insert(index, (client, rng));
            }
        }
        coordinator.tick(world, now);
        if clients.is_empty() {
            break;
        }
    }
    let completed = |event: &Event| matches!(event, Event::Completed(_));
    assert!(coordinator.events.iter().any(completed), "the round ends");
}

struct Coordinator {
    round: Round,
    entry: SignedEntry,
    events: Vec<Event>,
    is_kept: bool,
}

impl Coordinator {
    fn ask(
        &mut self,
        world: &mut World,
        identity: &Identity,
        request: Request,
        now: u64,
    ) -> Response {
        let client = identity.id();
        let message = match request {
            Request::CheckIn { .. } => return Response::Finished,
            Request::FetchLog { .. } => return Response::Log(vec![self.entry.clone()]),
            Request::FetchModel { offset, .. } => {
                return Response::Model {
                    offset,
                    total: MODEL.len() as u64,
                    bytes: MODEL.to_vec(),
                };
            }
            Request::Await { awaited, .. } => {
                return self.round.answer(&client, awaited).expect("it is invited");
            }
            Request::AdvertiseKeys {
                keys, signature, ..
            } => Message::Advertise {
                key: identity.public(),
                certificate: identity.public().to_vec(),
                keys,
                signature,
            },
            Request::ShareKeys { sealed, .. } => Message::Share(sealed),
            Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable),
            Request::Upload { update, .. } => Message::Upload(update),
            Request::Endorse { signature, .. } => Message::Endorse(signature),
            Request::Unmask { revealed, .. } => Message::Unmask(revealed),
        };
        if let Some(record) = Record::of(&message) {
            world.records.push((client, record.bytes().to_vec()));
        }
        self.put(world, now, Input::From { client, message });
        Response::Accepted
    }

    fn tick(&mut self, world: &mut World, now: u64) {
        self.put(world, now, Input::Tick);
        if let Some(question) = self.round.question() {
            self.put(world, now, Input::Witness(testify(question)));
        }
    }

    fn put(&mut self, world: &mut World, now: u64, input: Input) {
        let handled = self.round.handle(now, input, &mut self.events);
        handled.expect("honest clients");
        if !self.is_kept && self.round.phase() >= Phase::Endorsing {
            self.is_kept = true;
            world.checkpoints.extend(self.round.checkpoint());
        }
        self.round.published(2);
    }
}

fn testify(question: Question) -> Testimony {
    let witness = member(100);
    let (certificate, coordinator) = (witness.public().to_vec(), signer().public());
    match question {
        Question::Draw { round, commitment } => Testimony::Beacon(Beacon::sign(
            &witness,
            certificate,
            &coordinator,
            round,
            &commitment,
            [5; 32],
        )),
        Question::Seal { round, statement } => Testimony::Seal(Seal::sign(
            &witness,
            certificate,
            &coordinator,
            round,
            &statement,
        )),
    }
}
