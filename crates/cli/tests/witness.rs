//! The witness by hand: enrolled, asked over TLS, restarted, asked again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use chorus_coordinator::Directory;
use chorus_protocol::{Digest, Question, RoundId, Testimony};
use chorus_wire::client::{SendError, Target, WitnessConnection};
use chorus_wire::{Clock, InvitationCode, certificate::Authority};
use common::{Said, Service, chorus, invitation};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rustix::process::Signal;
use serde_json::Value;

const RUN: [&str; 4] = ["witness", "run", "--listen", "127.0.0.1:0"];

fn invite(folder: &Path, role: &str) -> String {
    let flags = ["authority", "invite", "--role", role];
    let named = [&flags[..], &["--server-name", "localhost"]].concat();
    chorus(folder, &named).well().trim().to_owned()
}

fn enrol(folder: &Path, authority: &str, invitation: &str) -> Said {
    let flags = [
        "witness",
        "enrol",
        "--authority",
        authority,
        "--certificate",
        "authority/authority.pem",
        "--invitation",
        invitation,
    ];
    chorus(folder, &flags)
}

fn status(folder: &Path) -> Value {
    let said = chorus(folder, &["witness", "status", "--json"]).well();
    serde_json::from_str(&said).unwrap()
}

/// A coordinator that the authority enrolled.
async fn coordinator(folder: &Path, authority: &str) -> (Authority, Directory) {
    let pem = fs::read(folder.join("authority/authority.pem")).unwrap();
    let root = Authority::from_pem(&pem).unwrap();
    let code: InvitationCode = invite(folder, "coordinator").parse().unwrap();
    let target = Target::new(authority).unwrap();
    let (directory, clock) = (Directory::new(folder.join("coordinator")), Clock::system());
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let enrolling = directory.enrol(&target, &root, &code, &clock, rng);
    enrolling.await.unwrap();
    (root, directory)
}

fn randomness(answer: Result<Testimony, SendError>) -> [u8; 32] {
    match answer {
        Ok(Testimony::Beacon(beacon)) => beacon.randomness,
        Ok(Testimony::Seal(_)) => panic!("expected a beacon, found a seal"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_no_witness_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = ["witness.key is missing", "enrol this witness first"];
    chorus(folder, &RUN).with(4, &words);
    chorus(folder, &["witness", "status"]).with(4, &words);
    assert!(!folder.join("witness/witness.key").exists());
    let nameless = ["authority", "invite", "--role", "witness"];
    chorus(folder, &nameless).with(2, &["--server-name"]);
    chorus(folder, &["authority", "init"]).well();
    enrol(folder, "127.0.0.1:1", "no-code").with(3, &["32 letters and digits"]);
    let code = invite(folder, "witness");
    enrol(folder, "127.0.0.1:1", &code).with(4, &["enrolment"]);
}

#[test]
fn a_witness_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    chorus(folder, &["authority", "init"]).well();
    let serve = ["authority", "serve", "--listen", "127.0.0.1:0"];
    let authority = Service::listening(folder, &serve);
    let at = authority.address.as_str();

    // A client's invitation makes no witness.
    enrol(folder, at, &invitation(folder, 0)).with(5, &["expected `witness`"]);
    let code = invite(folder, "witness");
    enrol(folder, at, &code).well();
    let said = chorus(folder, &["witness", "status"]).well();
    for words in [
        "not serving",
        "its certificate is valid for",
        "no coordinator has asked yet",
    ] {
        assert!(said.contains(words), "{said}");
    }

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (root, directory) = coordinator(folder, at).await;
        let clock = Clock::system();
        let credentials = directory.credentials(clock.now()).unwrap();
        let connect = |address: &str| {
            let target = Target::new(address).unwrap();
            WitnessConnection::new(target, &root, &credentials, &clock).unwrap()
        };
        let question = |keys: u8| Question::Draw {
            round: RoundId(1),
            commitment: Digest([keys; 32]),
        };
        let witness = Service::listening(folder, &RUN);
        chorus(folder, &RUN).with(4, &["another witness runs on witness"]);
        let drawn = randomness(connect(&witness.address).ask(&question(1)).await);
        assert_eq!(status(folder)["serving"], true);
        assert_eq!(witness.end(Signal::TERM), Some(0));

        let witness = Service::listening(folder, &RUN);
        let connection = connect(&witness.address);
        assert_eq!(randomness(connection.ask(&question(1)).await), drawn);
        let refused = connection.ask(&question(2)).await.err();
        assert!(
            matches!(refused, Some(SendError::Refused { label, .. }) if label == "round-drawn")
        );
        // Also when it did not see its end coming.
        assert_eq!(witness.end(Signal::KILL), None);
        let witness = Service::listening(folder, &RUN);
        let connection = connect(&witness.address);
        assert_eq!(randomness(connection.ask(&question(1)).await), drawn);
        assert_eq!(witness.end(Signal::INT), Some(0));
    });

    let status = status(folder);
    assert_eq!(status["serving"], false);
    assert_eq!(status["key"].as_str().unwrap().len(), 64);
    let coordinator = &status["coordinators"][0];
    assert_eq!(
        (&coordinator["rounds"], &coordinator["signed"]),
        (&1.into(), &0.into())
    );
    assert_eq!(coordinator["other_commitments"], 1);
    let said = chorus(folder, &["witness", "status"]).well();
    assert!(said.contains("an honest coordinator never does"), "{said}");

    // What it signed is gone, and so is the witness.
    fs::remove_file(folder.join("witness/witness.sqlite")).unwrap();
    let gone = ["has forgotten what it signed", "make a new witness"];
    chorus(folder, &RUN).with(5, &gone);
    enrol(folder, at, &invite(folder, "witness")).with(5, &gone);
}
