//! Uploads wait for room, unread, and none that is not whole reaches the service.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::time::{Duration, Instant};

use chorus_protocol::{Digest, PROTOCOL_VERSION, Request, Response, RoundId};
use chorus_wire::{
    client::Connection,
    limits::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, TILE_BYTES},
    proto::{self, upload_chunk::Part},
    server::Limits,
};
use futures_util::{StreamExt, future::join_all, stream};
use prost::Message;
use support::{Dummy, Root, Running, accepting, kinds, rude};
use tokio::time::{sleep, timeout};

/// Words of an upload of 2 MiB.
const WORDS: usize = 512 << 10;

async fn running(root: &Root, upload_bytes: u64) -> Running {
    let service = Dummy {
        upload: cases::words(WORDS - 8),
        ..accepting()
    };
    let limits = Limits {
        upload_bytes,
        ..Limits::default()
    };
    Running::start_with(root, service, limits).await
}

fn upload(number: u32) -> Request {
    Request::Upload {
        round: RoundId(5),
        update: cases::update(&vec![number; WORDS]),
    }
}

fn whole() -> u64 {
    cases::words(WORDS - 8).bytes()
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), waiting)
        .await
        .expect("in time");
}

/// Waits until nothing more is sent, and says how much was.
async fn settled(connections: &[Connection]) -> Vec<u64> {
    let sent = || -> Vec<u64> { connections.iter().map(|it| it.traffic().sent).collect() };
    let mut before = sent();
    loop {
        sleep(Duration::from_millis(300)).await;
        let now = sent();
        if now == before {
            return now;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_not_read_and_all_get_their_turn() {
    let root = Root::new(1);
    // Room for two and a half.
    let running = running(&root, whole() * 5 / 2).await;
    running.service.gate.send_replace(false);
    let connections: Vec<Connection> = (0..7u8)
        .map(|number| root.connect(running.address, 10 + number))
        .collect();
    let uploads: Vec<Request> = (0..7).map(upload).collect();
    let sending = connections
        .iter()
        .zip(&uploads)
        .map(|(connection, upload)| connection.send(upload));
    let watching = async {
        let sent = settled(&connections).await;
        let (through, waiting): (Vec<u64>, Vec<u64>) =
            sent.iter().partition(|sent| **sent > whole());
        assert_eq!((through.len(), waiting.len()), (2, 5), "{sent:?}");
        // HTTP/2 stopped the others at its window; the rest is TLS, headers and the asking how much is there.
        let most = u64::from(STREAM_WINDOW_BYTES) + (32 << 10);
        assert!(waiting.iter().all(|sent| *sent < most), "{waiting:?}");
        assert_eq!(kinds(&running.service)["upload"], 2);
        running.service.gate.send_replace(true);
    };
    let (answers, ()) = tokio::join!(join_all(sending), watching);
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Ok(Response::Accepted)),
        "{answers:?}"
    );
    let mut arrived = std::mem::take(&mut *running.service.uploads.lock().unwrap());
    arrived.sort();
    let sent = uploads.into_iter().map(|upload| match upload {
        Request::Upload { update, .. } => update.masked.into_bytes(),
        _ => panic!("an upload"),
    });
    assert!(sent.eq(arrived));
    assert!(running.service.refused.lock().unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn one_that_waits_stops_no_other_call_of_its_connection() {
    let root = Root::new(1);
    let running = running(&root, whole()).await;
    running.service.gate.send_replace(false);
    let first = root.connect(running.address, 20);
    let in_hand = tokio::spawn(async move { first.send(&upload(1)).await });
    until(|| kinds(&running.service).contains_key("upload")).await;
    let client = rude::client(&root, &running).await;
    let mut uploading = client.clone();
    let waiting = tokio::spawn(async move {
        let bytes = vec![7; whole() as usize];
        let tiles: Vec<_> = bytes.chunks(TILE_BYTES).map(tile).collect();
        let messages = stream::iter([start(&bytes, 0)]).chain(stream::iter(tiles));
        uploading.upload(messages).await
    });
    sleep(Duration::from_millis(300)).await;
    // More bytes than the window of the connection; refused for their version, but read first.
    let large = proto::ShareKeysRequest {
        protocol_version: 1,
        round: 5,
        sealed: vec![
            proto::AddressedShares {
                peer: u32::MAX,
                sealed: vec![1; 80],
            };
            254
        ],
    };
    for _ in 0..2 * CONNECTION_WINDOW_BYTES as usize / large.encoded_len() {
        let answer = client.clone().share_keys(large.clone()).await.unwrap_err();
        assert_eq!(rude::label(&answer), "protocol-version");
    }
    assert!(!waiting.is_finished() && !in_hand.is_finished());
    running.service.gate.send_replace(true);
    assert_eq!(in_hand.await.unwrap(), Ok(Response::Accepted));
    waiting.await.unwrap().unwrap();
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_longer_than_the_limit_passes_alone() {
    let root = Root::new(1);
    let running = running(&root, 1000).await;
    let connections: Vec<Connection> = (0..3u8)
        .map(|number| root.connect(running.address, 10 + number))
        .collect();
    let uploads: Vec<Request> = (0..3).map(upload).collect();
    let sending = connections
        .iter()
        .zip(&uploads)
        .map(|(connection, upload)| connection.send(upload));
    let answers = join_all(sending).await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Ok(Response::Accepted)),
        "{answers:?}"
    );
    running.stop().await;
}

fn start(bytes: &[u8], offset: u64) -> proto::UploadChunk {
    proto::UploadChunk {
        part: Some(Part::Start(proto::UploadStart {
            protocol_version: PROTOCOL_VERSION,
            round: 5,
            total_bytes: bytes.len() as u64,
            sha256: Digest::of(bytes).0.to_vec(),
            offset,
            signature: vec![9; 64],
        })),
    }
}

fn tile(bytes: &[u8]) -> proto::UploadChunk {
    proto::UploadChunk {
        part: Some(Part::Data(bytes.to_vec())),
    }
}

#[tokio::test]
async fn a_silent_upload_makes_room() {
    let root = Root::new(1);
    let running = running(&root, whole()).await;
    let mut silent = rude::client(&root, &running).await;
    let bytes = vec![7; whole() as usize];
    let beginning = stream::iter([start(&bytes, 0), tile(&bytes[..TILE_BYTES])]);
    let messages = beginning.chain(stream::pending());
    let holding = tokio::spawn(async move { silent.upload(messages).await });
    // It holds the room.
    let mut asking = rude::client(&root, &running).await;
    let question = proto::UploadStatusRequest {
        protocol_version: PROTOCOL_VERSION,
        round: 5,
    };
    let arrived = async {
        while asking.upload_status(question).await.unwrap().into_inner() == Default::default() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), arrived).await.unwrap();
    let began = Instant::now();
    let connection = root.connect(running.address, 20);
    assert_eq!(connection.send(&upload(3)).await, Ok(Response::Accepted));
    let waited = began.elapsed();
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(10)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(kinds(&running.service)["upload"], 1);
    holding.abort();
    running.stop().await;
}

#[tokio::test]
async fn a_part_of_an_upload_never_reaches_the_service() {
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let mut client = rude::client(&root, &running).await;
    let bytes: Vec<u8> = (0..64).collect();
    // Broken off after every byte, and gone on with from there or begun anew; in tiles of any length.
    let mut here = 0;
    for end in 0..64usize {
        let from = if end % 7 == 3 { 0 } else { here };
        let tiles = bytes[from..end].chunks(1 + end % 5).map(tile);
        let messages: Vec<_> = std::iter::once(start(&bytes, from as u64))
            .chain(tiles)
            .collect();
        let broken = client.upload(stream::iter(messages)).await.unwrap_err();
        assert_eq!(rude::label(&broken), "upload-unfinished", "{broken:?}");
        here = end;
    }
    // Broken by its sender, in the middle of a stream that would go on.
    let beginning = stream::iter([start(&bytes, 0), tile(&bytes[..60])]);
    let messages = beginning.chain(stream::pending());
    let dropped = timeout(Duration::from_millis(300), client.upload(messages)).await;
    assert!(dropped.is_err());
    assert!(running.service.heard.lock().unwrap().is_empty());
    assert!(running.service.uploads.lock().unwrap().is_empty());
    // The control: with its last byte it does, once and whole.
    let rest = stream::iter([start(&bytes, 60), tile(&bytes[60..])]);
    client.upload(rest).await.unwrap();
    assert_eq!(*running.service.uploads.lock().unwrap(), [bytes]);
    running.stop().await;
}
