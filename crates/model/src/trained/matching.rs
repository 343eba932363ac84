use sha2::{Digest, Sha256};

use super::{ModelPlan, source};
use crate::{Parameters, ParametersError};

/// What a plan calls a module: its SHA-256 as text.
pub(super) fn digest_of(module: &[u8]) -> String {
    source::digits(&Sha256::digest(module))
}

impl ModelPlan {
    /// Checks that a published model is one of this plan: every declared tensor in its shape, `counts`, with adaptive clipping
    /// `clip`, and nothing else. Gives the size of its catalogue.
    ///
    /// # Errors
    /// A plan that is not valid; the first tensor that is missing, has another shape or is not declared.
    pub fn matches(&self, parameters: &Parameters) -> Result<usize, ParametersError> {
        self.validate()
            .map_err(|error| ParametersError::Plan(error.to_string()))?;
        if parameters.module().map(digest_of) != self.module {
            let problem = "the model does not hold the module that its plan names";
            return Err(ParametersError::Plan(problem.to_owned()));
        }
        let items = match parameters.require("counts")?.shape.as_slice() {
            [items] if (1..=1 << 24).contains(items) => *items,
            shape => {
                return Err(ParametersError::Mismatch {
                    name: "counts".to_owned(),
                    expected: vec![1],
                    found: shape.to_vec(),
                });
            }
        };
        let clip = self.adaptive.map(|_| ("clip", vec![self.groups.len()]));
        let declared: Vec<(&str, Vec<usize>)> = self
            .tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.resolved(items)))
            .chain([("counts", vec![items])])
            .chain(clip)
            .collect();
        for (name, shape) in &declared {
            let found = parameters.require(name)?;
            if &found.shape != shape {
                return Err(ParametersError::Mismatch {
                    name: (*name).to_owned(),
                    expected: shape.clone(),
                    found: found.shape.clone(),
                });
            }
        }
        let is_declared = |name: &str| declared.iter().any(|(declared, _)| *declared == name);
        match parameters.iter().find(|(name, _)| !is_declared(name)) {
            Some((name, _)) => Err(ParametersError::Undeclared(name.to_owned())),
            None => Ok(items),
        }
    }
}
