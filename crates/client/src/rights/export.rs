//! A view as files that a person can take elsewhere.

use serde_json::Value;

use super::View;
use crate::map::{Language, said};

impl View {
    /// The view as JSON, for another program.
    pub fn to_json(&self) -> String {
        // Only a map whose keys are not texts could fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The view as a table (RFC 4180) of the columns `kind`, `key`, `field` and `value`: one line for every single value, `field` its place
    /// in the record. No line of a cell can be a formula: where one begins with `= + - @`, a tab, a line end or an apostrophe, one more
    /// apostrophe stands before it. One apostrophe less at the beginning of each line is exactly what is kept. Numbers are written as they are.
    pub fn to_csv(&self) -> String {
        let mut lines = String::from("kind,key,field,value\r\n");
        let mut line = |cells: [&str; 4]| {
            let cells = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            lines.push_str(&cells.join(","));
            lines.push_str("\r\n");
        };
        for section in &self.sections {
            for entry in &section.entries {
                for (field, value) in leaves(&entry.value) {
                    let value = match value {
                        Value::String(text) => harmless(text),
                        other => other.to_string(),
                    };
                    line([
                        section.kind,
                        &harmless(&entry.key),
                        &harmless(&field),
                        &value,
                    ]);
                }
            }
        }
        for secret in &self.withheld {
            let field = secret.field.unwrap_or("bytes");
            line([
                secret.kind,
                &harmless(&secret.key),
                field,
                &format!("(withheld: {})", said(&secret.why, Language::English)),
            ]);
        }
        lines
    }
}

/// Every single value in `value` with its place: `events.0.at`. An empty list or object counts as a value.
fn leaves(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(place: String, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
        let below = |name: &str| match place.is_empty() {
            true => name.to_owned(),
            false => format!("{place}.{name}"),
        };
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    walk(below(name), value, found);
                }
            }
            Value::Array(values) if !values.is_empty() => {
                for (at, value) in values.iter().enumerate() {
                    walk(below(&at.to_string()), value, found);
                }
            }
            single => found.push((place, single)),
        }
    }
    let mut found = Vec::new();
    walk(String::new(), value, &mut found);
    found
}

/// A text no line of which a spreadsheet takes for a formula, also where it does not know quotes: an apostrophe stands before every line
/// that begins with a sign of a formula, with a tab, with a line end, or with an apostrophe. Who reads it takes one apostrophe off the
/// beginning of each line, and has exactly what was there.
fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    let mut begins = true;
    for letter in text.chars() {
        let sign = matches!(letter, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
        if begins && (sign || matches!(letter, '\t' | '\r' | '\n' | '\'')) {
            harmless.push('\'');
        }
        harmless.push(letter);
        begins = matches!(letter, '\r' | '\n');
    }
    harmless
}
