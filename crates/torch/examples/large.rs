//! Seconds and memory of one round over a block of a large catalogue: what a client does, and the server step.
//!
//! `cargo run --release -p chorus-torch --example large [items] [factors] [block]`
#![allow(clippy::print_stdout, reason = "prints its measurement")]

use std::time::Instant;

use chorus_model::{Direct, Engine, IalsRecipe, ItemId, MeanDelta, Recipe, TrainingSet};
use chorus_torch::Torch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Clients that learn one after the other from one opened model.
const CLIENTS: usize = 100;
/// Items in a history.
const LENGTH: usize = 165;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number = |otherwise: usize| numbers.next().map_or(Ok(otherwise), |text| text.parse());
    let (items, factors, block) = (number(1_000_000)?, number(32)?, number(20_000)?);

    let mut recipe = IalsRecipe::new(items, factors, items.div_ceil(block));
    recipe.block = Some(block);
    let recipe = Recipe::Ials(recipe);
    recipe.validate()?;
    let sums = recipe.sums();
    let [history, gradient, ..] = sums.as_slice() else {
        return Ok(());
    };
    println!(
        "{items} items, {factors} factors, blocks of {block}: {} words in `{}`, {} in `{}`, {} without blocks",
        history.length,
        history.name,
        gradient.length,
        gradient.name,
        gradient.step.length(items, factors, None)
    );

    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let histories: Vec<TrainingSet> = (0..CLIENTS)
        .map(|_| {
            let touched = (0..LENGTH).map(|_| ItemId(rng.random_range(0..items as u32)));
            TrainingSet::of(touched, items)
        })
        .collect();
    let mut learning = timed("first model", || Ok(recipe.start(1)))?;
    let bytes = timed("published, as a file", || {
        Ok(learning.parameters.to_bytes()?)
    })?;
    println!("  {:.0} MB", bytes.len() as f64 / 1e6);
    drop(bytes);

    for (index, sum) in [history, gradient].into_iter().enumerate() {
        let mut total = vec![0.0; sum.length];
        let engines: [(&str, &dyn Engine); 2] = [("direct", &Direct), ("torch", &Torch)];
        for (name, engine) in engines {
            let trainer = timed(&format!("{name}: open"), || {
                Ok(engine.open(&learning.parameters)?)
            })?;
            total.fill(0.0);
            timed(&format!("{name}: {CLIENTS} of `{}`", sum.name), || {
                for history in &histories {
                    let delta = trainer.contribution(sum.step, sum.block, history, &mut rng)?;
                    for (total, value) in total.iter_mut().zip(delta.into_values()) {
                        *total += f64::from(value);
                    }
                }
                Ok(())
            })?;
        }
        let mean = MeanDelta {
            sum: total,
            clients: CLIENTS,
            noise: 0.0,
        };
        learning = timed(&format!("server step after `{}`", sum.name), || {
            Ok(recipe.apply(learning, index, &mean, 1_000_000)?)
        })?;
    }
    Ok(())
}

fn timed<T>(
    what: &str,
    act: impl FnOnce() -> Result<T, Box<dyn std::error::Error>>,
) -> Result<T, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let result = act()?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "  {what}: {seconds:.3} s, at most {} MB so far",
        peak_megabytes()
    );
    Ok(result)
}

/// The most memory that this process has held, where the system tells (Linux).
fn peak_megabytes() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
    line.map_or("?".to_owned(), |kilobytes: f64| {
        format!("{:.0}", kilobytes / 1e3)
    })
}
