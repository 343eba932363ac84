//! Models of a plan: what is refused, what clients send, and what becomes of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use chorus_model::{
    Architecture, ClipGroup, Direct, Engine, ItemId, LearnError, Loss, MeanDelta, ModelPlan,
    Parameters, ParametersError, Recipe, Step, Tensor, TrainError, TrainedRecipe, TrainingSet, top,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 24;

fn plan() -> ModelPlan {
    serde_json::from_str(
        r#"{
            "name": "small", "architecture": "factors", "loss": "binary",
            "tensors": [
                {"name": "items", "shape": ["items", 5], "group": "rows", "initial": {"normal": 0.1}},
                {"name": "item-bias", "shape": ["items"], "group": "bias", "initial": "zeros"}
            ],
            "groups": {"rows": 1.0, "bias": 0.5},
            "client": {"epochs": 2, "batch": 7, "step_size": 0.5, "negatives": 3,
                       "person": {"steps": 6, "step_size": 2.0, "regularisation": 0.01}},
            "server": {"optimiser": "fedadam", "step_size": 0.05}
        }"#,
    )
    .unwrap()
}

fn recipe(plan: ModelPlan, rounds: usize) -> Recipe {
    Recipe::Trained(TrainedRecipe::new(ITEMS, rounds, plan))
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn history(items: &[u32]) -> TrainingSet {
    TrainingSet::of(items.iter().copied().map(ItemId), ITEMS)
}

/// Two circles of taste: the lower half of the catalogue and the upper one.
fn people() -> Vec<TrainingSet> {
    let half = ITEMS as u32 / 2;
    (0..60u32)
        .map(|person| {
            let first = half * (person % 2);
            let items: Vec<u32> = (0..6)
                .map(|step| first + (person / 2 + step * (1 + person % 3)) % half)
                .collect();
            history(&items)
        })
        .collect()
}

/// Runs a recipe over everyone, in the open.
fn learn(recipe: &Recipe, people: &[TrainingSet], seed: u64) -> Parameters {
    recipe.validate().unwrap();
    let mut learning = recipe.start(seed);
    for (index, sum) in recipe.sums().iter().enumerate() {
        let trainer = Direct.open(&learning.parameters).unwrap();
        let mut total = vec![0.0; sum.length];
        for (person, history) in people.iter().enumerate() {
            let draws = &mut rng(seed + 1_000 * index as u64 + person as u64);
            let delta = trainer.contribution(sum.step, sum.block, history, draws);
            let values = delta.unwrap().into_values();
            assert_eq!(values.len(), sum.length);
            total
                .iter_mut()
                .zip(values)
                .for_each(|(total, value)| *total += f64::from(value));
        }
        let delta = MeanDelta {
            sum: total,
            clients: people.len(),
            noise: 0.0,
        };
        learning = recipe.apply(learning, index, &delta, people.len()).unwrap();
    }
    learning.parameters
}

#[test]
fn every_loss_tells_two_circles_of_taste_apart() {
    for loss in [Loss::Squared, Loss::Binary, Loss::Bpr] {
        let recipe = recipe(ModelPlan { loss, ..plan() }, 25);
        let model = learn(&recipe, &people(), 1);
        let trainer = Direct.open(&model).unwrap();
        for (items, lower) in [([0, 3, 7], true), ([13, 17, 22], false)] {
            let newcomer = history(&items);
            let list = top(&trainer.scores(&newcomer).unwrap(), &newcomer, 6);
            let right = |item: &&ItemId| (item.0 < ITEMS as u32 / 2) == lower;
            assert_eq!(list.iter().filter(right).count(), 6, "{loss:?} {list:?}");
        }
        let popular = trainer.scores(&history(&[])).unwrap();
        assert_eq!(popular, model.get("counts").unwrap().values);
    }
}

#[test]
fn a_plan_names_what_is_wrong_with_it() {
    let good = serde_json::to_value(plan()).unwrap();
    for (pointer, value, field) in [
        ("/name", r#""Small""#, "name"),
        ("/tensors/0/name", r#""counts""#, "tensors.counts.name"),
        ("/tensors/1/name", r#""items""#, "tensors.items.name"),
        ("/tensors/0/shape", r#"[5, "items"]"#, "tensors.items.shape"),
        ("/tensors/0/shape", r#"["items", 0]"#, "tensors.items.shape"),
        (
            "/tensors/0/initial",
            r#"{"normal": -1}"#,
            "tensors.items.initial",
        ),
        ("/tensors/0/group", r#""columns""#, "tensors.items.group"),
        ("/tensors/0/group", "null", "tensors.items.group"),
        ("/tensors/1/trained", "false", "tensors.item-bias.group"),
        ("/tensors/1/shape", r#"["items", 3]"#, "tensors.item-bias"),
        ("/groups/rows", "0", "groups.rows"),
        ("/groups/tower", "1", "groups.tower"),
        ("/adaptive", r#"{"quantile": 1}"#, "adaptive.quantile"),
        ("/client/epochs", "0", "client.epochs"),
        ("/client/batch", "0", "client.batch"),
        ("/client/step_size", "0", "client.step_size"),
        ("/client/negatives", "0", "client.negatives"),
        ("/client/proximal", "-1", "client.proximal"),
        ("/client/person", "null", "client.person"),
        ("/client/person/steps", "0", "client.person.steps"),
        ("/server/step_size", "-1", "server.step_size"),
        ("/server/beta2", "1", "server.beta2"),
        ("/server/tau", "0", "server.tau"),
        ("/server/guard", r#"{"step": 0.5}"#, "server.guard.step"),
        ("/server/schedule", r#"{"inverse": 0}"#, "server.schedule"),
        ("/loss", r#""softmax""#, "loss"),
    ] {
        let mut changed = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let place = changed.pointer_mut(parent).unwrap();
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        match key.parse::<usize>() {
            Ok(index) => place[index] = value,
            Err(_) => place[key] = value,
        }
        let plan: ModelPlan = serde_json::from_value(changed).unwrap();
        let error = recipe(plan, 3).validate().unwrap_err();
        assert_eq!(error.field, format!("model.{field}"), "{pointer}: {error}");
    }
    let unknown = r#"{"algorithm": "trained", "items": 4, "rounds": 1, "model": {"nam": "small"}}"#;
    let error = serde_json::from_str::<Recipe>(unknown)
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown field `nam`"), "{error}");
    let file = r#"{"algorithm": "trained", "items": 4, "rounds": 1, "model": "model.toml"}"#;
    let named: Recipe = serde_json::from_str(file).unwrap();
    assert_eq!(named.validate().unwrap_err().field, "model");
}

#[test]
fn a_task_and_a_model_file_give_the_plan_back_and_its_digest_is_of_all_of_it() {
    let recipe = recipe(plan(), 3);
    let text = serde_json::to_string(&recipe).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
    let start = recipe.start(4).parameters;
    let bytes = start.to_bytes().unwrap();
    let read = Parameters::from_bytes(&bytes).unwrap();
    assert_eq!(read, start);
    assert_eq!(read.plan(), Some(&plan()));
    assert_eq!(read.items(), Ok(ITEMS));
    assert_eq!(read.to_bytes().unwrap(), bytes);
    let mut other = plan();
    other.client.proximal = 0.01;
    assert_ne!(plan().digest().unwrap(), other.digest().unwrap());
    assert_eq!(plan().digest().unwrap(), plan().digest().unwrap());
}

#[test]
fn a_model_that_is_not_of_its_plan_is_refused_before_anything_trains() {
    let good = recipe(plan(), 3).start(1).parameters;
    let refused = |change: &dyn Fn(&mut Parameters)| {
        let mut model = good.clone();
        change(&mut model);
        match Direct.open(&model).err() {
            Some(TrainError::Parameters(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let zeros = |shape: &[usize]| Tensor {
        shape: shape.to_vec(),
        values: vec![0.0; shape.iter().product()],
    };
    assert_eq!(
        refused(&|model| model.remove("item-bias")),
        ParametersError::Missing("item-bias".to_owned())
    );
    assert_eq!(
        refused(&|model| model.set("items", zeros(&[ITEMS, 4]))),
        ParametersError::Mismatch {
            name: "items".to_owned(),
            expected: vec![ITEMS, 5],
            found: vec![ITEMS, 4],
        }
    );
    // A catalogue that shrank in one tensor only.
    assert!(matches!(
        refused(&|model| model.set("counts", zeros(&[ITEMS - 1]))),
        ParametersError::Mismatch { .. }
    ));
    assert_eq!(
        refused(&|model| model.set("tower", zeros(&[2]))),
        ParametersError::Undeclared("tower".to_owned())
    );
    let neumf = ModelPlan {
        architecture: Architecture::Neumf,
        ..plan()
    };
    let model = recipe(neumf, 3).start(1).parameters;
    let error = Direct.open(&model).err().unwrap().to_string();
    assert!(error.contains("libtorch"), "{error}");
}

#[test]
fn the_sums_of_a_task_are_laid_out_as_the_plan_says() {
    let Recipe::Trained(plain) = recipe(plan(), 2) else {
        panic!("another recipe");
    };
    let names = |recipe: &TrainedRecipe| -> Vec<String> {
        let sums = Recipe::Trained(recipe.clone()).sums();
        sums.into_iter().map(|sum| sum.name).collect()
    };
    assert_eq!(names(&plain), ["history", "update-1", "update-2", "check"]);
    let sums = Recipe::Trained(plain.clone()).sums();
    let joint = f64::sqrt(1.25);
    let group = |length, bound| ClipGroup { length, bound };
    let report = group(3, joint);
    assert_eq!(
        sums[1].groups,
        [group(ITEMS * 5, 1.0), group(ITEMS, 0.5), report]
    );
    assert_eq!(sums[1].length, ITEMS * 6 + 3);
    assert!((sums[1].clip - f64::sqrt(2.0 * 1.25)).abs() < 1e-12);
    assert_eq!(
        (sums[3].length, sums[3].groups.as_slice()),
        (3, &[report][..])
    );

    let noised = TrainedRecipe {
        noise: true,
        ..plain
    };
    assert_eq!(names(&noised), ["counts", "update-1", "update-2"]);
    let sums = Recipe::Trained(noised).sums();
    assert_eq!(sums[2].groups, [group(ITEMS * 5, 1.0), group(ITEMS, 0.5)]);
    assert!((sums[2].clip - joint).abs() < 1e-12);
    let shares: f64 = sums.iter().map(|sum| sum.share).sum();
    assert!((shares - 1.0).abs() < 1e-12);
}

#[test]
fn bad_histories_and_steps_are_errors_and_an_empty_one_sends_zeros() {
    let trainer = Direct.open(&recipe(plan(), 1).start(1).parameters).unwrap();
    let outside = TrainingSet::of([ItemId(ITEMS as u32)], ITEMS + 1);
    for step in [Step::History, Step::Update, Step::Check] {
        let error = trainer
            .contribution(step, None, &outside, &mut rng(1))
            .err();
        assert!(matches!(error, Some(TrainError::Numeric(_))), "{step:?}");
        let empty = trainer.contribution(step, None, &history(&[]), &mut rng(1));
        let values = empty.unwrap().into_values();
        assert!(values.iter().all(|value| *value == 0.0), "{step:?}");
    }
    let error = trainer.contribution(Step::Gradient, None, &history(&[1]), &mut rng(1));
    assert!(matches!(
        error.err(),
        Some(TrainError::Step(Step::Gradient))
    ));
    assert!(trainer.scores(&outside).is_err());
    // A person who touched everything has no negatives, and still a list.
    let everything = history(&(0..ITEMS as u32).collect::<Vec<_>>());
    assert_eq!(trainer.scores(&everything).unwrap().len(), ITEMS);
    let update = trainer.contribution(Step::Update, None, &everything, &mut rng(1));
    assert!(
        update
            .unwrap()
            .into_values()
            .iter()
            .all(|value| value.is_finite())
    );
}

#[test]
fn a_sum_that_is_not_finite_is_refused() {
    let recipe = recipe(plan(), 1);
    let delta = MeanDelta {
        sum: vec![f64::NAN; recipe.sums()[1].length],
        clients: 10,
        noise: 0.0,
    };
    let refused = recipe.apply(recipe.start(1), 1, &delta, 10);
    assert!(matches!(refused, Err(LearnError::Numeric(_))));
}
