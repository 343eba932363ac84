//! The key of a store, and what becomes of a store without it.

use std::cell::RefCell;

use zeroize::Zeroizing;

use super::*;
use crate::keys::{Key, KeyError, PassphraseKey, Protection};

/// A key store in memory that fails when it is told to.
#[derive(Default)]
struct Drawer {
    key: RefCell<Option<Key>>,
    is_stuck: bool,
}

impl KeyStore for Drawer {
    fn load(&self) -> Result<Option<Key>, KeyError> {
        Ok(self.key.borrow().clone())
    }

    fn replace(&self, key: &Key) -> Result<(), KeyError> {
        if self.is_stuck {
            return Err(KeyError::Unusable {
                reason: "stuck".to_owned(),
            });
        }
        *self.key.borrow_mut() = Some(key.clone());
        Ok(())
    }

    fn destroy(&self) -> Result<(), KeyError> {
        *self.key.borrow_mut() = None;
        Ok(())
    }

    fn protects(&self) -> Protection {
        Protection::Platform
    }
}

fn refused_by(home: &TempDir, keys: &dyn KeyStore) -> StoreError {
    let before = std::fs::read(home.path().join(FILE)).unwrap();
    let Err(error) = Store::open(home.path(), keys, DURABILITY) else {
        panic!("was opened");
    };
    assert_eq!(std::fs::read(home.path().join(FILE)).unwrap(), before);
    error
}

#[test]
fn a_store_without_its_key_is_refused_and_left_as_it_is() {
    let (home, store) = filled();
    drop(store);
    let none = Drawer::default();
    let missing = refused_by(&home, &none);
    assert!(
        matches!(missing, StoreError::KeyMissing { .. }),
        "{missing}"
    );
    assert!(none.load().unwrap().is_none(), "no key is made up");
    let other = Drawer::default();
    other.replace(&Key::new([1; 32])).unwrap();
    let wrong = refused_by(&home, &other);
    assert!(matches!(wrong, StoreError::WrongKey { .. }), "{wrong}");
    check_filled(&open(&home).unwrap());
}

#[test]
fn a_damaged_key_is_an_error_of_its_own() {
    let (home, store) = filled();
    drop(store);
    let path = home.path().join("client.key");
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 5, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = refused_by(&home, &FileKey::beside(home.path()));
        let is_damaged = matches!(error, StoreError::Key(KeyError::Damaged { .. }));
        assert!(is_damaged, "{error}");
    }
}

/// What is damaged is not taken for another store's.
#[test]
fn a_damaged_record_of_the_key_is_no_other_key() {
    let harms = [
        "UPDATE keys SET id = zeroblob(16)",
        "UPDATE keys SET data = zeroblob(16)",
        "UPDATE keys SET sealed = zeroblob(72)",
        "DELETE FROM keys",
    ];
    for harm in harms {
        let (home, store) = filled();
        drop(store);
        let file = Connection::open(home.path().join(FILE)).unwrap();
        file.execute_batch(harm).unwrap();
        drop(file);
        let error = refused_by(&home, &FileKey::beside(home.path()));
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{harm}: {error}"
        );
        assert!(error.to_string().contains("its key"), "{error}");
    }
}

#[test]
fn a_passphrase_opens_what_it_locked() {
    let home = tempfile::tempdir().unwrap();
    let keys = |words: &str| PassphraseKey::new(home.path(), Zeroizing::new(words.to_owned()));
    let mut store = Store::open(home.path(), &keys("one two"), DURABILITY).unwrap();
    store.pin_coordinator(&[4; 32]).unwrap();
    let wrong = refused_by(&home, &keys("one three"));
    let is_wrong = matches!(wrong, StoreError::Key(KeyError::WrongPassphrase { .. }));
    assert!(is_wrong, "{wrong}");
    store.rotate(&keys("one three")).unwrap();
    let wrong = refused_by(&home, &keys("one two"));
    let is_wrong = matches!(wrong, StoreError::Key(KeyError::WrongPassphrase { .. }));
    assert!(is_wrong, "{wrong}");
    let again = Store::open(home.path(), &keys("one three"), DURABILITY).unwrap();
    assert_eq!(again.coordinator().unwrap(), Some([4; 32]));
}

#[test]
fn after_a_rotation_the_old_key_opens_nothing() {
    let (home, mut store) = filled();
    let (old, keys) = (Drawer::default(), FileKey::beside(home.path()));
    old.replace(&keys.load().unwrap().unwrap()).unwrap();
    let before = sealed(&store, Kind::Charge);
    assert!(holds(&home, &before[..64]));
    store.rotate(&keys).unwrap();
    check_filled(&store);
    assert!(
        !holds(&home, &before[..64]),
        "nothing sealed under the old key is left"
    );
    drop(store);
    assert!(matches!(
        refused_by(&home, &old),
        StoreError::WrongKey { .. }
    ));
    check_filled(&open(&home).unwrap());
}

#[test]
fn a_key_store_that_fails_leaves_the_old_key_in_use() {
    let (home, mut store) = filled();
    let stuck = Drawer {
        is_stuck: true,
        ..Drawer::default()
    };
    assert!(matches!(store.rotate(&stuck), Err(StoreError::Key(_))));
    check_filled(&store);
    drop(store);
    check_filled(&open(&home).unwrap());
}

/// Another process must not go on with the key before: to it, everything would seem to be gone.
#[test]
fn a_store_whose_key_was_changed_elsewhere_says_so() {
    let (home, mut store) = filled();
    let mut elsewhere = open(&home).unwrap();
    store.rotate(&FileKey::beside(home.path())).unwrap();
    let is_elsewhere = |error| matches!(error, StoreError::Elsewhere { .. });
    assert!(is_elsewhere(elsewhere.charges().unwrap_err()));
    assert!(is_elsewhere(
        elsewhere.pin_coordinator(&[9; 32]).unwrap_err()
    ));
    let keys = Drawer::default();
    assert!(is_elsewhere(elsewhere.rotate(&keys).unwrap_err()));
    assert!(keys.load().unwrap().is_none());
    check_filled(&store);
}
