//! A view as files that a person can take elsewhere.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{Records, View};
use crate::map::{DataMap, Language, retention, said};

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
                &format!("(withheld: {})", said(&secret.why, Language::English)),
            ]);
        }
        lines
    }

    /// The view as one page without scripts and without anything from elsewhere.
    pub fn to_html(&self, language: Language) -> String {
        let words = Words::of(language);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
             table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;vertical-align:top;padding:.3rem .6rem;\
             border-bottom:1px solid #8884}}td{{overflow-wrap:anywhere}}dt{{font-weight:600}}</style></head><body><main>\n\
             <h1>{title}</h1>\n<p>{}</p>\n",
            language.code(),
            words.all,
            title = words.title,
        );
        for section in &self.sections {
            // Writing to a string does not fail.
            let _ = section.write_html(&mut page, language, &words);
        }
        let _ = writeln!(page, "<section><h2>{}</h2>\n<ul>", words.withheld);
        for secret in &self.withheld {
            let why = said(&secret.why, language);
            let _ = writeln!(page, "<li>{}: {}</li>", escaped(secret.kind), escaped(why));
        }
        page.push_str("</ul></section>\n</main></body></html>\n");
        page
    }
}

impl Records {
    fn write_html(&self, page: &mut String, language: Language, words: &Words) -> fmt::Result {
        let (title, count) = (said(self.text, language), self.entries.len());
        let title = escaped(title.trim_end_matches('.'));
        writeln!(page, "<section><h2>{title} ({count})</h2>")?;
        let purposes = &DataMap::get().purposes;
        let used = purposes
            .iter()
            .filter(|purpose| self.purposes.contains(&purpose.name));
        let mut purposes: Vec<String> =
            used.map(|purpose| said(&purpose.title, language)).collect();
        if purposes.is_empty() {
            purposes.push(words.always.to_owned());
        }
        let recipients = said(&self.recipients, language);
        let mut recipients: Vec<&str> = recipients.into_iter().collect();
        if recipients.is_empty() {
            recipients.push(words.nobody);
        }
        let lines = [
            (words.purposes, purposes.join("; ")),
            (words.recipients, recipients.join(" ")),
            (words.kept, retention(Some(self.days), language)),
        ];
        page.push_str("<dl>");
        for (term, text) in lines {
            write!(page, "<dt>{term}</dt><dd>{}</dd>", escaped(&text))?;
        }
        page.push_str("</dl>\n");
        if count == 0 {
            return writeln!(page, "<p>{}</p></section>", words.nothing);
        }
        let [record, field, value] = words.columns;
        writeln!(
            page,
            "<table><thead><tr><th>{record}</th><th>{field}</th><th>{value}</th></tr></thead><tbody>"
        )?;
        for entry in &self.entries {
            for (field, value) in leaves(&entry.value) {
                let [key, field, value] =
                    [entry.key.as_str(), field.as_str(), &text(value)].map(escaped);
                writeln!(
                    page,
                    "<tr><td>{key}</td><td>{field}</td><td>{value}</td></tr>"
                )?;
            }
        }
        page.push_str("</tbody></table></section>\n");
        Ok(())
    }
}

/// What the page says itself.
struct Words {
    title: &'static str,
    all: &'static str,
    purposes: &'static str,
    recipients: &'static str,
    kept: &'static str,
    always: &'static str,
    nobody: &'static str,
    columns: [&'static str; 3],
    nothing: &'static str,
    withheld: &'static str,
}

impl Words {
    fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                title: "What is kept about you",
                all: "All of it is on this device. This is everything but what the last part names.",
                purposes: "What for",
                recipients: "Who gets it",
                kept: "How long",
                always: "To know what you allow",
                nobody: "No one. It stays on this device.",
                columns: ["Record", "Field", "Value"],
                nothing: "Nothing.",
                withheld: "What is not shown",
            },
            Language::German => Self {
                title: "Was über dich gespeichert ist",
                all: "Alles davon ist auf diesem Gerät. Es fehlt nur, was der letzte Teil nennt.",
                purposes: "Wofür",
                recipients: "Wer etwas bekommt",
                kept: "Wie lange",
                always: "Um zu wissen, was du erlaubst",
                nobody: "Niemand. Es bleibt auf dem Gerät.",
                columns: ["Eintrag", "Feld", "Wert"],
                nothing: "Nichts.",
                withheld: "Was nicht gezeigt wird",
            },
        }
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
