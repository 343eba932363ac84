use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::Population;
use crate::DataError;

impl Population {
    /// Writes `events.csv` (user, item, time in seconds since 1970, session), `items.csv` (item, title, genres: the taste
    /// group) and `users.csv` (user, group) into a folder, which is made where it is missing. [`crate::read`] reads them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), DataError> {
        std::fs::create_dir_all(dir).map_err(|source| DataError::Unwritable {
            file: dir.to_owned(),
            source,
        })?;
        file(&dir.join("events.csv"), |out| {
            writeln!(out, "user,item,time,session")?;
            for (user, person) in (1..).zip(&self.people) {
                for event in &person.events {
                    let (item, seconds) = (event.item.0 + 1, event.at.div_euclid(1_000));
                    writeln!(out, "u{user},i{item},{seconds},{}", event.session + 1)?;
                }
            }
            Ok(())
        })?;
        // Invented titles hold no commas and no quotes.
        file(&dir.join("items.csv"), |out| {
            writeln!(out, "item,title,genres")?;
            for (item, (title, taste)) in (1..).zip(self.titles.iter().zip(&self.tastes)) {
                writeln!(out, "i{item},{title},taste {}", taste + 1)?;
            }
            Ok(())
        })?;
        file(&dir.join("users.csv"), |out| {
            writeln!(out, "user,group")?;
            for (user, person) in (1..).zip(&self.people) {
                writeln!(out, "u{user},{}", person.taste + 1)?;
            }
            Ok(())
        })
    }
}

fn file(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), DataError> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        content(&mut out)?;
        out.flush()
    });
    written.map_err(|source| DataError::Unwritable {
        file: path.to_owned(),
        source,
    })
}
