//! `chorus audit`, as a person would run it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{chorus, data};
use serde_json::Value;

/// A population of 120 with a catalogue wide enough that canaries do not hide behind each other.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    data(&folder.path().join("data"), 120, 900);
    folder
}

fn audit(folder: &Path, more: &[&str]) -> common::Said {
    audit_with(folder, "200", more)
}

fn audit_with(folder: &Path, canaries: &str, more: &[&str]) -> common::Said {
    let flags = [
        "audit",
        "privacy",
        "--data",
        "data",
        "--canaries",
        canaries,
        "--sweeps",
        "1",
        "--factors",
        "2",
    ];
    chorus(folder, &[&flags[..], more].concat())
}

#[test]
fn a_sound_task_passes_and_forgotten_noise_ends_with_5() {
    let folder = folder();
    let said = audit(
        folder.path(),
        &["--epsilon", "2", "--json", "--out", "a.html"],
    )
    .well();
    let sound: Value = serde_json::from_str(&said).unwrap();
    assert!(sound["claimed"].as_f64().unwrap() <= 2.0);
    assert!(sound["strong"]["minimum"].as_f64().unwrap() <= sound["claimed"].as_f64().unwrap());
    assert_ne!(sound["verdict"], "broken");
    let page = fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert!(
        page.contains("chorus audit privacy") && page.contains("Only the claim is a guarantee")
    );

    let forgotten = audit(folder.path(), &["--epsilon", "1", "--forget-noise"]);
    assert!(forgotten.out.contains("stopped after the sum `counts`"));
    forgotten.with(5, &["proven minimum", "above the claimed upper limit"]);
}

#[test]
fn too_few_canaries_are_no_pass_even_where_the_noise_is_forgotten() {
    let folder = folder();
    for more in [&[][..], &["--forget-noise"]] {
        let flags = ["--epsilon", "8", "--json", "--out", "a.html"];
        let said = audit_with(folder.path(), "8", &[&flags, more].concat());
        let found: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(found["verdict"], "cannot-refute");
        said.with(6, &["cannot refute: 8 canaries can prove at most epsilon"]);
    }
    let page = fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert!(page.contains("This is no pass"));
}

#[test]
fn what_cannot_be_audited_is_refused() {
    let folder = folder();
    audit(folder.path(), &["--noise", "off"]).with(2, &["--epsilon E"]);
    let many = [
        "audit",
        "privacy",
        "--data",
        "data",
        "--epsilon",
        "1",
        "--canaries",
        "1000",
    ];
    chorus(folder.path(), &many).with(1, &["canaries: 1000"]);
    chorus(folder.path(), &["audit", "privacy", "--epsilon", "1"]).with(2, &["--data"]);
    let out = ["--epsilon", "1", "--out", "nowhere/a.html"];
    audit(folder.path(), &out).with(4, &["there is no folder"]);
}

#[test]
fn every_control_is_caught_by_its_check() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["audit", "privacy", "--self-test", "--trials", "10000"];
    let table = chorus(folder.path(), &flags).well();
    for (fault, check) in [
        ("forgotten noise: one coordinate", "audit"),
        ("noise shared among the invited", "variance"),
        ("clip after noise", "variance"),
        ("wrong modulus", "round-trip equality"),
        ("a seed used in every round", "repeated vectors"),
        ("norm checked before rounding", "integer norm"),
    ] {
        let mut lines = table.lines();
        let line = lines.find(|line| line.contains(fault)).unwrap();
        assert!(line.matches(check).count() >= 2, "{line}");
    }
}

#[test]
fn attacks_stay_under_their_ceilings() {
    let folder = folder();
    let flags = [
        "audit",
        "attack",
        "--data",
        "data",
        "--epsilon",
        "4",
        "--sweeps",
        "1",
        "--factors",
        "2",
        "--people",
        "5",
        "--out",
        "attack.html",
        "--json",
    ];
    let said: Value = serde_json::from_str(&chorus(folder.path(), &flags).well()).unwrap();
    let rows = said["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["noise"] == false && row["auc"] == 1.0)
    );
    assert!(
        said["skipped"][0]
            .as_str()
            .unwrap()
            .contains("gender and age")
    );
    let page = fs::read_to_string(folder.path().join("attack.html")).unwrap();
    assert!(page.contains("without aggregation") || page.contains("own update"));

    let few = folder.path().join("few");
    data(&few, 40, 60);
    let flags = ["audit", "attack", "--data", "few", "--epsilon", "4"];
    chorus(folder.path(), &flags).with(3, &["40 people have 4 items or more", "60"]);
    chorus(
        folder.path(),
        &[&flags[..], &["--people", "1000000"]].concat(),
    )
    .with(2, &["--people", "2 to 1000"]);
}
