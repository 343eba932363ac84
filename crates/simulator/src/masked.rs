//! A round with masks: the product's `Round` and one `Participation` a client, passed messages in process.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use chorus_protocol::Digest;
use chorus_protocol::{
    Beacon, Certificates, Charge, ClientId, Event, Floor, Identity, Input, Invitation, LogEntry,
    LogView, Message, Next, Origin, Participation, Phase, Purpose, Question, Recovered, Refusal,
    Reject, Request, Response, Round, RoundId, RoundPlan, Seal, SignedEntry, Standing, Task,
    Testimony, Timing,
};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::SimulateError;
use crate::draw::{Leaving, Stream, stream};
use crate::plain::{Scene, Summed, Tally};

/// A certificate here is the key itself: the simulator claims nothing about who its clients are.
struct KeysAsCertificates;

impl Certificates for KeysAsCertificates {
    fn enrolled_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        certificate
            .try_into()
            .map_err(|_| "not a key of 32 bytes".to_owned())
    }

    fn witness_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        self.enrolled_key(certificate)
    }
}

/// What one client keeps from round to round.
struct Device {
    identity: Identity,
    ledger: Ledger,
}

/// A client's privacy ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ledger {
    charges: Vec<Charge>,
    last_round: Option<RoundId>,
}

/// What coordinator and clients keep between two sums, but for the keys, which the seed decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    log: LogView,
    ledgers: Vec<Ledger>,
}

/// The coordinator's key and log, and every client's key and ledger.
pub(crate) struct Enrolled {
    coordinator: Identity,
    log: LogView,
    devices: Vec<Device>,
    floor: Floor,
}

/// The simulated clock: in these milliseconds silence ends a phase.
const TIMING: Timing = Timing {
    phase: 1_000,
    quiet: 10,
};
/// Clients that are polled before the coordinator hears them: bounds the messages in flight.
const BATCH: usize = 64;

impl Enrolled {
    /// Keys for the whole population. Its clients accept what the task asks of them, and no more.
    pub fn new(task: &Task, seed: u64) -> Self {
        let devices = (0..task.population)
            .into_par_iter()
            .map(|client| Device {
                identity: Identity::generate(&mut stream(seed, 0, Stream::Identity(client))),
                ledger: Ledger::default(),
            })
            .collect();
        let coordinator = Identity::generate(&mut stream(seed, 0, Stream::Coordinator));
        Self {
            coordinator,
            log: LogView::default(),
            devices,
            floor: Floor::admitting(task),
        }
    }

    /// What all of them know so far.
    pub fn kept(&self) -> Kept {
        let devices = self.devices.iter();
        Kept {
            log: self.log.clone(),
            ledgers: devices.map(|device| device.ledger.clone()).collect(),
        }
    }

    /// Goes on with what they knew.
    pub fn go_on_from(&mut self, kept: &Kept) {
        self.log = kept.log.clone();
        for (device, ledger) in self.devices.iter_mut().zip(&kept.ledgers) {
            device.ledger = ledger.clone();
        }
    }

    /// Enters the model of `plan` into the log, unless it is there from an earlier round of the same sum.
    fn publish(&mut self, plan: &RoundPlan) -> Result<(), SimulateError> {
        if self
            .log
            .newest(&plan.task)
            .is_some_and(|newest| newest.version == plan.version)
        {
            return Ok(());
        }
        let entry = LogEntry {
            index: self.log.length,
            previous: self.log.head,
            task: plan.task.clone(),
            version: plan.version,
            origin: if plan.version == 1 {
                Origin::Start
            } else {
                Origin::Round
            },
            model: plan.model,
            report: Digest::of(b""),
        };
        let fault = |reason: String| SimulateError::Message {
            round: plan.round.0,
            reason,
        };
        let entry =
            SignedEntry::sign(&entry, &self.coordinator).map_err(|e| fault(e.to_string()))?;
        self.log
            .follow(&[entry], &self.coordinator.public())
            .map_err(|e| fault(e.to_string()))
    }

    fn device(&self, user: usize) -> Result<&Device, SimulateError> {
        self.devices.get(user).ok_or(SimulateError::Population {
            task: self.devices.len(),
            data: user + 1,
        })
    }
}

/// One client in the round.
struct Present<'a> {
    user: usize,
    device: &'a Device,
    participation: Participation,
    rng: ChaCha20Rng,
    leaves: Option<Leaving>,
    uploads: bool,
    gone: bool,
}

/// What a client says, and whether it learned just before and its update will be in the sum.
struct Said {
    request: Request,
    learned: bool,
}

/// Runs the round with the model file `model`. `learned` hears how many of how many clients are done.
pub(crate) fn run(
    enrolled: &mut Enrolled,
    scene: &Scene<'_>,
    model: &[u8],
    learned: &mut dyn FnMut(usize, usize),
) -> Result<Summed, SimulateError> {
    let plan = scene.plan;
    enrolled.publish(plan)?;
    let fault = |reason: String| SimulateError::Message {
        round: plan.round.0,
        reason,
    };
    let bytes = serde_json::to_vec(plan).map_err(|error| fault(error.to_string()))?;
    let mut coordinator = Coordinator::open(enrolled, scene, &bytes)?;
    let mut present = join(enrolled, scene, &bytes, model)?;
    let tally = Mutex::new(Tally::new(plan.ring(), plan.encoding.words()));
    let expected = scene
        .members
        .iter()
        .filter(|member| member.uploads())
        .count();
    let mut done = 0;
    let recovered = loop {
        let mut moved = false;
        for batch in present.chunks_mut(BATCH) {
            let said: Vec<Option<Said>> = batch
                .par_iter_mut()
                .map(|client| client.speak(scene, &tally))
                .collect::<Result<_, SimulateError>>()?;
            let mut answers = Vec::with_capacity(said.len());
            for (client, said) in batch.iter().zip(said) {
                let answer = said.map(|said| {
                    done += usize::from(said.learned);
                    coordinator.hear(client, said.request)
                });
                answers.push(answer);
            }
            let heard: Vec<bool> = batch
                .par_iter_mut()
                .zip(answers)
                .map(|(client, answer)| client.listen(answer))
                .collect::<Result<_, Refusal>>()
                .map_err(|refusal| SimulateError::Refused {
                    round: plan.round.0,
                    refusal,
                })?;
            moved |= heard.contains(&true);
            if moved {
                learned(done, expected);
            }
        }
        if let Some(recovered) = coordinator.end(plan)? {
            break recovered;
        }
        if !moved {
            coordinator.wait();
        }
    };
    let spent: Vec<(usize, Option<Charge>)> = present
        .iter()
        .map(|client| (client.user, client.participation.charge().cloned()))
        .collect();
    for (user, charge) in spent {
        if let Some(device) = enrolled.devices.get_mut(user) {
            device.ledger.last_round = Some(plan.round);
            device.ledger.charges.extend(charge);
        }
    }
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Summed {
        exact: tally.is_exact() && tally.words() == recovered.sum,
        clients: recovered.clients,
        funnel: coordinator.round.funnel(),
        clipped: tally.clipped(),
        upload: coordinator.upload,
        sum: recovered.sum,
    })
}

/// Every invited client considers the invitation.
fn join<'a>(
    enrolled: &'a Enrolled,
    scene: &Scene<'_>,
    plan_bytes: &[u8],
    model: &[u8],
) -> Result<Vec<Present<'a>>, SimulateError> {
    let signature = enrolled.coordinator.sign(Purpose::Plan, &[plan_bytes]);
    scene
        .members
        .par_iter()
        .map(|member| {
            let device = enrolled.device(member.user)?;
            let invitation = Invitation {
                plan: plan_bytes.to_vec(),
                signature,
            };
            let standing = Standing {
                floor: &enrolled.floor,
                charges: &device.ledger.charges,
                local_today: 0,
                last_round: device.ledger.last_round,
                log: enrolled.log.clone(),
                coordinator: enrolled.coordinator.public(),
                model: Some(model.to_vec()),
            };
            let participation = Participation::join(invitation, standing).map_err(|refusal| {
                SimulateError::Refused {
                    round: scene.plan.round.0,
                    refusal,
                }
            })?;
            Ok(Present {
                user: member.user,
                device,
                participation,
                rng: scene.randomness(member.user),
                leaves: member.leaves,
                uploads: member.uploads(),
                gone: false,
            })
        })
        .collect()
}

impl Present<'_> {
    /// What the client says next; nothing when it is gone or done.
    fn speak(
        &mut self,
        scene: &Scene<'_>,
        tally: &Mutex<Tally>,
    ) -> Result<Option<Said>, SimulateError> {
        if self.gone {
            return Ok(None);
        }
        let mut learned = false;
        if let Next::Learn { .. } = self.participation.poll() {
            if self.leaves == Some(Leaving::Before(Phase::Advertising)) {
                self.gone = true;
                return Ok(None);
            }
            let contribution = scene.contribute(self.user, &mut self.rng)?;
            if self.uploads {
                let removal = scene.removal(&contribution.update)?;
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.add(&contribution.update, contribution.clipped);
                tally.take_off(&removal);
                learned = true;
            }
            self.participation
                .learned(contribution.update, &self.device.identity, &mut self.rng)
                .map_err(|refusal| SimulateError::Refused {
                    round: scene.plan.round.0,
                    refusal,
                })?;
        }
        match self.participation.poll() {
            Next::Send(request) if self.is_silent(says(&request)) => {
                self.gone = true;
                Ok(None)
            }
            Next::Send(request) => Ok(Some(Said { request, learned })),
            Next::Learn { .. } | Next::Over(_) => Ok(None),
        }
    }

    /// Whether nothing is heard of it in a phase. What comes too late is as if it had never come.
    fn is_silent(&self, phase: Phase) -> bool {
        match self.leaves {
            None => false,
            Some(Leaving::Before(before)) => phase >= before,
            Some(Leaving::Late) => phase >= Phase::Uploading,
        }
    }

    /// Takes the coordinator's answer; true when it led on.
    fn listen(&mut self, answer: Option<Result<Response, Reject>>) -> Result<bool, Refusal> {
        match answer {
            None | Some(Ok(Response::Pending)) => Ok(false),
            Some(Ok(response)) => {
                self.participation.handle(
                    response,
                    &self.device.identity,
                    &KeysAsCertificates,
                    &mut self.rng,
                )?;
                Ok(true)
            }
            Some(Err(_)) => {
                self.participation.left_out();
                Ok(true)
            }
        }
    }
}

/// The phase that a message belongs to; questions belong to none.
fn says(request: &Request) -> Phase {
    match request {
        Request::AdvertiseKeys { .. } => Phase::Advertising,
        Request::ShareKeys { .. } => Phase::Sharing,
        Request::ConfirmShares { .. } => Phase::Confirming,
        Request::Upload { .. } => Phase::Uploading,
        Request::Endorse { .. } => Phase::Endorsing,
        Request::Unmask { .. } => Phase::Unmasking,
        // A client that waits has not gone yet: it goes when it should have spoken.
        _ => Phase::Advertising,
    }
}

/// The coordinator's service, without sockets.
struct Coordinator {
    round: Round,
    events: Vec<Event>,
    now: u64,
    upload: Option<Vec<u32>>,
    coordinator: [u8; 32],
    witness: Identity,
}

/// The bytes of an upload, four to a word.
fn words(bytes: &[u8]) -> Vec<u32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

impl Coordinator {
    fn open(
        enrolled: &Enrolled,
        scene: &Scene<'_>,
        plan_bytes: &[u8],
    ) -> Result<Self, SimulateError> {
        let invited: BTreeSet<ClientId> = scene
            .members
            .iter()
            .map(|member| {
                enrolled
                    .device(member.user)
                    .map(|device| device.identity.id())
            })
            .collect::<Result<_, SimulateError>>()?;
        let round = Round::open(scene.plan.clone(), plan_bytes, invited, TIMING, 0);
        Ok(Self {
            round,
            events: Vec::new(),
            now: 0,
            upload: None,
            coordinator: enrolled.coordinator.public(),
            witness: Identity::from_seed(&[0; 32]),
        })
    }

    fn hear(&mut self, client: &Present<'_>, request: Request) -> Result<Response, Reject> {
        let key = client.device.identity.public();
        let message = match request {
            Request::CheckIn { .. } => return Ok(Response::Finished),
            // Every client joins with the log and the model at hand.
            Request::FetchLog { .. } => return Ok(Response::Log(Vec::new())),
            Request::FetchModel { offset, .. } => {
                return Ok(Response::Model {
                    offset,
                    total: 0,
                    bytes: Vec::new(),
                });
            }
            Request::Await { awaited, .. } => {
                return self.round.answer(&client.device.identity.id(), awaited);
            }
            Request::AdvertiseKeys {
                keys, signature, ..
            } => Message::Advertise {
                key,
                certificate: key.to_vec(),
                keys,
                signature,
            },
            Request::ShareKeys { sealed, .. } => Message::Share(sealed),
            Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable),
            Request::Upload { update, .. } => {
                self.upload
                    .get_or_insert_with(|| words(update.masked.bytes()));
                Message::Upload(update)
            }
            Request::Endorse { signature, .. } => Message::Endorse(signature),
            Request::Unmask { revealed, .. } => Message::Unmask(revealed),
        };
        let client = client.device.identity.id();
        self.round
            .handle(self.now, Input::From { client, message }, &mut self.events)?;
        self.ask_witness();
        Ok(Response::Accepted)
    }

    /// The witness of the simulation answers at once.
    fn ask_witness(&mut self) {
        let (witness, key) = (&self.witness, self.witness.public().to_vec());
        let testimony = match self.round.question() {
            None => return,
            Some(Question::Draw { round, commitment }) => {
                let drawn = Digest::of_parts("the simulated witness draws", &[&commitment.0]).0;
                let beacon =
                    Beacon::sign(witness, key, &self.coordinator, round, &commitment, drawn);
                Testimony::Beacon(beacon)
            }
            Some(Question::Seal { round, statement }) => {
                let seal = Seal::sign(witness, key, &self.coordinator, round, &statement);
                Testimony::Seal(seal)
            }
        };
        let input = Input::Witness(testimony);
        // It answers what was asked, so it is never rejected.
        let _ = self.round.handle(self.now, input, &mut self.events);
    }

    /// Lets time pass: whoever is silent now is gone.
    fn wait(&mut self) {
        self.now += TIMING.quiet;
        // Time is nobody's fault: a tick is never rejected.
        let _ = self.round.handle(self.now, Input::Tick, &mut self.events);
        self.ask_witness();
    }

    /// The sum, once the round is over.
    fn end(&mut self, plan: &RoundPlan) -> Result<Option<Recovered>, SimulateError> {
        for event in self.events.drain(..) {
            match event {
                Event::Completed(recovered) => return Ok(Some(recovered)),
                Event::Aborted { reason } => {
                    return Err(SimulateError::Aborted {
                        round: plan.round.0,
                        reason,
                    });
                }
                Event::Began(_) => {}
            }
        }
        Ok(None)
    }
}
