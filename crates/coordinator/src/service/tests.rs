//! Clients and the coordinator in one process, without the wire between them.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chorus_protocol::{Outcome, PublicKeys};
use chorus_wire::revocation::Revocations;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::serve::Supervisor;
use crate::testing::{Member, Want, common, name, task};
use crate::{Clock, list_models, rollback_model, start_task, status, stop_task};

struct House {
    directory: TempDir,
    common: Arc<Common>,
    service: Arc<Coordinator>,
    stop: watch::Sender<bool>,
    supervising: JoinHandle<()>,
}

impl House {
    async fn new(clients: usize, noise: bool, rounds: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let common = common(
            directory.path(),
            Clock::system(),
            &task(clients, noise, rounds),
        );
        Self::open(directory, common).await
    }

    async fn open(directory: TempDir, common: Arc<Common>) -> Self {
        let (mut supervisor, places) = Supervisor::new(common.clone());
        supervisor.look().await;
        let service = Arc::new(Coordinator::new(common.clone(), places));
        let (stop, stopping) = watch::channel(false);
        let supervising = tokio::spawn(supervisor.run(stopping));
        Self {
            directory,
            common,
            service,
            stop,
            supervising,
        }
    }

    async fn close(self) -> (TempDir, Arc<Common>) {
        self.stop.send_replace(true);
        self.supervising.await.unwrap();
        (self.directory, self.common)
    }

    async fn held(&self) -> Option<usize> {
        let desk = self.service.places.borrow().get(&name())?.desk.clone()?;
        desk.ask(|answer| Call::Count { answer }).await
    }

    fn version(&self) -> u64 {
        list_models(&self.common.store, &name())
            .unwrap()
            .versions
            .last()
            .unwrap()
            .version
    }
}

/// Takes part until the task is over or `enough` says so.
async fn live(service: Arc<Coordinator>, mut member: Member, enough: Arc<AtomicBool>) -> Member {
    let peer = member.peer();
    while !enough.load(Ordering::SeqCst) {
        match service
            .handle(&peer, Request::CheckIn { task: name() })
            .await
        {
            Ok(Response::Invited(invitation)) => member.join(invitation),
            Ok(Response::Finished) => break,
            Ok(Response::Wait { milliseconds }) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            other => panic!("{other:?}"),
        }
        while let Want::Say(request) = member.want() {
            match service.handle(&peer, request).await {
                Ok(response) => member.hear(response),
                Err(_) => member.left_out(),
            }
        }
    }
    member
}

fn send_all(
    house: &House,
    members: Vec<Member>,
    enough: &Arc<AtomicBool>,
) -> Vec<JoinHandle<Member>> {
    let one = |member| tokio::spawn(live(house.service.clone(), member, enough.clone()));
    members.into_iter().map(one).collect()
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it takes too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_rounds_hold_no_more_than_twenty() {
    let house = House::new(12, false, 199).await;
    let enough = Arc::new(AtomicBool::new(false));
    let clients = send_all(&house, Member::many(12, 4), &enough);
    let mut most = [0; 2];
    while clients.iter().any(|client| !client.is_finished()) {
        let early = usize::from(house.version() > 20);
        if let Some(held) = house.held().await {
            most[early] = most[early].max(held);
        }
        assert!(house.service.places.borrow().len() <= 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.version(), 201);
    // At most everyone waits, was noted, and is expected.
    assert!(most[0] <= 36 && most[1] <= 36, "{most:?}");
    for client in clients {
        let member = client.await.unwrap();
        assert_eq!(member.refusals, []);
        let completed = |outcome: &&Outcome| matches!(outcome, Outcome::Completed { .. });
        assert_eq!(member.outcomes.values().filter(completed).count(), 200);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_revoked_is_refused_in_every_phase() {
    let house = House::new(14, false, 2).await;
    let enough = Arc::new(AtomicBool::new(false));
    let mut members = Member::many(14, 4);
    let peer = members[0].peer();
    let mut rest = members.split_off(1);
    let last = rest.pop().unwrap();
    let clients = send_all(&house, rest, &enough);
    let service = house.service.clone();
    // Revoked while its long poll waits.
    let waiting = {
        let (service, peer) = (service.clone(), peer.clone());
        tokio::spawn(async move {
            service
                .handle(&peer, Request::CheckIn { task: name() })
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let clients_of = [peer.id].into();
    house.common.revoked.set(Revocations {
        sequence: 2,
        clients: clients_of,
        ..Revocations::default()
    });
    let last = tokio::spawn(live(service.clone(), last, enough.clone()));
    let rejection = waiting.await.unwrap().unwrap_err();
    assert_eq!(
        (rejection.label, rejection.kind),
        ("revoked", Kind::Forbidden)
    );
    let round = RoundId(1);
    let keys = PublicKeys {
        cipher: [1; 32],
        mask: [2; 32],
        generator: chorus_protocol::Generator::ChaCha12,
    };
    for request in [
        Request::CheckIn { task: name() },
        Request::FetchLog { from: 0 },
        Request::FetchModel {
            digest: Digest::ZERO,
            offset: 0,
        },
        Request::AdvertiseKeys {
            round,
            keys,
            signature: [0; 64],
        },
        Request::ShareKeys {
            round,
            sealed: Vec::new(),
        },
        Request::ConfirmShares {
            round,
            unopenable: Vec::new(),
        },
        Request::Unmask {
            round,
            revealed: Vec::new(),
        },
        Request::Await {
            round,
            awaited: Awaited::Outcome,
        },
    ] {
        assert_eq!(
            service.handle(&peer, request).await.unwrap_err().label,
            "revoked"
        );
    }
    assert_eq!(
        service.upload_shape(&peer, round).await.unwrap_err().label,
        "revoked"
    );
    assert_eq!(
        service.model(&peer, Digest::ZERO).await.unwrap_err().label,
        "revoked"
    );
    // The others go on without it.
    until(|| house.version() >= 2).await;
    enough.store(true, Ordering::SeqCst);
    for client in clients.into_iter().chain([last]) {
        client.await.unwrap();
    }
    // A single certificate can be revoked too, and one that has expired is refused.
    let other = Peer {
        serial: vec![7],
        ..Member::many(1, 8)[0].peer()
    };
    house.common.revoked.set(Revocations {
        serials: [vec![7]].into(),
        ..Revocations::default()
    });
    assert_eq!(service.admit(&other).unwrap_err().label, "revoked");
    let expired = Peer {
        serial: vec![8],
        not_after: 1,
        ..other
    };
    assert_eq!(service.admit(&expired).unwrap_err().label, "expired");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_is_answered_from_the_store() {
    let house = House::new(12, false, 2).await;
    let enough = Arc::new(AtomicBool::new(false));
    for client in send_all(&house, Member::many(12, 4), &enough) {
        client.await.unwrap();
    }
    let (service, peer) = (house.service.clone(), Member::many(1, 77)[0].peer());
    let ask = |round, awaited| {
        service.handle(
            &peer,
            Request::Await {
                round: RoundId(round),
                awaited,
            },
        )
    };
    assert_eq!(
        ask(1, Awaited::Outcome).await,
        Ok(Response::Completed { version: 2 })
    );
    assert_eq!(
        ask(3, Awaited::Outcome).await,
        Ok(Response::Completed { version: 4 })
    );
    assert_eq!(
        ask(2, Awaited::Survivors).await,
        Ok(Response::Completed { version: 3 })
    );
    let late = Request::Unmask {
        round: RoundId(1),
        revealed: Vec::new(),
    };
    assert_eq!(service.handle(&peer, late).await, Ok(Response::Accepted));
    assert_eq!(
        ask(9, Awaited::Outcome).await.unwrap_err().label,
        "unknown-round"
    );
    assert_eq!(
        ask(u64::MAX, Awaited::Outcome).await.unwrap_err().label,
        "unknown-round"
    );
    let request = Request::ConfirmShares {
        round: RoundId(1),
        unopenable: Vec::new(),
    };
    assert_eq!(
        service.handle(&peer, request).await.unwrap_err().label,
        "left-out"
    );
    assert_eq!(
        service
            .upload_shape(&peer, RoundId(1))
            .await
            .unwrap_err()
            .label,
        "unknown-round"
    );
    assert_eq!(
        service.model(&peer, Digest::ZERO).await.unwrap_err().label,
        "unknown-model"
    );
    let other = Request::CheckIn {
        task: "other".to_owned().try_into().unwrap(),
    };
    assert_eq!(
        service.handle(&peer, other).await.unwrap_err().label,
        "unknown-task"
    );
    let log = Request::FetchLog { from: 2 };
    let Ok(Response::Log(entries)) = service.handle(&peer, log).await else {
        panic!("no log")
    };
    assert_eq!(entries.len(), 2);
    for version in list_models(&house.common.store, &name()).unwrap().versions {
        let file = service.model(&peer, version.digest).await.unwrap();
        assert_eq!(Digest::of(&file), version.digest);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_follows_the_operator() {
    let house = House::new(12, false, 40).await;
    let enough = Arc::new(AtomicBool::new(false));
    let clients = send_all(&house, Member::many(12, 4), &enough);
    until(|| house.version() >= 3).await;
    let (store, identity) = (&house.common.store, &house.common.identity);
    stop_task(store, &name()).unwrap();
    let directory = crate::Directory::new(house.directory.path());
    let state = || status(store, &directory, false).unwrap().tasks.remove(0);
    until(|| state().state == TaskState::Stopped && state().running.is_none()).await;
    let stopped = house.version();
    let back = rollback_model(store, identity, &name(), 2, 1).unwrap();
    assert_eq!(back.version, stopped + 1);
    start_task(store, &name()).unwrap();
    until(|| house.version() >= stopped + 3).await;
    // While it runs: the round in the middle may be lost, the versions go on.
    let back = rollback_model(store, identity, &name(), 2, 1).unwrap();
    until(|| house.version() >= back.version + 2).await;
    enough.store(true, Ordering::SeqCst);
    for client in clients {
        let member = client.await.unwrap();
        assert!(
            member.log.length >= back.version,
            "a client stopped following the log"
        );
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_service_ends_the_round_and_the_next_start_goes_on() {
    let house = House::new(12, false, 400).await;
    let enough = Arc::new(AtomicBool::new(false));
    let clients = send_all(&house, Member::many(12, 4), &enough);
    until(|| house.version() >= 3).await;
    enough.store(true, Ordering::SeqCst);
    let (directory, common) = house.close().await;
    for client in clients {
        client.await.unwrap();
    }
    let status = status(
        &common.store,
        &crate::Directory::new(directory.path()),
        false,
    )
    .unwrap();
    assert!(status.tasks[0].running.is_none() && status.tasks[0].state == TaskState::Running);
    let before = status.tasks[0].version;
    let house = House::open(directory, common).await;
    let enough = Arc::new(AtomicBool::new(false));
    let clients = send_all(&house, Member::many(12, 5), &enough);
    until(|| house.version() >= before + 2).await;
    enough.store(true, Ordering::SeqCst);
    for client in clients {
        assert_eq!(client.await.unwrap().refusals, []);
    }
    house.close().await;
}

/// A task can be seen to be finished a moment before its desk is gone: clients must hear of it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_that_ends_after_its_task_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let common = common(directory.path(), Clock::system(), &task(14, false, 1));
    let finish = || {
        let other = rusqlite::Connection::open(common.store.path()).unwrap();
        let finish = "UPDATE tasks SET state = 'finished'";
        assert_eq!(other.execute(finish, []).unwrap(), 1);
    };
    let (mut supervisor, places) = Supervisor::new(common.clone());
    supervisor.look().await;
    finish();
    supervisor.look().await;
    let seen = places.borrow().get(&name()).cloned().unwrap();
    assert!(seen.state == TaskState::Finished);
    let desk = seen.desk.unwrap();
    desk.calls.send(Call::Close { now: true }).await.unwrap();
    desk.calls.closed().await;
    finish();
    let deadline = Instant::now() + Duration::from_secs(10);
    while places.borrow().get(&name()).unwrap().desk.is_some() {
        assert!(
            Instant::now() < deadline,
            "the desk that is gone is still shown"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
        supervisor.look().await;
    }
}
