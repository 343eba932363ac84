//! What was asked for, what differs, and how to have it again.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Set, ShownRun};
use crate::Record;
use crate::report::text::{count, escape};

/// Longer tables are folded.
const OPEN: usize = 12;

pub(super) fn section(set: &Set<'_>) -> String {
    format!(
        "<section>{}{}{}</section><section>{}{}</section>",
        set.heading("What was asked for"),
        differences(set),
        common(set),
        set.heading("To have it again"),
        again(set)
    )
}

fn folded(rows: usize, summary: &str, table: &str) -> String {
    let open = if rows <= OPEN { " open" } else { "" };
    format!("<details{open}><summary>{summary}</summary>{table}</details>")
}

/// Rows of texts beneath heads; what is text is left-aligned.
fn table(heads: &[String], rows: &[Vec<String>]) -> String {
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{}</th>", escape(head)))
        .collect();
    let body: String = rows
        .iter()
        .map(|row| {
            let mut cells = row.iter().map(|cell| escape(cell));
            let first = cells.next().unwrap_or_default();
            let cells: String = cells.map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr><th scope=\"row\">{first}</th>{cells}</tr>")
        })
        .collect();
    format!("<table class=\"words\"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")
}

/// Only the keys that differ.
fn differences(set: &Set<'_>) -> String {
    if set.runs.len() < 2 {
        return String::new();
    }
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    for key in set.differing() {
        let values = set.runs.iter().map(|run| run.record.given(&key));
        let values = values.map(|value| value.unwrap_or_else(|| "–".to_owned()));
        let values = values.collect();
        columns.push((key, values));
    }
    // A run can be another by who computed it, too.
    let mut beside = |name: &str, pick: fn(&Record) -> &str| {
        let values = set.runs.iter().map(|run| pick(&run.record).to_owned());
        let values: Vec<String> = values.collect();
        if values.iter().any(|value| Some(value) != values.first()) {
            columns.push((name.to_owned(), values));
        }
    };
    beside("engine", |record| &record.engine);
    beside("version of chorus", |record| &record.version);
    if columns.is_empty() {
        return "<p>All runs were asked for with the same keys.</p>".to_owned();
    }
    let heads = std::iter::once("run".to_owned()).chain(columns.iter().map(|(key, _)| key.clone()));
    let heads: Vec<String> = heads.collect();
    let rows: Vec<Vec<String>> = set
        .runs
        .iter()
        .enumerate()
        .map(|(number, run)| {
            let values = columns
                .iter()
                .filter_map(|(_, values)| values.get(number).cloned());
            std::iter::once(run.name.clone()).chain(values).collect()
        })
        .collect();
    let summary = format!("Keys that differ between these runs: {}", columns.len());
    folded(rows.len(), &summary, &table(&heads, &rows))
}

/// The keys that all have alike, and everything that was settled for the first.
fn common(set: &Set<'_>) -> String {
    let Some(first) = set.runs.first() else {
        return String::new();
    };
    let differing = set.differing();
    let keys = first
        .record
        .keys
        .keys()
        .filter(|key| !differing.contains(key));
    let rows: Vec<Vec<String>> = keys
        .map(|key| vec![key.clone(), first.record.given(key).unwrap_or_default()])
        .collect();
    let heads = ["key", "value"].map(str::to_owned);
    let summary = match set.runs.len() {
        1 => "Keys that were given",
        _ => "Keys that are the same in all",
    };
    let given = match rows.is_empty() {
        true => String::new(),
        false => folded(rows.len(), summary, &table(&heads, &rows)),
    };
    let settled = settled(&first.record);
    let rows: Vec<Vec<String>> = settled
        .into_iter()
        .map(|(key, value)| vec![key, value])
        .collect();
    let whose = match set.runs.len() {
        1 => "Everything that was settled".to_owned(),
        _ => format!(
            "Everything that was settled for {}",
            escape(&first.called())
        ),
    };
    format!(
        "{given}<details><summary>{whose}: task, options and data</summary>{}</details>",
        table(&heads, &rows)
    )
}

/// What keys and data made of a run, without tables of features and modules.
fn settled(record: &Record) -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([
        ("data: name".to_owned(), record.data.name.clone()),
        ("data: digest".to_owned(), record.data.digest.to_string()),
        ("data: people".to_owned(), count(record.data.users)),
        ("data: items".to_owned(), count(record.data.items)),
        ("run: engine".to_owned(), record.engine.clone()),
        ("run: version of chorus".to_owned(), record.version.clone()),
    ]);
    collect("task", &record.task, &mut found);
    collect("options", &record.options, &mut found);
    found
}

fn collect(name: &str, value: &impl Serialize, found: &mut BTreeMap<String, String>) {
    const LONGEST: usize = 60;
    let mut open = vec![(
        format!("{name}:"),
        serde_json::to_value(value).unwrap_or_default(),
    )];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                let fields = fields
                    .into_iter()
                    .filter(|(key, _)| !["features", "module"].contains(&key.as_str()));
                open.extend(fields.map(|(key, value)| (format!("{name} {key}"), value)));
            }
            Value::String(text) => {
                found.insert(name, text);
            }
            Value::Null => {}
            other => {
                let text = other.to_string();
                if text.len() <= LONGEST {
                    found.insert(name, text);
                }
            }
        }
    }
}

/// The commands that prove each run, or go on with it.
fn again(set: &Set<'_>) -> String {
    let commands: String = set
        .runs
        .iter()
        .map(|run| {
            format!(
                "<dt>{}</dt><dd><code>{}</code></dd><dd><code>{}</code></dd>",
                escape(&run.name),
                escape(&repeated(run)),
                escape(&from_keys(&run.record))
            )
        })
        .collect();
    format!(
        "<p><code>--repeat</code> runs it again from <code>run.json</code> and ends well only if the model has the same digest and every figure \
         but the times is the same; <code>--resume</code> goes on with one that is not finished. The second command needs nothing but the data. \
         Paths are those of the folders that the commands were given in.</p>{}",
        folded(
            set.runs.len(),
            "Commands",
            &format!("<dl class=\"commands\">{commands}</dl>")
        )
    )
}

fn repeated(run: &ShownRun) -> String {
    let flag = match run.record.is_finished() {
        true => "--repeat",
        false => "--resume",
    };
    format!("chorus simulate {flag} {}", quoted(&run.folder))
}

fn from_keys(record: &Record) -> String {
    let words = record.keys.iter().map(|(key, value)| match value {
        Value::Bool(true) => format!("--{key}"),
        _ => quoted(&format!(
            "--{key}={}",
            record.given(key).unwrap_or_default()
        )),
    });
    let given = record.keys.values().zip(words);
    let given = given.filter(|(value, _)| **value != Value::Bool(false));
    let words: Vec<String> = given.map(|(_, word)| word).collect();
    format!("chorus simulate {}", words.join(" "))
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:+@".contains(letter);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
