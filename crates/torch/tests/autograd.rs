//! The fused engine against libtorch's autograd and against finite differences.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use chorus_model::{
    Direct, Engine, Examples, ItemId, Loss, ModelPlan, Parameters, Recipe, Step, TrainedRecipe,
    Trainer, TrainingSet, Turn, top,
};
use chorus_torch::Autograd;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 60;
const FACTORS: usize = 11;
const LOSSES: [Loss; 3] = [Loss::Squared, Loss::Binary, Loss::Bpr];

/// A plan with biases. `batch`, `epochs` and `proximal` of the client.
fn plan(loss: Loss, batch: usize, epochs: usize, proximal: f64) -> ModelPlan {
    let mut plan: ModelPlan = serde_json::from_str(
        r#"{
            "name": "small", "architecture": "factors", "loss": "binary",
            "tensors": [
                {"name": "items", "shape": ["items", 11], "group": "rows", "initial": {"normal": 0.3}},
                {"name": "item-bias", "shape": ["items"], "group": "rows", "initial": {"uniform": 0.2}}
            ],
            "groups": {"rows": 1.0},
            "client": {"batch": 1, "step_size": 1.0, "negatives": 3,
                       "person": {"steps": 6, "step_size": 1.5, "regularisation": 0.02}},
            "server": {"optimiser": "fedavg", "step_size": 1.0, "guard": {"reports": 1.0}}
        }"#,
    )
    .unwrap();
    plan.loss = loss;
    plan.client.batch = batch;
    plan.client.epochs = epochs;
    plan.client.proximal = proximal;
    plan
}

fn model(plan: ModelPlan, seed: u64) -> Parameters {
    let recipe = Recipe::Trained(TrainedRecipe::new(ITEMS, 1, plan));
    recipe.validate().unwrap();
    recipe.start(seed).parameters
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn history(seed: u64) -> TrainingSet {
    let mut rng = rng(seed);
    let length = 1 + rng.next_u64() % 30;
    let item = |_| ItemId((rng.next_u64() % ITEMS as u64) as u32);
    TrainingSet::of((0..length).map(item).collect::<Vec<_>>(), ITEMS)
}

fn update(trainer: &dyn Trainer, history: &TrainingSet, seed: u64) -> Vec<f64> {
    let delta = trainer.contribution(Step::Update, None, history, &mut rng(seed));
    delta
        .unwrap()
        .into_values()
        .into_iter()
        .map(f64::from)
        .collect()
}

/// L2 norm of the difference over that of `exact`.
fn error(found: &[f64], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(exact).map(|(a, b)| a - b));
    difference / norm(&mut exact.iter().copied())
}

/// The mean loss of a person over examples, in f64 and by the formulas of [`Loss`] alone. `row`: factors, then the bias.
fn mean_loss(loss: Loss, examples: &Examples, rows: &[Vec<f64>], person: &[f64]) -> f64 {
    let score = |item: u32| {
        let row = &rows[item as usize];
        row.iter().zip(person).map(|(v, u)| v * u).sum::<f64>() + row[FACTORS]
    };
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let each = (0..examples.items.len()).map(|place| {
        let (s, y) = (
            score(examples.items[place]),
            f64::from(examples.labels[place]),
        );
        match loss {
            Loss::Squared => (s - y).powi(2) / 2.0,
            Loss::Bpr => softplus(score(examples.others[place]) - s),
            _ => softplus(s) - y * s,
        }
    });
    each.sum::<f64>() / examples.items.len() as f64
}

/// Central differences of fourth order.
fn derivative(mut at: impl FnMut(f64) -> f64) -> f64 {
    let h = 1e-3;
    (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
}

/// The update of one step over all examples, by differences alone: the person's steps, then the shared rows.
fn by_differences(
    plan: &ModelPlan,
    parameters: &Parameters,
    history: &TrainingSet,
    seed: u64,
) -> Vec<f64> {
    let table = &parameters.get("items").unwrap().values;
    let bias = &parameters.get("item-bias").unwrap().values;
    let mut rows: Vec<Vec<f64>> = (table.chunks(FACTORS).zip(bias))
        .map(|(row, bias)| row.iter().chain([bias]).map(|v| f64::from(*v)).collect())
        .collect();
    let mut examples = Examples::default();
    let turn = Turn::draw(Step::Update, plan, &mut rng(seed));
    let learn = turn.learn.unwrap();
    examples.for_learning(&plan.client, plan.loss, history, ITEMS, learn);
    let mut person = vec![0.0; FACTORS];
    let steps = plan.client.person.unwrap();
    for _ in 0..steps.steps {
        let gradient: Vec<f64> = (0..FACTORS)
            .map(|cell| {
                derivative(|h| {
                    let mut moved = person.clone();
                    moved[cell] += h;
                    let square: f64 = moved.iter().map(|u| u * u).sum();
                    mean_loss(plan.loss, &examples, &rows, &moved)
                        + steps.regularisation / 2.0 * square
                })
            })
            .collect();
        (person.iter_mut().zip(gradient)).for_each(|(u, g)| *u -= steps.step_size * g);
    }
    let mut gradient = vec![0.0; ITEMS * (FACTORS + 1)];
    for item in 0..ITEMS {
        for cell in 0..=FACTORS {
            let before = rows[item][cell];
            let place = match cell {
                FACTORS => ITEMS * FACTORS + item,
                _ => item * FACTORS + cell,
            };
            gradient[place] = derivative(|h| {
                rows[item][cell] = before + h;
                let loss = mean_loss(plan.loss, &examples, &rows, &person);
                rows[item][cell] = before;
                loss
            });
        }
    }
    let step = plan.client.step_size;
    gradient
        .into_iter()
        .map(|gradient| -step * gradient)
        .collect()
}

#[test]
fn gradients_are_those_of_autograd_and_of_differences() {
    for loss in LOSSES {
        // A large step, so that what f32 rounds off beside the published rows is small beside the gradient.
        let mut plan = plan(loss, 1 << 20, 1, 0.0);
        plan.client.step_size = 50.0;
        let model = model(plan.clone(), 3);
        let fused = Direct.open(&model).unwrap();
        let double = Autograd::Double.open(&model).unwrap();
        let mut worst = [0.0f64; 3];
        for seed in 0..12 {
            let history = history(seed);
            let words = ITEMS * (FACTORS + 1);
            let fused = &update(&*fused, &history, seed)[..words];
            let double = &update(&*double, &history, seed)[..words];
            let exact = by_differences(&plan, &model, &history, seed);
            let errors = [
                error(fused, double),
                error(fused, &exact),
                error(double, &exact),
            ];
            for (worst, error) in worst.iter_mut().zip(errors) {
                *worst = worst.max(error);
            }
        }
        println!(
            "{loss:?}: fused-autograd {:.1e}, fused-differences {:.1e}, autograd-differences {:.1e}",
            worst[0], worst[1], worst[2]
        );
        assert!(
            worst.iter().all(|error| *error <= 1e-5),
            "{loss:?} {worst:?}"
        );
    }
}

#[test]
fn parameters_after_a_hundred_steps_are_the_same() {
    for loss in LOSSES {
        for proximal in [0.0, 0.01] {
            let history = TrainingSet::of((0..20).map(|k| ItemId(k * 3)), ITEMS);
            let pairs = if loss == Loss::Bpr { 60 } else { 80 };
            // Four batches an epoch, the last one shorter.
            let plan = plan(loss, pairs / 4 + 1, 25, proximal);
            let model = model(plan, 5);
            let fused = update(&*Direct.open(&model).unwrap(), &history, 9);
            for engine in [Autograd::Single, Autograd::Double] {
                let torch = update(&*engine.open(&model).unwrap(), &history, 9);
                let table = model.get("items").unwrap().values.iter();
                let published: Vec<f64> = table
                    .chain(&model.get("item-bias").unwrap().values)
                    .map(|value| f64::from(*value))
                    .collect();
                let after = |update: &[f64]| -> Vec<f64> {
                    (published.iter().zip(update)).map(|(a, b)| a + b).collect()
                };
                let apart = error(&after(&fused), &after(&torch));
                // The report as well: both found the same loss.
                let report = error(&fused[published.len()..], &torch[published.len()..]);
                println!(
                    "{loss:?} {proximal} {engine:?}: parameters {apart:.1e}, report {report:.1e}"
                );
                assert!(apart <= 1e-4 && report <= 1e-4);
                assert!(
                    error(&after(&fused), &published) > 0.1,
                    "nothing was learned"
                );
            }
        }
    }
}

#[test]
fn lists_are_the_same() {
    let (mut same, mut all) = (0, 0);
    for loss in LOSSES {
        let model = model(plan(loss, 32, 1, 0.0), 7);
        let fused = Direct.open(&model).unwrap();
        let torch = Autograd::Single.open(&model).unwrap();
        for seed in 0..700 {
            let history = history(seed);
            let list =
                |trainer: &dyn Trainer| top(&trainer.scores(&history).unwrap(), &history, 20);
            same += usize::from(list(&*fused) == list(&*torch));
            all += 1;
        }
    }
    println!("{same} of {all} lists of 20 are the same");
    assert!(same as f64 >= 0.999 * f64::from(all));
}
