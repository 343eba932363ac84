//! Checkpoints and run folders: what was interrupted ends with the same bits.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{Direct, IalsPrivateRecipe, IalsRecipe, ModelPlan, Recipe, TrainedRecipe};
use chorus_protocol::{Consistency, Privacy, Task};
use chorus_simulator::{
    Checkpoint, CheckpointError, Data, Folder, FolderError, Options, Record, Run, Simulation,
    differences, simulate,
};

fn small() -> Dataset {
    synthesise(&Synthesis {
        users: 40,
        items: 50,
        tastes: 3,
        seed: 6,
        mean_history: 10,
        ..Synthesis::default()
    })
}

fn task(dataset: &Dataset, privacy: Privacy, cohort: f64, recipe: Recipe) -> Task {
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe,
    }
}

/// One of each kind: shares of noise, a cohort that takes turns, and gradients with the memory of a server step.
fn tasks(dataset: &Dataset) -> [Task; 3] {
    let private = Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 4, 2));
    let (epsilon, delta) = (8.0, 1e-5);
    let open = Recipe::Ials(IalsRecipe::new(dataset.items, 4, 6));
    let plan: ModelPlan =
        toml::from_str(include_str!("../../../models/bpr-mf/model.toml")).unwrap();
    let trained = Recipe::Trained(TrainedRecipe::new(dataset.items, 5, plan));
    let mut split = task(
        dataset,
        Privacy::Distributed { epsilon, delta },
        1.0,
        private,
    );
    split.split = 2;
    [
        split,
        task(dataset, Privacy::Off, 0.5, open),
        task(dataset, Privacy::Off, 0.5, trained),
    ]
}

const OPTIONS: Options = Options {
    seed: 3,
    dropout: 0.2,
    ..Options::USUAL
};

/// A record of nothing but the task and the data.
fn record(task: &Task, dataset: &Dataset, options: Options) -> Record {
    Record {
        version: "0".to_owned(),
        engine: "plain Rust".to_owned(),
        began: 1_700_000_000,
        keys: BTreeMap::new(),
        data: Data::of(dataset),
        task: task.clone(),
        options,
        model: None,
        figures: None,
        rounds: Vec::new(),
        releases: Vec::new(),
    }
}

/// The same run, given up after each sum and gone on with from the bytes of its checkpoint.
fn interrupted(task: &Task, dataset: &Dataset, options: Options) -> Run {
    let mut saved: Option<Vec<u8>> = None;
    loop {
        let mut simulation = Simulation::new(task, dataset, &Direct, options.clone()).unwrap();
        if let Some(bytes) = &saved {
            simulation.go_on_from(Checkpoint::from_bytes(bytes).unwrap());
        }
        if !simulation.goes_on() {
            return simulation.end().unwrap();
        }
        simulation.sum(&mut |_| {}).unwrap();
        saved = Some(simulation.checkpoint().to_bytes().unwrap());
    }
}

#[test]
fn an_interrupted_run_has_the_same_bits() {
    let dataset = small();
    for task in tasks(&dataset) {
        for masks in [false, true] {
            let options = Options { masks, ..OPTIONS };
            let whole = simulate(&task, &dataset, &Direct, options.clone(), &mut |_| {}).unwrap();
            let parts = interrupted(&task, &dataset, options.clone());
            let record = record(&task, &dataset, options);
            let first = record.clone().finished(&whole).unwrap();
            let second = record.finished(&parts).unwrap();
            assert_eq!(differences(&first, &second), [""; 0]);
            assert!(whole.parameters == parts.parameters && whole.picture == parts.picture);
        }
    }
}

#[test]
fn a_checkpoint_that_was_changed_is_refused() {
    let dataset = small();
    let [_, task, _] = tasks(&dataset);
    let mut simulation = Simulation::new(&task, &dataset, &Direct, OPTIONS).unwrap();
    simulation.sum(&mut |_| {}).unwrap();
    let checkpoint = simulation.checkpoint();
    let bytes = checkpoint.to_bytes().unwrap();
    assert_eq!(
        Checkpoint::from_bytes(&bytes).unwrap().rounds(),
        simulation.rounds()
    );
    for place in (100..bytes.len()).step_by(977) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert_eq!(
            Checkpoint::from_bytes(&changed),
            Err(CheckpointError::Damaged)
        );
    }
    for end in [0, 10, 80, bytes.len() - 1] {
        assert!(Checkpoint::from_bytes(&bytes[..end]).is_err());
    }
    let other = [b"chorus-checkpoint-9", &bytes[19..]].concat();
    assert_eq!(Checkpoint::from_bytes(&other), Err(CheckpointError::Kind));
}

#[test]
fn a_folder_keeps_a_run_and_takes_no_other() {
    let dataset = small();
    let [_, task, _] = tasks(&dataset);
    let room = tempfile::tempdir().unwrap();
    let place = room.path().join("runs/first");
    assert!(matches!(Folder::open(&place), Err(FolderError::NoRun(_))));
    let folder = Folder::new(&place).unwrap();
    let record = record(&task, &dataset, OPTIONS);
    folder.begin(&record).unwrap();
    assert!(folder.checkpoint().unwrap().is_none());
    assert!(matches!(
        Folder::new(&place),
        Err(FolderError::Taken { .. })
    ));
    assert!(matches!(
        Folder::new(room.path()),
        Err(FolderError::Taken { .. })
    ));

    let mut simulation = Simulation::new(&task, &dataset, &Direct, OPTIONS).unwrap();
    simulation.sum(&mut |_| {}).unwrap();
    let checkpoint = simulation.checkpoint();
    folder.leave(record.clone(), &checkpoint).unwrap();
    let (folder, left) = Folder::open(&place).unwrap();
    assert!(!left.is_finished() && left.rounds.len() == 1);
    assert_eq!(folder.checkpoint().unwrap(), Some(checkpoint));

    while simulation.goes_on() {
        simulation.sum(&mut |_| {}).unwrap();
    }
    let run = simulation.end().unwrap();
    let finished = folder.finish(left, &run).unwrap();
    let (folder, read) = Folder::open(&place).unwrap();
    assert_eq!(read, finished);
    assert!(read.is_finished() && folder.checkpoint().unwrap().is_none());
    let mut names: Vec<String> = fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let events = "events.out.tfevents.1700000000.chorus";
    let files = [
        events,
        "model.safetensors",
        "report.html",
        "rounds.parquet",
        "run.json",
    ];
    assert_eq!(names, files);
    let model = fs::read(place.join("model.safetensors")).unwrap();
    assert_eq!(read.model, Some(chorus_protocol::Digest::of(&model)));

    fs::write(place.join("checkpoint"), "x\n").unwrap();
    let error = folder.checkpoint().unwrap_err().to_string();
    assert!(error.contains("checkpoint: it is no checkpoint"), "{error}");
    fs::write(place.join("run.json"), "{}").unwrap();
    assert!(matches!(
        Folder::open(&place),
        Err(FolderError::Unusable { .. })
    ));
}

#[test]
fn whatever_differs_is_named() {
    let dataset = small();
    let [_, task, _] = tasks(&dataset);
    let of = |dataset: &Dataset, options: Options| {
        let run = simulate(&task, dataset, &Direct, options.clone(), &mut |_| {}).unwrap();
        record(&task, dataset, options).finished(&run).unwrap()
    };
    let first = of(&dataset, OPTIONS);
    assert_eq!(differences(&first, &of(&dataset, OPTIONS)), [""; 0]);
    let seed = Options { seed: 4, ..OPTIONS };
    let said = differences(&first, &of(&dataset, seed)).join("\n");
    for words in [
        "options: seed was 3, now 4",
        "digest of the model was",
        "round 1: quality was",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!said.contains("seconds"), "{said}");
    let mut changed = dataset.clone();
    let held = changed.cases[5].as_mut().unwrap();
    held.negatives.pop();
    let said = first
        .other_run(&record(&task, &changed, OPTIONS))
        .join("\n");
    assert!(
        said.starts_with("the data `") && said.contains("changed: 40 users"),
        "{said}"
    );
}
