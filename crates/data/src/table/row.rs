use std::borrow::Cow;
use std::path::Path;

use crate::{DataError, moment};

/// A column that is looked for.
pub(super) struct Wanted<'a> {
    /// What `data.toml` calls it.
    pub(super) key: &'static str,
    /// The names it may have.
    pub(super) names: Vec<&'a str>,
    /// Whether the table is of no use without it.
    pub(super) is_needed: bool,
}

impl<'a> Wanted<'a> {
    pub(super) fn needed(key: &'static str, asked: &'a Option<String>, names: &[&'a str]) -> Self {
        Self::of(key, asked, names, true)
    }

    /// One that was asked for by name is needed too.
    pub(super) fn optional(
        key: &'static str,
        asked: &'a Option<String>,
        names: &[&'a str],
    ) -> Self {
        Self::of(key, asked, names, asked.is_some())
    }

    fn of(
        key: &'static str,
        asked: &'a Option<String>,
        names: &[&'a str],
        is_needed: bool,
    ) -> Self {
        let names = match asked {
            Some(name) => vec![name.as_str()],
            None => names.to_vec(),
        };
        Self {
            key,
            names,
            is_needed,
        }
    }

    /// Its place among the columns of a file.
    pub(super) fn find(&self, file: &Path, columns: &[String]) -> Result<Option<usize>, DataError> {
        let places = columns.iter().enumerate();
        let mut places = places.filter(|(_, column)| self.names.contains(&column.as_str()));
        match (places.next(), places.next()) {
            (None, _) if self.is_needed => Err(DataError::NoColumn {
                file: file.to_owned(),
                column: self.key,
                wanted: self.names.iter().map(|name| format!("`{name}`")).collect(),
                found: columns.iter().map(|name| format!("`{name}`")).collect(),
            }),
            (Some((_, one)), Some((_, other))) => Err(DataError::BadTable {
                file: file.to_owned(),
                reason: format!(
                    "the columns `{one}` and `{other}` could both be the {}: rename one, or name the right one in data.toml",
                    self.key
                ),
            }),
            (first, _) => Ok(first.map(|(place, _)| place)),
        }
    }
}

/// What the first row of a table says.
pub(super) struct Header {
    /// Which of the wanted columns there are.
    pub(super) present: Vec<bool>,
    /// The others: nothing reads them.
    pub(super) unread: Vec<String>,
}

impl Header {
    /// `places`: of the wanted columns among all `columns`.
    pub(super) fn new(places: &[Option<usize>], columns: &[String]) -> Self {
        let others = columns.iter().enumerate();
        let others = others.filter(|(place, _)| !places.contains(&Some(*place)));
        Self {
            present: places.iter().map(Option::is_some).collect(),
            unread: others.map(|(_, name)| name.clone()).collect(),
        }
    }
}

/// What one column of a row says.
pub(super) enum Value<'a> {
    Missing,
    Text(&'a str),
    Whole(i128),
    Real(f64),
    /// Milliseconds since 1970-01-01 UTC.
    Time(i64),
}

/// Where a row is, for the messages.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Line(u64),
    Row(u64),
}

/// One row, its values in the order of the wanted columns.
pub(super) struct Row<'a> {
    pub(super) file: &'a Path,
    pub(super) place: Place,
    pub(super) values: &'a [Value<'a>],
}

impl<'a> Row<'a> {
    /// An error that points here.
    pub(super) fn malformed(&self, expected: impl Into<String>) -> DataError {
        let (file, expected) = (self.file.to_owned(), expected.into());
        match self.place {
            Place::Line(line) => DataError::Malformed {
                file,
                line,
                expected,
            },
            Place::Row(row) => DataError::MalformedRow {
                file,
                row,
                expected,
            },
        }
    }

    fn value(&self, column: usize) -> &'a Value<'a> {
        self.values.get(column).unwrap_or(&Value::Missing)
    }

    /// An id: text, or a whole number.
    pub(super) fn id(&self, column: usize, what: &str) -> Result<Cow<'a, str>, DataError> {
        match self.value(column) {
            Value::Text(text) if !text.is_empty() => Ok(Cow::Borrowed(text)),
            Value::Whole(number) => Ok(Cow::Owned(number.to_string())),
            Value::Missing | Value::Text(_) => Err(self.malformed(format!(
                "an id of the {what}, but there is none: fill it in, or take the row out"
            ))),
            Value::Real(_) | Value::Time(_) => {
                Err(self.malformed(format!("an id of the {what}: text, or a whole number")))
            }
        }
    }

    /// What a column says in words, if it is there.
    pub(super) fn text(&self, column: usize) -> Result<Option<Cow<'a, str>>, DataError> {
        match self.value(column) {
            Value::Missing => Ok(None),
            Value::Text(text) => Ok(Some(Cow::Borrowed(text))),
            Value::Whole(number) => Ok(Some(Cow::Owned(number.to_string()))),
            Value::Real(_) | Value::Time(_) => Err(self.malformed("text")),
        }
    }

    /// The time in milliseconds since 1970; 0 where the table has no times.
    pub(super) fn time(&self, column: usize) -> Result<i64, DataError> {
        let (said, time) = match self.value(column) {
            Value::Missing => return Ok(0),
            Value::Text(text) => (format!("`{text}`"), moment::parse(text)),
            Value::Whole(number) => (
                number.to_string(),
                i64::try_from(*number).ok().and_then(moment::whole),
            ),
            Value::Real(number) => (number.to_string(), moment::real(*number)),
            Value::Time(time) => (format!("{time} ms"), moment::bounded(*time)),
        };
        time.ok_or_else(|| {
            self.malformed(format!(
                "a time, but {said} is none: write seconds since 1970, 2000-12-31, 2000-12-31 23:59:59 or RFC 3339, or \
                 take the row out"
            ))
        })
    }

    /// Checks that a rating, where there is a column of them, is a number.
    pub(super) fn rating(&self, column: usize) -> Result<(), DataError> {
        let (said, is_number) = match self.value(column) {
            Value::Missing | Value::Whole(_) => return Ok(()),
            Value::Real(number) => (number.to_string(), number.is_finite()),
            Value::Text(text) => {
                let number = text.parse::<f64>();
                (format!("`{text}`"), number.is_ok_and(f64::is_finite))
            }
            Value::Time(_) => ("a time".to_owned(), false),
        };
        match is_number {
            true => Ok(()),
            false => Err(self.malformed(format!(
                "a rating, but {said} is no number: write one, or take the row out"
            ))),
        }
    }
}
