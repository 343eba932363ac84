use std::io::BufRead;

use chorus_model::{Event, ItemId};

use crate::{Client, Error};

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Events that were new.
    pub added: usize,
    /// Events that the store had already.
    pub known: usize,
}

impl Client {
    /// Adds one event.
    ///
    /// # Errors
    /// When the store cannot be written.
    ///
    /// # Privacy
    /// Stays in the store.
    pub fn record(&mut self, event: Event) -> Result<(), Error> {
        self.record_all([event]).map(drop)
    }

    /// Adds many events at once, all or none; the same item at the same time counts once.
    ///
    /// # Errors
    /// When the store cannot be written.
    ///
    /// # Privacy
    /// Stays in the store.
    pub fn record_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Imported, Error> {
        let mut found = 0;
        let added = self
            .store
            .add_events(events.into_iter().inspect(|_| found += 1))?;
        Ok(Imported {
            added,
            known: found - added,
        })
    }

    /// Adds the events of a text: lines of an item number and, after a tab, the time in seconds since
    /// 1970 UTC. Where a line has no time, `at` is taken. All or none are added.
    ///
    /// `name` is what errors call the text: its file name.
    ///
    /// # Errors
    /// When a line is not as described; the error names the file, the line and what was expected, and does
    /// not repeat what the line held. When the text cannot be read or the store cannot be written.
    pub fn import(&mut self, name: &str, reader: impl BufRead, at: i64) -> Result<Imported, Error> {
        let mut events = Vec::new();
        for (line, number) in reader.lines().zip(1..) {
            let fault = |expected: &str| Error::Import {
                file: name.to_owned(),
                line: number,
                expected: expected.to_owned(),
            };
            let line = line.map_err(|error| match error.kind() {
                std::io::ErrorKind::InvalidData => fault("text in UTF-8"),
                _ => fault(&format!("a line that can be read ({error})")),
            })?;
            events.push(parse(line.trim_end_matches('\r'), at).map_err(fault)?);
        }
        self.record_all(events)
    }
}

/// One line, or what was expected in its place.
fn parse(line: &str, at: i64) -> Result<Event, &'static str> {
    let (item, time) = match line.split_once('\t') {
        Some((item, time)) => (item, Some(time)),
        None => (line, None),
    };
    let item = item.parse().map(ItemId).map_err(
        |_| "an item number from 0 to 4294967295, alone or followed by a tab and a time",
    )?;
    let at = match time {
        Some(time) => time.parse().map_err(
            |_| "a whole number of seconds since 1970 after the tab, and nothing behind it",
        )?,
        None => at,
    };
    Ok(Event { item, at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileKey, Settings};

    fn import(text: &[u8]) -> (Client, Result<Imported, Error>) {
        let home = tempfile::tempdir().unwrap();
        let keys = FileKey::beside(home.path());
        let mut client = Client::open(home.path(), &keys, Settings::default(), 0).unwrap();
        let outcome = client.import("taste.tsv", text, 7);
        (client, outcome)
    }

    #[test]
    fn lines_with_and_without_a_time_are_added_once() {
        let (client, outcome) = import(b"3\t100\n1\r\n3\t100\n3\t101\n");
        assert_eq!(outcome.unwrap(), Imported { added: 3, known: 1 });
        let history = client.history(10).unwrap();
        assert_eq!(history.items(), [ItemId(1), ItemId(3)]);
        assert_eq!(client.history(2).unwrap().items(), [ItemId(1)]);
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_is_added() {
        let cases: [(&[u8], &str); 6] = [
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
        ];
        for (text, expected) in cases {
            let (client, outcome) = import(text);
            let message = outcome.unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert!(client.history(usize::MAX).unwrap().is_empty());
        }
    }
}
