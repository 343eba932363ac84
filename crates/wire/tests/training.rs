//! Clients and a coordinator over real TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chorus_protocol::{
    Addressed, Digest, Identity, PublicKeys, Request, Response, Revealed, RoundId, Secret, TaskName,
};
use chorus_wire::{
    Clock, Kind, Rejection,
    certificate::Role,
    client::{Connection, SendError},
    limits::CHUNK_BYTES,
    server::{Limits, ServeError, ServerTls, serve_training},
    tls::Credentials,
};
use support::{Dummy, NOW, Root, Running, clock, kinds, target};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

fn accepting() -> Dummy {
    Dummy::new(|_| Ok(Response::Accepted))
}

fn check_in() -> Request {
    Request::CheckIn {
        task: TaskName::try_from("movies".to_owned()).unwrap(),
    }
}

fn label(result: Result<Response, SendError>) -> String {
    match result {
        Err(SendError::Refused { label, .. }) => label,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test]
async fn every_request_reaches_the_service_and_every_answer_the_client() {
    let root = Root::new(1);
    let service = Dummy::new(|request| {
        Ok(match request {
            Request::CheckIn { .. } => Response::Wait { milliseconds: 7 },
            Request::FetchLog { .. } => Response::Log(vec![]),
            Request::Await { .. } => Response::Aborted {
                reason: "too few".to_owned(),
            },
            _ => Response::Accepted,
        })
    });
    let running = Running::start(&root, service).await;
    let connection = root.connect(running.address, 9);
    let round = RoundId(5);
    let keys = PublicKeys {
        cipher: [1; 32],
        mask: [2; 32],
    };
    let revealed = vec![Revealed {
        owner: 1,
        kind: Secret::MaskKey,
        share: [3; 32],
    }];
    let requests = [
        (check_in(), Response::Wait { milliseconds: 7 }),
        (Request::FetchLog { from: 3 }, Response::Log(vec![])),
        (
            Request::AdvertiseKeys {
                round,
                keys,
                signature: [4; 64],
            },
            Response::Accepted,
        ),
        (
            Request::ShareKeys {
                round,
                sealed: vec![Addressed {
                    peer: 2,
                    sealed: [5; 80],
                }],
            },
            Response::Accepted,
        ),
        (
            Request::ConfirmShares {
                round,
                unopenable: vec![1, 2],
            },
            Response::Accepted,
        ),
        (
            Request::Upload {
                round,
                update: cases::update(&[6; 16]),
            },
            Response::Accepted,
        ),
        (Request::Unmask { round, revealed }, Response::Accepted),
        (
            Request::Await {
                round,
                awaited: cases::awaited()[0],
            },
            Response::Aborted {
                reason: "too few".to_owned(),
            },
        ),
    ];
    for (request, expected) in &requests {
        assert_eq!(&connection.send(request).await.unwrap(), expected);
    }
    assert_eq!(kinds(&running.service).len(), 8);
    let id = Identity::from_seed(&[9; 32]).id();
    assert!(
        running
            .service
            .heard
            .lock()
            .unwrap()
            .iter()
            .all(|(peer, _)| *peer == id)
    );
    assert_eq!(
        running.service.uploads.lock().unwrap().as_slice(),
        [[6; 16]]
    );
    let traffic = connection.traffic();
    assert!(
        traffic.sent > 1000 && traffic.received > 1000,
        "{traffic:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_rejection_arrives_with_its_label_and_sentence() {
    let root = Root::new(1);
    let service = Dummy::new(|request| {
        Err(match request {
            Request::FetchLog { .. } => Rejection::new(Kind::Busy, "busy", "later"),
            Request::Await { .. } => Rejection::broken(),
            _ => Rejection::new(
                Kind::OutOfPlace,
                "wrong-phase",
                "field `x`: é, not now: 100 %",
            ),
        })
    });
    let running = Running::start(&root, service).await;
    let connection = root.connect(running.address, 9);
    let refused = connection.send(&check_in()).await;
    let expected = SendError::Refused {
        label: "wrong-phase".to_owned(),
        message: "field `x`: é, not now: 100 %".to_owned(),
    };
    assert_eq!(refused, Err(expected));
    let busy = connection.send(&Request::FetchLog { from: 0 }).await;
    assert_eq!(busy, Err(SendError::Unreachable("later".to_owned())));
    let request = Request::Await {
        round: RoundId(1),
        awaited: cases::awaited()[1],
    };
    assert!(matches!(
        connection.send(&request).await,
        Err(SendError::Unreachable(_))
    ));
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_is_asked_for_its_right_in_every_phase() {
    let root = Root::new(1);
    let running = Running::start(
        &root,
        Dummy {
            model: Arc::from([1; 10]),
            ..accepting()
        },
    )
    .await;
    let connection = root.connect(running.address, 9);
    connection.send(&check_in()).await.unwrap();
    running.service.admits.store(false, Ordering::SeqCst);
    let round = RoundId(5);
    let model = Request::FetchModel {
        digest: Digest::of(&[1; 10]),
        offset: 0,
    };
    let upload = Request::Upload {
        round,
        update: cases::update(&[6; 16]),
    };
    for request in [check_in(), Request::FetchLog { from: 0 }, model, upload] {
        assert_eq!(label(connection.send(&request).await), "revoked");
    }
    assert_eq!(running.service.heard.lock().unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_model_comes_in_chunks_from_any_offset() {
    let root = Root::new(1);
    let bytes: Vec<u8> = (0..2 * CHUNK_BYTES + 77)
        .map(|place| (place / 3) as u8)
        .collect();
    let running = Running::start(
        &root,
        Dummy {
            model: bytes.clone().into(),
            ..accepting()
        },
    )
    .await;
    let connection = root.connect(running.address, 9);
    let digest = Digest::of(&bytes);
    for offset in [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 77] {
        let request = Request::FetchModel {
            digest,
            offset: offset as u64,
        };
        let expected = Response::Model {
            offset: offset as u64,
            total: bytes.len() as u64,
            bytes: bytes[offset..].to_vec(),
        };
        assert!(connection.send(&request).await.unwrap() == expected);
    }
    let beyond = Request::FetchModel {
        digest,
        offset: bytes.len() as u64 + 1,
    };
    assert_eq!(label(connection.send(&beyond).await), "field-value");
    let unknown = Request::FetchModel {
        digest: Digest::ZERO,
        offset: 0,
    };
    assert_eq!(label(connection.send(&unknown).await), "unknown-model");
    running.stop().await;
}

#[tokio::test]
async fn an_upload_is_of_the_expected_length_and_of_a_running_round() {
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let connection = root.connect(running.address, 9);
    let upload = |round, words| Request::Upload {
        round: RoundId(round),
        update: cases::update(&vec![1; words]),
    };
    assert_eq!(label(connection.send(&upload(5, 15)).await), "field-value");
    assert_eq!(label(connection.send(&upload(5, 17)).await), "field-value");
    assert_eq!(
        label(connection.send(&upload(6, 16)).await),
        "unknown-round"
    );
    assert_eq!(
        connection.send(&upload(5, 16)).await,
        Ok(Response::Accepted)
    );
    // The answer was lost: the same upload again is answered without being taken in twice.
    assert_eq!(
        connection.send(&upload(5, 16)).await,
        Ok(Response::Accepted)
    );
    assert_eq!(running.service.uploads.lock().unwrap().len(), 1);
    let other = Request::Upload {
        round: RoundId(5),
        update: cases::update(&[2; 16]),
    };
    assert_eq!(label(connection.send(&other).await), "duplicate");
    running.stop().await;
}

/// Passes bytes on, and cuts a connection after so many from the client.
async fn cutting_proxy(to: std::net::SocketAddr, cuts: Vec<usize>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut cuts = cuts.into_iter();
        loop {
            let Ok((from, _)) = listener.accept().await else {
                return;
            };
            let cut = cuts.next().unwrap_or(usize::MAX);
            let onward = TcpStream::connect(to).await.unwrap();
            let (mut from_read, mut from_write) = from.into_split();
            let (mut to_read, mut to_write) = onward.into_split();
            let down =
                tokio::spawn(async move { tokio::io::copy(&mut to_read, &mut from_write).await });
            tokio::spawn(async move {
                let mut left = cut;
                let mut buffer = vec![0; 16 << 10];
                while left > 0 {
                    let room = buffer.len().min(left);
                    match from_read.read(&mut buffer[..room]).await {
                        Ok(count @ 1..) if to_write.write_all(&buffer[..count]).await.is_ok() => {
                            left -= count
                        }
                        _ => break,
                    }
                }
                down.abort();
            });
        }
    });
    address
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_it_stopped() {
    let root = Root::new(1);
    let words = 5 * CHUNK_BYTES / 4 + 3;
    let running = Running::start(
        &root,
        Dummy {
            upload_bytes: words as u64 * 4,
            ..accepting()
        },
    )
    .await;
    let cuts = vec![2 * CHUNK_BYTES + CHUNK_BYTES / 2, 2 * CHUNK_BYTES];
    let proxy = cutting_proxy(running.address, cuts).await;
    let connection = root.connect(proxy, 9);
    let update: Vec<u32> = (0..words as u32)
        .map(|word| word.wrapping_mul(2_654_435_761))
        .collect();
    let request = Request::Upload {
        round: RoundId(5),
        update: cases::update(&update),
    };
    assert_eq!(connection.send(&request).await, Ok(Response::Accepted));
    assert!(running.service.uploads.lock().unwrap().as_slice() == [update]);
    // Two of five chunks were there before the first cut: they were not sent again, nor were those of the second try.
    let sent = connection.traffic().sent as usize;
    assert!(sent < 8 * CHUNK_BYTES, "{sent}");
    running.stop().await;
}

#[tokio::test]
async fn a_broken_download_gives_what_came_and_goes_on() {
    let root = Root::new(1);
    let bytes = vec![7; 4 * CHUNK_BYTES];
    let running = Running::start(
        &root,
        Dummy {
            model: bytes.clone().into(),
            ..accepting()
        },
    )
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let to = running.address;
    tokio::spawn(async move {
        let mut limit = 2 * CHUNK_BYTES + 100_000;
        loop {
            let (from, _) = listener.accept().await.unwrap();
            let onward = TcpStream::connect(to).await.unwrap();
            let (mut from_read, mut from_write) = from.into_split();
            let (to_read, mut to_write) = onward.into_split();
            let up =
                tokio::spawn(async move { tokio::io::copy(&mut from_read, &mut to_write).await });
            let mut cut = to_read.take(limit as u64);
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut cut, &mut from_write).await;
                up.abort();
            });
            limit = usize::MAX / 2;
        }
    });
    let connection = root.connect(proxy, 9);
    let digest = Digest::of(&bytes);
    let mut here = Vec::new();
    let mut calls = 0;
    while here.len() < bytes.len() {
        calls += 1;
        let request = Request::FetchModel {
            digest,
            offset: here.len() as u64,
        };
        match connection.send(&request).await.unwrap() {
            Response::Model {
                offset,
                total,
                bytes,
            } => {
                assert_eq!((offset, total), (here.len() as u64, 4 * CHUNK_BYTES as u64));
                here.extend(bytes);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(here == bytes && calls == 2, "{calls} calls");
    running.stop().await;
}

#[tokio::test]
async fn uploads_that_do_not_fit_are_put_off() {
    let root = Root::new(1);
    let limits = Limits {
        upload_bytes: 63,
        ..Limits::default()
    };
    let running = Running::start_with(&root, accepting(), limits).await;
    let connection = root.connect(running.address, 9);
    let request = Request::Upload {
        round: RoundId(5),
        update: cases::update(&[1; 16]),
    };
    let put_off = connection.send(&request).await;
    assert!(
        matches!(&put_off, Err(SendError::Unreachable(why)) if why.contains("too many uploads")),
        "{put_off:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn whoever_does_not_belong_is_refused_by_name() {
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let connect = |credentials: &Credentials, root: &Root| {
        Connection::new(
            target(running.address),
            &root.authority,
            credentials,
            &clock(),
        )
        .unwrap()
    };
    // A certificate of another authority.
    let foreign = Root::new(2);
    let connection = connect(&foreign.credentials(9, Role::Client), &root);
    assert_eq!(label(connection.send(&check_in()).await), "tls");
    // A certificate that is over.
    let identity = Identity::from_seed(&[9; 32]);
    let credentials = Credentials::new(&identity, root.issue(&identity, Role::Client, -1));
    assert_eq!(
        label(connect(&credentials, &root).send(&check_in()).await),
        "tls"
    );
    // A coordinator's certificate.
    let connection = connect(&root.credentials(9, Role::Coordinator), &root);
    assert_eq!(label(connection.send(&check_in()).await), "tls");
    // A server of another authority, seen from the client.
    let connection = connect(&root.credentials(9, Role::Client), &foreign);
    assert_eq!(
        label(connection.send(&check_in()).await),
        "server-certificate"
    );
    // A server with another name.
    let other = chorus_wire::client::Target::with_name(&running.address.to_string(), "example.org")
        .unwrap();
    let credentials = root.credentials(9, Role::Client);
    let connection = Connection::new(other, &root.authority, &credentials, &clock()).unwrap();
    assert_eq!(
        label(connection.send(&check_in()).await),
        "server-certificate"
    );
    assert!(running.service.heard.lock().unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn an_authority_is_no_coordinator() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let credentials = root.credentials(200, Role::Authority);
    let tls = ServerTls::mutual(&credentials, &root.authority, &clock()).unwrap();
    let serving = tokio::spawn(serve_training(
        listener,
        tls,
        Arc::new(accepting()),
        std::future::pending(),
    ));
    let connection = root.connect(address, 9);
    assert_eq!(
        label(connection.send(&check_in()).await),
        "server-certificate"
    );
    serving.abort();
}

#[tokio::test]
async fn a_training_server_without_client_certificates_does_not_start() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = ServerTls::open(&root.credentials(200, Role::Coordinator), &clock()).unwrap();
    let served = serve_training(listener, tls, Arc::new(accepting()), std::future::pending()).await;
    assert!(matches!(served, Err(ServeError::Open)));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_comes_back() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let connection = root.connect(address, 9);
    assert!(matches!(
        connection.send(&check_in()).await,
        Err(SendError::Unreachable(_))
    ));
    let running = Running::start(&root, accepting()).await;
    let connection = root.connect(running.address, 9);
    connection.send(&check_in()).await.unwrap();
    let address = running.address;
    running.stop().await;
    assert!(matches!(
        connection.send(&check_in()).await,
        Err(SendError::Unreachable(_))
    ));
    // The port is free again at once, and the same connection finds the new server.
    let listener = TcpListener::bind(address).await.unwrap();
    let tls = ServerTls::mutual(
        &root.credentials(200, Role::Coordinator),
        &root.authority,
        &clock(),
    )
    .unwrap();
    let serving = tokio::spawn(serve_training(
        listener,
        tls,
        Arc::new(accepting()),
        std::future::pending(),
    ));
    assert_eq!(connection.send(&check_in()).await, Ok(Response::Accepted));
    serving.abort();
}

#[tokio::test]
async fn a_certificate_that_ends_during_a_connection_is_refused() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let time = Arc::new(AtomicI64::new(NOW));
    let told = time.clone();
    let moving = Clock::new(move || told.load(Ordering::SeqCst));
    let tls = ServerTls::mutual(
        &root.credentials(200, Role::Coordinator),
        &root.authority,
        &moving,
    )
    .unwrap();
    let serving = tokio::spawn(serve_training(
        listener,
        tls,
        Arc::new(accepting()),
        std::future::pending(),
    ));
    let identity = Identity::from_seed(&[9; 32]);
    let credentials = Credentials::new(&identity, root.issue(&identity, Role::Client, 60));
    let connection =
        Connection::new(target(address), &root.authority, &credentials, &clock()).unwrap();
    connection.send(&check_in()).await.unwrap();
    time.store(NOW + 60, Ordering::SeqCst);
    connection.send(&check_in()).await.unwrap();
    time.store(NOW + 61, Ordering::SeqCst);
    assert_eq!(
        label(connection.send(&check_in()).await),
        "certificate-expired"
    );
    serving.abort();
}

#[tokio::test]
async fn stopping_waits_for_calls_but_not_for_ever() {
    let root = Root::new(1);
    let limits = Limits {
        grace: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = Running::start_with(&root, accepting(), limits).await;
    let connection = root.connect(running.address, 9);
    connection.send(&check_in()).await.unwrap();
    // An open connection and half a handshake.
    let _half = TcpStream::connect(running.address).await.unwrap();
    timeout(Duration::from_secs(5), running.stop())
        .await
        .expect("it stops in time");
}

#[tokio::test]
async fn a_long_poll_is_dropped_with_its_caller_and_any_other_call_is_carried_through() {
    let root = Root::new(1);
    let limits = Limits {
        grace: Duration::from_millis(200),
        ..Limits::default()
    };
    let running = Running::start_with(&root, accepting(), limits).await;
    let service = running.service.clone();
    service.gate.send_replace(false);
    let poll = Request::Await {
        round: RoundId(5),
        awaited: cases::awaited()[0],
    };
    let short = Duration::from_millis(100);
    let connection = root.connect(running.address, 9).with_deadline(short);
    for request in [&poll, &check_in()] {
        assert!(matches!(
            connection.send(request).await,
            Err(SendError::Unreachable(_))
        ));
    }
    timeout(Duration::from_secs(5), async {
        while service.dropped.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the long poll is dropped");
    assert_eq!(
        (
            service.dropped.load(Ordering::SeqCst),
            service.gate.receiver_count()
        ),
        (1, 1)
    );
    // A server that stops does not wait for a long poll for longer than its grace.
    let patient = root.connect(running.address, 10);
    let waiting = tokio::spawn(async move { patient.send(&poll).await });
    timeout(Duration::from_secs(5), async {
        while service.gate.receiver_count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the long poll waits");
    timeout(Duration::from_secs(5), running.stop())
        .await
        .expect("it stops in time");
    assert!(matches!(
        waiting.await.unwrap(),
        Err(SendError::Unreachable(_))
    ));
    service.gate.send_replace(true);
}

#[tokio::test]
async fn one_key_has_a_bounded_number_of_connections() {
    let root = Root::new(1);
    let limits = Limits {
        connections_per_key: 2,
        ..Limits::default()
    };
    let running = Running::start_with(&root, accepting(), limits).await;
    let connections: Vec<_> = (0..3).map(|_| root.connect(running.address, 9)).collect();
    connections[0].send(&check_in()).await.unwrap();
    connections[1].send(&check_in()).await.unwrap();
    assert!(matches!(
        connections[2].send(&check_in()).await,
        Err(SendError::Unreachable(_))
    ));
    connections[0].disconnect();
    let other = root.connect(running.address, 10);
    other.send(&check_in()).await.unwrap();
    timeout(Duration::from_secs(5), async {
        while connections[2].send(&check_in()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("a place became free");
    running.stop().await;
}

/// `CHORUS_CROWD` sets another number of clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_in_one_process() {
    let clients: usize = std::env::var("CHORUS_CROWD").map_or(150, |text| text.parse().unwrap());
    let root = Root::new(1);
    let running = Running::start(
        &root,
        Dummy {
            upload_bytes: 400_000,
            ..accepting()
        },
    )
    .await;
    let limits = Limits::default();
    assert!(clients < limits.connections);
    let began = std::time::Instant::now();
    let connections: Vec<_> = (0..clients)
        .map(|number| {
            let mut seed = [1; 32];
            seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let identity = Identity::from_seed(&seed);
            let credentials = Credentials::new(&identity, root.issue(&identity, Role::Client, 60));
            Connection::new(
                target(running.address),
                &root.authority,
                &credentials,
                &clock(),
            )
            .unwrap()
        })
        .collect();
    let words: Vec<u32> = (0..100_000).collect();
    let upload = Request::Upload {
        round: RoundId(5),
        update: cases::update(&words),
    };
    let each = connections.iter().map(async |connection| {
        connection.send(&check_in()).await?;
        connection.send(&upload).await
    });
    let results = futures_util::future::join_all(each).await;
    assert!(
        results
            .iter()
            .all(|result| *result == Ok(Response::Accepted))
    );
    let uploads = running
        .service
        .uploads
        .lock()
        .unwrap()
        .iter()
        .filter(|upload| **upload == words)
        .count();
    assert_eq!(uploads, clients);
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = memory
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default()
        .to_owned();
    println!("{clients} clients: {:?}, {memory}", began.elapsed());
    running.stop().await;
}
