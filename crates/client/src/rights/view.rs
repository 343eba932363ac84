use std::collections::{BTreeMap, BTreeSet};

use chorus_model::ItemId;
use serde::Serialize;
use serde_json::Value;

use crate::map::{DataMap, Language, PurposeMap};
use crate::store::Kind;
use crate::{Client, Error, Purpose};

/// Everything that a client keeps, as it keeps it.
///
/// # Privacy
/// All of it is about the person: for their screen and their own file.
#[derive(Clone, Serialize)]
pub struct View {
    /// When it was made, seconds since 1970 UTC.
    pub at: i64,
    /// One for each kind of record that there is, also for those without one.
    pub sections: Vec<Records>,
    /// What is not shown, and why. There is nothing else.
    pub withheld: Vec<Withheld>,
    /// What the app's catalogue calls the items that are named: for pages, and not kept here.
    #[serde(skip)]
    pub(super) titles: BTreeMap<ItemId, String>,
    /// The person's own time minus UTC, seconds.
    #[serde(skip)]
    pub(super) offset: i64,
}

/// All records of one kind.
#[derive(Clone, Serialize)]
pub struct Records {
    /// What the kind is called, for machines.
    pub kind: &'static str,
    /// What it is, for people.
    pub text: &'static BTreeMap<Language, String>,
    /// What it is kept and used for; none where it is kept to know what is allowed.
    pub purposes: &'static [Purpose],
    /// Who gets something of it, and what.
    pub recipients: BTreeMap<Language, BTreeSet<&'static str>>,
    /// Days that it is kept at most; 0: until the person or the purpose ends it.
    pub days: u32,
    /// The records, by key.
    pub entries: Vec<Entry>,
}

/// One record.
#[derive(Clone, Serialize)]
pub struct Entry {
    /// What tells it from the others of its kind.
    pub key: String,
    /// All that it holds, but for what is withheld.
    pub value: Value,
}

/// Something that is kept and not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// The kind of the record.
    pub kind: &'static str,
    /// Its key.
    pub key: String,
    /// The field; nothing for bytes behind the fields.
    pub field: Option<&'static str>,
    /// How many bytes they are; 0 for a field.
    pub bytes: usize,
    /// Why.
    pub why: BTreeMap<Language, &'static str>,
}

impl Records {
    /// The empty section of a kind. Every kind is in the data map.
    fn of(kind: Kind) -> Option<Self> {
        let map = DataMap::get();
        let record = map.record(kind.name())?;
        let of_purpose = |purpose: &&PurposeMap| record.purposes.contains(&purpose.name);
        let mut recipients: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for (language, said) in map
            .purposes
            .iter()
            .filter(of_purpose)
            .flat_map(|purpose| &purpose.recipients)
        {
            let known = recipients.entry(*language).or_default();
            known.extend(said.iter().map(String::as_str));
        }
        Some(Self {
            kind: kind.name(),
            text: &record.text,
            purposes: &record.purposes,
            recipients,
            days: record.days,
            entries: Vec::new(),
        })
    }
}

impl Client {
    /// Everything that is kept. `now`: seconds since 1970 UTC.
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// Stays on the device, unless the person takes it elsewhere.
    pub fn view(&self, now: i64) -> Result<View, Error> {
        let mut sections: Vec<Records> = Kind::ALL.into_iter().filter_map(Records::of).collect();
        let mut withheld = Vec::new();
        let mut titles = BTreeMap::new();
        for (kind, key, mut value, bytes) in self.store.everything()? {
            for secret in kind.secrets() {
                let is_there = match (secret.field, &mut value) {
                    (Some(field), Value::Object(fields)) => fields.remove(field).is_some(),
                    (Some(_), _) => false,
                    (None, _) => bytes > 0,
                };
                if is_there {
                    withheld.push(Withheld {
                        kind: kind.name(),
                        key: key.clone(),
                        field: secret.field,
                        bytes: if secret.field.is_none() { bytes } else { 0 },
                        why: Language::ALL.into_iter().zip(secret.why).collect(),
                    });
                }
            }
            for item in items(&value) {
                let about = self.catalogue.about(item);
                let title = about.filter(|about| !about.title.is_empty());
                titles.extend(title.map(|about| (item, about.title.clone())));
            }
            let section = sections
                .iter_mut()
                .find(|section| section.kind == kind.name());
            if let Some(section) = section {
                section.entries.push(Entry { key, value });
            }
        }
        Ok(View {
            at: now,
            sections,
            withheld,
            titles,
            offset: self.settings.utc_offset,
        })
    }
}

/// The items that a record names: its own, that of a choice, those that were shown.
fn items(value: &Value) -> Vec<ItemId> {
    let own = value.get("item").or_else(|| value.get("what")?.get("item"));
    let own = own
        .and_then(Value::as_u64)
        .and_then(|item| u32::try_from(item).ok());
    let shown = value.get("items").and_then(Value::as_object).into_iter();
    let shown = shown.flat_map(|items| items.keys().filter_map(|item| item.parse().ok()));
    own.into_iter().chain(shown).map(ItemId).collect()
}
