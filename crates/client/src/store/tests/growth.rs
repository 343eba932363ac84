//! Stores that lost the newest of what only grows.

use super::*;
use crate::testing::{NOW, decide};
use crate::{Answer, Client, Error, Purpose, set_aside};

fn charge(round: u64) -> Charge {
    Charge {
        task: films(),
        release: "counts".to_owned(),
        round: RoundId(round),
        cost: None,
        survivors: Survivors {
            minimum: 7,
            honest: 6,
        },
    }
}

/// A store with as many charges.
fn charged(charges: u64) -> TempDir {
    let (home, mut store) = store();
    for round in 0..charges {
        store.write(|batch| batch.put(&charge(round))).unwrap();
    }
    home
}

fn refusal(home: &TempDir) -> StoreError {
    let before = std::fs::read(home.path().join(FILE)).unwrap();
    let Err(error) = open(home) else {
        panic!("was opened");
    };
    assert_eq!(std::fs::read(home.path().join(FILE)).unwrap(), before);
    error
}

fn change(home: &TempDir, change: &str) {
    let file = Connection::open(home.path().join(FILE)).unwrap();
    file.execute_batch(change).unwrap();
}

#[test]
fn an_older_copy_of_the_store_is_refused() {
    let home = charged(1);
    let (file, older) = (home.path().join(FILE), home.path().join("older"));
    std::fs::copy(&file, &older).unwrap();
    open(&home)
        .unwrap()
        .write(|batch| batch.put(&charge(1)))
        .unwrap();
    let newest = std::fs::read(&file).unwrap();
    std::fs::copy(&older, &file).unwrap();
    let error = refusal(&home);
    assert!(matches!(error, StoreError::Behind { .. }), "{error}");
    assert!(error.to_string().contains("client.db"), "{error}");
    // The newest is taken again; and so is a new one, once this one was given up.
    std::fs::write(&file, newest).unwrap();
    assert_eq!(open(&home).unwrap().charges().unwrap().len(), 2);
    std::fs::copy(&older, &file).unwrap();
    set_aside(home.path(), NOW).unwrap();
    assert!(open(&home).unwrap().charges().unwrap().is_empty());
    assert!(open(&home).is_ok());
}

/// What was granted before a withdrawal is not granted again by a file from before it.
#[test]
fn a_withdrawal_is_not_undone_by_an_older_copy() {
    let home = tempfile::tempdir().unwrap();
    let open = || {
        let settings = crate::testing::settings();
        Client::open(home.path(), &FileKey::beside(home.path()), settings, NOW)
    };
    let say = |answer| decide(&mut open().unwrap(), answer, [Purpose::ContributeTraining]);
    say(Answer::Yes);
    let file = home.path().join(FILE);
    let granted = std::fs::read(&file).unwrap();
    say(Answer::No);
    let withdrawn = std::fs::read(&file).unwrap();
    std::fs::write(&file, granted).unwrap();
    assert!(matches!(
        open(),
        Err(Error::Store(StoreError::Behind { .. }))
    ));
    std::fs::write(&file, withdrawn).unwrap();
    let client = open().unwrap();
    assert!(!client.granted(&Purpose::ContributeTraining).unwrap());
}

/// Without the key nobody can make the store look as if there had been less: whatever they take out of the file, and however they
/// cut the file beside it.
#[test]
fn records_that_were_taken_out_are_missed() {
    let (charges, tallies) = (Kind::Charge.number(), Kind::Tally.number());
    let one = format!(
        "DELETE FROM records WHERE kind = {charges}
            AND name IN (SELECT name FROM records WHERE kind = {charges} LIMIT 1);"
    );
    let all = format!("DELETE FROM records WHERE kind = {charges};");
    let tally = format!("DELETE FROM records WHERE kind = {tallies};");
    let layout = "PRAGMA user_version = 3;";
    for parts in [
        vec![&*one],
        vec![&*all],
        vec![&*tally],
        vec![&*one, &*tally],
        vec![&*one, &*tally, layout],
        vec![&*all, &*tally, layout],
    ] {
        let home = charged(3);
        change(&home, &parts.concat());
        std::fs::write(home.path().join("client.db-tally"), []).unwrap();
        let error = refusal(&home);
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
    // All of it at once looks like a store of nobody: what is beside it knows better.
    let home = charged(3);
    change(&home, &(all + &tally));
    assert!(matches!(refusal(&home), StoreError::Behind { .. }));
}

#[test]
fn what_is_missed_in_an_open_store_is_not_covered_up_by_what_comes_next() {
    let home = charged(2);
    let mut store = open(&home).unwrap();
    let all = format!("DELETE FROM records WHERE kind = {}", Kind::Charge.number());
    change(&home, &all);
    let is_damaged = |error| matches!(error, StoreError::Damaged { .. });
    assert!(is_damaged(store.charges().unwrap_err()));
    let next = store.write(|batch| batch.put(&charge(2)));
    assert!(is_damaged(next.unwrap_err()));
    assert!(is_damaged(store.everything().unwrap_err()));
}

#[test]
fn the_file_beside_the_store_is_a_part_of_it() {
    let home = charged(2);
    let beside = home.path().join("client.db-tally");
    let length = || std::fs::metadata(&beside).unwrap().len();
    assert_eq!(length(), 2);
    // It could not be written: what was written down counts all the same, and the next opening writes it.
    let mut store = open(&home).unwrap();
    std::fs::remove_file(&beside).unwrap();
    std::fs::create_dir(&beside).unwrap();
    store.write(|batch| batch.put(&charge(2))).unwrap();
    drop(store);
    std::fs::remove_dir(&beside).unwrap();
    assert!(matches!(refusal(&home), StoreError::Behind { .. }));
    assert!(!beside.exists());
    std::fs::write(&beside, [0; 2]).unwrap();
    drop(open(&home).unwrap());
    assert_eq!(length(), 3);
    // A store is not made anew where it says that there was one.
    std::fs::write(&beside, [0; 3]).unwrap();
    assert_eq!(open(&home).unwrap().charges().unwrap().len(), 3);
    std::fs::remove_file(home.path().join(FILE)).unwrap();
    assert!(matches!(open(&home), Err(StoreError::Damaged { .. })));
    assert!(!home.path().join(FILE).exists());
}

/// Also where the store is the newest: as long as it is known to have been, it stays.
#[test]
fn the_file_beside_the_store_is_not_cut() {
    let home = charged(3);
    let beside = home.path().join("client.db-tally");
    for length in 0..3 {
        std::fs::write(&beside, vec![0; length]).unwrap();
        let error = refusal(&home).to_string();
        assert!(error.contains("client.db-tally"), "{error}");
        assert!(error.contains("cut or emptied"), "{error}");
    }
    std::fs::write(&beside, [0; 3]).unwrap();
    assert_eq!(open(&home).unwrap().charges().unwrap().len(), 3);
}

/// What somebody lays out in the place of a file of the client's is not followed, and not waited for.
#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_not_taken_for_the_own_one() {
    use std::os::unix::fs::symlink;
    for name in ["client.db-tally", "client.lock"] {
        let home = charged(2);
        let (path, theirs) = (home.path().join(name), home.path().join("theirs"));
        let own = std::fs::read(&path).unwrap_or_default();
        let _none = std::fs::remove_file(&path);
        std::fs::write(&theirs, b"theirs").unwrap();
        symlink(&theirs, &path).unwrap();
        assert!(refusal(&home).to_string().contains("no plain file"));
        assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, own).unwrap();
        open(&home).unwrap();
    }
}
