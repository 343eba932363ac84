//! Data sets, and their arrays.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chorus_data::{DataError, Synthesis};
use numpy::PyArray1;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PySlice;

use crate::arrays;

/// Events that fit into the memory of a large machine.
const MOST_EVENTS: usize = 250_000_000;

/// A population: what each user touched, and what was held out to measure a model with.
#[pyclass(frozen, module = "chorus")]
pub struct Dataset {
    shared: Arc<chorus_data::Dataset>,
    arrays: PyOnceLock<Arrays>,
}

/// One entry an event, but for `offsets` and `held_out`. They are made once; whatever is cut from them keeps them alive.
struct Arrays {
    users: Py<PyArray1<u32>>,
    items: Py<PyArray1<u32>>,
    times: Option<Py<PyArray1<i64>>>,
    offsets: Py<PyArray1<i64>>,
    held_out: Py<PyArray1<i64>>,
}

impl Arrays {
    fn of(py: Python<'_>, dataset: &chorus_data::Dataset) -> PyResult<Self> {
        let events = dataset.histories.iter().map(Vec::len).sum();
        let (mut users, mut items) = (Vec::with_capacity(events), Vec::with_capacity(events));
        let mut offsets = vec![0];
        for (user, history) in (0_u32..).zip(&dataset.histories) {
            items.extend(history.iter().map(|item| item.0));
            users.resize(items.len(), user);
            offsets.push(items.len() as i64);
        }
        let held_out = dataset.cases.iter().map(|held| {
            let held = held.as_ref();
            held.map_or(-1, |held| i64::from(held.positive.0))
        });
        let times = dataset.times.as_ref().map(|times| times.concat());
        Ok(Self {
            users: arrays::list(py, users)?,
            items: arrays::list(py, items)?,
            times: times.map(|times| arrays::list(py, times)).transpose()?,
            offsets: arrays::list(py, offsets)?,
            held_out: arrays::list(py, held_out.collect())?,
        })
    }
}

impl Dataset {
    fn new(dataset: chorus_data::Dataset) -> Self {
        Self {
            shared: Arc::new(dataset),
            arrays: PyOnceLock::new(),
        }
    }

    /// The data itself.
    pub fn shared(&self) -> Arc<chorus_data::Dataset> {
        Arc::clone(&self.shared)
    }

    fn arrays(&self, py: Python<'_>) -> PyResult<&Arrays> {
        self.arrays
            .get_or_try_init(py, || Arrays::of(py, &self.shared))
    }
}

#[pymethods]
impl Dataset {
    /// What to call it.
    #[getter]
    fn name(&self) -> &str {
        &self.shared.name
    }

    /// How many users.
    #[getter]
    fn user_count(&self) -> usize {
        self.shared.users()
    }

    /// How many items.
    #[getter]
    fn item_count(&self) -> usize {
        self.shared.items
    }

    /// The user of each event of a training history, ascending.
    #[getter]
    fn users(&self, py: Python<'_>) -> PyResult<Py<PyArray1<u32>>> {
        Ok(self.arrays(py)?.users.clone_ref(py))
    }

    /// The item of each event, within a user the latest last.
    #[getter]
    fn items(&self, py: Python<'_>) -> PyResult<Py<PyArray1<u32>>> {
        Ok(self.arrays(py)?.items.clone_ref(py))
    }

    /// When each event was, in milliseconds since 1970; None where the source has no times.
    #[getter]
    fn times(&self, py: Python<'_>) -> PyResult<Option<Py<PyArray1<i64>>>> {
        let times = self.arrays(py)?.times.as_ref();
        Ok(times.map(|times| times.clone_ref(py)))
    }

    /// Where each user's events begin in `users`, `items` and `times`, and after the last where they end.
    #[getter]
    fn offsets(&self, py: Python<'_>) -> PyResult<Py<PyArray1<i64>>> {
        Ok(self.arrays(py)?.offsets.clone_ref(py))
    }

    /// The item that was held out of each user's history; -1 where none was.
    #[getter]
    fn held_out(&self, py: Python<'_>) -> PyResult<Py<PyArray1<i64>>> {
        Ok(self.arrays(py)?.held_out.clone_ref(py))
    }

    /// The title of each item; None where titles are not known.
    #[getter]
    fn titles(&self) -> Option<Vec<String>> {
        self.shared.titles.clone()
    }

    /// The items of one user, the latest last: a view of `items`.
    fn history<'py>(&self, py: Python<'py>, user: usize) -> PyResult<Bound<'py, PyAny>> {
        let histories = &self.shared.histories;
        let Some(history) = histories.get(user) else {
            let problem = format!(
                "user {user}: they are numbered from 0 to {}",
                histories.len() - 1
            );
            return Err(PyIndexError::new_err(problem));
        };
        let arrays = self.arrays(py)?;
        let begin: isize = arrays.offsets.bind(py).get_item(user)?.extract()?;
        let part = PySlice::new(py, begin, begin + history.len() as isize, 1);
        arrays.items.bind(py).get_item(part)
    }

    fn __len__(&self) -> usize {
        self.shared.users()
    }

    fn __repr__(&self) -> String {
        let dataset = &self.shared;
        let events: usize = dataset.histories.iter().map(Vec::len).sum();
        format!(
            "Dataset({:?}, {} users, {} items, {events} events)",
            dataset.name,
            dataset.users(),
            dataset.items
        )
    }
}

/// Reads a data set in any layout that the command reads: a folder, or one file of events.
#[pyfunction]
pub fn read(py: Python<'_>, path: PathBuf) -> PyResult<Dataset> {
    let dataset = py.detach(|| chorus_data::read(&path));
    Ok(Dataset::new(dataset.map_err(refused)?))
}

/// What the data cannot be used for: no such file, or a line that is not what it should be.
pub fn refused(error: DataError) -> PyErr {
    let sentence = error.to_string();
    match error {
        DataError::Unreadable { source, .. } => io::Error::new(source.kind(), sentence).into(),
        _ => PyValueError::new_err(sentence),
    }
}

/// Makes up a population with tastes. The same seed gives the same one.
#[pyfunction]
#[pyo3(signature = (*, users=400, items=240, tastes=None, mean_history=None, skew=1.0, drift=0.0, seed=1))]
#[expect(
    clippy::too_many_arguments,
    reason = "in Python each is a keyword of its own"
)]
pub fn synthesise(
    py: Python<'_>,
    users: usize,
    items: usize,
    tastes: Option<usize>,
    mean_history: Option<usize>,
    skew: f64,
    drift: f64,
    seed: u64,
) -> PyResult<Dataset> {
    let usual = Synthesis::default();
    let tastes = tastes.unwrap_or(usual.tastes.min(items / 10));
    let mean_history = mean_history.unwrap_or(usual.mean_history.min(items / 4));
    let within = [
        ("users", users, 1, 1 << 22),
        ("items", items, 20, 1 << 24),
        ("tastes", tastes, 1, items / 10),
        ("mean_history", mean_history, 4, items / 4),
        (
            "users times mean_history",
            users.saturating_mul(mean_history),
            1,
            MOST_EVENTS,
        ),
    ];
    for (name, value, least, most) in within {
        if !(least..=most).contains(&value) {
            let problem = format!("{name} is {value}, and must lie within {least} and {most}");
            return Err(PyValueError::new_err(problem));
        }
    }
    for (name, value, most) in [("skew", skew, 4.0), ("drift", drift, 1.0)] {
        if !(0.0..=most).contains(&value) {
            let problem = format!("{name} is {value}, and must lie within 0 and {most}");
            return Err(PyValueError::new_err(problem));
        }
    }
    let synthesis = Synthesis {
        users,
        items,
        tastes,
        seed,
        mean_history,
        skew,
        drift,
    };
    Ok(Dataset::new(
        py.detach(|| chorus_data::synthesise(&synthesis)),
    ))
}
