//! A record as a person reads it: days and hours, titles, and the words of their language.

use std::collections::BTreeMap;

use chorus_model::ItemId;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::View;
use super::words::Words;
use crate::Purpose;
use crate::map::{DataMap, Language, said};
use crate::taste::{DAY, UNIT};

/// What a record says.
pub(super) struct Story {
    /// What it is about.
    pub heading: String,
    pub facts: Vec<Fact>,
}

/// One thing that a record says.
pub(super) enum Fact {
    Line(String, String),
    /// Sentences.
    List(String, Vec<String>),
    Table(String, Vec<String>, Vec<Vec<String>>),
    Part(String, Vec<Fact>),
}

/// Who reads.
pub(super) struct Reader<'a> {
    pub language: Language,
    pub titles: &'a BTreeMap<ItemId, String>,
    /// Their own time minus UTC, seconds.
    pub offset: i64,
}

impl<'a> Reader<'a> {
    pub fn of(view: &'a View, language: Language) -> Self {
        Self {
            language,
            titles: &view.titles,
            offset: view.offset,
        }
    }

    /// A record; its heading is what tells it from others of its kind.
    pub fn story(&self, key: &str, value: &Value) -> Story {
        let Value::Object(fields) = value else {
            return Story {
                heading: key.to_owned(),
                facts: Vec::new(),
            };
        };
        let headings = ["item", "what", "task", "at", "day"];
        let heading = headings
            .into_iter()
            .find_map(|name| Some((name, fields.get(name)?)));
        let told = |(name, value): (&str, &Value)| match value {
            Value::Object(one) => {
                let one = one.iter().map(|(name, value)| {
                    let text = self.text(name, value, one);
                    if name == "item" {
                        text
                    } else {
                        format!("{}: {text}", self.label(name))
                    }
                });
                one.collect::<Vec<_>>().join(", ")
            }
            value => self.text(name, value, fields),
        };
        let rest = fields
            .iter()
            .filter(|(name, _)| heading.is_none_or(|(told, _)| told != *name));
        Story {
            heading: heading.map(told).unwrap_or_default(),
            facts: self.facts("", rest),
        }
    }

    fn facts<'b>(
        &self,
        place: &str,
        fields: impl Iterator<Item = (&'b String, &'b Value)>,
    ) -> Vec<Fact> {
        // A no to a purpose has nothing that was read behind it.
        let is_said = |value: &Value| place == "purposes" || !value.is_null();
        let fields: Vec<_> = fields.filter(|(_, value)| is_said(value)).collect();
        let row: Map<String, Value> = fields
            .iter()
            .map(|(name, value)| ((*name).clone(), (*value).clone()))
            .collect();
        let fact = |(name, value): &(&String, &Value)| {
            let below = match place {
                "" => (*name).clone(),
                place => format!("{place}.{name}"),
            };
            let label = self.key(place, name);
            match value {
                Value::Object(fields) => Fact::Part(label, self.facts(&below, fields.iter())),
                Value::Array(rows) if rows.iter().any(Value::is_object) => {
                    self.table(label, &below, rows)
                }
                Value::Array(said) if matches!(name.as_str(), "fields" | "recipients") => {
                    let said = said.iter().map(|said| self.text(&below, said, &row));
                    Fact::List(label, said.collect())
                }
                value => Fact::Line(label, self.text(&below, value, &row)),
            }
        };
        fields.iter().map(fact).collect()
    }

    fn table(&self, label: String, place: &str, rows: &[Value]) -> Fact {
        let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
        // What, when and how often come first, as one says it.
        let first = ["at", "first", "last", "kind", "count", "value", "sum"];
        let mut names: Vec<&String> = rows.iter().flat_map(|row| row.keys()).collect();
        names.sort_by_key(|name| {
            let known = first.iter().position(|known| known == *name);
            (known.unwrap_or(first.len()), *name)
        });
        names.dedup();
        let below = |name: &str| format!("{place}.{name}");
        let cells = |row: &&Map<String, Value>| {
            let cell = |name: &&String| match row.get(*name) {
                Some(value) => self.text(&below(name), value, row),
                None => String::new(),
            };
            names.iter().map(cell).collect()
        };
        let columns = names.iter().map(|name| self.label(&below(name))).collect();
        Fact::Table(label, columns, rows.iter().map(cells).collect())
    }

    fn label(&self, place: &str) -> String {
        let known = Words::get().field(place, self.language);
        known.unwrap_or(place).to_owned()
    }

    /// What stands before a value: a field, or a key that is a value itself.
    fn key(&self, place: &str, name: &str) -> String {
        match place {
            "items" => name
                .parse()
                .map_or(name.to_owned(), |item| self.item(ItemId(item))),
            "purposes" => self.purpose(name),
            "folded.bands" => self.word("", name),
            "" => self.label(name),
            place => self.label(&format!("{place}.{name}")),
        }
    }

    /// A value; `row` is what it stands in.
    fn text(&self, place: &str, value: &Value, row: &Map<String, Value>) -> String {
        let name = place.rsplit('.').next().unwrap_or(place);
        let number = value.as_i64();
        match (place, name, number) {
            ("keeping.days", _, _) => value.to_string(),
            (_, "item", Some(item)) => match u32::try_from(item) {
                Ok(item) => self.item(ItemId(item)),
                Err(_) => value.to_string(),
            },
            (_, "at", Some(at)) => self.moment(at),
            (_, "first" | "last", Some(at)) => day(at),
            (_, "day" | "due" | "ahead" | "recorded" | "days", Some(days)) => {
                day(days.saturating_mul(DAY))
            }
            (_, "value", Some(value)) => self.opinion(value as f64, row),
            (_, "sum", Some(sum)) => {
                let count = row.get("count").and_then(Value::as_f64).unwrap_or(1.0);
                self.opinion(sum as f64 / count.max(1.0), row)
            }
            (_, "coordinator", _) => bytes(value),
            _ => match value {
                Value::String(text) if text.is_empty() => "–".to_owned(),
                Value::String(text) if name == "purpose" => self.purpose(text),
                Value::String(text) => self.word(name, text),
                Value::Array(values) => {
                    let values = values.iter().map(|value| self.text(place, value, row));
                    values.collect::<Vec<_>>().join(", ")
                }
                Value::Bool(_) => self.word(name, &value.to_string()),
                Value::Null => "–".to_owned(),
                other => other.to_string(),
            },
        }
    }

    fn word(&self, field: &str, text: &str) -> String {
        let known = Words::get().word(field, text, self.language);
        known.unwrap_or(text).to_owned()
    }

    fn purpose(&self, name: &str) -> String {
        let purposes = &DataMap::get().purposes;
        let known = name.parse::<Purpose>().ok().and_then(|name| {
            let known = purposes.iter().find(|purpose| purpose.name == name)?;
            Some(said(&known.title, self.language))
        });
        known.unwrap_or_else(|| name.to_owned())
    }

    /// Its title where one is known, and its number, by which it is removed.
    fn item(&self, item: ItemId) -> String {
        let (words, number) = (Words::get(), item.0.to_string());
        let numbered = words.filled("item", &[&number], self.language);
        match self.titles.get(&item) {
            Some(title) => format!("{title} ({numbered})"),
            None => numbered,
        }
    }

    /// A rating or an answer, in thousandths.
    fn opinion(&self, thousandths: f64, row: &Map<String, Value>) -> String {
        // Averages to a tenth, what the person said as they said it.
        let value = (thousandths / UNIT as f64 * 100.0).round() / 100.0;
        let number = match self.language {
            Language::English => value.to_string(),
            Language::German => value.to_string().replace('.', ","),
        };
        let words = Words::get();
        match row.get("kind").and_then(Value::as_str) {
            Some("rating") => words.filled("rating", &[&number, "5"], self.language),
            Some("survey") => words.filled("survey", &[&number], self.language),
            _ => number,
        }
    }

    /// A day and the time on it, as the person's clock has it.
    pub fn moment(&self, at: i64) -> String {
        let local = OffsetDateTime::from_unix_timestamp(at.saturating_add(self.offset));
        match local {
            Ok(local) => {
                let (hour, minute) = (local.hour(), local.minute());
                format!("{} {hour:02}:{minute:02}", local.date())
            }
            Err(_) => at.to_string(),
        }
    }
}

/// A day as ISO 8601 writes it.
fn day(at: i64) -> String {
    let day = OffsetDateTime::from_unix_timestamp(at);
    day.map_or_else(|_| at.to_string(), |day| day.date().to_string())
}

/// A key, of its bytes.
fn bytes(value: &Value) -> String {
    let bytes = value.as_array().into_iter().flatten();
    let bytes = bytes.filter_map(Value::as_u64);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
