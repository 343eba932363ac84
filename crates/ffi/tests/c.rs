//! Small C programs against the library as it is linked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod cc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Builds and runs a program in a folder of its own, which it is told.
fn run(source: &Path) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    cc::build(source, &program)?;
    let home = folder.path().join("home");
    let output = Command::new(&program).arg(&home).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {told}{words}",
        source.display()
    );
    Some(told)
}

#[test]
fn misuse_is_a_code_and_a_sentence() {
    run(&here("tests/c/misuse.c"));
}

#[test]
fn a_key_store_of_the_app_holds_the_key() {
    run(&here("tests/c/keys.c"));
}

#[test]
fn the_example_of_the_readme_works() {
    let readme = fs::read_to_string(here("README.md")).unwrap();
    let (_, rest) = readme.split_once("```c\n").expect("there is an example");
    let (example, _) = rest.split_once("```").expect("it has an end");
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("example.c");
    fs::write(&source, example).unwrap();
    if let Some(told) = run(&source) {
        assert!(told.contains("ask first: nothing was kept"), "{told}");
        assert!(told.contains("\"events\":0"), "{told}");
    }
}
