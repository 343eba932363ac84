//! A simulation, and what it gives.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use chorus_model::{Direct, Parameters};
use chorus_simulator::{SimulateError, Simulation};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyMappingProxy};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::arrays;
use crate::asked::Asked;
use crate::hooks::Functions;
use crate::progress::Listener;
use crate::rounds::Rounds;

/// What a simulation gave: a model, its figures and a report.
#[pyclass(frozen, module = "chorus")]
pub struct Run {
    /// Without the tensors, which moved into NumPy.
    run: chorus_simulator::Run,
    parameters: Py<PyDict>,
    rounds: Py<Rounds>,
    dataset: Arc<chorus_data::Dataset>,
}

impl Run {
    fn new(
        py: Python<'_>,
        mut run: chorus_simulator::Run,
        dataset: Arc<chorus_data::Dataset>,
    ) -> PyResult<Self> {
        let mut frame = Parameters::default();
        if let Some(plan) = run.parameters.plan() {
            frame.set_plan(plan.clone());
        }
        let parameters = std::mem::replace(&mut run.parameters, frame);
        Ok(Self {
            parameters: arrays::tensors(py, parameters)?.unbind(),
            rounds: Py::new(py, Rounds::of(&run.rounds))?,
            run,
            dataset,
        })
    }

    fn model(&self, py: Python<'_>) -> PyResult<Parameters> {
        let arrays = self.parameters.bind(py).as_mapping();
        arrays::parameters(&self.run.parameters, arrays)
    }
}

#[pymethods]
impl Run {
    /// What was measured: the keys of `chorus simulate --json`.
    #[getter]
    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arrays::plain(py, &self.run.figures)
    }

    /// One row a round.
    #[getter]
    fn rounds(&self, py: Python<'_>) -> Py<Rounds> {
        self.rounds.clone_ref(py)
    }

    /// The last model: read-only arrays by name.
    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> Bound<'py, PyMappingProxy> {
        let arrays: &Bound<'py, PyMapping> = self.parameters.bind(py).as_mapping();
        PyMappingProxy::new(py, arrays)
    }

    /// What protects the clients of such a task, in words.
    #[getter]
    fn guarantee(&self) -> &str {
        &self.run.guarantee
    }

    /// Against whom, in words.
    #[getter]
    fn trust(&self) -> &str {
        &self.run.trust
    }

    /// Every user's score for every item.
    fn scores<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let model = self.model(py)?;
        let shape = (self.dataset.users(), self.dataset.items);
        let mut scores = Scores(Vec::with_capacity(shape.0.saturating_mul(shape.1)));
        py.detach(|| chorus_simulator::scores(&model, &self.dataset, &Direct, &mut scores))
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let scores = Array2::from_shape_vec(shape, scores.0);
        let scores = scores.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(scores.into_pyarray(py))
    }

    /// Writes the model as a safetensors file, for `chorus evaluate --model`.
    fn save_model(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let model = self.model(py)?.to_bytes();
        let model = model.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(std::fs::write(path, model)?)
    }

    /// The report: one HTML page that needs nothing else.
    fn report_html(&self) -> String {
        self.run.report().to_html()
    }

    /// The report in a frame of its own, whose style touches nothing else of a notebook.
    fn _repr_html_(&self) -> String {
        let page = self
            .report_html()
            .replace('&', "&amp;")
            .replace('"', "&quot;");
        format!(
            "<iframe title=\"report\" style=\"width:100%;height:40em;border:0\" srcdoc=\"{page}\"></iframe>"
        )
    }

    fn __repr__(&self) -> String {
        let figures = &self.run.figures;
        let epsilon = figures.epsilon.map_or("no noise".to_owned(), |epsilon| {
            format!("epsilon {epsilon:.2}")
        });
        format!(
            "Run({:?}, {} clients, {} rounds, {epsilon}, HR@10 {:.3}, NDCG@10 {:.3})",
            figures.data, figures.clients, figures.rounds, figures.hr_at_10, figures.ndcg_at_10
        )
    }
}

/// Scores as they are written: little-endian f32, whole rows.
struct Scores(Vec<f32>);

impl Write for Scores {
    fn write(&mut self, row: &[u8]) -> io::Result<usize> {
        let (scores, _) = row.as_chunks::<4>();
        self.0
            .extend(scores.iter().map(|score| f32::from_le_bytes(*score)));
        Ok(scores.len() * 4)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Simulates a federation: `config` is a dict with the keys of `chorus simulate --config`, or the path of such a file.
#[pyfunction]
#[pyo3(signature = (config, progress=None, server_step=None, sampler=None))]
pub fn simulate(
    py: Python<'_>,
    config: &Bound<'_, PyAny>,
    progress: Option<Bound<'_, PyAny>>,
    server_step: Option<Py<PyAny>>,
    sampler: Option<Py<PyAny>>,
) -> PyResult<Run> {
    let mut listener = Listener::of(progress)?;
    let functions = Functions {
        sampler,
        server_step,
    };
    let asked = Asked::of(config)?;
    let pool = asked
        .threads
        .map(|threads| ThreadPoolBuilder::new().num_threads(threads).build());
    let pool = pool
        .transpose()
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let run = py.detach(|| learned(&asked, functions, &mut listener, pool.as_ref()))?;
    Run::new(py, run, asked.dataset)
}

/// Sum by sum, so that Ctrl-C is heard between two of them.
fn learned(
    asked: &Asked,
    mut functions: Functions,
    listener: &mut Listener,
    pool: Option<&ThreadPool>,
) -> PyResult<chorus_simulator::Run> {
    let Asked {
        task,
        dataset,
        options,
        ..
    } = asked;
    let mut simulation =
        Simulation::new(task, dataset, &Direct, options.clone()).map_err(refused)?;
    if !functions.are_none() {
        simulation = simulation.with_hooks(&mut functions);
    }
    while simulation.goes_on() {
        let mut said = Ok(());
        let mut sum = || {
            simulation.sum(&mut |progress| {
                if said.is_ok() {
                    said = listener.hear(progress);
                }
            })
        };
        match pool {
            Some(pool) => pool.install(sum),
            None => sum(),
        }
        .map_err(refused)?;
        said?;
        // Signals are heard by the thread that Python began with, which is this one.
        Python::attach(|py| py.check_signals())?;
    }
    simulation.end().map_err(refused)
}

/// What a hook raised goes on as it was raised.
fn refused(error: SimulateError) -> PyErr {
    match error {
        SimulateError::Hook(raised) => match raised.downcast::<PyErr>() {
            Ok(raised) => *raised,
            Err(other) => PyRuntimeError::new_err(other.to_string()),
        },
        SimulateError::Sampler { .. } | SimulateError::ServerStep { .. } => {
            PyValueError::new_err(error.to_string())
        }
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}
