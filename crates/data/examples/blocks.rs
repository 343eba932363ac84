//! What training in blocks costs in quality and saves in upload, at the same number of passes over the catalogue.
//!
//! `CHORUS_DATA=folder cargo run --release -p chorus-data --example blocks ml-1m`; after the data set may come the
//! factors, blocks, seeds and passes.
#![allow(clippy::print_stdout, reason = "prints its measurement")]

#[path = "../tests/support/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with tests that need more of it"
)]
mod support;

use std::path::PathBuf;

use chorus_data::read;
use chorus_model::{IalsRecipe, Quality, Recipe};
use support::{Run, learn, quality};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "ml-100k".to_owned());
    let mut number = |otherwise: usize| words.next().map_or(Ok(otherwise), |text| text.parse());
    let (factors, most, seeds, passes) = (number(32)?, number(4)?, number(3)?, number(30)?);
    let folder = std::env::var_os("CHORUS_DATA").ok_or("CHORUS_DATA names no folder")?;
    let dataset = read(&PathBuf::from(folder).join(&name)).map_err(|error| error.to_string())?;
    println!(
        "{name}, {} items, d {factors}, cohorts of 10 % of {} users, 10 % dropouts, {passes} passes, mean of {seeds} seeds",
        dataset.items,
        dataset.users()
    );
    println!(
        "| blocks | rounds | words | sampled HR@10 / NDCG@10 | full HR@10 / NDCG@10 / Recall@20 |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for blocks in [1, most] {
        let recipe = Recipe::Ials(IalsRecipe {
            block: (blocks > 1).then(|| dataset.items.div_ceil(blocks)),
            ..IalsRecipe::new(dataset.items, factors, passes * blocks)
        });
        let mut mean = Quality::default();
        for seed in 0..seeds as u64 {
            let run = Run {
                cohort: 0.1,
                dropout: 0.1,
                noise: 0.0,
                seed,
            };
            mean.merge(&quality(&dataset, &learn(&dataset, &recipe, &run)));
        }
        let longest = recipe.sums().iter().skip(1).map(|sum| sum.length).max();
        println!(
            "| {blocks} | {} | {} | {:.4} / {:.4} | {:.4} / {:.4} / {:.4} |",
            passes * blocks,
            longest.unwrap_or_default(),
            mean.hr_at_10,
            mean.ndcg_at_10,
            mean.full_hr_at_10,
            mean.full_ndcg_at_10,
            mean.full_recall_at_20
        );
    }
    Ok(())
}
