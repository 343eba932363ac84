//! A federation in a test: the real authority, the real witness, coordinators and clients that it enrolled.

#![allow(dead_code)]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chorus_authority::{InvitationCode, Invited, ServeOptions, init, invite};
use chorus_protocol::{Beacon, Digest, Identity, Question, RoundId, Seal, Testimony};
use chorus_wire::{
    Clock,
    certificate::Authority,
    client::{Open, SendError, Target, WitnessConnection, enrol},
    tls::Credentials,
};
use chorus_witness::{Directory, Witness, WitnessError, serve};
use rand::{
    SeedableRng,
    rngs::{StdRng, SysRng},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub const NOW: i64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// An authority that serves until the test ends.
pub struct Federation {
    pub folder: tempfile::TempDir,
    pub authority: Authority,
    pub target: Target,
    pub time: Arc<AtomicI64>,
    seed: u8,
}

impl Federation {
    pub async fn start(seed: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("authority");
        let authority = init(&home, NOW, &mut StdRng::seed_from_u64(seed.into())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(listener.local_addr().unwrap());
        let time = Arc::new(AtomicI64::new(NOW));
        let (clock, rng) = (clock(&time), StdRng::seed_from_u64(seed.into()));
        tokio::spawn(async move {
            let options = ServeOptions::default();
            let never = std::future::pending();
            chorus_authority::serve(listener, &home, &options, clock, rng, never).await
        });
        Self {
            folder,
            authority,
            target,
            time,
            seed,
        }
    }

    pub fn clock(&self) -> Clock {
        clock(&self.time)
    }

    pub fn invite(&self, invited: &Invited) -> InvitationCode {
        let home = self.folder.path().join("authority");
        let now = self.time.load(Ordering::SeqCst);
        invite(&home, invited, DAY, 1, now, &mut rand::rng())
            .unwrap()
            .remove(0)
    }

    /// What the authority gives the key of this seed.
    pub async fn credentials(&self, seed: u8, invited: &Invited) -> Credentials {
        let identity = Identity::from_seed(&[seed; 32]);
        let code = self.invite(invited);
        let clock = self.clock();
        let issued = enrol(
            &self.target,
            &self.authority,
            &code,
            &identity,
            &clock,
            Arc::new(Open),
        );
        Credentials::new(&identity, issued.await.unwrap().certificate)
    }

    pub async fn coordinator(&self, seed: u8) -> Credentials {
        let server_name = "localhost".to_owned();
        self.credentials(seed, &Invited::Coordinator { server_name })
            .await
    }

    pub async fn enrol(
        &self,
        directory: &Directory,
        invited: &Invited,
    ) -> Result<(), WitnessError> {
        let (code, clock) = (self.invite(invited), self.clock());
        let rng = &mut rand::rng();
        directory
            .enrol(&self.target, &self.authority, &code, &clock, rng)
            .await
    }

    /// The directory of an enrolled witness.
    pub async fn witness(&self, name: &str) -> Directory {
        let directory = Directory::new(self.folder.path().join(name));
        self.enrol(&directory, &as_witness()).await.unwrap();
        directory
    }

    pub fn open(&self, directory: &Directory) -> Result<Witness<SysRng>, WitnessError> {
        Witness::open(directory, &self.clock(), SysRng)
    }

    pub fn connect(&self, address: SocketAddr, credentials: &Credentials) -> WitnessConnection {
        WitnessConnection::new(target(address), &self.authority, credentials, &self.clock())
            .unwrap()
    }
}

pub fn as_witness() -> Invited {
    Invited::Witness {
        server_name: "localhost".to_owned(),
    }
}

pub fn target(address: SocketAddr) -> Target {
    Target::with_name(&address.to_string(), "localhost").unwrap()
}

fn clock(time: &Arc<AtomicI64>) -> Clock {
    let time = time.clone();
    Clock::new(move || time.load(Ordering::SeqCst))
}

/// A witness that serves.
pub struct Running {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), WitnessError>>,
}

impl Running {
    pub async fn start(federation: &Federation, directory: &Directory) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (directory, clock) = (directory.clone(), federation.clock());
        let task = tokio::spawn(async move {
            let until = async move {
                let _ = stopped.await;
            };
            serve(listener, &directory, clock, SysRng, until).await
        });
        Self {
            address,
            stop,
            task,
        }
    }

    /// Stops the service, which must end without an error.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }

    /// Waits for a service that ends on its own.
    pub async fn fail(self) -> WitnessError {
        self.task.await.unwrap().unwrap_err()
    }
}

pub fn draw(round: u64, keys: u8) -> Question {
    Question::Draw {
        round: RoundId(round),
        commitment: Digest([keys; 32]),
    }
}

pub fn seal(round: u64, statement: u8) -> Question {
    Question::Seal {
        round: RoundId(round),
        statement: Digest([statement; 32]),
    }
}

pub fn beacon(answer: Result<Testimony, SendError>) -> Beacon {
    match answer {
        Ok(Testimony::Beacon(beacon)) => beacon,
        Ok(Testimony::Seal(_)) => panic!("expected a beacon, found a seal"),
        Err(error) => panic!("expected a beacon, found {error:?}"),
    }
}

pub fn sealed(answer: Result<Testimony, SendError>) -> Seal {
    match answer {
        Ok(Testimony::Seal(seal)) => seal,
        Ok(Testimony::Beacon(_)) => panic!("expected a seal, found a beacon"),
        Err(error) => panic!("expected a seal, found {error:?}"),
    }
}

pub fn label(answer: Result<Testimony, SendError>) -> String {
    match answer {
        Err(SendError::Refused { label, .. }) => label,
        Err(error) => panic!("expected a refusal, found {error:?}"),
        Ok(_) => panic!("expected a refusal, found an answer"),
    }
}

/// Copies a directory as an operator would, files and all.
pub fn copy(from: &Path, to: &Path) -> PathBuf {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to.to_owned()
}
