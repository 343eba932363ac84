//! Layouts: those before come along, those after are refused.

use super::*;
use crate::taste::{ItemRecord, item_key};

/// Layouts that were released never change: a change is a new one.
#[test]
fn layouts_are_frozen() {
    let known = [
        (
            schema::PLAIN[0],
            "49dd8e77a2f99523ca7185ad9a92dc982592d3cfa2e8f5c1799862819e1498d2",
        ),
        (
            schema::PLAIN[1],
            "733f8a062ee49dd32d691a3a2c396ff5d36f74269b27d0aa8f1c54b41b009e36",
        ),
        (
            schema::SEALED,
            "e6d3c1fba0eb3d26bf8e5994c61246bbfb7990d3b70790c548f68a8912ecb12c",
        ),
    ];
    for (layout, known) in known {
        assert_eq!(Digest::of(layout.as_bytes()).to_string(), known);
    }
}

/// What the version before this one left: a store of layout `layout`, with something in every table.
pub(super) fn plain(layout: usize) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let old = Connection::open(home.path().join(FILE)).unwrap();
    let pragmas = "PRAGMA secure_delete = ON; PRAGMA synchronous = OFF; BEGIN";
    old.execute_batch(pragmas).unwrap();
    for step in &schema::PLAIN[..layout] {
        old.execute_batch(step).unwrap();
    }
    for item in 0..300 {
        let put = old.execute("INSERT INTO events VALUES (?, -5)", [item]);
        put.unwrap();
    }
    old.execute("INSERT INTO events VALUES (3, 1798765432)", [])
        .unwrap();
    let enrolment = "INSERT INTO enrolment VALUES (1, ?, ?, ?)";
    old.execute(enrolment, ([7u8; 32], [1u8, 2], [3u8]))
        .unwrap();
    let charge = r#"{"task":"films","release":"counts","round":18446744073709551615,"cost":null,"survivors":{"minimum":7,"honest":6}}"#;
    let put = "INSERT INTO charges VALUES ('films', -1, ?)";
    old.execute(put, [charge]).unwrap();
    let log = serde_json::to_string(&LogView {
        length: 1,
        head: Digest::of(b"head"),
        newest: Vec::new(),
    });
    let standing =
        "UPDATE standing SET coordinator = ?, log = ?, last_round = '18446744073709551615',
                    turn = 41, saved = ?";
    old.execute(standing, ([4u8; 32], log.unwrap(), b"half way"))
        .unwrap();
    let bytes = vec![2u8; 20_000];
    let model = "INSERT INTO models VALUES ('films', 2, ?, ?)";
    old.execute(model, (Digest::of(&bytes).0, &bytes)).unwrap();
    if layout > 1 {
        old.execute("INSERT INTO local_reports VALUES (-1, 1798765432)", [])
            .unwrap();
    }
    old.pragma_update(None, "application_id", schema::APPLICATION)
        .unwrap();
    old.pragma_update(None, "user_version", layout as i64)
        .unwrap();
    old.execute_batch("COMMIT").unwrap();
    home
}

fn tables(store: &Store) -> Vec<String> {
    let select = "SELECT coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let mut select = store.connection.prepare(select).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(|row| row.unwrap()).collect()
}

/// Whatever layout a store begins with, it ends with everything that it held, sealed, and with the tables of a new one.
#[test]
fn every_layout_comes_along_and_nothing_stays_plain() {
    let (_new, new) = store();
    for layout in 1..=schema::PLAIN.len() {
        let home = plain(layout);
        let needles = [&b"half way"[..], b"counts", &[7; 32], &[2; 512]];
        for needle in needles {
            assert!(holds(&home, needle), "the search finds what is there");
        }
        let mut store = open(&home).unwrap();
        assert_eq!(tables(&store), tables(&new));
        let mut events = store.events().unwrap();
        let later = events.remove(4);
        assert_eq!((later.item, later.at), (ItemId(3), 1_798_765_432));
        assert_eq!(store.local_since(1_798_765_432).unwrap(), layout - 1);
        let (turn, _) = store.saved().unwrap();
        assert_eq!(turn, Turn(41));
        for needle in needles {
            assert!(!holds(&home, needle));
        }
        drop(store);
        store = open(&home).unwrap();
        assert_eq!(store.events().unwrap().len(), 301);
        store
            .write(|batch| {
                let mut item = batch.get::<ItemRecord>(&item_key(ItemId(3)))?.unwrap();
                item.events.truncate(1);
                batch.put(&item)
            })
            .unwrap();
        check_filled(&store);
    }
}

/// Where there is a key, the client's own store is sealed: a plain one was laid in its place.
#[test]
fn a_plain_store_beside_a_key_is_not_taken_for_the_own_one() {
    for layout in 1..=schema::PLAIN.len() {
        let (home, store) = filled();
        drop(store);
        let file = home.path().join(FILE);
        let own = std::fs::read(&file).unwrap();
        let planted = std::fs::read(plain(layout).path().join(FILE)).unwrap();
        std::fs::write(&file, &planted).unwrap();
        for _ in 0..2 {
            let Err(error) = open(&home) else {
                panic!("was opened");
            };
            assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
            assert!(error.to_string().contains("client.db"), "{error}");
            assert_eq!(std::fs::read(&file).unwrap(), planted);
        }
        std::fs::write(&file, own).unwrap();
        check_filled(&open(&home).unwrap());
    }
}

/// The layout before tallies: with the first opening it has them.
#[test]
fn a_sealed_store_without_tallies_gets_them() {
    let (home, store) = filled();
    let key = FileKey::beside(home.path()).load().unwrap().unwrap();
    let wrapped = store.vault.read().unwrap().wrap_without_tallies(&key);
    let back = "UPDATE keys SET sealed = ?";
    store.connection.execute(back, [wrapped.unwrap()]).unwrap();
    let back = format!(
        "DELETE FROM records WHERE kind = {}; PRAGMA user_version = 3",
        Kind::Tally.number()
    );
    store.connection.execute_batch(&back).unwrap();
    drop(store);
    std::fs::remove_file(home.path().join(tally::TALLY)).unwrap();
    for _ in 0..2 {
        let store = open(&home).unwrap();
        check_filled(&store);
        let tallies = store.all::<Tally>().unwrap();
        assert_eq!((tallies.len(), tallies[0].count), (1, 1));
    }
    assert_eq!(tally::length(home.path()).unwrap(), Some(1));
}

/// A row that cannot be carried over leaves the old store as it was.
#[test]
fn a_store_that_cannot_come_along_is_left_as_it_is() {
    let home = plain(1);
    let path = home.path().join(FILE);
    let old = Connection::open(&path).unwrap();
    old.execute("UPDATE charges SET charge = '{}'", []).unwrap();
    drop(old);
    assert!(matches!(open(&home), Err(StoreError::Damaged { .. })));
    let old = Connection::open(&path).unwrap();
    let events = old.query_row("SELECT count(*) FROM events", [], |row| {
        row.get::<_, i64>(0)
    });
    assert_eq!(events.unwrap(), 301);
    old.execute("DELETE FROM charges", []).unwrap();
    drop(old);
    assert_eq!(open(&home).unwrap().events().unwrap().len(), 301);
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
                known: 4,
                ..
            }
        ),
        "{newer}"
    );
    let foreign = refused("foreign", |bytes| bytes[68..72].fill(0));
    assert!(matches!(foreign, StoreError::Foreign { .. }), "{foreign}");
}

/// The header would be rewritten by asking for another journal: nothing is asked before the file is known.
#[test]
fn a_database_of_another_program_is_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(FILE);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open(&home), Err(StoreError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
