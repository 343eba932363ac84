use std::path::Path;

use chorus_model::ItemFeatures;

use crate::DataError;
use crate::films::{Film, features, year};
use crate::lines::{Line, find, for_each_line};

/// The genres of MovieLens 100K, in the order of their columns in `u.item`; the first, `unknown`, is no genre.
const GENRES: [&str; 18] = [
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// What a data folder says about its items.
pub(crate) struct Catalogue {
    /// One title an item. Items that no file names are called by their number; nothing when there was no title.
    pub(crate) titles: Option<Vec<String>>,
    /// Genres and years.
    pub(crate) features: Option<ItemFeatures>,
}

/// Beside a published split: `items.tsv` (its columns `item` and `title`, and `genres` if it has it), or `u.item` with ids
/// from 1.
pub(crate) fn for_split(dir: &Path, items: usize) -> Result<Catalogue, DataError> {
    let place = |number: u64| {
        usize::try_from(number)
            .ok()
            .filter(|number| *number < items)
    };
    let mut found = Found::new(items);
    if let Some(file) = find(dir, "items.tsv") {
        let (mut number_column, mut title_column, mut genre_column) = (0, 2, None);
        for_each_line(&file, |line| {
            let columns: Vec<&str> = line.text()?.split('\t').collect();
            if line.number == 1 {
                let column = |name: &str| columns.iter().position(|column| *column == name);
                let header = column("item").zip(column("title"));
                genre_column = column("genres");
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
            let genres = genre_column.and_then(|column| columns.get(column));
            found.set(
                place(number),
                title,
                listed(genres.copied().unwrap_or_default()),
            );
            Ok(())
        })?;
    } else if let Some(file) = find(dir, "u.item") {
        for_each_line(&file, |line| {
            let text = line.latin1();
            let (id, title) = id_and_title(line, &text, "|")?;
            found.set(id.checked_sub(1).and_then(place), title, flagged(&text));
            Ok(())
        })?;
    }
    Ok(found.finish())
}

/// Beside raw ratings: `u.item`, `movies.dat` or `movies.csv`, with the ids of the ratings, which are ascending.
pub(crate) fn for_ratings(dir: &Path, ids: &[u64]) -> Result<Catalogue, DataError> {
    let place = |id: u64| ids.binary_search(&id).ok();
    let mut found = Found::new(ids.len());
    if let Some(file) = find(dir, "u.item") {
        for_each_line(&file, |line| {
            let text = line.latin1();
            let (id, title) = id_and_title(line, &text, "|")?;
            found.set(place(id), title, flagged(&text));
            Ok(())
        })?;
    } else if let Some(file) = find(dir, "movies.dat") {
        for_each_line(&file, |line| {
            let text = line.latin1();
            let (id, title) = id_and_title(line, &text, "::")?;
            found.set(
                place(id),
                title,
                listed(text.split("::").nth(2).unwrap_or_default()),
            );
            Ok(())
        })?;
    } else if let Some(file) = find(dir, "movies.csv") {
        for_each_line(&file, |line| {
            if line.number == 1 && line.bytes.starts_with(b"movieId") {
                return Ok(());
            }
            let (id, title, genres) = csv_fields(line)?;
            found.set(place(id), &title, listed(genres));
            Ok(())
        })?;
    }
    Ok(found.finish())
}

/// Titles, genres and years by item number, as they are found.
pub(crate) struct Found {
    titles: Vec<String>,
    films: Vec<Film>,
    any: bool,
}

impl Found {
    pub(crate) fn new(items: usize) -> Self {
        Self {
            titles: vec![String::new(); items],
            films: vec![Film::default(); items],
            any: false,
        }
    }

    pub(crate) fn set(&mut self, number: Option<usize>, title: &str, genres: Vec<String>) {
        let Some(number) = number else {
            return;
        };
        if let Some(slot) = self.titles.get_mut(number) {
            title.clone_into(slot);
            self.any = true;
        }
        if let Some(film) = self.films.get_mut(number) {
            let year = year(title);
            *film = Film { genres, year };
        }
    }

    pub(crate) fn finish(self) -> Catalogue {
        let name = |(number, title): (usize, String)| {
            if title.is_empty() {
                format!("item {number}")
            } else {
                title
            }
        };
        let features = features(&self.films);
        let titles = self.titles.into_iter().enumerate().map(name);
        Catalogue {
            titles: self.any.then(|| titles.collect()),
            features,
        }
    }
}

/// `Action|Drama`; MovieLens writes `(no genres listed)` where there are none.
pub(crate) fn listed(text: &str) -> Vec<String> {
    let names = text.trim().split('|').map(str::trim);
    names
        .filter(|name| !name.is_empty() && !name.starts_with('('))
        .map(str::to_owned)
        .collect()
}

/// The columns of `u.item` with a 1, after the id, the title, two dates, an address and the flag for `unknown`.
fn flagged(line: &str) -> Vec<String> {
    let flags = line.split('|').skip(6);
    flags
        .zip(GENRES)
        .filter(|(flag, _)| *flag == "1")
        .map(|(_, genre)| genre.to_owned())
        .collect()
}

fn id_and_title<'a>(
    line: &Line<'_>,
    text: &'a str,
    separator: &str,
) -> Result<(u64, &'a str), DataError> {
    let mut fields = text.split(separator);
    match (fields.next().and_then(|id| id.parse().ok()), fields.next()) {
        (Some(id), Some(title)) => Ok((id, title)),
        _ => Err(line.malformed(format!("an item id and a title, separated by {separator}"))),
    }
}

/// Id, title and genres. The title may be quoted, with doubled quotes inside.
fn csv_fields<'a>(line: &'a Line<'_>) -> Result<(u64, String, &'a str), DataError> {
    let expected = || line.malformed("an item id, a comma and a title");
    let (id, rest) = line.text()?.split_once(',').ok_or_else(expected)?;
    let id = id.parse().map_err(|_| expected())?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let (title, genres) = rest.split_once(',').unwrap_or((rest, ""));
        return Ok((id, title.to_owned(), genres));
    };
    let mut title = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        if character == '"' && characters.next_if(|(_, next)| *next == '"').is_none() {
            let genres = quoted.get(place + 1..).unwrap_or_default();
            return Ok((id, title, genres.strip_prefix(',').unwrap_or_default()));
        }
        title.push(character);
    }
    Err(line.malformed("a closing quote after the title"))
}
