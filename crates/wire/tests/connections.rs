//! Who is let in, for how long, and what happens when the other side goes away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chorus_protocol::{Identity, Response};
use chorus_wire::{
    Clock,
    certificate::Role,
    client::{Connection, Open, SendError},
    server::{Limits, ServeError, ServerTls, serve_training},
    tls::Credentials,
};
use support::{NOW, Root, Running, accepting, check_in, clock, label, target};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

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
            Arc::new(Open),
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
    let connection = Connection::new(
        other,
        &root.authority,
        &credentials,
        &clock(),
        Arc::new(Open),
    )
    .unwrap();
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
    let connection = Connection::new(
        target(address),
        &root.authority,
        &credentials,
        &clock(),
        Arc::new(Open),
    )
    .unwrap();
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
