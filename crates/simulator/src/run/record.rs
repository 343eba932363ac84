use std::collections::BTreeMap;

use chorus_data::Dataset;
use chorus_model::Quality;
use chorus_privacy::Release;
use chorus_protocol::{Digest, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Figures, Options, RoundRow, plainly};

/// `run.json`: what was asked for, what it was asked of, and what came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of the command that began it.
    pub version: String,
    /// The engine that learned.
    pub engine: String,
    /// Seconds since 1970 when it began.
    pub began: u64,
    /// Every key that was given, as in a file for `--config`.
    pub keys: BTreeMap<String, Value>,
    /// What was learned from.
    pub data: Data,
    /// The task that the keys made of the data.
    pub task: Task,
    /// How it was simulated.
    pub options: Options,
    /// SHA-256 of the file of the last model; nothing before the run is finished.
    pub model: Option<Digest>,
    /// What was measured; nothing before the run is finished.
    pub figures: Option<Figures>,
    /// One row a round, as far as it came.
    pub rounds: Vec<RoundRow>,
    /// What one client released by taking part in everything, for whoever accounts for it again; empty without noise, and before the
    /// run is finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<Release>,
}

/// A data set by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// What it calls itself.
    pub name: String,
    /// Of histories, times, held-out items and item features.
    pub digest: Digest,
    /// People in it.
    pub users: usize,
    /// Items in it.
    pub items: usize,
}

impl Data {
    /// Of a data set as it was read, before copies are made of its people.
    pub fn of(dataset: &Dataset) -> Self {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (user, history) in dataset.histories.iter().enumerate() {
            parts.push(
                history
                    .iter()
                    .flat_map(|item| item.0.to_le_bytes())
                    .collect(),
            );
            let times = dataset.times.as_ref().and_then(|times| times.get(user));
            parts.push(
                times
                    .into_iter()
                    .flatten()
                    .flat_map(|time| time.to_le_bytes())
                    .collect(),
            );
            let mut held = Vec::new();
            if let Some(Some(case)) = dataset.cases.get(user) {
                let items = [case.positive];
                let items = items.iter().chain(&case.also).chain(&case.negatives);
                held.extend((case.also.len() as u64).to_le_bytes());
                held.extend(items.flat_map(|item| item.0.to_le_bytes()));
            }
            parts.push(held);
        }
        // JSON holds every number that a feature can have.
        parts.push(serde_json::to_vec(&dataset.features).unwrap_or_default());
        parts.push((dataset.items as u64).to_le_bytes().to_vec());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Self {
            name: dataset.name.clone(),
            digest: Digest::of_parts("chorus/v1/dataset", &parts),
            users: dataset.users(),
            items: dataset.items,
        }
    }
}

impl Record {
    /// Whether the last model was measured.
    pub fn is_finished(&self) -> bool {
        self.model.is_some() && self.figures.is_some()
    }

    /// The last quality that was measured.
    pub fn quality(&self) -> Option<&Quality> {
        let rows = self.rounds.iter().rev();
        rows.filter_map(|row| row.quality.as_ref()).next()
    }

    /// What was given for a key, as text; nothing where nothing was.
    pub fn given(&self, key: &str) -> Option<String> {
        match self.keys.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(plainly(number)),
            other => Some(other.to_string()),
        }
    }

    /// Why a run of `other` cannot be this one, whatever comes out: its engine, data, task or options differ.
    pub fn other_run(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.engine != other.engine {
            found.push(differs("engine", &self.engine, &other.engine));
        }
        if self.data.digest != other.data.digest {
            found.push(format!(
                "the data `{}` changed: {} users and {} items with the digest {}, now {} and {} with {}",
                self.data.name,
                self.data.users,
                self.data.items,
                self.data.digest,
                other.data.users,
                other.data.items,
                other.data.digest
            ));
        }
        found.extend(fields("task", &self.task, &other.task, &[]));
        found.extend(fields("options", &self.options, &other.options, &[]));
        found
    }
}

/// What differs between two runs, but for times and commands; empty where one proves the other.
pub fn differences(first: &Record, second: &Record) -> Vec<String> {
    let mut found = first.other_run(second);
    if first.model != second.model {
        let shown = |digest: Option<Digest>| digest.map_or("none".to_owned(), |it| it.to_string());
        let (first, second) = (shown(first.model), shown(second.model));
        found.push(differs("digest of the model", first, second));
    }
    let but = ["wall_seconds", "command"];
    found.extend(fields("figures", &first.figures, &second.figures, &but));
    if first.rounds.len() != second.rounds.len() {
        let (first, second) = (first.rounds.len(), second.rounds.len());
        found.push(differs("rounds", first, second));
    }
    for (number, (first, second)) in first.rounds.iter().zip(&second.rounds).enumerate() {
        let name = format!("round {}", number + 1);
        found.extend(fields(&name, first, second, &["seconds"]));
    }
    found
}

/// The fields of two values that differ, but for some.
fn fields<T: Serialize>(name: &str, first: &T, second: &T, but: &[&str]) -> Vec<String> {
    let map = |value: &T| match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let (first, second) = (map(first), map(second));
    let keys = first
        .keys()
        .chain(second.keys().filter(|key| !first.contains_key(*key)));
    let keys = keys.filter(|key| !but.contains(&key.as_str()));
    let differing = keys.filter(|key| first.get(*key) != second.get(*key));
    let shown = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
    differing
        .map(|key| {
            let name = format!("{name}: {key}");
            differs(&name, shown(first.get(key)), shown(second.get(key)))
        })
        .collect()
}

/// Values that fill a page say nothing that a few letters of them do not.
fn differs(name: &str, first: impl ToString, second: impl ToString) -> String {
    const LONGEST: usize = 80;
    let short = |value: String| match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", value.get(..end).unwrap_or_default()),
        None => value,
    };
    let (first, second) = (short(first.to_string()), short(second.to_string()));
    format!("{name} was {first}, now {second}")
}
