use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chorus_model::ItemId;

use crate::lines::{Line, find, for_each_line};
use crate::log::{Event, latest, push};
use crate::marks::Marks;
use crate::{DataError, Dataset, Held, Split, catalogue, moment};

const TRAIN: &str = ".train.rating";

/// Reads a leave-one-out split in the NCF layout, if there is one in `dir`.
pub(crate) fn read(dir: &Path) -> Result<Option<Dataset>, DataError> {
    let Some(name) = split_name(dir)? else {
        return Ok(None);
    };
    let file = |ending: &str| {
        let wanted = format!("{name}{ending}");
        find(dir, &wanted).ok_or_else(|| DataError::MissingFile {
            file: dir.join(wanted),
        })
    };
    let (train, test, negative) = (file(TRAIN)?, file(".test.rating")?, file(".test.negative")?);
    let (mut users, has_times) = read_train(&train)?;
    let positives = read_test(&test, &mut users)?;
    let untrained =
        |(user, _): &(usize, &Option<Positive>)| users.get(*user).is_some_and(Vec::is_empty);
    let tested = positives
        .iter()
        .enumerate()
        .filter(|(_, held)| held.is_some());
    let tested = tested.filter(untrained).count();
    let cases = read_negatives(&negative, &test, positives)?;
    let (histories, times) = sequences(users, has_times);
    let trained = histories.iter().flatten();
    let held = cases
        .iter()
        .flatten()
        .flat_map(|held| held.negatives.iter().chain([&held.positive]));
    let items = trained
        .chain(held)
        .map(|item| item.0 as usize + 1)
        .max()
        .unwrap_or(0);
    let catalogue = catalogue::for_split(dir, items)?;
    Ok(Some(Dataset {
        name,
        items,
        titles: catalogue.titles,
        item_ids: None,
        user_ids: None,
        features: catalogue.features,
        split: Split::Published,
        copies: 1,
        histories,
        times,
        cases,
        repaired: 0,
        notes: only_tested(&test, tested),
    }))
}

/// Says how many users are in a test file alone: numbers that are new to the model, or wrong.
pub(crate) fn only_tested(file: &Path, users: usize) -> Vec<String> {
    let note = || {
        format!(
            "{}: users that are not in the training file, {users}; they are taken as new, without a history",
            file.display()
        )
    };
    (users > 0).then(note).into_iter().collect()
}

/// The NAME of NAME.train.rating.
fn split_name(dir: &Path) -> Result<Option<String>, DataError> {
    let fail = |source| DataError::Unreadable {
        file: dir.to_owned(),
        source,
    };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let name = entry
            .map_err(fail)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        names.extend(plain.strip_suffix(TRAIN).map(str::to_owned));
    }
    match names.len() {
        0 | 1 => Ok(names.pop_first()),
        _ => Err(DataError::SeveralSplits {
            dir: dir.to_owned(),
            names: names.into_iter().collect(),
        }),
    }
}

/// The events of each user, and whether every line has a time in its fourth column.
fn read_train(file: &Path) -> Result<(Vec<Vec<Event>>, bool), DataError> {
    const EXPECTED: &str = "a user number, a tab, an item number";
    let mut users: Vec<Vec<Event>> = Vec::new();
    let mut has_times = true;
    for_each_line(file, |line| {
        let mut fields = line.text()?.split_ascii_whitespace();
        let user = line.user(fields.next(), EXPECTED)?;
        let item = ItemId(line.item(fields.next(), EXPECTED)?);
        let at = time(line, fields.nth(1))?;
        has_times &= at.is_some();
        let at = at.unwrap_or(0);
        push(&mut users, user as u32, Event { at, item });
        Ok(())
    })?;
    if users.is_empty() {
        return Err(DataError::Empty {
            file: file.to_owned(),
        });
    }
    Ok((users, has_times))
}

/// The fourth column: seconds since 1970.
fn time(line: &Line<'_>, field: Option<&str>) -> Result<Option<i64>, DataError> {
    let wrong = || line.malformed("a time in seconds since 1970 in the fourth column, or none");
    field
        .map(|field| moment::parse(field).ok_or_else(wrong))
        .transpose()
}

/// Items, and when each was last touched, of every user.
type Sequences = (Vec<Vec<ItemId>>, Option<Vec<Vec<i64>>>);

/// Distinct items in the order of their times, or of the file.
fn sequences(users: Vec<Vec<Event>>, has_times: bool) -> Sequences {
    let items = users
        .iter()
        .flatten()
        .map(|event| event.item.0 as usize + 1);
    let mut seen = Marks::new(items.max().unwrap_or(0));
    let (mut histories, mut times) = (Vec::new(), Vec::new());
    for mut events in users {
        if has_times {
            events.sort_by_key(|event| event.at);
        }
        let latest = latest(&events, &mut seen);
        times.push(latest.iter().map(|event| event.at).collect());
        histories.push(latest.iter().map(|event| event.item).collect());
    }
    (histories, has_times.then_some(times))
}

/// A held-out item, and when it was touched where the file says it.
#[derive(Clone, Copy)]
struct Positive {
    item: ItemId,
    /// Milliseconds since 1970-01-01 UTC.
    at: Option<i64>,
}

/// Each user's held-out item. Users who are here alone get an empty history: they are new to the model.
fn read_test(file: &Path, users: &mut Vec<Vec<Event>>) -> Result<Vec<Option<Positive>>, DataError> {
    const EXPECTED: &str = "a user number, a tab, the number of the held-out item";
    let mut positives: Vec<Option<Positive>> = Vec::new();
    for_each_line(file, |line| {
        let mut fields = line.text()?.split_ascii_whitespace();
        let user = line.user(fields.next(), EXPECTED)?;
        let item = ItemId(line.item(fields.next(), EXPECTED)?);
        let at = time(line, fields.nth(1))?;
        grow(users, user);
        grow(&mut positives, user);
        if users
            .get(user)
            .is_some_and(|events| events.iter().any(|event| event.item == item))
        {
            return Err(line.malformed("an item that is not in the user's training history"));
        }
        match positives.get_mut(user) {
            Some(positive) if positive.is_none() => *positive = Some(Positive { item, at }),
            _ => {
                return Err(
                    line.malformed("one held-out item a user, but this user has another above")
                );
            }
        }
        Ok(())
    })?;
    positives.resize(users.len(), None);
    Ok(positives)
}

/// Joins each held-out item with its negatives: `(user,item)`, then tabs and item numbers.
fn read_negatives(
    file: &Path,
    test: &Path,
    positives: Vec<Option<Positive>>,
) -> Result<Vec<Option<Held>>, DataError> {
    const EXPECTED: &str = "(user,item), then a tab and an item number for each negative";
    let mut negatives: Vec<Option<Vec<ItemId>>> = vec![None; positives.len()];
    for_each_line(file, |line| {
        let mut fields = line.text()?.split('\t');
        let pair = fields
            .next()
            .and_then(|pair| pair.strip_prefix('(')?.strip_suffix(')')?.split_once(','));
        let (user, item) = pair.ok_or_else(|| line.malformed(EXPECTED))?;
        let user = line.user(Some(user.trim()), EXPECTED)?;
        let item = ItemId(line.item(Some(item.trim()), EXPECTED)?);
        let positive = positives.get(user).copied().flatten();
        if positive.map(|positive| positive.item) != Some(item) {
            return Err(line.malformed(format!(
                "the pair of a user and its held-out item in {}",
                test.display()
            )));
        }
        let fields = fields.filter(|field| !field.is_empty());
        let listed = fields
            .map(|field| line.item(Some(field), EXPECTED).map(ItemId))
            .collect::<Result<_, _>>()?;
        if let Some(negatives) = negatives.get_mut(user) {
            *negatives = Some(listed);
        }
        Ok(())
    })?;
    let joined = positives
        .into_iter()
        .zip(negatives)
        .enumerate()
        .map(|(user, pair)| match pair {
            (Some(positive), Some(negatives)) => Ok(Some(Held {
                positive: positive.item,
                also: Vec::new(),
                negatives,
                times: positive.at.into_iter().collect(),
            })),
            (Some(_), None) => Err(no_negatives(file, user)),
            (None, _) => Ok(None),
        });
    joined.collect()
}

/// A user of the test file without negatives: the line is missing, so the error names the end of the file.
fn no_negatives(file: &Path, user: usize) -> DataError {
    let file: PathBuf = file.to_owned();
    let mut last = 0;
    // Read to its end a moment ago; if that changed, line 0 says so.
    let _ = for_each_line(&file, |line| {
        last = line.number;
        Ok(())
    });
    DataError::Malformed {
        file,
        line: last,
        expected: format!("a line with the negatives of user {user} somewhere"),
    }
}

fn grow<T: Clone + Default>(list: &mut Vec<T>, index: usize) {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
}
