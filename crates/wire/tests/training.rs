//! What clients and a coordinator say to each other over real TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chorus_protocol::{
    Addressed, Digest, Generator, Identity, PublicKeys, Request, Response, Revealed, RoundId,
    Secret,
};
use chorus_wire::{Kind, Rejection, client::SendError, server::Limits};
use support::{Dummy, Root, Running, accepting, check_in, kinds, label};
use tokio::time::timeout;

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
        generator: Generator::ChaCha12,
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
        (
            Request::Endorse {
                round,
                signature: [7; 64],
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
    assert_eq!(kinds(&running.service).len(), 9);
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
    let uploads = running.service.uploads.lock().unwrap().clone();
    assert_eq!(uploads, [cases::update(&[6; 16]).masked.into_bytes()]);
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
    let said = Request::ConfirmShares {
        round: RoundId(5),
        unopenable: Vec::new(),
    };
    for request in [&poll, &said] {
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
