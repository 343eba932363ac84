use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::row::{Header, Place, Row, Value, Wanted};
use crate::lines::open;
use crate::{Columns, DataError};

/// Calls `each` with every row of a file of comma- or tab-separated values whose first row names its columns.
pub(super) fn for_each_row(
    file: &Path,
    separator: u8,
    wanted: &[Wanted<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<(), DataError>,
) -> Result<Header, DataError> {
    let unreadable = |error: csv::Error| DataError::Unreadable {
        file: file.to_owned(),
        source: error.into(),
    };
    let (mut reader, columns) = started(file, separator)?;
    let places = wanted
        .iter()
        .map(|wanted| wanted.find(file, &columns))
        .collect::<Result<Vec<_>, _>>()?;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(unreadable)? {
        let line = record.position().map_or(0, csv::Position::line);
        let bad = |expected: String| DataError::Malformed {
            file: file.to_owned(),
            line,
            expected,
        };
        if record.len() != columns.len() {
            return Err(bad(format!(
                "{} values as in the first row, but there are {}; a value with a separator in it must be quoted",
                columns.len(),
                record.len()
            )));
        }
        let mut values = Vec::with_capacity(places.len());
        for place in &places {
            let bytes = place.and_then(|place| record.get(place));
            let text = bytes.map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| bad("UTF-8 text".to_owned()))?;
            values.push(text.map_or(Value::Missing, |text| Value::Text(text.trim())));
        }
        each(&Row {
            file,
            place: Place::Line(line),
            values: &values,
        })?;
    }
    Ok(Header::new(&places, &columns))
}

/// A file whose first row is read, and the names of its columns.
type Started = (Reader<Box<dyn Read>>, Vec<String>);

fn started(file: &Path, separator: u8) -> Result<Started, DataError> {
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .buffer_capacity(1 << 16)
        // A quote in a tab-separated title is a quote.
        .quoting(separator == b',')
        .from_reader(open(file)?);
    let header = reader
        .byte_headers()
        .map_err(|error| DataError::Unreadable {
            file: file.to_owned(),
            source: error.into(),
        })?;
    let name = |name: &[u8]| String::from_utf8_lossy(name).trim().to_owned();
    let columns: Vec<String> = header.iter().map(name).collect();
    if columns.iter().all(String::is_empty) {
        return Err(DataError::Empty {
            file: file.to_owned(),
        });
    }
    Ok((reader, columns))
}

/// Calls `each` with the id of everyone in a comma-separated `users` table, and the names and values of its other columns.
pub(crate) fn people(
    file: &Path,
    columns: &Columns,
    mut each: impl FnMut(&str, &[(&str, &str)]),
) -> Result<(), DataError> {
    let user = Wanted::needed("user", &columns.user, &["user", "user_id"]);
    let (_, header) = started(file, b',')?;
    let place = user.find(file, &header)?;
    let others = header
        .iter()
        .enumerate()
        .filter(|(column, _)| Some(*column) != place);
    let names: Vec<&str> = others.map(|(_, name)| name.as_str()).collect();
    let other = |name| Wanted {
        key: "",
        names: vec![name],
        is_needed: true,
    };
    let wanted: Vec<Wanted<'_>> = [user]
        .into_iter()
        .chain(names.iter().map(|name| other(*name)))
        .collect();
    for_each_row(file, b',', &wanted, &mut |row| {
        let id = row.id(0, "user")?;
        let mut others = Vec::new();
        for (column, name) in (1..).zip(&names) {
            others.push((*name, row.text(column)?.unwrap_or_default()));
        }
        let others: Vec<(&str, &str)> = others
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();
        each(&id, &others);
        Ok(())
    })?;
    Ok(())
}
