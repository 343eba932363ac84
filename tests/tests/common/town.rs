//! The services, and what an operator does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chorus_authority::{Invited, ServeOptions};
use chorus_coordinator::{
    Directory, RawConfig, ServeError, Store, create_task, list_models, read_task, serve,
    start_task, status,
};
use chorus_protocol::TaskName;
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An authority that serves until the test ends, and an enrolled coordinator that can be started and stopped.
pub struct Town {
    /// Holds the folders `authority`, `coordinator` and `clients`.
    pub folder: TempDir,
    pub authority: Authority,
    pub authority_target: Target,
    pub clock: Clock,
    authority_address: String,
    coordinator_address: Arc<Mutex<String>>,
    rng: ChaCha20Rng,
}

/// A coordinator that serves.
pub struct Running {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Town {
    pub async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let clock = Clock::system();
        let place = folder.path().join("authority");
        let authority = chorus_authority::init(&place, clock.now(), &mut rng).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (serving_clock, serving_rng) = (clock.clone(), ChaCha20Rng::seed_from_u64(seed + 1));
        tokio::spawn(async move {
            let options = ServeOptions {
                server_name: "127.0.0.1".to_owned(),
                ..ServeOptions::default()
            };
            let forever = std::future::pending();
            chorus_authority::serve(
                listener,
                &place,
                &options,
                serving_clock,
                serving_rng,
                forever,
            )
            .await
            .unwrap();
        });
        let mut town = Self {
            folder,
            authority,
            authority_target: Target::new(&address).unwrap(),
            clock,
            authority_address: address,
            coordinator_address: Arc::default(),
            rng,
        };
        town.enrol_coordinator().await;
        town
    }

    async fn enrol_coordinator(&mut self) {
        let server_name = "127.0.0.1".to_owned();
        let invitation = self.invite(&Invited::Coordinator { server_name });
        let (directory, clock) = (self.directory(), self.clock.clone());
        let (target, authority) = (self.authority_target.clone(), self.authority.clone());
        directory
            .enrol(&target, &authority, &invitation, &clock, &mut self.rng)
            .await
            .unwrap();
    }

    pub fn invite(&mut self, invited: &Invited) -> InvitationCode {
        let (place, hour) = (self.authority_folder(), Duration::from_secs(3_600));
        chorus_authority::invite(&place, invited, hour, 1, self.clock.now(), &mut self.rng)
            .unwrap()
            .remove(0)
    }

    pub fn authority_folder(&self) -> PathBuf {
        self.folder.path().join("authority")
    }

    pub fn coordinator_folder(&self) -> PathBuf {
        self.folder.path().join("coordinator")
    }

    pub fn client_folder(&self, number: usize) -> PathBuf {
        self.folder.path().join("clients").join(number.to_string())
    }

    /// The coordinator's folder, as an operator's command opens it.
    pub fn directory(&self) -> Directory {
        Directory::new(self.coordinator_folder())
    }

    /// The coordinator's store, as an operator's command opens it.
    pub fn store(&self) -> Store {
        Store::open(&self.coordinator_folder()).unwrap()
    }

    /// Enters a task and lets it run.
    pub fn begin(&self, task: &str) -> TaskName {
        let task = read_task(task).unwrap();
        let (store, identity) = (self.store(), self.directory().identity().unwrap());
        let now = self.clock.now().unsigned_abs();
        create_task(&store, &identity, &task, 1, now).unwrap();
        start_task(&store, &task.name).unwrap();
        task.name
    }

    /// The newest version of a task's model.
    pub fn version(&self, task: &TaskName) -> u64 {
        let versions = list_models(&self.store(), task).unwrap().versions;
        versions.last().map_or(0, |row| row.version)
    }

    /// True while a round of the task runs.
    pub fn is_running(&self, task: &TaskName) -> bool {
        let status = status(&self.store(), &self.directory(), true).unwrap();
        let task = status.tasks.into_iter().find(|one| one.task == *task);
        task.is_some_and(|task| task.running.is_some())
    }

    /// Starts the coordinator, on another port each time. `quiet`: seconds of silence that end a phase.
    pub async fn open(&self, quiet: f64) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *self.coordinator_address.lock().unwrap() = listener.local_addr().unwrap().to_string();
        let text = format!(
            "one_party = true\n[authority]\naddress = \"{}\"\npoll_seconds = 0.1\n\
             [timing]\nphase_seconds = 15\nquiet_seconds = {quiet}\ngather_seconds = {quiet}\nlong_poll_seconds = 1\n",
            self.authority_address
        );
        let mut raw = RawConfig::from_toml(&text).unwrap();
        raw.directory = Some(self.coordinator_folder());
        let clock = chorus_coordinator::Clock::system();
        let store = Arc::new(self.store());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let serving = serve(listener, raw.try_into().unwrap(), clock, store, shutdown);
        Running {
            stop,
            serving: tokio::spawn(serving),
        }
    }

    /// Tells where the coordinator listens now.
    pub fn way(&self) -> impl Fn() -> Target + Send + Sync + Clone + 'static {
        let address = Arc::clone(&self.coordinator_address);
        move || Target::new(&address.lock().unwrap()).unwrap()
    }
}

impl Running {
    /// Ends the coordinator as SIGTERM would.
    pub async fn close(self) {
        self.stop.send(()).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.serving).await;
        ended.expect("it ends in time").unwrap().unwrap();
    }
}
