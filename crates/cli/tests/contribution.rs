//! What leaves, how much of it, and how the person sees it: the commands around `chorus client run`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod common;
#[path = "common/person.rs"]
mod person;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Said, Service, chorus, invitation, me, told};
use person::lived_in;
use serde_json::Value;

#[test]
fn the_log_and_the_status_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    lived_in(&place.join("me"));
    let log = told(place, &["activity", "--json"]);
    let lines = log.as_array().unwrap();
    for line in lines {
        for field in ["at", "what", "messages", "bytes", "purpose"] {
            assert!(!line[field].is_null(), "{field} of {line}");
        }
    }
    let contributed: Vec<&Value> = lines
        .iter()
        .filter(|line| line["what"] == "contribution")
        .collect();
    let status = told(place, &["status", "--json"]);
    let task = &status["tasks"][0];
    assert!(!contributed.is_empty());
    assert_eq!(task["sent"], contributed.len());
    assert_eq!(task["contributions"], task["sent"]);
    let last = contributed.last().unwrap();
    assert_eq!(last["epsilon"], task["epsilon"]);
    assert!(last["round"].is_u64() && last["purpose"] == "contribute-training");

    let text = me(place, &["activity"]).well();
    assert_eq!(text.lines().count(), lines.len() + 1);
    let shown = text.lines().find(|line| line.contains("contribution\t"));
    let epsilon = format!("{:.3}", contributed[0]["epsilon"].as_f64().unwrap());
    assert!(shown.unwrap().ends_with(&epsilon), "{text}");
    let status = me(place, &["status"]).well();
    let says = format!("{} in the log of what left", contributed.len());
    assert!(status.contains(&says), "{status}");
    let doctor = told(place, &["doctor", "--json"]);
    let privacy = doctor.as_array().unwrap().iter();
    let privacy: Vec<&Value> = privacy.filter(|found| found["what"] == "privacy").collect();
    assert!(
        privacy[0]["says"].to_string().contains("has used"),
        "{doctor}"
    );

    me(place, &["consent", "grant", "local-personalisation"]).well();
    let fresh = chorus(
        place,
        &["client", "--home", "new", "consent", "level", "device"],
    );
    fresh.well();
    let nothing = chorus(place, &["client", "--home", "new", "activity"]);
    assert!(nothing.err.contains("nothing has left"), "{nothing:?}");
}

#[test]
fn a_session_ends_with_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    lived_in(&place.join("me"));
    // Nobody is there, so the session waits until it is over.
    let run = ["run", "--coordinator", "127.0.0.1:9", "--task", "films"];
    let ended = me(place, &[&run[..], &["--max-ms", "300"]].concat());
    assert!(ended.err.contains("later:"), "{ended:?}");
    let said = ended.well();
    assert!(
        said.contains("the budget of this session is used up"),
        "{said}"
    );
    for (flag, value) in [
        ("--max-ms", "0"),
        ("--max-bytes", "-1"),
        ("--max-threads", "0"),
    ] {
        let limit = format!("{flag}={value}");
        let flags = [&run[..], &[&limit]].concat();
        me(place, &flags).with(2, &["expected a whole number", flag]);
    }
}

/// `chorus client --home me enrol` with an invitation, which is read from standard input.
fn enrol(folder: &Path, authority: &str, flags: &[&str], typed: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chorus"))
        .args(["client", "--home", "me", "enrol", "--authority", authority])
        .args(["--certificate", "authority/authority.pem"])
        .args(flags)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Who was told to read nothing may have closed it.
    let _closed = input.write_all(typed.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn an_invitation_need_not_stand_in_the_list_of_processes() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    chorus(place, &["authority", "init"]).well();
    let authority = Service::listening(place, &["authority", "serve", "--listen", "127.0.0.1:0"]);
    let at = &authority.address;
    me(place, &["consent", "grant", "contribute-training"]).well();
    enrol(place, at, &["--invitation", "-"], "nonsense\n").with(3, &["invitation"]);
    enrol(place, at, &["--invitation", "-"], "").with(3, &["invitation"]);
    enrol(place, at, &["--invitation-file", "nowhere"], "").with(3, &["nowhere"]);
    enrol(place, at, &[], "").with(2, &["--invitation"]);
    let both = ["--invitation", "-", "--invitation-file", "code"];
    enrol(place, at, &both, "").with(2, &["--invitation"]);

    let code = format!("{}\n", invitation(place, 0));
    let enrolled = enrol(place, at, &["--invitation", "-", "--json"], &code).well();
    let enrolled: Value = serde_json::from_str(&enrolled).unwrap();
    let status = me(place, &["status"]).well();
    let client = format!("client {}\n", enrolled["client"].as_str().unwrap());
    assert!(status.starts_with(&client), "{status}");
    let id = told(place, &["status", "--json"]);
    assert_eq!(id["enrolment"]["state"], "valid");
    fs::write(place.join("code"), invitation(place, 1)).unwrap();
    enrol(place, at, &["--invitation-file", "code"], "").well();
}
