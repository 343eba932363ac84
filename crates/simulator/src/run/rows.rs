//! `rounds.parquet`: one row a round, for whoever draws their own pictures.

use std::sync::Arc;

use chorus_model::Quality;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::RoundRow;

/// A column of a table; a cell that is not there is null.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers.
    Whole(Vec<Option<i64>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
    /// True or false.
    Truth(Vec<Option<bool>>),
    /// Texts.
    Text(Vec<Option<String>>),
}

impl Column {
    fn kind(&self, name: &str) -> String {
        match self {
            Self::Whole(_) => format!("optional int64 {name};"),
            Self::Number(_) => format!("optional double {name};"),
            Self::Truth(_) => format!("optional boolean {name};"),
            Self::Text(_) => format!("optional binary {name} (UTF8);"),
        }
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>) -> Result<()> {
        match self {
            Self::Whole(cells) => write_cells::<Int64Type>(cells, group),
            Self::Number(cells) => write_cells::<DoubleType>(cells, group),
            Self::Truth(cells) => write_cells::<BoolType>(cells, group),
            Self::Text(cells) => {
                let bytes =
                    |cell: Option<String>| cell.map(|text| ByteArray::from(text.into_bytes()));
                write_cells::<ByteArrayType>(cells.into_iter().map(bytes).collect(), group)
            }
        }
    }
}

fn write_cells<T: DataType>(
    cells: Vec<Option<T::T>>,
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
) -> Result<()> {
    let there: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<T>()
            .write_batch(&values, Some(&there), None)?;
        column.close()?;
    }
    Ok(())
}

/// The rows as a Parquet file.
pub(super) fn write(rounds: &[RoundRow]) -> Result<Vec<u8>> {
    let columns = columns(rounds);
    let kinds: String = columns
        .iter()
        .map(|(name, column)| column.kind(name))
        .collect();
    let schema = Arc::new(parse_message_type(&format!(
        "message rounds {{ {kinds} }}"
    ))?);
    let mut file = Vec::new();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(&mut file, schema, properties)?;
    let mut group = writer.next_row_group()?;
    for (_, column) in columns {
        column.write(&mut group)?;
    }
    group.close()?;
    writer.close()?;
    Ok(file)
}

/// One row a round, as columns with their names.
pub fn columns(rounds: &[RoundRow]) -> Vec<(&'static str, Column)> {
    let whole = |value: fn(&RoundRow) -> usize| {
        let cells = rounds.iter().map(|row| i64::try_from(value(row)).ok());
        Column::Whole(cells.collect())
    };
    let number =
        |value: fn(&RoundRow) -> Option<f64>| Column::Number(rounds.iter().map(value).collect());
    let quality = |value: fn(&Quality) -> f64| {
        let cells = rounds.iter().map(|row| row.quality.as_ref().map(value));
        Column::Number(cells.collect())
    };
    let truth = |value: fn(&RoundRow) -> bool| {
        Column::Truth(rounds.iter().map(|row| Some(value(row))).collect())
    };
    let text = |value: fn(&RoundRow) -> Option<&str>| {
        Column::Text(
            rounds
                .iter()
                .map(|row| value(row).map(str::to_owned))
                .collect(),
        )
    };
    let numbers = (1..=rounds.len() as i64).map(Some).collect();
    let cases = rounds.iter().map(|row| Some(row.quality?.cases as i64));
    vec![
        ("round", Column::Whole(numbers)),
        ("name", text(|row| Some(&row.name))),
        ("invited", whole(|row| row.funnel.invited)),
        ("advertised", whole(|row| row.funnel.advertised)),
        ("shared", whole(|row| row.funnel.shared)),
        ("confirmed", whole(|row| row.funnel.confirmed)),
        ("uploaded", whole(|row| row.funnel.uploaded)),
        ("unmasked", whole(|row| row.funnel.unmasked)),
        ("completed", truth(|row| row.completed)),
        ("seconds", number(|row| Some(row.seconds))),
        ("upload_bytes", whole(|row| row.upload_bytes as usize)),
        ("epsilon", number(|row| row.epsilon)),
        ("clipped", whole(|row| row.clipped)),
        ("sum_exact", truth(|row| row.sum_exact)),
        ("hr_at_10", quality(|quality| quality.hr_at_10)),
        ("ndcg_at_10", quality(|quality| quality.ndcg_at_10)),
        ("full_hr_at_10", quality(|quality| quality.full_hr_at_10)),
        (
            "full_ndcg_at_10",
            quality(|quality| quality.full_ndcg_at_10),
        ),
        (
            "full_recall_at_20",
            quality(|quality| quality.full_recall_at_20),
        ),
        (
            "full_ndcg_at_20",
            quality(|quality| quality.full_ndcg_at_20),
        ),
        ("measured", Column::Whole(cases.collect())),
        ("note", text(|row| row.note.as_deref())),
        ("staleness", number(|row| row.staleness)),
    ]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, Row, RowAccessor};

    use super::*;

    #[test]
    fn a_row_a_round_reads_back() {
        let row = |name: &str, quality, epsilon| RoundRow {
            name: name.to_owned(),
            funnel: Default::default(),
            completed: true,
            quality,
            seconds: 0.25,
            upload_bytes: 4_000_000_000,
            epsilon,
            clipped: 3,
            sum_exact: name == "b",
            staleness: None,
            live: None,
            note: None,
        };
        let quality = Quality {
            full_ndcg_at_20: 0.125,
            cases: 40,
            ..Quality::default()
        };
        let rounds = [row("ä", None, Some(1.5)), row("b", Some(quality), None)];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&write(&rounds).unwrap()).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap())
            .collect();
        let (first, second) = (&rows[0], &rows[1]);
        assert_eq!((rows.len(), first.len()), (2, 23));
        assert_eq!(first.get_long(0).unwrap(), 1);
        assert_eq!(first.get_string(1).unwrap(), "ä");
        assert_eq!(first.get_double(11).unwrap(), 1.5);
        assert!(!first.get_bool(13).unwrap() && second.get_bool(13).unwrap());
        // What is not there is null, not zero.
        let null = |row: &Row, place: usize| {
            matches!(row.get_column_iter().nth(place), Some((_, Field::Null)))
        };
        assert!(null(first, 19) && null(second, 11));
        assert_eq!(second.get_double(19).unwrap(), 0.125);
        assert_eq!(second.get_long(20).unwrap(), 40);
        assert_eq!(second.get_long(10).unwrap(), 4_000_000_000);
        assert!(null(first, 22));
        assert!(!write(&[]).unwrap().is_empty());
    }
}
