//! Runs of `chorus simulate` that are configured, kept, gone on with, repeated and swept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Service, chorus, data, root};
use rustix::process::Signal;
use serde_json::Value;

const SIMULATE: [&str; 7] = [
    "simulate", "--data", "data", "--noise", "off", "--cohort", "0.5",
];

fn simulate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SIMULATE[..], &["--factors", "4"], more].concat()
}

fn room() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    data(&room.path().join("data"), 24, 30);
    room
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Figures without what no run shares with another.
fn figures(text: &str) -> Value {
    let mut figures: Value = serde_json::from_str(text).unwrap();
    for key in ["wall_seconds", "command"] {
        figures.as_object_mut().unwrap().remove(key).unwrap();
    }
    figures
}

#[test]
fn a_file_of_keys_is_the_same_as_flags_and_flags_win() {
    let room = room();
    let folder = room.path();
    let keys = "data = \"data\"\nnoise = \"off\"\ncohort = 0.5\nfactors = 4\nrounds = 3.0\nmasks = true\nwitness = false\n";
    fs::write(folder.join("run.toml"), keys).unwrap();
    let by_flags = chorus(folder, &simulate(&["--rounds", "3", "--masks", "--json"])).well();
    let by_file = chorus(folder, &["simulate", "--config", "run.toml", "--json"]).well();
    assert_eq!(figures(&by_file), figures(&by_flags));
    let both = [
        "simulate",
        "--config",
        "none.toml",
        "--rounds=2",
        "--config=run.toml",
        "--json",
    ];
    let fewer = chorus(folder, &simulate(&["--rounds", "2", "--masks", "--json"])).well();
    assert_eq!(figures(&chorus(folder, &both).well()), figures(&fewer));

    for (keys, words) in [
        (
            "epsilom = 8",
            vec!["run.toml: unknown key `epsilom`", "did you mean `epsilon`?"],
        ),
        (
            "masks = 3",
            vec!["run.toml: `masks`", "expected true or false", "`3`"],
        ),
        (
            "rounds = [3]",
            vec!["run.toml: `rounds`", "expected a number or a text"],
        ),
        (
            "rounds = true",
            vec!["run.toml: `rounds`", "expected a number or a text"],
        ),
        ("rounds = 0", vec!["--rounds", "1 to 100000"]),
        ("epsilon = inf", vec!["run.toml: `epsilon`"]),
        (
            "resume = \"x\"",
            vec!["`resume` is of the command line alone"],
        ),
        ("rounds", vec!["run.toml: ", "line 1"]),
    ] {
        fs::write(folder.join("run.toml"), keys).unwrap();
        chorus(folder, &["simulate", "--config", "run.toml"]).with(2, &words);
    }
    chorus(folder, &["simulate", "--config", "none.toml"]).with(2, &["none.toml"]);
}

#[test]
fn the_keys_in_the_readme_are_keys() {
    let room = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(root().join("crates/cli/README.md")).unwrap();
    let (_, block) = readme.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    fs::write(room.path().join("run.toml"), block).unwrap();
    let run = ["simulate", "--config", "run.toml"];
    chorus(room.path(), &run).with(3, &["cannot read ml-100k"]);
    fs::write(
        room.path().join("run.toml"),
        block.replace("epsilon", "epsylon"),
    )
    .unwrap();
    chorus(room.path(), &run).with(2, &["`epsylon`"]);
}

#[test]
fn a_run_is_kept_and_repeated() {
    let room = room();
    let folder = room.path();
    let keep = simulate(&["--rounds", "3", "--out", "runs/a"]);
    chorus(folder, &keep).well();
    chorus(folder, &keep).with(2, &["runs/a holds another run", "--resume"]);
    let run = json(&folder.join("runs/a/run.json"));
    assert_eq!(run["keys"]["rounds"], "3");
    assert_eq!(run["keys"]["noise"], "off");
    assert!(run["keys"].get("out").is_none() && run["figures"]["hr_at_10"].is_number());
    assert_eq!(
        (
            &run["data"]["users"],
            run["rounds"].as_array().unwrap().len()
        ),
        (&24.into(), 5)
    );
    let command = run["figures"]["command"].as_str().unwrap();
    assert!(
        command.contains("--rounds=3") && !command.contains("runs/a"),
        "{command}"
    );
    for file in ["rounds.parquet", "report.html", "model.safetensors"] {
        assert!(
            fs::metadata(folder.join("runs/a").join(file))
                .unwrap()
                .len()
                > 100,
            "{file}"
        );
    }
    let model = [
        "evaluate",
        "--data",
        "data",
        "--model",
        "runs/a/model.safetensors",
    ];
    chorus(folder, &model).well();

    let repeat = ["simulate", "--repeat", "runs/a"];
    let said = chorus(folder, &repeat);
    assert!(said.err.contains("the same run: model"), "{said:?}");
    said.well();
    chorus(folder, &[&repeat[..], &["--rounds", "4"]].concat())
        .with(1, &["another run", "task: recipe"]);

    // Whatever was written over is found.
    let file = folder.join("runs/a/run.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut changed = run.clone();
    changed["figures"]["hr_at_10"] = 0.987.into();
    changed["rounds"][1]["clipped"] = 77.into();
    fs::write(&file, changed.to_string()).unwrap();
    let words = [
        "not the same run",
        "figures: hr_at_10 was 0.987",
        "round 2: clipped was 77",
    ];
    chorus(folder, &repeat).with(1, &words);
    fs::write(&file, text).unwrap();
    let train = folder.join("data/tiny.train.rating");
    let lines = fs::read_to_string(&train).unwrap();
    let (_, all_but_the_first) = lines.split_once('\n').unwrap();
    fs::write(&train, all_but_the_first).unwrap();
    chorus(folder, &repeat).with(3, &["the data `tiny` changed", "24 users and 30 items"]);
    fs::write(&file, "{}").unwrap();
    chorus(folder, &repeat).with(3, &["run.json", "no record of a run"]);
    chorus(folder, &["simulate", "--repeat", "runs/b"]).with(2, &["runs/b holds no run"]);
}

/// Signals after at least one checkpoint, by Ctrl-C and then by the kind that nobody can hear.
#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let room = room();
    let folder = room.path();
    let more = [
        "--rounds",
        "300",
        "--measured",
        "0",
        "--dropout",
        "0.1",
        "--out",
    ];
    let whole = [&simulate(&more)[..], &["whole"]].concat();
    chorus(folder, &whole).well();
    let parts = [&simulate(&more)[..], &["parts"]].concat();
    let resume = ["simulate", "--resume", "parts"];
    let checkpoint = folder.join("parts/checkpoint");
    let saved = |than: &[u8]| {
        let began = Instant::now();
        while !fs::read(&checkpoint).is_ok_and(|bytes| bytes != than) {
            assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint");
            std::thread::yield_now();
        }
    };
    let run = Service::start(folder, &parts);
    saved(&[]);
    assert_eq!(run.end(Signal::INT), Some(130));
    let left = json(&folder.join("parts/run.json"));
    assert!(left["model"].is_null() && !left["rounds"].as_array().unwrap().is_empty());
    chorus(folder, &["simulate", "--repeat", "parts"]).with(2, &["not finished", "--resume parts"]);
    chorus(folder, &[&resume[..], &["--seed", "9"]].concat())
        .with(2, &["another run", "options: seed was 1, now 9"]);

    let earlier = fs::read(&checkpoint).unwrap();
    let run = Service::start(folder, &resume);
    saved(&earlier);
    assert_eq!(run.end(Signal::KILL), None);
    chorus(folder, &resume).well();
    chorus(folder, &resume).with(2, &["is finished"]);
    let (whole, parts) = ("whole/model.safetensors", "parts/model.safetensors");
    assert_eq!(
        fs::read(folder.join(whole)).unwrap(),
        fs::read(folder.join(parts)).unwrap()
    );
    let of =
        |name: &str| figures(&json(&folder.join(name).join("run.json"))["figures"].to_string());
    assert_eq!(of("whole"), of("parts"));
    assert!(!checkpoint.exists());
    let entries = fs::read_dir(folder.join("parts")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("tfevents")).count(), 1);
}

#[test]
fn a_sweep_is_checked_first_and_does_nothing_twice() {
    let room = room();
    let folder = room.path();
    let sweep = |more: &[&str]| chorus(folder, &[&simulate(&["--out", "runs"])[..], more].concat());
    for (wrong, words) in [
        ("rounds", vec!["expected KEY=A,B,C"]),
        ("rouns=1,2", vec!["unknown key `rouns`", "`rounds`"]),
        ("rounds=2,0", vec!["rounds=0", "1 to 100000"]),
        ("cohort=0.5,0.01", vec!["cohort=0.01", "--cohort"]),
        ("rounds=2,2", vec!["`2` is empty or there twice"]),
        ("rounds=2,", vec!["empty"]),
        ("threads=1,3", vec!["changes no result"]),
        ("masks=true,maybe", vec!["masks", "expected true or false"]),
    ] {
        sweep(&["--sweep", wrong]).with(2, &words);
        assert!(!folder.join("runs").exists(), "{wrong}");
    }
    sweep(&["--sweep", "seed=1,2", "--sweep", "seed=3"]).with(2, &["swept over twice"]);
    sweep(&["--sweep", "seed=1,2", "--report", "r.html"]).with(2, &["--report"]);

    let two = [
        "--sweep",
        "rounds=2,3",
        "--sweep",
        "masks=true,false",
        "--json",
    ];
    let first = sweep(&two).well();
    let list: Vec<Value> = serde_json::from_str(&first).unwrap();
    let chosen: Vec<String> = list.iter().map(|one| one["sweep"].to_string()).collect();
    assert_eq!(chosen.len(), 4);
    assert_eq!(chosen[0], r#"{"masks":"true","rounds":"2"}"#);
    assert_eq!(chosen[3], r#"{"masks":"false","rounds":"3"}"#);
    // The sums are the same with masks.
    assert_eq!(list[0]["full_ndcg_at_10"], list[1]["full_ndcg_at_10"]);
    assert_eq!(
        (&list[1]["rounds"], &list[2]["rounds"]),
        (&4.into(), &5.into())
    );
    let alone = chorus(folder, &simulate(&["--rounds", "3", "--json"])).well();
    let mut last = list[3].clone();
    last.as_object_mut().unwrap().remove("sweep");
    assert_eq!(figures(&last.to_string()), figures(&alone));
    chorus(
        folder,
        &["simulate", "--repeat", "runs/masks=false,rounds=3"],
    )
    .well();

    // What is finished is read: the times are those of the first run.
    let more = [
        "--sweep",
        "rounds=2,3,4",
        "--sweep",
        "masks=true,false",
        "--json",
    ];
    let again: Vec<Value> = serde_json::from_str(&sweep(&more).well()).unwrap();
    assert_eq!((&again[..4], again.len()), (&list[..], 6));
    let table = sweep(&["--sweep", "rounds=2,3", "--sweep", "masks=true,false"]).well();
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[0].contains("masks") && rows[0].contains("HR@10") && rows[0].contains("epsilon"),
        "{table}"
    );
    assert_eq!(rows.len(), 5);
    let other = [
        "--sweep",
        "rounds=2",
        "--sweep",
        "masks=true,false",
        "--seed",
        "7",
    ];
    sweep(&other).with(2, &["holds another run", "seed was 1, now 7"]);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let room = room();
    let folder = room.path();
    for threads in ["1", "3"] {
        let flags = [
            "--rounds",
            "3",
            "--dropout",
            "0.2",
            "--threads",
            threads,
            "--out",
            threads,
        ];
        chorus(folder, &simulate(&flags)).well();
    }
    let model = |name: &str| fs::read(folder.join(name).join("model.safetensors")).unwrap();
    assert!(model("1") == model("3"));
    let private = |threads| {
        let flags = [
            "simulate",
            "--data",
            "data",
            "--epsilon",
            "8",
            "--factors",
            "4",
            "--json",
            "--threads",
            threads,
        ];
        figures(&chorus(folder, &flags).well())
    };
    assert_eq!(private("1"), private("3"));
}

/// What would end a run after all its work is said before it, and nothing that was read is written over.
#[test]
fn results_that_cannot_be_written_are_refused_first() {
    let room = room();
    let folder = room.path();
    let refused = |flag: &str, file: &str, code, says: &str| {
        let run = simulate(&["--rounds", "100000", flag, file]);
        chorus(folder, &run).with(code, &[file, says]);
    };
    let train = folder.join("data/tiny.train.rating");
    let before = fs::read(&train).unwrap();
    refused("--scores", "data/tiny.train.rating", 2, "destroy");
    assert_eq!(fs::read(&train).unwrap(), before);
    fs::create_dir(folder.join("kept")).unwrap();
    refused("--save-model", "kept", 2, "it is a folder");
    refused("--report", "data", 2, "it is a folder");
    refused("--json", "nowhere/x.json", 4, "there is no folder nowhere");
    // A file beside the data is not one of it.
    let beside = simulate(&["--rounds", "2", "--json", "data/figures.json"]);
    chorus(folder, &beside).well();
}

#[test]
fn a_trace_of_clients_that_cannot_be_is_refused() {
    let room = room();
    let folder = room.path();
    let refused = |text: &str, says: &[&str]| {
        fs::write(folder.join("trace.csv"), text).unwrap();
        let run = simulate(&["--rounds", "2", "--availability", "trace.csv"]);
        chorus(folder, &run).with(2, says);
    };
    let trace = |client: u64| format!("client,from,until\n0,0,2\n{client},0,2\n");
    refused(&trace(u64::MAX), &["trace.csv", "line 3", "no population"]);
    refused(&trace(24), &["the population has 24"]);
    let endless = simulate(&["--rounds", "2", "--availability", "/dev/zero"]);
    chorus(folder, &endless).with(2, &["/dev/zero", "more than"]);
}

#[test]
fn two_processes_do_not_write_one_run() {
    let room = room();
    let folder = room.path();
    let rounds = ["--rounds", "100000", "--measured", "0", "--out", "run"];
    let run = Service::start(folder, &simulate(&rounds));
    let began = Instant::now();
    while !folder.join("run/checkpoint").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::yield_now();
    }
    chorus(folder, &["simulate", "--resume", "run"]).with(2, &["run is being written by another"]);
    assert_eq!(run.end(Signal::INT), Some(130));
}
