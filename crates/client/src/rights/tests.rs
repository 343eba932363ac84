//! Complete views, exact removals, and nothing left.

mod gone;
mod page;

use std::collections::BTreeSet;

use chorus_model::ItemId;
use chorus_protocol::{Charge, Identity};
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::map::{DataMap, Language};
use crate::store::{Batch, Enrolled, Kind, put_enrolled, put_identity};
use crate::testing::{NOW, ROUNDS, decide, films, open, settings};
use crate::{Answer, Event, EventKind, FileKey, KeyStore, Recorded, Settings, Source, set_aside};

/// An enrolled client with something of several kinds.
fn client() -> (TempDir, Client) {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    decide(&mut client, Answer::Yes, ROUNDS);
    let events = (0..5).map(|item| Event::click(ItemId(item), NOW));
    client.record_all(events, NOW).unwrap();
    let identity = Identity::from_seed(&[7; 32]);
    let enrolled = Enrolled {
        certificate: vec![0xce; 40],
        authority: vec![0xa0; 40],
    };
    let put = |batch: &Batch<'_>| {
        put_identity(batch, &identity)?;
        put_enrolled(batch, &enrolled)
    };
    client.store.write(put).unwrap();
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
    assert!(stored.len() > 9);
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
    let (json, csv) = (view.to_json(), view.to_csv());
    let [html, german] = Language::ALL.map(|language| view.to_html(language));
    let seed = hex::encode(*client.store.identity().unwrap().unwrap().seed());
    let certificate = hex::encode(client.store.enrolled().unwrap().unwrap().certificate);
    for file in [&json, &csv, &html, &german] {
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
        }
        // What it is for, who gets it, how long it is kept, in each language.
        let record = DataMap::get().record(section.kind).unwrap();
        let told = sections.iter().find(|told| told["kind"] == section.kind);
        let told = told.unwrap();
        assert_eq!(told["days"], record.days, "{}", section.kind);
        assert_eq!(told["purposes"], serde_json::json!(record.purposes));
        let purposes = DataMap::get().purposes.iter();
        for purpose in purposes.filter(|purpose| record.purposes.contains(&purpose.name)) {
            for (language, html) in Language::ALL.into_iter().zip([&html, &german]) {
                let part = html.split("<section>").find(|part| {
                    part.starts_with(&format!(
                        "<h2>{} (",
                        record.text[&language].trim_end_matches('.')
                    ))
                });
                let part = part.unwrap();
                assert!(part.contains(&purpose.title[&language]));
                for recipient in &purpose.recipients[&language] {
                    assert!(part.contains(recipient));
                    assert!(
                        told["recipients"][language.code()]
                            .to_string()
                            .contains(recipient)
                    );
                }
                assert!(record.days == 0 || part.contains(&record.days.to_string()));
            }
        }
    }
    assert!(german.contains("<html lang=\"de\">") && german.contains("Wofür"));
    assert!(html.contains("What for") && !german.contains("What for"));
}

/// What is kept, where that is one choice.
fn of_one(key: &str, value: serde_json::Value) -> View {
    View {
        at: NOW,
        sections: vec![Records {
            kind: "control",
            text: &DataMap::get().records[0].text,
            purposes: &[],
            recipients: Default::default(),
            days: 0,
            entries: vec![Entry {
                key: key.to_owned(),
                value,
            }],
        }],
        withheld: Vec::new(),
        titles: Default::default(),
        offset: 0,
    }
}

#[test]
fn texts_in_files_do_nothing() {
    let value = serde_json::json!({"a": "=1+1", "b": "<script>\"", "c": -5, "d": []});
    let view = of_one("topic", value);
    let csv = view.to_csv();
    assert!(
        csv.contains("\"'=1+1\"") && csv.contains("\"<script>\"\"\"") && csv.contains("\"-5\"")
    );
    assert!(csv.contains("\"d\",\"[]\""));
    let html = view.to_html(Language::English);
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

/// Once and in plain numbers: less than its parts added up, and nothing where one part has no bound.
#[test]
fn a_receipt_says_what_all_contributions_cost_together() {
    let erased = |costs: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let mut client = open(home.path(), settings());
        let charge = |(round, cost): (usize, &&str)| -> Charge {
            let charge = format!(
                r#"{{"task":"films","release":"counts","round":{round},"cost":{cost},"survivors":{{"minimum":7,"honest":6}}}}"#
            );
            serde_json::from_str(&charge).unwrap()
        };
        let charges: Vec<Charge> = costs.iter().enumerate().map(charge).collect();
        let put = |batch: &Batch<'_>| charges.iter().try_for_each(|charge| batch.put(charge));
        client.store.write(put).unwrap();
        let receipt = client.erase(&FileKey::beside(home.path()), NOW).unwrap();
        receipt.verify().unwrap()
    };
    assert_eq!(erased(&[]).epsilon, Some(0.0));
    let cost = r#"{"noise_multiplier":2.0,"tau_times_length":0.0}"#;
    let one = erased(&[cost]);
    let [part] = one.remaining.as_slice() else {
        panic!("one contribution was made");
    };
    assert_eq!((one.epsilon, one.delta), (part.epsilon, part.delta));
    let (one, four) = (one.epsilon.unwrap(), erased(&[cost; 4]).epsilon.unwrap());
    assert!(one > 0.5 && four > one && four < 4.0 * one, "{one} {four}");
    assert_eq!(erased(&[cost, "null"]).epsilon, None);
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

/// The history of a client as it is stored, bit for bit: everything that follows from it follows from this.
fn history(client: &Client) -> Vec<Value> {
    let all = client.store.everything().unwrap().into_iter();
    let items = all.filter(|record| record.0 == Kind::Item);
    items.map(|(_, _, value, _)| value).collect()
}

fn client_of(events: &[Event]) -> (TempDir, Client) {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    decide(&mut client, Answer::Yes, ROUNDS);
    client.record_all(events.iter().copied(), NOW).unwrap();
    (home, client)
}

#[test]
fn a_history_without_an_event_is_as_if_it_had_never_been() {
    let events: Vec<Event> = [(1, 10), (1, 500), (2, 20), (3, 30)]
        .map(|(item, before)| Event::click(ItemId(item), NOW - before))
        .into();
    for (place, event) in events.iter().enumerate() {
        let mut others = events.clone();
        others.remove(place);
        let (_home, mut client) = client_of(&events);
        let (_other, never) = client_of(&others);
        assert_ne!(history(&client), history(&never));
        assert_eq!(client.remove_event(event).unwrap(), Amended::Done);
        assert_eq!(history(&client), history(&never));
        assert!(client.history(24).unwrap() == never.history(24).unwrap());
        assert_eq!(client.remove_event(event).unwrap(), Amended::Unknown);
    }
    let (_home, mut client) = client_of(&events);
    let (_other, never) = client_of(&events[2..]);
    assert!(client.remove_item(ItemId(1)).unwrap());
    assert!(!client.remove_item(ItemId(1)).unwrap());
    assert_eq!(history(&client), history(&never));
}

#[test]
fn a_corrected_event_is_as_if_it_had_been_recorded_so() {
    let events = [1, 2].map(|item| Event::click(ItemId(item), NOW));
    let rated = Event {
        kind: EventKind::Rating,
        value: Some(4.5),
        ..events[0]
    };
    let (_home, mut client) = client_of(&events);
    let (_other, other) = client_of(&[rated, events[1]]);
    let mut correct = |value| {
        let kind = EventKind::Rating;
        client.correct(&events[0], kind, value, NOW).unwrap()
    };
    assert!(matches!(correct(Some(9.0)), Amended::Refused(_)));
    assert!(matches!(correct(None), Amended::Refused(_)));
    assert_eq!(correct(Some(4.5)), Amended::Done);
    assert_eq!(correct(Some(4.5)), Amended::Unknown);
    assert_eq!(history(&client), history(&other));
    let elsewhere = Event {
        source: Source::ThirdParty,
        ..rated
    };
    assert_eq!(client.remove_event(&elsewhere).unwrap(), Amended::Unknown);
}

/// What was folded into a summary cannot be told apart any more: the item goes as a whole, and then it has never been.
#[test]
fn after_folding_the_item_is_what_can_be_removed() {
    let year = 365 * 24 * 60 * 60;
    let (old, new) = (Event::click(ItemId(1), NOW), Event::click(ItemId(2), NOW));
    let (home, client) = client_of(&[old, new]);
    drop(client);
    let keys = FileKey::beside(home.path());
    // A year is a long jump of the clock, and believed when it goes on.
    drop(Client::open(home.path(), &keys, settings(), NOW + year).unwrap());
    let later = NOW + year + 24 * 60 * 60;
    let mut client = Client::open(home.path(), &keys, settings(), later).unwrap();
    let (_other, never) = client_of(&[new]);
    match client.remove_event(&old).unwrap() {
        // What is kept too long for a summary went altogether.
        Amended::Unknown => assert!(history(&client).is_empty()),
        became => {
            assert_eq!(became, Amended::Folded);
            assert!(client.remove_item(old.item).unwrap());
            assert_eq!(history(&client).len(), history(&never).len());
        }
    }
}

/// Not a byte of any file changes in a private session.
#[test]
fn a_private_session_does_not_touch_the_disk() {
    let (home, mut client) = client_of(&[Event::click(ItemId(1), NOW)]);
    let files = || -> Vec<Vec<u8>> {
        let mut names = all_files(home.path());
        names.sort();
        let read = |name: String| std::fs::read(home.path().join(name)).unwrap();
        names
            .into_iter()
            .filter(|name| !name.ends_with("-shm"))
            .map(read)
            .collect()
    };
    let before = files();
    let event = Event::click(ItemId(2), NOW + 90 * 24 * 60 * 60);
    let mut does = |is_private| {
        client.private(is_private);
        let became = client.record(event, event.at).unwrap();
        client.shown(&[ItemId(3)], event.at).unwrap();
        became
    };
    assert_eq!(does(true), Recorded::Private);
    assert_eq!(files(), before);
    assert_eq!(does(false), Recorded::Kept);
    assert_ne!(files(), before);
}

/// Not the history alone: the list that is recommended, and what a round of evaluation would hold out and count.
#[test]
fn the_list_and_the_evaluated_item_are_as_if_an_event_had_never_been() {
    use chorus_model::{Direct, Parameters};
    let made = |client: &mut Client| {
        let model = crate::testing::model(false, 1);
        let stored = crate::store::StoredModel {
            task: films(),
            version: 1,
            bytes: model.to_bytes().unwrap(),
        };
        client.store.put_model(&stored).unwrap();
        let best = client.recommend(&films(), &Direct, 24).unwrap();
        let best = best
            .iter()
            .map(|best| (best.item, best.score.to_bits()))
            .collect::<Vec<_>>();
        let parameters = Parameters::from_bytes(&stored.bytes).unwrap();
        let (coordinator, _) = crate::testing::federation(12, false);
        let evaluated = [chorus_model::Step::Ranks, chorus_model::Step::History].map(|step| {
            let mut plan = coordinator.plan();
            (plan.step, plan.hold_out) = (step, true);
            let bytes = parameters.to_bytes().unwrap();
            let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
            let go_on = std::sync::Arc::new(|| true);
            let delta = client.contribution(&Direct, &plan, &bytes, go_on, &mut rng);
            delta.unwrap().unwrap().into_values()
        });
        (best, evaluated)
    };
    let events: Vec<Event> = [(1, 400), (2, 300), (3, 200), (7, 10)]
        .map(|(item, before)| Event::click(ItemId(item), NOW - before))
        .into();
    let (_home, mut never) = client_of(&events[..3]);
    let never = made(&mut never);
    // The newest one: it is what an evaluation asks about.
    let (_home, mut client) = client_of(&events);
    assert_ne!(made(&mut client), never);
    client.remove_event(&events[3]).unwrap();
    assert_eq!(made(&mut client), never);
    // Corrected, it is as if it had been waved away at once.
    let dismissed = Event {
        kind: EventKind::Dismiss,
        ..events[3]
    };
    let (_home, mut other) = client_of(&[&events[..3], &[dismissed]].concat());
    let (_home, mut client) = client_of(&events);
    let other = made(&mut other);
    assert_ne!(made(&mut client), other);
    client
        .correct(&events[3], EventKind::Dismiss, None, NOW)
        .unwrap();
    assert_eq!(made(&mut client), other);
}

/// A key store that fails at the worst moment.
struct Stuck(FileKey);

impl KeyStore for Stuck {
    fn load(&self) -> Result<Option<crate::Key>, crate::KeyError> {
        self.0.load()
    }
    fn replace(&self, key: &crate::Key) -> Result<(), crate::KeyError> {
        self.0.replace(key)
    }
    fn destroy(&self) -> Result<(), crate::KeyError> {
        let reason = "busy".to_owned();
        Err(crate::KeyError::Unusable { reason })
    }
    fn protects(&self) -> crate::Protection {
        self.0.protects()
    }
}

#[test]
fn an_erasure_that_the_next_opening_finishes_leaves_its_receipt() {
    let (home, client) = client();
    let keys = FileKey::beside(home.path());
    assert!(client.erased().unwrap().is_none());
    let key = client.identity().unwrap().public();
    assert!(
        client
            .erase(&Stuck(FileKey::beside(home.path())), NOW)
            .is_err()
    );
    let client = Client::open(home.path(), &keys, Settings::default(), NOW).unwrap();
    assert!(client.items().unwrap().is_empty());
    let receipt = client.erased().unwrap().unwrap();
    assert_eq!(receipt.key, key);
    let erasure = receipt.verify().unwrap();
    assert_eq!((erasure.gone["item"], erasure.remaining.len()), (5, 1));
    // It is the person's until they erase what came after.
    drop(client);
    let client = Client::open(home.path(), &keys, Settings::default(), NOW).unwrap();
    assert!(client.erased().unwrap().is_some());
    client.erase(&keys, NOW).unwrap();
    assert_eq!(all_files(home.path()), Vec::<String>::new());
}
