//! How long the store takes, on this machine and this disk, with 100,000 events of 20,000 items: `cargo run --release -p chorus-client
//! --example speed`. What is printed is JSON: milliseconds, the median and the 99th percentile.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Instant;

use chorus_client::{Client, Durability, FileKey, Settings};
use chorus_model::{Event, ItemId};
use serde_json::json;

const EVENTS: u32 = 100_000;
const ITEMS: u32 = 20_000;
const BEGIN: i64 = 1_700_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    // Beside the build, which is on a disk; a folder for temporary files may be in memory.
    let home = tempfile::tempdir_in(".")?;
    let mut client = open(home.path(), Durability::PowerLoss)?;
    client.record_all((0..EVENTS).map(event))?;
    drop(client);

    let open_ms = times(20, || open(home.path(), Durability::PowerLoss).map(drop))?;
    let client = open(home.path(), Durability::PowerLoss)?;
    let history_ms = times(20, || Ok(client.history(ITEMS as usize).map(drop)?))?;
    drop(client);
    let record = |durability| {
        let mut client = open(home.path(), durability)?;
        let mut next = EVENTS;
        times(200, || {
            next += 1;
            Ok(client.record(event(next))?)
        })
    };
    let mut file = tempfile::tempfile_in(home.path())?;
    let fsync_ms = times(200, || {
        file.rewind()?;
        file.write_all(&[1; 4096])?;
        Ok(file.sync_data()?)
    })?;
    let report = json!({
        "events": EVENTS,
        "items": ITEMS,
        "file_bytes": std::fs::metadata(home.path().join("client.db"))?.len(),
        "open": open_ms,
        "history": history_ms,
        "record": record(Durability::PowerLoss)?,
        "record_without_fsync": record(Durability::ProcessEnd)?,
        "fsync_alone": fsync_ms,
    });
    println!("{report:#}");
    Ok(())
}

fn open(home: &Path, durability: Durability) -> Result<Client, Box<dyn Error>> {
    let settings = Settings {
        durability,
        ..Settings::default()
    };
    Ok(Client::open(home, &FileKey::beside(home), settings, BEGIN)?)
}

fn event(number: u32) -> Event {
    Event {
        item: ItemId(number % ITEMS),
        at: BEGIN + i64::from(number) * 7,
    }
}

fn times(
    count: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        work()?;
        taken.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get((share * (count - 1) as f64) as usize);
    Ok(json!({ "median": at(0.5), "p99": at(0.99) }))
}
