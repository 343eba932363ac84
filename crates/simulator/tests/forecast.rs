//! What is said of a run beforehand is what it then takes, as far as a test can tell: what is counted, not what is timed.
#![allow(clippy::unwrap_used)]

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{Direct, IalsPrivateRecipe, IalsRecipe, Recipe};
use chorus_protocol::{Consistency, Privacy, Task};
use chorus_simulator::{Forecast, Options, forecast, simulate};

fn people(users: usize) -> Dataset {
    synthesise(&Synthesis {
        users,
        items: 60,
        seed: 6,
        ..Synthesis::default()
    })
}

fn task(dataset: &Dataset, epsilon: Option<f64>) -> Task {
    let items = dataset.items;
    let (privacy, recipe) = match epsilon {
        Some(epsilon) => (
            Privacy::Distributed {
                epsilon,
                delta: 1e-5,
            },
            Recipe::IalsPrivate(IalsPrivateRecipe::new(items, 4, 3)),
        ),
        None => (Privacy::Off, Recipe::Ials(IalsRecipe::new(items, 4, 7))),
    };
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort: if epsilon.is_some() { 1.0 } else { 0.25 },
        split: 1,
        dropout: 0.2,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe,
    }
}

fn of(task: &Task, dataset: &Dataset) -> Forecast {
    forecast(task, dataset, &Direct, &Options::USUAL).unwrap()
}

#[test]
fn what_is_counted_is_what_the_run_counts() {
    let dataset = people(120);
    for epsilon in [None, Some(8.0)] {
        let task = task(&dataset, epsilon);
        let found = of(&task, &dataset);
        let run = simulate(&task, &dataset, &Direct, Options::USUAL, &mut |_| {}).unwrap();
        assert_eq!(found.rounds, run.rounds.len());
        assert_eq!(
            found.upload_bytes_per_client,
            run.figures.upload_bytes_per_client
        );
        assert_eq!(found.epsilon, run.figures.epsilon);
        let uploads: usize = run
            .rounds
            .iter()
            .map(|row| row.upload_bytes as usize * row.funnel.invited)
            .sum();
        let mean = uploads as f64 / 120.0;
        let said = found.upload_bytes_per_client_in_all as f64;
        assert!((said / mean - 1.0).abs() < 0.01, "{said} {mean}");
        assert_eq!(found.clients_needed.is_some(), epsilon.is_some());
        assert!(found.seconds > 0.0 && found.sums.iter().all(|sum| sum.seconds > 0.0));
        let first = &found.sums[0];
        assert_eq!(first.name, run.rounds[0].name);
    }
}

#[test]
fn more_people_and_more_noise_say_what_they_should() {
    let ratio = |users, epsilon| {
        let dataset = people(users);
        let found = of(&task(&dataset, Some(epsilon)), &dataset);
        found.sums[0].signal_to_noise.unwrap()
    };
    let (usual, more, private) = (ratio(200, 4.0), ratio(800, 4.0), ratio(200, 1.0));
    assert!((3.0..5.5).contains(&(more / usual)), "{usual} {more}");
    assert!((2.5..6.0).contains(&(usual / private)), "{usual} {private}");
}

#[test]
fn masks_are_not_forecast() {
    let dataset = people(60);
    let options = Options {
        masks: true,
        ..Options::USUAL
    };
    let task = task(&dataset, None);
    let error = forecast(&task, &dataset, &Direct, &options).unwrap_err();
    assert!(error.to_string().starts_with("plan"), "{error}");
}
