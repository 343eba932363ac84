//! `chorus client doctor`: each thing that can be wrong is named, with what to do about it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chorus_authority::{Invited, ServeOptions};
use chorus_client::{Answer, Client, Decision, Event, FileKey, Purpose, Settings};
use chorus_model::ItemId;
use chorus_wire::Clock;
use chorus_wire::client::Target;
use common::{chorus, chorus_with};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

const DAY: i64 = 24 * 60 * 60;

/// What the doctor finds about one thing, and whether it is ill. The exit code says whether anything is.
#[track_caller]
fn finds(folder: &Path, what: &str) -> (String, String) {
    let said = chorus(folder, &["client", "--home", "me", "doctor", "--json"]);
    judged(said.code, &said.out, what)
}

#[track_caller]
fn judged(code: i32, out: &str, what: &str) -> (String, String) {
    let findings: Vec<Value> =
        serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let ill = findings.iter().any(|finding| finding["health"] == "ill");
    assert_eq!(code, i32::from(ill), "{findings:#?}");
    let about = findings.iter().filter(|finding| finding["what"] == what);
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    // The worst of them.
    about
        .map(|finding| (text(finding, "health"), text(finding, "says")))
        .min_by_key(|(health, _)| health != "ill")
        .unwrap_or_else(|| panic!("nothing about {what}: {findings:#?}"))
}

/// Opens a client as it was at a time.
fn client(home: &Path, now: i64) -> Client {
    let mut client = Client::open(home, &FileKey::beside(home), Settings::default(), now).unwrap();
    let purposes = [Purpose::ContributeTraining, Purpose::LocalPersonalisation];
    let decision = Decision::new(Answer::Yes, purposes, client.notice("en").unwrap());
    client.decide(&decision, now).unwrap();
    client.record(Event::click(ItemId(7), now), now).unwrap();
    client
}

#[test]
fn files_that_are_not_as_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let (place, home) = (folder.path(), folder.path().join("me"));
    drop(client(&home, Clock::system().now()));
    for what in ["disk", "store", "clock"] {
        assert_eq!(finds(place, what).0, "well", "{what}");
    }
    assert_eq!(finds(place, "key").0, "note");

    let key = home.join("client.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (health, says) = finds(place, "key");
    assert!(
        health == "ill" && says.contains("chmod 600") && says.contains("rotate-key"),
        "{says}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(finds(place, "key").0, "note");

    let refused = chorus(place, &["client", "--home", "me", "doctor", "--set-aside"]);
    refused.with(5, &["no need"]);
    let store = home.join("client.db");
    let mut bytes = fs::read(&store).unwrap();
    for byte in bytes.iter_mut().skip(100).step_by(7) {
        *byte ^= 0x55;
    }
    fs::write(&store, &bytes).unwrap();
    let (health, says) = finds(place, "store");
    assert!(
        health == "ill" && says.contains("damaged") && says.contains("backup"),
        "{says}"
    );
    assert_eq!(fs::read(&store).unwrap(), bytes, "it is left as it was");
    chorus(place, &["client", "--home", "me", "doctor", "--set-aside"]).well();
    assert!(!store.exists());
    assert_eq!(finds(place, "store").0, "well");

    let passphrase = [
        "client",
        "--home",
        "me",
        "--key",
        "passphrase",
        "doctor",
        "--set-aside",
    ];
    let forgotten = chorus_with(place, &passphrase, &[("CHORUS_PASSPHRASE", "forgotten")]);
    assert!(forgotten.code != 0 && store.exists(), "{forgotten:?}");
    fs::remove_file(&key).unwrap();
    let (health, says) = finds(place, "store");
    assert!(
        health == "ill" && says.contains("put the key back"),
        "{says}"
    );
    let nobody = chorus(place, &["client", "--home", "nobody", "doctor"]);
    nobody.with(1, &["1 of 1 things need mending"]);
}

#[test]
fn a_disk_without_room() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    drop(client(&place.join("me"), Clock::system().now()));
    // A disk of its own, in a name space of its own, filled to the brim.
    let script = "mkdir small && mount -t tmpfs -o size=2m none small && cp -r me small/me && \
                  (cat /dev/zero > small/full 2>/dev/null; true) && cd small && \
                  exec \"$0\" client --home me doctor --json";
    let shown = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_chorus"))
        .current_dir(place)
        .output();
    let Ok(shown) = shown else {
        eprintln!("skipped: there is no `unshare` here");
        return;
    };
    let out = String::from_utf8_lossy(&shown.stdout);
    if out.is_empty() {
        eprintln!(
            "skipped: no disk of our own here: {}",
            String::from_utf8_lossy(&shown.stderr)
        );
        return;
    }
    let (health, says) = judged(shown.status.code().unwrap(), &out, "disk");
    assert!(health == "ill" && says.contains("make room"), "{says}");
    assert_eq!(finds(place, "disk").0, "well", "the other disk has room");
}

#[test]
fn a_clock_that_went_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    drop(client(&place.join("me"), Clock::system().now() + 10 * DAY));
    let (health, says) = finds(place, "clock");
    assert!(
        health == "ill" && says.contains("240 hours") && says.contains("set its clock"),
        "{says}"
    );
}

#[tokio::test]
async fn a_certificate_that_ran_out() {
    let folder = tempfile::tempdir().unwrap();
    let (place, home) = (folder.path(), folder.path().join("me"));
    let now = Clock::system().now();
    drop(client(&home, now));
    let (health, says) = finds(place, "enrolment");
    assert!(health == "ill" && says.contains("`enrol` it"), "{says}");

    // Everybody lives two years ago.
    let then = now - 730 * DAY;
    let clock = Clock::new(move || then);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let office = place.join("authority");
    let authority = chorus_authority::init(&office, then, &mut rng).unwrap();
    let hour = Duration::from_secs(3_600);
    let code = chorus_authority::invite(&office, &Invited::Client, hour, 1, then, &mut rng)
        .unwrap()
        .remove(0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(&listener.local_addr().unwrap().to_string()).unwrap();
    let (serving, chance) = (clock.clone(), ChaCha20Rng::seed_from_u64(2));
    tokio::spawn(async move {
        let options = ServeOptions {
            server_name: "127.0.0.1".to_owned(),
            ..ServeOptions::default()
        };
        let forever = std::future::pending();
        chorus_authority::serve(listener, &office, &options, serving, chance, forever)
            .await
            .unwrap();
    });
    let keys = FileKey::beside(&home);
    let mut client = Client::open(&home, &keys, Settings::default(), now).unwrap();
    client
        .enrol(&target, &authority, &code, &mut rng, &clock)
        .await
        .unwrap();
    drop(client);
    let (health, says) = finds(place, "enrolment");
    assert!(
        health == "ill" && says.contains("new invitation") && says.contains("is valid from"),
        "{says}"
    );
}
