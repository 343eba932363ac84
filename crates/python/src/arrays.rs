//! Memory that moves into NumPy, and what comes back from there.

use chorus_model::{Parameters, Tensor};
use numpy::ndarray::ArrayD;
use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};
use serde::Serialize;

/// Moves a list into NumPy, where nobody can write to it.
pub fn list<T: Element>(py: Python<'_>, values: Vec<T>) -> PyResult<Py<PyArray1<T>>> {
    let array = PyArray1::from_vec(py, values);
    read_only(&array)?;
    Ok(array.unbind())
}

/// Moves tensors into NumPy, where nobody can write to them.
pub fn tensors<'py>(py: Python<'py>, parameters: Parameters) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    for (name, tensor) in parameters.into_tensors() {
        all.set_item(name, moved(py, tensor)?)?;
    }
    Ok(all)
}

fn moved(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyArrayDyn<f32>>> {
    let array = ArrayD::from_shape_vec(tensor.shape, tensor.values);
    let array = array.map_err(|error| PyValueError::new_err(error.to_string()))?;
    let array = array.into_pyarray(py);
    read_only(&array)?;
    Ok(array)
}

fn read_only(array: &Bound<'_, PyAny>) -> PyResult<()> {
    let how = PyDict::new(array.py());
    how.set_item("write", false)?;
    array.call_method("setflags", (), Some(&how))?;
    Ok(())
}

/// The tensor that an array is, whatever numbers it holds.
pub fn tensor(name: &str, array: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let py = array.py();
    let numpy = py.import("numpy")?;
    let array = numpy.call_method1("ascontiguousarray", (array, "float32"));
    let array = array.map_err(|error| refused(py, name, &error))?;
    let array: PyReadonlyArrayDyn<'_, f32> = array.extract()?;
    Ok(Tensor {
        shape: array.shape().to_vec(),
        values: array.to_vec()?,
    })
}

fn refused(py: Python<'_>, name: &str, error: &PyErr) -> PyErr {
    PyTypeError::new_err(format!(
        "tensor `{name}`: expected numbers: {}",
        error.value(py)
    ))
}

/// `frame` with the tensors of a mapping.
pub fn parameters(frame: &Parameters, arrays: &Bound<'_, PyMapping>) -> PyResult<Parameters> {
    let mut parameters = frame.clone();
    for pair in arrays.items()?.try_iter()? {
        let (name, array): (String, Bound<'_, PyAny>) = pair?.extract()?;
        parameters.set(&name, tensor(&name, &array)?);
    }
    Ok(parameters)
}

/// The whole numbers of an array or a list.
pub fn numbers(what: &str, array: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    let numpy = array.py().import("numpy")?;
    let array = numpy.call_method1("asarray", (array,))?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let axes: usize = array.getattr("ndim")?.extract()?;
    let is_empty = array.getattr("size")?.extract::<usize>()? == 0;
    if axes != 1 || !(is_empty || kind == "i" || kind == "u") {
        let shown = array.getattr("dtype")?;
        return Err(PyTypeError::new_err(format!(
            "{what}: expected one row of whole numbers, found {axes} axes of {shown}"
        )));
    }
    let array = array.call_method1("astype", ("int64",))?;
    Ok(array.cast::<PyArray1<i64>>()?.readonly().to_vec()?)
}

/// What is written as JSON, in the types of Python.
pub fn plain<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| PyValueError::new_err(error.to_string()))?;
    py.import("json")?.call_method1("loads", (text,))
}
