//! What a client computes with the engine in plain Rust: `cargo bench -p chorus-model`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark may panic, and criterion writes its main function"
)]

use std::hint::black_box;
use std::time::Duration;

use chorus_model::{
    Direct, Engine, Everything, IalsRecipe, ItemId, ModelPlan, Parameters, Recipe, Step, Tensor,
    TrainedRecipe, Trainer, TrainingSet, Wish, list,
};
use criterion::{Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustix::time::{ClockId, clock_gettime};

/// Factors of the item table, and of the head beside it.
const FACTORS: usize = 64;
/// Items in a history: the mean of ml-1m.
const LENGTH: usize = 165;
/// Items of ml-1m.
const FILMS: usize = 3_706;
/// Candidates to rank.
const CANDIDATES: usize = 10_000;
/// Lists whose times the 99th percentile is of.
const LISTS: usize = 2_000;

fn history(rng: &mut ChaCha20Rng, items: usize) -> TrainingSet {
    let item = |_| ItemId(rng.random_range(0..items as u32));
    TrainingSet::of((0..LENGTH).map(item), items)
}

/// A model of `ials` after its last sum: an item table, and the head beside it.
fn ials(rng: &mut ChaCha20Rng, items: usize) -> Parameters {
    let recipe = Recipe::Ials(IalsRecipe::new(items, FACTORS, 1));
    let mut model = recipe.start(1).parameters;
    let mut table = |name: &str, shape: Vec<usize>| {
        let length = shape.iter().product();
        let values = (0..length).map(|_| rng.random::<f32>()).collect();
        model.set(name, Tensor { shape, values });
    };
    table("items", vec![items, FACTORS]);
    table("counts", vec![items]);
    table("head", vec![items, FACTORS]);
    table("head_scale", vec![items]);
    model.set_scalar("alpha0", 0.3);
    model
}

fn updates(criterion: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let films = ials(&mut rng, FILMS);
    let text = include_str!("../../../models/bpr-mf/model.toml");
    let plan: ModelPlan = toml::from_str(text).unwrap();
    let pairs = Recipe::Trained(TrainedRecipe::new(FILMS, 1, plan));
    let pairs = pairs.start(1).parameters;
    let history = history(&mut rng, FILMS);
    for (name, model, step) in [
        ("ials, 64 factors", films, Step::Gradient),
        ("bpr-mf, 32 factors", pairs, Step::Update),
    ] {
        let trainer = Direct.open(&model).unwrap();
        criterion.bench_function(&format!("update of one ml-1m client, {name}"), |bencher| {
            bencher.iter(|| {
                let delta = trainer.contribution(step, None, black_box(&history), &mut rng);
                delta.unwrap()
            });
        });
        let start = processor_time();
        for _ in 0..LISTS {
            let delta = trainer.contribution(step, None, black_box(&history), &mut rng);
            black_box(delta.unwrap());
        }
        let each = (processor_time() - start) / LISTS as u32;
        println!("processor time of one update: {each:?}");
    }
}

fn ranking(criterion: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let trainer = Direct.open(&ials(&mut rng, CANDIDATES)).unwrap();
    let mut rank = |trainer: &dyn Trainer, history: &TrainingSet| {
        let scores = trainer.scores(history).unwrap();
        list(&scores, history, Wish::best(10), &Everything, &mut rng)
    };
    let history = history(&mut ChaCha20Rng::seed_from_u64(3), CANDIDATES);
    criterion.bench_function("ranking 10,000 candidates, ials, 64 factors", |bencher| {
        bencher.iter(|| rank(&*trainer, black_box(&history)));
    });
    let mut times: Vec<Duration> = (0..LISTS)
        .map(|_| {
            let start = processor_time();
            black_box(rank(&*trainer, black_box(&history)));
            processor_time() - start
        })
        .collect();
    times.sort_unstable();
    let [median, most] = [50, 99].map(|percent| times[LISTS * percent / 100]);
    println!("processor time of {LISTS} lists: median {median:?}, 99th percentile {most:?}");
}

/// That this thread has had, whoever else uses the machine.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

criterion_group!(benches, updates, ranking);
criterion_main!(benches);
