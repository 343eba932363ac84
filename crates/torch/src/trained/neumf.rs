use chorus_model::{TrainError, TrainingSet};
use tch::{TchError, Tensor};

use super::network::{Declared, Network, is_of_tower, rows, with_bias};
use super::tensors::Tensors;

/// Neural matrix factorisation (He et al. 2017, section 3.4): a weighted product of two vectors and a tower over two others,
/// side by side. A person vector is both of the person's, one after the other.
pub(super) struct Neumf {
    /// Width of the product.
    product: usize,
    /// Width of an item, and of a person, at the foot of the tower.
    foot: usize,
    layers: usize,
}

impl Neumf {
    pub fn new(declared: &Declared<'_>) -> Result<Self, TrainError> {
        declared.nothing_but(|name| {
            matches!(name, "items" | "tower-items" | "output") || is_of_tower(name)
        })?;
        let product = declared.columns("items")?;
        let foot = declared.columns("tower-items")?;
        let widths = declared.tower(2 * foot)?;
        let top = widths.last().copied().unwrap_or_default();
        declared.has("output", &[product + top])?;
        Ok(Self {
            product,
            foot,
            layers: widths.len(),
        })
    }
}

impl Network for Neumf {
    fn person(&self) -> usize {
        self.product + self.foot
    }

    fn scores(
        &self,
        shared: &Tensors,
        person: &Tensor,
        _: &TrainingSet,
        items: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let (product, foot) = (self.product as i64, self.foot as i64);
        let output = shared.get("output")?;
        let weighted = person
            .f_narrow(0, 0, product)?
            .f_mul(&output.f_narrow(0, 0, product)?)?;
        let scores = rows(shared.get("items")?, items)?.f_mv(&weighted)?;
        // The first layer over (person, item) is one over the item whose bias knows the person: nobody is repeated.
        let first = shared.get("tower-1")?;
        let mine = first
            .f_narrow(1, 0, foot)?
            .f_mv(&person.f_narrow(0, product, foot)?)?
            .f_add(shared.get("tower-1-bias")?)?;
        let theirs = first.f_narrow(1, foot, foot)?;
        let mut top = rows(shared.get("tower-items")?, items)?
            .f_linear(&theirs, Some(&mine))?
            .f_relu()?;
        for layer in 2..=self.layers {
            let (weight, bias) = (format!("tower-{layer}"), format!("tower-{layer}-bias"));
            top = top
                .f_linear(shared.get(&weight)?, Some(shared.get(&bias)?))?
                .f_relu()?;
        }
        let height = output.size1()? - product;
        let tower = top.f_mv(&output.f_narrow(0, product, height)?)?;
        with_bias(scores.f_add(&tower)?, shared, items)
    }
}
