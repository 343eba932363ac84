//! Stores whose process is killed, whose power fails and whose disk fails, at every call that changes a file.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::store::rounds::LocalReport;
use crate::{Answer, Client, Decision, Error, Purpose, Settings};

/// Every record of a store: what two stores that are the same agree in.
type State = Vec<(Kind, String, Value, usize)>;

/// Each is acknowledged when it is done. All can be done again.
const STEPS: [Step; 15] = [
    |store, _| {
        store.write(|batch| {
            batch.put(&report(1))?;
            batch.put(&report(2))
        })
    },
    |store, _| step(store, Some(&[5; 6_000]), true),
    |store, _| step(store, Some(&[6; 3_000]), false),
    |store, _| store.put_model(&super::model(2)),
    |store, home| store.rotate(&FileKey::beside(home)),
    |store, _| {
        store
            .write(|batch| batch.remove::<LocalReport>(&report(1).key()))
            .map(drop)
    },
    |store, _| step(store, None, false),
    |store, home| {
        *store = open_with_power(home)?;
        Ok(())
    },
    // What a person says: each call opens a client of its own, as an app does that is started for it.
    |_, home| person(home).map(drop),
    |_, home| say(home, 0, Answer::Yes),
    |_, home| {
        let mut client = person(home)?;
        let click = |item| crate::Event::click(ItemId(item), 9);
        client
            .record_all([1, 2].map(click), 9)
            .map(drop)
            .map_err(of_store)
    },
    |_, home| {
        let signal = crate::Signal::Gpc { on: true };
        person(home)?.signal(&signal, 9).map_err(of_store)
    },
    |_, home| {
        let mut client = person(home)?;
        let click = crate::Event::click(ItemId(1), 9);
        client.remove_event(&click).map(drop).map_err(of_store)
    },
    |_, home| say(home, 2, Answer::No),
    |store, _| {
        let events = (0..400).map(|item| Event {
            item: ItemId(item),
            at: 7,
        });
        store.add_events(events).map(drop)
    },
];

type Step = fn(&mut Store, &Path) -> Result<(), StoreError>;

fn person(home: &Path) -> Result<Client, StoreError> {
    let settings = Settings {
        durability: durability(),
        ..Settings::default()
    };
    Client::open(home, &FileKey::beside(home), settings, 9).map_err(of_store)
}

/// Decides, unless the entry after `before` others is there already.
fn say(home: &Path, before: usize, answer: Answer) -> Result<(), StoreError> {
    let mut client = person(home)?;
    if client.receipts().map_err(of_store)?.len() > before {
        return Ok(());
    }
    let purposes = [
        Purpose::ContributeTraining,
        Purpose::LocalPersonalisation,
        Purpose::ThirdPartyShare,
    ];
    let decision = Decision::new(answer, purposes, client.notice("en").unwrap());
    client.decide(&decision, 9).map(drop).map_err(of_store)
}

fn of_store(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        error => panic!("{error}"),
    }
}

fn report(round: u64) -> LocalReport {
    LocalReport {
        round: RoundId(round),
        at: 1,
    }
}

fn step(store: &mut Store, saved: Option<&[u8]>, is_charged: bool) -> Result<(), StoreError> {
    let charge = r#"{"task":"films","release":"counts","round":3,"cost":null,"survivors":{"minimum":7,"honest":6}}"#;
    let charge: Charge = serde_json::from_str(charge).unwrap();
    let (turn, _) = store.saved()?;
    let progress = Progress {
        round: RoundId(3),
        saved,
        charge: is_charged.then_some(&charge),
        log: None,
        model: None,
        local: None,
    };
    store.advance(turn, &progress).map(drop)
}

fn receipt(home: &Path) -> crate::ErasureReceipt {
    crate::ErasureReceipt::unread(home, 9).unwrap()
}

fn durability() -> Durability {
    match std::env::var("FAULT_SYNC").as_deref() {
        Ok("off") => Durability::ProcessEnd,
        _ => Durability::PowerLoss,
    }
}

fn open_with_power(home: &Path) -> Result<Store, StoreError> {
    Store::open(home, &FileKey::beside(home), durability())
}

/// The process that the schedules are about. Acknowledges each step on standard output; where one fails it says so, and tries once more if
/// it is told to.
#[test]
#[ignore = "the child of the schedules"]
fn story() {
    let Ok(home) = std::env::var("FAULT_HOME") else {
        return;
    };
    let home = Path::new(&home);
    let tries = if std::env::var("FAULT_MODE").as_deref() == Ok("e") {
        2
    } else {
        1
    };
    let again = |work: &mut dyn FnMut() -> Result<(), StoreError>| {
        let done = (0..tries).any(|_| work().is_ok());
        println!("\n{}", if done { "done" } else { "failed" });
        done
    };
    let mut store = None;
    if !again(&mut || {
        store = None;
        store = Some(open_with_power(home)?);
        Ok(())
    }) {
        return;
    }
    for step in STEPS {
        if !again(&mut || {
            let store = store.as_mut().ok_or_else(|| fault::elsewhere(home))?;
            step(store, home)
        }) {
            return;
        }
    }
    drop(store);
    again(&mut || wipe::erase(home, &FileKey::beside(home), &receipt(home)));
}

/// One schedule.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    /// The layout that the store begins with; none: no store.
    layout: Option<usize>,
    mode: char,
    at: usize,
    /// Whether a write waits for the disk.
    is_synced: bool,
}

struct Ended {
    done: usize,
    calls: Option<usize>,
    was_killed: bool,
}

fn begin(layout: Option<usize>) -> TempDir {
    match layout {
        Some(layout) => super::layouts::plain(layout),
        None => tempfile::tempdir().unwrap(),
    }
}

fn tell(shim: &Path, home: &Path, schedule: Schedule) -> Ended {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "store::tests::schedules::story",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("LD_PRELOAD", shim)
        .env("FAULT_HOME", home)
        .env("FAULT_AT", schedule.at.to_string())
        .env("FAULT_MODE", schedule.mode.to_string())
        .env("FAULT_SYNC", if schedule.is_synced { "on" } else { "off" })
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let calls = said.lines().find_map(|line| line.strip_prefix("calls "));
    Ended {
        done: said.lines().filter(|line| *line == "done").count(),
        calls: calls.map(|calls| calls.parse().unwrap()),
        was_killed: child.status.signal() == Some(9),
    }
}

fn state(home: &Path) -> Result<State, StoreError> {
    Store::open(home, &FileKey::beside(home), DURABILITY)?.everything()
}

/// What is there after each step, if nothing goes wrong: the first when it is opened, the last when it is erased and opened again.
fn states(layout: Option<usize>) -> Vec<State> {
    let folder = begin(layout);
    let home = folder.path();
    let mut states = vec![state(home).unwrap()];
    let mut store = super::open(&folder).unwrap();
    for step in STEPS {
        step(&mut store, home).unwrap();
        states.push(store.everything().unwrap());
    }
    drop(store);
    wipe::erase(home, &FileKey::beside(home), &receipt(home)).unwrap();
    states.push(state(home).unwrap());
    // One yes, one no of a signal, one no of the person; one click of two is left.
    let count = |kind| states[15].iter().filter(|record| record.0 == kind).count();
    assert_eq!((count(Kind::Decision), count(Kind::Signal)), (3, 1));
    assert!(states.last().unwrap().is_empty());
    states
}

/// What went wrong with one schedule, if anything did.
fn judge(shim: &Path, schedule: Schedule, states: &[State]) -> Result<Ended, String> {
    let folder = begin(schedule.layout);
    let home = folder.path();
    let ended = tell(shim, home, schedule);
    let erased = states.len();
    if ended.done == erased {
        let left: Vec<PathBuf> = std::fs::read_dir(home)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        return match left.is_empty() {
            true => Ok(ended),
            false => Err(format!("left after it was erased: {left:?}")),
        };
    }
    let has_failed = matches!(schedule.mode, 'e' | 'i' | 's') && ended.done + 1 == erased;
    let found = match state(home) {
        // The disk did not let the erasure be noted: the key is gone all the same, and what is left nobody can read.
        Err(_) if has_failed && !home.join("client.key").exists() => return Ok(ended),
        found => found.map_err(|error| error.to_string())?,
    };
    // What was acknowledged, or one step more that was done and not acknowledged.
    let last = ended.done.saturating_sub(1);
    let may_be = states.get(last..=ended.done).unwrap_or_default();
    // Before the first acknowledgement a store is opened anew, or comes along.
    match may_be.contains(&found) {
        true => Ok(ended),
        false => Err(format!(
            "{} steps were acknowledged, and {} records are there",
            ended.done,
            found.len()
        )),
    }
}

fn build() -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let shim = folder.path().join("faults.so");
    std::fs::write(folder.path().join("faults.c"), include_str!("faults.c")).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-w", "-o"])
        .arg(&shim)
        .arg(folder.path().join("faults.c"))
        .arg("-ldl")
        .status();
    match built {
        Ok(status) => {
            assert!(status.success(), "faults.c builds");
            Some((folder, shim))
        }
        Err(_) => None,
    }
}

/// All of them with `CHORUS_SCHEDULES=all`, and else one in some.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_done() {
    let Some((_folder, shim)) = build() else {
        println!("skipped: there is no `cc` to build the faults with");
        return;
    };
    let mut schedules = Vec::new();
    let mut of = Vec::new();
    for layout in [None, Some(1), Some(2)] {
        let schedule = |mode, at| Schedule {
            layout,
            mode,
            at,
            is_synced: true,
        };
        let counted = schedule('k', 0);
        let expected = states(layout);
        let ended = judge(&shim, counted, &expected).unwrap();
        assert_eq!(ended.done, expected.len());
        let calls = ended.calls.unwrap();
        assert!(calls > 60, "{calls} calls are seen");
        for mode in ['k', 't', 'p', 'q', 'e', 'i', 's'] {
            schedules.extend((1..=calls).map(|at| (schedule(mode, at), of.len())));
        }
        of.push(expected);
    }
    let is_all = std::env::var("CHORUS_SCHEDULES").is_ok_and(|which| which == "all");
    let every = if is_all { 1 } else { 29 };
    let chosen: Vec<_> = schedules.iter().step_by(every).collect();
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let faults = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((schedule, states)) =
                    chosen.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    match judge(&shim, *schedule, &of[*states]) {
                        Ok(ended) => {
                            killed.fetch_add(usize::from(ended.was_killed), Ordering::Relaxed)
                        }
                        Err(fault) => {
                            faults
                                .lock()
                                .unwrap()
                                .push(format!("{schedule:?}: {fault}"));
                            0
                        }
                    };
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    let (count, all) = (chosen.len(), schedules.len());
    println!(
        "{count} of {all} schedules, {} killed",
        killed.load(Ordering::Relaxed)
    );
    assert!(
        killed.load(Ordering::Relaxed) * 3 > count,
        "the faults happen"
    );
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Wherever in an erasure the disk becomes full, also from its first write on: the key is gone.
#[test]
fn a_full_disk_does_not_keep_the_key() {
    let Some((_folder, shim)) = build() else {
        return;
    };
    let (mut kept, mut refused) = (0, 0);
    let schedule = |at| Schedule {
        layout: None,
        mode: 's',
        at,
        is_synced: true,
    };
    let calls = |home: &Path| tell(&shim, home, schedule(0)).calls.unwrap();
    let all = calls(tempfile::tempdir().unwrap().path());
    for at in all - 60..=all {
        let folder = tempfile::tempdir().unwrap();
        let ended = tell(&shim, folder.path(), schedule(at));
        // Everything before the erasure was done, and there is something to erase.
        if ended.done <= STEPS.len() {
            continue;
        }
        refused += usize::from(ended.done == STEPS.len() + 1);
        kept += usize::from(folder.path().join("client.key").exists());
    }
    assert!(refused > 5, "{refused} erasures had no room");
    assert_eq!(kept, 0);
}

/// The control: without waiting for the disk, a power failure takes what was acknowledged, and that is seen.
#[test]
fn without_fsync_a_power_failure_is_seen() {
    let Some((_folder, shim)) = build() else {
        return;
    };
    let expected = states(None);
    let lost = |is_synced| {
        let schedule = |at| Schedule {
            layout: None,
            mode: 'p',
            at,
            is_synced,
        };
        let schedules = (40..60).map(schedule);
        let lost = schedules.filter(|schedule| judge(&shim, *schedule, &expected).is_err());
        lost.count()
    };
    assert_eq!((lost(true), lost(false)), (0, 20));
}
