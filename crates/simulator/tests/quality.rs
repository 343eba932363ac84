//! The quality that is asked for, on ml-100k. Needs `CHORUS_DATA`; says so when it is not set.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use chorus_data::{Dataset, read};
use chorus_model::{Direct, Features, IalsPrivateRecipe, IalsRecipe, Recipe};
use chorus_protocol::{Privacy, Task};
use chorus_simulator::{Options, Run, simulate};

fn ml_100k() -> Option<Dataset> {
    match std::env::var_os("CHORUS_DATA") {
        Some(folder) => Some(read(&std::path::Path::new(&folder).join("ml-100k")).unwrap()),
        None => {
            println!("skipped: CHORUS_DATA is not set, so there is no ml-100k to learn from");
            None
        }
    }
}

fn task(dataset: &Dataset, privacy: Privacy, recipe: Recipe) -> Task {
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort: if privacy == Privacy::Off { 0.1 } else { 1.0 },
        split: 1,
        dropout: 0.1,
        corrupt: 0.1,
        bits: 32,
        consistency: chorus_protocol::Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe,
    }
}

fn run(task: &Task, dataset: &Dataset, dropout: f64, seed: u64) -> Run {
    let options = Options {
        seed,
        dropout,
        noise_at_once: true,
        ..Options::default()
    };
    let run = simulate(task, dataset, &Direct, options, &mut |_| {}).unwrap();
    assert!(run.figures.sum_exact);
    println!("{}", serde_json::to_string_pretty(&run.figures).unwrap());
    run
}

#[test]
fn without_noise_ml_100k_reaches_what_the_algorithm_can() {
    let Some(dataset) = ml_100k() else { return };
    let recipe = Recipe::Ials(IalsRecipe::new(dataset.items, 32, 30));
    let run = run(&task(&dataset, Privacy::Off, recipe), &dataset, 0.1, 1);
    assert!((run.popularity.hr_at_10 - 0.316).abs() < 0.001);
    assert!(run.quality.hr_at_10 >= 0.57, "{:?}", run.quality);
    assert!(run.figures.clipped_share <= 0.01);
}

/// Mean HR@10 of three seeds at epsilon 8, planned for 10 % dropouts with nobody dropping.
fn private(dataset: &Dataset, features: bool) -> f64 {
    let mut recipe = IalsPrivateRecipe::for_epsilon(dataset.items, 8.0);
    recipe.features = dataset
        .features
        .clone()
        .filter(|_| features)
        .map(Features::Table);
    let privacy = Privacy::Distributed {
        epsilon: 8.0,
        delta: 1e-5,
    };
    let task = task(dataset, privacy, Recipe::IalsPrivate(recipe));
    let runs: Vec<Run> = (1..=3).map(|seed| run(&task, dataset, 0.0, seed)).collect();
    for run in &runs {
        assert!(run.figures.epsilon.is_some_and(|epsilon| epsilon <= 8.0));
        // Every client vector has norm 1 by construction.
        assert_eq!(run.figures.clipped_share, 0.0);
        assert_eq!(run.content.is_some(), features);
    }
    runs.iter().map(|run| run.quality.hr_at_10).sum::<f64>() / 3.0
}

#[test]
fn at_epsilon_8_ml_100k_stays_well_above_popularity() {
    let Some(dataset) = ml_100k() else { return };
    let (with, without) = (private(&dataset, true), private(&dataset, false));
    println!("mean HR@10 of three seeds: {with:.4}; without features {without:.4}");
    assert!(with >= 0.49, "{with}");
    assert!(without >= 0.37 && without < with, "{without}");
}
