//! What holds for every file: short, finished, and in the pure crates free of the outside world.

use std::fs;
use std::path::{Path, PathBuf};

const LONGEST: usize = 600;
const MEDIAN: usize = 200;

/// Written in two halves, or this file would find itself.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Crates whose time, randomness and bytes come in as arguments.
const PURE: [&str; 4] = ["model", "privacy", "secagg", "protocol"];
// Threads that end before the function that began them are a way to compute, and change no result.
const OUTSIDE_WORLD: [&str; 11] = [
    "std::net",
    "std::fs",
    "std::env",
    "std::process",
    "thread::spawn",
    "thread::sleep",
    "Instant::now",
    "SystemTime",
    "rand::rng(",
    "SysRng",
    "getrandom",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file under `folder` with one of the endings, but for generated code and test vectors.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !["generated", "vectors", "target"].contains(&name.as_str()) {
            found.extend(files(&path, endings));
        } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn too_long(lines: usize) -> bool {
    lines > LONGEST
}

fn unfinished(text: &str) -> bool {
    UNFINISHED.iter().any(|mark| text.contains(mark))
}

/// What of the outside world the part before the unit tests names, comments aside.
fn outside_world(source: &str) -> Vec<&'static str> {
    let product = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    OUTSIDE_WORLD
        .into_iter()
        .filter(|name| code.iter().any(|line| line.contains(name)))
        .collect()
}

#[test]
fn source_files_are_short() {
    let mut lengths = Vec::new();
    for folder in ["crates", "tests"] {
        for path in files(&root().join(folder), &[".rs"]) {
            let lines = read(&path).lines().count();
            assert!(
                !too_long(lines),
                "{} has {lines} lines: a file over {LONGEST} has two jobs",
                path.display()
            );
            lengths.push(lines);
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(
        median < MEDIAN,
        "half of the source files have {median} lines or more"
    );
    assert!(too_long(LONGEST + 1));
}

#[test]
fn nothing_is_left_unfinished() {
    for folder in [
        "crates", "tests", "proto", "models", "scripts", ".ci", ".cargo",
    ] {
        for path in files(
            &root().join(folder),
            &[
                "rs", "toml", "md", "proto", "py", "test", "setup", "demo", "fuzz", "run",
            ],
        ) {
            assert!(
                !unfinished(&read(&path)),
                "{} has something left to do",
                path.display()
            );
        }
    }
    assert!(unfinished(&format!("// {}: later", UNFINISHED[0])));
}

#[test]
fn every_crate_says_what_it_is() {
    for entry in fs::read_dir(root().join("crates")).expect("crates/ is there") {
        let folder = entry.expect("a readable folder").path();
        if !folder.join("Cargo.toml").is_file() {
            continue;
        }
        assert!(
            folder.join("README.md").is_file(),
            "{} has no README.md",
            folder.display()
        );
        let library = folder.join("src/lib.rs");
        if library.is_file() {
            let first_page = r#"#![doc = include_str!("../README.md")]"#;
            assert!(
                read(&library).contains(first_page),
                "{}: README.md is not its first page",
                library.display()
            );
        }
    }
}

#[test]
fn pure_crates_do_not_touch_the_outside_world() {
    for name in PURE {
        let sources = files(&root().join("crates").join(name).join("src"), &[".rs"]);
        assert!(!sources.is_empty(), "{name} has sources");
        for path in sources {
            let found = outside_world(&read(&path));
            assert!(
                found.is_empty(),
                "{} names {}",
                path.display(),
                found.join(", ")
            );
        }
    }
    assert_eq!(
        outside_world("use std::fs;\nlet now = Instant::now();"),
        ["std::fs", "Instant::now"]
    );
    assert!(outside_world("// std::fs is not used\n#[cfg(test)]\nuse std::fs;").is_empty());
}
