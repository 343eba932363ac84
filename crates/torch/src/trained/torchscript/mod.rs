//! Modules of one's own: checked in plain Rust before libtorch opens them.

mod archive;
mod check;
mod code;
mod pickle;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use chorus_model::{Parameters, ParametersError, TrainError, TrainingSet};
use tch::{CModule, Kind, TchError, Tensor};
use thiserror::Error;

pub use self::check::check_module;
use super::network::{Batch, Declared, Network};
use super::tensors::{Tensors, indices};
use crate::solve::cause;

/// Why a module is not opened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ModuleError {
    /// The archive.
    #[error("the module's archive: {0}")]
    Archive(String),
    /// A source file of it.
    #[error("the module's code `{file}`: {problem}")]
    Code {
        /// The file, with dots.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Its description of the module.
    #[error("the module's data.pkl: {0}")]
    Pickle(String),
    /// A tensor that the plan does not declare.
    #[error("the module holds a tensor that the plan does not declare: {0}")]
    Tensor(String),
    /// A tensor that the module lacks.
    #[error("the plan declares `{0}`, which is no parameter of the module")]
    Missing(String),
    /// A tensor of another shape.
    #[error("the module's tensor `{name}` has the shape {found:?}, which is not the plan's")]
    Shape {
        /// Its name in the plan.
        name: String,
        /// Its shape in the module.
        found: Vec<usize>,
    },
}

/// Steps of an update, at least: so that most of the history is shown while the rest of it is asked for.
const LEAST_STEPS: usize = 4;

/// What is wrong with a module, and what to do.
fn unusable(problem: &str) -> TchError {
    TchError::Convert(format!(
        "{problem}; mend model.py, try it in Python, and export it again with scripts/export_model.py"
    ))
}

/// A TorchScript module: `forward(history [k], candidates [c]) -> scores [c]`.
pub(super) struct Torchscript {
    archive: Vec<u8>,
    /// For each parameter the tensor of the plan.
    tensors: BTreeMap<String, String>,
    /// Opened modules that nobody uses now.
    spare: Spare,
}

type Spare = Arc<Mutex<Vec<CModule>>>;

/// An opened module, on loan from the spare ones.
pub(super) struct Loan {
    module: Option<CModule>,
    spare: Spare,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.extend(self.module.take());
    }
}

impl Torchscript {
    pub fn new(declared: &Declared<'_>, parameters: &Parameters) -> Result<Self, TrainError> {
        let unusable = |problem: String| TrainError::from(ParametersError::Plan(problem));
        let module = parameters
            .module()
            .ok_or_else(|| unusable("the model holds no module".to_owned()))?;
        let checked =
            check::checked(module, declared.0).map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            archive: checked.archive,
            tensors: checked.tensors,
            spare: Spare::default(),
        })
    }
}

impl Network for Torchscript {
    fn least_steps(&self) -> usize {
        LEAST_STEPS
    }

    fn bind(&self, mut shared: Tensors, is_trained: bool) -> Result<Tensors, TchError> {
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let module = match spare {
            Some(module) => module,
            None => CModule::load_data(&mut Cursor::new(&self.archive)).map_err(|error| {
                unusable(&format!(
                    "libtorch cannot open the module: {}",
                    cause(&error)
                ))
            })?,
        };
        for (name, mut parameter) in module.named_parameters()? {
            if let Some(plain) = self.tensors.get(&name) {
                let value = shared.get(plain)?.f_detach()?;
                tch::no_grad(|| parameter.f_set_data(&value))?;
                let parameter = parameter.f_set_requires_grad(is_trained)?;
                shared.set(plain, parameter);
            }
        }
        shared.module = Some(Loan {
            module: Some(module),
            spare: Arc::clone(&self.spare),
        });
        Ok(shared)
    }

    fn scores(
        &self,
        shared: &Tensors,
        _: &Tensor,
        history: &TrainingSet,
        items: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let missing = || TchError::Convert("the module is not open".to_owned());
        let loan = shared.module.as_ref().and_then(|loan| loan.module.as_ref());
        let shown: Vec<u32> = history.sequence().iter().map(|item| item.0).collect();
        let history = indices(&shown)?;
        let scores = loan
            .ok_or_else(missing)?
            .forward_ts(&[history.shallow_clone(), items.shallow_clone()])
            .map_err(|error| {
                unusable(&format!(
                    "`forward` of the module failed for a history of {shown} items and {candidates} candidates: {}",
                    cause(&error),
                    shown = shown.len(),
                    candidates = items.numel(),
                ))
            })?;
        match scores.size() == items.size() && scores.f_kind()? == Kind::Float {
            true => Ok(scores),
            false => Err(unusable(&format!(
                "`forward` of the module gives scores of the shape {:?} for candidates of the shape {:?}, or not in float32",
                scores.size(),
                items.size()
            ))),
        }
    }

    /// The items that are asked for are left out of the history that is shown.
    fn loss(
        &self,
        shared: &Tensors,
        person: &Tensor,
        batch: &Batch<'_>,
    ) -> Result<Option<Tensor>, TchError> {
        let mut shown = batch.history.clone();
        for item in batch.items() {
            shown = shown.without(chorus_model::ItemId(*item));
        }
        match shown.is_empty() {
            true => Ok(None),
            false => batch.loss_by(|items, own| self.scores(shared, person, &shown, items, own)),
        }
    }
}
