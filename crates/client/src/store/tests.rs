use chorus_model::{Event, ItemId};
use chorus_privacy::Survivors;
use chorus_protocol::{Charge, Digest, Identity, LogView, RoundId, TaskName};
use tempfile::TempDir;

use super::*;

const DURABILITY: Durability = Durability::ProcessEnd;

fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path(), DURABILITY).unwrap();
    (home, store)
}

fn films() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

fn model(version: u64) -> StoredModel {
    let bytes = vec![version as u8; 20_000];
    StoredModel {
        version,
        digest: Digest::of(&bytes),
        bytes,
    }
}

/// One of everything.
fn filled() -> (TempDir, Store) {
    let (home, mut store) = store();
    let events = (0..300).map(|item| Event {
        item: ItemId(item),
        at: -5,
    });
    assert_eq!(store.add_events(events).unwrap(), 300);
    store.put_identity(&Identity::from_seed(&[7; 32])).unwrap();
    let enrolled = Enrolled {
        certificate: vec![1, 2],
        authority: vec![3],
    };
    store.put_enrolled(&enrolled).unwrap();
    store.pin_coordinator(&[4; 32]).unwrap();
    store.put_model(&films(), &model(2)).unwrap();
    let (turn, _) = store.saved().unwrap();
    let charge = Charge {
        task: films(),
        release: "counts".to_owned(),
        round: RoundId(u64::MAX),
        cost: None,
        survivors: Survivors {
            minimum: 7,
            honest: 6,
        },
    };
    let log = LogView {
        length: 1,
        head: Digest::of(b"head"),
        newest: Vec::new(),
    };
    let progress = Progress {
        round: RoundId(u64::MAX),
        saved: Some(b"half way"),
        charge: Some(&charge),
        log: Some((&LogView::default(), &log)),
        model: None,
    };
    store.advance(turn, &progress).unwrap();
    (home, store)
}

fn check_filled(store: &Store) {
    let events = store.events().unwrap();
    assert_eq!(events.len(), 300);
    assert!(
        events[299]
            == Event {
                item: ItemId(299),
                at: -5
            }
    );
    let identity = store.identity().unwrap().unwrap();
    assert_eq!(identity.public(), Identity::from_seed(&[7; 32]).public());
    assert!(
        store
            .enrolled()
            .unwrap()
            .is_some_and(|enrolled| enrolled.authority == [3])
    );
    assert_eq!(store.coordinator().unwrap(), Some([4; 32]));
    assert_eq!(store.model(&films()).unwrap().unwrap().version, 2);
    assert_eq!(store.model_versions().unwrap(), [(films(), 2)]);
    assert_eq!(store.saved().unwrap().1.unwrap(), b"half way");
    let charges = store.charges().unwrap();
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0].round, RoundId(u64::MAX));
    assert_eq!(store.last_round().unwrap(), Some(RoundId(u64::MAX)));
    assert_eq!(store.log().unwrap().length, 1);
}

#[test]
fn everything_comes_back_after_a_restart() {
    let (home, store) = filled();
    check_filled(&store);
    drop(store);
    check_filled(&Store::open(home.path(), DURABILITY).unwrap());
}

#[test]
fn an_empty_store_says_so() {
    let (_home, store) = store();
    assert_eq!(store.count_events().unwrap(), 0);
    assert!(store.identity().unwrap().is_none());
    assert!(store.enrolled().unwrap().is_none());
    assert_eq!(store.coordinator().unwrap(), None);
    assert!(store.model(&films()).unwrap().is_none());
    assert!(store.saved().unwrap().1.is_none());
    assert_eq!(store.log().unwrap(), LogView::default());
    assert_eq!(store.last_round().unwrap(), None);
}

#[test]
fn a_pinned_coordinator_stays() {
    let (_home, mut store) = filled();
    store.pin_coordinator(&[5; 32]).unwrap();
    assert_eq!(store.coordinator().unwrap(), Some([4; 32]));
}

#[test]
fn an_older_model_never_takes_the_place_of_a_newer_one() {
    let (_home, mut store) = filled();
    for (version, kept) in [(1, 2), (3, 3), (3, 3), (2, 3)] {
        store.put_model(&films(), &model(version)).unwrap();
        assert_eq!(store.model(&films()).unwrap().unwrap().version, kept);
    }
}

#[test]
fn only_one_of_two_processes_goes_on_with_a_round() {
    let (home, mut first) = filled();
    let mut second = Store::open(home.path(), DURABILITY).unwrap();
    let (turn, _) = first.saved().unwrap();
    let progress = Progress {
        round: RoundId(8),
        saved: Some(b"further"),
        charge: None,
        log: None,
        model: None,
    };
    let next = first.advance(turn, &progress).unwrap();
    assert!(matches!(
        second.advance(turn, &progress),
        Err(StoreError::Elsewhere { .. })
    ));
    assert!(matches!(
        second.drop_saved(turn),
        Err(StoreError::Elsewhere { .. })
    ));
    second.drop_saved(next).unwrap();
    assert!(first.saved().unwrap().1.is_none());
    assert_eq!(
        first.last_round().unwrap(),
        Some(RoundId(u64::MAX)),
        "the last round only grows"
    );
}

#[test]
fn a_log_is_only_written_over_the_one_it_continues() {
    let (_home, mut store) = filled();
    let (turn, _) = store.saved().unwrap();
    let before = store.log().unwrap();
    let after = LogView {
        length: 2,
        ..before.clone()
    };
    let stranger = LogView {
        length: 5,
        ..LogView::default()
    };
    assert!(matches!(
        store.put_log(&stranger, &after),
        Err(StoreError::Elsewhere { .. })
    ));
    let progress = Progress {
        round: RoundId(9),
        saved: None,
        charge: None,
        log: Some((&stranger, &after)),
        model: None,
    };
    assert!(matches!(
        store.advance(turn, &progress),
        Err(StoreError::Elsewhere { .. })
    ));
    assert_eq!(store.saved().unwrap().0, turn, "nothing was written");
    store.put_log(&before, &after).unwrap();
    assert_eq!(store.log().unwrap(), after);
}

/// A file that cannot be used gives an error that names it, and stays as it is.
fn refused(name: &str, spoil: impl Fn(&mut Vec<u8>)) -> StoreError {
    let (home, store) = filled();
    drop(store);
    let path = home.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    spoil(&mut bytes);
    std::fs::write(&path, &bytes).unwrap();
    let Err(error) = Store::open(home.path(), DURABILITY) else {
        panic!("{name}: was opened");
    };
    assert!(error.to_string().contains("client.db"), "{name}: {error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: was changed");
    error
}

#[test]
fn a_damaged_file_is_named_and_left_as_it_is() {
    type Spoil = fn(&mut Vec<u8>);
    let spoils: [(&str, Spoil); 6] = [
        ("emptied", Vec::clear),
        ("rubbish", |bytes| bytes.fill(0x5a)),
        ("cut to half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("cut in a page", |bytes| bytes.truncate(bytes.len() - 100)),
        ("cut to less than a header", |bytes| bytes.truncate(50)),
        ("a page overwritten", |bytes| {
            let pages = bytes.len() / 4096;
            for page in 1..pages {
                bytes[page * 4096..page * 4096 + 8].fill(0xff);
            }
        }),
    ];
    for (name, spoil) in spoils {
        let error = refused(name, spoil);
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains("backup"), "{name}: {error}");
    }
}

#[test]
fn a_model_that_changed_on_the_disk_is_not_used() {
    let (_home, store) = filled();
    store
        .connection
        .execute("UPDATE models SET bytes = zeroblob(20000)", [])
        .unwrap();
    assert!(matches!(
        store.model(&films()),
        Err(StoreError::Damaged { .. })
    ));
}

#[test]
fn a_ledger_that_cannot_be_read_is_an_error() {
    let (_home, store) = filled();
    store
        .connection
        .execute("UPDATE charges SET charge = '{}'", [])
        .unwrap();
    assert!(matches!(store.charges(), Err(StoreError::Damaged { .. })));
}

#[test]
fn stores_of_the_future_and_of_others_are_refused() {
    // Big-endian words of the SQLite header: user_version at 60, application_id at 68.
    let newer = refused("newer", |bytes| {
        bytes[60..64].copy_from_slice(&99u32.to_be_bytes())
    });
    assert!(
        matches!(
            newer,
            StoreError::Newer {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{newer}"
    );
    let foreign = refused("foreign", |bytes| bytes[68..72].fill(0));
    assert!(matches!(foreign, StoreError::Foreign { .. }), "{foreign}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let home = tempfile::NamedTempFile::new().unwrap();
    let Err(error) = Store::open(&home.path().join("inside"), DURABILITY) else {
        panic!("was opened");
    };
    assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
}

/// Layouts that were released never change: a change is a new migration.
#[test]
fn migrations_are_frozen() {
    let known = [
        "49dd8e77a2f99523ca7185ad9a92dc982592d3cfa2e8f5c1799862819e1498d2",
        "733f8a062ee49dd32d691a3a2c396ff5d36f74269b27d0aa8f1c54b41b009e36",
    ];
    assert_eq!(known.len(), schema::MIGRATIONS.len());
    for (migration, known) in schema::MIGRATIONS.iter().zip(known) {
        assert_eq!(Digest::of(migration.as_bytes()).to_string(), known);
    }
}

/// Whatever layout a store begins with, it ends with the same tables as a new one.
#[test]
fn every_layout_is_brought_to_the_newest() {
    let tables = |connection: &Connection| -> Vec<String> {
        let mut select = connection
            .prepare("SELECT sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = select
            .query_map([], |row| row.get::<_, Option<String>>(0))
            .unwrap();
        rows.map(|row| row.unwrap().unwrap_or_default()).collect()
    };
    let (_home, new) = store();
    let expected = tables(&new.connection);
    for from in 1..=schema::MIGRATIONS.len() {
        let home = tempfile::tempdir().unwrap();
        let old = Connection::open(home.path().join(FILE)).unwrap();
        for migration in &schema::MIGRATIONS[..from] {
            old.execute_batch(migration).unwrap();
        }
        old.pragma_update(None, "application_id", schema::APPLICATION)
            .unwrap();
        old.pragma_update(None, "user_version", from as i64)
            .unwrap();
        old.execute("INSERT INTO events VALUES (1, 2)", []).unwrap();
        drop(old);
        let store = Store::open(home.path(), DURABILITY).unwrap();
        assert_eq!(tables(&store.connection), expected);
        assert_eq!(store.count_events().unwrap(), 1);
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (home, _store) = filled();
    let folder = tempfile::tempdir().unwrap().path().join("new");
    let _other = Store::open(&folder, DURABILITY).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.path().join(FILE)), 0o600);
    assert_eq!(mode(&folder), 0o700);
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}

/// Hundreds of clients live in one process of the demo.
#[cfg(target_os = "linux")]
#[test]
fn one_file_descriptor_is_enough() {
    let (home, mut store) = filled();
    store
        .add_events([Event {
            item: ItemId(1),
            at: 1,
        }])
        .unwrap();
    let open = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            target.starts_with(home.path()).then_some(target)
        });
    assert_eq!(open.count(), 1);
}

/// Used-up secrets of a round are not left behind in the file.
#[test]
fn what_is_dropped_is_overwritten() {
    let (home, mut store) = filled();
    let secret = [0xa7u8; 9_000];
    let (turn, _) = store.saved().unwrap();
    let progress = |saved| Progress {
        round: RoundId(9),
        saved,
        charge: None,
        log: None,
        model: None,
    };
    let turn = store.advance(turn, &progress(Some(&secret))).unwrap();
    let holds = |home: &TempDir| {
        let files = std::fs::read_dir(home.path()).unwrap();
        let mut all = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        all.any(|bytes| bytes.windows(16).any(|window| window == &secret[..16]))
    };
    assert!(holds(&home));
    store.advance(turn, &progress(None)).unwrap();
    assert!(!holds(&home));
}
