//! What is kept about a person, declared in one file and held to it.

mod keeping;
mod notice;
mod person;
mod pii;

#[cfg(any(test, feature = "fake"))]
mod grade;
#[cfg(any(test, feature = "fake"))]
pub use grade::grade;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Purpose;

pub use keeping::Keeping;
pub(crate) use keeping::Kept;
pub(crate) use notice::{retention, said};
pub use person::{AgeBand, NotARegion, Region};
pub use pii::{Found, Pii, masked, scan};

/// The declaration that this version was built with, TOML.
pub const DATA_MAP: &str = include_str!("data-map.toml");

/// Everything that is kept about a person, field by field: what a notice is made of, and what an event may bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataMap {
    /// What a person is told about each purpose.
    #[serde(rename = "purpose")]
    pub purposes: Vec<PurposeMap>,
    /// The records, in the order of the file.
    #[serde(rename = "record")]
    pub records: Vec<RecordMap>,
}

/// What a person is told about one purpose, before the fields that it uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeMap {
    /// Which.
    pub name: Purpose,
    /// In a few words.
    pub title: BTreeMap<Language, String>,
    /// What the person gains.
    pub benefit: BTreeMap<Language, String>,
    /// What it costs them.
    pub cost: BTreeMap<Language, String>,
    /// Who gets something, and what.
    pub recipients: BTreeMap<Language, Vec<String>>,
    /// Names of the records that hold more with it: without a sensitive category nothing of it is in them.
    #[serde(default)]
    pub extends: Vec<String>,
}

/// One kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordMap {
    /// What it is called.
    pub name: String,
    /// What it is for. It is kept under the first; the others use it. None where it is kept to know what is allowed.
    pub purposes: Vec<Purpose>,
    /// The module of this crate that answers for it.
    pub owner: String,
    /// Days that it is kept at most since it was recorded; 0: until the person or the purpose ends it.
    pub days: u32,
    /// Who looks at it again.
    pub reviewer: String,
    /// By when, `YYYY-MM-DD`.
    pub review: String,
    /// What it is, for people.
    pub text: BTreeMap<Language, String>,
    /// Its fields.
    #[serde(rename = "field")]
    pub fields: Vec<FieldMap>,
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldMap {
    /// Its path in the record, names with dots between them.
    pub name: String,
    /// How exactly it is known.
    pub precision: String,
    /// What it can do to a person.
    pub sensitivity: Sensitivity,
    /// Days that it is kept at most, where that is less than its record.
    pub days: Option<u32>,
    /// The name under which an event brings it.
    pub event: Option<String>,
    /// True where the names below it are values themselves.
    #[serde(default)]
    pub keyed: bool,
    /// What it is, for people.
    pub text: BTreeMap<Language, String>,
}

/// What a field can do to a person in the wrong hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensitivity {
    /// Says next to nothing about them.
    Ordinary,
    /// Says what they do or like.
    Personal,
    /// Says what can hurt them.
    Sensitive,
}

/// A language that this library speaks to people in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The two letters of ISO 639-1.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// A field that the data map does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the field `{field}` is not in the data map, so it is not kept: leave it out; the nearest that is known is \
     `{nearest}`"
)]
pub struct UnknownField {
    /// The field.
    pub field: String,
    /// The known one that is written most like it.
    pub nearest: String,
}

impl DataMap {
    /// The map that this version was built with.
    pub fn get() -> &'static Self {
        static MAP: OnceLock<DataMap> = OnceLock::new();
        // A file that is no map does not pass this crate's tests; without a map no event has a known field.
        MAP.get_or_init(|| {
            toml::from_str(DATA_MAP).unwrap_or(Self {
                purposes: Vec::new(),
                records: Vec::new(),
            })
        })
    }

    /// The names that an event may bring.
    pub fn event_fields(&self) -> impl Iterator<Item = &str> {
        let fields = self.records.iter().flat_map(|record| &record.fields);
        fields.filter_map(|field| field.event.as_deref())
    }

    /// Refuses a field of an event that is not in the map.
    ///
    /// # Errors
    /// [`UnknownField`], with the nearest one that is known.
    pub fn check_event_field(&self, name: &str) -> Result<(), UnknownField> {
        if self.event_fields().any(|field| field == name) {
            return Ok(());
        }
        let nearest = nearest(name, self.event_fields());
        // What stands in the place of a name can be anything, also something personal.
        let shown: String = masked(name).chars().take(40).collect();
        Err(UnknownField {
            field: shown.escape_debug().to_string(),
            nearest: nearest.unwrap_or_default().to_owned(),
        })
    }

    /// The record of a name.
    pub(crate) fn record(&self, name: &str) -> Option<&RecordMap> {
        self.records.iter().find(|record| record.name == name)
    }

    /// Days that a record of this name is kept at most, and its most exact part; nothing where the map sets no end.
    pub(crate) fn days(&self, name: &str) -> Option<(u32, u32)> {
        let record = self.record(name)?;
        let fields = record.fields.iter().filter_map(|field| field.days);
        (record.days > 0).then(|| (record.days, fields.fold(record.days, u32::min)))
    }
}

/// The one of `known` that is written most like `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known.min_by_key(|known| distance(&known.to_lowercase(), &name))
}

/// How many letters have to be put in, taken out or changed to make one word of another (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().take(64).enumerate() {
        let mut before = place;
        let mut last = place + 1;
        let mut next = vec![last];
        for (cell, candidate) in row.iter().skip(1).zip(&other) {
            let changed = before + usize::from(letter != *candidate);
            before = *cell;
            last = changed.min(before + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
