//! A coordinator for the tests of an app.

mod authority;
mod desk;
mod neighbour;
mod office;
#[cfg(test)]
mod tests;
mod transport;

#[cfg(test)]
pub(crate) use authority::{Card, VALID};
pub(crate) use desk::Desk;
pub use transport::{FakeTransport, Trouble};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chorus_model::{Direct, Engine, ItemId};
use chorus_protocol::{ClientId, Response, RoundId, Task};
use rand_core::CryptoRng;
use thiserror::Error;

use crate::consent::Leave;
use crate::{Client, Error};

/// A federation in one value, for the tests of an app: no network, no thread, no clock, and the same every time.
///
/// The protocol is the real one. The plans are signed, the model log is hash-chained, the updates are clipped, noised
/// where the task says so, and masked; the sums are recovered from the masked bytes, and the model learns from them. Only
/// the neighbours are made up: clients without a store, each with a history that the test gives, which take their part
/// within the calls of the app's own client. So a round goes on whenever the app's client asks for something, and a task
/// is learned to its end by `Client::run` alone.
///
/// Like [Pebble](https://github.com/letsencrypt/pebble), the certificate authority that tests are written against, it
/// refuses 5 % of all check-ins that are in order: an app that never saw a refusal does not survive its first one.
///
/// ```
/// use chorus_client::{
///     Answer, Client, Decision, Error, Event, FakeCoordinator, FileKey, Loop, Purpose, Settings, Trouble,
/// };
/// use chorus_model::{Direct, ItemId};
/// use chorus_protocol::{Floor, Task};
/// use chorus_wire::Clock;
/// use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let task: Task = serde_json::from_str(r#"{
///     "name": "films", "population": 20, "privacy": { "noise": "off" },
///     "recipe": { "algorithm": "ials", "items": 50, "factors": 4, "rounds": 3 }
/// }"#)?;
/// // Nineteen people who like neighbouring items, and the app's client, who liked item 7.
/// let likes = |person: u32| (0..8).map(|step| ItemId((person * 5 + step) % 50)).collect();
/// let histories: Vec<Vec<ItemId>> = (0..19).map(likes).collect();
/// let coordinator = FakeCoordinator::start(task.clone(), &histories, 1)?;
///
/// let (mut rng, clock) = (ChaCha20Rng::seed_from_u64(2), Clock::new(|| 1_800_000_000));
/// let home = tempfile::tempdir()?;
/// let settings = Settings { floor: Floor::admitting(&task), ..Settings::default() };
/// let keys = FileKey::beside(home.path());
/// let mut client = Client::open(home.path(), &keys, settings, clock.now())?;
/// let notice = client.notice("en").ok_or("a notice")?;
/// let purposes = [Purpose::ContributeTraining, Purpose::LocalPersonalisation];
/// client.decide(&Decision::new(Answer::Yes, purposes, notice), clock.now())?;
/// client.record(Event::click(ItemId(7), clock.now()), clock.now())?;
/// let mut way = coordinator.admit(&mut client, &mut rng)?;
/// way.trouble(6..8, Trouble::AnswerLost);
///
/// let work = Loop { task: &task.name, engine: &Direct, clock: &clock, news: &mut |_| {} };
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
/// runtime.block_on(client.run(&mut way, work, &mut rng, std::future::pending()))?;
/// assert_eq!(coordinator.completed(), coordinator.sums());
/// assert_eq!(coordinator.uploads().len(), coordinator.sums());
/// assert!(client.recommend(&task.name, &Direct, 3)?.iter().all(|best| best.item.0.abs_diff(7) < 8));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FakeCoordinator {
    desk: Arc<Mutex<Desk>>,
}

/// Why a [`FakeCoordinator`] cannot be: a sentence for who writes the test.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct FakeError(String);

/// A masked update as it came up from a client of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Whose.
    pub client: ClientId,
    /// In which round.
    pub round: RoundId,
    /// The masked words, little-endian, as they would go over the network.
    pub bytes: Vec<u8>,
}

impl FakeCoordinator {
    /// Publishes the first model of `task`. One neighbour comes of each of the `histories`; `seed` decides their keys, their
    /// noise, the first model, and which check-ins are refused.
    ///
    /// # Errors
    /// When the task is not valid, is split or needs a witness, when neighbours and one client of the app are too few for
    /// it, and when its model is none that [`Direct`] can learn, for the neighbours learn with that.
    pub fn start(task: Task, histories: &[Vec<ItemId>], seed: u64) -> Result<Self, FakeError> {
        let desk = Desk::new(task, histories, seed)?;
        let office = &desk.office;
        office.task.validate()?;
        let fewest = office.task.fewest_invited();
        let needed = fewest.saturating_sub(1);
        let faults = [
            (
                office.task.split != 1,
                "split: only 1 is possible here".to_owned(),
            ),
            (
                office.task.consistency == chorus_protocol::Consistency::Witness,
                "consistency: there is no witness here; take \"cohort\"".to_owned(),
            ),
            (
                histories.len() < needed,
                format!(
                    "a round of this task needs {fewest} clients: give at least {needed} histories"
                ),
            ),
        ];
        if let Some((_, fault)) = faults.into_iter().find(|(is_fault, _)| *is_fault) {
            return Err(FakeError(fault));
        }
        Direct.open(&office.learning.parameters)?;
        Ok(Self::of(desk))
    }

    pub(crate) fn of(desk: Desk) -> Self {
        Self {
            desk: Arc::new(Mutex::new(desk)),
        }
    }

    /// Enrols a client of the app with a made-up authority, and gives its way here. It is invited to every round from then
    /// on, and every round waits for it. Certificates are valid from 2020 to 2039.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave to contribute; when the client's store fails, or when it is enrolled
    /// elsewhere.
    pub fn admit(
        &self,
        client: &mut Client,
        rng: &mut impl CryptoRng,
    ) -> Result<FakeTransport, Error> {
        client.pass(Leave::Contribute)?;
        let mut desk = self.desk();
        let authority = desk.issuing.authority.clone();
        let identity = client.key_for(&authority, rng)?;
        let card = desk
            .issuing
            .certify(&identity)
            .map_err(|error| Error::Enrol {
                reason: error.to_string(),
            })?;
        client.enrolled_as(card.certificate.clone(), &authority)?;
        desk.guests.insert(card.id);
        Ok(FakeTransport::new(Arc::clone(&self.desk), card))
    }

    /// How many sums were taken, and learned from.
    pub fn completed(&self) -> usize {
        self.desk().office.recovered.len()
    }

    /// How many sums the task has.
    pub fn sums(&self) -> usize {
        self.desk().office.task.sums().len()
    }

    /// Everything of what was learned that came up from clients of the app, in the order in which it came.
    pub fn uploads(&self) -> Vec<Upload> {
        self.desk().uploads.clone()
    }

    /// Refuses this share of the check-ins that are in order; without this call 0.05.
    pub fn refuse(&self, share: f64) {
        self.desk().refused = share;
    }

    /// From now on shows another history of its models than it did before, as a coordinator does that shows different models
    /// to different clients. Whoever follows the log sees it, and takes no further part.
    ///
    /// # Errors
    /// When the log cannot be signed.
    pub fn fork(&self) -> Result<(), FakeError> {
        self.desk().office.fork()
    }

    /// A panic in a test is that test's own affair.
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True for an answer that says no more than "not yet".
fn is_waiting(response: &Response) -> bool {
    matches!(response, Response::Pending | Response::Wait { .. })
}

macro_rules! fake_error {
    ($($error:ty),*) => {$(
        impl From<$error> for FakeError {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )*};
}

fake_error!(
    chorus_model::LearnError,
    chorus_model::ParametersError,
    chorus_model::TrainError,
    chorus_privacy::PrivacyError,
    chorus_protocol::TaskError,
    chorus_wire::certificate::CertificateError,
    rcgen::Error
);
