use std::collections::BTreeMap;
use std::path::Path;

use crate::lines::{Line, find, for_each_line};
use crate::read::folder_name;
use crate::split::{self, Rating};
use crate::{DataError, Dataset, catalogue};

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

/// Reads raw ratings, if there are any in `dir`, and splits them.
pub(crate) fn read(dir: &Path) -> Result<Option<Dataset>, DataError> {
    let found = LAYOUTS.iter().find_map(|(name, separator, expected)| {
        find(dir, name).map(|file| (file, *separator, *expected))
    });
    let Some((file, separator, expected)) = found else {
        return Ok(None);
    };
    let mut ratings = Vec::new();
    for_each_line(&file, |line| {
        let is_header = line.number == 1 && separator == "," && line.bytes.starts_with(b"user");
        if !is_header {
            ratings.push(rating(line, separator, expected)?);
        }
        Ok(())
    })?;
    if ratings.is_empty() {
        return Err(DataError::Empty { file });
    }
    let users = numbering(ratings.iter().map(|rating| rating.user));
    let items = numbering(ratings.iter().map(|rating| rating.item));
    let (histories, cases) = split::leave_one_out(&ratings, &users, &items);
    let catalogue = catalogue::for_ratings(dir, &items)?;
    Ok(Some(Dataset {
        name: folder_name(dir),
        items: items.len(),
        titles: catalogue.titles,
        features: catalogue.features,
        histories,
        cases,
    }))
}

fn rating(line: &Line<'_>, separator: &str, expected: &str) -> Result<Rating, DataError> {
    let mut fields = line.text()?.split(separator).map(str::trim);
    let user = fields.next().and_then(|field| field.parse::<u64>().ok());
    let item = fields.next().and_then(|field| field.parse::<u64>().ok());
    let value = fields.next().and_then(|field| field.parse::<f64>().ok());
    let at = fields.next().and_then(|field| field.parse::<i64>().ok());
    match (user, item, value, at) {
        (Some(user), Some(item), Some(_), Some(at)) => Ok(Rating { user, item, at }),
        _ => Err(line.malformed(expected)),
    }
}

/// Numbers from 0 for the ids in use, in the order of the ids.
fn numbering(ids: impl Iterator<Item = u64>) -> BTreeMap<u64, u32> {
    let mut numbers: BTreeMap<u64, u32> = ids.map(|id| (id, 0)).collect();
    for (number, slot) in (0..).zip(numbers.values_mut()) {
        *slot = number;
    }
    numbers
}
