//! Whole federations over a population that is made up: no data set needed.
#![allow(clippy::unwrap_used)]

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{Direct, Engine, Features, IalsPrivateRecipe, IalsRecipe, ItemFeatures, Recipe};
use chorus_protocol::{Consistency, Privacy, Task};
use chorus_simulator::{
    Noise, Options, Progress, Run, SimulateError, evaluate, popularity, scores, simulate,
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

fn task(dataset: &Dataset, noise: bool) -> Task {
    let (privacy, recipe) = match noise {
        true => (
            Privacy::Distributed {
                epsilon: 8.0,
                delta: 1e-5,
            },
            Recipe::IalsPrivate(IalsPrivateRecipe::new(dataset.items, 4, 2)),
        ),
        false => (
            Privacy::Off,
            Recipe::Ials(IalsRecipe::new(dataset.items, 4, 6)),
        ),
    };
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort: if noise { 1.0 } else { 0.5 },
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

const OPTIONS: Options = Options {
    seed: 3,
    dropout: 0.2,
    ..Options::USUAL
};

fn run(task: &Task, dataset: &Dataset, options: Options) -> Run {
    simulate(task, dataset, &Direct, options, &mut |_| {}).unwrap()
}

/// Sums of ranks go the same road, and an evaluated task trains on nobody's newest item.
#[test]
fn ranks_are_the_same_with_masks_and_change_what_is_learned() {
    let dataset = synthesise(&Synthesis {
        users: 70,
        ..Synthesis::default()
    });
    let mut task = task(&dataset, false);
    task.cohort = 1.0;
    let plain = run(&task, &dataset, OPTIONS);
    task.evaluate = Some(serde_json::from_str(r#"{"every": 4}"#).unwrap());
    let evaluated = run(&task, &dataset, OPTIONS);
    let masked = Options {
        masks: true,
        ..OPTIONS
    };
    let masked = run(&task, &dataset, masked);
    assert_eq!(evaluated.parameters, masked.parameters);
    assert_eq!(evaluated.figures.live, masked.figures.live);
    assert!(!evaluated.figures.live.is_empty());
    assert_ne!(evaluated.parameters, plain.parameters);
    assert_eq!(evaluated.rounds.len(), plain.rounds.len() + 2);
}

#[test]
fn neither_ring_nor_block_nor_witness_changes_what_masks_hide() {
    let dataset = small();
    for (bits, block, consistency) in [
        (24, None, Consistency::Witness),
        (20, Some(20), Consistency::Cohort),
        (16, None, Consistency::Witness),
    ] {
        let mut task = task(&dataset, false);
        let Recipe::Ials(recipe) = &mut task.recipe else {
            panic!("another recipe");
        };
        // A step of the grid is a share of the clip: a small ring needs a bound that contributions come near to.
        recipe.clip = 64.0;
        recipe.block = block;
        (task.bits, task.consistency) = (bits, consistency);
        let masks = true;
        let plain = run(&task, &dataset, OPTIONS);
        let masked = run(&task, &dataset, Options { masks, ..OPTIONS });
        assert_eq!(plain.parameters, masked.parameters, "{bits} bits");
        assert!(plain.figures.sum_exact && masked.figures.sum_exact);
        assert_eq!(plain.figures.clipped_share, 0.0);
        let wide = run(
            &Task {
                bits: 32,
                ..task.clone()
            },
            &dataset,
            OPTIONS,
        );
        let (narrow, wide) = (
            plain.figures.upload_bytes_per_client as f64,
            wide.figures.upload_bytes_per_client as f64,
        );
        assert!(
            (narrow / wide - f64::from(bits) / 32.0).abs() < 0.05,
            "{narrow} {wide}"
        );
    }
}

#[test]
fn masks_change_no_bit() {
    let dataset = small();
    for noise in [false, true] {
        let task = task(&dataset, noise);
        let plain = run(&task, &dataset, OPTIONS);
        let masked = run(
            &task,
            &dataset,
            Options {
                masks: true,
                ..OPTIONS
            },
        );
        assert_eq!(plain.parameters, masked.parameters);
        assert_eq!(plain.quality, masked.quality);
        assert!(plain.figures.sum_exact && masked.figures.sum_exact);
        assert_eq!(plain.figures.dropouts, masked.figures.dropouts);
        for (plain, masked) in plain.rounds.iter().zip(&masked.rounds) {
            let (mut plain, mut masked) = (plain.funnel, masked.funnel);
            // The real round stops as soon as enough shares came to unmask.
            assert!(masked.unmasked <= plain.unmasked);
            (plain.unmasked, masked.unmasked) = (0, 0);
            assert_eq!(plain, masked);
        }
        let picture = masked.picture.unwrap();
        assert_eq!(picture.upload.len(), picture.sum.len() + 8);
        assert!(plain.picture.is_none());
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let dataset = small();
    for noise in [false, true] {
        let task = task(&dataset, noise);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut run = pool.install(|| run(&task, &dataset, OPTIONS));
            run.figures.wall_seconds = 0.0;
            run.rounds.iter_mut().for_each(|row| row.seconds = 0.0);
            run
        };
        assert_eq!(on(1), on(2));
    }
}

#[test]
fn a_seed_decides_everything() {
    let dataset = small();
    let task = task(&dataset, true);
    let other = Options { seed: 4, ..OPTIONS };
    assert_ne!(
        run(&task, &dataset, OPTIONS).parameters,
        run(&task, &dataset, other).parameters
    );
}

#[test]
fn the_figures_count_what_happened() {
    let dataset = small();
    let run_of = |noise| run(&task(&dataset, noise), &dataset, OPTIONS);
    let private = run_of(true);
    let figures = &private.figures;
    assert_eq!((figures.rounds, figures.rounds_completed), (5, 5));
    assert_eq!((figures.clients, figures.dropouts), (40, 5 * 8));
    assert_eq!(figures.upload_bytes_per_client, 4 * (50 * 4 + 8));
    assert_eq!(
        (figures.noise, figures.delta),
        (Noise::Distributed, Some(1e-5))
    );
    let epsilon = figures.epsilon.unwrap();
    assert!((7.5..=8.0).contains(&epsilon), "{epsilon}");
    let spent: Vec<f64> = private
        .rounds
        .iter()
        .filter_map(|row| row.epsilon)
        .collect();
    assert!(
        spent.len() == 5 && spent.is_sorted_by(|a, b| a < b),
        "{spent:?}"
    );
    assert!(private.guarantee.contains("differentially private"));

    let open = run_of(false);
    let figures = &open.figures;
    // The history, six gradients, and two heads of half the clients.
    assert_eq!((figures.rounds, figures.rounds_completed), (9, 9));
    assert_eq!(figures.dropouts, 9 * 4);
    assert_eq!(
        (figures.noise, figures.epsilon, figures.delta),
        (Noise::Off, None, None)
    );
    assert!(
        open.guarantee
            .contains("No differential privacy is claimed")
    );
    assert!(
        open.rounds
            .iter()
            .all(|row| row.quality.is_some_and(|quality| quality.cases == 40))
    );
    assert_eq!(open.rounds.last().unwrap().quality, Some(open.quality));
    let json = serde_json::to_value(figures).unwrap();
    for key in [
        "hr_at_10",
        "ndcg_at_10",
        "full_hr_at_10",
        "full_ndcg_at_10",
        "popularity_hr_at_10",
        "rounds",
        "rounds_completed",
        "clients",
        "dropouts",
        "epsilon",
        "delta",
        "upload_bytes_per_client",
        "wall_seconds",
        "sum_exact",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert!(json["epsilon"].is_null());
}

#[test]
fn progress_tells_every_round_and_every_client() {
    let dataset = small();
    let (mut began, mut ended, mut learned) = (0, 0, 0);
    simulate(
        &task(&dataset, false),
        &dataset,
        &Direct,
        OPTIONS,
        &mut |progress| match progress {
            Progress::Began {
                round,
                rounds,
                invited,
                ..
            } => {
                began += 1;
                assert_eq!((round, rounds, invited), (began, 9, 20));
            }
            Progress::Learned { done, of } => {
                learned = done;
                assert_eq!(of, 16);
            }
            Progress::Ended { round, row, .. } => {
                ended += 1;
                assert_eq!((round, learned, row.dropouts()), (ended, 16, 4));
            }
        },
    )
    .unwrap();
    assert_eq!((began, ended), (9, 9));
}

#[test]
fn a_smaller_cohort_with_noise_must_be_asked_for_as_a_split() {
    let dataset = small();
    let mut task = task(&dataset, true);
    task.cohort = 0.5;
    let refused = simulate(&task, &dataset, &Direct, OPTIONS, &mut |_| {});
    let sentence = refused.unwrap_err().to_string();
    assert!(sentence.contains("split"), "{sentence}");

    task.cohort = 1.0;
    task.split = 2;
    let split = run(&task, &dataset, OPTIONS);
    assert_eq!((split.figures.rounds, split.figures.split), (10, 2));
    assert!(split.rounds.iter().all(|row| row.funnel.invited == 20));
    assert_eq!(split.rounds[1].name, "counts (2 of 2)");
    assert!(split.figures.sum_exact);
    // Each client is in one cohort of each sum: the price in epsilon is the same, the price in noise is not.
    let epsilon = split.figures.epsilon.unwrap();
    assert!((7.5..=8.0).contains(&epsilon), "{epsilon}");
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let dataset = small();
    let good = task(&dataset, false);
    let refusal =
        |task: &Task, options| simulate(task, &dataset, &Direct, options, &mut |_| {}).unwrap_err();
    let population = Task {
        population: 41,
        ..good.clone()
    };
    assert!(matches!(
        refusal(&population, OPTIONS),
        SimulateError::Population { task: 41, data: 40 }
    ));
    let recipe = Recipe::Ials(IalsRecipe::new(51, 4, 6));
    assert!(matches!(
        refusal(
            &Task {
                recipe,
                ..good.clone()
            },
            OPTIONS
        ),
        SimulateError::Catalogue {
            recipe: 51,
            data: 50
        }
    ));
    for dropout in [0.31, -0.1, f64::NAN] {
        let error = refusal(&good, Options { dropout, ..OPTIONS });
        assert!(error.to_string().contains("dropout"), "{error}");
    }
}

#[test]
fn the_score_matrix_holds_what_was_measured() {
    let dataset = small();
    let run = run(&task(&dataset, false), &dataset, OPTIONS);
    let mut bytes = Vec::new();
    scores(&run.parameters, &dataset, &Direct, &mut bytes).unwrap();
    let mut room = vec![0; bytes.len() - 1];
    let mut full = std::io::BufWriter::with_capacity(2 * bytes.len(), room.as_mut_slice());
    assert!(scores(&run.parameters, &dataset, &Direct, &mut full).is_err());
    assert_eq!(bytes.len(), 4 * 40 * 50);
    let mut quality = chorus_model::Quality::default();
    for (user, row) in bytes.chunks_exact(4 * 50).enumerate() {
        let row: Vec<f32> = row
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        quality.add(&row, &dataset.case(user).unwrap()).unwrap();
    }
    assert_eq!(quality, run.quality);
    let trainer = Direct.open(&run.parameters).unwrap();
    assert_eq!(evaluate(&dataset, trainer.as_ref()).unwrap(), run.quality);
    assert_eq!(popularity(&dataset).unwrap(), run.popularity);
}

#[test]
fn a_run_without_a_held_out_item_is_measured_on_the_others() {
    let mut dataset = small();
    dataset.cases[7] = None;
    dataset.histories[9].clear();
    let run = run(&task(&dataset, true), &dataset, OPTIONS);
    assert_eq!(run.quality.cases, 39);
}

#[test]
fn noise_can_be_drawn_at_once_but_not_behind_masks() {
    let dataset = small();
    let task = task(&dataset, true);
    let noise_at_once = true;
    let options = Options {
        noise_at_once,
        ..OPTIONS
    };
    let once = run(&task, &dataset, options.clone());
    let shares = run(&task, &dataset, OPTIONS);
    assert_ne!(once.parameters, shares.parameters);
    assert_eq!(
        once.parameters,
        run(&task, &dataset, options.clone()).parameters
    );
    assert_eq!(once.figures.epsilon, shares.figures.epsilon);
    assert_eq!(once.figures.dropouts, shares.figures.dropouts);
    let masks = true;
    let options = Options { masks, ..options };
    assert!(matches!(
        simulate(&task, &dataset, &Direct, options, &mut |_| {}),
        Err(SimulateError::NoiseAtOnce)
    ));
}

#[test]
fn copies_make_the_population_larger_and_are_not_measured_twice() {
    let dataset = small();
    let three = dataset.repeated(3).unwrap();
    assert_eq!((three.users(), three.items), (120, dataset.items));
    assert!(three.training_set(0) == three.training_set(80));
    assert_eq!(popularity(&three).unwrap(), popularity(&dataset).unwrap());
    let task = Task {
        population: 120,
        ..task(&dataset, true)
    };
    let run = run(&task, &three, OPTIONS);
    assert_eq!((run.figures.clients, run.quality.cases), (120, 40));
}

/// Genres that are known for everything make the comparison of every figure.
#[test]
fn a_private_model_is_shown_beside_popularity_and_features_with_counts() {
    let dataset = small();
    let quiet = run(&task(&dataset, true), &dataset, OPTIONS);
    assert!(quiet.content.is_none() && quiet.figures.content.is_none());
    assert!(!quiet.report().to_html().contains("features and counts"));
    let names = ["even", "odd"].map(str::to_owned).to_vec();
    let entries = (0..50).map(|item| (item, item % 2, 1.0)).collect();
    let mut task = task(&dataset, true);
    if let Recipe::IalsPrivate(recipe) = &mut task.recipe {
        let features = ItemFeatures::new(names, entries).unwrap();
        recipe.features = Some(Features::Table(features));
    }
    let run = run(&task, &dataset, OPTIONS);
    let content = run.figures.content.unwrap();
    assert_eq!(content.hr_at_10, run.content.unwrap().hr_at_10);
    let page = run.report().to_html();
    assert!(page.contains("features and counts") && page.contains("popularity"));
}
