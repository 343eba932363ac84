//! The least app of the examples, as a process of its own. `cargo test -p chorus-client` builds it beside this test; with `--test app`
//! alone, build it first: `cargo build -p chorus-client --example app`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chorus_client::{Client, FileKey, Purpose, Settings, State};
use chorus_wire::{Clock, InvitationCode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, PKCS_ED25519};

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    built.join("examples/app")
}

/// The certificate of an authority that nobody runs.
fn certificate() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    params.self_signed(&key).unwrap().pem()
}

/// Runs the app in a folder, with what its person types.
fn run(folder: &Path, server: &TcpListener, typed: &str) -> Output {
    fs::write(folder.join("authority.pem"), certificate()).unwrap();
    let server = server.local_addr().unwrap().to_string();
    let code = InvitationCode::from_bytes([7; 20]).to_string();
    let mut app = Command::new(program())
        .args(["me", &server, "authority.pem", &code, &server, "films", "3"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example is built");
    // Who read nothing may have closed it.
    let _closed = app.stdin.take().unwrap().write_all(typed.as_bytes());
    app.wait_with_output().unwrap()
}

fn client(folder: &Path) -> Client {
    let home = folder.join("me");
    let now = Clock::system().now();
    Client::open(&home, &FileKey::beside(&home), Settings::default(), now).unwrap()
}

/// A no ends what it is about, also where it cannot be written: the app says so, goes on with nothing and sends nothing.
#[test]
fn a_no_that_cannot_be_written_holds_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    drop(client(place));
    let store = || rusqlite::Connection::open(place.join("me/client.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
    store().execute_batch(full).unwrap();

    let ended = run(place, &server, "no\nyes\n");
    let (out, err) = (
        String::from_utf8(ended.stdout).unwrap(),
        String::from_utf8(ended.stderr).unwrap(),
    );
    assert!(!ended.status.success(), "{out}");
    assert!(
        err.contains("the disk is full") && !err.contains("panicked"),
        "{err}"
    );
    // The one question, and no list.
    assert_eq!(out.matches("yes or no?").count(), 1, "{out}");
    assert!(!out.contains("no model yet"), "{out}");
    let called = server.accept().map_err(|error| error.kind());
    assert_eq!(called.err(), Some(ErrorKind::WouldBlock));

    store().execute_batch("DROP TRIGGER full").unwrap();
    let now = Clock::system().now();
    let client = client(place);
    assert!(client.items().unwrap().is_empty() && client.activity().unwrap().is_empty());
    let consents = client.consents(now).unwrap();
    let training = consents
        .iter()
        .find(|consent| consent.purpose == Purpose::ContributeTraining);
    assert!(training.is_some_and(|consent| consent.state == State::Off && consent.may_ask));
    drop(client);

    // What can be written is: and then nobody is asked again.
    let ended = run(place, &server, "no\nno\n");
    assert!(ended.status.success(), "{ended:?}");
    let asked = run(place, &server, "");
    let out = String::from_utf8(asked.stdout).unwrap();
    assert!(
        asked.status.success() && !out.contains("yes or no?"),
        "{out}"
    );
    let called = server.accept().map_err(|error| error.kind());
    assert_eq!(called.err(), Some(ErrorKind::WouldBlock));
}
