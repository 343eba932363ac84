//! What people of a simulation do that no task asks of them: vanish here or there, come too late, attack, be away.
#![allow(clippy::unwrap_used)]

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{Direct, IalsPrivateRecipe, IalsRecipe, ModelPlan, Recipe, TrainedRecipe};
use chorus_protocol::{Consistency, Funnel, Privacy, Task};
use chorus_simulator::{
    Attack, Availability, Buffer, Checkpoint, Malice, Noise, Options, Run, Sampling, SimulateError,
    Simulation, simulate,
};

fn people() -> Dataset {
    synthesise(&Synthesis {
        users: 60,
        items: 80,
        tastes: 3,
        seed: 6,
        mean_history: 12,
        ..Synthesis::default()
    })
}

fn task(dataset: &Dataset, recipe: Recipe) -> Task {
    let private = matches!(recipe, Recipe::IalsPrivate(_));
    Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort: if private { 1.0 } else { 0.5 },
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy: match private {
            true => Privacy::Distributed {
                epsilon: 8.0,
                delta: 1e-5,
            },
            false => Privacy::Off,
        },
        noise: Default::default(),
        evaluate: None,
        recipe,
    }
}

fn plain(dataset: &Dataset) -> Task {
    task(dataset, Recipe::Ials(IalsRecipe::new(dataset.items, 4, 8)))
}

fn private(dataset: &Dataset) -> Task {
    let recipe = IalsPrivateRecipe::new(dataset.items, 4, 2);
    task(dataset, Recipe::IalsPrivate(recipe))
}

const OPTIONS: Options = Options {
    seed: 3,
    ..Options::USUAL
};

fn run(task: &Task, dataset: &Dataset, options: Options) -> Result<Run, SimulateError> {
    simulate(task, dataset, &Direct, options, &mut |_| {})
}

fn refused(task: &Task, dataset: &Dataset, options: Options) -> String {
    run(task, dataset, options).err().unwrap().to_string()
}

#[test]
fn whoever_leaves_in_whatever_phase_masks_change_no_bit() {
    let dataset = people();
    let task = plain(&dataset);
    let leaving = Options {
        dropout: 0.2,
        dropout_phases: [1, 0, 1, 1, 2],
        stragglers: 0.1,
        ..OPTIONS
    };
    let found = run(&task, &dataset, leaving.clone()).unwrap();
    let masked = Options {
        masks: true,
        ..leaving
    };
    let masked = run(&task, &dataset, masked).unwrap();
    assert_eq!(found.parameters, masked.parameters);
    let mut later = 0;
    for (row, other) in found.rounds.iter().zip(&masked.rounds) {
        // With masks the coordinator asks no longer than until it has enough for the unmasking.
        let unmasked = row.funnel.unmasked;
        assert!(other.funnel.unmasked <= unmasked);
        assert_eq!(
            row.funnel,
            Funnel {
                unmasked,
                ..other.funnel
            }
        );
        // Nobody of those vanishes before the shares.
        assert_eq!(row.funnel.advertised, row.funnel.shared);
        // Three come too late, six vanish: some of them after they are in the sum.
        let lost = row.funnel.invited - row.funnel.uploaded;
        let silent = row.funnel.uploaded - row.funnel.unmasked;
        assert_eq!(lost + silent, 9, "{:?}", row.funnel);
        assert!(lost >= 3);
        later += silent;
    }
    assert!(later > 0);
}

#[test]
fn central_noise_costs_the_same_and_is_what_the_bound_needs() {
    let dataset = people();
    let task = private(&dataset);
    let shared = run(&task, &dataset, OPTIONS).unwrap();
    let central = Options {
        central_noise: true,
        ..OPTIONS
    };
    let central = run(&task, &dataset, central).unwrap();
    assert_eq!(central.figures.noise, Noise::Central);
    assert_eq!(central.figures.epsilon, shared.figures.epsilon);
    assert_ne!(central.parameters, shared.parameters);
    assert!(central.figures.sum_exact);
    let masks = Options {
        masks: true,
        central_noise: true,
        ..OPTIONS
    };
    assert!(refused(&task, &dataset, masks).starts_with("central-noise"));
    let without = Options {
        central_noise: true,
        ..OPTIONS
    };
    assert!(refused(&plain(&dataset), &dataset, without).starts_with("central-noise"));
}

fn malice(share: f64, attack: Attack, strength: u16, item: Option<u32>) -> Options {
    Options {
        malice: Some(Malice {
            share,
            attack,
            strength,
            item,
        }),
        ..OPTIONS
    }
}

fn trained(dataset: &Dataset, plan: ModelPlan) -> Task {
    let recipe = TrainedRecipe::new(dataset.items, 6, plan);
    task(dataset, Recipe::Trained(recipe))
}

fn bpr() -> ModelPlan {
    toml::from_str(include_str!("../../../models/bpr-mf/model.toml")).unwrap()
}

#[test]
fn attackers_change_the_model_and_promote_what_they_want() {
    let dataset = people();
    let task = trained(&dataset, bpr());
    let honest = run(&task, &dataset, OPTIONS).unwrap();
    let nobody = run(&task, &dataset, malice(0.0, Attack::Scaled, 10, None)).unwrap();
    assert_eq!(honest.parameters, nobody.parameters);
    let mut found = vec![honest.parameters];
    for (attack, strength) in [
        (Attack::Random, 1),
        (Attack::SignFlip, 1),
        (Attack::Scaled, 2),
        (Attack::Scaled, 3),
    ] {
        let run = run(&task, &dataset, malice(0.1, attack, strength, None)).unwrap();
        assert!(run.figures.promoted.is_none());
        assert!(!found.contains(&run.parameters), "{attack:?}");
        found.push(run.parameters);
    }
    // An item that hardly anybody knows.
    let mut counts = vec![0; dataset.items];
    dataset
        .histories
        .iter()
        .flatten()
        .for_each(|item| counts[item.0 as usize] += 1);
    let rare = (0..dataset.items).min_by_key(|item| counts[*item]).unwrap() as u32;
    let promoted = |share| {
        let options = malice(share, Attack::Promotion, 3, Some(rare));
        run(&task, &dataset, options)
            .unwrap()
            .figures
            .promoted
            .unwrap()
    };
    let (without, with) = (promoted(0.0), promoted(0.3));
    assert!(with > without + 0.2, "{without} {with}");
    // Where nobody is measured between rounds, everyone is asked at the end.
    let options = Options {
        measured: 0,
        ..malice(0.3, Attack::Promotion, 3, Some(rare))
    };
    let unmeasured = run(&task, &dataset, options).unwrap();
    assert_eq!(unmeasured.figures.promoted, Some(with));
}

#[test]
fn impossible_attacks_are_refused_by_name() {
    let dataset = people();
    let task = plain(&dataset);
    for (options, named) in [
        (malice(1.1, Attack::Random, 1, None), "malicious"),
        (malice(0.1, Attack::Random, 0, None), "strength"),
        (malice(0.1, Attack::Random, 1, Some(3)), "promote"),
        (malice(0.1, Attack::Promotion, 1, None), "promote"),
        (malice(0.1, Attack::Promotion, 1, Some(80)), "promote"),
        (
            Options {
                masks: true,
                ..malice(0.1, Attack::Random, 1, None)
            },
            "masks",
        ),
        (
            Options {
                dropout_phases: [0; 5],
                ..OPTIONS
            },
            "dropout-phases",
        ),
        (
            Options {
                dropout: 0.2,
                stragglers: 0.2,
                ..OPTIONS
            },
            "dropout",
        ),
    ] {
        let error = refused(&task, &dataset, options);
        assert!(error.starts_with(named), "{error}");
    }
}

#[test]
fn a_run_that_diverges_says_so() {
    let dataset = people();
    let mut plan = bpr();
    plan.server.step_size = 1e10;
    let guard = &mut plan.server.guard;
    (guard.sum, guard.step, guard.loss, guard.reports) = (1e9, 1e9, 1e9, 0.0);
    let error = refused(&trained(&dataset, plan), &dataset, OPTIONS);
    assert!(error.contains("diverges"), "{error}");
}

#[test]
fn only_who_is_there_is_heard() {
    let dataset = people();
    let task = plain(&dataset);
    let mut trace = String::from("client,from,until\n");
    // Numbers 0 to 39 are there in every other round.
    (0..40).for_each(|client| trace += &format!("{client},1,2\n"));
    let availability = Some(Availability::parse(&trace).unwrap());
    let away = Options {
        availability: availability.clone(),
        ..OPTIONS
    };
    let found = run(&task, &dataset, away.clone()).unwrap();
    // What the others did is not in it: histories of their own change nothing.
    let mut others = dataset.clone();
    others.histories[40..]
        .iter_mut()
        .for_each(|history| history.truncate(2));
    others.cases = dataset.cases.clone();
    let same = run(&task, &others, away.clone()).unwrap();
    assert_eq!(found.parameters, same.parameters);
    let everyone = run(&task, &dataset, OPTIONS).unwrap();
    assert_ne!(found.parameters, everyone.parameters);
    let poisson = Options {
        sampling: Sampling::Poisson,
        ..OPTIONS
    };
    let poisson = run(&task, &dataset, poisson).unwrap();
    let sizes: Vec<usize> = poisson
        .rounds
        .iter()
        .map(|row| row.funnel.invited)
        .collect();
    assert!(sizes.iter().any(|size| *size != sizes[0]), "{sizes:?}");
    let far = Availability::parse("client,from,until\n60,0,1\n").unwrap();
    let far = Options {
        availability: Some(far),
        ..OPTIONS
    };
    assert!(refused(&task, &dataset, far).starts_with("availability"));
    assert!(refused(&private(&dataset), &dataset, away).starts_with("sampling"));
}

fn buffered(updates: usize, staleness: usize) -> Options {
    Options {
        buffer: Some(Buffer { updates, staleness }),
        stragglers: 0.2,
        dropout: 0.1,
        ..OPTIONS
    }
}

#[test]
fn updates_are_buffered_as_they_come_and_late_ones_count_less() {
    let dataset = people();
    let task = trained(&dataset, bpr());
    let found = run(&task, &dataset, buffered(8, 20)).unwrap();
    let learning = |run: &Run| -> Vec<(f64, usize, usize)> {
        let rows = run.rounds.iter();
        let rows = rows.filter_map(|row| {
            let Funnel {
                invited, uploaded, ..
            } = row.funnel;
            Some((row.staleness?, invited, uploaded))
        });
        rows.collect()
    };
    let rows = learning(&found);
    assert_eq!(rows.len(), 6);
    // Nobody can be late for the first step, and thirty learn at a time for buffers of eight.
    assert_eq!(rows[0].0, 0.0);
    assert!(
        rows[3..].iter().all(|row| (0.5..10.0).contains(&row.0)),
        "{rows:?}"
    );
    assert!(rows.iter().all(|row| row.2 == 8 && row.1 >= 8));
    assert!(
        rows.iter().any(|row| row.1 > 8),
        "some never come: {rows:?}"
    );
    let fresh = run(&task, &dataset, buffered(8, 0)).unwrap();
    assert!(learning(&fresh).iter().all(|row| row.0 == 0.0));
    let thrown = learning(&fresh).iter().map(|row| row.1).sum::<usize>();
    assert!(thrown > rows.iter().map(|row| row.1).sum());
    assert_ne!(found.parameters, fresh.parameters);
    assert!(found.trust.contains("each client's update"));
    assert!(found.figures.sum_exact);
}

/// Whoever learns and whoever is in the buffer are everybody here, so who is lost has to begin again.
#[test]
fn a_buffer_of_everybody_who_does_not_learn_is_filled() {
    let dataset = people();
    let options = Options {
        dropout: 0.3,
        stragglers: 0.0,
        ..buffered(30, 0)
    };
    let found = run(&trained(&dataset, bpr()), &dataset, options).unwrap();
    let steps = found.rounds.iter().filter(|row| row.staleness.is_some());
    assert!(steps.clone().count() > 1);
    assert!(steps.clone().all(|row| row.funnel.uploaded == 30));
}

#[test]
fn a_buffered_run_goes_on_to_the_same_bits() {
    let dataset = people();
    let task = trained(&dataset, bpr());
    let whole = run(&task, &dataset, buffered(8, 20)).unwrap();
    let mut saved: Option<Vec<u8>> = None;
    loop {
        let options = buffered(8, 20);
        let mut simulation = Simulation::new(&task, &dataset, &Direct, options).unwrap();
        if let Some(bytes) = &saved {
            simulation.go_on_from(Checkpoint::from_bytes(bytes).unwrap());
        }
        if !simulation.goes_on() {
            assert_eq!(simulation.end().unwrap().parameters, whole.parameters);
            break;
        }
        simulation.sum(&mut |_| {}).unwrap();
        saved = Some(simulation.checkpoint().to_bytes().unwrap());
    }
}

#[test]
fn what_masks_bind_together_cannot_be_buffered() {
    let dataset = people();
    let trained = trained(&dataset, bpr());
    let masks = Options {
        masks: true,
        ..buffered(8, 20)
    };
    for (task, options) in [
        (plain(&dataset), buffered(8, 20)),
        (private(&dataset), buffered(8, 20)),
        (trained.clone(), masks),
        (trained.clone(), buffered(0, 20)),
        (trained.clone(), buffered(31, 20)),
    ] {
        let error = refused(&task, &dataset, options);
        assert!(error.starts_with("buffer"), "{error}");
    }
    // All but one of them are busy.
    let crowded = Task {
        cohort: 0.9,
        ..trained
    };
    assert!(refused(&crowded, &dataset, buffered(8, 20)).contains("1 to 6"));
}
