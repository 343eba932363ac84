use std::collections::BTreeSet;
use std::future::pending;

use chorus_model::{Direct, Engine, ItemId, Parameters, TrainError, Trainer};
use chorus_protocol::{LogError, Task};
use chorus_wire::Clock;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tempfile::TempDir;

use crate::testing::{NOW, ROUNDS, decide, films, open, settings, task};
use crate::{Answer, Client, End, Error, FakeCoordinator, FakeTransport, Loop, News, Trouble};

/// The client of an app among eleven neighbours.
struct App {
    coordinator: FakeCoordinator,
    client: Client,
    way: FakeTransport,
    rng: ChaCha20Rng,
    heard: Vec<String>,
    _home: TempDir,
}

fn histories(count: u32) -> Vec<Vec<ItemId>> {
    let likes = |person| {
        (0..5)
            .map(|step| ItemId((person * 3 + step) % 24))
            .collect()
    };
    (0..count).map(likes).collect()
}

impl App {
    fn new(task: Task) -> Self {
        let coordinator = FakeCoordinator::start(task, &histories(11), 1).unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut client = open(home.path(), settings());
        decide(&mut client, Answer::Yes, ROUNDS);
        let item = ItemId(7);
        client.record(crate::Event::click(item, NOW), NOW).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let way = coordinator.admit(&mut client, &mut rng).unwrap();
        App {
            coordinator,
            client,
            way,
            rng,
            heard: Vec::new(),
            _home: home,
        }
    }

    async fn run(&mut self) -> Result<End, Error> {
        let (task, clock) = (films(), Clock::new(|| NOW));
        let heard = &mut self.heard;
        let work = Loop {
            task: &task,
            engine: &Direct,
            clock: &clock,
            news: &mut |news: News<'_>| heard.push(format!("{news:?}")),
        };
        let client = &mut self.client;
        client
            .run(&mut self.way, work, &mut self.rng, pending())
            .await
    }

    fn newest(&self) -> Vec<u8> {
        self.coordinator
            .desk()
            .office
            .models
            .last()
            .unwrap()
            .clone()
    }
}

/// Whatever is lost on the way, each sum is taken once, and has the client's part in it once.
#[tokio::test(start_paused = true)]
async fn a_task_is_learned_to_its_end_whatever_is_lost() {
    for noise in [false, true] {
        let mut smooth = App::new(task(noise, 12));
        assert_eq!(smooth.run().await.unwrap(), End::Finished);
        let sums = smooth.coordinator.sums();
        assert!(sums > 2);
        assert_eq!(smooth.coordinator.completed(), sums);
        assert_eq!(smooth.coordinator.uploads().len(), sums);
        let calls = smooth.way.calls();

        let mut rough = App::new(task(noise, 12));
        for call in (0..calls).step_by(3) {
            rough.way.trouble(call..call + 1, Trouble::AnswerLost);
            rough.way.trouble(call + 1..call + 2, Trouble::Unreachable);
        }
        assert_eq!(rough.run().await.unwrap(), End::Finished);
        assert!(rough.heard.iter().any(|news| news.contains("Unreachable")));
        assert_eq!(rough.coordinator.completed(), sums);
        let uploads = rough.coordinator.uploads();
        let distinct: BTreeSet<_> = uploads.iter().map(|upload| &upload.bytes).collect();
        assert_eq!(distinct.len(), sums);
        assert!(uploads.len() > sums, "some answers to uploads were lost");

        let mut again = App::new(task(noise, 12));
        again.run().await.unwrap();
        assert!(again.newest() == smooth.newest(), "the same every time");

        let mut other = App::new(task(noise, 12));
        let item = ItemId(15);
        other
            .client
            .record(crate::Event::click(item, NOW), NOW)
            .unwrap();
        other.run().await.unwrap();
        assert!(
            other.newest() != smooth.newest(),
            "what the client likes is in it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn check_ins_are_refused_for_no_reason() {
    let mut refused = App::new(task(false, 12));
    refused.coordinator.refuse(0.5);
    assert_eq!(refused.run().await.unwrap(), End::Finished);
    assert!(refused.heard.iter().any(|news| news.contains("busy")));
    let mut welcome = App::new(task(false, 12));
    welcome.coordinator.refuse(0.0);
    assert_eq!(welcome.run().await.unwrap(), End::Finished);
    assert!(!welcome.heard.iter().any(|news| news.contains("busy")));
}

#[tokio::test(start_paused = true)]
async fn a_fork_ends_it_all() {
    let mut app = App::new(task(false, 12));
    app.client.refresh(&mut app.way, &films()).await.unwrap();
    app.coordinator.fork().unwrap();
    let seen = app.client.refresh(&mut app.way, &films()).await;
    assert!(matches!(seen, Err(Error::Log(LogError::Fork(1)))));
    assert!(app.coordinator.uploads().is_empty());
}

/// A client that went away in the middle of a round does not hold up the other one for ever.
#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_is_not_waited_for() {
    let mut app = App::new(task(false, 12));
    app.coordinator.refuse(0.0);
    let home = tempfile::tempdir().unwrap();
    let mut absent = open(home.path(), settings());
    decide(&mut absent, Answer::Yes, ROUNDS);
    app.coordinator.admit(&mut absent, &mut app.rng).unwrap();
    assert_eq!(app.run().await.unwrap(), End::Finished);
    assert_eq!(app.coordinator.completed(), app.coordinator.sums());
}

#[test]
fn a_task_that_cannot_be_played_is_refused_in_a_sentence() {
    let refused = |task, count| {
        let started = FakeCoordinator::start(task, &histories(count), 1);
        started.err().map(|error| error.to_string())
    };
    assert_eq!(refused(task(false, 12), 11), None);
    let few = refused(task(false, 12), 7).unwrap();
    assert_eq!(
        few,
        "a round of this task needs 10 clients: give at least 9 histories"
    );
    let mut watched = task(false, 12);
    watched.consistency = chorus_protocol::Consistency::Witness;
    assert!(refused(watched, 11).unwrap().contains("no witness"));
    let mut tiny = task(false, 12);
    tiny.population = 3;
    assert!(refused(tiny, 11).unwrap().starts_with("population"));
}

#[test]
fn a_client_of_another_federation_is_not_admitted() {
    let mut app = App::new(task(false, 12));
    let elsewhere = FakeCoordinator::start(task(false, 12), &histories(11), 2).unwrap();
    let refused = elsewhere.admit(&mut app.client, &mut app.rng);
    assert!(matches!(refused, Err(Error::OtherAuthority)));
}

#[tokio::test(start_paused = true)]
async fn a_budget_ends_a_session_and_the_next_one_goes_on() {
    let mut app = App::new(task(false, 12));
    app.client.settings.budget.max_ms = 0;
    assert_eq!(app.run().await.unwrap(), End::Spent);
    assert_eq!(app.coordinator.uploads().len(), 0);
    app.client.settings.budget.max_ms = u64::MAX;
    assert_eq!(app.run().await.unwrap(), End::Finished);
    assert_eq!(app.coordinator.completed(), app.coordinator.sums());
    let contributions = app.coordinator.sums();
    assert_eq!(app.coordinator.uploads().len(), contributions);
    let sent = app.client.activity().unwrap();
    let masked = sent
        .iter()
        .filter(|line| line.what == crate::Message::Contribution);
    assert_eq!(masked.count(), contributions);
    // Nothing was handed to the operating system.
    assert!(sent.iter().all(|line| line.bytes == 0));
}

/// Time that is granted in small pieces: each session ends in the middle, and in the end all is learned, once.
#[tokio::test(start_paused = true)]
async fn sessions_of_a_few_moments_add_up_to_a_task() {
    let mut app = App::new(task(false, 12));
    app.coordinator.refuse(0.0);
    app.client.settings.budget.max_ms = 5;
    // After each call that got nowhere the client waits longer than that.
    for call in 1..50 {
        app.way
            .trouble(call * 4..call * 4 + 1, Trouble::Unreachable);
    }
    let (mut sessions, mut inside) = (0, 0);
    loop {
        let before = app.way.calls();
        let began = tokio::time::Instant::now();
        let end = app.run().await.unwrap();
        assert!(began.elapsed() <= std::time::Duration::from_millis(10));
        sessions += 1;
        inside += usize::from(app.client.resume().unwrap().is_some());
        match end {
            End::Spent => assert!(app.way.calls() > before && sessions < 500),
            end => break assert_eq!(end, End::Finished),
        }
    }
    // Some sessions ended in the middle of a round.
    assert!(
        sessions > 3 && inside > 0,
        "{sessions} sessions, {inside} inside a round"
    );
    assert_eq!(app.coordinator.uploads().len(), app.coordinator.sums());
    assert_eq!(app.coordinator.completed(), app.coordinator.sums());
}

/// An engine hears how many threads it may use before it learns.
#[tokio::test(start_paused = true)]
async fn an_engine_is_told_how_many_threads_it_may_use() {
    struct Told(std::sync::atomic::AtomicUsize);
    impl Engine for Told {
        fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError> {
            assert_eq!(self.0.load(std::sync::atomic::Ordering::Relaxed), 3);
            Direct.open(parameters)
        }
        fn set_threads(&self, most: usize) {
            self.0.store(most, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let mut app = App::new(task(false, 12));
    app.client.settings.budget.max_threads = 3;
    let told = Told(Default::default());
    let (name, clock) = (films(), Clock::new(|| NOW));
    let work = Loop {
        task: &name,
        engine: &told,
        clock: &clock,
        news: &mut |_| {},
    };
    let end = app
        .client
        .run(&mut app.way, work, &mut app.rng, std::future::pending());
    assert_eq!(end.await.unwrap(), End::Finished);
    assert_eq!(told.0.into_inner(), 3);
}
