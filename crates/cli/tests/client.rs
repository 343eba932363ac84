//! The commands of one person's client: their rights, their choices, and what they are told when something is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod common;
#[path = "common/person.rs"]
mod person;

use std::fs;
use std::path::Path;

use chorus_client::ErasureReceipt;
use common::{chorus, chorus_with, me, told};
use serde_json::Value;

#[track_caller]
fn done(folder: &Path, flags: &[&str]) {
    assert_eq!(
        told(folder, flags),
        serde_json::json!({"done": true}),
        "{flags:?}"
    );
}

/// A client with three events of two items.
fn begun() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    me(place, &["consent", "grant", "local-personalisation"]).well();
    // Recent enough that no event is folded into its item's summary.
    let at = chorus_wire::Clock::system().now() - 1_000;
    let events = [
        (17, "click", at),
        (17, "view", at + 100),
        (23, "click", at + 200),
    ];
    let lines = events.map(|(item, kind, at)| format!("{item}\t{kind}\t{at}\n"));
    let events = format!("item\tkind\tat\n{}", lines.concat());
    fs::write(place.join("events.tsv"), events).unwrap();
    let imported = told(place, &["import", "events.tsv", "--json"]);
    assert_eq!(imported["added"], 3, "{imported}");
    folder
}

/// The records of a kind, as `view` shows them.
fn kept(folder: &Path, kind: &str) -> Vec<Value> {
    let view = told(folder, &["view", "--json"]);
    let sections = view["sections"].as_array().unwrap();
    let section = sections.iter().find(|section| section["kind"] == kind);
    let entries = section.unwrap()["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["value"].clone()).collect()
}

#[test]
fn a_history_is_corrected_removed_and_begun_anew() {
    let folder = begun();
    let place = folder.path();
    let items = kept(place, "item");
    assert_eq!(items.len(), 2, "{items:?}");
    let at = |text: &str| {
        let table = fs::read_to_string(place.join("events.tsv")).unwrap();
        let line = table.lines().find(|line| line.starts_with(text)).unwrap();
        line.rsplit('\t').next().unwrap().to_owned()
    };
    let (clicked, viewed) = (at("17\tclick"), at("17\tview"));
    let correct = ["correct", "17", "--at", &clicked, "--kind"];
    done(place, &[&correct[..], &["purchase", "--json"]].concat());
    let items = format!("{:?}", kept(place, "item"));
    assert!(
        items.contains("purchase") && items.contains("view"),
        "{items}"
    );
    // It is no click any more; a rating says how good.
    me(place, &[&correct[..], &["view"]].concat())
        .with(3, &["there is no such event", "`view --json` lists"]);
    let was = ["--was", "purchase"];
    me(place, &[&correct[..], &["rating"], &was].concat()).with(3, &["nothing was changed"]);
    me(
        place,
        &[&correct[..], &["rating", "--value", "9"], &was].concat(),
    )
    .with(2, &["--value"]);
    me(
        place,
        &[&correct[..], &["rating", "--value", "4"], &was].concat(),
    )
    .well();
    me(place, &[&correct[..], &["stroll"]].concat()).with(2, &["expected one of view, click"]);

    done(
        place,
        &["remove", "17", "--at", &viewed, "--kind", "view", "--json"],
    );
    assert!(!format!("{:?}", kept(place, "item")).contains("view"));
    me(place, &["remove", "17", "--at", &viewed]).with(3, &["there is no such event"]);
    done(place, &["remove", "17", "--json"]);
    me(place, &["remove", "17"]).with(3, &["there is no item 17"]);
    assert_eq!(kept(place, "item").len(), 1);

    me(place, &["reset"]).with(2, &["forgets the whole history", "--yes"]);
    assert_eq!(kept(place, "item").len(), 1);
    done(place, &["reset", "--yes", "--json"]);
    assert!(kept(place, "item").is_empty());
    // What was allowed is as before.
    let consent = told(
        place,
        &["consent", "show", "local-personalisation", "--json"],
    );
    assert_eq!(consent["consent"]["state"], "granted", "{consent}");
}

#[test]
fn everything_is_taken_along_and_erased() {
    let folder = begun();
    let place = folder.path();
    let files = [
        "--json",
        "mine.json",
        "--csv",
        "mine.csv",
        "--html",
        "mine.html",
    ];
    me(place, &[&["export"], &files[..]].concat()).well();
    let read = |name: &str| fs::read_to_string(place.join(name)).unwrap();
    let exported: Value = serde_json::from_str(&read("mine.json")).unwrap();
    let view = told(place, &["view", "--json"]);
    assert_eq!(exported["sections"], view["sections"]);
    assert_eq!(exported["withheld"], view["withheld"]);
    let table = read("mine.csv");
    assert!(table.starts_with("kind,key,field,value\r\n"), "{table}");
    let line = "\"item\",\"0000000017\",\"events.0.kind\",\"click\"\r\n";
    assert!(table.contains(line), "{table}");
    let page = read("mine.html");
    let text = me(place, &["view"]).well();
    assert!(
        text.contains("Item 17") && text.contains("Opened"),
        "{text}"
    );
    assert!(!text.contains('{'), "{text}");
    assert!(
        page.contains("</html>") && !page.contains("<script") && !page.contains("http"),
        "{page}"
    );
    me(place, &["export"]).with(2, &["--json"]);
    for own in ["client.key", "client.erasing", "anything"] {
        let own = format!("me/{own}");
        me(place, &["export", "--json", &own]).with(2, &["own folder", &own]);
        me(place, &["erase", "--yes", "--receipt", &own]).with(2, &["own folder"]);
    }
    me(place, &["export", "--csv", "nowhere/mine.csv"]).with(4, &["there is no folder"]);

    me(place, &["erase"]).with(2, &["destroys the key", "--yes"]);
    assert_eq!(kept(place, "item").len(), 2);
    let receipt = me(place, &["erase", "--yes", "--receipt", "receipt.json"]).well();
    assert_eq!(receipt.trim(), read("receipt.json").trim());
    let receipt: ErasureReceipt = serde_json::from_str(&receipt).unwrap();
    assert!(receipt.verify().unwrap().remaining.is_empty());
    let verify = |file: &str| me(place, &["verify-receipt", file]);
    let says = verify("receipt.json").well();
    assert!(
        says.contains("the receipt is whole") && says.contains("nothing was contributed"),
        "{says}"
    );
    let mut forged = receipt;
    forged.statement = forged.statement.replace("\"item\":2", "\"item\":9");
    assert!(forged.verify().is_err());
    fs::write(
        place.join("forged.json"),
        serde_json::to_vec(&forged).unwrap(),
    )
    .unwrap();
    verify("forged.json").with(5, &["forged.json", "the signature does not fit"]);
    fs::write(place.join("letter.json"), "Dear Sir").unwrap();
    verify("letter.json").with(3, &["letter.json is no receipt"]);
    let left = fs::read_dir(place.join("me")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    me(place, &["view"]).with(3, &["there is no client in me"]);
}

/// Also where nobody can open it any more.
#[test]
fn a_store_that_does_not_open_is_erased_all_the_same() {
    let breaks: [fn(&Path); 3] = [
        |me| fs::remove_file(me.join("client.key")).unwrap(),
        |me| fs::write(me.join("client.db"), "no store").unwrap(),
        |me| fs::remove_file(me.join("client.db")).unwrap(),
    ];
    let word = |word| [("CHORUS_PASSPHRASE", word)];
    for broken in 0..=breaks.len() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        me(place, &["consent", "grant", "local-personalisation"]).well();
        let flags = ["client", "--home", "me", "--key", "passphrase"];
        let erase = [&flags[..], &["erase", "--yes"]].concat();
        let rotate = ["client", "--home", "me", "rotate-key", "--to", "passphrase"];
        let erased = match breaks.get(broken) {
            Some(harm) => {
                harm(&place.join("me"));
                me(place, &["erase", "--yes"])
            }
            None => {
                chorus_with(place, &rotate, &[("CHORUS_NEW_PASSPHRASE", "known")]).well();
                chorus_with(place, &erase, &word("forgotten"))
            }
        };
        let receipt: ErasureReceipt = serde_json::from_str(&erased.well()).unwrap();
        assert!(receipt.verify().unwrap().unread, "{broken}");
        assert_eq!(fs::read_dir(place.join("me")).unwrap().count(), 0);
    }
}

#[test]
fn a_person_chooses_what_is_on_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let task = person::lived_in(&place.join("me"));
    let table = place.join("films.tsv");
    person::catalogue(&table);
    let listed = |flags: &[&str]| {
        let table = table.to_str().unwrap();
        let before = ["client", "--home", "me", "--catalogue", table];
        chorus(place, &[&before[..], flags].concat())
    };
    let list = || -> Vec<u64> {
        let ranked = listed(&["recommend", "--count", "10", "--json"]).well();
        let ranked: Value = serde_json::from_str(&ranked).unwrap();
        let places = ranked["places"].as_array().unwrap();
        places
            .iter()
            .map(|place| place["item"].as_u64().unwrap())
            .collect()
    };
    let before = list();
    assert_eq!(before.len(), 10);
    let first = before[0].to_string();
    let choose = |flags: &[&str]| {
        let out = listed(&[&["control"], flags, &["--json"]].concat()).well();
        serde_json::from_str::<Value>(&out).unwrap()["done"]
            .as_bool()
            .unwrap()
    };
    for choice in ["mute", "not-interested"] {
        assert!(choose(&[choice, "--item", &first]));
        assert!(!list().contains(&before[0]), "{choice}");
        assert!(choose(&["undo", "--item", &first]));
        assert_eq!(list(), before);
    }
    assert!(
        !choose(&["undo", "--item", &first]),
        "there is nothing to undo"
    );
    // Hidden only where somebody looks.
    assert!(choose(&["hide", "--item", &first]));
    assert_eq!(list(), before);
    let discreet = listed(&["recommend", "--discreet"]).well();
    assert!(!discreet.starts_with(&format!("{first}\t")), "{discreet}");
    assert!(choose(&["undo", "--item", &first]));
    // Each dozen of items is of one topic.
    let dozen = before[0] / 12;
    let topic = person::GENRES[dozen as usize];
    assert!(choose(&["mute", "--topic", topic]));
    assert!(list().iter().all(|item| item / 12 != dozen));
    let choices = told(place, &["control", "show", "--json"]);
    assert_eq!(choices[0]["what"]["topic"], topic, "{choices}");
    assert_eq!(choices[0]["choice"], "mute");
    assert!(choose(&["undo", "--topic", topic]));
    assert!(choose(&["pin", "--topic", "Travel"]));
    assert!(choose(&["join", "--group", "walkers"]) && choose(&["leave", "--group", "walkers"]));
    listed(&["control", "mute"]).with(2, &["--item", "--topic"]);
    listed(&["control", "mute", "--item", "1", "--topic", "Drama"]).with(2, &["cannot be used"]);

    let both = listed(&["what-if", "0", "--task", &task, "--json"]).well();
    let both: Value = serde_json::from_str(&both).unwrap();
    assert_eq!(both["with"].as_array().unwrap().len(), 10, "{both}");
    assert_ne!(both["with"], both["without"]);
    let why = listed(&["explain", &first, "--json"]).well();
    let why: Value = serde_json::from_str(&why).unwrap();
    assert!(!why["causes"].as_array().unwrap().is_empty(), "{why}");

    listed(&["explain", "99999"]).with(3, &["has the items 0 to 47", "99999"]);
    let parameters =
        |language: &str| told(place, &["parameters", "--language", language, "--json"]);
    let (english, german) = (parameters("en"), parameters("de"));
    assert_eq!(english[0]["name"], german[0]["name"]);
    assert_ne!(english[0]["title"], german[0]["title"]);
    assert_eq!(english.as_array().unwrap().len(), 9);
    me(place, &["parameters", "--language", "tlh"]).with(2, &["expected one of en, de"]);
    // Without a grant no choice is kept.
    me(place, &["consent", "withdraw", "local-personalisation"]).well();
    listed(&["control", "mute", "--item", "1"]).with(5, &["consent grant local-personalisation"]);
}

#[test]
fn what_others_brought_goes_by_its_source() {
    let folder = begun();
    let place = folder.path();
    me(place, &["consent", "grant", "third-party-source"]).well();
    let at = chorus_wire::Clock::system().now() - 500;
    let lines = format!("item\tat\tsource\n17\t{at}\tthird-party\n40\t{at}\tthird-party\n");
    fs::write(place.join("bought.tsv"), lines).unwrap();
    me(place, &["import", "bought.tsv"]).well();
    assert_eq!(kept(place, "item").len(), 3);
    let says = |health: &str| {
        let doctor = me(place, &["doctor"]).well();
        assert_eq!(
            doctor.contains("remove --source third-party"),
            health == "note",
            "{doctor}"
        );
    };
    says("well");
    me(place, &["consent", "withdraw", "third-party-source"]).well();
    says("note");

    let at = at.to_string();
    let one = ["remove", "40", "--at", &at];
    me(place, &one).with(3, &["no such event"]);
    let correct = ["correct", "40", "--at", &at, "--kind", "view"];
    me(place, &correct).with(3, &["no such event"]);
    done(
        place,
        &[&correct[..], &["--source", "third-party", "--json"]].concat(),
    );
    let one = ["remove", "40", "--at", &at, "--kind", "view"];
    done(
        place,
        &[&one[..], &["--source", "third-party", "--json"]].concat(),
    );
    assert_eq!(kept(place, "item").len(), 2);
    let removed = me(place, &["remove", "--source", "third-party"]).well();
    assert!(removed.contains("1 item"), "{removed}");
    // What the person did with the same item stays.
    let left = kept(place, "item");
    assert!(
        left.len() == 2 && !format!("{left:?}").contains("third-party"),
        "{left:?}"
    );
    me(place, &["remove", "--source", "third-party"]).with(3, &["nothing here is from"]);
    me(place, &["remove", "--source", "elsewhere"]).with(2, &["first-party, third-party"]);
    me(place, &["remove", "17", "--source", "third-party"]).with(2, &["--at"]);
    me(place, &["remove"]).with(2, &["--source"]);
}

#[test]
fn a_private_session_keeps_nothing() {
    let folder = begun();
    let place = folder.path();
    let before = fs::read(place.join("me/client.db")).unwrap();
    fs::write(place.join("more.tsv"), "item\n30\n31\n").unwrap();
    let imported = me(place, &["--private", "import", "more.tsv"]);
    imported.with(5, &["2 events not kept", "private session"]);
    assert_eq!(fs::read(place.join("me/client.db")).unwrap(), before);
    assert_eq!(kept(place, "item").len(), 2);
}

#[test]
fn signals_are_heard_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let hear = |text: &str| {
        fs::write(place.join("signal.json"), text).unwrap();
        me(place, &["signal", "hear", "signal.json", "--json"])
    };
    let heard = hear(r#"{"kind": "gpc", "on": true}"#).well();
    assert!(heard.contains("\"done\": true"), "{heard}");
    let share = told(place, &["consent", "show", "third-party-share", "--json"]);
    assert_eq!(share["consent"]["state"], "denied", "{share}");
    let signals = told(place, &["signal", "show", "--json"]);
    assert_eq!(signals[0]["signal"]["kind"], "gpc", "{signals}");
    assert!(
        signals[0]["denied"]
            .to_string()
            .contains("third-party-share")
    );
    // A yes against a signal counts, and says that there is one.
    let granted = me(place, &["consent", "grant", "third-party-share"]);
    assert!(granted.err.contains("gpc says no"), "{granted:?}");
    for wrong in [r#"{"kind": "gpc"}"#, "yes"] {
        hear(wrong).with(3, &["signal.json", r#"{"kind":"gpc","on":true}"#]);
    }
    let garbage = r#"{"kind": "tcf", "applies": true, "string": "garbage"}"#;
    fs::write(place.join("signal.json"), garbage).unwrap();
    let heard = me(place, &["signal", "hear", "signal.json"]).well();
    assert!(
        heard.contains("says no to") && heard.contains("contribute-training"),
        "{heard}"
    );
    me(place, &["signal", "hear", "nowhere.json"]).with(3, &["nowhere.json"]);

    // What nothing uses says so, and a level leaves it alone.
    let granted = me(place, &["consent", "grant", "cross-device-sync"]);
    assert!(granted.out.contains("does nothing with it"), "{granted:?}");
    me(place, &["consent", "level", "device"]).well();
    let all = told(place, &["consent", "show", "--json"]);
    let state = |purpose: &str| {
        let consents = all.as_array().unwrap();
        let consent = consents
            .iter()
            .find(|consent| consent["purpose"] == purpose);
        consent.unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("local-personalisation"), "granted");
    assert_eq!(state("cross-device-sync"), "withdrawn");
    me(place, &["consent", "level", "devices"]).with(2, &["devices"]);
}

#[test]
fn a_yes_shows_the_whole_notice_first_and_a_no_says_what_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let notice = |said: &str, purpose: &str| {
        let shown = told(place, &["consent", "show", purpose, "--json"]);
        let section = &shown["notice"];
        let lists = [&section["fields"], &section["recipients"]];
        let lists = lists.iter().flat_map(|list| list.as_array().unwrap());
        let words = ["title", "benefit", "cost", "retention"].map(|name| &section[name]);
        for word in words.into_iter().chain(lists) {
            let place = said.find(word.as_str().unwrap());
            let on = said.find(&format!("{purpose}: on"));
            assert!(place.is_some() && place < on, "{word} in {said}");
        }
    };
    let said = me(place, &["consent", "level", "contribute"]).well();
    notice(&said, "contribute-training");
    notice(&said, "local-personalisation");
    let receipts = told(place, &["consent", "receipts"]);
    let digest = said.split("SHA-256 ").nth(1).unwrap().lines().next();
    assert!(receipts.to_string().contains(digest.unwrap()), "{receipts}");
    let said = me(place, &["consent", "grant", "aggregate-statistics"]).well();
    notice(&said, "aggregate-statistics");
    let said = me(
        place,
        &["consent", "grant", "aggregate-statistics", "--json"],
    );
    assert!(said.err.contains("who gets it"), "{said:?}");
    serde_json::from_str::<Value>(&said.out).unwrap();

    // There is nothing yet that could stay.
    let off = me(place, &["consent", "level", "off"]);
    assert!(!off.err.contains("stay here"), "{off:?}");
    let folder = begun();
    let place = folder.path();
    let off = me(place, &["consent", "level", "off"]);
    assert!(off.err.contains("3 events of before stay here"), "{off:?}");
    assert_eq!(kept(place, "item").len(), 2);
}

#[test]
fn what_does_nothing_says_so() {
    let folder = begun();
    let place = folder.path();
    me(place, &["export", "--language", "de"]).with(2, &["--json FILE"]);
    fs::write(place.join("empty.csv"), "item,kind\n").unwrap();
    me(place, &["import", "empty.csv"]).with(3, &["empty.csv holds no event"]);
    me(place, &["what-if", "99999"]).with(3, &["99999 is not in the history"]);
    me(place, &["recommend"]).with(3, &["no model here yet", "`run`"]);
}

/// What is said of items in a catalogue holds for what is kept and what is listed, from the first day on.
#[test]
fn a_catalogue_says_what_is_sensitive_what_can_be_muted_and_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let table = "item\ttitle\ttopics\tsensitive\n9\tNine\tNews\t\n4\tFour\tMusic\t\n7\tSeven\tMusic\thealth\n";
    fs::write(place.join("items.tsv"), table).unwrap();
    let with = |flags: &[&str]| {
        let home = ["client", "--home", "me", "--catalogue", "items.tsv"];
        chorus(place, &[&home[..], flags].concat())
    };
    with(&["consent", "grant", "local-personalisation"]).well();
    // Without a model: the order of the table, without what is sensitive.
    let first = with(&["recommend"]);
    assert!(
        first.err.contains("the order of the catalogue"),
        "{first:?}"
    );
    let lines: Vec<&str> = first.out.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("9\tNine") && lines[1].starts_with("4\tFour"),
        "{first:?}"
    );

    // An import names the grant that is missing, and it alone.
    fs::write(place.join("events.tsv"), "item\tkind\n7\tclick\n4\tclick\n").unwrap();
    let said = with(&["import", "events.tsv"]);
    said.with(5, &["consent grant sensitive:health"]);
    let items: Vec<Value> = kept(place, "item")
        .iter()
        .map(|kept| kept["item"].clone())
        .collect();
    assert_eq!(items, [4]);
    fs::write(place.join("others.tsv"), "item\tsource\n4\tthird-party\n").unwrap();
    with(&["import", "others.tsv"]).with(5, &["consent grant third-party-source"]);

    with(&["control", "mute", "--topic", "Musik"]).with(3, &["`Musik`", "`Music`"]);
    me(place, &["control", "mute", "--topic", "Music"]).with(3, &["hand in the catalogue"]);
    with(&["control", "mute", "--topic", "Music"]).well();
    assert_eq!(with(&["recommend"]).well().lines().count(), 1);
    // Without the catalogue nobody can keep to it, and the doctor says so.
    let ill = me(place, &["doctor"]);
    let advice = "name the catalogue with --catalogue, or take the mute back: `control undo --topic 'Music'`";
    assert!(ill.code == 1 && ill.out.contains(advice), "{ill:?}");
    let says = with(&["doctor"]).well();
    assert!(!says.contains("Music"), "{says}");
    fs::write(place.join("items.tsv"), table.replace("Music", "Sound")).unwrap();
    let says = with(&["doctor"]).well();
    assert!(says.contains("names none of it any more"), "{says}");
}

#[test]
fn keys_are_changed() {
    let folder = begun();
    let place = folder.path();
    let before = fs::read(place.join("me/client.key")).unwrap();
    done(place, &["rotate-key", "--json"]);
    assert_ne!(fs::read(place.join("me/client.key")).unwrap(), before);
    assert_eq!(kept(place, "item").len(), 2);

    let move_to = ["client", "--home", "me", "rotate-key", "--to", "passphrase"];
    chorus(place, &move_to).with(2, &["CHORUS_NEW_PASSPHRASE"]);
    let good = "correct horse battery staple";
    let moved = chorus_with(place, &move_to, &[("CHORUS_NEW_PASSPHRASE", good)]).well();
    assert!(moved.contains("a new key"), "{moved}");
    let view = ["client", "--home", "me", "--key", "passphrase", "view"];
    chorus_with(place, &view, &[("CHORUS_PASSPHRASE", good)]).well();
    chorus_with(place, &view, &[("CHORUS_PASSPHRASE", "wrong")]).with(4, &["type it again"]);
    chorus(place, &view).with(2, &["CHORUS_PASSPHRASE"]);
    me(place, &["view"]).with(4, &["client.key"]);
}

#[test]
fn settings_are_the_ones_that_are_handed_in() {
    let folder = begun();
    let place = folder.path();
    let with = |settings: &str| {
        fs::write(place.join("settings.json"), settings).unwrap();
        let before = ["client", "--home", "me", "--settings", "settings.json"];
        chorus(place, &[&before[..], &["parameters", "--json"]].concat())
    };
    let parameters = with(r#"{"floor": {"epsilon": 2.5}, "guards": {"shown": 5}}"#).well();
    assert!(parameters.contains("5 times a day"), "{parameters}");
    let parameters = with("{}").well();
    assert!(!parameters.contains("5 times a day"), "{parameters}");
    with(r#"{"flor": {}}"#).with(2, &["settings.json", "flor"]);
}
