//! Whether the causes of a recommendation are its causes: how well they add up to the score, and how far the first item of a list
//! falls when the named first cause is taken out of the history.
//!
//! `CHORUS_DATA=folder cargo run --release -p chorus-data --example explain ml-1m model.safetensors`; after the model, of
//! `chorus simulate --save-model`, may come how many people are asked.
#![allow(clippy::print_stdout, reason = "prints its measurement")]

use std::path::PathBuf;

use chorus_data::read;
use chorus_model::{Direct, Engine, Parameters, top};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().ok_or("which data set?")?;
    let model = words.next().ok_or("which model?")?;
    let most: usize = words.next().map_or(Ok(1_000), |text| text.parse())?;
    let folder = std::env::var_os("CHORUS_DATA").ok_or("CHORUS_DATA names no folder")?;
    let dataset = read(&PathBuf::from(folder).join(&name)).map_err(|error| error.to_string())?;
    let trainer = Direct.open(&Parameters::from_bytes(&std::fs::read(model)?)?)?;
    let (mut asked, mut falls, mut fell, mut left, mut worst) = (0usize, 0usize, 0, 0, 0f64);
    let (mut first_three, mut all) = (0.0, 0.0);
    let step = dataset.users().div_ceil(most.max(1)).max(1);
    for user in (0..dataset.users()).step_by(step) {
        let history = dataset.training_set(user);
        let scores = trainer.scores(&history)?;
        let Some(first) = top(&scores, &history, 1).first().copied() else {
            continue;
        };
        if history.len() < 2 {
            continue;
        }
        let mut causes = trainer.explain(&history, first)?;
        let sum: f64 = causes.iter().map(|cause| f64::from(cause.adds)).sum();
        let score = scores.get(first.0 as usize).copied().unwrap_or(f32::NAN);
        worst = worst.max((sum - f64::from(score)).abs());
        causes.sort_by(|left, right| right.adds.total_cmp(&left.adds));
        let positive = |cause: &&chorus_model::Cause| cause.adds > 0.0;
        let mass = |count| -> f64 {
            let causes = causes.iter().take(count).filter(positive);
            causes.map(|cause| f64::from(cause.adds)).sum()
        };
        first_three += mass(3);
        all += mass(causes.len());
        let Some(cause) = causes.first() else {
            continue;
        };
        let scores = trainer.scores(&history.without(cause.item))?;
        // Among the same items as before: the cause itself is no candidate.
        let order = top(&scores, &history, dataset.items);
        let fall = order.iter().position(|item| *item == first).unwrap_or(0);
        asked += 1;
        falls += fall;
        fell += usize::from(fall > 0);
        left += usize::from(fall >= 10);
    }
    let share = |count: usize| 100.0 * count as f64 / asked.max(1) as f64;
    println!(
        "{name}, {asked} people: the causes add up to the score within {worst:.1e}; without its first cause the first item falls by \
         {:.2} places on average, {:.0} % fall, {:.1} % leave the first ten; three causes hold {:.0} % of what speaks for it",
        falls as f64 / asked.max(1) as f64,
        share(fell),
        share(left),
        100.0 * first_three / f64::max(all, f64::MIN_POSITIVE)
    );
    Ok(())
}
