use std::collections::BTreeMap;
use std::path::Path;

use crate::DataError;
use crate::lines::{Line, find, for_each_line};

/// Titles beside a published split: `items.tsv` (its columns `item` and `title`), or `u.item` with ids from 1.
pub(crate) fn for_split(dir: &Path, items: usize) -> Result<Option<Vec<String>>, DataError> {
    let place = |number: u64| {
        usize::try_from(number)
            .ok()
            .filter(|number| *number < items)
    };
    let mut titles = Titles::new(items);
    if let Some(file) = find(dir, "items.tsv") {
        let (mut number_column, mut title_column) = (0, 2);
        for_each_line(&file, |line| {
            let columns: Vec<&str> = line.text()?.split('\t').collect();
            if line.number == 1 {
                let column = |name: &str| columns.iter().position(|column| *column == name);
                let header = column("item").zip(column("title"));
                (number_column, title_column) = header
                    .ok_or_else(|| line.malformed("a header with the columns item and title"))?;
                return Ok(());
            }
            let number = columns
                .get(number_column)
                .and_then(|number| number.parse().ok());
            let (Some(number), Some(title)) = (number, columns.get(title_column)) else {
                return Err(
                    line.malformed("an item number and a title in the columns of the header")
                );
            };
            titles.set(place(number), title);
            Ok(())
        })?;
    } else if let Some(file) = find(dir, "u.item") {
        for_each_line(&file, |line| {
            let (id, title) = id_and_title(line, &line.latin1(), "|")?;
            titles.set(id.checked_sub(1).and_then(place), &title);
            Ok(())
        })?;
    }
    Ok(titles.finish())
}

/// Titles beside raw ratings: `u.item`, `movies.dat` or `movies.csv`, with the ids of the ratings.
pub(crate) fn for_ratings(
    dir: &Path,
    numbers: &BTreeMap<u64, u32>,
) -> Result<Option<Vec<String>>, DataError> {
    let place = |id: u64| numbers.get(&id).map(|number| *number as usize);
    let mut titles = Titles::new(numbers.len());
    if let Some(file) = find(dir, "u.item") {
        for_each_line(&file, |line| {
            let (id, title) = id_and_title(line, &line.latin1(), "|")?;
            titles.set(place(id), &title);
            Ok(())
        })?;
    } else if let Some(file) = find(dir, "movies.dat") {
        for_each_line(&file, |line| {
            let (id, title) = id_and_title(line, &line.latin1(), "::")?;
            titles.set(place(id), &title);
            Ok(())
        })?;
    } else if let Some(file) = find(dir, "movies.csv") {
        for_each_line(&file, |line| {
            if line.number == 1 && line.bytes.starts_with(b"movieId") {
                return Ok(());
            }
            let (id, title) = csv_id_and_title(line)?;
            titles.set(place(id), &title);
            Ok(())
        })?;
    }
    Ok(titles.finish())
}

/// Titles by item number, as they are found.
struct Titles {
    titles: Vec<String>,
    found: bool,
}

impl Titles {
    fn new(items: usize) -> Self {
        Self {
            titles: vec![String::new(); items],
            found: false,
        }
    }

    fn set(&mut self, number: Option<usize>, title: &str) {
        if let Some(slot) = number.and_then(|number| self.titles.get_mut(number)) {
            title.clone_into(slot);
            self.found = true;
        }
    }

    /// Items that no file names are called by their number; nothing at all when there was no title.
    fn finish(self) -> Option<Vec<String>> {
        let name = |(number, title): (usize, String)| {
            if title.is_empty() {
                format!("item {number}")
            } else {
                title
            }
        };
        self.found
            .then(|| self.titles.into_iter().enumerate().map(name).collect())
    }
}

fn id_and_title(line: &Line<'_>, text: &str, separator: &str) -> Result<(u64, String), DataError> {
    let mut fields = text.split(separator);
    match (fields.next().and_then(|id| id.parse().ok()), fields.next()) {
        (Some(id), Some(title)) => Ok((id, title.to_owned())),
        _ => Err(line.malformed(format!("an item id and a title, separated by {separator}"))),
    }
}

/// The title may be quoted, with doubled quotes inside.
fn csv_id_and_title(line: &Line<'_>) -> Result<(u64, String), DataError> {
    let expected = || line.malformed("an item id, a comma and a title");
    let (id, rest) = line.text()?.split_once(',').ok_or_else(expected)?;
    let id = id.parse().map_err(|_| expected())?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let title = rest.split(',').next().unwrap_or_default();
        return Ok((id, title.to_owned()));
    };
    let mut title = String::new();
    let mut characters = quoted.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '"' && characters.next_if_eq(&'"').is_none() {
            return Ok((id, title));
        }
        title.push(character);
    }
    Err(line.malformed("a closing quote after the title"))
}
