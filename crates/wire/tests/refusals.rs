//! Every call that is refused has a name, and the service is told of it once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::{io::Read, sync::atomic::Ordering, time::Duration};

use chorus_protocol::{Digest, PROTOCOL_VERSION, Reject, Request, Response, RoundId};
use chorus_wire::{
    Kind, Rejection,
    client::SendError,
    limits::{MAX_REQUEST_BYTES, TILE_BYTES},
    proto,
};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, Request as HttpRequest, StatusCode};
use http_body_util::Full;
use prost::Message;
use support::{
    Dummy, Root, Running, accepting, check_in, label, peak_bytes,
    rude::{self, channel},
};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, body::Body, transport::Channel};
use tower::ServiceExt;

/// One of these tests at a time: one of them measures the memory of the process.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What the service was told since it was asked last.
fn told(running: &Running) -> Vec<String> {
    std::mem::take(&mut *running.service.refused.lock().unwrap())
}

/// A gRPC message: the flag that says whether it is compressed, its length, its bytes.
fn framed(flag: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), bytes].concat()
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    framed(0, bytes.len() as u32, bytes)
}

/// Sends any bytes as the body of any call.
async fn raw(
    channel: &Channel,
    call: &str,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
) -> HeaderMap {
    let mut request = HttpRequest::post(format!("http://chorus/chorus.v1.Training/{call}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(Full::from(body))).unwrap();
    let answer = channel.clone().oneshot(request);
    let answer = timeout(Duration::from_secs(10), answer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.headers().clone()
}

fn status(headers: &HeaderMap) -> Status {
    Status::from_header_map(headers).expect("refused in the headers")
}

fn checking_in() -> Vec<u8> {
    let message = proto::CheckInRequest {
        protocol_version: PROTOCOL_VERSION,
        task: "movies".to_owned(),
    };
    message.encode_to_vec()
}

#[tokio::test]
async fn what_no_code_of_ours_sees_is_named_and_counted() {
    let _alone = ALONE.lock().await;
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let channel = channel(&root, &running, 9).await;
    let none: &[(&str, &str)] = &[];
    let long = vec![b'a'; MAX_REQUEST_BYTES + 1];
    let message = checking_in();
    let cases: [(&str, Vec<u8>, Code, &str); 13] = [
        (
            "CheckIn",
            plain(&long),
            Code::OutOfRange,
            "message-too-long",
        ),
        // The length alone is enough: nothing is kept for what it announces.
        (
            "CheckIn",
            framed(0, u32::MAX, b""),
            Code::OutOfRange,
            "message-too-long",
        ),
        ("Upload", plain(&long), Code::OutOfRange, "message-too-long"),
        // No message, half a message, a message and a half.
        (
            "CheckIn",
            vec![],
            Code::InvalidArgument,
            "message-unreadable",
        ),
        (
            "CheckIn",
            framed(0, 100, &message),
            Code::InvalidArgument,
            "message-unreadable",
        ),
        (
            "CheckIn",
            [plain(&message), vec![0, 0]].concat(),
            Code::InvalidArgument,
            "message-unreadable",
        ),
        (
            "Upload",
            framed(0, 100, &message),
            Code::InvalidArgument,
            "message-unreadable",
        ),
        // Not protocol buffers.
        (
            "CheckIn",
            plain(&[0xff; 10]),
            Code::InvalidArgument,
            "message-unreadable",
        ),
        (
            "Upload",
            plain(&[0xff; 10]),
            Code::InvalidArgument,
            "message-unreadable",
        ),
        // A flag that does not exist.
        (
            "CheckIn",
            framed(7, 0, b""),
            Code::InvalidArgument,
            "message-unreadable",
        ),
        (
            "Dance",
            plain(&message),
            Code::Unimplemented,
            "call-unknown",
        ),
        (
            "../Witness/Draw",
            plain(&message),
            Code::Unimplemented,
            "call-unknown",
        ),
        ("", vec![], Code::Unimplemented, "call-unknown"),
    ];
    for (call, body, code, label) in cases {
        let status = status(&raw(&channel, call, none, body).await);
        assert_eq!((status.code(), rude::label(&status)), (code, label));
        assert_eq!(told(&running), [label], "{call}");
    }
    assert!(running.service.heard.lock().unwrap().is_empty());
    // The control: the same way, a proper message.
    let answer = raw(&channel, "CheckIn", none, plain(&message)).await;
    assert_eq!(answer.get("grpc-status"), None, "{answer:?}");
    assert_eq!(told(&running), [""; 0]);
    running.stop().await;
}

/// So many zeros, in a thousandth of the bytes.
fn bomb(zeros: u64) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut std::io::repeat(0).take(zeros), &mut gzip).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn nothing_that_is_compressed_is_inflated() {
    let _alone = ALONE.lock().await;
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let channel = channel(&root, &running, 9).await;
    let bomb = bomb(64 << 20);
    assert!(bomb.len() < MAX_REQUEST_BYTES, "{}", bomb.len());
    let before = peak_bytes();
    for call in ["CheckIn", "Upload", "ShareKeys", "FetchModel"] {
        for headers in [
            &[("grpc-encoding", "gzip")][..],
            &[("grpc-encoding", "deflate")],
            &[("grpc-encoding", "zstd")],
            &[("grpc-encoding", "x-own")],
            &[("grpc-encoding", "identity"), ("grpc-encoding", "gzip")],
            &[("content-encoding", "gzip")],
            &[("content-encoding", "br")],
            &[("grpc-encoding", "identity"), ("content-encoding", "gzip")],
            // A flag alone, without a word about the encoding.
            &[],
            &[("grpc-encoding", "identity")],
        ] {
            // As long as a message may be, and as it is.
            for length in [1000, bomb.len()] {
                let body = framed(1, length as u32, &bomb[..length]);
                let headers = raw(&channel, call, headers, body).await;
                let status = status(&headers);
                assert_eq!(
                    (status.code(), rude::label(&status)),
                    (Code::Unimplemented, "compressed"),
                    "{status:?}"
                );
                assert_eq!(told(&running), ["compressed"]);
            }
        }
    }
    let grew = peak_bytes() - before;
    assert!(grew < 32 << 20, "{grew} bytes");
    assert!(running.service.heard.lock().unwrap().is_empty());
    // Nothing else is wrong with the calls: said to be as they are, they are read.
    let identity = &[
        ("grpc-encoding", "identity"),
        ("content-encoding", "identity"),
    ];
    let answer = raw(&channel, "CheckIn", identity, plain(&checking_in())).await;
    assert_eq!(answer.get("grpc-status"), None);
    running.stop().await;
}

#[tokio::test]
async fn what_the_wire_refuses_is_counted_once() {
    let _alone = ALONE.lock().await;
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let mut client = rude::client(&root, &running).await;
    let await_request = |protocol_version, awaited| proto::AwaitRequest {
        protocol_version,
        round: 5,
        awaited,
    };
    client.r#await(await_request(1, 1)).await.unwrap_err();
    assert_eq!(told(&running), ["protocol-version"]);
    client
        .r#await(await_request(PROTOCOL_VERSION, 0))
        .await
        .unwrap_err();
    assert_eq!(told(&running), ["field-unspecified"]);
    let status_of = proto::UploadStatusRequest {
        protocol_version: 1,
        round: 5,
    };
    client.upload_status(status_of).await.unwrap_err();
    assert_eq!(told(&running), ["protocol-version"]);
    let model = |length| proto::FetchModelRequest {
        protocol_version: PROTOCOL_VERSION,
        digest: vec![1; length],
        offset: 0,
    };
    client.fetch_model(model(31)).await.unwrap_err();
    assert_eq!(told(&running), ["field-length"]);
    client.fetch_model(model(32)).await.unwrap_err();
    assert_eq!(told(&running), ["unknown-model"]);
    let chunk = |part| proto::UploadChunk { part: Some(part) };
    let data = chunk(proto::upload_chunk::Part::Data(vec![1; 10]));
    let upload = client.upload(tokio_stream::iter([data])).await;
    assert_eq!(rude::label(&upload.unwrap_err()), "field-missing");
    assert_eq!(told(&running), ["field-missing"]);
    let start = |round, sha256| {
        chunk(proto::upload_chunk::Part::Start(proto::UploadStart {
            protocol_version: PROTOCOL_VERSION,
            round,
            total_bytes: 64,
            sha256,
            offset: 0,
            signature: vec![9; 64],
        }))
    };
    let data = |length| chunk(proto::upload_chunk::Part::Data(vec![1; length]));
    let right = Digest::of(&[1; 64]).0.to_vec();
    for (chunks, label) in [
        (vec![start(6, right.clone())], "unknown-round"),
        (vec![start(5, right.clone()), data(10)], "upload-unfinished"),
        (vec![start(5, right.clone()), data(65)], "field-too-long"),
        (
            vec![start(5, right.clone()), data(TILE_BYTES + 1)],
            "field-too-long",
        ),
        (
            vec![start(5, right.clone()), data(MAX_REQUEST_BYTES)],
            "message-too-long",
        ),
        (vec![start(5, vec![3; 32]), data(64)], "field-value"),
    ] {
        let refused = client.upload(tokio_stream::iter(chunks)).await;
        assert_eq!(rude::label(&refused.unwrap_err()), label);
        assert_eq!(told(&running), [label]);
    }
    running.service.admits.store(false, Ordering::SeqCst);
    client
        .r#await(await_request(PROTOCOL_VERSION, 1))
        .await
        .unwrap_err();
    assert_eq!(told(&running), ["revoked"]);
    assert!(running.service.heard.lock().unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn what_the_service_refuses_is_counted_once_also_when_nobody_waits_for_it() {
    let _alone = ALONE.lock().await;
    let root = Root::new(1);
    let service = Dummy::new(|request| match request {
        Request::CheckIn { .. } => Ok(Response::Wait { milliseconds: 1 }),
        Request::Upload { .. } => Err(Reject::LeftOut.into()),
        Request::Endorse { .. } => Err(Reject::Signature.into()),
        Request::FetchLog { .. } => panic!("a fault of the service"),
        _ => Err(Rejection::new(Kind::Busy, "busy", "later")),
    });
    let running = Running::start(&root, service).await;
    let connection = root.connect(running.address, 9);
    let round = RoundId(5);
    let endorse = Request::Endorse {
        round,
        signature: [0; 64],
    };
    assert_eq!(label(connection.send(&endorse).await), "signature");
    assert_eq!(told(&running), ["signature"]);
    let upload = Request::Upload {
        round,
        update: cases::update(&[1; 16]),
    };
    assert_eq!(label(connection.send(&upload).await), "left-out");
    assert_eq!(told(&running), ["left-out"]);
    let awaiting = Request::Await {
        round,
        awaited: cases::awaited()[0],
    };
    assert!(matches!(
        connection.send(&awaiting).await,
        Err(SendError::Unreachable(_))
    ));
    assert_eq!(told(&running), ["busy"]);
    assert!(matches!(
        connection.send(&Request::FetchLog { from: 0 }).await,
        Err(SendError::Unreachable(_))
    ));
    assert_eq!(told(&running), ["internal"]);
    // An answer that is no refusal is none.
    connection.send(&check_in()).await.unwrap();
    assert_eq!(told(&running), [""; 0]);
    // The caller goes away before the refusal is made.
    running.service.gate.send_replace(false);
    let hasty = root
        .connect(running.address, 10)
        .with_deadline(Duration::from_millis(200));
    assert!(matches!(
        hasty.send(&endorse).await,
        Err(SendError::Unreachable(_))
    ));
    assert_eq!(told(&running), [""; 0]);
    running.service.gate.send_replace(true);
    timeout(Duration::from_secs(5), async {
        while running.service.refused.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is counted all the same");
    assert_eq!(told(&running), ["signature"]);
    running.stop().await;
}
