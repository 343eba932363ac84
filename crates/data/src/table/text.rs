use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::row::{Place, Row, Value, Wanted};
use crate::DataError;
use crate::lines::open;

/// Calls `each` with every row of a file of comma- or tab-separated values whose first row names its columns.
pub(super) fn for_each_row(
    file: &Path,
    separator: u8,
    wanted: &[Wanted<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<(), DataError>,
) -> Result<Vec<bool>, DataError> {
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .buffer_capacity(1 << 16)
        // A quote in a tab-separated title is a quote.
        .quoting(separator == b',')
        .from_reader(open(file)?);
    let unreadable = |error: csv::Error| DataError::Unreadable {
        file: file.to_owned(),
        source: error.into(),
    };
    let header = reader.byte_headers().map_err(unreadable)?;
    let columns: Vec<String> = header
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect();
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
        let mut values = [const { Value::Missing }; MOST];
        for (slot, place) in values.iter_mut().zip(&places) {
            if let Some(bytes) = place.and_then(|place| record.get(place)) {
                let text = std::str::from_utf8(bytes).map_err(|_| bad("UTF-8 text".to_owned()))?;
                *slot = Value::Text(text.trim());
            }
        }
        each(&Row {
            file,
            place: Place::Line(line),
            values: &values,
        })?;
    }
    Ok(places.iter().map(Option::is_some).collect())
}

/// No table has more columns that are read.
const MOST: usize = 4;
