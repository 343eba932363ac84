//! Models and uploads: in chunks, and on where they stopped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::sync::Arc;

use chorus_protocol::{Digest, Identity, Request, Response, RoundId};
use chorus_wire::{
    certificate::Role,
    client::{Connection, Open},
    limits::CHUNK_BYTES,
    server::Limits,
    tls::Credentials,
};
use support::{Dummy, Root, Running, accepting, check_in, clock, label, target};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

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
            upload: cases::words(words - 8),
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
    let uploads = running.service.uploads.lock().unwrap().clone();
    assert!(uploads == [cases::update(&update).masked.into_bytes()]);
    // Of what was there before a cut, nothing but what was on its way is sent again.
    let sent = connection.traffic().sent as usize;
    assert!(sent < 6 * CHUNK_BYTES, "{sent}");
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

/// `CHORUS_CROWD` sets another number of clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_in_one_process() {
    let clients: usize = std::env::var("CHORUS_CROWD").map_or(150, |text| text.parse().unwrap());
    let root = Root::new(1);
    let running = Running::start(
        &root,
        Dummy {
            upload: cases::words(100_000 - 8),
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
                Arc::new(Open),
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
    let expected = cases::update(&words).masked.into_bytes();
    let uploads = running
        .service
        .uploads
        .lock()
        .unwrap()
        .iter()
        .filter(|upload| **upload == expected)
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
