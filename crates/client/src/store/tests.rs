use chorus_model::{Event, ItemId};
use chorus_privacy::Survivors;
use chorus_protocol::{Charge, Digest, Identity, LogView, RoundId, TaskName};
use tempfile::TempDir;

use super::open::FILE;
use super::*;
use crate::keys::{FileKey, KeyStore};

mod growth;
mod items;
mod keys;
mod layouts;
#[cfg(target_os = "linux")]
mod schedules;

const DURABILITY: Durability = Durability::ProcessEnd;

fn open(home: &TempDir) -> Result<Store, StoreError> {
    Store::open(home.path(), &FileKey::beside(home.path()), DURABILITY)
}

fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home).unwrap();
    (home, store)
}

fn films() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

fn model(version: u64) -> StoredModel {
    StoredModel {
        task: films(),
        version,
        bytes: vec![version as u8; 20_000],
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
    let identity = Identity::from_seed(&[7; 32]);
    store.write(|batch| put_identity(batch, &identity)).unwrap();
    let enrolled = Enrolled {
        certificate: vec![1, 2],
        authority: vec![3],
    };
    store.write(|batch| put_enrolled(batch, &enrolled)).unwrap();
    store.pin_coordinator(&[4; 32]).unwrap();
    store.put_model(&model(2)).unwrap();
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
        local: None,
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
    assert_eq!(store.saved().unwrap().1.unwrap().as_slice(), b"half way");
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
    check_filled(&open(&home).unwrap());
}

#[test]
fn an_empty_store_says_so() {
    let (_home, store) = store();
    assert_eq!(store.events().unwrap().len(), 0);
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
        store.put_model(&model(version)).unwrap();
        assert_eq!(store.model(&films()).unwrap().unwrap().version, kept);
    }
}

#[test]
fn only_one_of_two_processes_goes_on_with_a_round() {
    let (home, mut first) = filled();
    let mut second = open(&home).unwrap();
    let (turn, _) = first.saved().unwrap();
    let progress = Progress {
        round: RoundId(8),
        saved: Some(b"further"),
        charge: None,
        log: None,
        model: None,
        local: None,
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
        local: None,
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
    let Err(error) = open(&home) else {
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

/// Every byte of every record counts, and no record can take another's place.
#[test]
fn a_record_that_changed_on_the_disk_is_an_error() {
    let changes = [
        "UPDATE records SET sealed = zeroblob(length(sealed)) WHERE kind = ?",
        "UPDATE records SET sealed = x'' WHERE kind = ?",
        "UPDATE records SET sealed = (SELECT sealed FROM records WHERE kind <> ?1 LIMIT 1) WHERE kind = ?1",
    ];
    for change in changes {
        let (_home, store) = filled();
        for kind in [Kind::Model, Kind::Charge] {
            let change = store.connection.execute(change, [kind.number()]);
            assert_eq!(change.unwrap(), 1);
        }
        assert!(matches!(
            store.model(&films()),
            Err(StoreError::Damaged { .. })
        ));
        assert!(matches!(store.charges(), Err(StoreError::Damaged { .. })));
        assert!(store.log().is_ok());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let home = file.path().join("inside");
    let Err(error) = Store::open(&home, &FileKey::beside(&home), DURABILITY) else {
        panic!("was opened");
    };
    assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (home, _store) = filled();
    let folder = tempfile::tempdir().unwrap().path().join("new");
    let _other = Store::open(&folder, &FileKey::beside(&folder), DURABILITY).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in std::fs::read_dir(home.path()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&folder), 0o700);
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}

/// Hundreds of clients live in one process of the demo: the file, its log, and the log's index.
#[cfg(target_os = "linux")]
#[test]
fn three_file_descriptors_are_enough() {
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
    assert_eq!(open.count(), 3);
}

fn files(home: &TempDir) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(home.path()).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn holds(home: &TempDir, needle: &[u8]) -> bool {
    let files = files(home);
    files
        .iter()
        .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

/// The sealed bytes of the one record of a kind.
fn sealed(store: &Store, kind: Kind) -> Vec<u8> {
    let select = "SELECT sealed FROM records WHERE kind = ?";
    let found = store
        .connection
        .query_row(select, [kind.number()], |row| row.get(0));
    found.unwrap()
}

/// Used-up secrets of a round are not left behind in a file, not even sealed: the key that opens them lives on.
#[test]
fn what_is_spent_is_overwritten() {
    let (home, mut store) = filled();
    let (turn, _) = store.saved().unwrap();
    let progress = |saved| Progress {
        round: RoundId(9),
        saved,
        charge: None,
        log: None,
        model: None,
        local: None,
    };
    let turn = store.advance(turn, &progress(Some(&[7; 9_000]))).unwrap();
    let before = sealed(&store, Kind::Standing);
    // Pages cut it to pieces: its beginning stays in one.
    assert!(holds(&home, &before[..64]));
    store.advance(turn, &progress(None)).unwrap();
    assert!(!holds(&home, &before[..64]));
    let charge = sealed(&store, Kind::Charge);
    assert!(holds(&home, &charge[..64]));
    let key = store.charges().unwrap()[0].key();
    assert!(store.write(|batch| batch.remove::<Charge>(&key)).unwrap());
    assert!(!store.write(|batch| batch.remove::<Charge>(&key)).unwrap());
    assert!(!holds(&home, &charge[..64]));
}

/// Neither an item, a time nor a word of what is kept is in any file, in none of the ways a number is written.
#[test]
fn nothing_kept_can_be_read_from_the_files() {
    let needles = |sealed: bool| {
        let (home, mut store) = filled();
        let event = Event {
            item: ItemId(3_141_592_653),
            at: 1_798_765_432,
        };
        store.add_events([event]).unwrap();
        if !sealed {
            let item = store
                .all::<crate::taste::ItemRecord>()
                .unwrap()
                .pop()
                .unwrap();
            let plain = record::encode(&item, &store.path).unwrap();
            let put = "UPDATE records SET sealed = ? WHERE kind = 8";
            store.connection.execute(put, [plain.as_slice()]).unwrap();
        }
        let mut needles = vec![b"films".to_vec(), b"counts".to_vec(), b"half way".to_vec()];
        for number in [3_141_592_653i64, 1_798_765_432] {
            needles.push(number.to_string().into_bytes());
            for width in [4, 8] {
                needles.push(number.to_le_bytes()[..width].to_vec());
                needles.push(number.to_be_bytes()[8 - width..].to_vec());
            }
        }
        needles.push(vec![7; 32]);
        needles.push(b"0707070707070707".to_vec());
        let found = needles.iter().filter(|needle| holds(&home, needle));
        found.count()
    };
    assert_eq!(needles(true), 0);
    assert_eq!(needles(false), 2, "the search finds what is there");
}

#[test]
fn a_second_connection_sees_every_write_and_a_new_key() {
    let (home, mut store) = filled();
    let second = store.second().unwrap();
    store.pin_coordinator(&[4; 32]).unwrap();
    check_filled(&second);
    store.rotate(&FileKey::beside(home.path())).unwrap();
    check_filled(&store);
    check_filled(&second);
}
