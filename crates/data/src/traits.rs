use std::path::Path;

use crate::DataError;
use crate::lines::{Line, find, for_each_line};

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

/// The files, what separates their fields, and which fields hold user, gender and age.
const LAYOUTS: [(&str, &str, [usize; 3], u64); 3] = [
    ("users.tsv", "\t", [0, 2, 3], 0),
    ("u.user", "|", [0, 2, 1], 1),
    ("users.dat", "::", [0, 1, 2], 1),
];
/// About half of a MovieLens population is as old.
const OLDER: u32 = 35;

/// Gender and age of the `users` people of the data set in `dir`, from `users.tsv`, `u.user` or `users.dat`; nothing
/// where there is no such file. Ids in `u.user` and `users.dat` are taken to run from 1 without gaps, as in MovieLens.
///
/// # Errors
/// When the file cannot be read or a line is malformed.
pub fn traits(dir: &Path, users: usize) -> Result<Vec<Trait>, DataError> {
    let found = LAYOUTS.iter().find_map(|(name, separator, fields, first)| {
        find(dir, name).map(|file| (file, *separator, *fields, *first))
    });
    let Some((file, separator, fields, first)) = found else {
        return Ok(Vec::new());
    };
    let mut gender = vec![None; users];
    let mut older = vec![None; users];
    for_each_line(&file, |line| {
        if line.number == 1 && line.bytes.starts_with(b"user\t") {
            return Ok(());
        }
        let (user, is_female, age) = person(line, separator, fields)?;
        let user = user
            .checked_sub(first)
            .and_then(|user| usize::try_from(user).ok());
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
            let traits = traits(dir.path(), 3).unwrap();
            let of = |index: usize| {
                (0..4)
                    .map(|user| traits[index].of(user))
                    .collect::<Vec<_>>()
            };
            assert_eq!(of(0), [Some(true), Some(false), None, None], "{name}");
            assert_eq!(of(1), [Some(false), Some(true), None, None], "{name}");
        }
    }

    #[test]
    fn other_lines_are_refused_and_no_file_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(traits(dir.path(), 3).unwrap().is_empty());
        fs::write(dir.path().join("users.dat"), "1::X::1\n").unwrap();
        let Err(error) = traits(dir.path(), 3) else {
            panic!("X is neither F nor M");
        };
        assert!(
            error.to_string().contains("line 1: expected a user number"),
            "{error}"
        );
    }
}
