use std::ops::Range;

use chorus_model::{
    Architecture, Dimension, Examples, Loss, ModelPlan, Parameters, ParametersError, TrainError,
    TrainingSet,
};
use tch::{Kind, TchError, Tensor};

use super::factors::Factors;
use super::neumf::Neumf;
use super::sequence::Sequence;
use super::tensors::{Tensors, indices};
use super::torchscript::Torchscript;
use super::two_tower::TwoTower;

/// How scores come about in one architecture.
pub(super) trait Network: Send + Sync {
    /// Width of the person vector; 0 without one.
    fn person(&self) -> usize {
        0
    }

    /// True when all examples are learned from in one step, whatever the batch.
    fn is_whole(&self) -> bool {
        false
    }

    /// Steps of an epoch, at least, where there are as many examples.
    fn least_steps(&self) -> usize {
        1
    }

    /// Makes what the scores are computed with out of tensors of one call's own.
    fn bind(&self, shared: Tensors, _is_trained: bool) -> Result<Tensors, TchError> {
        Ok(shared)
    }

    /// The scores of `items` `[n]`, `[n]`. `own`: `[n]`, 1 for an item of the history that is learned from.
    fn scores(
        &self,
        shared: &Tensors,
        person: &Tensor,
        history: &TrainingSet,
        items: &Tensor,
        own: Option<&Tensor>,
    ) -> Result<Tensor, TchError>;

    /// The mean loss over some of the examples, a scalar; nothing where there is nothing to learn from.
    fn loss(
        &self,
        shared: &Tensors,
        person: &Tensor,
        batch: &Batch<'_>,
    ) -> Result<Option<Tensor>, TchError> {
        batch.loss_by(|items, own| self.scores(shared, person, batch.history, items, own))
    }
}

/// Neighbouring examples of one client.
pub(super) struct Batch<'a> {
    pub plan: &'a ModelPlan,
    pub kind: Kind,
    pub history: &'a TrainingSet,
    pub examples: &'a Examples,
    pub range: Range<usize>,
}

impl Batch<'_> {
    pub fn items(&self) -> &[u32] {
        self.examples.items.get(self.range.clone()).unwrap_or(&[])
    }

    fn others(&self) -> &[u32] {
        self.examples.others.get(self.range.clone()).unwrap_or(&[])
    }

    fn labels(&self) -> Result<Tensor, TchError> {
        let labels = self.examples.labels.get(self.range.clone());
        Tensor::f_from_slice(labels.unwrap_or(&[]))?.f_to_kind(self.kind)
    }

    /// The mean loss an example by what gives scores to items.
    pub fn loss_by(
        &self,
        scores: impl Fn(&Tensor, Option<&Tensor>) -> Result<Tensor, TchError>,
    ) -> Result<Option<Tensor>, TchError> {
        if self.items().is_empty() {
            return Ok(None);
        }
        let labels = self.labels()?;
        let found = scores(&indices(self.items())?, Some(&labels))?;
        let other = match self.others() {
            [] => None,
            others => Some(scores(&indices(others)?, None)?),
        };
        self.loss_of(&found, other.as_ref(), &labels).map(Some)
    }

    /// The mean loss an example: [`Loss`], every form without an overflow.
    fn loss_of(
        &self,
        scores: &Tensor,
        other: Option<&Tensor>,
        labels: &Tensor,
    ) -> Result<Tensor, TchError> {
        match (self.plan.loss, other) {
            (Loss::Squared, _) => scores
                .f_sub(labels)?
                .f_square()?
                .f_mean(self.kind)?
                .f_div_scalar(2.0),
            (Loss::Bpr, Some(other)) => other.f_sub(scores)?.f_softplus()?.f_mean(self.kind),
            (Loss::Softmax, _) => scores
                .f_view([-1, self.examples.group as i64])?
                .f_log_softmax(1, self.kind)?
                .f_select(1, 0)?
                .f_mean(self.kind)?
                .f_neg(),
            (Loss::Binary | Loss::Bpr, _) => scores
                .f_softplus()?
                .f_sub(&scores.f_mul(labels)?)?
                .f_mean(self.kind),
        }
    }
}

/// The network of a plan over a catalogue of `items`; `shared` gets what else its scores need.
///
/// # Errors
/// When the tensors of the plan are not those of the architecture.
pub(super) fn network(
    plan: &ModelPlan,
    items: usize,
    parameters: &Parameters,
    shared: &mut Tensors,
) -> Result<Box<dyn Network>, TrainError> {
    let declared = Declared(plan);
    let network: Box<dyn Network> = match plan.architecture {
        Architecture::Factors => Box::new(Factors::new(&declared)?),
        Architecture::Neumf => Box::new(Neumf::new(&declared)?),
        Architecture::TwoTower => Box::new(TwoTower::new(&declared, items, shared)?),
        Architecture::Sequence => Box::new(Sequence::new(&declared)?),
        Architecture::Torchscript => Box::new(Torchscript::new(&declared, parameters)?),
    };
    if (network.person() > 0) != plan.client.person.is_some() {
        return declared.refuse(match network.person() {
            0 => "client.person must be left out: this architecture knows people by their history",
            _ => "client.person is missing: this architecture rebuilds a person vector",
        });
    }
    Ok(network)
}

/// The tensors that a plan declares, as an architecture asks for them.
pub(super) struct Declared<'a>(pub &'a ModelPlan);

impl Declared<'_> {
    /// An error of the plan.
    pub fn refuse<T>(&self, problem: &str) -> Result<T, TrainError> {
        let architecture = serde_name(self.0.architecture);
        Err(ParametersError::Plan(format!("of a `{architecture}` model: {problem}")).into())
    }

    /// The numbers of the shape of `name` after the catalogue, which comes first where `of_items`.
    pub fn shape(&self, name: &str, of_items: bool) -> Option<Vec<usize>> {
        let tensor = self.0.tensors.iter().find(|tensor| tensor.name == name)?;
        let mut shape = tensor.shape.as_slice();
        if of_items {
            let (Dimension::Catalogue(_), rest) = shape.split_first()? else {
                return None;
            };
            shape = rest;
        }
        let number = |dimension: &Dimension| match dimension {
            Dimension::Fixed(number) => Some(*number),
            Dimension::Catalogue(_) => None,
        };
        shape.iter().map(number).collect()
    }

    /// The columns of the item table `name`, `["items", columns]`.
    pub fn columns(&self, name: &str) -> Result<usize, TrainError> {
        match self.shape(name, true).as_deref() {
            Some([columns]) => Ok(*columns),
            _ => self.refuse(&format!("`{name}` must be [\"items\", columns]")),
        }
    }

    /// Checks that `name` has this shape without a catalogue.
    pub fn has(&self, name: &str, shape: &[usize]) -> Result<(), TrainError> {
        match self.shape(name, false) {
            Some(found) if found == shape => Ok(()),
            _ => self.refuse(&format!("`{name}` must be {shape:?}")),
        }
    }

    /// The widths of the layers `tower-1`, `tower-2`, ... `[out, in]` with their biases, of which the first takes `width`.
    pub fn tower(&self, mut width: usize) -> Result<Vec<usize>, TrainError> {
        let mut widths = Vec::new();
        while let Some(shape) = self.shape(&format!("tower-{}", widths.len() + 1), false) {
            let name = format!("tower-{}", widths.len() + 1);
            let [out, _] = shape.as_slice() else {
                return self.refuse(&format!("`{name}` must be [out, in]"));
            };
            self.has(&name, &[*out, width])?;
            self.has(&format!("{name}-bias"), &[*out])?;
            width = *out;
            widths.push(width);
        }
        match widths.is_empty() {
            true => self.refuse("`tower-1` is missing"),
            false => Ok(widths),
        }
    }

    /// Refuses tensors that the architecture has no use for, and an `item-bias` of another shape.
    pub fn nothing_but(&self, is_known: impl Fn(&str) -> bool) -> Result<(), TrainError> {
        if self.shape("item-bias", false).is_some() {
            return self.refuse("`item-bias` must be [\"items\"]");
        }
        let is_known = |name: &str| name == "item-bias" || is_known(name);
        match self.0.tensors.iter().find(|tensor| !is_known(&tensor.name)) {
            Some(tensor) => self.refuse(&format!("it has no use for `{}`", tensor.name)),
            None => Ok(()),
        }
    }
}

fn serde_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Factors => "factors",
        Architecture::Neumf => "neumf",
        Architecture::TwoTower => "two-tower",
        Architecture::Sequence => "sequence",
        Architecture::Torchscript => "torchscript",
    }
}

/// True for the names of the layers of a tower.
pub(super) fn is_of_tower(name: &str) -> bool {
    name.strip_prefix("tower-")
        .map(|layer| layer.strip_suffix("-bias").unwrap_or(layer))
        .is_some_and(|layer| layer.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The rows `items` of a table.
pub(super) fn rows(table: &Tensor, items: &Tensor) -> Result<Tensor, TchError> {
    table.f_index_select(0, items)
}

/// The scores with the biases of the items, where the model has them.
pub(super) fn with_bias(
    scores: Tensor,
    shared: &Tensors,
    items: &Tensor,
) -> Result<Tensor, TchError> {
    match shared.find("item-bias") {
        Some(bias) => scores.f_add(&rows(bias, items)?),
        None => Ok(scores),
    }
}
