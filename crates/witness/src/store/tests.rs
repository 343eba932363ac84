use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

const KEEP: u32 = 4;

struct Place {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness.sqlite");
        Store::create(&path).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn open(&self) -> Store {
        Store::open(&self.path).unwrap().remembering(KEEP)
    }
}

fn coordinator(number: u8) -> [u8; 32] {
    [100 + number; 32]
}

fn drawn(fresh: u8) -> Drawn {
    Drawn {
        randomness: [fresh; 32],
        certificate: vec![fresh / 16],
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, WitnessError>) -> Refusal {
    match result {
        Err(WitnessError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn draw(store: &mut Store, round: u64, commitment: u8, fresh: u8) -> Result<Drawn, WitnessError> {
    let commitment = Digest([commitment; 32]);
    store.draw(&coordinator(1), RoundId(round), &commitment, || {
        Ok(drawn(fresh))
    })
}

fn sign(store: &mut Store, round: u64, statement: u8) -> Result<Vec<u8>, WitnessError> {
    let statement = Digest([statement; 32]);
    store.sign(&coordinator(1), RoundId(round), &statement, b"now")
}

#[test]
fn a_commit_is_on_the_disk_when_it_returns() {
    let place = Place::new();
    let store = place.open();
    let value = |name: &str| -> i64 {
        store
            .connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    };
    assert_eq!((value("synchronous"), value("foreign_keys")), (2, 1));
    let mode: String = store
        .connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_memory_is_made_once_and_belongs_to_one_key() {
    let place = Place::new();
    assert!(matches!(
        Store::create(&place.path),
        Err(WitnessError::File { .. })
    ));
    let mut store = place.open();
    assert_eq!(store.owner().unwrap(), None);
    assert!(store.belongs_to(&[1; 32]).unwrap());
    assert!(store.belongs_to(&[1; 32]).unwrap());
    assert!(!store.belongs_to(&[2; 32]).unwrap());
    drop(store);
    assert_eq!(place.open().owner().unwrap(), Some([1; 32]));
}

#[test]
fn a_memory_that_is_gone_or_none_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness.sqlite");
    assert!(matches!(
        Store::open(&path),
        Err(WitnessError::Forgotten { .. })
    ));
    assert!(!path.exists());
    // SQLite takes an empty file for a new database.
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(
        Store::open(&path),
        Err(WitnessError::Layout { layout: 0, .. })
    ));
    std::fs::write(&path, vec![7; 8192]).unwrap();
    assert!(matches!(Store::open(&path), Err(WitnessError::Store(_))));
    std::fs::remove_file(&path).unwrap();
    Store::create(&path).unwrap();
    connect(&path)
        .unwrap()
        .pragma_update(None, "user_version", 9)
        .unwrap();
    assert!(matches!(
        Store::open(&path),
        Err(WitnessError::Layout { layout: 9, .. })
    ));
}

#[test]
fn the_answer_to_the_same_question_is_the_same_and_to_another_none() {
    let place = Place::new();
    let mut store = place.open();
    assert_eq!(refusal(sign(&mut store, 5, 1)), Refusal::NotDrawn);
    assert_eq!(draw(&mut store, 5, 1, 40).unwrap(), drawn(40));
    assert_eq!(draw(&mut store, 5, 1, 41).unwrap(), drawn(40));
    assert_eq!(
        refusal(draw(&mut store, 5, 2, 42)),
        Refusal::OtherCommitment
    );
    assert_eq!(sign(&mut store, 5, 1).unwrap(), b"now");
    assert_eq!(refusal(sign(&mut store, 5, 2)), Refusal::OtherStatement);
    drop(store);
    let mut store = place.open();
    // With the certificate of then, not of now.
    let again = store.sign(
        &coordinator(1),
        RoundId(5),
        &Digest([1; 32]),
        b"another certificate",
    );
    assert_eq!(again.unwrap(), b"now");
    assert_eq!(refusal(sign(&mut store, 5, 3)), Refusal::OtherStatement);
    assert_eq!(draw(&mut store, 5, 1, 43).unwrap(), drawn(40));
    let records = store.records().unwrap();
    let expected = Record {
        key: coordinator(1),
        rounds: 1,
        signed: 1,
        newest: Some(5),
        over: None,
        other_commitments: 1,
        other_statements: 2,
    };
    assert_eq!(records, [expected]);
}

#[test]
fn nothing_is_remembered_of_a_draw_that_failed() {
    let place = Place::new();
    let mut store = place.open();
    let failed = store.draw(&coordinator(1), RoundId(5), &Digest([1; 32]), || {
        Err(WitnessError::Randomness("none".to_owned()))
    });
    assert!(matches!(failed, Err(WitnessError::Randomness(_))));
    assert_eq!(store.records().unwrap(), []);
    assert_eq!(draw(&mut store, 5, 2, 40).unwrap(), drawn(40));
}

#[test]
fn what_is_forgotten_is_refused() {
    let place = Place::new();
    let mut store = place.open();
    for round in [10, 30, 20, 40] {
        draw(&mut store, round, 1, round as u8).unwrap();
        sign(&mut store, round, 1).unwrap();
    }
    // Full: a round below all that is remembered would have to be forgotten at once.
    assert_eq!(
        refusal(draw(&mut store, 5, 1, 5)),
        Refusal::Over { through: 10 }
    );
    assert_eq!(draw(&mut store, 10, 1, 0).unwrap(), drawn(10));
    // One in between takes the place of the lowest.
    assert_eq!(draw(&mut store, 25, 1, 25).unwrap(), drawn(25));
    for round in [0, 5, 10] {
        // A new one must be above the lowest that is remembered, which would make room for it.
        let (drawing, signing) = (draw(&mut store, round, 1, 1), sign(&mut store, round, 1));
        assert_eq!(refusal(drawing), Refusal::Over { through: 20 });
        assert_eq!(refusal(signing), Refusal::Over { through: 10 });
    }
    let last = u64::MAX;
    assert_eq!(draw(&mut store, last, 1, 50).unwrap(), drawn(50));
    assert_eq!(
        refusal(sign(&mut store, 20, 1)),
        Refusal::Over { through: 20 }
    );
    assert_eq!(draw(&mut store, 30, 1, 1).unwrap(), drawn(30));
    let record = store.records().unwrap().remove(0);
    assert_eq!((record.rounds, record.newest), (4, Some(last)));
    assert_eq!(record.over, Some(20));
    // Another coordinator has numbers of its own.
    let other = store.draw(&coordinator(2), RoundId(5), &Digest([1; 32]), || {
        Ok(drawn(60))
    });
    assert_eq!(other.unwrap(), drawn(60));
}

#[test]
fn of_two_processes_one_writes_after_the_other() {
    let place = Place::new();
    // Every thread opens the file for itself, as a process would.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|number| {
                let mut store = place.open();
                scope.spawn(move || {
                    let drawn = draw(&mut store, 5, number % 2, number).ok();
                    (number, drawn, sign(&mut store, 5, number).ok())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let winners: Vec<_> = answers
        .iter()
        .filter_map(|(number, drawn, _)| drawn.as_ref().map(|drawn| (number % 2, drawn)))
        .collect();
    assert_eq!(winners.len(), 4, "those that fixed the same keys");
    assert!(winners.iter().all(|winner| winner == &winners[0]));
    assert_eq!(
        answers.iter().filter(|answer| answer.2.is_some()).count(),
        1
    );
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Draw(u8, u64, u8),
    Sign(u8, u64, u8),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    let question = || (0..2u8, 0..9u64, 0..3u8);
    prop_oneof![
        5 => question().prop_map(|(who, round, what)| Deed::Draw(who, round, what)),
        5 => question().prop_map(|(who, round, what)| Deed::Sign(who, round, what)),
        1 => Just(Deed::Restart),
    ]
}

/// All that was ever answered for one round.
#[derive(Default)]
struct Answered {
    draws: BTreeMap<u8, Vec<Drawn>>,
    signs: BTreeMap<u8, Vec<Vec<u8>>>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_questions_come_a_round_has_one_answer(deeds in vec(deed(), 1..120)) {
        let place = Place::new();
        // Two processes that ask in turns.
        let mut stores = [place.open(), place.open()];
        let mut answered: BTreeMap<(u8, u64), Answered> = BTreeMap::new();
        let mut over: BTreeMap<u8, u64> = BTreeMap::new();
        for (number, deed) in deeds.into_iter().enumerate() {
            let store = &mut stores[number % 2];
            match deed {
                Deed::Restart => *store = place.open(),
                Deed::Draw(who, round, what) => {
                    let fresh = number as u8;
                    let result = store.draw(&coordinator(who), RoundId(round), &Digest([what; 32]), || {
                        Ok(drawn(fresh))
                    });
                    let before = answered.entry((who, round)).or_default();
                    match result {
                        Ok(drawn) => before.draws.entry(what).or_default().push(drawn),
                        Err(WitnessError::Refused(Refusal::OtherCommitment)) => {
                            prop_assert!(!before.draws.is_empty() && !before.draws.contains_key(&what));
                        }
                        Err(WitnessError::Refused(Refusal::Over { through })) => {
                            prop_assert!(round <= through);
                        }
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                Deed::Sign(who, round, what) => {
                    let certificate = [number as u8];
                    let result = store.sign(&coordinator(who), RoundId(round), &Digest([what; 32]), &certificate);
                    let before = answered.entry((who, round)).or_default();
                    match result {
                        Ok(shown) => {
                            prop_assert!(!before.draws.is_empty());
                            before.signs.entry(what).or_default().push(shown);
                        }
                        Err(WitnessError::Refused(Refusal::NotDrawn)) => prop_assert!(before.draws.is_empty()),
                        Err(WitnessError::Refused(Refusal::OtherStatement)) => {
                            prop_assert!(!before.signs.is_empty() && !before.signs.contains_key(&what));
                        }
                        Err(WitnessError::Refused(Refusal::Over { through })) => {
                            prop_assert!(round <= through);
                        }
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
            }
            // What is over stays over, and no more is kept than that.
            for record in stores[0].records().unwrap() {
                let who = record.key[0] - 100;
                let through = record.over.unwrap_or(0);
                prop_assert!(through >= over.insert(who, through).unwrap_or(0));
                prop_assert!(record.rounds <= u64::from(KEEP));
            }
        }
        for (round, Answered { draws, signs }) in answered {
            prop_assert!(draws.len() <= 1 && signs.len() <= 1, "{round:?}");
            for drawn in draws.values() {
                prop_assert!(drawn.iter().all(|one| one == &drawn[0]), "{round:?}");
            }
            for shown in signs.values() {
                prop_assert!(shown.iter().all(|one| one == &shown[0]), "{round:?}");
            }
        }
    }
}
