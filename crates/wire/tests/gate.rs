//! A client's connections stand under a lease, and end with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chorus_protocol::{Identity, Response};
use chorus_wire::{
    InvitationCode,
    certificate::Role,
    client::{Connection, Gate, Lease, Open, Reset, SendError, enrol},
};
use support::{Root, Running, accepting, check_in, clock, target};
use tokio::{io::AsyncReadExt, net::TcpListener, time::timeout};

/// A gate that can be shut, and that counts what passes.
#[derive(Clone, Default)]
struct Door {
    shut: Arc<AtomicBool>,
    passed: Arc<AtomicUsize>,
    watched: Arc<Mutex<Vec<Weak<dyn Reset>>>>,
}

impl Gate for Door {
    fn lease(&self) -> io::Result<Box<dyn Lease>> {
        Ok(Box::new(self.clone()))
    }
}

impl Lease for Door {
    fn hold(&mut self, act: &mut dyn FnMut()) -> io::Result<()> {
        if self.shut.load(Ordering::SeqCst) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        self.passed.fetch_add(1, Ordering::SeqCst);
        act();
        Ok(())
    }

    fn wrote(&self, _bytes: usize) {}

    fn watch(&self, connection: Weak<dyn Reset>) {
        self.watched.lock().unwrap().push(connection);
    }
}

impl Door {
    fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
        let standing = self.watched.lock().unwrap().drain(..).collect::<Vec<_>>();
        for connection in standing.iter().filter_map(Weak::upgrade) {
            connection.reset();
        }
    }
}

fn behind(root: &Root, address: std::net::SocketAddr, gate: Arc<dyn Gate>) -> Connection {
    let credentials = root.credentials(9, Role::Client);
    Connection::new(
        target(address),
        &root.authority,
        &credentials,
        &clock(),
        gate,
    )
    .unwrap()
}

#[tokio::test]
async fn every_call_passes_the_gate_and_none_does_once_it_is_shut() {
    let root = Root::new(1);
    let running = Running::start(&root, accepting()).await;
    let door = Door::default();
    let connection = behind(&root, running.address, Arc::new(door.clone()));
    assert_eq!(connection.send(&check_in()).await, Ok(Response::Accepted));
    let (passed, traffic) = (door.passed.load(Ordering::SeqCst), connection.traffic());
    assert!(passed > 0 && traffic.sent > 0);

    door.shut();
    for _ in 0..3 {
        let answer = connection.send(&check_in()).await;
        assert!(
            matches!(answer, Err(SendError::Unreachable(_))),
            "{answer:?}"
        );
    }
    assert_eq!(door.passed.load(Ordering::SeqCst), passed);
    assert_eq!(connection.traffic(), traffic);
    assert_eq!(running.service.heard.lock().unwrap().len(), 1);

    // It was the gate: opened again, the same connection works.
    door.shut.store(false, Ordering::SeqCst);
    assert_eq!(connection.send(&check_in()).await, Ok(Response::Accepted));
    running.stop().await;
}

/// Whether a connection waits or writes, whoever shuts the gate resets it, from another thread and at once.
#[tokio::test]
async fn a_connection_is_reset_when_its_lease_ends() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door::default();
    let connection = behind(&root, address, Arc::new(door.clone()));
    let call = tokio::spawn(async move { connection.send(&check_in()).await });
    // The beginning of a handshake that nobody answers.
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut read = async || {
        let mut bytes = [0; 4096];
        timeout(Duration::from_millis(200), peer.read(&mut bytes)).await
    };
    assert!(read().await.unwrap().unwrap() > 0);
    // The control: it stands, and waits.
    assert!(read().await.is_err());
    std::thread::spawn(move || door.shut()).join().unwrap();
    let ended = read().await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    let answer = timeout(Duration::from_secs(5), call)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(answer, Err(SendError::Unreachable(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn nothing_is_dialled_through_a_shut_gate() {
    let root = Root::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = Identity::from_seed(&[9; 32]);
    let code = InvitationCode::from_bytes([1; 20]);
    let dials = async |gate: Arc<dyn Gate>| {
        let connection = behind(&root, address, gate.clone());
        let (target, clock) = (target(address), clock());
        let enrolling = enrol(&target, &root.authority, &code, &identity, &clock, gate);
        let request = check_in();
        let calling = connection.send(&request);
        let trying = async { (calling.await.is_err(), enrolling.await.is_err()) };
        let mut dialled = 0;
        let _ = timeout(Duration::from_millis(300), async {
            let count = async {
                loop {
                    drop(listener.accept().await.unwrap());
                    dialled += 1;
                }
            };
            tokio::select! {
                () = async { trying.await; tokio::time::sleep(Duration::from_millis(50)).await } => {}
                () = count => {}
            }
        })
        .await;
        dialled
    };
    let door = Door::default();
    door.shut();
    assert_eq!(dials(Arc::new(door)).await, 0);
    assert!(dials(Arc::new(Open)).await >= 2);
}
