//! Tables with named columns: events, and beside them what is known about the items.

mod columnar;
mod pages;
mod row;
mod text;

use std::path::{Path, PathBuf};

use chorus_model::ItemId;

use crate::catalogue::{Catalogue, Found, listed};
use crate::lines::{MOST_ITEMS, MOST_USERS, find};
use crate::log::{Event, Log, push};
use crate::numbering::Numbering;
use crate::read::folder_name;
use crate::{Columns, DataError, grouplens};
use row::{Header, Row, Wanted};
pub(crate) use text::people;

/// Endings of tables, the first one there wins.
const ENDINGS: [&str; 3] = ["csv", "tsv", "parquet"];

/// Reads the events in `file`, or in `events.*` in `dir`, if there are any, and `items.*` beside them.
///
/// Users and items are numbered in the order in which they are first seen. Items that only `items.*` names come after
/// them. An item that `items.*` does not name is an error.
pub(crate) fn read(
    dir: &Path,
    file: Option<&Path>,
    columns: &Columns,
) -> Result<Option<Log>, DataError> {
    let events = match file {
        Some(file) if !is_table(file) || grouplens::is_called(file, "ratings.csv") => None,
        Some(file) => Some(file.to_owned()),
        None => table(dir, "events"),
    };
    let Some(events) = events else {
        return Ok(None);
    };
    let catalogue = table(dir, "items");
    let mut known = Numbering::<String>::new("items", MOST_ITEMS);
    if let Some(file) = &catalogue {
        for_each_row(file, &item_columns(columns), &mut |row| {
            let before = known.len();
            known.number(&*row.id(0, "item")?, file)?;
            match known.len() == before {
                true => Err(row.malformed("each item once, but this one has a row above")),
                false => Ok(()),
            }
        })?;
    }
    let mut user_ids = Numbering::<String>::new("users", MOST_USERS);
    let mut item_ids = Numbering::<String>::new("items", MOST_ITEMS);
    let mut users = Vec::new();
    let header = for_each_row(&events, &event_columns(columns), &mut |row| {
        let user = user_ids.number(&*row.id(0, "user")?, &events)?;
        let id = row.id(1, "item")?;
        if let Some(catalogue) = &catalogue
            && known.get(&*id).is_none()
        {
            return Err(row.malformed(format!(
                "an item of {}, but `{id}` is not in it: the catalogue shrank, or the id is wrong; add the item there, \
                 or take its events out",
                catalogue.display()
            )));
        }
        let item = ItemId(item_ids.number(&*id, &events)?);
        let at = row.time(2)?;
        row.rating(3)?;
        push(&mut users, user, Event { at, item });
        Ok(())
    })?;
    if users.is_empty() {
        return Err(DataError::Empty { file: events });
    }
    for id in known.ids() {
        item_ids.number(id, &events)?;
    }
    let Catalogue { titles, features } = match &catalogue {
        Some(file) => describe(file, columns, &item_ids)?,
        None => Catalogue {
            titles: None,
            features: None,
        },
    };
    Ok(Some(Log {
        name: match file {
            Some(file) => stem(file),
            None => folder_name(dir),
        },
        items: item_ids.len(),
        // Without titles, the ids are what people know their items by.
        titles: Some(titles.unwrap_or_else(|| item_ids.ids().to_vec())),
        features,
        user_ids: user_ids.ids().to_vec(),
        item_ids: item_ids.ids().to_vec(),
        has_times: header.present.get(2).copied().unwrap_or(false),
        notes: unread(&events, &header),
        users,
        file: events,
    }))
}

/// The column that `chorus data synth` writes for whoever looks at its files.
const SESSION: &str = "session";

/// Says which columns nothing reads: one of them may be a misspelt one that was meant.
fn unread(file: &Path, header: &Header) -> Vec<String> {
    let names = header.unread.iter().filter(|name| *name != SESSION);
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let note = || format!("{}: nothing reads {}", file.display(), names.join(", "));
    (!names.is_empty()).then(note).into_iter().collect()
}

/// Titles and genres of the items.
fn describe(
    file: &Path,
    columns: &Columns,
    numbers: &Numbering<String>,
) -> Result<Catalogue, DataError> {
    let mut found = Found::new(numbers.len());
    for_each_row(file, &item_columns(columns), &mut |row| {
        let id = row.id(0, "item")?;
        let number = numbers.get(&*id).map(|number| number as usize);
        let title = row.text(1)?;
        let title = title.filter(|title| !title.is_empty());
        let genres = listed(&row.text(2)?.unwrap_or_default());
        found.set(number, title.as_deref().unwrap_or(&id), genres);
        Ok(())
    })?;
    Ok(found.finish())
}

fn event_columns(columns: &Columns) -> [Wanted<'_>; 4] {
    [
        Wanted::needed("user", &columns.user, &["user", "user_id"]),
        Wanted::needed("item", &columns.item, &["item", "item_id"]),
        Wanted::optional("time", &columns.time, &["time", "timestamp"]),
        Wanted::optional("rating", &columns.rating, &["rating"]),
    ]
}

fn item_columns(columns: &Columns) -> [Wanted<'_>; 3] {
    [
        Wanted::needed("item", &columns.item, &["item", "item_id"]),
        Wanted::optional("title", &columns.title, &["title"]),
        Wanted::optional("genres", &columns.genres, &["genres"]),
    ]
}

/// Calls `each` with every row, and says which of the wanted columns there are.
fn for_each_row(
    file: &Path,
    wanted: &[Wanted<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<(), DataError>,
) -> Result<Header, DataError> {
    match ending(file).as_str() {
        "parquet" => columnar::for_each_row(file, wanted, each),
        "tsv" => text::for_each_row(file, b'\t', wanted, each),
        _ => text::for_each_row(file, b',', wanted, each),
    }
}

/// The table of this name in `dir`, if there is one.
fn table(dir: &Path, name: &str) -> Option<PathBuf> {
    ENDINGS
        .iter()
        .find_map(|ending| find(dir, &format!("{name}.{ending}")))
        .filter(|file| is_table(file))
}

/// Whether the name ends like that of a table. Parquet compresses its columns itself.
fn is_table(file: &Path) -> bool {
    ENDINGS.contains(&ending(file).as_str())
}

/// `csv` of `events.csv.gz`.
fn ending(file: &Path) -> String {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let plain = match name.strip_suffix(".gz") {
        Some(plain) if !plain.ends_with(".parquet") => plain,
        _ => &name,
    };
    plain
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_owned())
        .unwrap_or_default()
}

/// `events` of `events.csv.gz`.
fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or("data").to_owned()
}
