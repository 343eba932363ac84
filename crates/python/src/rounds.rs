//! One row a round, as a table.

use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray,
};
use arrow_schema::ArrowError;
use chorus_simulator::{Column, RoundRow, columns};
use numpy::IntoPyArray;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// What every round did: a table with a column a measure. It is an Arrow stream too: `pyarrow.table(run.rounds)`.
#[pyclass(frozen, module = "chorus")]
pub struct Rounds {
    columns: Vec<(&'static str, Column)>,
    length: usize,
}

impl Rounds {
    pub fn of(rows: &[RoundRow]) -> Self {
        Self {
            columns: columns(rows),
            length: rows.len(),
        }
    }

    fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter().map(|(name, column)| {
            let array: ArrayRef = match column {
                Column::Whole(cells) => Arc::new(Int64Array::from(cells.clone())),
                Column::Number(cells) => Arc::new(Float64Array::from(cells.clone())),
                Column::Truth(cells) => Arc::new(BooleanArray::from(cells.clone())),
                Column::Text(cells) => Arc::new(StringArray::from(cells.clone())),
            };
            (*name, array, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns)
    }
}

#[pymethods]
impl Rounds {
    /// The columns.
    #[getter]
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// One column: an array, or a list of texts. A number that was not measured is NaN.
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let column = self.columns.iter().find(|(known, _)| *known == name);
        let Some((_, column)) = column else {
            let names = self.names().join(", ");
            return Err(PyKeyError::new_err(format!(
                "`{name}`: the columns are {names}"
            )));
        };
        let none = f64::NAN;
        Ok(match column {
            Column::Whole(cells) => match cells.iter().copied().collect::<Option<Vec<i64>>>() {
                Some(whole) => whole.into_pyarray(py).into_any(),
                None => {
                    let cells = cells
                        .iter()
                        .map(|cell| cell.map_or(none, |cell| cell as f64));
                    cells.collect::<Vec<_>>().into_pyarray(py).into_any()
                }
            },
            Column::Number(cells) => {
                let cells = cells.iter().map(|cell| cell.unwrap_or(none));
                cells.collect::<Vec<_>>().into_pyarray(py).into_any()
            }
            Column::Truth(cells) => {
                let cells = cells.iter().map(|cell| cell.unwrap_or(false));
                cells.collect::<Vec<_>>().into_pyarray(py).into_any()
            }
            Column::Text(cells) => cells.into_pyobject(py)?,
        })
    }

    fn __len__(&self) -> usize {
        self.length
    }

    fn __repr__(&self) -> String {
        format!("Rounds({} rows: {})", self.length, self.names().join(", "))
    }

    /// The table as a C stream of Arrow, for pyarrow, polars, DuckDB and whoever else reads one.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A wish that Arrow allows a producer not to follow.
        drop(requested_schema);
        let refused = |error: ArrowError| PyValueError::new_err(error.to_string());
        let batch = self.batch().map_err(refused)?;
        let schema = batch.schema();
        let batches = RecordBatchIterator::new([Ok(batch)], schema);
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }
}
