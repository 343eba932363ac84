//! One page about run folders: what is in it, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Service, chorus, data};
use rustix::process::Signal;
use serde_json::Value;

fn simulate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["simulate", "--data", "data", "--factors", "4"];
    [&usual[..], more].concat()
}

fn room() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    data(&room.path().join("data"), 60, 30);
    room
}

fn page(folder: &Path, file: &str) -> String {
    let page = fs::read_to_string(folder.join(file)).unwrap();
    for foreign in ["http:", "https:", "<script", "src=", "NaN"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    page
}

#[test]
fn a_sweep_and_a_run_are_reported() {
    let room = room();
    let folder = room.path();
    let swept = [
        "--sweep",
        "epsilon=2,8",
        "--sweep",
        "seed=1,2",
        "--out",
        "runs/sweep",
    ];
    chorus(folder, &simulate(&swept)).well();
    let off = [
        "--noise",
        "off",
        "--cohort",
        "0.5",
        "--rounds",
        "3",
        "--dropout",
        "0.2",
        "--out",
        "runs/off",
    ];
    chorus(folder, &simulate(&off)).well();

    let said = chorus(folder, &["report", "runs/sweep"]).well();
    assert!(said.contains("4 runs") && said.contains("ε = "), "{said}");
    assert!(
        said.ends_with("the page is runs/sweep/runs.html\n"),
        "{said}"
    );
    let sweep = page(folder, "runs/sweep/runs.html");
    for part in [
        "Quality against epsilon",
        "epsilon=2,seed=1",
        "in one place",
        "chorus simulate --repeat runs/sweep/epsilon=8,seed=2",
    ] {
        assert!(sweep.contains(part), "{part}");
    }

    // Whatever names a run, it is there once; one page of several folders is here.
    let flags = [
        "report",
        "runs/off",
        "runs/sweep",
        "runs/off/../off",
        "--no-central",
        "--json",
    ];
    let said: Value = serde_json::from_str(&chorus(folder, &flags).well()).unwrap();
    assert_eq!(said["page"], "runs.html");
    let runs = said["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 5);
    let (off, private) = (&runs[0], &runs[1]);
    assert_eq!(
        (&off["name"], &off["finished"]),
        (&"off".into(), &true.into())
    );
    assert!(off["in_one_place"].is_null() && off["figures"]["epsilon"].is_null());
    assert!(off["evaluation"]["lists"]["coverage"].is_number());
    assert_eq!(private["keys"]["epsilon"], "2");
    assert!(private["figures"]["epsilon"].as_f64().unwrap() <= 2.0);
    // What is measured of the stored model is what the run itself measured last.
    for key in ["hr_at_10", "full_ndcg_at_10"] {
        let [stored, then] = ["evaluation", "figures"].map(|part| off[part][key].as_f64().unwrap());
        assert!((stored - then).abs() < 1e-12, "{key}");
    }
    let both = page(folder, "runs.html");
    assert!(both.contains("No differential privacy is claimed of 1 of these 5 runs"));
    assert!(!both.contains("in one place 0."));

    let written = [
        "report", "runs/off", "--out", "off.html", "--json", "off.json",
    ];
    chorus(folder, &written).well();
    let said: Value = serde_json::from_slice(&fs::read(folder.join("off.json")).unwrap()).unwrap();
    assert!(said["runs"][0]["in_one_place"]["hr_at_10"].is_number());
    assert!(page(folder, "off.html").contains("left before"));
}

#[test]
fn what_cannot_be_reported_is_refused_with_what_to_do() {
    let room = room();
    let folder = room.path();
    let off = [
        "--noise", "off", "--cohort", "0.5", "--rounds", "2", "--out", "runs/off",
    ];
    chorus(folder, &simulate(&off)).well();
    let report = |more: &[&str]| chorus(folder, &[&["report"][..], more].concat());
    report(&[]).with(2, &["<RUN>"]);
    report(&["nowhere"]).with(2, &["nowhere holds no run", "`chorus simulate --out`"]);
    report(&["data"]).with(2, &["data holds no run"]);
    report(&["runs/off", "--out", "no/page.html"]).with(4, &["there is no folder no"]);
    report(&["runs/off", "--out", "runs/off"]).with(2, &["cannot write runs/off", "a folder"]);
    let own = ["runs/off", "--out", "runs/off/run.json"];
    report(&own).with(2, &["runs/off/run.json is named twice", "destroy"]);

    // The data moved, or is another by now.
    fs::rename(folder.join("data"), folder.join("moved")).unwrap();
    report(&["runs/off"]).with(3, &["the data of runs/off", "--data", "cannot read data"]);
    report(&["runs/off", "--data", "moved"]).well();
    data(&folder.join("other"), 50, 30);
    let words = [
        "runs/off learned from `tiny`, 60 users",
        "other holds `tiny`, 50 users",
        "--data",
    ];
    report(&["runs/off", "--data", "other"]).with(3, &words);
    report(&["runs/off", "--data", "other", "--data", "moved"]).well();
    data(&folder.join("data"), 50, 30);
    report(&["runs/off"]).with(3, &["runs/off learned from `tiny`, 60 users"]);

    let model = folder.join("runs/off/model.safetensors");
    let bytes = fs::read(&model).unwrap();
    fs::write(&model, &bytes[1..]).unwrap();
    report(&["runs/off", "--data", "moved"]).with(3, &["model.safetensors", "another model"]);
    fs::write(folder.join("runs/off/run.json"), "{}").unwrap();
    report(&["runs/off"]).with(3, &["run.json", "no record of a run"]);
    assert!(!folder.join("runs.html").exists());
}

#[test]
fn an_interrupted_run_is_shown_as_far_as_it_came() {
    let room = room();
    let folder = room.path();
    let off = [
        "--noise",
        "off",
        "--cohort",
        "0.5",
        "--rounds",
        "3000",
        "--measured",
        "20",
        "--out",
        "cut",
    ];
    let run = Service::start(folder, &simulate(&off));
    let began = Instant::now();
    while !folder.join("cut/checkpoint").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::yield_now();
    }
    assert_eq!(run.end(Signal::INT), Some(130));
    let said = chorus(folder, &["report", "cut", "--no-central"]).well();
    assert!(said.contains(", so far"), "{said}");
    let page = page(folder, "cut/runs.html");
    for part in [
        "stopped after ",
        "chorus simulate --resume cut",
        "catalogue coverage",
    ] {
        assert!(page.contains(part), "{part}");
    }
}
