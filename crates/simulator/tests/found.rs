//! Run folders as a reader finds them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{Direct, IalsRecipe, Recipe};
use chorus_protocol::{Consistency, Privacy, Task};
use chorus_simulator::{
    Data, Folder, FolderError, Options, Record, Simulation, Yardstick, evaluate, simulate,
};
use serde_json::Value;

fn small() -> Dataset {
    synthesise(&Synthesis {
        users: 40,
        items: 50,
        mean_history: 10,
        ..Synthesis::default()
    })
}

fn record(dataset: &Dataset, keys: &[(&str, &str)]) -> Record {
    let keys = keys.iter();
    Record {
        version: "0".to_owned(),
        engine: "plain Rust".to_owned(),
        began: 1,
        keys: keys
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect::<BTreeMap<_, _>>(),
        data: Data::of(dataset),
        task: Task {
            name: "films".to_owned().try_into().unwrap(),
            population: dataset.users(),
            cohort: 0.5,
            split: 1,
            dropout: 0.3,
            corrupt: 0.1,
            bits: 32,
            consistency: Consistency::Cohort,
            privacy: Privacy::Off,
            noise: Default::default(),
            evaluate: None,
            recipe: Recipe::Ials(IalsRecipe::new(dataset.items, 4, 3)),
        },
        options: Options::default(),
        model: None,
        figures: None,
        rounds: Vec::new(),
        releases: Vec::new(),
    }
}

/// A folder with a run that is finished.
fn finished(place: &Path, dataset: &Dataset, keys: &[(&str, &str)]) {
    let record = record(dataset, keys);
    let run = simulate(
        &record.task,
        dataset,
        &Direct,
        record.options.clone(),
        &mut |_| {},
    )
    .unwrap();
    Folder::new(place).unwrap().finish(record, &run).unwrap();
}

#[test]
fn runs_are_found_in_the_order_of_what_differs() {
    let (dataset, room) = (small(), tempfile::tempdir().unwrap());
    let sweep = room.path().join("sweep");
    for (name, epsilon) in [("a", "10"), ("b", "0.5"), ("c", "2")] {
        let keys = [("epsilon", epsilon), ("json", name)];
        finished(&sweep.join(name), &dataset, &keys);
    }
    fs::create_dir(sweep.join("other")).unwrap();
    let epsilons = |path: &Path| -> Vec<String> {
        let found = Folder::found(path).unwrap();
        found
            .iter()
            .map(|(_, record)| record.given("epsilon").unwrap())
            .collect()
    };
    assert_eq!(epsilons(&sweep), ["0.5", "2", "10"]);
    assert_eq!(epsilons(&sweep.join("b")), ["0.5"]);
    for nothing in [
        sweep.join("other"),
        sweep.join("none"),
        sweep.join("a/run.json"),
    ] {
        assert!(
            matches!(Folder::found(&nothing), Err(FolderError::NoRuns(_))),
            "{nothing:?}"
        );
    }
}

#[test]
fn a_model_is_that_of_its_record_or_of_the_checkpoint() {
    let (dataset, room) = (small(), tempfile::tempdir().unwrap());
    let whole = room.path().join("whole");
    finished(&whole, &dataset, &[]);
    let (folder, record) = Folder::found(&whole).unwrap().remove(0);
    assert!(folder.model(&record).unwrap().is_some());
    let file = whole.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = folder.model(&record).unwrap_err().to_string();
    assert!(
        error.contains("another model than run.json says"),
        "{error}"
    );

    // A run that was killed left its record as it began, and a checkpoint.
    let killed = room.path().join("killed");
    let folder = Folder::new(&killed).unwrap();
    let begun = self::record(&dataset, &[]);
    folder.begin(&begun).unwrap();
    let (_, record) = Folder::found(&killed).unwrap().remove(0);
    assert!(record.rounds.is_empty() && folder.model(&record).unwrap().is_none());
    let mut simulation =
        Simulation::new(&begun.task, &dataset, &Direct, Options::default()).unwrap();
    for _ in 0..2 {
        simulation.sum(&mut |_| {}).unwrap();
    }
    folder.save(&simulation.checkpoint()).unwrap();
    let (folder, record) = Folder::found(&killed).unwrap().remove(0);
    assert_eq!(record.rounds.len(), 2);
    let model = folder.model(&record).unwrap().unwrap();
    assert_eq!(&model, simulation.checkpoint().parameters());
}

#[test]
fn tasks_that_differ_in_their_rounds_have_one_yardstick() {
    let dataset = small();
    let task = record(&dataset, &[]).task;
    let mut longer = task.clone();
    longer.recipe = Recipe::Ials(IalsRecipe::new(dataset.items, 4, 9));
    longer.cohort = 0.25;
    let mut wider = task.clone();
    wider.recipe = Recipe::Ials(IalsRecipe::new(dataset.items, 8, 3));
    let of = |task| Yardstick::of(task, &dataset);
    assert_eq!(of(&task), of(&longer));
    assert_ne!(of(&task), of(&wider));
    let mut heard = Vec::new();
    let model = of(&task)
        .learn(&dataset, &Direct, &mut |epoch| heard.push(epoch))
        .unwrap();
    assert_eq!(heard.len(), of(&task).epochs());
    let trainer = chorus_model::Engine::open(&Direct, &model).unwrap();
    assert!(evaluate(&dataset, trainer.as_ref()).unwrap().hr_at_10 > 0.3);
}
