use std::collections::BTreeMap;

use chorus_model::{Parameters, TrainError};
use tch::{Kind, TchError, Tensor};

use super::torchscript::Loan;
use crate::solve::numeric;

/// Tensors by name: those that are published, or one client's copies of them.
pub(super) struct Tensors {
    all: BTreeMap<String, Tensor>,
    /// The module that some of them are parameters of, while it is used.
    pub module: Option<Loan>,
}

impl Tensors {
    /// Every tensor of a model, in the width that is computed in.
    pub fn published(parameters: &Parameters, kind: Kind) -> Result<Self, TchError> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in parameters.iter() {
            let shape: Vec<i64> = tensor.shape.iter().map(|number| *number as i64).collect();
            let values = Tensor::f_from_slice(&tensor.values)?
                .f_reshape(shape)?
                .f_to_kind(kind)?;
            tensors.insert(name.to_owned(), values);
        }
        let module = None;
        Ok(Self {
            all: tensors,
            module,
        })
    }

    /// Handles to the same values: libtorch counts references, so nothing is copied.
    pub fn handles(&self) -> Self {
        let handle = |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.shallow_clone());
        Self {
            all: self.all.iter().map(handle).collect(),
            module: None,
        }
    }

    /// The same with copies of the tensors `names`, which gradients are taken by.
    pub fn trained<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Self, TchError> {
        let mut tensors = self.handles();
        for name in names {
            let published = self.get(name)?;
            let mut copy = published.f_empty_like()?;
            copy.f_copy_(published)?;
            tensors.set(name, copy.f_set_requires_grad(true)?);
        }
        Ok(tensors)
    }

    /// The tensor `name`.
    pub fn get(&self, name: &str) -> Result<&Tensor, TchError> {
        let missing = || TchError::Convert(format!("the model has no tensor `{name}`"));
        self.all.get(name).ok_or_else(missing)
    }

    /// The tensor `name`, where the model has it.
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.all.get(name)
    }

    /// Adds or replaces a tensor.
    pub fn set(&mut self, name: &str, tensor: Tensor) {
        self.all.insert(name.to_owned(), tensor);
    }
}

/// The values of a tensor of any shape, row-major, f32.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f32>, TrainError> {
    let flat = tensor
        .f_detach()
        .and_then(|tensor| tensor.f_to_kind(Kind::Float))
        .and_then(|tensor| tensor.f_contiguous())
        .and_then(|tensor| tensor.f_view([-1]))
        .map_err(numeric)?;
    Vec::<f32>::try_from(&flat).map_err(numeric)
}

/// An index tensor.
pub(super) fn indices(items: &[u32]) -> Result<Tensor, TchError> {
    let wide: Vec<i64> = items.iter().copied().map(i64::from).collect();
    Tensor::f_from_slice(&wide)
}
