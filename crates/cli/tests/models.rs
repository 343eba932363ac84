//! Every model that clients train by gradient steps, in a short run on ml-100k. Needs `CHORUS_DATA`, and says so when it is not
//! set; without it `crates/torch/tests/architectures.rs` trains the same plans on people that are made up. `w1` learns too
//! little in a short run to be told from chance: `tests/vectors/w1` holds it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::{chorus, root};

/// A model, rounds, and the least HR@10: about nine tenths of what seed 1 has. A model that knows nothing has 0.10, popularity 0.316.
const MODELS: &[(&str, &str, f64)] = &[
    ("bpr-mf", "15", 0.37),
    #[cfg(feature = "torch")]
    ("neumf", "8", 0.39),
    #[cfg(feature = "torch")]
    ("two-tower", "8", 0.41),
    #[cfg(feature = "torch")]
    ("sequence", "8", 0.46),
    #[cfg(feature = "torch")]
    ("example-torchscript", "8", 0.32),
];

#[test]
fn every_model_of_a_plan_learns_ml_100k() {
    let Some(data) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: CHORUS_DATA is not set, so there is no ml-100k to learn from");
        return;
    };
    let data = std::path::Path::new(&data).join("ml-100k");
    let folder = tempfile::tempdir().unwrap();
    for (name, rounds, least) in MODELS {
        let plan = root().join("models").join(name);
        let flags = [
            "simulate",
            "--model",
            plan.to_str().unwrap(),
            "--data",
            data.to_str().unwrap(),
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
