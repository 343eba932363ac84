//! `crates/client/THREATS.md` names a test for each threat: all of them are there, and each is one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every function of the workspace that is a test.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            tests(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[") {
                    is_test |= line.contains("test");
                } else if let Some((_, rest)) = line.split_once("fn ") {
                    let name = rest.split(['(', '<']).next().unwrap();
                    if std::mem::take(&mut is_test) {
                        found.insert(name.to_owned());
                    }
                }
            }
        }
    }
}

#[test]
fn every_threat_names_tests_that_are_there() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut known = BTreeSet::new();
    tests(&root.join("crates"), &mut known);
    tests(&root.join("tests"), &mut known);
    assert!(known.contains("every_threat_names_tests_that_are_there"));
    let page = fs::read_to_string(root.join("crates/client/THREATS.md")).unwrap();
    for threat in 1..=16 {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| T{threat} |")));
        let row = row.unwrap_or_else(|| panic!("T{threat} has no row"));
        let shown = row.rsplit('|').nth(1).unwrap();
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "T{threat} names no test");
        for name in named {
            assert!(known.contains(name), "T{threat}: there is no test {name}");
        }
    }
}
