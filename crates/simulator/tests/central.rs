//! The yardstick, and the federation beside it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use chorus_data::{Dataset, Synthesis, read, synthesise};
use chorus_model::{
    Direct, Engine, IalsRecipe, ModelPlan, Parameters, Quality, Recipe, TrainedRecipe,
};
use chorus_protocol::{Consistency, Privacy, Task};
use chorus_simulator::{
    Central, CentralPlan, Options, SimulateError, evaluate, popularity, simulate, train_centrally,
    train_plan_centrally,
};

fn people() -> Dataset {
    synthesise(&Synthesis {
        users: 300,
        items: 120,
        seed: 5,
        ..Synthesis::default()
    })
}

fn central(dataset: &Dataset, factors: usize) -> Central {
    Central {
        recipe: IalsRecipe::new(dataset.items, factors, 1),
        epochs: 8,
        seed: 1,
    }
}

fn quality(dataset: &Dataset, model: &Parameters) -> Quality {
    let trainer = Direct.open(model).unwrap();
    evaluate(dataset, trainer.as_ref()).unwrap()
}

/// The objective that the sweeps lower, over everyone: the unseen items' part by the Gram matrices, the ridge as Rendle and
/// others have it.
fn loss(dataset: &Dataset, model: &Parameters) -> f64 {
    let items = model.get("items").unwrap();
    let (factors, alpha0) = (items.shape[1], f64::from(model.scalar("alpha0").unwrap()));
    let lambda = f64::from(model.scalar("regularisation").unwrap());
    let trainer = Direct.open(model).unwrap();
    let square = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let mut total = 0.0;
    for user in 0..dataset.users() {
        let history = dataset.training_set(user);
        let person = trainer.person(&history).unwrap().0;
        for (item, row) in (0..).zip(items.values.chunks_exact(factors)) {
            let score: f64 = row.iter().zip(&person).map(|(v, u)| f64::from(v * u)).sum();
            total += alpha0 * score * score;
            if history.contains(chorus_model::ItemId(item)) {
                total += (1.0 - score).powi(2);
            }
        }
        let unseen = alpha0 * dataset.items as f64;
        total += lambda * (history.len() as f64 + unseen) * square(&person);
    }
    let counts = &model.get("counts").unwrap().values;
    for (row, count) in items.values.chunks_exact(factors).zip(counts) {
        total += lambda * (f64::from(*count) + alpha0 * dataset.users() as f64) * square(row);
    }
    total
}

#[test]
fn each_sweep_lowers_the_objective() {
    let dataset = people();
    let losses: Vec<f64> = (0..5)
        .map(|epochs| {
            let central = Central {
                epochs,
                ..central(&dataset, 8)
            };
            loss(
                &dataset,
                &train_centrally(&dataset, &Direct, &central, &mut |_| {}).unwrap(),
            )
        })
        .collect();
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
    // The last sweeps change little: it has come where it goes.
    assert!(
        losses[4] > 0.95 * losses[3] && losses[4] < 0.8 * losses[0],
        "{losses:?}"
    );
}

#[test]
fn the_federation_comes_close_to_the_yardstick() {
    let dataset = people();
    let mut epochs = 0;
    let model = train_centrally(&dataset, &Direct, &central(&dataset, 12), &mut |_| {
        epochs += 1
    });
    let model = model.unwrap();
    assert_eq!(epochs, 8);
    let yardstick = quality(&dataset, &model);
    let task = Task {
        name: "films".to_owned().try_into().unwrap(),
        population: dataset.users(),
        cohort: 0.2,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: Consistency::Cohort,
        privacy: Privacy::Off,
        noise: Default::default(),
        evaluate: None,
        recipe: Recipe::Ials(IalsRecipe::new(dataset.items, 12, 30)),
    };
    let options = Options {
        seed: 1,
        dropout: 0.1,
        ..Options::default()
    };
    let run = simulate(&task, &dataset, &Direct, options, &mut |_| {}).unwrap();
    assert_eq!(run.figures.notes, Vec::<String>::new());
    let popular = popularity(&dataset).unwrap();
    println!(
        "NDCG@10 {:.4} federated, {:.4} in one place, {:.4} popularity",
        run.quality.ndcg_at_10, yardstick.ndcg_at_10, popular.ndcg_at_10
    );
    assert!(run.quality.ndcg_at_10 > popular.ndcg_at_10 + 0.1);
    assert!((run.quality.ndcg_at_10 - yardstick.ndcg_at_10).abs() < 0.03);
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let dataset = people();
    let central = central(&dataset, 6);
    let learn = || train_centrally(&dataset, &Direct, &central, &mut |_| {}).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(learn)
    };
    assert_eq!(on(1), on(3));
    let other = Central {
        seed: 2,
        ..central.clone()
    };
    assert_ne!(
        learn(),
        train_centrally(&dataset, &Direct, &other, &mut |_| {}).unwrap()
    );
}

#[test]
fn another_catalogue_is_refused() {
    let dataset = people();
    let mut central = central(&dataset, 6);
    central.recipe.items += 1;
    let refused = train_centrally(&dataset, &Direct, &central, &mut |_| {});
    assert!(matches!(
        refused,
        Err(SimulateError::Catalogue {
            recipe: 121,
            data: 120
        })
    ));
}

/// Exact ALS on ml-100k: what everything else is measured by.
#[test]
fn the_yardstick_on_ml_100k() {
    let Some(folder) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: CHORUS_DATA is not set, so there is no ml-100k to learn from");
        return;
    };
    let dataset = read(&std::path::Path::new(&folder).join("ml-100k")).unwrap();
    let central = Central {
        epochs: 12,
        ..central(&dataset, 32)
    };
    let model = train_centrally(&dataset, &Direct, &central, &mut |_| {}).unwrap();
    let found = quality(&dataset, &model);
    println!("{found:?}");
    assert!(
        found.hr_at_10 >= 0.575 && found.ndcg_at_10 >= 0.31,
        "{found:?}"
    );
}

fn descent(dataset: &Dataset, plan: ModelPlan, batch: usize) -> CentralPlan {
    CentralPlan {
        recipe: TrainedRecipe::new(dataset.items, 1, plan),
        epochs: 4,
        batch,
        seed: 1,
    }
}

fn bpr() -> ModelPlan {
    toml::from_str(include_str!("../../../models/bpr-mf/model.toml")).unwrap()
}

#[test]
fn the_model_of_a_plan_learns_in_one_place_too() {
    let dataset = people();
    let plan = bpr();
    let learn = |central: &CentralPlan| {
        let mut epochs = 0;
        let swept = &mut |_| epochs += 1;
        let model = train_plan_centrally(&dataset, &Direct, central, swept).unwrap();
        assert_eq!(epochs, central.epochs);
        model
    };
    let central = descent(&dataset, plan.clone(), 30);
    let model = learn(&central);
    assert_eq!(model, learn(&central));
    // What is published is the plan itself, guard and all, so that any client opens it.
    assert_eq!(model.plan(), Some(&plan));
    let popular = popularity(&dataset).unwrap();
    let found = quality(&dataset, &model);
    println!(
        "NDCG@10 {:.4}, {:.4} popularity",
        found.ndcg_at_10, popular.ndcg_at_10
    );
    assert!(found.ndcg_at_10 > popular.ndcg_at_10 + 0.1);

    // Nothing is clipped and no guard looks on: where the federation would clip everything to nothing, this is the same.
    let mut tight = plan;
    tight.groups.values_mut().for_each(|bound| *bound = 1e-6);
    let unclipped = learn(&descent(&dataset, tight, 30));
    assert_eq!(unclipped.get("items"), model.get("items"));

    let everyone = learn(&descent(&dataset, bpr(), dataset.users()));
    assert_eq!(everyone, learn(&descent(&dataset, bpr(), usize::MAX)));
    assert_ne!(everyone, model);

    let mut other = central;
    other.recipe.items += 1;
    let refused = train_plan_centrally(&dataset, &Direct, &other, &mut |_| {});
    assert!(matches!(refused, Err(SimulateError::Catalogue { .. })));
}
