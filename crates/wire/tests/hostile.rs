//! Peers that do not keep to anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{sync::Arc, time::Duration};

use chorus_protocol::{PROTOCOL_VERSION, Response};
use chorus_wire::{
    certificate::Role,
    limits::{HANDSHAKE_DEADLINE, MAX_REQUEST_BYTES, TILE_BYTES},
    proto::{self, upload_chunk::Part},
    tls,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use support::{
    Dummy, Root, Running, check_in, clock,
    rude::{client as rude, label},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::Code;

async fn running(root: &Root) -> Running {
    Running::start(root, Dummy::new(|_| Ok(Response::Accepted))).await
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused() {
    let root = Root::new(1);
    let running = running(&root).await;
    let mut client = rude(&root, &running).await;
    for length in [MAX_REQUEST_BYTES, 5 << 20] {
        let large = proto::CheckInRequest {
            protocol_version: PROTOCOL_VERSION,
            task: "a".repeat(length),
        };
        let status = client.check_in(large).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        assert_eq!(label(&status), "message-too-long");
    }
    assert!(running.service.heard.lock().unwrap().is_empty());
    // The server goes on, and so does the connection.
    let small = proto::CheckInRequest {
        protocol_version: PROTOCOL_VERSION,
        task: "movies".to_owned(),
    };
    client.check_in(small).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn wrong_versions_and_fields_are_named_over_the_wire() {
    let root = Root::new(1);
    let running = running(&root).await;
    let mut client = rude(&root, &running).await;
    let message = proto::CheckInRequest {
        protocol_version: 9,
        task: "movies".to_owned(),
    };
    let status = client.check_in(message).await.unwrap_err();
    assert_eq!(
        (status.code(), label(&status)),
        (Code::FailedPrecondition, "protocol-version")
    );
    assert!(
        status.message().contains("CheckInRequest.protocol_version"),
        "{}",
        status.message()
    );
    let message = proto::UploadStatusRequest {
        protocol_version: 0,
        round: 5,
    };
    let status = client.upload_status(message).await.unwrap_err();
    assert_eq!(
        (status.code(), label(&status)),
        (Code::FailedPrecondition, "protocol-version")
    );
    let message = proto::AwaitRequest {
        protocol_version: PROTOCOL_VERSION,
        round: 5,
        awaited: 0,
    };
    let status = client.r#await(message).await.unwrap_err();
    assert_eq!(
        (status.code(), label(&status)),
        (Code::InvalidArgument, "field-unspecified")
    );
    let message = proto::FetchModelRequest {
        protocol_version: PROTOCOL_VERSION,
        digest: vec![1; 31],
        offset: 0,
    };
    let status = client.fetch_model(message).await.unwrap_err();
    assert_eq!(
        (status.code(), label(&status)),
        (Code::InvalidArgument, "field-length")
    );
    assert!(status.message().contains("expected 32 bytes, found 31"));
    running.stop().await;
}

#[tokio::test]
async fn an_upload_keeps_to_its_start() {
    let root = Root::new(1);
    let running = running(&root).await;
    let mut client = rude(&root, &running).await;
    let start = |total_bytes, offset| proto::UploadChunk {
        part: Some(Part::Start(proto::UploadStart {
            protocol_version: PROTOCOL_VERSION,
            round: 5,
            total_bytes,
            sha256: vec![7; 32],
            offset,
            signature: vec![9; 64],
        })),
    };
    let data = |length| proto::UploadChunk {
        part: Some(Part::Data(vec![1; length])),
    };
    let empty = || proto::UploadChunk { part: None };
    for (chunks, expected) in [
        (vec![], "field-missing"),
        (vec![empty()], "field-missing"),
        (vec![data(64)], "field-missing"),
        (vec![start(65, 0)], "field-value"),
        (vec![start(u64::MAX, 0)], "field-too-long"),
        (vec![start(64, 65)], "field-value"),
        (vec![start(64, 1)], "upload-offset"),
        (vec![start(64, 0), data(65)], "field-too-long"),
        (vec![start(64, 0), data(TILE_BYTES + 1)], "field-too-long"),
        (vec![start(64, 0), data(10)], "upload-unfinished"),
        (
            vec![start(64, 0), data(10), start(64, 0)],
            "upload-unfinished",
        ),
        (vec![start(64, 20)], "upload-offset"),
        // Another digest than the bytes have.
        (vec![start(64, 0), data(64)], "field-value"),
    ] {
        let status = client.upload(tokio_stream::iter(chunks)).await.unwrap_err();
        assert_eq!(label(&status), expected, "{status:?}");
    }
    assert!(running.service.uploads.lock().unwrap().is_empty());
    let status = client
        .upload_status(proto::UploadStatusRequest {
            protocol_version: PROTOCOL_VERSION,
            round: 5,
        })
        .await;
    assert_eq!(
        status.unwrap().into_inner(),
        proto::UploadStatusReply::default()
    );
    // Nothing of it stands in the way of a proper one, in two streams.
    let bytes = vec![3u8; 64];
    let sha256 = chorus_protocol::Digest::of(&bytes).0.to_vec();
    let begin = |offset| proto::UploadChunk {
        part: Some(Part::Start(proto::UploadStart {
            protocol_version: PROTOCOL_VERSION,
            round: 5,
            total_bytes: 64,
            sha256: sha256.clone(),
            offset,
            signature: vec![9; 64],
        })),
    };
    let part = |range: std::ops::Range<usize>| proto::UploadChunk {
        part: Some(Part::Data(bytes[range].to_vec())),
    };
    let broken = client
        .upload(tokio_stream::iter([begin(0), part(0..40)]))
        .await
        .unwrap_err();
    assert_eq!(
        (broken.code(), label(&broken)),
        (Code::Unavailable, "upload-unfinished")
    );
    let status = client
        .upload_status(proto::UploadStatusRequest {
            protocol_version: PROTOCOL_VERSION,
            round: 5,
        })
        .await;
    assert_eq!(
        status.unwrap().into_inner(),
        proto::UploadStatusReply {
            received_bytes: 40,
            sha256: sha256.clone()
        }
    );
    client
        .upload(tokio_stream::iter([begin(40), part(40..64)]))
        .await
        .unwrap();
    assert_eq!(running.service.uploads.lock().unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn noise_on_the_port_and_half_open_connections_stop_nothing() {
    let root = Root::new(1);
    let running = running(&root).await;
    let mut open = Vec::new();
    for number in 0..40u8 {
        let mut tcp = TcpStream::connect(running.address).await.unwrap();
        match number % 4 {
            0 => {}
            1 => tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap(),
            2 => tcp.write_all(&[number; 3000]).await.unwrap(),
            // The beginning of a TLS record that never goes on.
            _ => tcp.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap(),
        }
        open.push(tcp);
    }
    // TLS that is sound, and then no HTTP/2.
    let config = tls::client(
        &root.authority,
        Some(&root.credentials(9, Role::Client)),
        &clock(),
    )
    .unwrap();
    for number in 0..4u8 {
        let tcp = TcpStream::connect(running.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = TlsConnector::from(config.clone())
            .connect(name, tcp)
            .await
            .unwrap();
        tls.write_all(&[number; 100]).await.unwrap();
        tls.flush().await.unwrap();
    }
    let connection = root.connect(running.address, 10);
    let answered = timeout(Duration::from_secs(5), connection.send(&check_in())).await;
    assert_eq!(answered.expect("in time"), Ok(Response::Accepted));
    drop(open);
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_never_begins_is_closed() {
    let root = Root::new(1);
    let running = running(&root).await;
    let credentials = root.credentials(9, Role::Client);
    let config = tls::client(&root.authority, Some(&credentials), &clock()).unwrap();
    let mut open = Vec::new();
    // Nothing at all, and the first half of an HTTP/2 preface.
    for words in [&b""[..], b"PRI * HTTP/2"] {
        let tcp = TcpStream::connect(running.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(config.clone());
        let mut tls = connector.connect(name, tcp).await.unwrap();
        tls.write_all(words).await.unwrap();
        tls.flush().await.unwrap();
        open.push(tls);
    }
    let connection = root.connect(running.address, 10);
    assert_eq!(connection.send(&check_in()).await, Ok(Response::Accepted));
    let late = HANDSHAKE_DEADLINE + Duration::from_secs(5);
    for tls in &mut open {
        let mut sink = Vec::new();
        let ended = timeout(late, tls.read_to_end(&mut sink)).await;
        assert!(ended.is_ok(), "still open");
    }
    // One that began stays.
    assert_eq!(connection.send(&check_in()).await, Ok(Response::Accepted));
    running.stop().await;
}

#[tokio::test]
async fn no_certificate_no_call() {
    let root = Root::new(1);
    let running = running(&root).await;
    let config = tls::client(&root.authority, None, &clock()).unwrap();
    let tcp = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let error = tls.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let root = Root::new(1);
    let running = running(&root).await;
    let mut roots = RootCertStore::empty();
    roots.add(root.authority.der().to_vec().into()).unwrap();
    let connect = async |version: &'static rustls::SupportedProtocolVersion| {
        let mut config = ClientConfig::builder_with_details(
            Arc::new(ring::default_provider()),
            Arc::new(clock()),
        )
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(running.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map(|_| ())
    };
    let error = connect(&rustls::version::TLS12).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    // The control: the same client with 1.3 gets as far as its missing certificate.
    connect(&rustls::version::TLS13).await.unwrap();
    running.stop().await;
}
