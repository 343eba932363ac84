use std::fmt;
use std::io::{BufRead, Read};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::map::{DataMap, masked, scan};
use crate::{Client, Error, Event, EventKind, Imported, Source};

/// Letters of a file's name that are kept.
const LONGEST: usize = 80;

/// Bytes of the longest line that is read.
const LONGEST_LINE: u64 = 64 * 1024;
/// Events that one file may bring.
const MOST_EVENTS: usize = 2_000_000;

/// How the lines of a file are read.
enum Format {
    /// An item number and, after a tab, a time.
    Bare,
    /// Values in the order of the header, with this between them.
    Columns(char, Vec<String>),
    /// A JSON object a line.
    Objects,
}

impl Client {
    /// Adds the events of a text, all or none: with a header that names the columns (`item kind at value source`, in any order, with tabs,
    /// semicolons or commas between them), as a JSON object a line, or bare lines of an item number and, after a tab, a time. Times are seconds since
    /// 1970 UTC; where there is none, `now` is taken; an event without a kind is a click.
    ///
    /// `name` is what errors call the text: its file name. That it came, and from whom, is kept with its events.
    ///
    /// # Errors
    /// When a line is not as described; the error names the file, the line and what was expected, and does
    /// not repeat what the line held. A line longer than 64 KiB, and more than 2,000,000 events. When the text cannot be read or the store cannot be written.
    ///
    /// # Privacy
    /// As [`Client::record`]: without the grants nothing is stored. A field outside of the data map is refused.
    pub fn import(
        &mut self,
        name: &str,
        mut reader: impl BufRead,
        now: i64,
    ) -> Result<Imported, Error> {
        let mut events = Vec::new();
        let mut format = None;
        for number in 1.. {
            let fault = |expected: String| Error::Import {
                file: name.to_owned(),
                line: number,
                expected,
            };
            let mut line = Vec::new();
            // One byte more than a line may have shows one that is too long.
            let read = reader.by_ref().take(LONGEST_LINE + 1);
            let read = { read }.read_until(b'\n', &mut line);
            match read.map_err(|error| fault(format!("a line that can be read ({error})")))? {
                0 => break,
                bytes if bytes as u64 > LONGEST_LINE => {
                    return Err(fault(format!("at most {LONGEST_LINE} bytes")));
                }
                _ => {}
            }
            let line = String::from_utf8(line).map_err(|_| fault("text in UTF-8".to_owned()))?;
            let line = line.trim_end_matches('\n');
            // Some programs begin a text with a mark.
            let line = line.trim_start_matches('\u{feff}').trim_end_matches('\r');
            let format = match &format {
                Some(format) => format,
                None => {
                    let found = Format::of(line).map_err(fault)?;
                    let is_header = matches!(found, Format::Columns(..));
                    format = Some(found);
                    if is_header {
                        continue;
                    }
                    format.as_ref().unwrap_or(&Format::Bare)
                }
            };
            let is_bare = matches!(format, Format::Bare);
            if line.trim().is_empty() && !is_bare {
                continue;
            }
            let event = format.event(line, now).map_err(fault)?;
            event
                .check(now)
                .map_err(|flaw| fault(format!("an event that makes sense ({flaw})")))?;
            if events.len() == MOST_EVENTS {
                let most = format!("at most {MOST_EVENTS} events: import it in parts");
                return Err(fault(most));
            }
            events.push(event);
        }
        let file = Path::new(name).file_name().unwrap_or_default();
        let file = masked(&file.to_string_lossy());
        let file = file.chars().take(LONGEST).collect();
        self.keep_all(events, Some(file), now)
    }
}

impl Format {
    /// By the first line.
    fn of(line: &str) -> Result<Self, String> {
        if line.trim_start().starts_with('{') {
            return Ok(Self::Objects);
        }
        let between = ['\t', ';']
            .into_iter()
            .find(|between| line.contains(*between));
        let between = between.unwrap_or(',');
        let names: Vec<String> = line.split(between).map(unquoted).collect();
        if !names.iter().any(|name| name == "item") {
            return Ok(Self::Bare);
        }
        for (place, name) in names.iter().enumerate() {
            known(name)?;
            if names.iter().take(place).any(|other| other == name) {
                return Err(format!("one column `{name}`, and there are two"));
            }
        }
        Ok(Self::Columns(between, names))
    }

    fn event(&self, line: &str, now: i64) -> Result<Event, String> {
        match self {
            Self::Bare => bare(line, now),
            Self::Columns(between, names) => {
                let mut cells: Vec<String> = line.split(*between).map(unquoted).collect();
                if cells.len() != names.len() {
                    let (names, cells) = (names.len(), cells.len());
                    return Err(format!(
                        "{names} values, one for each column, and there are {cells}"
                    ));
                }
                // Where tables have semicolons, commas stand in numbers.
                if *between == ';' {
                    cells
                        .iter_mut()
                        .for_each(|cell| *cell = cell.replace(',', "."));
                }
                let cells = names.iter().map(String::as_str).zip(cells);
                of_cells(cells, now)
            }
            Self::Objects => {
                let Fields(object) = serde_json::from_str(line)
                    .map_err(|_| "a JSON object, one a line".to_owned())?;
                let mut cells: Vec<(&str, String)> = Vec::new();
                for (name, value) in &object {
                    known(name)?;
                    if cells.iter().any(|(other, _)| other == name) {
                        return Err(format!("one field `{name}`, and there are two"));
                    }
                    cells.push((
                        name.as_str(),
                        match value {
                            Value::Null => String::new(),
                            Value::String(text) => text.clone(),
                            Value::Number(number) => number.to_string(),
                            _ => return Err(format!("a number or a word in the field `{name}`")),
                        },
                    ));
                }
                of_cells(cells, now)
            }
        }
    }
}

/// The fields of a JSON object as they stand there, also where one stands there twice: a map would keep the last and say nothing.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// A field that is in the data map, or what was expected.
fn known(name: &str) -> Result<(), String> {
    let checked = DataMap::get().check_event_field(name);
    checked.map_err(|unknown| format!("fields of the data map alone ({unknown})"))
}

fn unquoted(cell: &str) -> String {
    let cell = cell.trim();
    let inner = cell
        .strip_prefix('"')
        .and_then(|cell| cell.strip_suffix('"'));
    inner.unwrap_or(cell).to_owned()
}

const ITEM: &str = "an item number from 0 to 4294967295";
const TIME: &str = "a whole number of seconds since 1970";

/// An event of named cells; an empty one is as good as none.
fn of_cells<'a>(
    cells: impl IntoIterator<Item = (&'a str, String)>,
    now: i64,
) -> Result<Event, String> {
    let mut item = None;
    let mut event = Event::click(chorus_model::ItemId(0), now);
    for (name, cell) in cells {
        if cell.is_empty() {
            continue;
        }
        let wrong = |expected: &str| expected_in(name, expected, &cell);
        match name {
            "item" => item = Some(cell.parse().map_err(|_| wrong(ITEM))?),
            "at" => event.at = cell.parse().map_err(|_| wrong(TIME))?,
            "kind" => {
                let kind = EventKind::ALL.into_iter().find(|kind| kind.name() == cell);
                let names = EventKind::ALL.map(EventKind::name).join(", ");
                event.kind = kind.ok_or_else(|| wrong(&format!("one of {names}")))?;
            }
            "value" => event.value = Some(cell.parse().map_err(|_| wrong("a number"))?),
            "source" => {
                let sources = [Source::FirstParty, Source::ThirdParty];
                let source = sources.into_iter().find(|source| source.name() == cell);
                let wrong = || wrong("first-party or third-party");
                event.source = source.ok_or_else(wrong)?;
            }
            _ => known(name)?,
        }
    }
    event.item = chorus_model::ItemId(item.ok_or_else(|| format!("{ITEM} in the field `item`"))?);
    Ok(event)
}

/// What was expected in a field, and what about a person stands there instead, without repeating it.
fn expected_in(name: &str, expected: &str, cell: &str) -> String {
    match scan(cell).first() {
        None => format!("{expected} in the field `{name}`"),
        Some(found) => {
            let what = found.what.name();
            format!("{expected} in the field `{name}`, and not what looks like a person's {what}")
        }
    }
}

/// A line of a text without a header, or what was expected in its place.
fn bare(line: &str, now: i64) -> Result<Event, String> {
    let (item, time) = match line.split_once('\t') {
        Some((item, time)) => (item, Some(time)),
        None => (line, None),
    };
    let item = item.parse().map_err(|_| {
        format!("{ITEM}, alone or followed by a tab and a time; or a header with a column `item`")
    })?;
    let at = match time {
        Some(time) => time
            .parse()
            .map_err(|_| format!("{TIME} after the tab, and nothing behind it"))?,
        None => now,
    };
    Ok(Event::click(chorus_model::ItemId(item), at))
}

#[cfg(test)]
mod tests {
    use chorus_model::ItemId;

    use super::*;
    use crate::taste::ItemRecord;
    use crate::testing::decide;
    use crate::{Answer, FileKey, Purpose, Settings};

    const NOW: i64 = 1_800_000_000;

    fn import(text: &[u8]) -> (tempfile::TempDir, Client, Result<Imported, Error>) {
        let home = tempfile::tempdir().unwrap();
        let keys = FileKey::beside(home.path());
        let mut client = Client::open(home.path(), &keys, Settings::default(), NOW).unwrap();
        decide(&mut client, Answer::Yes, [Purpose::LocalPersonalisation]);
        let outcome = client.import("taste.tsv", text, NOW);
        (home, client, outcome)
    }

    fn counts(added: usize, known: usize) -> Imported {
        Imported {
            added,
            known,
            ..Imported::default()
        }
    }

    #[test]
    fn lines_with_and_without_a_time_are_added_once() {
        let (_home, client, outcome) = import(b"3\t100\n1\r\n3\t100\n3\t103\n");
        assert_eq!(outcome.unwrap(), counts(3, 1));
        let history = client.history(10).unwrap();
        assert_eq!(history.items(), [ItemId(1), ItemId(3)]);
        assert_eq!(client.history(2).unwrap().items(), [ItemId(1)]);
    }

    #[test]
    fn every_format_gives_the_same_events() {
        let texts: [&[u8]; 6] = [
            b"item\tkind\tat\tvalue\n7\trating\t1000\t4.5\n8\tview\t2000\t\n9\t\t\t\n",
            b"at,value,kind,item\n1000,4.5,rating,7\r\n2000,,view,8\n,,,9\n",
            b"\"item\",\"kind\",\"at\",\"value\"\n\"7\",\"rating\",\"1000\",\"4.5\"\n8,view,2000,\n9,click,,\n",
            b"{\"item\": 7, \"kind\": \"rating\", \"at\": 1000, \"value\": 4.5}\n{\"kind\": \"view\", \"at\": 2000, \"item\": 8}\n\n{\"item\": 9, \"source\": \"first-party\"}\n",
            b"item;kind;at;value\r\n7;rating;1000;4,5\r\n8;view;2000;\r\n\r\n9;;;\r\n",
            b"\xef\xbb\xbfitem\tvalue\tkind\tat\n7\t4.5\trating\t1000\n8\t\tview\t2000\n9\t\t\t\n",
        ];
        let stored = |text| {
            let (_home, client, outcome) = import(text);
            assert_eq!(outcome.unwrap(), counts(3, 0));
            let records: Vec<ItemRecord> = client.store.all().unwrap();
            serde_json::to_string(&records).unwrap()
        };
        let first = stored(texts[0]);
        assert!(
            first.contains("\"value\":4500") && first.contains("1800000000"),
            "{first}"
        );
        for text in texts {
            assert_eq!(stored(text), first);
        }
    }

    #[test]
    fn what_others_say_needs_a_grant() {
        let (_home, client, outcome) = import(b"item,source\n1,third-party\n2,first-party\n");
        let outcome = outcome.unwrap();
        assert_eq!((outcome.added, outcome.not_granted), (1, 1));
        assert_eq!(client.history(10).unwrap().items(), [ItemId(2)]);
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_is_added() {
        let cases: [(&[u8], &str); 19] = [
            (b"1\n2\nx\n", "taste.tsv, line 3: expected an item number"),
            (b"1\n\n", "taste.tsv, line 2: expected an item number"),
            (b"-4\n", "taste.tsv, line 1: expected an item number"),
            (
                b"4294967296\n",
                "taste.tsv, line 1: expected an item number",
            ),
            (
                b"1\tyesterday\n",
                "taste.tsv, line 1: expected a whole number of seconds",
            ),
            (b"1\n\xff\n", "taste.tsv, line 2: expected text in UTF-8"),
            (
                b"1\n2\t-5\n",
                "taste.tsv, line 2: expected an event that makes sense (the field `at` is before 1970",
            ),
            (
                b"1\t1800000000000\n",
                "taste.tsv, line 1: expected an event that makes sense (the field `at` is more than a day",
            ),
            (
                b"item\tkinds\n1\t2\n",
                "taste.tsv, line 1: expected fields of the data map alone (the field `kinds` is not in the data map, so it is not kept: leave it out; the nearest that is known is `kind`)",
            ),
            (
                b"item,item\n1,1\n",
                "taste.tsv, line 1: expected one column `item`",
            ),
            (
                b"item,at\n1,2\n1\n",
                "taste.tsv, line 3: expected 2 values, one for each column, and there are 1",
            ),
            (
                b"item,kind\n1,stare\n",
                "taste.tsv, line 2: expected one of view, click, pause, purchase, rating, survey, dismiss in the field `kind`",
            ),
            (
                b"item,kind,value\n1,rating,9\n",
                "taste.tsv, line 2: expected an event that makes sense (the field `value` of a rating",
            ),
            (
                b"{\"item\": 1}\n{\"item\": 1, \"name\": \"Anna\"}\n",
                "taste.tsv, line 2: expected fields of the data map alone (the field `name`",
            ),
            (
                b"{\"item\": 1}\n{\"at\": 1}\n",
                "taste.tsv, line 2: expected an item number from 0 to 4294967295 in the field `item`",
            ),
            (
                b"{\"item\": 1}\n{\"item\": 1, \"at\": 5, \"item\": 2}\n",
                "taste.tsv, line 2: expected one field `item`, and there are two",
            ),
            (
                b"{\"item\": 1, \"at\": null, \"at\": 7}\n",
                "taste.tsv, line 1: expected one field `at`, and there are two",
            ),
            (
                b"{\"item\": 1}\n[1]\n",
                "taste.tsv, line 2: expected a JSON object",
            ),
            (
                b"item,at\nanna@example.org,1\n",
                "taste.tsv, line 2: expected an item number from 0 to 4294967295 in the field `item`, and not what looks like a person's e-mail address",
            ),
        ];
        for (text, expected) in cases {
            let (_home, client, outcome) = import(text);
            let message = outcome.unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("anna@"));
            assert!(client.history(usize::MAX).unwrap().is_empty());
        }
    }
}
