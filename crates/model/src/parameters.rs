use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use thiserror::Error;

use crate::ModelPlan;

/// Where a model file keeps the plan.
const PLAN: &str = "plan";
/// The name of the bytes of a TorchScript module in a model file.
const MODULE: &str = "module";

/// A dense row-major f32 array.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its shape; the product of it is the length of `values`.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

impl Tensor {
    /// A tensor of `shape`.
    ///
    /// # Errors
    /// When the number of values is not the product of the shape.
    pub fn new(name: &str, shape: &[usize], values: Vec<f32>) -> Result<Self, ParametersError> {
        let expected: usize = shape.iter().product();
        if expected != values.len() {
            return Err(ParametersError::Shape {
                name: name.to_owned(),
                shape: shape.to_vec(),
                found: values.len(),
            });
        }
        Ok(Self {
            shape: shape.to_vec(),
            values,
        })
    }
}

/// The shared model: named tensors. On disk and on the wire it is a safetensors file, whose metadata hold the plan of a
/// trained model as canonical JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    plan: Option<Arc<ModelPlan>>,
    module: Option<Arc<Vec<u8>>>,
}

/// A model file that cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ParametersError {
    /// Not a safetensors file, or a damaged one.
    #[error("the model is not a readable safetensors file: {0}")]
    File(String),
    /// A tensor of another type than f32.
    #[error("tensor `{name}` has type {found}; models hold F32")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor whose values do not fill its shape.
    #[error("tensor `{name}` of shape {shape:?} holds {found} values")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape it should fill.
        shape: Vec<usize>,
        /// The values it holds.
        found: usize,
    },
    /// A tensor that the step needs and the model does not hold.
    #[error("the model has no tensor `{0}`, which this step needs")]
    Missing(String),
    /// A tensor of another shape than the model's plan says.
    #[error("tensor `{name}` has the shape {found:?}; the model's plan says {expected:?}")]
    Mismatch {
        /// The tensor.
        name: String,
        /// What the plan says.
        expected: Vec<usize>,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// A tensor that the model's plan does not declare.
    #[error("the model holds a tensor `{0}`, which its plan does not declare")]
    Undeclared(String),
    /// A plan that cannot be used.
    #[error("the model's plan cannot be used: {0}")]
    Plan(String),
    /// A value that is NaN or infinite.
    #[error("tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
}

impl Parameters {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// When the bytes are no safetensors file, a tensor is not F32 or not finite, or there is a plan that is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParametersError> {
        let file =
            SafeTensors::deserialize(bytes).map_err(|e| ParametersError::File(e.to_string()))?;
        let (mut tensors, mut module) = (BTreeMap::new(), None);
        for (name, view) in file.tensors() {
            if name == MODULE && view.dtype() == Dtype::U8 {
                module = Some(Arc::new(view.data().to_vec()));
                continue;
            }
            if view.dtype() != Dtype::F32 {
                return Err(ParametersError::Type {
                    name,
                    found: format!("{:?}", view.dtype()),
                });
            }
            let values: Vec<f32> = view
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(ParametersError::NotFinite(name));
            }
            let tensor = Tensor::new(&name, view.shape(), values)?;
            tensors.insert(name, tensor);
        }
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|e| ParametersError::File(e.to_string()))?;
        let plan = metadata.metadata().as_ref().and_then(|all| all.get(PLAN));
        let plan = plan
            .map(|text| serde_json::from_str(text))
            .transpose()
            .map_err(|e| ParametersError::Plan(e.to_string()))?;
        Ok(Self {
            tensors,
            plan: plan.map(Arc::new),
            module,
        })
    }

    /// Writes a safetensors file. The same parameters give the same bytes.
    ///
    /// # Errors
    /// When the tensors cannot be laid out as a safetensors file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ParametersError> {
        let data: Vec<(&str, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let bytes = tensor
                    .values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                (name.as_str(), tensor.shape.as_slice(), bytes)
            })
            .collect();
        let mut views = data
            .iter()
            .map(|(name, shape, bytes)| {
                TensorView::new(Dtype::F32, shape.to_vec(), bytes)
                    .map(|view| (*name, view))
                    .map_err(|e| ParametersError::File(e.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(module) = &self.module {
            let view = TensorView::new(Dtype::U8, vec![module.len()], module)
                .map_err(|e| ParametersError::File(e.to_string()))?;
            views.push((MODULE, view));
        }
        // One entry at most, so a map without an order gives the same bytes each time.
        let metadata = self
            .plan
            .as_ref()
            .map(|plan| plan.to_json())
            .transpose()
            .map_err(|e| ParametersError::Plan(e.to_string()))?
            .map(|text| HashMap::from([(PLAN.to_owned(), text)]));
        safetensors::serialize(views, metadata).map_err(|e| ParametersError::File(e.to_string()))
    }

    /// The plan that the model was trained by; nothing for a model of another recipe than `trained`.
    pub fn plan(&self) -> Option<&ModelPlan> {
        self.plan.as_deref()
    }

    /// Makes it a model of this plan.
    pub fn set_plan(&mut self, plan: ModelPlan) {
        self.plan = Some(Arc::new(plan));
    }

    /// The TorchScript module of a model that has one. Nobody has checked it: its plan names its SHA-256, and
    /// `chorus_torch::check_module` reads it before libtorch does.
    pub fn module(&self) -> Option<&[u8]> {
        self.module.as_deref().map(Vec::as_slice)
    }

    /// Gives the model a TorchScript module, an archive.
    pub fn set_module(&mut self, module: Vec<u8>) {
        self.module = Some(Arc::new(module));
    }

    /// Items in the catalogue of the model.
    ///
    /// # Errors
    /// When it has no tensor that says so.
    pub fn items(&self) -> Result<usize, ParametersError> {
        let name = if self.plan.is_some() {
            "counts"
        } else {
            "items"
        };
        let rows = self.require(name)?.shape.first().copied();
        rows.ok_or_else(|| ParametersError::Missing(name.to_owned()))
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn require(&self, name: &str) -> Result<&Tensor, ParametersError> {
        self.get(name)
            .ok_or_else(|| ParametersError::Missing(name.to_owned()))
    }

    /// The single value of the tensor `[1]` called `name`.
    ///
    /// # Errors
    /// When there is no such tensor or it holds another number of values.
    pub fn scalar(&self, name: &str) -> Result<f32, ParametersError> {
        let tensor = self.require(name)?;
        match tensor.values.as_slice() {
            [value] => Ok(*value),
            values => Err(ParametersError::Shape {
                name: name.to_owned(),
                shape: vec![1],
                found: values.len(),
            }),
        }
    }

    /// Adds or replaces a tensor.
    pub fn set(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    /// Adds or replaces a tensor `[1]`.
    pub fn set_scalar(&mut self, name: &str, value: f32) {
        self.set(
            name,
            Tensor {
                shape: vec![1],
                values: vec![value],
            },
        );
    }

    /// The values of the tensor called `name`, to be changed where they are: a large table is not copied for a few rows.
    pub(crate) fn values_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let tensor = self.tensors.get_mut(name)?;
        Some(&mut tensor.values)
    }

    /// Takes a tensor away; nothing happens when there is none.
    pub fn remove(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    /// Every tensor with its name, in the order of the names, without a copy.
    pub fn into_tensors(self) -> impl Iterator<Item = (String, Tensor)> {
        self.tensors.into_iter()
    }

    /// Every tensor with its name, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }
}
