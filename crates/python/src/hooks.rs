//! Functions in Python that decide instead of the product.

use chorus_model::Parameters;
use chorus_simulator::{Draw, HookError, Hooks, ServerStep};
use numpy::IntoPyArray;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::arrays;

/// Either may be left out.
pub struct Functions {
    pub sampler: Option<Py<PyAny>>,
    pub server_step: Option<Py<PyAny>>,
}

impl Functions {
    pub fn are_none(&self) -> bool {
        self.sampler.is_none() && self.server_step.is_none()
    }
}

impl Hooks for Functions {
    fn sample(&mut self, draw: Draw<'_>) -> Result<Option<Vec<usize>>, HookError> {
        let Some(sampler) = &self.sampler else {
            return Ok(None);
        };
        Python::attach(|py| {
            let given = sampler.call1(py, (draw.round, draw.population, draw.size))?;
            let given = given.into_bound(py);
            if given.is_none() {
                return Ok(None);
            }
            let numbers = arrays::numbers("sampler", &given)?.into_iter();
            let clients = numbers.map(|number| {
                let below =
                    || PyValueError::new_err(format!("sampler: there is no client {number}"));
                usize::try_from(number).map_err(|_| below())
            });
            Ok(Some(clients.collect::<PyResult<_>>()?))
        })
        .map_err(|error: PyErr| error.into())
    }

    fn step(&mut self, step: ServerStep<'_>) -> Result<Option<Parameters>, HookError> {
        let Some(server_step) = &self.server_step else {
            return Ok(None);
        };
        Python::attach(|py| {
            let clients = step.delta.clients.max(1) as f64;
            let mean = step.delta.sum.iter().map(|sum| sum / clients);
            let mean = mean.collect::<Vec<f64>>().into_pyarray(py);
            let row = arrays::plain(py, step.row)?;
            row.set_item("step", arrays::plain(py, &step.sum.step)?)?;
            row.set_item("clients", step.delta.clients)?;
            row.set_item("noise", step.delta.noise / clients)?;
            row.set_item("proposed", arrays::tensors(py, step.after.clone())?)?;
            let before = arrays::tensors(py, step.before)?;
            let given = server_step.call1(py, (before, mean, row))?.into_bound(py);
            if given.is_none() {
                return Ok(None);
            }
            let Ok(given) = given.cast::<PyMapping>() else {
                let kind = given.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "server_step: expected a dict of arrays, or None for the product's own step, found {kind}"
                )));
            };
            arrays::parameters(step.after, given).map(Some)
        })
        .map_err(|error: PyErr| error.into())
    }
}
