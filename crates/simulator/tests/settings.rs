//! Keys that a run is asked for by, whoever wrote them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chorus_data::{Dataset, Synthesis, synthesise};
use chorus_model::{ModelPlan, Recipe};
use chorus_protocol::{Privacy, TaskName};
use chorus_simulator::{Keys, Settings, SettingsError, trained};
use serde_json::{Value, json};

fn keys(value: Value) -> Keys {
    serde_json::from_value(value).unwrap()
}

fn settings(value: Value) -> Settings {
    Settings::of(&keys(value)).unwrap()
}

fn people() -> Dataset {
    synthesise(&Synthesis::default())
}

fn name() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

fn refused(value: Value) -> String {
    match Settings::of(&keys(value)) {
        Err(error) => error.to_string(),
        Ok(settings) => {
            let refused = settings.prepare(name(), &people(), None);
            refused.expect_err("a refusal").to_string()
        }
    }
}

#[test]
fn keys_make_a_run_whether_they_are_numbers_or_text() {
    let numbers = json!({"noise": "off", "rounds": 3.0, "cohort": 0.5, "masks": true, "seed": 7, "evaluate": 2});
    let texts = json!({"noise": "off", "rounds": "3", "cohort": "0.5", "masks": "true", "seed": "7", "evaluate": "2"});
    assert_eq!(settings(numbers.clone()), settings(texts));
    let people = people();
    let (task, options) = settings(numbers).prepare(name(), &people, None).unwrap();
    let Recipe::Ials(recipe) = &task.recipe else {
        panic!("without noise and a plan it is ials");
    };
    assert_eq!((recipe.rounds, recipe.factors), (3, 32));
    assert_eq!((task.population, task.cohort), (400, 0.5));
    assert_eq!((options.seed, options.masks), (7, true));
    assert_eq!(task.evaluate.map(|evaluate| evaluate.every), Some(2));

    let (task, _) = settings(json!({"epsilon": 8}))
        .prepare(name(), &people, None)
        .unwrap();
    assert!(matches!(task.recipe, Recipe::IalsPrivate(_)));
    assert_eq!((task.cohort, task.dropout), (1.0, 0.2));
    let local = settings(json!({"noise": "local"})).privacy().unwrap();
    assert!(matches!(local, Some(Privacy::Local { epsilon: 8.0, .. })));
}

#[test]
fn what_makes_no_run_names_its_key_and_what_to_do() {
    for (keys, words) in [
        (
            json!({"epsilom": 8}),
            vec!["`epsilom`", "did you mean `epsilon`?"],
        ),
        (
            json!({"bearable_dropout": 0.1}),
            vec!["did you mean `bearable-dropout`?"],
        ),
        (
            json!({"rounds": 0}),
            vec!["`rounds`", "1 to 100000", "found `0`"],
        ),
        (
            json!({"rounds": true}),
            vec!["`rounds`", "1 to 100000", "found `true`"],
        ),
        (
            json!({"rounds": [3]}),
            vec!["`rounds`", "expected a number", "found `[3]`"],
        ),
        (
            json!({"masks": 3}),
            vec!["`masks`", "true or false", "found `3`"],
        ),
        (json!({"noise": "of"}), vec!["`noise`", "`off` or `local`"]),
        (
            json!({"mechanism": "laplace"}),
            vec!["`mechanism`", "`skellam`"],
        ),
        (json!({"seed": -1}), vec!["`seed`", "0 to"]),
        (json!({"rounds": 3}), vec!["decide about noise"]),
        (
            json!({"noise": "off", "epsilon": 8}),
            vec!["`epsilon`", "leave it out"],
        ),
        (json!({"epsilon": 8, "cohort": 0.5}), vec!["`cohort`: "]),
        (
            json!({"noise": "off", "dropout": 0.2, "bearable-dropout": 0.1}),
            vec!["dropout"],
        ),
        (
            json!({"noise": "off", "masks": true, "noise-at-once": true}),
            vec!["noise at once"],
        ),
    ] {
        let sentence = refused(keys);
        for word in words {
            assert!(sentence.contains(word), "`{word}` is missing: {sentence}");
        }
    }
}

#[test]
fn what_a_plan_says_is_not_said_twice() {
    let plan = include_str!("../../../models/bpr-mf/model.toml");
    let plan: ModelPlan = toml::from_str(plan).unwrap();
    let people = people();
    let recipe = trained(plan, None, &people, 1);
    let asked = settings(json!({"model": "bpr-mf", "noise": "off", "rounds": 4}));
    let (task, _) = asked
        .prepare(name(), &people, Some(recipe.clone()))
        .unwrap();
    assert!(matches!(task.recipe, Recipe::Trained(trained) if trained.rounds == 4));
    let twice = settings(json!({"model": "bpr-mf", "noise": "off", "factors": 4}));
    let error = twice.prepare(name(), &people, Some(recipe)).unwrap_err();
    assert!(matches!(
        error,
        SettingsError::Impossible { key: "factors", .. }
    ));
}
