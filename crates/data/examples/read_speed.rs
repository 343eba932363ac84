//! How fast a data set is read, and how much memory that takes.
//!
//! `cargo run --release -p chorus-data --example read_speed DIR`
#![allow(clippy::print_stdout, reason = "prints its measurement")]

use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("name the folder of a data set")?;
    let began = Instant::now();
    let dataset = chorus_data::read(Path::new(&path)).map_err(|error| error.to_string())?;
    let seconds = began.elapsed().as_secs_f64();
    let learned: usize = dataset.histories.iter().map(Vec::len).sum();
    let held: usize = dataset
        .cases
        .iter()
        .flatten()
        .map(|held| held.all().count())
        .sum();
    let events = learned + held;
    println!(
        "{}: {} users, {} items, {events} events in {seconds:.1} s, {:.0} a second",
        dataset.name,
        dataset.users(),
        dataset.items,
        events as f64 / seconds
    );
    Ok(())
}
