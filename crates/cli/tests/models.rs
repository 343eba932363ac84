//! Every model that clients train by gradient steps, in a short run on ml-100k. Needs `CHORUS_DATA`, and says so when it is not
//! set; without it `crates/torch/tests/architectures.rs` trains the same plans on people that are made up. `w1` learns too
//! little in a short run to be told from chance: `tests/vectors/w1` holds it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::fmt::Write;
use std::path::Path;

use common::{chorus, root};

/// A model, rounds, and the least HR@10: about nine tenths of what seed 1 has. A model that knows nothing has 0.10, popularity 0.318.
const MODELS: &[(&str, &str, f64)] = &[
    ("bpr-mf", "15", 0.36),
    #[cfg(feature = "torch")]
    ("neumf", "8", 0.39),
    #[cfg(feature = "torch")]
    ("two-tower", "8", 0.39),
    #[cfg(feature = "torch")]
    ("sequence", "8", 0.50),
    #[cfg(feature = "torch")]
    ("example-torchscript", "8", 0.32),
];

/// The data with everyone to learn from, and every fifth to measure: after each round the person of everyone who is measured is
/// rebuilt, which is ten times the work of the round itself.
fn with_a_fifth_measured(data: &Path, into: &Path) {
    let dataset = chorus_data::read(data).unwrap();
    let (mut train, mut test, mut negative) = (String::new(), String::new(), String::new());
    for user in 0..dataset.users() {
        for item in dataset.sequence(user) {
            writeln!(train, "{user}\t{}", item.0).unwrap();
        }
        let Some(held) = dataset.cases[user].as_ref().filter(|_| user % 5 == 0) else {
            continue;
        };
        writeln!(test, "{user}\t{}", held.positive.0).unwrap();
        write!(negative, "({user},{})", held.positive.0).unwrap();
        for item in &held.negatives {
            write!(negative, "\t{}", item.0).unwrap();
        }
        negative.push('\n');
    }
    std::fs::create_dir_all(into).unwrap();
    for (ending, text) in [
        ("train.rating", train),
        ("test.rating", test),
        ("test.negative", negative),
    ] {
        std::fs::write(into.join(format!("ml-100k.{ending}")), text).unwrap();
    }
    // What two-tower knows about items.
    for file in ["u.item.gz", "u.genre"] {
        std::fs::copy(data.join(file), into.join(file)).unwrap();
    }
}

#[test]
fn every_model_of_a_plan_learns_ml_100k() {
    let Some(data) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: CHORUS_DATA is not set, so there is no ml-100k to learn from");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let fifth = folder.path().join("fifth");
    with_a_fifth_measured(&Path::new(&data).join("ml-100k"), &fifth);
    for (name, rounds, least) in MODELS {
        let plan = root().join("models").join(name);
        let flags = [
            "simulate",
            "--model",
            plan.to_str().unwrap(),
            "--data",
            fifth.to_str().unwrap(),
            "--noise",
            "off",
            "--rounds",
            rounds,
            "--json",
            "figures.json",
        ];
        chorus(folder.path(), &flags).well();
        let text = std::fs::read_to_string(folder.path().join("figures.json")).unwrap();
        let figures: serde_json::Value = serde_json::from_str(&text).unwrap();
        let found = figures["hr_at_10"].as_f64().unwrap();
        println!("{name}: {found:.4} after {rounds} rounds");
        assert!(found >= *least, "{name}: {found}");
    }
}
