//! A whole federation over TLS: people come and go in every phase, the coordinator is restarted, one client is revoked,
//! and in the end everyone has the same model and knows what it cost.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chorus_authority::{Invited, Revoked};
use chorus_client::{Client, Error, FileKey, Settings};
use chorus_coordinator::{TaskState, list_models, reports, status};
use chorus_model::{Event, ItemId};
use chorus_privacy::{Release, spent};
use chorus_protocol::{Identity, Request, RoundReport, TaskName, sum_digest};
use chorus_torch::Torch;
use chorus_wire::client::{Connection, Open, SendError, enrol};
use chorus_wire::tls::Credentials;
use common::{Fate, Notes, Person, Running, Town, Work, allow, until};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const ITEMS: usize = 40;
const CLIENTS: usize = 14;
/// Seconds of silence that end a phase.
const QUIET: f64 = 0.6;

const EXACT: &str = "name = 'films'\npopulation = 14\ndropout = 0.3\nprivacy = { noise = 'off' }\n\
    recipe = { algorithm = 'ials', items = 40, factors = 4, rounds = 6 }";
/// The history, six gradients, and a head of everyone.
const EXACT_SUMS: u64 = 8;
/// For one person fewer: one is revoked before.
const NOISED: &str = "name = 'books'\npopulation = 13\ndropout = 0.3\n\
    privacy = { noise = 'distributed', epsilon = 8, delta = 1e-5 }\n\
    recipe = { algorithm = 'ials-private', items = 40, factors = 4, sweeps = 1 }";
const NOISED_SUMS: u64 = 3;

type Living = JoinHandle<(Person, Result<(), Error>)>;

/// Distinct items, some liked by many.
fn history(number: usize) -> Vec<Event> {
    let mut rng = ChaCha20Rng::seed_from_u64(number as u64);
    let mut items: Vec<u32> = (0..ITEMS as u32).collect();
    items.shuffle(&mut rng);
    items.truncate(rng.random_range(4..12));
    let event = |item| Event {
        item: ItemId(item),
        at: 1_700_000_000,
    };
    items.into_iter().map(event).collect()
}

fn work(town: &Town, task: &TaskName, crowd: usize) -> (Arc<Work>, watch::Sender<bool>) {
    let (opener, gate) = watch::channel(true);
    let work = Work {
        task: task.clone(),
        items: ITEMS,
        crowd,
        vanishing: 2,
        clock: town.clock.clone(),
        gate,
        notes: Mutex::new(Notes::default()),
    };
    (Arc::new(work), opener)
}

fn start(town: &Town, people: Vec<Person>, work: &Arc<Work>) -> Vec<Living> {
    people
        .into_iter()
        .map(|mut person| {
            let (work, way, clock) = (Arc::clone(work), town.way(), town.clock.clone());
            tokio::spawn(async move {
                let connect = move |client: &Client| client.connect(way(), &clock).unwrap();
                let end = person.live(&work, &connect).await;
                (person, end)
            })
        })
        .collect()
}

async fn all(living: Vec<Living>) -> Vec<Person> {
    let mut people = Vec::new();
    for one in living {
        let (person, end) = one.await.unwrap();
        if let Err(error) = end {
            panic!("client {} ended with: {error}", person.number);
        }
        people.push(person);
    }
    people
}

/// A coordinator is not let down by strangers, nor a client by a coordinator of another federation.
async fn strangers_are_refused(town: &Town) {
    let mut elsewhere = Town::new(100).await;
    let invitation = elsewhere.invite(&Invited::Client);
    let identity = Identity::from_seed(&[9; 32]);
    let (target, clock) = (&elsewhere.authority_target, &elsewhere.clock);
    let issued = enrol(
        target,
        &elsewhere.authority,
        &invitation,
        &identity,
        clock,
        Arc::new(Open),
    )
    .await;
    let foreign = Credentials::new(&identity, issued.unwrap().certificate);
    let way = town.way();
    let intruder = Connection::new(
        way(),
        &town.authority,
        &foreign,
        &town.clock,
        Arc::new(Open),
    )
    .unwrap();
    let task = TaskName::try_from("films".to_owned()).unwrap();
    let answer = intruder
        .send(&Request::CheckIn { task: task.clone() })
        .await;
    assert!(
        matches!(answer, Err(SendError::Refused { .. })),
        "{answer:?}"
    );

    let mut stray = Person::enrol(&mut elsewhere, 0, &history(0)).await.client;
    let mut connection = stray.connect(way(), &town.clock).unwrap();
    let answer = stray.check_in(&mut connection, &task).await;
    assert!(matches!(answer, Err(Error::Untrusted { .. })), "{answer:?}");

    let home = town.client_folder(99);
    let mut nobody = Client::open(&home, &FileKey::beside(&home), Settings::default(), 0).unwrap();
    let answer = nobody.connect(way(), &town.clock);
    assert!(matches!(answer, Err(Error::NotGranted { .. })));
    allow(&mut nobody);
    let answer = nobody.connect(way(), &town.clock);
    assert!(matches!(answer, Err(Error::NotEnrolled)));
}

/// Every completed round's sum is the plain modular sum of what its clients encoded.
fn sums_are_exact(reports: &[RoundReport], work: &Work, sums: u64) {
    let notes = work.notes();
    let completed: Vec<_> = reports.iter().filter(|one| one.sum.is_some()).collect();
    assert_eq!(completed.len() as u64, sums, "{reports:?}");
    for report in completed {
        let round = report.round.0;
        assert_eq!(report.funnel.uploaded, notes.uploads[&round], "{report:?}");
        assert_eq!(
            report.sum,
            Some(sum_digest(&notes.sums[&round])),
            "round {round}: {report:?}"
        );
    }
    let vanished = notes
        .fates
        .iter()
        .filter(|fate| matches!(fate, Fate::Vanishes(_)));
    let restarted = notes
        .fates
        .iter()
        .filter(|fate| matches!(fate, Fate::Restarts(_)));
    let (vanished, restarted) = (vanished.count() as u64, restarted.count() as u64);
    assert!(vanished >= sums && restarted > 0, "{:?}", notes.fates);
    assert_eq!(notes.complaints, Vec::<String>::new());
}

/// Equal but for the last digit, which a number can lose on its way through JSON.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-12 * other.abs()
}

/// What every client counted is what the coordinator counted.
fn ledgers_agree(people: &[Person], reports: &[RoundReport], task: &TaskName, now: i64) {
    let mut full = 0;
    let mut costs: Vec<Option<Release>> = Vec::new();
    for report in reports {
        let charged: Vec<_> = people
            .iter()
            .flat_map(|person| &person.charges)
            .filter(|charge| charge.round == report.round)
            .collect();
        assert!(
            charged.len() >= report.funnel.uploaded.min(people.len()),
            "{report:?}"
        );
        for charge in &charged {
            assert_eq!((&charge.task, &charge.release), (task, &report.release));
            assert_eq!(charge.cost, charged[0].cost, "everyone is charged the same");
        }
        costs.push(charged.first().and_then(|charge| charge.cost));
        let releases: Vec<Release> = costs.iter().copied().flatten().collect();
        match report.spent {
            None => assert!(releases.is_empty()),
            Some(counted) => {
                let expected = spent(&releases, counted.delta).unwrap();
                assert!(same(counted.epsilon, expected.epsilon), "{report:?}");
            }
        }
    }
    let last = reports.last().and_then(|report| report.spent);
    for person in people {
        let mine: Vec<_> = person
            .charges
            .iter()
            .filter(|one| one.task == *task)
            .collect();
        let rounds: BTreeSet<_> = mine.iter().map(|charge| charge.round.0).collect();
        assert_eq!(rounds.len(), mine.len(), "no round is charged twice");
        let status = person.client.status(now).unwrap();
        let ledger = status.tasks.iter().find(|one| one.task == *task).unwrap();
        let releases: Vec<Release> = mine.iter().filter_map(|charge| charge.cost).collect();
        assert_eq!(ledger.contributions, mine.len());
        assert_eq!(ledger.without_noise, mine.len() - releases.len());
        if let Some(counted) = last {
            assert_eq!(ledger.delta, counted.delta);
            let mine_only = ledger.epsilon.unwrap();
            assert!(mine_only <= counted.epsilon * (1.0 + 1e-12) && counted.epsilon <= 8.0);
            if mine.len() == reports.len() {
                assert!(same(mine_only, counted.epsilon));
                full += 1;
            }
        }
    }
    assert!(last.is_none() || full > 0, "somebody was in every sum");
}

/// Everyone has the newest model and the same view of the log.
async fn everyone_has_the_same(town: &Town, people: &mut [Person], task: &TaskName) {
    let status = status(&town.store(), &town.directory(), true).unwrap();
    let newest = list_models(&town.store(), task)
        .unwrap()
        .versions
        .pop()
        .unwrap();
    for person in people {
        let way = town.way();
        let mut connection = person.client.connect(way(), &town.clock).unwrap();
        let accepted = person.client.refresh(&mut connection, task).await.unwrap();
        assert_eq!(accepted.version, newest.version);
        assert_eq!(accepted.digest, newest.digest);
        let head = person.client.head().unwrap();
        assert_eq!(head.length, status.log_length);
        assert_eq!(head.digest, status.log_head);
    }
}

fn recommendations_are_new(people: &[Person], task: &TaskName) {
    for person in people {
        let list = person.client.recommend(task, &Torch, 10).unwrap();
        assert_eq!(list.len(), 10);
        let items: BTreeSet<_> = list.iter().map(|one| one.item.0).collect();
        assert_eq!(items.len(), 10);
        assert!(list.iter().all(|one| !person.history.contains(&one.item)));
        assert!(list.is_sorted_by(|one, next| one.score >= next.score));
    }
}

/// Exact sums; the coordinator ends whatever it is doing; one client is revoked.
async fn without_noise(
    town: &mut Town,
    people: Vec<Person>,
    running: Running,
) -> (Vec<Person>, Running) {
    let task = town.begin(EXACT);
    let (work, _gate) = work(town, &task, CLIENTS);
    let victim = people[0].identity.id();
    let mut living = start(town, people, &work);

    until("two sums are taken", || town.version(&task) >= 3).await;
    running.close().await;
    let before = town.version(&task);
    let running = town.open(QUIET).await;
    until("it goes on after a restart", || {
        town.version(&task) > before
    })
    .await;

    chorus_authority::revoke(&town.authority_folder(), &Revoked::Client(victim)).unwrap();
    let (revoked, end) = living.remove(0).await.unwrap();
    match end {
        Err(Error::Enrol { reason }) => assert!(reason.contains("revoked"), "{reason}"),
        other => panic!("a revoked client ended with {other:?}"),
    }
    assert!(
        town.version(&task) < EXACT_SUMS + 1,
        "the task was not over yet"
    );
    let mut people = all(living).await;

    assert_eq!(town.version(&task), EXACT_SUMS + 1);
    let reports = reports(&town.store(), &task).unwrap();
    sums_are_exact(&reports, &work, EXACT_SUMS);
    let completed: Vec<_> = reports
        .into_iter()
        .filter(|one| one.sum.is_some())
        .collect();
    people.insert(0, revoked);
    ledgers_agree(&people, &completed, &task, town.clock.now());
    // Whoever was revoked is shown no newer model.
    people.remove(0);
    everyone_has_the_same(town, &mut people, &task).await;
    (people, running)
}

/// Noised sums, each once; the coordinator is restarted between two rounds.
async fn with_noise(
    town: &mut Town,
    people: Vec<Person>,
    running: Running,
) -> (Vec<Person>, Running) {
    let task = town.begin(NOISED);
    let (work, gate) = work(town, &task, CLIENTS);
    let living = start(town, people, &work);

    until("a sum is taken", || town.version(&task) >= 2).await;
    gate.send_replace(false);
    // Whoever was let in before goes on to the end of its round.
    tokio::time::sleep(Duration::from_millis(300)).await;
    until("no round runs", || !town.is_running(&task)).await;
    let before = town.version(&task);
    running.close().await;
    let running = town.open(QUIET).await;
    gate.send_replace(true);
    let mut people = all(living).await;
    assert!(before > 1 && town.version(&task) == NOISED_SUMS + 1);

    let reports = reports(&town.store(), &task).unwrap();
    sums_are_exact(&reports, &work, NOISED_SUMS);
    ledgers_agree(&people, &reports, &task, town.clock.now());
    everyone_has_the_same(town, &mut people, &task).await;
    let status = status(&town.store(), &town.directory(), true).unwrap();
    let row = status
        .tasks
        .into_iter()
        .find(|one| one.task == task)
        .unwrap();
    assert_eq!(row.state, TaskState::Finished);
    assert!(same(
        row.spent.unwrap().epsilon,
        reports.last().unwrap().spent.unwrap().epsilon
    ));
    assert_eq!((row.rounds_completed, row.rounds_aborted), (NOISED_SUMS, 0));
    (people, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federation_learns_over_tls() {
    let mut town = Town::new(1).await;
    let mut people = Vec::new();
    for number in 0..CLIENTS {
        people.push(Person::enrol(&mut town, number, &history(number)).await);
    }
    let running = town.open(QUIET).await;
    let (people, running) = without_noise(&mut town, people, running).await;
    strangers_are_refused(&town).await;
    let (people, running) = with_noise(&mut town, people, running).await;
    running.close().await;

    // Nobody listens any more, and nobody has to.
    for task in ["films", "books"] {
        let task = TaskName::try_from(task.to_owned()).unwrap();
        recommendations_are_new(&people, &task);
    }
}
