use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::lines::{Line, find, for_each_line};
use crate::read::folder_of;
use crate::table::people;
use crate::{DataError, Dataset, Reading, settings};

/// A yes or no that a data set knows of its people besides what they touched.
///
/// # Privacy
/// For measuring what a model gives away. Never an input of a model.
#[derive(Clone, PartialEq, Eq)]
pub struct Trait {
    /// What it says: `gender: female`, `age: 35 or more`.
    pub name: String,
    /// One answer a user, where it is known.
    values: Vec<Option<bool>>,
}

impl Trait {
    /// Answers by user number.
    pub fn new(name: &str, values: Vec<Option<bool>>) -> Self {
        Self {
            name: name.to_owned(),
            values,
        }
    }

    /// The answer for one user; nothing where it is not known.
    pub fn of(&self, user: usize) -> Option<bool> {
        self.values.get(user).copied().flatten()
    }
}

/// The files, what separates their fields, which fields hold user, gender and age, and the first user's number.
const LAYOUTS: [(&str, &str, [usize; 3], u64); 3] = [
    ("users.tsv", "\t", [0, 2, 3], 0),
    ("u.user", "|", [0, 2, 1], 1),
    ("users.dat", "::", [0, 1, 2], 1),
];
/// About half of a MovieLens population is as old.
const OLDER: u32 = 35;
/// A column of `users.csv` with more distinct values says no group.
const MOST_GROUPS: usize = 12;

/// What the data set at `path` knows of its people: gender and age of MovieLens people from `users.tsv`, `u.user` or
/// `users.dat`; or, from the columns of `users.csv`, one trait a value. Nothing where there is no such file.
///
/// # Errors
/// When the file cannot be read or a line is malformed.
pub fn traits(path: &Path, dataset: &Dataset) -> Result<Vec<Trait>, DataError> {
    let dir = folder_of(path);
    if let Some(file) = find(dir, "users.csv") {
        return groups(dir, &file, dataset);
    }
    let found = LAYOUTS.iter().find_map(|(name, separator, fields, first)| {
        find(dir, name).map(|file| (file, *separator, *fields, *first))
    });
    let Some((file, separator, fields, first)) = found else {
        return Ok(Vec::new());
    };
    let numbers = numbers(dataset);
    let mut gender = vec![None; dataset.users()];
    let mut older = vec![None; dataset.users()];
    for_each_line(&file, |line| {
        if line.number == 1 && line.bytes.starts_with(b"user\t") {
            return Ok(());
        }
        let (user, is_female, age) = person(line, separator, fields)?;
        let user = match &numbers {
            // Raw ids in `users.tsv` would be its second column; beside raw events the others have them.
            Some(numbers) => numbers.get(user.to_string().as_str()).copied(),
            None => user
                .checked_sub(first)
                .and_then(|user| usize::try_from(user).ok()),
        };
        let slot = user.and_then(|user| gender.get_mut(user).zip(older.get_mut(user)));
        if let Some((gender, older)) = slot {
            (*gender, *older) = (Some(is_female), Some(age >= OLDER));
        }
        Ok(())
    })?;
    Ok(vec![
        Trait::new("gender: female", gender),
        Trait::new(&format!("age: {OLDER} or more"), older),
    ])
}

/// The number of each user's id, where the ids are not the numbers.
fn numbers(dataset: &Dataset) -> Option<HashMap<&str, usize>> {
    let ids = dataset.user_ids.as_ref()?;
    Some(ids.iter().map(String::as_str).zip(0..).collect())
}

/// One trait for each value of each column of `users.csv` that has few enough of them.
fn groups(dir: &Path, file: &Path, dataset: &Dataset) -> Result<Vec<Trait>, DataError> {
    let numbers = numbers(dataset);
    let mut answers: BTreeMap<(usize, String), (String, Vec<usize>)> = BTreeMap::new();
    let mut known = vec![false; dataset.users()];
    let columns = settings::settled(dir, &Reading::default())?.columns;
    people(file, &columns, |id, columns| {
        let user = match &numbers {
            Some(numbers) => numbers.get(id).copied(),
            None => id.parse().ok().filter(|user| *user < dataset.users()),
        };
        let Some(user) = user else {
            return;
        };
        if let Some(known) = known.get_mut(user) {
            *known = true;
        }
        for (place, (name, value)) in columns.iter().enumerate() {
            let answer = answers.entry((place, (*value).to_owned()));
            let (_, users) = answer.or_insert_with(|| (format!("{name}: {value}"), Vec::new()));
            users.push(user);
        }
    })?;
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, _) in answers.keys() {
        *counts.entry(*place).or_default() += 1;
    }
    let few = answers
        .into_iter()
        .filter(|((place, _), _)| counts.get(place).is_some_and(|count| *count <= MOST_GROUPS));
    Ok(few
        .map(|(_, (name, users))| {
            let mut values: Vec<Option<bool>> =
                known.iter().map(|known| known.then_some(false)).collect();
            for user in users {
                if let Some(value) = values.get_mut(user) {
                    *value = Some(true);
                }
            }
            Trait::new(&name, values)
        })
        .collect())
}

fn person(
    line: &Line<'_>,
    separator: &str,
    fields: [usize; 3],
) -> Result<(u64, bool, u32), DataError> {
    let text = line.latin1();
    let columns: Vec<&str> = text.split(separator).map(str::trim).collect();
    let [user, gender, age] = fields.map(|field| columns.get(field).copied());
    let user = user.and_then(|user| user.parse().ok());
    let gender = gender.filter(|gender| ["F", "M"].contains(gender));
    let age = age.and_then(|age| age.parse().ok());
    match (user, gender, age) {
        (Some(user), Some(gender), Some(age)) => Ok((user, gender == "F", age)),
        _ => Err(line.malformed(format!(
            "a user number, F or M, and an age in years, separated by {separator:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Users with those ids, or with numbers alone.
    fn dataset(ids: Option<[&str; 4]>) -> Dataset {
        let mut dataset = crate::synthesise(&crate::Synthesis {
            users: 4,
            ..crate::Synthesis::default()
        });
        dataset.user_ids = ids.map(|ids| ids.map(str::to_owned).to_vec());
        dataset
    }

    fn answers(one: &Trait) -> Vec<Option<bool>> {
        (0..4).map(|user| one.of(user)).collect()
    }

    #[test]
    fn the_three_layouts_say_the_same() {
        for (name, text) in [
            (
                "users.tsv",
                "user\tuser_id\tgender\tage\toccupation\n0\t1\tF\t1\t10\n1\t2\tM\t56\t16\n",
            ),
            ("u.user", "1|1|F|student|85711\n2|56|M|other|94043\n"),
            ("users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(name), text).unwrap();
            let traits = traits(dir.path(), &dataset(None)).unwrap();
            let expected = [Some(true), Some(false), None, None];
            assert_eq!(answers(&traits[0]), expected, "{name}");
            assert_eq!(
                answers(&traits[1]),
                expected.map(|value| value.map(|is| !is)),
                "{name}"
            );
        }
    }

    /// Beside raw events, people are found by their ids: a gap in them moves nobody.
    #[test]
    fn ids_with_gaps_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("users.dat"),
            "1::F::1::10::x\n7::M::56::16::x\n",
        )
        .unwrap();
        let dataset = dataset(Some(["7", "8", "1", "9"]));
        let traits = traits(dir.path(), &dataset).unwrap();
        assert_eq!(answers(&traits[0]), [Some(false), None, Some(true), None]);
    }

    #[test]
    fn columns_of_a_table_are_groups() {
        let dir = tempfile::tempdir().unwrap();
        let text = "user,group,plan\nb,red,free\na,blue,paid\nstranger,green,free\nc,red,free\n";
        fs::write(dir.path().join("users.csv"), text).unwrap();
        let traits = traits(dir.path(), &dataset(Some(["a", "b", "c", "d"]))).unwrap();
        let names: Vec<&str> = traits.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names,
            ["group: blue", "group: red", "plan: free", "plan: paid"]
        );
        assert_eq!(
            answers(&traits[1]),
            [Some(false), Some(true), Some(true), None]
        );
    }

    #[test]
    fn other_lines_are_refused_and_no_file_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(traits(dir.path(), &dataset(None)).unwrap().is_empty());
        fs::write(dir.path().join("users.dat"), "1::X::1\n").unwrap();
        let Err(error) = traits(dir.path(), &dataset(None)) else {
            panic!("X is neither F nor M");
        };
        assert!(
            error.to_string().contains("line 1: expected a user number"),
            "{error}"
        );
    }
}
