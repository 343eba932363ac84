use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chorus_model::ItemId;

use crate::lines::{find, for_each_line};
use crate::{DataError, Dataset, Held, catalogue};

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
    let mut histories = read_train(&train)?;
    let positives = read_test(&test, &mut histories)?;
    let cases = read_negatives(&negative, &test, positives)?;
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
        features: catalogue.features,
        histories,
        cases,
    }))
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

fn read_train(file: &Path) -> Result<Vec<Vec<ItemId>>, DataError> {
    const EXPECTED: &str = "a user number, a tab, an item number";
    let mut histories: Vec<Vec<ItemId>> = Vec::new();
    for_each_line(file, |line| {
        let mut fields = line.text()?.split_ascii_whitespace();
        let user = line.user(fields.next(), EXPECTED)?;
        let item = line.item(fields.next(), EXPECTED)?;
        grow(&mut histories, user);
        if let Some(history) = histories.get_mut(user) {
            history.push(ItemId(item));
        }
        Ok(())
    })?;
    if histories.is_empty() {
        return Err(DataError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(histories)
}

/// Each user's held-out item. Users who are here alone get an empty history: they are new to the model.
fn read_test(
    file: &Path,
    histories: &mut Vec<Vec<ItemId>>,
) -> Result<Vec<Option<ItemId>>, DataError> {
    const EXPECTED: &str = "a user number, a tab, the number of the held-out item";
    let mut positives: Vec<Option<ItemId>> = Vec::new();
    for_each_line(file, |line| {
        let mut fields = line.text()?.split_ascii_whitespace();
        let user = line.user(fields.next(), EXPECTED)?;
        let item = ItemId(line.item(fields.next(), EXPECTED)?);
        grow(histories, user);
        grow(&mut positives, user);
        if histories
            .get(user)
            .is_some_and(|history| history.contains(&item))
        {
            return Err(line.malformed("an item that is not in the user's training history"));
        }
        match positives.get_mut(user) {
            Some(positive) if positive.is_none() => *positive = Some(item),
            _ => {
                return Err(
                    line.malformed("one held-out item a user, but this user has another above")
                );
            }
        }
        Ok(())
    })?;
    positives.resize(histories.len(), None);
    Ok(positives)
}

/// Joins each held-out item with its negatives: `(user,item)`, then tabs and item numbers.
fn read_negatives(
    file: &Path,
    test: &Path,
    positives: Vec<Option<ItemId>>,
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
        if positives.get(user).copied().flatten() != Some(item) {
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
                positive,
                also: Vec::new(),
                negatives,
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
