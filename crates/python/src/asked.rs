//! What a run is asked for: a dict or a TOML file with the keys of `chorus simulate --config`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use chorus_model::{ModelPlan, TrainedRecipe};
use chorus_protocol::{Task, TaskName};
use chorus_simulator::{Keys, Options, Settings, trained};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};
use serde_json::{Number, Value};

use crate::dataset::{self, Dataset};

/// Keys of the command that say where something goes, and what there is instead.
const OF_THE_COMMAND: [(&str, &str); 10] = [
    ("checkpoint", "runs in Python have no folder"),
    ("config", "give the file itself instead of a dict"),
    ("json", "take `run.figures`"),
    ("out", "runs in Python have no folder"),
    ("repeat", "runs in Python have no folder"),
    ("report", "take `run.report_html()`"),
    ("resume", "runs in Python have no folder"),
    ("save-model", "take `run.save_model(path)`"),
    ("scores", "take `run.scores()`"),
    ("sweep", "call `chorus.simulate` once for each value"),
];

/// A run that was checked.
pub struct Asked {
    pub task: Task,
    pub options: Options,
    pub dataset: Arc<chorus_data::Dataset>,
    pub threads: Option<usize>,
}

impl Asked {
    pub fn of(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (keys, given) = match (config.cast::<PyMapping>(), config.extract::<PathBuf>()) {
            (Ok(config), _) => keys(config)?,
            (_, Ok(path)) => (file(&path)?, None),
            _ => {
                let problem =
                    format!("config: expected a dict or the path of a TOML file, found {config}");
                return Err(PyTypeError::new_err(problem));
            }
        };
        let settings = settings(keys)?;
        // Said before data is read, which takes a while.
        settings.privacy().map_err(refused)?;
        let dataset = match (given, &settings.data) {
            (Some(dataset), _) => dataset,
            (None, Some(path)) => {
                let py = config.py();
                Arc::new(
                    py.detach(|| chorus_data::read(path))
                        .map_err(dataset::refused)?,
                )
            }
            (None, None) => {
                return Err(PyValueError::new_err(
                    "`data` is missing: give the path of a data set, or a `chorus.Dataset`",
                ));
            }
        };
        let dataset = match settings.copies {
            1 => dataset,
            copies => Arc::new(dataset.repeated(copies).map_err(dataset::refused)?),
        };
        let recipe = settings.model.as_deref().map(|path| recipe(path, &dataset));
        let name = TaskName::try_from("simulated".to_owned()).map_err(PyValueError::new_err)?;
        let prepared = settings.prepare(name, &dataset, recipe.transpose()?);
        let (task, options) = prepared.map_err(refused)?;
        Ok(Self {
            task,
            options,
            dataset,
            threads: settings.threads,
        })
    }
}

fn refused(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn settings(keys: Keys) -> PyResult<Settings> {
    for (key, instead) in OF_THE_COMMAND {
        if keys.contains_key(key) {
            let problem =
                format!("`{key}` is of the command `chorus simulate`: leave it out; {instead}");
            return Err(PyValueError::new_err(problem));
        }
    }
    Settings::of(&keys).map_err(refused)
}

fn file(path: &Path) -> PyResult<Keys> {
    let text = text(path)?;
    toml::from_str(&text).map_err(|error| in_file(path, &error))
}

fn text(path: &Path) -> PyResult<String> {
    let unread = |error: io::Error| {
        let problem = format!("cannot read {}: {error}", path.display());
        PyErr::from(io::Error::new(error.kind(), problem))
    };
    fs::read_to_string(path).map_err(unread)
}

fn in_file(path: &Path, error: &impl ToString) -> PyErr {
    let problem = error.to_string();
    PyValueError::new_err(format!("{}: {}", path.display(), problem.trim()))
}

/// The keys, and the data set where it stands among them itself.
fn keys(config: &Bound<'_, PyMapping>) -> PyResult<(Keys, Option<Arc<chorus_data::Dataset>>)> {
    let (mut keys, mut data) = (Keys::new(), None);
    for pair in config.items()?.try_iter()? {
        let (key, given): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
        let key: String = key.extract().map_err(|_| {
            PyTypeError::new_err(format!("a key is a text such as \"epsilon\", not {key}"))
        })?;
        match given.cast::<Dataset>() {
            Ok(dataset) if key == "data" => data = Some(dataset.get().shared()),
            // What nobody decided.
            _ if given.is_none() => {}
            _ => {
                let value = value(&given).ok_or_else(|| {
                    PyTypeError::new_err(format!(
                        "`{key}`: expected a number, a text, or true or false, found {given}"
                    ))
                })?;
                keys.insert(key, value);
            }
        }
    }
    Ok((keys, data))
}

fn value(given: &Bound<'_, PyAny>) -> Option<Value> {
    if let Ok(text) = given.cast::<PyString>() {
        return text.extract().ok().map(Value::String);
    }
    if let Ok(flag) = given.extract::<bool>() {
        return Some(Value::Bool(flag));
    }
    if let Ok(number) = given.extract::<u64>() {
        return Some(Value::from(number));
    }
    if let Ok(number) = given.extract::<i64>() {
        return Some(Value::from(number));
    }
    if let Ok(number) = given.extract::<f64>() {
        // JSON has no number for what is infinite or none.
        let plain = Number::from_f64(number).map(Value::Number);
        return plain.or_else(|| Some(Value::String(number.to_string())));
    }
    let path: PathBuf = given.extract().ok()?;
    path.to_str().map(|path| Value::String(path.to_owned()))
}

/// The recipe of the plan in a file, or in `model.toml` in a folder.
fn recipe(path: &Path, dataset: &chorus_data::Dataset) -> PyResult<TrainedRecipe> {
    let file = match path.is_dir() {
        true => path.join("model.toml"),
        false => path.to_path_buf(),
    };
    let plan = toml::from_str(&text(&file)?);
    let plan: ModelPlan = plan.map_err(|error| in_file(&file, &error))?;
    plan.validate().map_err(|error| in_file(&file, &error))?;
    if plan.module.is_some() {
        let problem = "a TorchScript module needs libtorch, which this package is built without: take the command `chorus simulate`";
        return Err(in_file(&file, &problem));
    }
    Ok(trained(plan, None, dataset, 1))
}
