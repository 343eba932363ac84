//! How long the store takes, on this machine and this disk, with 100,000 events of 20,000 items: `cargo run --release -p chorus-client
//! --example speed`. What is printed is JSON: milliseconds, the median and the 99th percentile.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use chorus_client::{Answer, Client, Decision, Durability, Event, FileKey, Purpose, Settings};
use chorus_model::ItemId;
use serde_json::{Value, json};

const EVENTS: u32 = 100_000;
const ITEMS: u32 = 20_000;
const BEGIN: i64 = 1_700_000_000;
const NOW: i64 = BEGIN + 10_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    // Beside the build, which is on a disk; a folder for temporary files may be in memory.
    let home = tempfile::tempdir_in(".")?;
    let mut client = open(home.path(), Durability::PowerLoss)?;
    let notice = client.notice("en").ok_or("there is no notice")?;
    let purpose = Purpose::LocalPersonalisation;
    client.decide(&Decision::new(Answer::Yes, [purpose], notice), NOW)?;
    client.record_all((0..EVENTS).map(event), NOW)?;
    drop(client);

    let open_ms = times(20, || open(home.path(), Durability::PowerLoss).map(drop))?;
    let client = open(home.path(), Durability::PowerLoss)?;
    let history_ms = times(20, || Ok(client.history(ITEMS as usize).map(drop)?))?;
    drop(client);
    // In turns, as the same disk is quick at one time and slow at another.
    let mut client = open(home.path(), Durability::PowerLoss)?;
    let mut file = tempfile::tempfile_in(home.path())?;
    let (mut record, mut fsync) = (Vec::new(), Vec::new());
    for next in EVENTS..EVENTS + 200 {
        record.push(time(&mut || {
            client
                .record(event(next), NOW)
                .map(drop)
                .map_err(Into::into)
        })?);
        fsync.push(time(&mut || {
            file.write_all(&[1; 4096])?;
            Ok(file.sync_data()?)
        })?);
    }
    drop(client);
    let mut client = open(home.path(), Durability::ProcessEnd)?;
    let mut next = EVENTS + 200;
    let without_fsync = times(200, || {
        next += 1;
        Ok(client.record(event(next), NOW).map(drop)?)
    })?;
    let report = json!({
        "events": EVENTS,
        "items": ITEMS,
        "file_bytes": std::fs::metadata(home.path().join("client.db"))?.len(),
        "open": open_ms,
        "history": history_ms,
        "record": spread(record),
        "record_without_fsync": without_fsync,
        "fsync_alone": spread(fsync),
    });
    println!("{report:#}");
    Ok(())
}

fn open(home: &Path, durability: Durability) -> Result<Client, Box<dyn Error>> {
    let settings = Settings {
        durability,
        ..Settings::default()
    };
    Ok(Client::open(home, &FileKey::beside(home), settings, NOW)?)
}

fn event(number: u32) -> Event {
    Event::click(ItemId(number % ITEMS), BEGIN + i64::from(number) * 7)
}

/// Milliseconds.
fn time(work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

fn times(
    count: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Value, Box<dyn Error>> {
    let taken: Result<Vec<f64>, _> = (0..count).map(|_| time(&mut work)).collect();
    Ok(spread(taken?))
}

fn spread(mut taken: Vec<f64>) -> Value {
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get((share * (taken.len() - 1) as f64) as usize);
    json!({ "median": at(0.5), "p99": at(0.99) })
}
