//! Microseconds a client for a MovieLens-sized model: both engines, one thread and two.
#![allow(clippy::print_stdout, reason = "prints its measurement")]

use std::time::Instant;

use chorus_model::{Direct, Engine, ItemId, Parameters, Step, Tensor, TrainError, TrainingSet};
use chorus_torch::Torch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn draws() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

const CLIENTS: usize = 500;

fn main() -> Result<(), TrainError> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (items, factors, length) in [(3706, 16, 165), (3706, 64, 165), (3706, 192, 165)] {
        let mut parameters = Parameters::default();
        let values = (0..items * factors)
            .map(|_| rng.random::<f32>() - 0.5)
            .collect();
        parameters.set(
            "items",
            Tensor {
                shape: vec![items, factors],
                values,
            },
        );
        parameters.set_scalar("alpha0", 0.3);
        parameters.set_scalar("regularisation", 0.007);
        let histories: Vec<TrainingSet> = (0..CLIENTS)
            .map(|_| {
                TrainingSet::of(
                    (0..length).map(|_| ItemId(rng.random_range(0..items as u32))),
                    items,
                )
            })
            .collect();
        let engines: [(&str, &dyn Engine); 2] = [("torch", &Torch), ("direct", &Direct)];
        for (name, engine) in engines {
            let trainer = engine.open(&parameters)?;
            for threads in [1, 2] {
                let run = |what: &(dyn Fn(&TrainingSet) -> bool + Sync)| {
                    let start = Instant::now();
                    std::thread::scope(|scope| {
                        for part in histories.chunks(CLIENTS / threads) {
                            scope.spawn(move || part.iter().all(what));
                        }
                    });
                    start.elapsed().as_micros() as usize / CLIENTS
                };
                run(&|history| trainer.person(history).is_ok());
                let person = run(&|history| trainer.person(history).is_ok());
                let gradient = run(&|history| {
                    trainer
                        .contribution(Step::Gradient, None, history, &mut draws())
                        .is_ok()
                });
                println!(
                    "{name:6} {threads} thread(s)  {items} items, {factors:3} factors, {length} in the history: \
                     person {person} us, gradient {gradient} us"
                );
            }
        }
    }
    Ok(())
}
