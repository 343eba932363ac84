//! What leaves is counted twice: by the client, and by somebody on its way who knows nothing of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use chorus_model::Direct;
use chorus_wire::Clock;
use chorus_wire::client::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::interleaving::{admitted, serve};
use crate::testing::{NOW, films, open, settings};
use crate::{End, Loop, Message};

/// A relay that counts the payload of TCP from the client to the server.
async fn relay(server: SocketAddr) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let server = TcpStream::connect(server).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
                });
                let mut buffer = vec![0; 65_536];
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    count.fetch_add(read as u64, SeqCst);
                    if to_server.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, counted)
}

/// A whole task in sessions of some bytes each: after every one, the log says what the relay saw.
#[tokio::test]
async fn the_log_of_what_left_is_what_a_capture_shows() {
    let (coordinator, home, mut client, mut rng) = admitted();
    let clock = Clock::new(|| NOW);
    let (server, serving) = serve(&coordinator, &clock).await;
    let (address, counted) = relay(server).await;
    let most = 3_000;
    client.settings.budget.max_bytes = most;
    let (mut sessions, mut before) = (Vec::new(), 0);
    loop {
        let target = Target::with_name(&address.to_string(), "localhost").unwrap();
        let mut way = client.connect(target, &clock).unwrap();
        let name = films();
        let work = Loop {
            task: &name,
            engine: &Direct,
            clock: &clock,
            news: &mut |_| {},
        };
        let end = client
            .run(&mut way, work, &mut rng, std::future::pending())
            .await
            .unwrap();
        drop(way);
        // What is on its way arrives.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let log = client.activity().unwrap();
        let logged: u64 = log.iter().map(|line| line.bytes).sum();
        assert_eq!(
            logged,
            counted.load(SeqCst),
            "after session {}",
            sessions.len()
        );
        sessions.push(logged - before);
        before = logged;
        match end {
            End::Spent => assert!(sessions.len() < 50, "{sessions:?}"),
            End::Finished => break,
            end => panic!("{end:?}"),
        }
    }
    serving.abort();
    // On the disk too, when the app ends.
    drop(client);
    let client = open(home.path(), settings());
    let logged: u64 = client
        .activity()
        .unwrap()
        .iter()
        .map(|line| line.bytes)
        .sum();
    assert_eq!(logged, counted.load(SeqCst));
    println!("{sessions:?} bytes");
    // Each ended with the message that passed its budget; all but the last used it up.
    assert!(sessions.len() > 2, "{sessions:?}");
    let (_, full) = sessions.split_last().unwrap();
    assert!(
        full.iter().all(|bytes| (most..2 * most).contains(bytes)),
        "{sessions:?}"
    );
    let log = client.activity().unwrap();
    let contributions = log.iter().filter(|line| line.what == Message::Contribution);
    let contributions: Vec<u64> = contributions.map(|line| line.bytes).collect();
    assert_eq!(contributions.len(), coordinator.sums());
    // The control: a masked word is four bytes, and none of them is missing in its line.
    for (bytes, upload) in contributions.iter().zip(coordinator.uploads()) {
        assert!(*bytes >= upload.bytes.len() as u64);
    }
}
