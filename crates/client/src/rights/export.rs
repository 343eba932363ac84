//! A view as files that a person can take elsewhere.

use std::fmt::Write;

use serde_json::Value;

use super::View;

impl View {
    /// The view as JSON, for another program.
    pub fn to_json(&self) -> String {
        // Only a map whose keys are not texts could fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The view as a table (RFC 4180) of the columns `kind`, `key`, `field` and `value`: one line for every single value, `field` its place
    /// in the record. A text that a spreadsheet would take for a formula has an apostrophe before it.
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
                    line([section.kind, &entry.key, &field, &harmless(value)]);
                }
            }
        }
        for secret in &self.withheld {
            let field = secret.field.unwrap_or("bytes");
            line([
                secret.kind,
                &secret.key,
                field,
                &format!("(withheld: {})", secret.why),
            ]);
        }
        lines
    }

    /// The view as one page without scripts and without anything from elsewhere.
    pub fn to_html(&self) -> String {
        let mut page = String::from(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>What is kept about you</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <style>body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
             table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;\
             border-bottom:1px solid #8884}td{overflow-wrap:anywhere}</style></head><body><main>\n\
             <h1>What is kept about you</h1>\n<p>All of it is on this device. This is everything but what the last part names.</p>\n",
        );
        for section in &self.sections {
            let (title, count) = (escaped(section.title), section.entries.len());
            // Writing to a string does not fail.
            let _ = writeln!(page, "<section><h2>{title} ({count})</h2>");
            if count == 0 {
                page.push_str("<p>Nothing.</p>\n");
            } else {
                page.push_str("<table><thead><tr><th>Record</th><th>Field</th><th>Value</th></tr></thead><tbody>\n");
            }
            for entry in &section.entries {
                for (field, value) in leaves(&entry.value) {
                    let cells = [entry.key.as_str(), field.as_str(), &text(value)].map(escaped);
                    let [key, field, value] = cells;
                    let _ = writeln!(
                        page,
                        "<tr><td>{key}</td><td>{field}</td><td>{value}</td></tr>"
                    );
                }
            }
            if count > 0 {
                page.push_str("</tbody></table>\n");
            }
            page.push_str("</section>\n");
        }
        page.push_str("<section><h2>What is not shown</h2>\n<ul>\n");
        for secret in &self.withheld {
            let _ = writeln!(
                page,
                "<li>{}: {}</li>",
                escaped(secret.kind),
                escaped(secret.why)
            );
        }
        page.push_str("</ul></section>\n</main></body></html>\n");
        page
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

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text that no spreadsheet runs.
fn harmless(value: &Value) -> String {
    match value {
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        other => text(other),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
