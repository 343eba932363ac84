//! A coordinator and its witness over real TLS: who may ask, what is an answer, and what is not even a question.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/root.rs"]
mod root;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use chorus_protocol::{Beacon, Digest, Identity, Question, RoundId, Seal, Testimony};
use chorus_wire::{
    Clock, Kind, Rejection,
    certificate::Role,
    client::{SendError, WitnessConnection},
    limits::MAX_WITNESS_REQUEST_BYTES,
    proto::{self, witness_client::WitnessClient},
    server::{ServeError, ServerTls, WitnessService, serve_witness},
    tls::{self, Credentials},
};
use hyper_util::rt::TokioIo;
use root::{NOW, Root, clock, target};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::{Code, Status, transport::Channel, transport::Endpoint};

const ROUND: RoundId = RoundId(7);
const DRAW: Question = Question::Draw {
    round: ROUND,
    commitment: Digest([1; 32]),
};
const SEAL: Question = Question::Seal {
    round: ROUND,
    statement: Digest([2; 32]),
};

/// What a witness could get wrong.
#[derive(Clone, Copy, Default)]
struct Lies {
    coordinator: bool,
    round: bool,
    digest: bool,
    key: bool,
}

/// A witness without a memory, which lies as it is told.
struct Dummy {
    identity: Identity,
    certificate: Vec<u8>,
    lies: Lies,
    heard: Mutex<Vec<([u8; 32], u64, Digest)>>,
    refuses: AtomicBool,
    /// Calls wait for this to become true.
    gate: watch::Sender<bool>,
    finished: watch::Sender<usize>,
}

impl Dummy {
    fn new(root: &Root) -> Self {
        let identity = Identity::from_seed(&[201; 32]);
        let certificate = root.issue(&identity, Role::Witness, 3600);
        Self {
            identity,
            certificate,
            lies: Lies::default(),
            heard: Mutex::default(),
            refuses: AtomicBool::new(false),
            gate: watch::Sender::new(true),
            finished: watch::Sender::new(0),
        }
    }

    async fn hear(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        digest: Digest,
    ) -> Result<([u8; 32], RoundId, Digest, Identity), Rejection> {
        self.heard
            .lock()
            .unwrap()
            .push((*coordinator, round.0, digest));
        let _ = self.gate.subscribe().wait_for(|open| *open).await;
        self.finished.send_modify(|finished| *finished += 1);
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Rejection::new(Kind::OutOfPlace, "round-drawn", "no"));
        }
        let Lies {
            coordinator: other,
            round: shifted,
            digest: changed,
            key,
        } = self.lies;
        let told = if other { [9; 32] } else { *coordinator };
        let seed = if key {
            [202; 32]
        } else {
            *self.identity.seed()
        };
        let digest = if changed { Digest([8; 32]) } else { digest };
        let round = RoundId(round.0 + u64::from(shifted));
        Ok((told, round, digest, Identity::from_seed(&seed)))
    }
}

impl WitnessService for Dummy {
    async fn draw(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: Digest,
    ) -> Result<Beacon, Rejection> {
        let (told, round, commitment, identity) = self.hear(coordinator, round, commitment).await?;
        let certificate = self.certificate.clone();
        Ok(Beacon::sign(
            &identity,
            certificate,
            &told,
            round,
            &commitment,
            [3; 32],
        ))
    }

    async fn sign(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: Digest,
    ) -> Result<Seal, Rejection> {
        let (told, round, statement, identity) = self.hear(coordinator, round, statement).await?;
        let certificate = self.certificate.clone();
        Ok(Seal::sign(&identity, certificate, &told, round, &statement))
    }
}

struct Running {
    address: SocketAddr,
    service: Arc<Dummy>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn start(root: &Root, service: Dummy) -> Self {
        let credentials = root.credentials(201, Role::Witness);
        Self::start_as(root, &credentials, service, &clock(), "127.0.0.1:0").await
    }

    async fn start_as(
        root: &Root,
        credentials: &Credentials,
        service: Dummy,
        clock: &Clock,
        address: &str,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = ServerTls::for_coordinators(credentials, &root.authority, clock).unwrap();
        let service = Arc::new(service);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve_witness(listener, tls, service.clone(), async {
            let _ = stopped.await;
        });
        Self {
            address,
            service,
            stop,
            task: tokio::spawn(serving),
        }
    }

    /// Stops the server, which must end without an error.
    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }
}

fn connect(root: &Root, address: SocketAddr, credentials: &Credentials) -> WitnessConnection {
    WitnessConnection::new(target(address), &root.authority, credentials, &clock()).unwrap()
}

fn coordinator(root: &Root, address: SocketAddr, seed: u8) -> WitnessConnection {
    connect(root, address, &root.credentials(seed, Role::Coordinator))
}

fn label(result: Result<Testimony, SendError>) -> String {
    match result {
        Err(SendError::Refused { label, .. }) => label,
        Err(error) => panic!("expected a refusal, found {error:?}"),
        Ok(_) => panic!("expected a refusal, found an answer"),
    }
}

/// A testimony cannot be printed.
fn answer(result: Result<Testimony, SendError>) -> Testimony {
    result.unwrap_or_else(|error| panic!("expected an answer, found {error:?}"))
}

fn fault(result: Result<Testimony, SendError>) -> SendError {
    match result {
        Err(error) => error,
        Ok(_) => panic!("expected an error, found an answer"),
    }
}

#[tokio::test]
async fn a_coordinator_asks_and_the_answer_is_for_it_alone() {
    let root = Root::new(1);
    let running = Running::start(&root, Dummy::new(&root)).await;
    let connection = coordinator(&root, running.address, 20);
    let own = Identity::from_seed(&[20; 32]).public();
    let other = Identity::from_seed(&[21; 32]).public();
    let witness = running.service.identity.public();
    assert_eq!(connection.witness(), None);
    let Testimony::Beacon(beacon) = answer(connection.ask(&DRAW).await) else {
        panic!("a question to draw is answered with a beacon");
    };
    assert_eq!(connection.witness(), Some(witness));
    let commitment = Digest([1; 32]);
    assert!(beacon.verify(&witness, &own, ROUND, &commitment).is_ok());
    for (coordinator, round, commitment) in [
        (other, ROUND, commitment),
        (own, RoundId(8), commitment),
        (own, ROUND, Digest([2; 32])),
    ] {
        let verified = beacon.verify(&witness, &coordinator, round, &commitment);
        assert!(verified.is_err());
    }
    let Testimony::Seal(seal) = answer(connection.ask(&SEAL).await) else {
        panic!("a question to sign is answered with a seal");
    };
    let statement = Digest([2; 32]);
    assert!(seal.verify(&witness, &own, ROUND, &statement).is_ok());
    assert!(seal.verify(&witness, &other, ROUND, &statement).is_err());
    let heard = running.service.heard.lock().unwrap().clone();
    assert_eq!(heard, [(own, 7, commitment), (own, 7, statement)]);
    running.stop().await;
}

#[tokio::test]
async fn whoever_is_no_coordinator_of_this_authority_cannot_ask() {
    let root = Root::new(1);
    let foreign = Root::new(2);
    let running = Running::start(&root, Dummy::new(&root)).await;
    let identity = Identity::from_seed(&[20; 32]);
    let expired = root.issue(&identity, Role::Coordinator, -1);
    for (who, credentials) in [
        ("a client", root.credentials(20, Role::Client)),
        ("a witness", root.credentials(20, Role::Witness)),
        ("an authority", root.credentials(20, Role::Authority)),
        ("foreign", foreign.credentials(20, Role::Coordinator)),
        ("expired", Credentials::new(&identity, expired)),
    ] {
        let connection = connect(&root, running.address, &credentials);
        assert_eq!(label(connection.ask(&DRAW).await), "tls", "{who}");
    }
    assert!(running.service.heard.lock().unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn whoever_is_no_witness_of_this_authority_is_not_asked() {
    let root = Root::new(1);
    let foreign = Root::new(2);
    for credentials in [
        root.credentials(201, Role::Coordinator),
        root.credentials(201, Role::Authority),
        foreign.credentials(201, Role::Witness),
    ] {
        let service = Dummy::new(&root);
        let running =
            Running::start_as(&root, &credentials, service, &clock(), "127.0.0.1:0").await;
        let connection = coordinator(&root, running.address, 20);
        assert_eq!(label(connection.ask(&DRAW).await), "server-certificate");
        assert!(running.service.heard.lock().unwrap().is_empty());
        running.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_clients_would_refuse_is_none() {
    let root = Root::new(1);
    let lies = [
        Lies {
            coordinator: true,
            ..Lies::default()
        },
        Lies {
            round: true,
            ..Lies::default()
        },
        Lies {
            digest: true,
            ..Lies::default()
        },
        Lies {
            key: true,
            ..Lies::default()
        },
    ];
    let mut liars: Vec<Dummy> = lies
        .into_iter()
        .map(|lies| Dummy {
            lies,
            ..Dummy::new(&root)
        })
        .collect();
    let identity = Identity::from_seed(&[201; 32]);
    for certificate in [
        root.issue(&identity, Role::Client, 3600),
        root.issue(&identity, Role::Witness, -1),
        Root::new(2).issue(&identity, Role::Witness, 3600),
        vec![],
        vec![0x30; 4096],
    ] {
        liars.push(Dummy {
            certificate,
            ..Dummy::new(&root)
        });
    }
    for (number, liar) in liars.into_iter().enumerate() {
        let running = Running::start(&root, liar).await;
        let connection = coordinator(&root, running.address, 20);
        for question in [DRAW, SEAL] {
            let error = fault(connection.ask(&question).await);
            let SendError::Protocol(reason) = &error else {
                panic!("{number}: {error:?}");
            };
            assert!(reason.starts_with("the witness's answer: "), "{reason}");
        }
        running.stop().await;
    }
    // One that is longer than a certificate may be does not leave the witness.
    let liar = Dummy {
        certificate: vec![0x30; 4097],
        ..Dummy::new(&root)
    };
    let running = Running::start(&root, liar).await;
    let connection = coordinator(&root, running.address, 20);
    let error = fault(connection.ask(&DRAW).await);
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
    running.stop().await;
}

/// A coordinator without any manners: no limits, no checks of its own.
async fn rude(root: &Root, address: SocketAddr) -> WitnessClient<Channel> {
    let credentials = root.credentials(20, Role::Coordinator);
    let config = tls::client(&root.authority, Some(&credentials), &clock()).unwrap();
    let connector = tower::service_fn(move |_| {
        let connector = TlsConnector::from(config.clone());
        async move {
            let tcp = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            std::io::Result::Ok(TokioIo::new(connector.connect(name, tcp).await?))
        }
    });
    let channel = Endpoint::from_static("http://chorus")
        .connect_with_connector(connector)
        .await
        .unwrap();
    WitnessClient::new(channel).max_encoding_message_size(usize::MAX)
}

fn named(status: &Status) -> (Code, &str) {
    let label = status.metadata().get("chorus-reject");
    (
        status.code(),
        label.map_or("", |label| label.to_str().unwrap()),
    )
}

#[tokio::test]
async fn what_is_no_question_is_refused_by_the_name_of_its_field() {
    let root = Root::new(1);
    let running = Running::start(&root, Dummy::new(&root)).await;
    let mut client = rude(&root, running.address).await;
    let draw = |protocol_version, length| proto::DrawRequest {
        protocol_version,
        round: 7,
        commitment: vec![1; length],
    };
    let sign = |protocol_version, length| proto::SignRequest {
        protocol_version,
        round: 7,
        statement: vec![1; length],
    };
    // The version before anything else.
    for version in [0, 1, 3, u32::MAX] {
        let status = client.draw(draw(version, 31)).await.unwrap_err();
        assert_eq!(
            named(&status),
            (Code::FailedPrecondition, "protocol-version")
        );
        assert!(status.message().contains("DrawRequest.protocol_version"));
        let status = client.sign(sign(version, 31)).await.unwrap_err();
        assert_eq!(
            named(&status),
            (Code::FailedPrecondition, "protocol-version")
        );
        assert!(status.message().contains("SignRequest.protocol_version"));
    }
    for length in [0, 31, 33, 64] {
        let status = client.draw(draw(2, length)).await.unwrap_err();
        assert_eq!(named(&status), (Code::InvalidArgument, "field-length"));
        assert!(status.message().contains("DrawRequest.commitment"));
        let status = client.sign(sign(2, length)).await.unwrap_err();
        assert_eq!(named(&status), (Code::InvalidArgument, "field-length"));
        assert!(status.message().contains("SignRequest.statement"));
    }
    // No longer than what may be on its way unread: else the refusal can overtake the message and break it off.
    for length in [MAX_WITNESS_REQUEST_BYTES, 4096, 200 << 10] {
        let status = client.draw(draw(2, length)).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        let status = client.sign(sign(2, length)).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    }
    assert!(running.service.heard.lock().unwrap().is_empty());
    // The server goes on, and so does the connection.
    client.draw(draw(2, 32)).await.unwrap();
    client.sign(sign(2, 32)).await.unwrap();
    // Every number of a round is a number.
    let last = proto::DrawRequest {
        round: u64::MAX,
        ..draw(2, 32)
    };
    client.draw(last).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_refusal_is_final_and_keeps_its_name() {
    let root = Root::new(1);
    let running = Running::start(&root, Dummy::new(&root)).await;
    let connection = coordinator(&root, running.address, 20);
    running.service.refuses.store(true, Ordering::SeqCst);
    assert_eq!(label(connection.ask(&DRAW).await), "round-drawn");
    assert_eq!(label(connection.ask(&SEAL).await), "round-drawn");
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_that_expires_during_a_connection_ends_it() {
    let root = Root::new(1);
    let time = Arc::new(AtomicI64::new(NOW));
    let told = time.clone();
    let moving = Clock::new(move || told.load(Ordering::SeqCst));
    let credentials = root.credentials(201, Role::Witness);
    let service = Dummy::new(&root);
    let running = Running::start_as(&root, &credentials, service, &moving, "127.0.0.1:0").await;
    let identity = Identity::from_seed(&[20; 32]);
    let short = Credentials::new(&identity, root.issue(&identity, Role::Coordinator, 60));
    let connection = connect(&root, running.address, &short);
    answer(connection.ask(&DRAW).await);
    time.store(NOW + 61, Ordering::SeqCst);
    assert_eq!(label(connection.ask(&SEAL).await), "certificate-expired");
    assert_eq!(running.service.heard.lock().unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_witness_that_was_away_is_asked_again() {
    let root = Root::new(1);
    let running = Running::start(&root, Dummy::new(&root)).await;
    let address = running.address;
    let connection = coordinator(&root, address, 20);
    answer(connection.ask(&DRAW).await);
    running.stop().await;
    let error = fault(connection.ask(&SEAL).await);
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
    let credentials = root.credentials(201, Role::Witness);
    let service = Dummy::new(&root);
    let running =
        Running::start_as(&root, &credentials, service, &clock(), &address.to_string()).await;
    answer(connection.ask(&SEAL).await);
    running.stop().await;
}

#[tokio::test]
async fn a_call_is_carried_through_when_its_caller_gives_up() {
    let root = Root::new(1);
    let running = Running::start(&root, Dummy::new(&root)).await;
    running.service.gate.send_replace(false);
    let impatient =
        coordinator(&root, running.address, 20).with_deadline(Duration::from_millis(300));
    let error = fault(impatient.ask(&DRAW).await);
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
    drop(impatient);
    let mut finished = running.service.finished.subscribe();
    assert_eq!(*finished.borrow(), 0);
    running.service.gate.send_replace(true);
    let ended = timeout(
        Duration::from_secs(5),
        finished.wait_for(|count| *count == 1),
    );
    assert!(ended.await.expect("in time").is_ok());
    running.stop().await;
}

#[tokio::test]
async fn a_witness_must_know_who_asks() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = ServerTls::open(&root.credentials(201, Role::Witness), &clock()).unwrap();
    let service = Arc::new(Dummy::new(&root));
    let served = serve_witness(listener, tls, service, std::future::pending()).await;
    assert!(matches!(served, Err(ServeError::Open)));
}
