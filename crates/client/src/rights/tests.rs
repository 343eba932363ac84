//! Complete views, exact removals, and nothing left.

use std::collections::BTreeSet;

use chorus_model::{Event, ItemId};
use chorus_protocol::{Charge, Identity};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::store::{Enrolled, Kind};
use crate::testing::{NOW, films, open, settings};
use crate::{FileKey, KeyStore, Settings, set_aside};

/// An enrolled client with something of several kinds.
fn client() -> (TempDir, Client) {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    let events = (0..5).map(|item| Event {
        item: ItemId(item),
        at: NOW,
    });
    client.record_all(events).unwrap();
    client
        .store
        .put_identity(&Identity::from_seed(&[7; 32]))
        .unwrap();
    let enrolled = Enrolled {
        certificate: vec![0xce; 40],
        authority: vec![0xa0; 40],
    };
    client.store.put_enrolled(&enrolled).unwrap();
    let charge = r#"{"task":"films","release":"counts","round":7,"cost":null,"survivors":{"minimum":7,"honest":6}}"#;
    let charge: Charge = serde_json::from_str(charge).unwrap();
    let model = crate::store::StoredModel {
        task: films(),
        version: 3,
        bytes: vec![9; 500],
    };
    client.store.put_model(&model).unwrap();
    client.store.write(|batch| batch.put(&charge)).unwrap();
    (home, client)
}

fn all_files(home: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(home).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}

/// What a view shows and what it says that it withholds is, together, what is stored.
#[test]
fn what_is_shown_and_what_is_withheld_is_everything() {
    let (_home, client) = client();
    let view = client.view(NOW).unwrap();
    let stored = client.store.everything().unwrap();
    assert_eq!(stored.len(), 8);
    for (kind, key, value, bytes) in &stored {
        let section = view
            .sections
            .iter()
            .find(|section| section.kind == kind.name());
        let entry = section
            .unwrap()
            .entries
            .iter()
            .find(|entry| entry.key == *key);
        let mut shown = entry.unwrap().value.clone();
        let withheld = view.withheld.iter();
        let of_this = withheld.filter(|secret| (secret.kind, &secret.key) == (kind.name(), key));
        let mut hidden = 0;
        for secret in of_this {
            hidden += secret.bytes;
            if let (Some(field), Value::Object(fields)) = (secret.field, &mut shown) {
                let before = fields.insert(field.to_owned(), value[field].clone());
                assert_eq!(before, None, "a secret was shown");
            }
        }
        assert_eq!((&shown, hidden), (value, *bytes), "{}", kind.name());
    }
    let shown: usize = view
        .sections
        .iter()
        .map(|section| section.entries.len())
        .sum();
    assert_eq!(shown, stored.len(), "nothing is made up");
    let withheld: BTreeSet<&str> = view.withheld.iter().map(|secret| secret.kind).collect();
    assert_eq!(withheld, BTreeSet::from(["enrolment", "model"]));
}

/// Every value of every record is in each of the files, and no secret in any.
#[test]
fn every_export_has_every_value() {
    let (_home, client) = client();
    let view = client.view(NOW).unwrap();
    let (json, csv, html) = (view.to_json(), view.to_csv(), view.to_html());
    let seed = hex::encode(*client.store.identity().unwrap().unwrap().seed());
    let certificate = hex::encode(client.store.enrolled().unwrap().unwrap().certificate);
    for file in [&json, &csv, &html] {
        assert!(!file.contains(&seed));
        assert!(file.contains(&certificate));
        assert!(file.contains("films"));
    }
    let back: Value = serde_json::from_str(&json).unwrap();
    let sections = back["sections"].as_array().unwrap();
    assert_eq!(sections.len(), Kind::ALL.len());
    for section in &view.sections {
        for entry in &section.entries {
            let row = format!("\"{}\",\"{}\",", section.kind, entry.key);
            assert!(csv.contains(&row), "{row}");
            assert!(html.contains(section.title));
        }
    }
}

#[test]
fn texts_in_files_do_nothing() {
    let view = View {
        at: NOW,
        sections: vec![Records {
            kind: "control",
            title: "Choices",
            entries: vec![Entry {
                key: "topic".to_owned(),
                value: serde_json::json!({"a": "=1+1", "b": "<script>\"", "c": -5, "d": []}),
            }],
        }],
        withheld: Vec::new(),
    };
    let csv = view.to_csv();
    assert!(
        csv.contains("\"'=1+1\"") && csv.contains("\"<script>\"\"\"") && csv.contains("\"-5\"")
    );
    assert!(csv.contains("\"d\",\"[]\""));
    let html = view.to_html();
    assert!(html.contains("&lt;script&gt;&quot;") && !html.contains("<script"));
}

#[test]
fn a_reset_forgets_the_person_and_keeps_the_rest() {
    let (_home, mut client) = client();
    let count = |client: &Client, kind: Kind| {
        let all = client.store.everything().unwrap();
        all.iter().filter(|record| record.0 == kind).count()
    };
    assert_eq!(count(&client, Kind::Item), 5);
    assert_eq!(client.reset_profile().unwrap(), 5);
    assert_eq!(count(&client, Kind::Item), 0);
    assert!(client.history(24).unwrap().is_empty());
    assert_eq!(count(&client, Kind::Charge), 1);
    assert!(client.id().is_ok());
}

#[test]
fn after_an_erasure_the_folder_is_empty_and_the_receipt_is_true() {
    let (home, client) = client();
    let key = client.identity().unwrap().public();
    let keys = FileKey::beside(home.path());
    assert!(all_files(home.path()).len() > 2);
    let receipt = client.erase(&keys, NOW).unwrap();
    assert_eq!(all_files(home.path()), Vec::<String>::new());
    assert!(keys.load().unwrap().is_none());
    let erasure = receipt.verify().unwrap();
    assert_eq!((receipt.key, erasure.at), (key, NOW));
    assert_eq!(erasure.gone["item"], 5);
    let [remaining] = erasure.remaining.as_slice() else {
        panic!("one contribution was made");
    };
    assert_eq!((remaining.round.0, remaining.epsilon), (7, None));
    let mut forged = receipt.clone();
    forged.statement = forged.statement.replace("counts", "c0unts");
    assert!(forged.verify().is_err());
    let mut other = receipt;
    other.key = Identity::from_seed(&[1; 32]).public();
    assert!(other.verify().is_err());
}

#[test]
fn a_client_that_never_enrolled_gets_a_receipt_too() {
    let home = tempfile::tempdir().unwrap();
    let keys = FileKey::beside(home.path());
    let client = Client::open(home.path(), &keys, Settings::default(), NOW).unwrap();
    let erasure = client.erase(&keys, NOW).unwrap().verify().unwrap();
    assert!(erasure.remaining.is_empty());
    assert_eq!(all_files(home.path()), Vec::<String>::new());
}

/// Files that are not the client's are none of its business.
#[test]
fn other_files_in_the_folder_stay() {
    let (home, client) = client();
    std::fs::write(home.path().join("letter.txt"), "mine").unwrap();
    client.erase(&FileKey::beside(home.path()), NOW).unwrap();
    assert_eq!(all_files(home.path()), ["letter.txt"]);
}

#[test]
fn a_store_set_aside_is_whole_and_is_erased_with_the_rest() {
    let (home, client) = client();
    let keys = FileKey::beside(home.path());
    let charges = client.store.charges().unwrap();
    drop(client);
    let aside = set_aside(home.path(), NOW).unwrap();
    let new = Client::open(home.path(), &keys, Settings::default(), NOW).unwrap();
    assert!(new.store.charges().unwrap().is_empty());
    let old = Client::open(&aside, &keys, Settings::default(), NOW).unwrap();
    assert_eq!(old.store.charges().unwrap(), charges);
    drop(old);
    new.erase(&keys, NOW).unwrap();
    assert_eq!(all_files(home.path()), Vec::<String>::new());
}
