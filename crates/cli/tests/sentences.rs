//! What the person of a client is told: what stays, what was wrong, and results for programs.
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
use std::path::Path;

use common::{Said, chorus, me, told};
use serde_json::Value;

/// `chorus client --home me --catalogue items.tsv ...`, where seven and eight are of health.
fn with(folder: &Path, flags: &[&str]) -> Said {
    let table = "item\ttitle\ttopics\tsensitive\n4\tFour\tMusic\t\n7\tSeven\tMusic\thealth\n8\tEight\tMusic\thealth\n";
    fs::write(folder.join("items.tsv"), table).unwrap();
    let home = ["client", "--home", "me", "--catalogue", "items.tsv"];
    chorus(folder, &[&home[..], flags].concat())
}

/// What a no leaves is said, with the way to remove it, and is not counted as used.
#[test]
fn what_stays_after_a_no_is_said_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let purposes = ["local-personalisation", "sensitive:health"];
    with(place, &[&["consent", "grant"], &purposes[..]].concat()).well();
    fs::write(
        place.join("events.tsv"),
        "item\tkind\n4\tclick\n7\tclick\n8\tview\n",
    )
    .unwrap();
    with(place, &["import", "events.tsv"]).well();
    let used = || with(place, &["parameters"]).well();
    assert!(used().contains("3 items"), "{}", used());

    let off = with(place, &["consent", "withdraw", "sensitive:health"]);
    let says = "2 items of `sensitive:health` of before stay here";
    assert!(off.code == 0 && off.err.contains(says), "{off:?}");
    assert!(off.err.contains("`remove --sensitive health`"), "{off:?}");
    assert!(used().contains("1 item\n"), "{}", used());
    assert!(with(place, &["doctor"]).well().contains(says));
    // Only the catalogue knows what is of it.
    let blind = me(place, &["consent", "withdraw", "sensitive:health"]);
    assert!(blind.err.contains("with --catalogue"), "{blind:?}");
    me(place, &["remove", "--sensitive", "health"]).with(2, &["--catalogue"]);

    with(place, &["remove", "--sensitive", "hair"]).with(2, &["expected one of", "health"]);
    with(place, &["remove", "7", "--sensitive", "health"]).with(2, &["cannot be used"]);
    let removed = with(place, &["remove", "--sensitive", "health"]).well();
    assert!(removed.contains("2 items"), "{removed}");
    with(place, &["remove", "--sensitive", "health"]).with(3, &["nothing here is of `health`"]);
    let off = with(place, &["consent", "withdraw", "sensitive:health"]);
    assert!(!off.err.contains("stay here"), "{off:?}");
    assert!(!with(place, &["doctor"]).well().contains("sensitive:health"));
}

#[test]
fn a_private_session_begins_no_client() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    fs::write(place.join("events.tsv"), "item\n30\n").unwrap();
    fs::create_dir(place.join("other")).unwrap();
    fs::write(place.join("other/notes.txt"), "mine").unwrap();
    for home in ["me", "other"] {
        for command in [
            &["import", "events.tsv"][..],
            &["consent", "grant", "local-personalisation"],
            &["signal", "hear", "events.tsv"],
            &["centre"],
            &["status"],
            &["view"],
        ] {
            let flags = [&["client", "--home", home, "--private"], command].concat();
            chorus(place, &flags).with(3, &["there is no client in"]);
        }
    }
    assert!(!place.join("me").exists());
    assert_eq!(fs::read_dir(place.join("other")).unwrap().count(), 1);
}

/// A choice about an item that nothing knows would do nothing, and nobody would notice.
#[test]
fn an_item_that_is_nowhere_is_not_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    with(place, &["consent", "grant", "local-personalisation"]).well();
    let unsure = me(place, &["control", "mute", "--item", "99999"]);
    assert!(
        unsure.code == 0 && unsure.err.contains("99999"),
        "{unsure:?}"
    );
    me(place, &["control", "undo", "--item", "99999"]).well();
    with(place, &["control", "mute", "--item", "99999"]).with(3, &["no item 99999"]);
    with(place, &["control", "mute", "--item", "4"]).well();
    // What is in the history is known, and so is what a model has.
    fs::write(place.join("events.tsv"), "item\n50\n").unwrap();
    with(place, &["import", "events.tsv"]).well();
    with(place, &["control", "hide", "--item", "50"]).well();
    let shown = with(place, &["control", "show"]).well();
    assert_eq!(shown, "mute\titem\t4\tFour\nhide\titem\t50\n");
    let shown: Value =
        serde_json::from_str(&with(place, &["control", "show", "--json"]).well()).unwrap();
    assert_eq!(shown[0]["choice"], "mute");

    let lived = tempfile::tempdir().unwrap();
    person::lived_in(&lived.path().join("me"));
    me(lived.path(), &["control", "mute", "--item", "47"]).well();
    me(lived.path(), &["control", "mute", "--item", "48"]).with(3, &["no item 48"]);
}

#[test]
fn a_refusal_names_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    me(place, &["consent", "grant", "local-personalisation"]).well();
    for command in [
        &["control", "mute", "--item", "-1"][..],
        &["explain", "-1"],
        &["what-if", "4294967296"],
        &["remove", "-1"],
        &["correct", "x", "--at", "5", "--kind", "view"],
    ] {
        me(place, command).with(2, &["expected the number of an item, 0 to 4294967295"]);
    }
    me(place, &["remove", "17"]).with(3, &["no item 17"]);
    me(place, &["remove", "17", "--at", "5"]).with(3, &["click of item 17 at 5"]);
    me(place, &["what-if", "17"]).with(3, &["item 17"]);
    let correct = ["correct", "17", "--at", "5", "--kind"];
    me(place, &[&correct[..], &["view"]].concat()).with(3, &["click of item 17 at 5"]);
    me(place, &[&correct[..], &["rating"]].concat()).with(3, &["of item 17 at 5"]);

    let hear = |text: &str| {
        fs::write(place.join("signal.json"), text).unwrap();
        me(place, &["signal", "hear", "signal.json"])
    };
    hear(r#"{"kind": "gpc"}"#).with(3, &["missing field `on`"]);
    hear(r#"{"kind": "smoke"}"#).with(3, &["unknown variant `smoke`"]);
    hear(r#"{"kind": "tcf", "applies": 1, "string": ""}"#).with(3, &["expected a boolean"]);
    let heard = hear(r#"{"kind": "gpc", "on": true}"#).well();
    assert!(!heard.contains("cannot be read"), "{heard}");
    let heard = hear(r#"{"kind": "tcf", "applies": true, "string": "rubbish"}"#).well();
    assert!(heard.contains("its string cannot be read"), "{heard}");
    let shown = me(place, &["signal", "show"]).well();
    let [gpc, tcf] = shown.lines().collect::<Vec<_>>()[..] else {
        panic!("{shown}");
    };
    assert!(
        gpc.starts_with("gpc\t") && gpc.ends_with("says no to channel-slate, third-party-share")
    );
    assert!(tcf.starts_with("tcf\t"), "{tcf}");
}

#[test]
fn the_end_of_a_session_is_there_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    person::lived_in(&place.join("me"));
    // Nobody is there, so the session waits until it is over.
    let run = ["run", "--coordinator", "127.0.0.1:9", "--task", "films"];
    let ended = told(place, &[&run[..], &["--max-ms", "300", "--json"]].concat());
    assert_eq!(
        (&ended["task"], &ended["end"]),
        (&"films".into(), &"spent".into())
    );
}

/// What it says is for its person: a log of the libraries is not.
#[test]
fn an_erasure_that_cannot_be_noted_is_no_line_of_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    me(place, &["consent", "grant", "local-personalisation"]).well();
    // In the way of the note for the next opening.
    fs::create_dir(place.join("me/client.erasing.new")).unwrap();
    let erased = me(place, &["erase", "--yes"]);
    assert!(!place.join("me/client.key").exists());
    assert!(!erased.err.contains("WARN"), "{erased:?}");
    erased.well();
}
