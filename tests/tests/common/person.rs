//! A client: the product's library with a store of its own, driven step by step, and beside it what it should send.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use chorus_authority::Invited;
use chorus_client::{
    Answer, CheckIn, Client, Decision, Durability, Ending, Error, FileKey, Guards, Purpose,
    Settings, Step, Transport,
};
use chorus_model::{Engine, Event, ItemId, Parameters, TrainingSet};
use chorus_protocol::{
    Charge, Floor, Identity, Next, Participation, Refusal, Request, TaskName, contribute, encode,
    noise_share,
};
use chorus_torch::Torch;
use chorus_wire::Clock;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tokio::sync::watch;

use super::{Fate, Point, Town, fate};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// One person's client.
pub struct Person {
    pub number: usize,
    pub home: PathBuf,
    pub client: Client,
    /// The key of the client, which only its store has.
    pub identity: Identity,
    pub history: Vec<ItemId>,
    /// What the client said that its rounds cost.
    pub charges: Vec<Charge>,
    rng: ChaCha20Rng,
}

/// What the clients of one task have in common.
pub struct Work {
    pub task: TaskName,
    pub items: usize,
    /// Clients among whom fates are drawn.
    pub crowd: usize,
    /// How many of them vanish in each round.
    pub vanishing: usize,
    pub clock: Clock,
    /// While it is false, nobody asks for another round.
    pub gate: watch::Receiver<bool>,
    pub notes: Mutex<Notes>,
}

/// What was seen beside the clients.
#[derive(Default)]
pub struct Notes {
    /// Plain modular sums of what the clients encoded and uploaded, by round.
    pub sums: BTreeMap<u64, Vec<u32>>,
    /// Uploads by round.
    pub uploads: BTreeMap<u64, usize>,
    /// Clients that vanished, and that went on after a restart, where they did.
    pub fates: Vec<Fate>,
    /// What should not happen.
    pub complaints: Vec<String>,
}

/// Makes a client's way to the coordinator.
pub trait Connect<T>: Fn(&Client) -> T + Send + Sync {}
impl<T, F: Fn(&Client) -> T + Send + Sync> Connect<T> for F {}

impl Work {
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }
}

fn open(home: &Path) -> Client {
    let floor = Floor {
        without_noise: true,
        ..Floor::default()
    };
    let settings = Settings {
        floor,
        durability: Durability::ProcessEnd,
        // Among a dozen people every item is one of a small crowd.
        guards: Guards {
            crowd: 0.0,
            ..Guards::default()
        },
        ..Settings::default()
    };
    Client::open(home, &FileKey::beside(home), settings, 0).unwrap()
}

/// The person says yes to all that the tests do.
pub fn allow(client: &mut Client) {
    let purposes = [
        Purpose::AggregateStatistics,
        Purpose::ContributeTraining,
        Purpose::LocalPersonalisation,
    ];
    let decision = Decision::new(Answer::Yes, purposes, client.notice("en").unwrap());
    client.decide(&decision, 0).unwrap();
}

impl Person {
    /// Enrols a client that holds these events.
    pub async fn enrol(town: &mut Town, number: usize, events: &[Event]) -> Self {
        let home = town.client_folder(number);
        let mut client = open(&home);
        allow(&mut client);
        let mut rng = ChaCha20Rng::seed_from_u64(77);
        rng.set_stream(number as u64);
        let invitation = town.invite(&Invited::Client);
        // The first thing that enrolling draws.
        let identity = Identity::generate(&mut rng.clone());
        client
            .enrol(
                &town.authority_target,
                &town.authority,
                &invitation,
                &mut rng,
                &town.clock,
            )
            .await
            .unwrap();
        assert_eq!(client.id().unwrap(), identity.id());
        let clicks = events
            .iter()
            .map(|event| chorus_client::Event::click(event.item, event.at));
        client.record_all(clicks, town.clock.now()).unwrap();
        Self {
            number,
            home,
            identity,
            client,
            history: events.iter().map(|event| event.item).collect(),
            charges: Vec::new(),
            rng,
        }
    }

    /// Takes part in a task until it is finished, and fetches its last model.
    pub async fn live<T: Transport>(
        &mut self,
        work: &Work,
        connect: &impl Connect<T>,
    ) -> Result<(), Error> {
        let mut transport = connect(&self.client);
        let mut gate = work.gate.clone();
        loop {
            gate.wait_for(|open| *open).await.unwrap();
            let checked_in = self.client.check_in(&mut transport, &work.task).await;
            let joined = match checked_in {
                Ok(CheckIn::Finished) => break,
                Ok(CheckIn::Wait(_)) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Ok(CheckIn::Invited(invitation)) => {
                    self.client.join(&work.task, invitation, work.clock.now())
                }
                Err(error) => Err(error),
            };
            match joined {
                Ok(participation) => {
                    transport = self
                        .contribute(transport, participation, work, connect)
                        .await?;
                }
                // Back before the round is over that it vanished from.
                Err(Error::Refused(Refusal::Repeated { .. })) => tokio::time::sleep(PAUSE).await,
                Err(Error::Unreachable { .. } | Error::Rejected { .. }) => {
                    tokio::time::sleep(PAUSE).await;
                    transport = connect(&self.client);
                }
                Err(error) => return Err(error),
            }
        }
        self.client.refresh(&mut transport, &work.task).await?;
        Ok(())
    }

    async fn contribute<T: Transport>(
        &mut self,
        mut transport: T,
        mut participation: Participation,
        work: &Work,
        connect: &impl Connect<T>,
    ) -> Result<T, Error> {
        let round = participation.plan().round.0;
        let mut fate = fate(11, round, work.crowd, work.vanishing, self.number);
        let mut words = Vec::new();
        loop {
            let here = Point::of(&participation);
            match fate {
                Fate::Vanishes(point) if here == Some(point) => {
                    work.notes().fates.push(fate);
                    self.charges.extend(participation.charge().cloned());
                    drop(transport);
                    return Ok(connect(&self.client));
                }
                Fate::Restarts(point) if here == Some(point) => {
                    work.notes().fates.push(fate);
                    fate = Fate::Stays;
                    drop((transport, participation));
                    self.client = open(&self.home);
                    participation = self.client.resume()?.expect("the round is in the store");
                    transport = connect(&self.client);
                }
                _ => {}
            }
            if let Some(encoded) = self.beside(&participation, work.items) {
                words = encoded;
            }
            let uploads = matches!(participation.poll(), Next::Send(Request::Upload { .. }));
            let step = self
                .client
                .step(
                    &mut transport,
                    &mut participation,
                    &Torch,
                    &mut self.rng,
                    work.clock.now(),
                )
                .await;
            match step {
                Ok(Step::Sent) if uploads => add(&mut work.notes(), round, &words),
                Ok(Step::Sent | Step::Pending | Step::Learned { .. }) => {}
                Ok(Step::Over(ending)) => {
                    if !matches!(ending, Ending::Outcome(_)) {
                        let complaint =
                            format!("round {round}, client {}: {ending:?}", self.number);
                        work.notes().complaints.push(complaint);
                    }
                    self.charges.extend(participation.charge().cloned());
                    return Ok(transport);
                }
                Err(Error::Unreachable { .. }) => {
                    tokio::time::sleep(PAUSE).await;
                    transport = connect(&self.client);
                }
                Err(error) => {
                    self.charges.extend(participation.charge().cloned());
                    return Err(error);
                }
            }
        }
    }

    /// Where the client is about to learn: what it will encode, from a copy of its randomness.
    fn beside(&self, participation: &Participation, items: usize) -> Option<Vec<u32>> {
        let Next::Learn { plan, model } = participation.poll() else {
            return None;
        };
        // What cannot be opened is not learned from either.
        let trainer = Torch.open(&Parameters::from_bytes(model).unwrap()).ok()?;
        let history = TrainingSet::of(self.history.iter().copied(), items);
        let mut rng = self.rng.clone();
        let share = noise_share(plan, &mut rng).unwrap();
        let delta = contribute(trainer.as_ref(), plan, &history, &mut rng).unwrap();
        let encoded = encode(delta, plan, share, &mut rng).unwrap();
        Some(encoded.update.into_words())
    }
}

fn add(notes: &mut Notes, round: u64, words: &[u32]) {
    *notes.uploads.entry(round).or_default() += 1;
    let sum = notes
        .sums
        .entry(round)
        .or_insert_with(|| vec![0; words.len()]);
    for (total, word) in sum.iter_mut().zip(words) {
        *total = total.wrapping_add(*word);
    }
}
