use chorus_model::{TrainError, TrainingSet};
use tch::{TchError, Tensor};

use super::network::{Declared, Network, rows, with_bias};
use super::tensors::Tensors;

/// The dot product of a person vector with the rows of `items`: what the fused engine computes, by autograd.
pub(super) struct Factors {
    factors: usize,
}

impl Factors {
    pub fn new(declared: &Declared<'_>) -> Result<Self, TrainError> {
        declared.nothing_but(|name| name == "items")?;
        let factors = declared.columns("items")?;
        Ok(Self { factors })
    }
}

impl Network for Factors {
    fn person(&self) -> usize {
        self.factors
    }

    fn scores(
        &self,
        shared: &Tensors,
        person: &Tensor,
        _: &TrainingSet,
        items: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let scores = rows(shared.get("items")?, items)?.f_mv(person)?;
        with_bias(scores, shared, items)
    }
}
