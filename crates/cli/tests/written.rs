//! What the commands of a person's client write, and for whom.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::me;

/// What is written of a person is theirs to read, and goes nowhere but where they said.
#[test]
fn an_export_is_private_and_follows_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    me(place, &["consent", "grant", "local-personalisation"]).well();
    fs::write(place.join("events.tsv"), "item\n17\n").unwrap();
    me(place, &["import", "events.tsv"]).well();
    let export = |name| me(place, &["export", "--json", name]);
    let mode = |name| fs::metadata(place.join(name)).unwrap().permissions().mode() & 0o777;
    export("new.json").well();
    assert_eq!(mode("new.json"), 0o600);
    // A plain file that was named is replaced, and what others could read of it they cannot read any more.
    fs::write(place.join("old.json"), "old").unwrap();
    fs::set_permissions(place.join("old.json"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(place.join("old.json"), place.join("other.json")).unwrap();
    export("old.json").well();
    assert_eq!(mode("old.json"), 0o600);
    assert_eq!(fs::read_to_string(place.join("other.json")).unwrap(), "old");
    fs::write(place.join("theirs"), "theirs").unwrap();
    for (target, link) in [
        ("theirs", "link.json"),
        ("nowhere", "dangling.json"),
        ("me/client.key", "key.json"),
    ] {
        symlink(target, place.join(link)).unwrap();
        export(link).with(2, &["link", link]);
    }
    assert_eq!(fs::read_to_string(place.join("theirs")).unwrap(), "theirs");
    assert!(!place.join("nowhere").exists());
    fs::create_dir(place.join("folder")).unwrap();
    export("folder").with(2, &["no plain file"]);
    // Through a link to the client's folder, it is still the client's.
    symlink("me", place.join("alias")).unwrap();
    export("alias/mine.json").with(2, &["own folder"]);
    let receipt = ["erase", "--yes", "--receipt", "receipt.json"];
    fs::write(place.join("me/notes.txt"), "mine").unwrap();
    let erased = me(place, &receipt);
    assert!(erased.err.contains("notes.txt"), "{erased:?}");
    erased.well();
    assert_eq!(mode("receipt.json"), 0o600);
}

/// A full disk behind standard output and standard error: what was asked for is done, and the command says that it could not say so.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_said_is_done_and_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let unheard = |flags: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chorus"));
        command.args(["client", "--home", "me"]).args(flags);
        let command = command.current_dir(place).stdout(full()).stderr(full());
        command.status().unwrap().code()
    };
    assert_eq!(
        unheard(&["consent", "grant", "local-personalisation"]),
        Some(4)
    );
    let shown = me(place, &["consent", "show", "local-personalisation"]).well();
    assert!(shown.contains("on"), "{shown}");
    assert_eq!(unheard(&["view", "--json"]), Some(4));
    fs::write(place.join("me/client.db"), "rubbish").unwrap();
    assert_eq!(unheard(&["erase", "--yes"]), Some(4));
    assert!(fs::read_dir(place.join("me")).map_or(0, Iterator::count) == 0);
}
