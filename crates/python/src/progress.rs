//! What is said while a run is on its way.

use std::time::Instant;

use chorus_simulator::{Progress, RoundRow};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::arrays;

/// Whoever listens.
pub enum Listener {
    Nobody,
    /// A function of the round's number, how many there are, and its row.
    Function(Py<PyAny>),
    /// One line that is written over.
    Terminal {
        began: Instant,
    },
    /// One output that is shown anew.
    Notebook {
        began: Instant,
        handle: Option<Py<PyAny>>,
    },
}

impl Listener {
    pub fn of(asked: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(asked) = asked else {
            return Ok(Self::Nobody);
        };
        let began = Instant::now();
        if let Ok(name) = asked.cast::<PyString>() {
            return match name.to_cow()?.as_ref() {
                "terminal" => Ok(Self::Terminal { began }),
                "notebook" => Ok(Self::Notebook {
                    began,
                    handle: None,
                }),
                other => Err(PyValueError::new_err(format!(
                    "progress: expected a function, \"terminal\" or \"notebook\", found {other:?}"
                ))),
            };
        }
        if !asked.is_callable() {
            return Err(PyValueError::new_err(format!(
                "progress: expected a function, \"terminal\" or \"notebook\", found {asked}"
            )));
        }
        Ok(Self::Function(asked.unbind()))
    }

    /// Hears of every round that ends.
    pub fn hear(&mut self, progress: Progress<'_>) -> PyResult<()> {
        let Progress::Ended { round, rounds, row } = progress else {
            return Ok(());
        };
        match self {
            Self::Nobody => Ok(()),
            Self::Function(function) => Python::attach(|py| {
                let row = arrays::plain(py, row)?;
                function.call1(py, (round, rounds, row)).map(drop)
            }),
            Self::Terminal { began } => {
                let end = if round == rounds { "\n" } else { "" };
                let words = format!("\r{:<78}{end}", words(round, rounds, row, *began));
                Python::attach(|py| {
                    let screen = py.import("sys")?.getattr("stderr")?;
                    screen.call_method1("write", (words,))?;
                    screen.call_method0("flush").map(drop)
                })
            }
            Self::Notebook { began, handle } => {
                let words = words(round, rounds, row, *began);
                let page = format!(
                    "<progress max=\"{rounds}\" value=\"{round}\" aria-label=\"rounds\"></progress> {words}"
                );
                Python::attach(|py| show(py, &page, handle))
            }
        }
    }
}

fn show(py: Python<'_>, page: &str, handle: &mut Option<Py<PyAny>>) -> PyResult<()> {
    let display = py.import("IPython.display")?;
    let page = display.call_method1("HTML", (page,))?;
    if let Some(handle) = handle {
        return handle.call_method1(py, "update", (page,)).map(drop);
    }
    let how = PyDict::new(py);
    how.set_item("display_id", true)?;
    let shown = display.call_method("display", (page,), Some(&how))?;
    *handle = Some(shown.unbind());
    Ok(())
}

/// How far, how good, how long still.
fn words(round: usize, rounds: usize, row: &RoundRow, began: Instant) -> String {
    let quality = row.quality.as_ref();
    let quality = quality.map_or(String::new(), |quality| {
        format!(", HR@10 {:.3}", quality.hr_at_10)
    });
    let left =
        began.elapsed().as_secs_f64() / round.max(1) as f64 * rounds.saturating_sub(round) as f64;
    format!(
        "round {round} of {rounds}, {}{quality}, {left:.0} s left",
        row.name
    )
}
