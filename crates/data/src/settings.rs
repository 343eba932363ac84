use std::path::Path;

use serde::Deserialize;

use crate::{DataError, Split};

/// How to read a data set, where the files alone do not say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// How to split it; without one, the published split if there is one, and `leave-one-out` otherwise.
    pub split: Option<Split>,
    /// What the columns of the tables are called.
    pub columns: Columns,
}

/// What the columns of `events.*` and `items.*` are called, where it is not what they are called by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Who: `user` or `user_id` by default.
    pub user: Option<String>,
    /// What: `item` or `item_id` by default.
    pub item: Option<String>,
    /// When: `time` or `timestamp` by default; may be missing.
    pub time: Option<String>,
    /// How much: `rating` by default; may be missing. Checked and not used: every row is an event.
    pub rating: Option<String>,
    /// An item's title: `title` by default; may be missing.
    pub title: Option<String>,
    /// An item's genres, separated by bars: `genres` by default; may be missing.
    pub genres: Option<String>,
}

/// The file beside a data set.
pub(crate) const FILE: &str = "data.toml";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReading {
    split: Option<String>,
    #[serde(default)]
    columns: Columns,
}

/// What is asked, and where nothing is asked, what `data.toml` in the folder says.
pub(crate) fn settled(dir: &Path, asked: &Reading) -> Result<Reading, DataError> {
    let file = dir.join(FILE);
    if !file.is_file() {
        return Ok(asked.clone());
    }
    let text = std::fs::read_to_string(&file).map_err(|source| DataError::Unreadable {
        file: file.clone(),
        source,
    })?;
    let wrong = |reason: String| DataError::Settings {
        file: file.clone(),
        reason,
    };
    let said: RawReading = toml::from_str(&text).map_err(|error| wrong(sentence(&error, &text)))?;
    let split = said
        .split
        .map(|split| split.parse().map_err(wrong))
        .transpose()?;
    let (first, second) = (&asked.columns, said.columns);
    let or = |first: &Option<String>, second: Option<String>| first.clone().or(second);
    Ok(Reading {
        split: asked.split.or(split),
        columns: Columns {
            user: or(&first.user, second.user),
            item: or(&first.item, second.item),
            time: or(&first.time, second.time),
            rating: or(&first.rating, second.rating),
            title: or(&first.title, second.title),
            genres: or(&first.genres, second.genres),
        },
    })
}

/// One line, with the line of the file.
fn sentence(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
    format!("line {line}: {}", error.message().replace('\n', " "))
}
