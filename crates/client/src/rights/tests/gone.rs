//! Stores that do not open, stores that are missing, and clients whose folder somebody else erased.

use zeroize::Zeroizing;

use super::*;
use crate::{Error, Key, KeyError, PassphraseKey, Protection, Purpose, StoreError, erase};

fn word(home: &TempDir, word: &str) -> PassphraseKey {
    PassphraseKey::new(home.path(), Zeroizing::new(word.to_owned()))
}

fn fails_to_open(home: &TempDir, keys: &dyn KeyStore) -> StoreError {
    match Client::open(home.path(), keys, settings(), NOW) {
        Err(Error::Store(error)) => error,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("was opened"),
    }
}

/// The erasure of a folder whose store did not open.
fn erased(home: &TempDir, keys: &dyn KeyStore) {
    fails_to_open(home, keys);
    let receipt = erase(home.path(), keys, NOW).unwrap();
    assert_eq!(all_files(home.path()), Vec::<String>::new());
    let erasure = receipt.verify().unwrap();
    assert!(erasure.unread && erasure.gone.is_empty() && erasure.remaining.is_empty());
    assert_eq!(erasure.at, NOW);
    // Again, there is nothing to do; and the folder is as good as new.
    erase(home.path(), keys, NOW).unwrap();
    assert_eq!(all_files(home.path()), Vec::<String>::new());
    assert!(Client::open(home.path(), keys, settings(), NOW).is_ok());
}

#[test]
fn a_forgotten_passphrase_is_no_hindrance() {
    let (home, mut client) = client();
    client.rotate_key(&word(&home, "known")).unwrap();
    drop(client);
    erased(&home, &word(&home, "forgotten"));
}

#[test]
fn a_lost_key_is_no_hindrance() {
    let (home, client) = client();
    drop(client);
    std::fs::remove_file(home.path().join("client.key")).unwrap();
    erased(&home, &FileKey::beside(home.path()));
}

#[test]
fn a_damaged_store_is_no_hindrance() {
    let keys = |home: &TempDir| FileKey::beside(home.path());
    let file = |home: &TempDir| home.path().join("client.db");
    let (home, lost) = client();
    drop(lost);
    std::fs::write(file(&home), b"not a store at all").unwrap();
    erased(&home, &keys(&home));
    // Broken where only reading finds it: the client opens, and erases all the same.
    let (home, broken) = client();
    let break_it = "UPDATE records SET sealed = zeroblob(length(sealed)) WHERE kind <> 13";
    let other = rusqlite::Connection::open(file(&home)).unwrap();
    other.execute(break_it, []).unwrap();
    drop(other);
    let receipt = broken.erase(&keys(&home), NOW).unwrap();
    assert!(receipt.verify().unwrap().unread);
    assert_eq!(all_files(home.path()), Vec::<String>::new());
    // Where it could be read, the receipt says so.
    let (home, whole) = client();
    let receipt = whole.erase(&keys(&home), NOW).unwrap();
    assert!(!receipt.verify().unwrap().unread);
}

#[test]
fn a_folder_that_is_not_there_is_erased_and_not_made() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = home.path().join("nowhere");
    erase(&nowhere, &FileKey::beside(&nowhere), NOW).unwrap();
    assert!(!nowhere.exists());
}

/// Everything that a client can be asked says that it is closed, and leaves nothing behind.
#[test]
fn a_client_whose_folder_was_erased_is_closed_and_makes_nothing_anew() {
    type Try = fn(&mut Client) -> Result<(), Error>;
    let tries: [Try; 10] = [
        |client| client.view(NOW).map(drop),
        |client| client.record(Event::click(ItemId(9), NOW), NOW).map(drop),
        |client| client.granted(&Purpose::ContributeTraining).map(drop),
        |client| client.consents(NOW).map(drop),
        |client| client.switch().map(drop),
        |client| client.reset_profile().map(drop),
        |client| client.history(24).map(drop),
        |client| client.choices().map(drop),
        |client| client.rotate_key(&word(&tempfile::tempdir().unwrap(), "new")),
        |client| {
            let notice = client.notice("en").unwrap();
            let no = crate::Decision::new(Answer::No, ROUNDS, notice);
            client.decide(&no, NOW).map(drop)
        },
    ];
    let closed = |error: Error| matches!(error, Error::Store(StoreError::Closed { .. }));
    let (home, mut stale) = client();
    let keys = FileKey::beside(home.path());
    let mut switch = stale.switch().unwrap();
    for work in tries.iter().take(8) {
        work(&mut stale).unwrap();
    }
    let other = Client::open(home.path(), &keys, settings(), NOW).unwrap();
    other.erase(&keys, NOW).unwrap();
    for (place, work) in tries.iter().enumerate() {
        let error = work(&mut stale).unwrap_err();
        assert!(closed(error), "{place}");
        assert_eq!(all_files(home.path()), Vec::<String>::new(), "{place}");
    }
    assert!(closed(switch.consents(NOW).unwrap_err()));
    let no = crate::Decision::new(Answer::No, ROUNDS, switch.notice("en").unwrap());
    assert!(closed(switch.decide(&no, NOW).unwrap_err()));
    // Nor when somebody began anew in the same folder: that one is left alone.
    let new = Client::open(home.path(), &keys, settings(), NOW).unwrap();
    assert!(closed(tries[0](&mut stale).unwrap_err()));
    assert!(closed(stale.erase(&keys, NOW).unwrap_err()));
    assert!(new.view(NOW).is_ok());
    assert!(keys.load().unwrap().is_some());
}

#[test]
fn a_missing_store_is_not_made_anew_without_a_word() {
    let (home, client) = client();
    let keys = FileKey::beside(home.path());
    drop(client);
    let (file, kept) = (home.path().join("client.db"), home.path().join("kept"));
    std::fs::rename(&file, &kept).unwrap();
    let error = fails_to_open(&home, &keys);
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(!file.exists());
    // It is put back.
    std::fs::rename(&kept, &file).unwrap();
    let client = Client::open(home.path(), &keys, settings(), NOW).unwrap();
    assert_eq!(client.items().unwrap().len(), 5);
    drop(client);
    // It is given up: once, and not for ever.
    std::fs::rename(&file, &kept).unwrap();
    set_aside(home.path(), NOW).unwrap();
    let client = Client::open(home.path(), &keys, settings(), NOW).unwrap();
    assert_eq!(client.items().unwrap().len(), 0);
    drop(client);
    std::fs::remove_file(&file).unwrap();
    let error = fails_to_open(&home, &keys);
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[test]
fn a_key_of_the_other_kind_is_named_as_such() {
    let (home, mut client) = client();
    let (plain, locked) = (FileKey::beside(home.path()), word(&home, "known"));
    let of = |keys| match fails_to_open(&home, keys) {
        StoreError::Key(error) => error,
        error => panic!("another error: {error}"),
    };
    assert!(matches!(of(&locked), KeyError::NoPassphrase { .. }));
    client.rotate_key(&locked).unwrap();
    assert!(matches!(of(&plain), KeyError::NeedsPassphrase { .. }));
    assert!(locked.load().unwrap().is_some());
}

/// Whatever the disk is like, the key goes: here nothing can be noted, and no lease can be ended as it should.
#[cfg(unix)]
#[test]
fn where_nothing_can_be_written_the_key_goes_all_the_same() {
    for is_open in [true, false] {
        let (home, client) = client();
        let keys = FileKey::beside(home.path());
        for blocked in ["client.erasing.new", "lease"] {
            let blocked = home.path().join(blocked);
            let _none = std::fs::remove_file(&blocked);
            std::fs::create_dir(&blocked).unwrap();
        }
        let receipt = match is_open {
            true => client.erase(&keys, NOW),
            false => erase(home.path(), &keys, NOW),
        };
        assert!(keys.load().unwrap().is_none());
        // The folders are nobody's, and it says so.
        let left = receipt.unwrap().verify().unwrap().left;
        assert_eq!(left, ["client.erasing.new", "lease"]);
        let mut files = all_files(home.path());
        files.sort();
        assert_eq!(files, left);
    }
}

#[test]
fn an_erasure_takes_all_that_clients_write_and_names_what_it_leaves() {
    let (home, lost) = client();
    let (keys, path) = (FileKey::beside(home.path()), |name: &str| {
        home.path().join(name)
    });
    drop(lost);
    let aside = set_aside(home.path(), NOW).unwrap();
    std::fs::create_dir_all(aside.join("sub/folder")).unwrap();
    std::fs::write(aside.join("sub/folder/file"), b"x").unwrap();
    let client = open(home.path(), settings());
    // What a process that ended may leave.
    let ours = [
        "client.db.new",
        "client.db.new-journal",
        "client.db-journal",
        "client.key.new",
        "client.erasing.new",
        "client.aside",
    ];
    let theirs = ["client.db.backup", "notes.txt", "set-aside-of-mine"];
    for name in ours.iter().chain(&theirs) {
        std::fs::write(path(name), b"x").unwrap();
    }
    let receipt = client.erase(&keys, NOW).unwrap();
    assert_eq!(receipt.verify().unwrap().left, theirs);
    let mut files = all_files(home.path());
    files.sort();
    assert_eq!(files, theirs);
}

/// Only a receipt that a client signed begins an erasure: not any file of that name.
#[test]
fn a_file_that_is_called_like_an_erasure_erases_nothing() {
    let (home, client) = client();
    let keys = FileKey::beside(home.path());
    let view = client.view(NOW).unwrap().to_json();
    drop(client);
    let marker = home.path().join("client.erasing");
    for content in [&view, "", "receipt"] {
        std::fs::write(&marker, content).unwrap();
        let error = fails_to_open(&home, &keys);
        assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
        assert!(error.to_string().contains("client.erasing"), "{error}");
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), *content);
    }
    std::fs::remove_file(&marker).unwrap();
    assert_eq!(open(home.path(), settings()).items().unwrap().len(), 5);
    // And it keeps nobody from erasing.
    std::fs::write(&marker, view).unwrap();
    erase(home.path(), &keys, NOW).unwrap();
    assert_eq!(all_files(home.path()), Vec::<String>::new());
}

/// A key store that does not forget while the flag is up.
struct Stubborn(FileKey, std::cell::Cell<bool>);

impl KeyStore for Stubborn {
    fn load(&self) -> Result<Option<Key>, KeyError> {
        self.0.load()
    }

    fn replace(&self, key: &Key) -> Result<(), KeyError> {
        self.0.replace(key)
    }

    fn destroy(&self) -> Result<(), KeyError> {
        match self.1.get() {
            true => Err(KeyError::Unusable {
                reason: "it does not answer".to_owned(),
            }),
            false => self.0.destroy(),
        }
    }

    fn protects(&self) -> Protection {
        self.0.protects()
    }
}

/// Where the first try knew what there was, the one that comes to the end says it as well.
#[test]
fn an_erasure_that_broke_off_is_finished_with_its_own_receipt() {
    let (home, client) = client();
    let keys = Stubborn(FileKey::beside(home.path()), true.into());
    assert!(client.erase(&keys, NOW).is_err());
    assert!(erase(home.path(), &keys, NOW + 1).is_err());
    keys.1.set(false);
    let receipt = erase(home.path(), &keys, NOW + 2).unwrap();
    let erasure = receipt.verify().unwrap();
    assert!(!erasure.unread && !erasure.gone.is_empty());
    assert_eq!((erasure.at, all_files(home.path())), (NOW, Vec::new()));
}
