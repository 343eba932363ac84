//! The quality that issue 2 asks for, on ml-100k. Needs `CHORUS_DATA`; says so when it is not set.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use chorus_data::{Dataset, read};
use chorus_model::{Direct, IalsPrivateRecipe, IalsRecipe, Recipe};
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
        recipe,
    }
}

fn run(task: &Task, dataset: &Dataset, seed: u64) -> Run {
    let options = Options {
        seed,
        dropout: 0.1,
        masks: false,
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
    let run = run(&task(&dataset, Privacy::Off, recipe), &dataset, 1);
    assert!((run.popularity.hr_at_10 - 0.316).abs() < 0.001);
    assert!(run.quality.hr_at_10 >= 0.57, "{:?}", run.quality);
    assert!(run.figures.clipped_share <= 0.01);
}

#[test]
fn at_epsilon_8_ml_100k_stays_well_above_popularity() {
    let Some(dataset) = ml_100k() else { return };
    let recipe = Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 8, 2));
    let privacy = Privacy::Distributed {
        epsilon: 8.0,
        delta: 1e-5,
    };
    let task = task(&dataset, privacy, recipe);
    let runs: Vec<Run> = (1..=3).map(|seed| run(&task, &dataset, seed)).collect();
    let mean = runs.iter().map(|run| run.quality.hr_at_10).sum::<f64>() / 3.0;
    println!("mean HR@10 of three seeds: {mean:.4}");
    assert!(
        runs.iter()
            .all(|run| run.figures.epsilon.is_some_and(|epsilon| epsilon <= 8.0))
    );
    assert!(mean >= 0.39, "{mean}");
}
