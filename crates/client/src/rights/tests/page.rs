//! What a person reads: titles, days, words. And tables that run nothing.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::rights::words::Words;
use crate::taste::sample;
use crate::{About, Catalogue, Choice, Control, Subject};

struct Films;

impl Catalogue for Films {
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>> {
        (item.0 < 3).then(|| {
            Cow::Owned(About {
                title: format!("Film <{}>", item.0),
                topics: vec!["drama".to_owned()],
                ..About::default()
            })
        })
    }

    fn items(&self) -> Vec<ItemId> {
        (0..3).map(ItemId).collect()
    }
}

/// 2027-01-15 08:00 UTC.
const MORNING: i64 = 1_800_000_000;

#[test]
fn a_page_has_titles_days_ratings_and_words() {
    let (_home, mut client) = client();
    client.set_catalogue(Arc::new(Films));
    client.settings.utc_offset = 2 * 60 * 60;
    client.reset_profile().unwrap();
    let event = |item, kind, value| Event {
        kind,
        value,
        ..Event::click(ItemId(item), MORNING)
    };
    let day = 24 * 60 * 60;
    let events = [
        event(1, EventKind::Rating, Some(4.0)),
        event(2, EventKind::Rating, Some(4.5)),
        event(9, EventKind::Click, None),
    ];
    client.record_all(events, MORNING).unwrap();
    client.shown(&[ItemId(2)], MORNING + 30 * day).unwrap();
    let later = event(1, EventKind::Rating, Some(5.0));
    let later = Event {
        at: MORNING + 30 * day,
        ..later
    };
    client.record(later, MORNING + 30 * day).unwrap();
    let (what, choice) = (Subject::Item(ItemId(1)), Choice::Pin);
    client.choose(&Control { what, choice }).unwrap();
    let view = client.view(MORNING).unwrap();
    for (language, expected) in [
        (
            Language::English,
            [
                "Film &lt;1&gt; (Item 1)",
                "<h3>Item 9</h3>",
                "2027-02-14 10:00",
                "2027-01-15",
                "5 of 5",
                "4.5 of 5",
                "more of it",
                "Lists made for you",
                "Times are in UTC+02:00",
            ],
        ),
        (
            Language::German,
            [
                "Film &lt;1&gt; (Sache 1)",
                "<h3>Sache 9</h3>",
                "2027-02-14 10:00",
                "2027-01-15",
                "5 von 5",
                "4,5 von 5",
                "mehr davon",
                "Listen für dich",
                "Zeiten sind in UTC+02:00",
            ],
        ),
    ] {
        let page = view.to_html(language);
        for words in expected {
            assert!(page.contains(words), "{words}: {page}");
        }
        // Of what was folded the hour is gone, and nothing is left of how machines write it.
        let items = page.split("<section>").nth(1).unwrap();
        assert!(!items.contains("2027-01-15 10:00"), "{items}");
        for machine in ["1800000000", "4000", "contribute-training", "first-party"] {
            assert!(!page.contains(machine), "{machine}: {page}");
        }
        for outside in ["http", "src=", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
        let text = view.to_text(language);
        assert!(
            text.contains("Film <1>") && text.contains("2027-02-14 10:00"),
            "{text}"
        );
    }
}

/// Whatever is stored has a name, and whatever is a day or a time is written as one.
#[test]
fn every_field_is_called_something_and_every_time_is_written_as_people_do() {
    for kind in Kind::ALL {
        let record = DataMap::get().record(kind.name()).unwrap();
        let view = View {
            at: 0,
            sections: vec![Records {
                kind: kind.name(),
                text: &record.text,
                purposes: &[],
                recipients: Default::default(),
                days: 0,
                entries: vec![Entry {
                    key: "the key".to_owned(),
                    value: sample(kind),
                }],
            }],
            withheld: Vec::new(),
            titles: Default::default(),
            offset: 0,
        };
        for language in Language::ALL {
            for field in &record.fields {
                let name = Words::get().field(&field.name, language);
                assert!(name.is_some(), "{} of {}", field.name, record.name);
            }
            let page = view.to_html(language);
            let dates = page.matches("1970-01-").count();
            let timed = ["a second", "a day"];
            let timed = record
                .fields
                .iter()
                .filter(|field| timed.contains(&&*field.precision));
            // The page says besides when it was made.
            assert_eq!(dates, 1 + timed.count(), "{}: {page}", record.name);
        }
    }
}

/// As a program reads a table (RFC 4180).
fn cells(table: &str) -> Vec<Vec<String>> {
    let mut rows = vec![Vec::new()];
    let mut letters = table.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                let mut cell = String::new();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' if letters.peek() == Some(&'"') => cell.extend(letters.next()),
                        '"' => break,
                        other => cell.push(other),
                    }
                }
                rows.last_mut().unwrap().push(cell);
            }
            '\n' => rows.push(Vec::new()),
            _ => {}
        }
    }
    rows
}

/// As `to_csv` says that it is read: one apostrophe less at the beginning of each line.
fn as_it_was(cell: &str) -> String {
    let mut text = String::new();
    let mut begins = true;
    for letter in cell.chars() {
        if !(begins && letter == '\'') {
            text.push(letter);
        }
        begins = matches!(letter, '\r' | '\n');
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_of_a_table_is_a_formula_and_the_way_back_is_exact(
        key in "[-=+@'\"\t\r\n a＝]{0,8}", text in "[-=+@'\"\t\r\n a＝,]{0,12}"
    ) {
        let view = of_one(&key, serde_json::json!({ (key.as_str()): text.as_str() }));
        let rows = cells(&view.to_csv());
        let row = &rows[1];
        for cell in row {
            for line in cell.split(['\r', '\n']) {
                prop_assert!(!line.starts_with(['=', '+', '-', '@', '\t', '＝']), "{cell:?}");
            }
            prop_assert!(!cell.starts_with(['\r', '\n']));
        }
        let read: Vec<String> = row.iter().map(|cell| as_it_was(cell)).collect();
        prop_assert_eq!(read, ["control", &key, &key, &text]);
    }
}
