//! The privacy centre in a real browser: a person looks, decides, corrects and erases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chorus_client::{
    Answer, Client, Decision, Durability, FakeCoordinator, FileKey, Loop, Purpose, Settings,
};
use chorus_model::{Direct, ItemId};
use chorus_protocol::{Floor, Task};
use chorus_wire::Clock;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const ITEMS: u32 = 48;
const GENRES: [&str; 4] = ["Comedy", "Drama", "Mystery", "Travel"];
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

fn tool(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The browser's driver, installed once into the cache of the build; nothing where the machine has none of it.
fn browser() -> Option<(PathBuf, PathBuf, PathBuf)> {
    let node = tool("node")?;
    let chromium = tool("chromium")
        .or_else(|| tool("chromium-browser"))
        .or_else(|| tool("google-chrome"))?;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pages");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&to).unwrap();
    for file in ["package.json", "package-lock.json", "centre.mjs"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    if !to.join("node_modules/playwright-core").is_dir() {
        let install = Command::new(tool("npm")?)
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&to)
            .output()
            .unwrap();
        if !install.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&install.stderr));
            return None;
        }
    }
    Some((node, chromium, to))
}

fn catalogue(file: &Path) {
    let mut table = "item\ttitle\ttopics\n".to_owned();
    for item in 0..ITEMS {
        let (first, last) = (item as usize % FIRST.len(), item as usize / FIRST.len());
        let genre = GENRES[item as usize / 12];
        table += &format!("{item}\t{} {}\t{genre}\n", FIRST[first], LAST[last]);
    }
    fs::write(file, table).unwrap();
}

/// A client that liked comedies, contributed to a task, and has its model.
fn lived_in(home: &Path) -> String {
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
    let mut client = Client::open(home, &FileKey::beside(home), settings, clock.now()).unwrap();
    let purposes = [Purpose::LocalPersonalisation, Purpose::ContributeTraining];
    let decision = Decision::new(Answer::Yes, purposes, client.notice("en").unwrap());
    client.decide(&decision, clock.now()).unwrap();
    let gpc = serde_json::from_str(r#"{"kind": "gpc", "on": true}"#).unwrap();
    client.signal(&gpc, clock.now()).unwrap();
    let mut lines = "item\tkind\tat\n".to_owned();
    for (place, item) in [0, 2, 3, 5, 7, 8, 14, 31].into_iter().enumerate() {
        lines += &format!(
            "{item}\tclick\t{}\n",
            clock.now() - 3_600 * (place as i64 + 1)
        );
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

#[test]
fn a_person_looks_decides_corrects_and_erases() {
    let Some((node, chromium, pages)) = browser() else {
        eprintln!(
            "skipped: pages are looked at with node, npm and chromium; one of them is not here"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("client");
    let task = lived_in(&home);
    let table = folder.path().join("films.tsv");
    catalogue(&table);
    let mut centre = Command::new(env!("CARGO_BIN_EXE_chorus"))
        .args(["client", "--home"])
        .arg(&home)
        .arg("--catalogue")
        .arg(&table)
        .args(["centre", "--task", &task, "--app", "Filmhouse"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(centre.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let pictures = pages.join("pictures");
    fs::create_dir_all(&pictures).unwrap();
    let person = Command::new(node)
        .arg("centre.mjs")
        .args([address.trim()])
        .args([&pictures, &chromium])
        .current_dir(&pages)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&person.stdout),
        String::from_utf8_lossy(&person.stderr)
    );
    if !person.status.success() {
        centre.kill().unwrap();
    }
    assert!(person.status.success(), "{said}");
    assert!(said.ends_with("done\n"), "{said}");
    // The centre closes by itself once there is nothing to show, and leaves nothing behind.
    assert!(centre.wait().unwrap().success());
    let left: Vec<_> = fs::read_dir(&home)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}
