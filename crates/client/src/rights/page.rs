//! A view as a page to read, and as text for a terminal.

use std::fmt::{self, Write};

use super::story::{Fact, Reader, Story};
use super::words::Words;
use super::{Records, View};
use crate::map::{DataMap, Language, retention, said};

/// Light and dark as the device is set, and on paper black on white with nothing torn apart.
const STYLE: &str = include_str!("page.css");

impl View {
    /// The view as one page without scripts and without anything from elsewhere: titles where the app's catalogue has them, days and
    /// hours, and the words of the language. What the machine knows exactly is in [`View::to_json`].
    pub fn to_html(&self, language: Language) -> String {
        let words = Words::get();
        let reader = Reader::of(self, language);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\n\
             <style>\n{STYLE}</style></head><body><main>\n<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n<p class=\"small\">{}</p>\n",
            language.code(),
            words.page("all", language),
            words.filled(
                "made",
                &[&reader.moment(self.at), &zone(self.offset)],
                language
            ),
            title = words.page("title", language),
        );
        for section in &self.sections {
            // Writing to a string does not fail.
            let _ = section.write_html(&mut page, &reader);
        }
        let _ = writeln!(
            page,
            "<section><h2>{}</h2>\n<ul>",
            words.page("withheld", language)
        );
        for secret in &self.withheld {
            let why = said(&secret.why, language);
            let of = self
                .section(secret.kind)
                .map(|section| section.title(language));
            let of = of.unwrap_or_else(|| secret.kind.to_owned());
            let _ = writeln!(page, "<li>{}: {}</li>", escaped(&of), escaped(why));
        }
        page.push_str("</ul></section>\n</main></body></html>\n");
        page
    }

    /// The same as plain text, without the kinds of which there is nothing.
    pub fn to_text(&self, language: Language) -> String {
        let reader = Reader::of(self, language);
        let mut text = String::new();
        for section in &self.sections {
            if section.entries.is_empty() {
                continue;
            }
            let (title, count) = (section.title(language), section.entries.len());
            let _ = writeln!(text, "{title}: {count}");
            for entry in &section.entries {
                let Story { heading, facts } = reader.story(&entry.key, &entry.value);
                let _ = writeln!(text, "  {heading}");
                let _ = write_text(&mut text, &facts, 4);
            }
        }
        for secret in &self.withheld {
            let why = said(&secret.why, language);
            let withheld = Words::get().page("withheld", language);
            let _ = writeln!(text, "{withheld}: {why}");
        }
        text
    }

    fn section(&self, kind: &str) -> Option<&Records> {
        self.sections.iter().find(|section| section.kind == kind)
    }
}

impl Records {
    fn title(&self, language: Language) -> String {
        said(self.text, language).trim_end_matches('.').to_owned()
    }

    fn write_html(&self, page: &mut String, reader: &Reader<'_>) -> fmt::Result {
        let (words, language) = (Words::get(), reader.language);
        let (title, count) = (self.title(language), self.entries.len());
        writeln!(page, "<section><h2>{} ({count})</h2>", escaped(&title))?;
        let purposes = &DataMap::get().purposes;
        let used = purposes
            .iter()
            .filter(|purpose| self.purposes.contains(&purpose.name));
        let mut purposes: Vec<String> =
            used.map(|purpose| said(&purpose.title, language)).collect();
        if purposes.is_empty() {
            purposes.push(words.page("always", language).to_owned());
        }
        let recipients = said(&self.recipients, language);
        let mut recipients: Vec<&str> = recipients.into_iter().collect();
        if recipients.is_empty() {
            recipients.push(words.page("nobody", language));
        }
        let lines = [
            ("purposes", purposes.join("; ")),
            ("recipients", recipients.join(" ")),
            ("kept", retention(Some(self.days), language)),
        ];
        page.push_str("<dl class=\"why\">");
        for (term, text) in lines {
            write_line(page, words.page(term, language), &text)?;
        }
        page.push_str("</dl>\n");
        if count == 0 {
            writeln!(page, "<p>{}</p>", words.page("nothing", language))?;
        }
        for entry in &self.entries {
            let story = reader.story(&entry.key, &entry.value);
            page.push_str("<article>");
            if !story.heading.is_empty() {
                write!(page, "<h3>{}</h3>", escaped(&story.heading))?;
            }
            write_facts(page, &story.facts)?;
            page.push_str("</article>\n");
        }
        page.push_str("</section>\n");
        Ok(())
    }
}

fn write_line(page: &mut String, label: &str, text: &str) -> fmt::Result {
    write!(
        page,
        "<div><dt>{}</dt><dd>{}</dd></div>",
        escaped(label),
        escaped(text)
    )
}

fn write_facts(page: &mut String, facts: &[Fact]) -> fmt::Result {
    let (lines, rest): (Vec<&Fact>, Vec<&Fact>) = facts
        .iter()
        .partition(|fact| matches!(fact, Fact::Line(..)));
    if !lines.is_empty() {
        page.push_str("<dl>");
    }
    for fact in &lines {
        if let Fact::Line(label, text) = fact {
            write_line(page, label, text)?;
        }
    }
    if !lines.is_empty() {
        page.push_str("</dl>");
    }
    for fact in rest {
        match fact {
            Fact::Line(..) => {}
            // Long texts are there for who wants to read them again.
            Fact::Part(label, facts) if facts.iter().any(|fact| matches!(fact, Fact::List(..))) => {
                write!(
                    page,
                    "<details class=\"part\"><summary>{}</summary>",
                    escaped(label)
                )?;
                write_facts(page, facts)?;
                page.push_str("</details>");
            }
            Fact::Part(label, facts) => {
                write!(page, "<div class=\"part\"><h4>{}</h4>", escaped(label))?;
                write_facts(page, facts)?;
                page.push_str("</div>");
            }
            Fact::List(label, said) => {
                write!(page, "<h4>{}</h4><ul>", escaped(label))?;
                for said in said {
                    write!(page, "<li>{}</li>", escaped(said))?;
                }
                page.push_str("</ul>");
            }
            Fact::Table(label, columns, rows) => {
                write!(
                    page,
                    "<table><caption>{}</caption><thead><tr>",
                    escaped(label)
                )?;
                for column in columns {
                    write!(page, "<th scope=\"col\">{}</th>", escaped(column))?;
                }
                page.push_str("</tr></thead><tbody>");
                for row in rows {
                    page.push_str("<tr>");
                    for cell in row {
                        write!(page, "<td>{}</td>", escaped(cell))?;
                    }
                    page.push_str("</tr>");
                }
                page.push_str("</tbody></table>");
            }
        }
    }
    Ok(())
}

fn write_text(text: &mut String, facts: &[Fact], indent: usize) -> fmt::Result {
    for fact in facts {
        match fact {
            Fact::Line(label, said) => writeln!(text, "{:indent$}{label}: {said}", "")?,
            Fact::Part(label, facts) => {
                writeln!(text, "{:indent$}{label}:", "")?;
                write_text(text, facts, indent + 2)?;
            }
            Fact::List(label, said) => {
                writeln!(text, "{:indent$}{label}:", "")?;
                for said in said {
                    writeln!(text, "{:indent$}  {said}", "")?;
                }
            }
            Fact::Table(_, _, rows) => {
                for row in rows {
                    let cells = row.iter().filter(|cell| !cell.is_empty());
                    let cells: Vec<&str> = cells.map(String::as_str).collect();
                    writeln!(text, "{:indent$}{}", "", cells.join(", "))?;
                }
            }
        }
    }
    Ok(())
}

/// What stands behind `UTC`: nothing, or `+02:00`.
fn zone(offset: i64) -> String {
    let (sign, minutes) = (
        if offset < 0 { '-' } else { '+' },
        offset.unsigned_abs() / 60,
    );
    match minutes {
        0 => String::new(),
        minutes => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
