//! A person whose client has been in use for a while.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::Path;

use chorus_client::{
    Answer, Client, Decision, Durability, Event, FakeCoordinator, FileKey, Loop, Purpose, Settings,
};
use chorus_model::{Direct, ItemId};
use chorus_protocol::{Floor, Task};
use chorus_wire::Clock;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const ITEMS: u32 = 48;
/// Topics of the items: each dozen is of one.
pub const GENRES: [&str; 4] = ["Comedy", "Drama", "Mystery", "Travel"];
const FIRST: [&str; 12] = [
    "A Winter in",
    "The Last Train to",
    "Letters from",
    "Midnight in",
    "The Baker of",
    "Leaving",
    "Back to",
    "The Gardens of",
    "One Day in",
    "The Ferry to",
    "Songs from",
    "A House in",
];
const LAST: [&str; 4] = ["Lisbon", "Bergen", "Trieste", "Cork"];

/// What the app knows of its items.
pub fn catalogue(file: &Path) {
    let mut table = "item\ttitle\ttopics\n".to_owned();
    for item in 0..ITEMS {
        let (first, last) = (item as usize % FIRST.len(), item as usize / FIRST.len());
        let genre = GENRES[item as usize / 12];
        table += &format!("{item}\t{} {}\t{genre}\n", FIRST[first], LAST[last]);
    }
    fs::write(file, table).unwrap();
}

/// A client that liked comedies, contributed to a task, and has its model.
pub fn lived_in(home: &Path) -> String {
    let recipe =
        format!(r#"{{"algorithm": "ials-private", "items": {ITEMS}, "factors": 4, "sweeps": 2}}"#);
    let task = format!(
        r#"{{"name": "films", "population": 40, "privacy": {{"noise": "distributed", "epsilon": 4.0, "delta": 1e-5}}, "recipe": {recipe}}}"#
    );
    let task: Task = serde_json::from_str(&task).unwrap();
    let likes = |person: u32| {
        (0..9)
            .map(|step| ItemId((person * 12 + step * 5 % 12) % ITEMS))
            .collect()
    };
    let histories: Vec<Vec<ItemId>> = (0..39).map(likes).collect();
    let coordinator = FakeCoordinator::start(task.clone(), &histories, 1).unwrap();
    let (mut rng, clock) = (ChaCha20Rng::seed_from_u64(2), Clock::system());
    let settings = Settings {
        floor: Floor::admitting(&task),
        durability: Durability::ProcessEnd,
        ..Settings::default()
    };
    // They began so long ago that of the first thing only its summary is left.
    let keys = FileKey::beside(home);
    let then = clock.now() - 40 * 24 * 60 * 60;
    let mut client = Client::open(home, &keys, settings.clone(), then).unwrap();
    let purposes = [Purpose::LocalPersonalisation, Purpose::ContributeTraining];
    let decision = Decision::new(Answer::Yes, purposes, client.notice("en").unwrap());
    client.decide(&decision, then).unwrap();
    client.record(Event::click(ItemId(40), then), then).unwrap();
    drop(client);
    // A clock that jumps is believed on the second day.
    let yesterday = clock.now() - 24 * 60 * 60;
    drop(Client::open(home, &keys, settings.clone(), yesterday).unwrap());
    let mut client = Client::open(home, &keys, settings, clock.now()).unwrap();
    let gpc = serde_json::from_str(r#"{"kind": "gpc", "on": true}"#).unwrap();
    client.signal(&gpc, clock.now()).unwrap();
    let mut lines = "item\tkind\tat\tvalue\n".to_owned();
    let clicked = [0, 2, 3, 5, 7, 8, 14, 31].map(|item| (item, "click", ""));
    // Of one item, two things.
    let said = [
        (31, "purchase", ""),
        (20, "rating", "4"),
        (26, "survey", "0.5"),
    ];
    for (place, (item, kind, value)) in clicked.into_iter().chain(said).enumerate() {
        let at = clock.now() - 3_600 * (place as i64 + 1);
        lines += &format!("{item}\t{kind}\t{at}\t{value}\n");
    }
    client
        .import("events.tsv", lines.as_bytes(), clock.now())
        .unwrap();
    let mut way = coordinator.admit(&mut client, &mut rng).unwrap();
    let work = Loop {
        task: &task.name,
        engine: &Direct,
        clock: &clock,
        news: &mut |_| {},
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime
        .block_on(client.run(&mut way, work, &mut rng, std::future::pending()))
        .unwrap();
    task.name.to_string()
}
