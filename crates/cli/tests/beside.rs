//! Tasks that the same people learn beside each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Service, chorus, data};
use rustix::process::Signal;
use serde_json::Value;

const PRIVATE: [&str; 7] = [
    "simulate",
    "--data",
    "data",
    "--epsilon",
    "8",
    "--factors",
    "4",
];

fn room() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    data(&room.path().join("data"), 24, 30);
    room
}

fn private<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PRIVATE[..], more].concat()
}

fn told(folder: &Path, more: &[&str]) -> Value {
    let said = chorus(folder, &private(&[more, &["--json"]].concat())).well();
    serde_json::from_str(&said).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// One after the other or in turns: the same bits; and what both take of one person is composed as releases are.
#[test]
fn tasks_beside_each_other_learn_what_each_learns_alone() {
    let room = room();
    let folder = room.path();
    let both = told(
        folder,
        &["--beside", "epsilon=2, seed=7, sweeps=1", "--out", "both"],
    );
    chorus(folder, &private(&["--out", "one"])).well();
    let own = ["--epsilon", "2", "--seed", "7", "--sweeps", "1"];
    chorus(folder, &private(&[&own[..], &["--out", "two"]].concat())).well();
    let model = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert_eq!(model("both/task-1"), model("one"));
    assert_eq!(model("both/task-2"), model("two"));
    assert_ne!(model("one"), model("two"));
    chorus(folder, &["simulate", "--repeat", "both/task-2"]).well();

    let tasks = both["tasks"].as_array().unwrap();
    assert_eq!(
        (&tasks[0]["task"], &tasks[1]["keys"]["epsilon"]),
        (&"task-1".into(), &"2".into())
    );
    let (first, second) = (number(&tasks[0]["epsilon"]), number(&tasks[1]["epsilon"]));
    let together = &both["together"];
    let epsilon = number(&together["epsilon"]);
    assert!(first < epsilon && epsilon < first + second, "{together}");
    // Everyone is in every sum: counts, and a Gram and a projection a sweep.
    let longest = number(&tasks[0]["upload_bytes_per_client"]);
    assert!(
        number(&together["upload_bytes_per_client"]) > longest,
        "{together}"
    );

    let words = chorus(folder, &private(&["--beside", "seed=2"])).well();
    assert!(
        words.contains("together, of one client: epsilon"),
        "{words}"
    );
    // Nothing is begun anew.
    let began = fs::metadata(folder.join("both/task-1/run.json"))
        .unwrap()
        .modified()
        .unwrap();
    let again = told(
        folder,
        &["--beside", "epsilon=2, seed=7, sweeps=1", "--out", "both"],
    );
    assert_eq!(again["together"], both["together"]);
    let now = fs::metadata(folder.join("both/task-1/run.json"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(began, now);
}

#[test]
fn where_one_task_has_no_noise_nothing_bounds_all_of_them() {
    let room = room();
    let file = "data = \"data\"\nepsilon = 8\nfactors = 4\nbeside = [\"epsilon=,noise=off,cohort=1,rounds=2\"]\n";
    fs::write(room.path().join("run.toml"), file).unwrap();
    let said = chorus(room.path(), &["simulate", "--config", "run.toml", "--json"]).well();
    let both: Value = serde_json::from_str(&said).unwrap();
    assert!(number(&both["tasks"][0]["epsilon"]) > 0.0);
    assert!(both["tasks"][1]["epsilon"].is_null() && both["together"]["epsilon"].is_null());
}

#[test]
fn impossible_tasks_are_refused_before_any_work() {
    let room = room();
    let refused = |beside: &str, says: &[&str]| {
        let said = chorus(
            room.path(),
            &private(&["--out", "runs", "--beside", beside]),
        );
        said.with(2, says);
        assert!(!room.path().join("runs").exists());
    };
    refused(
        "epsilan=2",
        &["--beside epsilan=2", "did you mean `epsilon`"],
    );
    refused("epsilon", &["KEY=VALUE"]);
    refused("epsilon=-2", &["--beside, task-2", "-2"]);
    refused("seed=1,seed=2", &["`seed` is there twice"]);
    refused("data=other", &["the same people"]);
    refused("threads=2", &["changes no result"]);
    refused("epsilon=", &["--beside, task-2", "decide about noise"]);
    let sweep = ["--beside", "seed=2", "--sweep", "seed=3,4"];
    chorus(room.path(), &private(&sweep)).with(2, &["--sweep"]);
}

#[test]
fn tasks_that_are_interrupted_end_with_the_same_bits() {
    let room = room();
    let folder = room.path();
    let tasks = |out: &'static str| {
        let flags = ["--noise", "off", "--cohort", "0.5", "--rounds", "200"];
        let more = [
            "--measured",
            "0",
            "--beside",
            "seed=2,rounds=300",
            "--out",
            out,
        ];
        [&PRIVATE[..3], &flags, &more].concat()
    };
    chorus(folder, &tasks("whole")).well();
    let run = Service::start(folder, &tasks("parts"));
    let began = Instant::now();
    while !folder.join("parts/task-2/checkpoint").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::yield_now();
    }
    assert_eq!(run.end(Signal::INT), Some(130));
    chorus(folder, &tasks("parts")).well();
    for task in ["task-1", "task-2"] {
        let model = |run: &str| fs::read(folder.join(run).join(task).join("model.safetensors"));
        assert_eq!(model("whole").unwrap(), model("parts").unwrap());
    }
}
