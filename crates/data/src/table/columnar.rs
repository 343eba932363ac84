use std::fs::File;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::pages::Pages;
use super::row::{Header, Place, Row, Value, Wanted};
use crate::DataError;

/// Rows that are in memory at a time.
const BATCH: usize = 1 << 14;

/// Calls `each` with every row of a Parquet file.
pub(super) fn for_each_row(
    file: &Path,
    wanted: &[Wanted<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<(), DataError>,
) -> Result<Header, DataError> {
    let opened = File::open(file).map_err(|source| DataError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let bad = |error: ParquetError| DataError::BadTable {
        file: file.to_owned(),
        reason: format!("it cannot be read as Parquet: {error}"),
    };
    let reader = SerializedFileReader::new(opened).map_err(bad)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let names: Vec<String> = schema
        .columns()
        .iter()
        .map(|column| column.path().string())
        .collect();
    let places = wanted
        .iter()
        .map(|wanted| wanted.find(file, &names))
        .collect::<Result<Vec<_>, _>>()?;
    let mut number = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(bad)?;
        let mut columns = Vec::new();
        for place in &places {
            let column = place.map(|place| Column::open(file, &*group, place));
            columns.push(column.transpose()?);
        }
        let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        while left > 0 {
            let rows = left.min(BATCH);
            for column in columns.iter_mut().flatten() {
                column.fill(rows).map_err(bad)?;
            }
            for row in 0..rows {
                number += 1;
                let values: Vec<Value<'_>> = columns
                    .iter()
                    .map(|column| {
                        column
                            .as_ref()
                            .map_or(Value::Missing, |column| column.value(row))
                    })
                    .collect();
                each(&Row {
                    file,
                    place: Place::Row(number),
                    values: &values,
                })?;
            }
            left -= rows;
        }
    }
    Ok(Header::new(&places, &names))
}

/// One column of a row group, a batch of it in memory.
struct Column {
    reader: ColumnReader,
    kind: Kind,
    /// The definition level of a value that is there; 0 where none may be missing.
    present: i16,
    levels: Vec<i16>,
    cells: Vec<Cell>,
}

/// What integers of a column mean.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Unsigned,
    Days,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// One value as it is stored.
enum Cell {
    Missing,
    Whole(i64),
    Real(f64),
    Bytes(ByteArray),
    Milliseconds(i64),
}

impl Column {
    fn open(file: &Path, group: &dyn RowGroupReader, place: usize) -> Result<Self, DataError> {
        let bad = |reason: String| DataError::BadTable {
            file: file.to_owned(),
            reason,
        };
        let described = group.metadata().column(place).column_descr_ptr();
        let name = described.path().string();
        if described.max_rep_level() > 0 {
            return Err(bad(format!(
                "its column `{name}` holds lists, not one value a row"
            )));
        }
        // Where a damaged file says that its bytes are, the library would believe it.
        let described_bytes = |chunk: &ColumnChunkMetaData| {
            let offsets = [
                Some(chunk.data_page_offset()),
                chunk.dictionary_page_offset(),
            ];
            let is_place = |number: i64| number >= 0;
            offsets.into_iter().flatten().all(is_place)
                && is_place(chunk.compressed_size())
                && is_place(chunk.num_values())
        };
        if !described_bytes(group.metadata().column(place)) {
            return Err(bad(format!(
                "its column `{name}` is nowhere in it: the file is damaged"
            )));
        }
        let pages = group
            .get_column_page_reader(place)
            .map_err(|error| bad(format!("its column `{name}` cannot be read: {error}")))?;
        let reader = get_column_reader(described.clone(), Box::new(Pages::new(pages)));
        if matches!(
            reader,
            ColumnReader::BoolColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_)
        ) {
            return Err(bad(format!(
                "its column `{name}` holds neither text nor numbers nor times"
            )));
        }
        Ok(Self {
            reader,
            kind: kind(&described),
            present: described.max_def_level(),
            levels: Vec::new(),
            cells: Vec::new(),
        })
    }

    /// Reads the next `rows` values.
    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        let (levels, present) = (&mut self.levels, self.present);
        self.cells = match &mut self.reader {
            ColumnReader::Int32ColumnReader(reader) => {
                let is_unsigned = matches!(self.kind, Kind::Unsigned);
                let whole = |value: i32| match is_unsigned {
                    true => Cell::Whole(i64::from(value.cast_unsigned())),
                    false => Cell::Whole(i64::from(value)),
                };
                batch(reader, rows, present, levels, whole)?
            }
            ColumnReader::Int64ColumnReader(reader) => {
                batch(reader, rows, present, levels, Cell::Whole)?
            }
            ColumnReader::Int96ColumnReader(reader) => {
                batch(reader, rows, present, levels, |time| {
                    Cell::Milliseconds(time.to_millis())
                })?
            }
            ColumnReader::FloatColumnReader(reader) => {
                batch(reader, rows, present, levels, |value| {
                    Cell::Real(f64::from(value))
                })?
            }
            ColumnReader::DoubleColumnReader(reader) => {
                batch(reader, rows, present, levels, Cell::Real)?
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                batch(reader, rows, present, levels, Cell::Bytes)?
            }
            ColumnReader::BoolColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                Vec::new()
            }
        };
        Ok(())
    }

    fn value(&self, row: usize) -> Value<'_> {
        match self.cells.get(row) {
            // A column that is there and a value that is not: what is empty, the rows refuse where they need it.
            None | Some(Cell::Missing) => Value::Text(""),
            Some(Cell::Real(value)) => Value::Real(*value),
            Some(Cell::Milliseconds(time)) => Value::Time(*time),
            // What is no UTF-8 is no text, and not an id.
            Some(Cell::Bytes(bytes)) => {
                Value::Text(std::str::from_utf8(bytes.data()).unwrap_or_default())
            }
            Some(Cell::Whole(value)) => match self.kind {
                Kind::Plain => Value::Whole(i128::from(*value)),
                Kind::Unsigned => Value::Whole(i128::from(value.cast_unsigned())),
                Kind::Days => Value::Time(value.saturating_mul(86_400_000)),
                Kind::Milliseconds => Value::Time(*value),
                Kind::Microseconds => Value::Time(value.div_euclid(1_000)),
                Kind::Nanoseconds => Value::Time(value.div_euclid(1_000_000)),
            },
        }
    }
}

/// The next `rows` values; where the file holds fewer than it says, an error.
fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    present: i16,
    levels: &mut Vec<i16>,
    cell: impl Fn(T::T) -> Cell,
) -> Result<Vec<Cell>, ParquetError> {
    levels.clear();
    let mut values = Vec::with_capacity(rows);
    let mut read = 0;
    while read < rows {
        let definitions = (present > 0).then_some(&mut *levels);
        let (records, _, _) = reader.read_records(rows - read, definitions, None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF(format!(
                "{} rows are missing",
                rows - read
            )));
        }
        read += records;
    }
    let mut values = values.into_iter().map(cell);
    if present == 0 {
        return Ok(values.collect());
    }
    let cells = levels.iter().map(|level| match *level == present {
        true => values.next().unwrap_or(Cell::Missing),
        false => Cell::Missing,
    });
    Ok(cells.collect())
}

fn kind(column: &ColumnDescriptor) -> Kind {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => match time.unit {
            TimeUnit::MILLIS => Kind::Milliseconds,
            TimeUnit::MICROS => Kind::Microseconds,
            TimeUnit::NANOS => Kind::Nanoseconds,
        },
        Some(LogicalType::Date) => Kind::Days,
        Some(LogicalType::Integer(integer)) if !integer.is_signed => Kind::Unsigned,
        // Older writers say it in the older way alone.
        _ => match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => Kind::Milliseconds,
            ConvertedType::TIMESTAMP_MICROS => Kind::Microseconds,
            ConvertedType::DATE => Kind::Days,
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Kind::Unsigned,
            _ => Kind::Plain,
        },
    }
}
