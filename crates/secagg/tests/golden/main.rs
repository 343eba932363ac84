//! Every case of `tests/vectors/secagg`, which an independent implementation computed (`scripts/vectors`).
//!
//! Each file's kinds of cases are listed here: one that is missing fails, and so does one that no test looks at.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, its helpers too"
)]

mod bounds;
mod envelopes;
mod generated;
mod graphs;
mod keys;
mod masks;
mod packing;
mod reading;
mod rounds;
mod shares;

#[test]
fn every_file_has_a_test() {
    let folder = std::fs::read_dir(reading::FOLDER).unwrap();
    let mut found: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    found.sort();
    let known = [
        "bounds.json",
        "envelopes.json",
        "graphs.json",
        "keys.json",
        "masks.json",
        "packing.json",
        "rounds.json",
        "shares.json",
    ];
    assert_eq!(found, known);
}
