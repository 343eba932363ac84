use std::path::Path;

use chorus_model::ItemId;

use crate::lines::{Line, MOST_ITEMS, MOST_USERS, find, for_each_line};
use crate::log::{Event, Log, push};
use crate::numbering::Numbering;
use crate::read::folder_name;
use crate::{DataError, catalogue, moment};

/// The raw GroupLens files and what separates their fields.
const LAYOUTS: [(&str, &str, &str); 3] = [
    (
        "u.data",
        "\t",
        "user, item, rating and unix time, separated by tabs",
    ),
    ("ratings.dat", "::", "user::item::rating::unix time"),
    ("ratings.csv", ",", "user,item,rating,unix time"),
];

/// Reads raw ratings, if there are any in `dir`, or `file` is such a file. Users and items are numbered in the order of
/// their ids.
pub(crate) fn read(dir: &Path, file: Option<&Path>) -> Result<Option<Log>, DataError> {
    let found = LAYOUTS.iter().find_map(|(name, separator, expected)| {
        let found = match file {
            Some(file) => is_called(file, name).then(|| file.to_owned()),
            None => find(dir, name),
        };
        found.map(|file| (file, *separator, *expected))
    });
    let Some((file, separator, expected)) = found else {
        return Ok(None);
    };
    let mut user_ids = Numbering::<u64>::new("users", MOST_USERS);
    let mut item_ids = Numbering::<u64>::new("items", MOST_ITEMS);
    let mut users = Vec::new();
    for_each_line(&file, |line| {
        let is_header = line.number == 1 && separator == "," && line.bytes.starts_with(b"user");
        if !is_header {
            let (user, item, at) = rating(line, separator, expected)?;
            let user = user_ids.number(&user, line.file)?;
            let item = ItemId(item_ids.number(&item, line.file)?);
            push(&mut users, user, Event { at, item });
        }
        Ok(())
    })?;
    if users.is_empty() {
        return Err(DataError::Empty { file });
    }
    let (user_places, user_ids) = user_ids.sorted();
    let (item_places, item_ids) = item_ids.sorted();
    let mut sorted = vec![Vec::new(); users.len()];
    for (mut events, place) in users.into_iter().zip(user_places) {
        for event in &mut events {
            let place = item_places.get(event.item.0 as usize);
            event.item = ItemId(place.copied().unwrap_or(event.item.0));
        }
        if let Some(slot) = sorted.get_mut(place as usize) {
            *slot = events;
        }
    }
    let catalogue = catalogue::for_ratings(dir, &item_ids)?;
    let text = |ids: Vec<u64>| ids.iter().map(u64::to_string).collect();
    Ok(Some(Log {
        name: folder_name(dir),
        file,
        items: item_ids.len(),
        titles: catalogue.titles,
        features: catalogue.features,
        user_ids: text(user_ids),
        item_ids: text(item_ids),
        has_times: true,
        notes: Vec::new(),
        users: sorted,
    }))
}

/// Whether a file has this name, or the same with `.gz`.
pub(crate) fn is_called(file: &Path, name: &str) -> bool {
    let called = file.file_name().map(|called| called.to_string_lossy());
    called.is_some_and(|called| called.strip_suffix(".gz").unwrap_or(&called) == name)
}

/// User, item, and the time in milliseconds since 1970.
fn rating(line: &Line<'_>, separator: &str, expected: &str) -> Result<(u64, u64, i64), DataError> {
    let mut fields = line.text()?.split(separator).map(str::trim);
    let user = fields.next().and_then(|field| field.parse::<u64>().ok());
    let item = fields.next().and_then(|field| field.parse::<u64>().ok());
    let value = fields.next().and_then(|field| field.parse::<f64>().ok());
    let at = fields.next().and_then(|field| field.parse::<i64>().ok());
    match (user, item, value, at) {
        (Some(_), Some(_), Some(value), _) if !value.is_finite() => Err(line.malformed(format!(
            "{expected}; the rating is {value}, and no number: write one, or take the line out"
        ))),
        (Some(user), Some(item), Some(_), Some(at)) => match moment::whole(at) {
            Some(at) => Ok((user, item, at)),
            None => Err(line.malformed(format!("{expected}; the time {at} is past the year 9999"))),
        },
        _ => Err(line.malformed(expected)),
    }
}
