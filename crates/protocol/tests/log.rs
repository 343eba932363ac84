//! The model log, and the signatures under it and everything else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chorus_protocol::{
    Digest, Identity, LogEntry, LogError, LogView, Origin, Purpose, SignedEntry, TaskName, verify,
    verify_advertisement,
};
use chorus_secagg::{Generator, RoundDigest, RoundKeys};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn task(name: &str) -> TaskName {
    name.to_owned().try_into().unwrap()
}

fn coordinator() -> Identity {
    Identity::from_seed(&[1; 32])
}

/// Entries of the given tasks in order, each with its task's next version.
fn log(tasks: &[&str]) -> Vec<SignedEntry> {
    let mut entries: Vec<SignedEntry> = Vec::new();
    for (index, name) in tasks.iter().enumerate() {
        let version = 1 + tasks[..index].iter().filter(|other| *other == name).count() as u64;
        let entry = LogEntry {
            index: index as u64,
            previous: entries.last().map_or(Digest::ZERO, SignedEntry::digest),
            task: task(name),
            version,
            origin: match version {
                1 => Origin::Start,
                _ => Origin::Round,
            },
            model: Digest::of(format!("{name} {version}").as_bytes()),
            report: Digest::of(b""),
        };
        entries.push(SignedEntry::sign(&entry, &coordinator()).unwrap());
    }
    entries
}

/// The same entry with one thing changed, signed again.
fn altered(entry: &SignedEntry, change: impl Fn(&mut LogEntry)) -> SignedEntry {
    let mut entry: LogEntry = serde_json::from_slice(&entry.bytes).unwrap();
    change(&mut entry);
    SignedEntry::sign(&entry, &coordinator()).unwrap()
}

fn follow(view: &mut LogView, entries: &[SignedEntry]) -> Result<(), LogError> {
    let before = view.clone();
    let result = view.follow(entries, &coordinator().public());
    if result.is_err() {
        assert_eq!(*view, before);
    }
    result
}

#[test]
fn tasks_interleave_and_each_has_its_own_versions() {
    let entries = log(&["films", "books", "films", "films", "books"]);
    let mut whole = LogView::default();
    follow(&mut whole, &entries).unwrap();
    assert_eq!(whole.length, 5);
    assert_eq!(whole.head, entries[4].digest());
    assert_eq!(
        whole.newest(&task("films")).map(|entry| entry.version),
        Some(3)
    );
    assert_eq!(
        whole.newest(&task("books")).map(|entry| entry.version),
        Some(2)
    );
    assert_eq!(whole.newest(&task("songs")), None);
    // In parts it is the same log.
    let mut parts = LogView::default();
    for entry in &entries {
        follow(&mut parts, std::slice::from_ref(entry)).unwrap();
    }
    assert_eq!(parts, whole);
    follow(&mut parts, &[]).unwrap();
    let text = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<LogView>(&text).unwrap(), whole);
}

#[test]
fn another_history_is_refused() {
    let entries = log(&["films", "films", "films", "films"]);
    let mut view = LogView::default();
    follow(&mut view, &entries[..2]).unwrap();
    // A gap, a repeat, a restart, and a fork that fits in number and version but not in what came before.
    for (other, expected) in [
        (&entries[3..], LogError::Fork(2)),
        (&entries[1..2], LogError::Fork(2)),
        (&entries[..1], LogError::Fork(2)),
    ] {
        assert_eq!(follow(&mut view, other), Err(expected));
    }
    let fork = altered(&entries[2], |entry| {
        entry.previous = Digest::of(b"elsewhere")
    });
    assert_eq!(follow(&mut view, &[fork]), Err(LogError::Fork(2)));
    let gap = altered(&entries[2], |entry| entry.index = 3);
    assert_eq!(follow(&mut view, &[gap]), Err(LogError::Fork(2)));
    // A good entry before a bad one is not kept either.
    let bad = [entries[2].clone(), entries[2].clone()];
    assert_eq!(follow(&mut view, &bad), Err(LogError::Fork(3)));
    follow(&mut view, &entries[2..]).unwrap();
}

#[test]
fn versions_grow_by_one() {
    let entries = log(&["films", "films"]);
    for (found, last, index) in [(2, 0, 0), (0, 0, 0), (u64::MAX, 0, 0)] {
        let jump = altered(&entries[0], |entry| entry.version = found);
        let expected = LogError::Version {
            index,
            task: task("films"),
            last,
            found,
        };
        assert_eq!(follow(&mut LogView::default(), &[jump]), Err(expected));
    }
    let mut view = LogView::default();
    follow(&mut view, &entries[..1]).unwrap();
    for found in [1, 3, 0, u64::MAX] {
        let jump = altered(&entries[1], |entry| entry.version = found);
        let result = follow(&mut view, &[jump]);
        assert!(
            matches!(result, Err(LogError::Version { .. })),
            "{result:?}"
        );
    }
    // At the end of all numbers nothing follows.
    let mut last = view.clone();
    last.newest[0].version = u64::MAX;
    let next = altered(&entries[1], |entry| entry.version = 0);
    assert!(follow(&mut last, &[next]).is_err());
}

#[test]
fn unsigned_and_unreadable_entries_are_refused() {
    let entries = log(&["films"]);
    let mut view = LogView::default();
    let mut altered = entries[0].clone();
    altered.bytes[20] ^= 1;
    assert_eq!(follow(&mut view, &[altered]), Err(LogError::Signature(0)));
    let entry: LogEntry = serde_json::from_slice(&entries[0].bytes).unwrap();
    let foreign = SignedEntry::sign(&entry, &Identity::from_seed(&[2; 32])).unwrap();
    assert_eq!(follow(&mut view, &[foreign]), Err(LogError::Signature(0)));
    let text = String::from_utf8(entries[0].bytes.clone()).unwrap();
    for bytes in [
        String::new(),
        "{}".to_owned(),
        text.replacen('{', r#"{"mystery":1,"#, 1),
        text.replace("films", "../films"),
        text.replace("start", "begin"),
        text.replace(r#""index":0"#, r#""index":1e300"#),
    ] {
        let bytes = bytes.into_bytes();
        let signature = coordinator().sign(Purpose::LogEntry, &[&bytes]);
        let result = follow(&mut view, &[SignedEntry { bytes, signature }]);
        assert!(
            matches!(result, Err(LogError::Unreadable { index: 0, .. })),
            "{result:?}"
        );
    }
}

/// A log of ever new tasks would fill the client's memory.
#[test]
fn a_log_has_an_end_of_tasks() {
    let names: Vec<String> = (0..4097).map(|number| format!("task-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let entries = log(&names);
    let mut view = LogView::default();
    follow(&mut view, &entries[..4096]).unwrap();
    assert_eq!(
        follow(&mut view, &entries[4096..]),
        Err(LogError::Tasks(4096))
    );
}

const PURPOSES: [Purpose; 7] = [
    Purpose::Advertise,
    Purpose::Plan,
    Purpose::LogEntry,
    Purpose::Revocations,
    Purpose::Endorse,
    Purpose::Beacon,
    Purpose::Seal,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A signature is good for one key, one purpose and one content, cut into parts in one way.
    #[test]
    fn no_signature_is_taken_for_another(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..4),
        others in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..4),
        signed in 0usize..7,
        bit in 0usize..512,
    ) {
        let identity = coordinator();
        let key = identity.public();
        let content: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let signature = identity.sign(PURPOSES[signed], &content);
        for (place, purpose) in PURPOSES.into_iter().enumerate() {
            let result = verify(&key, purpose, &content, &signature);
            prop_assert_eq!(result.is_ok(), place == signed);
        }
        let purpose = PURPOSES[signed];
        let other: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(verify(&key, purpose, &other, &signature).is_ok(), parts == others);
        let joined = parts.concat();
        prop_assert_eq!(verify(&key, purpose, &[&joined], &signature).is_ok(), parts.len() == 1);
        let mut damaged = signature;
        damaged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify(&key, purpose, &content, &damaged).is_err());
        prop_assert!(verify(&[2; 32], purpose, &content, &signature).is_err());
    }
}

#[test]
fn an_advertisement_is_of_one_round_both_keys_and_the_generator() {
    let identity = coordinator();
    let keys =
        RoundKeys::generate(Generator::Aes128Ctr, &mut ChaCha20Rng::seed_from_u64(1)).public();
    let digest = RoundDigest([3; 32]);
    let signature = identity.advertise(&digest, &keys);
    let check = |digest, keys: &_| {
        verify_advertisement(&identity.public(), digest, keys, &signature).is_ok()
    };
    assert!(check(&digest, &keys));
    assert!(!check(&RoundDigest([4; 32]), &keys));
    let mut swapped = keys;
    std::mem::swap(&mut swapped.cipher, &mut swapped.mask);
    assert!(!check(&digest, &swapped));
    // Nor can anyone downgrade the generator that two clients agree on.
    let mut other = keys;
    other.generator = Generator::ChaCha12;
    assert!(!check(&digest, &other));
}

/// Keys of small order would verify anything, or many things.
#[test]
fn weak_keys_verify_nothing() {
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    for key in [[0; 32], identity_point, [0xff; 32]] {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&key);
        assert!(verify(&key, Purpose::Plan, &[b"anything"], &signature).is_err());
    }
}
