//! Federations of real clients at a `FakeCoordinator`, for the tests of this crate.

use std::path::Path;

use chorus_model::{ItemId, Parameters};
use chorus_protocol::{Floor, Invitation, Origin, Privacy, RoundPlan, Task, TaskName};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tempfile::TempDir;

use crate::fake::Desk;
use crate::{
    Answer, Client, Controller, Decision, Durability, FakeCoordinator, FakeTransport, FileKey,
    Pace, Purpose, Settings,
};

/// When these tests happen, seconds since 1970.
pub const NOW: i64 = crate::fake::VALID;

/// Items in the catalogue.
pub const ITEMS: usize = 24;

pub fn task(noise: bool, clients: usize) -> Task {
    let recipe = match noise {
        true => r#"{"algorithm": "ials-private", "items": 24, "factors": 2, "sweeps": 1}"#,
        false => r#"{"algorithm": "ials", "items": 24, "factors": 2, "rounds": 2}"#,
    };
    let privacy = match noise {
        true => Privacy::Distributed {
            epsilon: 8.0,
            delta: 1e-5,
        },
        false => Privacy::Off,
    };
    Task {
        name: films(),
        population: clients,
        cohort: 1.0,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: chorus_protocol::Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe: serde_json::from_str(recipe).unwrap(),
    }
}

pub fn films() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

/// A client, its folder, its way and its randomness.
pub struct Member {
    pub home: TempDir,
    pub client: Client,
    pub seat: FakeTransport,
    pub rng: ChaCha20Rng,
}

impl Member {
    /// Ends the app and starts it again.
    pub fn restart(&mut self) {
        self.client = open(self.home.path(), settings());
    }
}

pub fn settings() -> Settings {
    Settings {
        floor: Floor {
            without_noise: true,
            ..Floor::default()
        },
        controller: Controller::default(),
        durability: Durability::ProcessEnd,
        pace: Pace {
            first: 10,
            between: 10,
            ..Pace::default()
        },
        ..Settings::default()
    }
}

/// The client in a folder, with its key beside it.
pub fn open(home: &Path, settings: Settings) -> Client {
    Client::open(home, &FileKey::beside(home), settings, NOW).unwrap()
}

/// What the person says, having seen the notice as it is now.
pub fn decide(client: &mut Client, answer: Answer, purposes: impl IntoIterator<Item = Purpose>) {
    let notice = client.notice("en").unwrap();
    let decision = Decision::new(answer, purposes, notice);
    client.decide(&decision, NOW).unwrap();
}

/// All that a round needs.
pub const ROUNDS: [Purpose; 3] = [
    Purpose::AggregateStatistics,
    Purpose::ContributeTraining,
    Purpose::LocalPersonalisation,
];

/// A client of somebody who allows all that a round needs, with a history, not connected to anything.
fn newcomer(seed: u64) -> (TempDir, Client, ChaCha20Rng) {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    decide(&mut client, Answer::Yes, ROUNDS);
    let items = (0..5).map(|step| ItemId(((seed * 7 + step * 3) % ITEMS as u64) as u32));
    client
        .record_all(items.map(|item| crate::Event::click(item, NOW)), NOW)
        .unwrap();
    (home, client, ChaCha20Rng::seed_from_u64(seed))
}

pub fn model(noise: bool, seed: u64) -> Parameters {
    task(noise, 12).recipe.start(seed).parameters
}

/// A coordinator without neighbours, and its clients at the beginning of a round.
pub fn federation(clients: usize, noise: bool) -> (FakeCoordinator, Vec<Member>) {
    let coordinator = FakeCoordinator::of(Desk::new(task(noise, clients), &[], 1).unwrap());
    coordinator.refuse(0.0);
    let admit = |seed| {
        let (home, mut client, mut rng) = newcomer(seed);
        let seat = coordinator.admit(&mut client, &mut rng).unwrap();
        Member {
            home,
            client,
            seat,
            rng,
        }
    };
    let members = (0..clients as u64).map(admit).collect();
    coordinator.desk().open();
    (coordinator, members)
}

impl FakeCoordinator {
    /// The plan of the round that runs.
    pub fn plan(&self) -> RoundPlan {
        serde_json::from_slice(&self.invitation().plan).unwrap()
    }

    /// The invitation to it.
    pub fn invitation(&self) -> Invitation {
        self.desk().office.open.as_ref().unwrap().invitation.clone()
    }

    /// Publishes some other model.
    pub fn publish(&self, origin: Origin, seed: u64) {
        let bytes = model(false, seed).to_bytes().unwrap();
        self.desk().office.publish(origin, bytes).unwrap();
    }
}
