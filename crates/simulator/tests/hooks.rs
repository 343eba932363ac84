//! Whoever decides instead of the product: a sampler, a server step.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{Direct, Parameters, Tensor};
use chorus_protocol::Task;
use chorus_simulator::{
    Draw, HookError, Hooks, Keys, Options, Run, ServerStep, Settings, Simulation,
};
use serde_json::json;

type Step = fn(ServerStep<'_>) -> Result<Option<Parameters>, HookError>;

/// What a test decides; what it was asked.
#[derive(Default)]
struct Deciding {
    clients: Option<Vec<usize>>,
    step: Option<Step>,
    asked: Vec<(usize, String, usize, usize)>,
    stepped: Vec<(usize, String, usize)>,
}

impl Hooks for Deciding {
    fn sample(&mut self, draw: Draw<'_>) -> Result<Option<Vec<usize>>, HookError> {
        let Draw {
            round,
            sum,
            population,
            size,
        } = draw;
        self.asked.push((round, sum.to_owned(), population, size));
        Ok(self.clients.clone())
    }

    fn step(&mut self, step: ServerStep<'_>) -> Result<Option<Parameters>, HookError> {
        self.stepped
            .push((step.round, step.row.name.clone(), step.delta.clients));
        self.step.map_or(Ok(None), |decide| decide(step))
    }
}

fn asked(keys: serde_json::Value) -> (Task, Dataset, Options) {
    let people = synthesise(&Synthesis {
        users: 100,
        items: 40,
        mean_history: 8,
        ..Synthesis::default()
    });
    let keys: Keys = serde_json::from_value(keys).unwrap();
    let name = "films".to_owned().try_into().unwrap();
    let settings = Settings::of(&keys).unwrap();
    let (task, options) = settings.prepare(name, &people, None).unwrap();
    (task, people, options)
}

fn run(hooks: &mut Deciding) -> Result<Run, chorus_simulator::SimulateError> {
    let (task, people, options) =
        asked(json!({"noise": "off", "factors": 4, "rounds": 2, "cohort": 0.5, "measured": 0}));
    let simulation = Simulation::new(&task, &people, &Direct, options)?;
    let mut simulation = simulation.with_hooks(hooks);
    while simulation.goes_on() {
        simulation.sum(&mut |_| {})?;
    }
    simulation.end()
}

fn refused(hooks: &mut Deciding) -> String {
    run(hooks).unwrap_err().to_string()
}

#[test]
fn hooks_that_decide_nothing_change_no_bit() {
    let (task, people, options) =
        asked(json!({"noise": "off", "factors": 4, "rounds": 2, "cohort": 0.5, "measured": 0}));
    let usual = chorus_simulator::simulate(&task, &people, &Direct, options, &mut |_| {}).unwrap();
    let mut hooks = Deciding::default();
    let run = run(&mut hooks).unwrap();
    assert_eq!(run.parameters, usual.parameters);
    let names: Vec<&String> = hooks.asked.iter().map(|(_, name, _, _)| name).collect();
    assert_eq!(
        names,
        run.rounds.iter().map(|row| &row.name).collect::<Vec<_>>()
    );
    assert!(
        hooks
            .asked
            .iter()
            .all(|(_, _, population, size)| (*population, *size) == (100, 50))
    );
    assert!(hooks.stepped.iter().all(|(_, _, clients)| *clients == 50));
    assert_eq!(hooks.stepped.len(), run.rounds.len());
}

#[test]
fn a_sampler_chooses_who_is_invited_and_is_checked() {
    let mut hooks = Deciding {
        clients: Some((20..60).rev().collect()),
        ..Deciding::default()
    };
    let run = run(&mut hooks).unwrap();
    assert!(run.rounds.iter().all(|row| row.funnel.invited == 40));
    for (clients, words) in [
        (vec![], "round 1: sampler: it gave nobody"),
        (vec![100], "no client 100: they are numbered from 0 to 99"),
        (vec![3, 4, 3], "client 3 is there twice"),
    ] {
        let mut hooks = Deciding {
            clients: Some(clients),
            ..Deciding::default()
        };
        let sentence = refused(&mut hooks);
        assert!(sentence.contains(words), "{sentence}");
    }
    let (task, people, options) = asked(json!({"epsilon": 8, "factors": 4}));
    let mut hooks = Deciding {
        clients: Some(vec![1]),
        ..Deciding::default()
    };
    let simulation = Simulation::new(&task, &people, &Direct, options).unwrap();
    let error = simulation
        .with_hooks(&mut hooks)
        .sum(&mut |_| {})
        .unwrap_err();
    assert!(error.to_string().contains("with noise everyone"), "{error}");
}

#[test]
fn a_server_step_makes_the_next_model_and_is_checked() {
    let mut hooks = Deciding {
        step: Some(|step| {
            let mut still = step.after.clone();
            if let Some(items) = step.before.get("items") {
                still.set("items", items.clone());
            }
            Ok(Some(still))
        }),
        ..Deciding::default()
    };
    let still = run(&mut hooks).unwrap().parameters;
    let learned = run(&mut Deciding::default()).unwrap().parameters;
    assert_ne!(still.get("items"), learned.get("items"));

    let shaped: Step = |step| {
        let mut other = step.after.clone();
        other.set("items", Tensor::new("items", &[2], vec![0.0; 2])?);
        Ok(Some(other))
    };
    let broken: Step = |step| {
        let mut other = step.after.clone();
        other.set(
            "items",
            Tensor::new("items", &[40, 4], vec![f32::NAN; 160])?,
        );
        Ok(Some(other))
    };
    let steps: [(Step, &str); 4] = [
        (
            |_| Ok(Some(Parameters::default())),
            "round 1: server_step: it gave the tensors []: give [",
        ),
        (shaped, "tensor `items` has the shape [2]: give [40, 4]"),
        (broken, "tensor `items` holds a value that is not finite"),
        (|_| Err("no idea".into()), "a hook: no idea"),
    ];
    for (step, words) in steps {
        let mut hooks = Deciding {
            step: Some(step),
            ..Deciding::default()
        };
        let sentence = refused(&mut hooks);
        assert!(sentence.contains(words), "{sentence}");
    }
}
