//! The whole coordinator over TLS, with an enrolment authority and clients that speak through the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chorus_authority::{Invited, Revoked, ServeOptions};
use chorus_coordinator::{
    Clock, Config, Directory, RawConfig, ServeError, Store, TaskState, create_task, export_model,
    list_models, model_quality, read_task, reports, serve, start_task, status,
};
use chorus_model::{Case, Direct, Engine, Interval, ItemId, Parameters, Quality, TrainingSet};
use chorus_protocol::{
    Floor, Identity, LogView, Next, Participation, Request, Response, Standing, TaskName,
    contribute, encode, noise_share,
};
use chorus_wire::certificate::Authority;
use chorus_wire::client::{Connection, Open, SendError, Target, enrol};
use chorus_wire::tls::Credentials;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const CLIENTS: usize = 14;

struct Town {
    directory: TempDir,
    authority: Authority,
    authority_address: String,
    authority_target: Target,
    rng: ChaCha20Rng,
}

struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

fn name() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

impl Town {
    /// An authority that serves until the test ends.
    async fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let clock = chorus_wire::Clock::system();
        let place = directory.path().join("authority");
        let authority = chorus_authority::init(&place, clock.now(), &mut rng).unwrap();
        let (listener, address) = listener().await;
        let serving_rng = ChaCha20Rng::seed_from_u64(2);
        tokio::spawn(async move {
            let options = ServeOptions {
                server_name: "127.0.0.1".to_owned(),
                ..ServeOptions::default()
            };
            let forever = std::future::pending();
            chorus_authority::serve(listener, &place, &options, clock, serving_rng, forever)
                .await
                .unwrap();
        });
        Self {
            directory,
            authority,
            authority_target: Target::new(&address).unwrap(),
            authority_address: address,
            rng,
        }
    }

    fn invite(&mut self, invited: &Invited) -> chorus_wire::InvitationCode {
        let place = self.directory.path().join("authority");
        let (now, hour) = (
            chorus_wire::Clock::system().now(),
            Duration::from_secs(3_600),
        );
        chorus_authority::invite(&place, invited, hour, 1, now, &mut self.rng)
            .unwrap()
            .remove(0)
    }

    fn coordinator(&self) -> Directory {
        Directory::new(self.directory.path().join("coordinator"))
    }

    async fn enrol_coordinator(&mut self) {
        let server_name = "127.0.0.1".to_owned();
        let invitation = self.invite(&Invited::Coordinator { server_name });
        let (directory, clock) = (self.coordinator(), chorus_wire::Clock::system());
        let (target, authority) = (self.authority_target.clone(), self.authority.clone());
        directory
            .enrol(&target, &authority, &invitation, &clock, &mut self.rng)
            .await
            .unwrap();
    }

    async fn enrol_client(&mut self) -> Person {
        let invitation = self.invite(&Invited::Client);
        let identity = Identity::generate(&mut self.rng);
        let clock = chorus_wire::Clock::system();
        let issued = enrol(
            &self.authority_target,
            &self.authority,
            &invitation,
            &identity,
            &clock,
            Arc::new(Open),
        );
        let credentials = Credentials::new(&identity, issued.await.unwrap().certificate);
        let rng = ChaCha20Rng::seed_from_u64(self.rng.next_u64());
        Person {
            set: TrainingSet::of([1, 4, 7].map(ItemId), 12),
            identity,
            credentials,
            authority: self.authority.clone(),
            rng,
        }
    }

    fn config(&self, authority: &str) -> Config {
        let text = format!(
            "one_party = true\n[authority]\naddress = \"{authority}\"\npoll_seconds = 0.1\n\
             [timing]\nphase_seconds = 10\nquiet_seconds = 0.5\ngather_seconds = 0.5\nlong_poll_seconds = 1\n"
        );
        let mut raw = RawConfig::from_toml(&text).unwrap();
        raw.directory = Some(self.coordinator().path().to_owned());
        raw.try_into().unwrap()
    }

    async fn start(&self, authority: &str) -> Running {
        let (listener, address) = listener().await;
        let config = self.config(authority);
        let store = Arc::new(Store::open(config.directory()).unwrap());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let serving = tokio::spawn(serve(listener, config, Clock::system(), store, shutdown));
        Running {
            address,
            stop,
            serving,
        }
    }
}

impl Running {
    async fn end(self) {
        self.stop.send(()).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.serving).await;
        ended.expect("it ends in time").unwrap().unwrap();
        TcpListener::bind(&self.address)
            .await
            .expect("the port is free again");
    }
}

struct Person {
    identity: Identity,
    credentials: Credentials,
    authority: Authority,
    set: TrainingSet,
    rng: ChaCha20Rng,
}

impl Person {
    fn connect(&self, address: &str) -> Connection {
        let clock = chorus_wire::Clock::system();
        let target = Target::new(address).unwrap();
        Connection::new(
            target,
            &self.authority,
            &self.credentials,
            &clock,
            Arc::new(Open),
        )
        .unwrap()
    }

    /// Takes part until `enough`; gives back its view of the log and why it was refused, if it was.
    async fn live(
        mut self,
        address: String,
        coordinator: [u8; 32],
        enough: Arc<AtomicBool>,
    ) -> (LogView, Option<String>) {
        let connection = self.connect(&address);
        let floor = Floor {
            without_noise: true,
            ..Floor::default()
        };
        let (mut log, mut last_round) = (LogView::default(), None);
        while !enough.load(Ordering::SeqCst) {
            let invitation = match connection.send(&Request::CheckIn { task: name() }).await {
                Ok(Response::Invited(invitation)) => invitation,
                Ok(Response::Finished) => break,
                Ok(_) => continue,
                Err(SendError::Refused { label, .. }) => return (log, Some(label)),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let log_seen = log.clone();
            let standing = Standing {
                floor: &floor,
                charges: &[],
                local_today: 0,
                last_round,
                log: log_seen,
                coordinator,
                model: None,
            };
            let mut participation = Participation::join(invitation, standing).unwrap();
            last_round = Some(participation.plan().round);
            loop {
                match participation.poll() {
                    Next::Over(_) => break,
                    Next::Learn { plan, model } => {
                        let trainer = Direct
                            .open(&Parameters::from_bytes(model).unwrap())
                            .unwrap();
                        let delta =
                            contribute(trainer.as_ref(), plan, &self.set, &mut self.rng.clone())
                                .unwrap();
                        let update = encode(
                            delta,
                            plan,
                            noise_share(plan, &mut self.rng).unwrap(),
                            &mut self.rng,
                        )
                        .unwrap()
                        .update;
                        participation
                            .learned(update, &self.identity, &mut self.rng)
                            .unwrap();
                    }
                    Next::Send(request) => match connection.send(&request).await {
                        Ok(response) => {
                            let now = chorus_wire::Clock::system().now();
                            participation
                                .handle(
                                    response,
                                    &self.identity,
                                    &self.authority.at(now),
                                    &mut self.rng,
                                )
                                .unwrap();
                        }
                        Err(_) => participation.left_out(),
                    },
                }
            }
            log = participation.log().clone();
        }
        (log, None)
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it takes too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federation_over_tls() {
    let mut town = Town::new(1).await;
    town.enrol_coordinator().await;
    let directory = town.coordinator();
    let store = Store::open(directory.path()).unwrap();
    let task = read_task(
        "name = 'films'\npopulation = 14\nprivacy = { noise = 'off' }\n\
         recipe = { algorithm = 'ials', items = 12, factors = 2, rounds = 500 }",
    )
    .unwrap();
    let identity = directory.identity().unwrap();
    create_task(&store, &identity, &task, 1, 1).unwrap();
    start_task(&store, &name()).unwrap();
    let version = || {
        list_models(&store, &name())
            .unwrap()
            .versions
            .last()
            .unwrap()
            .version
    };

    // Without the authority no list of revoked certificates comes, and no round starts.
    let (_nobody, silent) = listener().await;
    let running = town.start(&silent).await;
    let mut people = Vec::new();
    for _ in 0..CLIENTS + 1 {
        people.push(town.enrol_client().await);
    }
    let outsider = people.pop().unwrap();
    let victim = people[0].identity.id();
    let enough = Arc::new(AtomicBool::new(false));
    let reason = || {
        status(&store, &directory, true)
            .unwrap()
            .tasks
            .remove(0)
            .reason
            .unwrap_or_default()
    };
    until(|| reason().contains("list of revoked certificates was never fetched")).await;
    assert!(directory.is_served());
    // The directory is taken.
    let (other, _) = listener().await;
    let config = town.config(&silent);
    let second = serve(
        other,
        config,
        Clock::system(),
        Arc::new(Store::open(directory.path()).unwrap()),
        async {},
    );
    let error = second.await.unwrap_err().to_string();
    assert!(error.starts_with("another coordinator runs on"), "{error}");
    running.end().await;
    assert!(!directory.is_served() && version() == 1);

    // With it, rounds run.
    let running = town.start(&town.authority_address).await;
    let key = identity.public();
    let clients: Vec<_> = people
        .into_iter()
        .map(|person| tokio::spawn(person.live(running.address.clone(), key, enough.clone())))
        .collect();
    until(|| version() >= 4).await;

    // A certificate of another federation does not get past TLS.
    let mut elsewhere = Town::new(3).await;
    let foreign = elsewhere.enrol_client().await;
    let mixed = Person {
        authority: town.authority.clone(),
        ..foreign
    };
    let refused = mixed
        .connect(&running.address)
        .send(&Request::CheckIn { task: name() })
        .await;
    assert!(
        matches!(refused, Err(SendError::Refused { .. })),
        "{refused:?}"
    );

    // Revoked in the middle: refused from then on, and the others go on without it once they need not wait for it.
    let place = town.directory.path().join("authority");
    chorus_authority::revoke(&place, &Revoked::Client(victim)).unwrap();
    let clients: Vec<_> = {
        let mut clients = clients.into_iter();
        let (_, refusal) = clients.next().unwrap().await.unwrap();
        assert_eq!(refusal.as_deref(), Some("revoked"));
        clients.collect()
    };
    let revoked_at = version();
    until(|| version() >= revoked_at + 2).await;

    // Stopped and started: nothing of what was published is lost, and it goes on.
    running.end().await;
    let before = version();
    let task = status(&store, &directory, true).unwrap().tasks.remove(0);
    assert!(task.running.is_none() && task.state == TaskState::Running);
    enough.store(true, Ordering::SeqCst);
    for client in clients {
        let (log, refusal) = client.await.unwrap();
        assert_eq!(refusal, None);
        assert!(log.length >= before - 1);
    }
    // The revoked are known at once, from the store: the authority is not asked first.
    let running = town.start(&silent).await;
    let enough = Arc::new(AtomicBool::new(false));
    let mut again = vec![outsider];
    for _ in 1..CLIENTS {
        again.push(town.enrol_client().await);
    }
    let clients: Vec<_> = again
        .into_iter()
        .map(|person| tokio::spawn(person.live(running.address.clone(), key, enough.clone())))
        .collect();
    until(|| version() >= before + 2).await;
    enough.store(true, Ordering::SeqCst);
    for client in clients {
        let (log, refusal) = client.await.unwrap();
        assert_eq!(refusal, None);
        assert!(log.length > before);
    }
    running.end().await;
}

/// An evaluated task over the real service: what clients say of the last model is what that model does with their newest items.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_evaluate_the_model_over_tls() {
    let mut town = Town::new(7).await;
    town.enrol_coordinator().await;
    let directory = town.coordinator();
    let store = Store::open(directory.path()).unwrap();
    let task = read_task(
        "name = 'films'\npopulation = 120\ndropout = 0.3\nprivacy = { noise = 'off' }\nevaluate = { every = 5 }\n\
         recipe = { algorithm = 'ials', items = 40, factors = 2, rounds = 1, head = 0 }",
    )
    .unwrap();
    let identity = directory.identity().unwrap();
    create_task(&store, &identity, &task, 1, 1).unwrap();
    start_task(&store, &name()).unwrap();
    let running = town.start(&town.authority_address).await;
    let enough = Arc::new(AtomicBool::new(false));
    // Half of them like the same thirteen items last of all, the others what nobody else does.
    let histories: Vec<TrainingSet> = (0..120)
        .map(|number| match number % 2 {
            0 => TrainingSet::of((0..13).map(|step| ItemId((number / 2 + step) % 13)), 40),
            _ => TrainingSet::of(
                (0..4).map(|step| ItemId(13 + (number * 3 + step * 7) % 27)),
                40,
            ),
        })
        .collect();
    let mut clients = Vec::new();
    for set in &histories {
        let mut person = town.enrol_client().await;
        person.set = set.clone();
        let living = person.live(running.address.clone(), identity.public(), enough.clone());
        clients.push(tokio::spawn(living));
    }
    for client in clients {
        assert_eq!(client.await.unwrap().1, None);
    }
    let quality = model_quality(&store, &name()).unwrap().versions.remove(0);
    let last = reports(&store, &name()).unwrap().pop().unwrap();
    assert_eq!((quality.release.as_str(), quality.version), ("ranks-1", 3));
    assert_eq!(
        (last.funnel.uploaded, &last.measured),
        (120, &quality.measured)
    );
    let model = export_model(&store, &name(), Some(quality.version)).unwrap();
    let trainer = Direct
        .open(&Parameters::from_bytes(&model.bytes).unwrap())
        .unwrap();
    let mut open = Quality::default();
    for set in histories {
        let (history, newest) = set.newest_apart();
        let scores = trainer.scores(&history).unwrap();
        let case = Case {
            history,
            positive: newest.unwrap(),
            also: Vec::new(),
            negatives: Vec::new(),
        };
        open.add(&scores, &case).unwrap();
    }
    let shown = quality.measured.unwrap().full;
    let bounds = |found: Interval| found.low..=found.high;
    assert!(
        bounds(shown.hr_at_10).contains(&open.full_hr_at_10),
        "{shown:?} {open:?}"
    );
    assert!(
        bounds(shown.ndcg_at_10).contains(&open.full_ndcg_at_10),
        "{shown:?} {open:?}"
    );
    assert!(
        shown.groups.iter().all(|group| group.people >= 50.0),
        "{shown:?}"
    );
    running.end().await;
}
