//! Rounds over real TLS: one answer each, whatever happens to the service in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::{Arc, Mutex, atomic::Ordering};

use chorus_authority::Invited;
use chorus_protocol::{Beacon, Digest, Identity, RoundId, Seal};
use chorus_wire::{
    Rejection,
    client::SendError,
    server::{ServerTls, WitnessService, serve_witness},
};
use chorus_witness::{Witness, WitnessError, status};
use futures_util::future::join_all;
use rand::rngs::SysRng;
use support::{Federation, NOW, Running, as_witness, beacon, draw, label, seal, sealed};
use tokio::{net::TcpListener, sync::Notify};

#[tokio::test]
async fn a_round_has_one_answer_also_after_restarts_and_a_new_certificate() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let credentials = federation.coordinator(20).await;
    let own = Identity::from_seed(&[20; 32]).public();
    let running = Running::start(&federation, &directory).await;
    let connection = federation.connect(running.address, &credentials);
    let drawn = beacon(connection.ask(&draw(5, 1)).await);
    let key = directory.identity().unwrap().public();
    assert_eq!(connection.witness(), Some(key));
    assert!(
        drawn
            .verify(&key, &own, RoundId(5), &Digest([1; 32]))
            .is_ok()
    );
    assert!(beacon(connection.ask(&draw(5, 1)).await) == drawn);
    assert_eq!(label(connection.ask(&draw(5, 2)).await), "round-drawn");
    assert_eq!(label(connection.ask(&seal(6, 1)).await), "round-not-drawn");
    let signed = sealed(connection.ask(&seal(5, 1)).await);
    assert!(sealed(connection.ask(&seal(5, 1)).await) == signed);
    assert_eq!(label(connection.ask(&seal(5, 2)).await), "round-signed");
    running.stop().await;

    // Two days later it enrols again: the same key and memory, another certificate.
    federation.time.store(NOW + 2 * 86_400, Ordering::SeqCst);
    federation.enrol(&directory, &as_witness()).await.unwrap();
    assert_eq!(directory.identity().unwrap().public(), key);
    let running = Running::start(&federation, &directory).await;
    let connection = federation.connect(running.address, &credentials);
    assert!(beacon(connection.ask(&draw(5, 1)).await) == drawn);
    assert!(sealed(connection.ask(&seal(5, 1)).await) == signed);
    assert_eq!(label(connection.ask(&draw(5, 2)).await), "round-drawn");
    assert_eq!(label(connection.ask(&seal(5, 2)).await), "round-signed");
    let later = beacon(connection.ask(&draw(6, 1)).await);
    assert!(later.certificate != drawn.certificate);
    assert!(later.randomness != drawn.randomness);
    running.stop().await;

    let status = status(&directory).unwrap();
    assert!(!status.serving);
    assert_eq!(status.certificate_until, Some(NOW + 9 * 86_400));
    let coordinator = &status.coordinators[0];
    assert_eq!((coordinator.rounds, coordinator.signed), (2, 1));
    assert_eq!(
        (coordinator.newest_round, coordinator.over_through),
        (Some(6), None)
    );
    assert_eq!(
        (coordinator.other_commitments, coordinator.other_statements),
        (2, 2)
    );
}

#[tokio::test]
async fn an_answer_is_for_the_coordinator_that_asked() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let running = Running::start(&federation, &directory).await;
    let key = directory.identity().unwrap().public();
    let connect = async |seed: u8| {
        let credentials = federation.coordinator(seed).await;
        federation.connect(running.address, &credentials)
    };
    let (one, other) = (connect(20).await, connect(21).await);
    let drawn = beacon(one.ask(&draw(5, 1)).await);
    // The same round and keys of another coordinator are another round.
    let others = beacon(other.ask(&draw(5, 1)).await);
    assert!(drawn.randomness != others.randomness);
    assert_eq!(label(one.ask(&draw(5, 2)).await), "round-drawn");
    beacon(other.ask(&draw(6, 2)).await);
    let [own, foreign] = [20, 21].map(|seed| Identity::from_seed(&[seed; 32]).public());
    let commitment = Digest([1; 32]);
    assert!(drawn.verify(&key, &own, RoundId(5), &commitment).is_ok());
    assert!(
        drawn
            .verify(&key, &foreign, RoundId(5), &commitment)
            .is_err()
    );
    assert!(others.verify(&key, &own, RoundId(5), &commitment).is_err());
    let (first, second) = (
        sealed(one.ask(&seal(5, 1)).await),
        sealed(other.ask(&seal(5, 2)).await),
    );
    assert!(
        first
            .verify(&key, &own, RoundId(5), &Digest([1; 32]))
            .is_ok()
    );
    assert!(
        second
            .verify(&key, &own, RoundId(5), &Digest([2; 32]))
            .is_err()
    );
    running.stop().await;
}

#[tokio::test]
async fn nobody_but_a_coordinator_of_the_same_authority_can_ask() {
    let federation = Federation::start(1).await;
    let foreign = Federation::start(2).await;
    let directory = federation.witness("witness").await;
    let running = Running::start(&federation, &directory).await;
    for credentials in [
        federation.credentials(20, &Invited::Client).await,
        federation.credentials(21, &as_witness()).await,
        foreign.coordinator(22).await,
    ] {
        let connection = federation.connect(running.address, &credentials);
        assert_eq!(label(connection.ask(&draw(5, 1)).await), "tls");
    }
    let credentials = federation.coordinator(23).await;
    federation.time.store(NOW + 8 * 86_400, Ordering::SeqCst);
    federation.enrol(&directory, &as_witness()).await.unwrap();
    running.stop().await;
    let running = Running::start(&federation, &directory).await;
    let expired = federation.connect(running.address, &credentials);
    assert_eq!(label(expired.ask(&draw(5, 1)).await), "tls");
    assert!(status(&directory).unwrap().coordinators.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn of_many_askers_at_once_one_wins_and_all_hear_the_same() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let running = Running::start(&federation, &directory).await;
    let credentials = federation.coordinator(20).await;
    let connections: Vec<_> = (0..4)
        .map(|_| federation.connect(running.address, &credentials))
        .collect();
    for round in 1..=10 {
        let questions: Vec<_> = (0..12u8).map(|number| draw(round, number % 3)).collect();
        let asking = connections.iter().cycle().zip(&questions);
        let answers = join_all(asking.map(|(connection, question)| connection.ask(question))).await;
        let mut drawn = Vec::new();
        for answer in answers {
            match answer {
                Err(SendError::Refused { label, .. }) => assert_eq!(label, "round-drawn"),
                answer => drawn.push(beacon(answer)),
            }
        }
        assert_eq!(drawn.len(), 4);
        assert!(drawn.iter().all(|one| one == &drawn[0]));
        let questions: Vec<_> = (0..12u8).map(|number| seal(round, number)).collect();
        let asking = connections.iter().cycle().zip(&questions);
        let answers = join_all(asking.map(|(connection, question)| connection.ask(question))).await;
        let signed = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(signed, 1);
    }
    running.stop().await;
}

/// A service that does what it is asked and dies before it says so.
struct Mute {
    witness: Witness<SysRng>,
    drawn: Mutex<Vec<Beacon>>,
    signed: Mutex<Vec<Seal>>,
    done: Notify,
}

impl WitnessService for Mute {
    async fn draw(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: Digest,
    ) -> Result<Beacon, Rejection> {
        let drawn = self.witness.draw(coordinator, round, &commitment).unwrap();
        self.drawn.lock().unwrap().push(drawn);
        self.done.notify_one();
        std::future::pending().await
    }

    async fn sign(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: Digest,
    ) -> Result<Seal, Rejection> {
        let signed = self.witness.sign(coordinator, round, &statement).unwrap();
        self.signed.lock().unwrap().push(signed);
        self.done.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_was_written_and_never_said_is_said_after_the_restart() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let credentials = federation.coordinator(20).await;
    let mute = Arc::new(Mute {
        witness: federation.open(&directory).unwrap(),
        drawn: Mutex::default(),
        signed: Mutex::default(),
        done: Notify::new(),
    });
    for question in [draw(5, 1), seal(5, 1)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = ServerTls::for_coordinators(
            &directory.credentials(NOW).unwrap(),
            &federation.authority,
            &federation.clock(),
        );
        let never = std::future::pending();
        let service = tokio::spawn(serve_witness(listener, tls.unwrap(), mute.clone(), never));
        let connection = federation.connect(address, &credentials);
        let asking = tokio::spawn(async move { connection.ask(&question).await });
        mute.done.notified().await;
        service.abort();
        let _ = service.await;
        asking.abort();
        let _ = asking.await;
    }
    let running = Running::start(&federation, &directory).await;
    let connection = federation.connect(running.address, &credentials);
    assert_eq!(label(connection.ask(&draw(5, 2)).await), "round-drawn");
    assert_eq!(label(connection.ask(&seal(5, 2)).await), "round-signed");
    let drawn = beacon(connection.ask(&draw(5, 1)).await);
    let signed = sealed(connection.ask(&seal(5, 1)).await);
    assert!(*mute.drawn.lock().unwrap() == [drawn]);
    assert!(*mute.signed.lock().unwrap() == [signed]);
    running.stop().await;
}

#[tokio::test]
async fn two_services_on_one_directory_are_refused() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let running = Running::start(&federation, &directory).await;
    let credentials = federation.coordinator(20).await;
    let connection = federation.connect(running.address, &credentials);
    beacon(connection.ask(&draw(5, 1)).await);
    let second = Running::start(&federation, &directory).await.fail().await;
    assert!(matches!(second, WitnessError::InUse { .. }), "{second:?}");
    assert!(status(&directory).unwrap().serving);
    sealed(connection.ask(&seal(5, 1)).await);
    running.stop().await;
}

#[tokio::test]
async fn a_witness_whose_certificate_is_over_says_so() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let witness = federation.open(&directory).unwrap();
    let (coordinator, round, digest) = ([7; 32], RoundId(5), Digest([1; 32]));
    witness.draw(&coordinator, round, &digest).unwrap();
    let end = NOW + 7 * 86_400;
    federation.time.store(end, Ordering::SeqCst);
    witness.sign(&coordinator, round, &digest).unwrap();
    federation.time.store(end + 1, Ordering::SeqCst);
    let late = [
        witness.draw(&coordinator, round, &digest).err(),
        witness.sign(&coordinator, round, &digest).err(),
    ];
    for error in late {
        assert!(matches!(error, Some(WitnessError::Expired(at)) if at == end));
    }
    let error = federation.open(&directory).unwrap_err();
    assert!(
        matches!(error, WitnessError::Certificate { .. }),
        "{error:?}"
    );
    assert_eq!(directory.certificate_until(), Some(end));
}
