//! A withdrawal at every point of whole rounds, over real TLS: nothing passes the door after it returned.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use std::{io, thread};

use chorus_model::Direct;
use chorus_protocol::{Digest, Identity, Request, Response, RoundId};
use chorus_wire::client::{Connection, Gate, Lease, Reset, SendError, Target};
use chorus_wire::server::{Peer, ServerTls, Service, serve_training};
use chorus_wire::tls::Credentials;
use chorus_wire::{Clock, Kind, Rejection, Shape};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::net::TcpListener;

use super::Entrance;
use crate::fake::Card;
use crate::testing::{NOW, ROUNDS, decide, films, open, settings, task};
use crate::{Answer, Client, Decision, End, FakeCoordinator, Loop, Pass, Switch, Transport};

/// The fake coordinator behind a real server.
struct Served(FakeCoordinator);

impl Served {
    fn ask(&self, peer: &Peer, request: &Request) -> Result<Response, Rejection> {
        let card = Card {
            id: peer.id,
            key: peer.key,
            certificate: peer.certificate.clone(),
        };
        self.0.desk().call(&card, request)
    }
}

impl Service for Served {
    fn admit(&self, _: &Peer) -> Result<(), Rejection> {
        Ok(())
    }

    async fn handle(&self, peer: &Peer, request: Request) -> Result<Response, Rejection> {
        self.ask(peer, &request)
    }

    async fn model(&self, _: &Peer, digest: Digest) -> Result<Arc<[u8]>, Rejection> {
        let desk = self.0.desk();
        let model = desk
            .office
            .models
            .iter()
            .find(|model| Digest::of(model) == digest);
        Ok(model.unwrap().clone().into())
    }

    async fn upload_shape(&self, _: &Peer, _: RoundId) -> Result<Shape, Rejection> {
        let desk = self.0.desk();
        let over = || Rejection::new(Kind::OutOfPlace, "unknown-round", "it is over");
        let plan = desk.office.open.as_ref().ok_or_else(over)?.round.plan();
        Ok(Shape {
            ring: plan.ring(),
            length: plan.encoding.length(),
        })
    }
}

/// What the person does, and at which of the things that pass the door.
struct Plan {
    at: usize,
    /// Before it, while it is under way, or after it.
    when: usize,
    /// False: the withdrawal is written down, and the connection does not ask the door.
    is_gated: bool,
    who: Mutex<Who>,
    no: Decision,
    passed: AtomicUsize,
    is_withdrawn: AtomicBool,
    /// What passed after the withdrawal had returned.
    late: AtomicUsize,
}

/// Where the person says no.
enum Who {
    /// In the app that contributes.
    Here(Switch),
    /// In another process with the same folder.
    Elsewhere(PathBuf),
}

impl Plan {
    fn withdraw(&self) {
        match &mut *self.who.lock().unwrap() {
            Who::Here(switch) => drop(switch.decide(&self.no, NOW).unwrap()),
            Who::Elsewhere(home) => {
                let child = Command::new(std::env::current_exe().unwrap())
                    .args([
                        "door::interleaving::another_process",
                        "--exact",
                        "--ignored",
                    ])
                    .env("CHORUS_WITHDRAW", home)
                    .output()
                    .unwrap();
                assert!(child.status.success(), "{child:?}");
            }
        }
        self.is_withdrawn.store(true, SeqCst);
    }
}

/// The door, with the person beside it.
struct Watched {
    inner: Arc<Entrance>,
    plan: Arc<Plan>,
}

struct WatchedLease {
    inner: Box<dyn Lease>,
    plan: Arc<Plan>,
}

impl Gate for Watched {
    fn lease(&self) -> io::Result<Box<dyn Lease>> {
        Ok(Box::new(WatchedLease {
            inner: self.inner.lease()?,
            plan: Arc::clone(&self.plan),
        }))
    }
}

impl Lease for WatchedLease {
    fn hold(&mut self, act: &mut dyn FnMut()) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        let is_now = plan.passed.fetch_add(1, SeqCst) == plan.at;
        let when = if is_now { plan.when } else { 3 };
        if when == 0 {
            plan.withdraw();
        }
        let mut withdrawing = None;
        let mut watched = || {
            if when == 1 {
                // Another thread begins while this one is inside; it has to wait.
                let plan = Arc::clone(&plan);
                withdrawing = Some(thread::spawn(move || plan.withdraw()));
                thread::sleep(Duration::from_millis(2));
            }
            if plan.is_withdrawn.load(SeqCst) {
                plan.late.fetch_add(1, SeqCst);
            }
            act();
        };
        let held = match plan.is_gated {
            true => self.inner.hold(&mut watched),
            false => {
                watched();
                Ok(())
            }
        };
        if let Some(withdrawing) = withdrawing {
            withdrawing.join().unwrap();
        }
        if when == 2 {
            plan.withdraw();
        }
        held
    }

    fn wrote(&self, bytes: usize) {
        self.inner.wrote(bytes);
    }

    fn watch(&self, connection: Weak<dyn Reset>) {
        if self.plan.is_gated {
            self.inner.watch(connection);
        }
    }
}

struct WatchedWay {
    connection: Connection,
    entrance: Arc<Entrance>,
}

impl Transport for WatchedWay {
    async fn send(&mut self, pass: Pass, request: &Request) -> Result<Response, SendError> {
        self.entrance.show(pass);
        self.connection.send(request).await
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        self.connection.coordinator()
    }
}

/// A client that said yes to a task of twelve people and was admitted, and the folder that it lives in.
pub fn admitted() -> (FakeCoordinator, tempfile::TempDir, Client, ChaCha20Rng) {
    let histories: Vec<_> = (0..11)
        .map(|person| vec![chorus_model::ItemId(person)])
        .collect();
    let coordinator = FakeCoordinator::start(task(false, 12), &histories, 1).unwrap();
    coordinator.refuse(0.0);
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    decide(&mut client, Answer::Yes, ROUNDS);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    drop(coordinator.admit(&mut client, &mut rng).unwrap());
    (coordinator, home, client, rng)
}

/// Takes part until the task is over or the person withdraws; gives back what passed in all and what passed late.
async fn live(
    at: usize,
    when: usize,
    is_gated: bool,
    is_elsewhere: bool,
) -> (Result<End, crate::Error>, usize, usize, usize) {
    let (coordinator, home, mut client, mut rng) = admitted();

    let clock = Clock::new(|| NOW);
    let (address, serving) = serve(&coordinator, &clock).await;
    let notice = client.notice("en").unwrap();
    let plan = Arc::new(Plan {
        at,
        when,
        is_gated,
        who: Mutex::new(match is_elsewhere {
            true => Who::Elsewhere(home.path().to_owned()),
            false => Who::Here(client.switch().unwrap()),
        }),
        // Also the leave to use models: with that one alone, the last one would still be fetched.
        no: Decision::new(Answer::No, ROUNDS, notice),
        passed: AtomicUsize::new(0),
        is_withdrawn: AtomicBool::new(false),
        late: AtomicUsize::new(0),
    });
    let mut way = way(&client, address, &plan, &clock);
    let name = films();
    let work = Loop {
        task: &name,
        engine: &Direct,
        clock: &clock,
        news: &mut |_| {},
    };
    let end = client
        .run(&mut way, work, &mut rng, std::future::pending())
        .await;
    // Whatever the connection still has in hand.
    tokio::time::sleep(Duration::from_millis(5)).await;
    serving.abort();
    if plan.is_withdrawn.load(SeqCst) {
        assert!(client.resume().unwrap().is_none(), "the round is erased");
    }
    let (passed, late) = (plan.passed.load(SeqCst), plan.late.load(SeqCst));
    (end, passed, late, coordinator.uploads().len())
}

fn way(client: &Client, address: SocketAddr, plan: &Arc<Plan>, clock: &Clock) -> WatchedWay {
    let identity = client.identity().unwrap();
    let certificate = client.store.enrolled().unwrap().unwrap().certificate;
    let entrance = Arc::new(Entrance::new(Arc::clone(&client.door)));
    let gate = Watched {
        inner: Arc::clone(&entrance),
        plan: Arc::clone(plan),
    };
    let target = Target::with_name(&address.to_string(), "localhost").unwrap();
    let credentials = Credentials::new(&identity, certificate);
    let authority = client.authority().unwrap();
    let connection =
        Connection::new(target, &authority, &credentials, clock, Arc::new(gate)).unwrap();
    WatchedWay {
        connection,
        entrance,
    }
}

pub async fn serve(
    coordinator: &FakeCoordinator,
    clock: &Clock,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = {
        let desk = coordinator.desk();
        let seed: Identity = Identity::from_seed(&desk.office.identity.seed());
        let certificate = desk.issuing.certify_server(&seed);
        let credentials = Credentials::new(&seed, certificate);
        ServerTls::mutual(&credentials, &desk.issuing.authority, clock).unwrap()
    };
    let service = Arc::new(Served(coordinator.clone()));
    let serving = tokio::spawn(async move {
        let _ = serve_training(listener, tls, service, std::future::pending()).await;
    });
    (address, serving)
}

/// The person takes their leave back before, while or after each of the things that a whole task hands to the socket or takes
/// from it: at every 29th of them, or with `CHORUS_EVERY=1` at every one.
#[tokio::test]
async fn nothing_passes_after_a_withdrawal_returned_wherever_it_comes() {
    let (end, whole, late, uploads) = live(usize::MAX, 3, true, false).await;
    assert_eq!((end.unwrap(), late), (End::Finished, 0));
    assert!(uploads > 0 && whole > 50, "{whole}");

    let (mut ungated, mut withdrawn) = (0, 0);
    let every = std::env::var("CHORUS_EVERY").map_or(29, |text| text.parse().unwrap());
    let mut places = 0;
    for at in (0..whole).step_by(every) {
        places += 1;
        let (end, passed, late, _) = live(at, at % 3, true, false).await;
        assert_eq!(
            late, 0,
            "{late} of {passed} passed after a withdrawal at {at}"
        );
        match end {
            Ok(End::Withdrawn) | Err(crate::Error::NotGranted { .. }) => withdrawn += 1,
            // At the very end there is nothing left to stop.
            end => assert!(at + 10 > whole, "{end:?} at {at} of {whole}"),
        }
        // The control: without the door, what is under way goes on.
        if places % 10 == 1 {
            ungated += live(at, 2, false, false).await.2;
        }
    }
    assert!(ungated > 0);
    assert!(
        withdrawn + 10 > places && withdrawn > 10,
        "{withdrawn} of {places}"
    );
}

/// The process of a person who opens another app, or a settings screen of its own, and says no there.
#[test]
#[ignore = "the child of the test below"]
fn another_process() {
    let Ok(home) = std::env::var("CHORUS_WITHDRAW") else {
        return;
    };
    let mut client = open(std::path::Path::new(&home), settings());
    decide(&mut client, Answer::No, ROUNDS);
}

/// The same, with the withdrawal in a process of its own: here nothing is known of it but the files.
#[tokio::test]
async fn nothing_passes_after_another_process_withdrew() {
    let (_, whole, ..) = live(usize::MAX, 3, true, true).await;
    let mut ungated = 0;
    for (place, at) in (0..whole).step_by(whole / 6).enumerate() {
        let (end, passed, late, _) = live(at, place % 3, true, true).await;
        assert_eq!(late, 0, "{late} of {passed} passed after {at}");
        let is_over = matches!(
            end,
            Ok(End::Withdrawn) | Err(crate::Error::NotGranted { .. })
        );
        assert!(is_over || at + 10 > whole, "{end:?} at {at} of {whole}");
        // The control: who does not look at the files goes on.
        if place < 2 {
            ungated += live(at, 2, false, true).await.2;
        }
    }
    assert!(ungated > 0);
}
