use std::collections::BTreeSet;

use serde_json::Value;

use super::grade;
use super::*;
use crate::store::Kind;

/// The day of the build's clock would make a test that fails by itself; the day of a release is what counts. Moved on with it.
const TODAY: &str = "2026-11-22";

#[test]
fn every_field_says_all_that_has_to_be_said_and_its_review_is_not_over() {
    let map: DataMap = toml::from_str(DATA_MAP).unwrap();
    assert!(map == *DataMap::get());
    let mut names = BTreeSet::new();
    for record in &map.records {
        assert!(names.insert(record.name.clone()), "{} twice", record.name);
        assert!(!record.owner.is_empty() && !record.reviewer.is_empty());
        assert_eq!(record.review.len(), 10, "{}", record.name);
        assert!(record.review.as_str() > TODAY, "{}", record.name);
        let mut fields = BTreeSet::new();
        for field in &record.fields {
            assert!(fields.insert(&field.name), "{} twice", field.name);
            assert!(!field.precision.is_empty());
            assert!(record.days == 0 || field.days.unwrap_or(0) <= record.days);
        }
        assert!(!fields.is_empty());
    }
}

#[test]
fn a_field_without_an_owner_a_purpose_or_a_review_is_no_map() {
    assert!(toml::from_str::<DataMap>(DATA_MAP).is_ok());
    for name in [
        "purposes",
        "owner",
        "days",
        "reviewer",
        "review",
        "precision",
        "sensitivity",
    ] {
        let line = DATA_MAP
            .lines()
            .find(|line| line.starts_with(&format!("{name} = ")));
        let without = DATA_MAP.replacen(&format!("{}\n", line.unwrap()), "", 1);
        assert!(toml::from_str::<DataMap>(&without).is_err(), "{name}");
    }
}

#[test]
fn people_can_read_it_after_eight_years_of_school() {
    let mut hard = Vec::new();
    for language in Language::ALL {
        let map = DataMap::get();
        let mut texts: Vec<&str> = Vec::new();
        for record in &map.records {
            texts.push(&record.text[&language]);
            texts.extend(
                record
                    .fields
                    .iter()
                    .map(|field| field.text[&language].as_str()),
            );
        }
        for purpose in &map.purposes {
            texts.extend([&purpose.benefit, &purpose.cost].map(|text| text[&language].as_str()));
            texts.extend(purpose.recipients[&language].iter().map(String::as_str));
        }
        for text in texts {
            let grade = grade(text, language);
            if grade > 8.0 {
                hard.push(format!("{grade:.1} years of school: {text}"));
            }
        }
    }
    assert!(hard.is_empty(), "{hard:#?}");
    let hard = "Notwithstanding the aforementioned provisions, personalisation functionality necessitates the comprehensive \
                processing of interaction information.";
    assert!(grade(hard, Language::English) > 12.0);
    let hard = "Ungeachtet vorstehender Bestimmungen erfordert die Personalisierungsfunktionalität die umfassende \
                Verarbeitung sämtlicher Interaktionsinformationen.";
    assert!(grade(hard, Language::German) > 12.0);
}

/// The paths of all values of a record; below a keyed one nothing is looked for.
fn paths(record: &str, value: &Value, at: &str, found: &mut BTreeSet<String>) {
    let map = DataMap::get();
    let known = map.records.iter().find(|known| known.name == record);
    let fields = known.into_iter().flat_map(|known| &known.fields);
    let is_keyed = fields
        .filter(|field| field.keyed)
        .any(|field| field.name == at);
    match value {
        Value::Object(fields) if !is_keyed => {
            for (name, value) in fields {
                let at = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                paths(record, value, &at, found);
            }
        }
        Value::Array(values) if !is_keyed && values.iter().any(Value::is_object) => {
            for value in values {
                paths(record, value, at, found);
            }
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

#[test]
fn the_map_is_of_the_records_that_are_stored_and_of_nothing_else() {
    let map = DataMap::get();
    let names: Vec<&str> = map.records.iter().map(|record| &*record.name).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        let record = map.record(kind.name()).unwrap();
        let mut found = BTreeSet::new();
        paths(&record.name, &crate::taste::sample(kind), "", &mut found);
        let declared = record.fields.iter().map(|field| field.name.clone());
        assert_eq!(found, declared.collect(), "{}", record.name);
        // What is withheld of a field is a field, and says why in every language.
        for secret in kind.secrets() {
            assert!(secret.field.is_none_or(|field| found.contains(field)));
            for (language, why) in Language::ALL.into_iter().zip(secret.why) {
                assert!(grade(why, language) < 12.0, "{why}");
            }
        }
    }
    // The walk sees a field that nobody declared.
    let mut found = BTreeSet::new();
    let sample = serde_json::json!({"item": 1, "events": [{"at": 1, "street": "x"}]});
    paths("item", &sample, "", &mut found);
    assert!(found.contains("events.street"));
}

#[test]
fn a_field_that_nobody_declared_is_named_with_the_nearest() {
    let map = DataMap::get();
    for field in ["item", "kind", "at", "value", "source"] {
        map.check_event_field(field).unwrap();
    }
    let of = |name: &str| map.check_event_field(name).unwrap_err();
    assert_eq!(of("items").nearest, "item");
    assert_eq!(of("sourse").nearest, "source");
    assert!(
        of("date_of_birth")
            .to_string()
            .starts_with("the field `date_of_birth` is not in the data map")
    );
    assert!(!of("anna@example.org").field.contains("anna"));
    assert_eq!(distance("kitten", "sitting"), 3);
    assert_eq!(distance("", "abc"), 3);
}

#[test]
fn no_longer_than_the_map_says() {
    assert_eq!(DataMap::get().days("item"), Some((730, 30)));
    assert_eq!(DataMap::get().days("control"), None);
    let default = Keeping::default();
    assert_eq!((default.days, default.exact_days), (730, 30));
    let longer = Keeping {
        days: 9_999,
        exact_days: 9_999,
        ..default.clone()
    };
    assert!(longer.within(DataMap::get()) == default);
}

#[test]
fn the_notice_is_made_of_the_map() {
    let map = DataMap::get();
    for language in Language::ALL {
        let notice = map.notice(language);
        assert_eq!(notice.language, language.code());
        assert!(notice.sections.keys().copied().eq(Purpose::all()));
        let said: BTreeSet<&String> = notice
            .sections
            .values()
            .flat_map(|section| &section.fields)
            .collect();
        let told = map
            .records
            .iter()
            .filter(|record| !record.purposes.is_empty());
        for field in told.flat_map(|record| &record.fields) {
            assert!(
                said.iter()
                    .any(|line| line.contains(&field.text[&language])),
                "{}",
                field.name
            );
        }
    }
    // A field more in the map is a line more in the notice, and another digest.
    let mut more = map.clone();
    more.records[0].fields[0]
        .text
        .insert(Language::English, "Your shoe size.".to_owned());
    let (notice, before) = (
        more.notice(Language::English),
        map.notice(Language::English),
    );
    let changes = notice.diff(&before);
    assert!(
        changes[&Purpose::LocalPersonalisation][0]
            .now
            .iter()
            .any(|line| line.contains("shoe size"))
    );
    assert!(!changes.contains_key(&Purpose::ChannelSlate));
    // Of a sensitive category just as much is kept as of other things, and the notice says so.
    for category in crate::Category::ALL {
        let section = &before.sections[&Purpose::Sensitive(category)];
        assert_eq!(section.retention, "At most 730 days.");
        assert!(
            section
                .fields
                .iter()
                .any(|line| line.contains("What you did."))
        );
        assert!(section.cost.contains("stays here until you erase it"));
    }
    assert_eq!(
        before.sections[&Purpose::LocalPersonalisation].retention,
        "At most 730 days."
    );
}
