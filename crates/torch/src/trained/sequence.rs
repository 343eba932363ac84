use std::collections::HashMap;

use chorus_model::{Loss, TrainError, TrainingSet};
use tch::{Kind, TchError, Tensor};

use super::network::{Batch, Declared, Network, with_bias};
use super::tensors::{Tensors, indices};

/// The next item of a sequence by self-attention (Kang and McAuley 2018, SASRec): one block, one head, layer norms before each
/// part and without weights of their own.
pub(super) struct Sequence {
    /// Events that are looked at, the last ones.
    most: usize,
    width: f64,
}

impl Sequence {
    pub fn new(declared: &Declared<'_>) -> Result<Self, TrainError> {
        const KNOWN: [&str; 9] = [
            "items",
            "positions",
            "query",
            "key",
            "value",
            "inner",
            "inner-bias",
            "outer",
            "outer-bias",
        ];
        declared.nothing_but(|name| KNOWN.contains(&name))?;
        let width = declared.columns("items")?;
        let most = match declared.shape("positions", false).as_deref() {
            Some([most, columns]) if *columns == width => *most,
            _ => return declared.refuse(&format!("`positions` must be [events, {width}]")),
        };
        for name in ["query", "key", "value"] {
            declared.has(name, &[width, width])?;
        }
        let inner = match declared.shape("inner", false).as_deref() {
            Some([inner, columns]) if *columns == width => *inner,
            _ => return declared.refuse(&format!("`inner` must be [inner, {width}]")),
        };
        declared.has("inner-bias", &[inner])?;
        declared.has("outer", &[width, inner])?;
        declared.has("outer-bias", &[width])?;
        if declared.0.loss != Loss::Softmax {
            return declared.refuse("the loss must be `softmax`");
        }
        let width = width as f64;
        Ok(Self { most, width })
    }

    /// What follows each of the items `[k]`, k at most the events that are looked at: `[k, width]`.
    fn states(&self, shared: &Tensors, items: &Tensor) -> Result<Tensor, TchError> {
        let length = items.size1()?;
        // The last event has the last position, so that a short sequence knows its end.
        let positions = shared
            .get("positions")?
            .f_narrow(0, self.most as i64 - length, length)?;
        let first = shared
            .get("items")?
            .f_index_select(0, items)?
            .f_add(&positions)?;
        let normed = norm(&first)?;
        let linear = |name: &str| normed.f_matmul(shared.get(name)?);
        let later = Tensor::f_ones([length, length], (Kind::Bool, tch::Device::Cpu))?.f_triu(1)?;
        let attention = linear("query")?
            .f_matmul(&linear("key")?.f_transpose(0, 1)?)?
            .f_div_scalar(self.width.sqrt())?
            .f_masked_fill(&later, f64::NEG_INFINITY)?
            .f_softmax(-1, None::<Kind>)?;
        let second = first.f_add(&attention.f_matmul(&linear("value")?)?)?;
        let inner = norm(&second)?
            .f_linear(shared.get("inner")?, Some(shared.get("inner-bias")?))?
            .f_relu()?
            .f_linear(shared.get("outer")?, Some(shared.get("outer-bias")?))?;
        norm(&second.f_add(&inner)?)
    }
}

fn norm(rows: &Tensor) -> Result<Tensor, TchError> {
    let width = rows.size2()?.1;
    rows.f_layer_norm([width], None::<Tensor>, None::<Tensor>, 1e-5, false)
}

impl Network for Sequence {
    fn is_whole(&self) -> bool {
        true
    }

    fn scores(
        &self,
        shared: &Tensors,
        _: &Tensor,
        history: &TrainingSet,
        items: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let sequence = last(history, self.most);
        let states = self.states(shared, &indices(&sequence)?)?;
        let state = states.f_select(0, -1)?;
        let scores = shared
            .get("items")?
            .f_index_select(0, items)?
            .f_mv(&state)?;
        with_bias(scores, shared, items)
    }

    /// Of each event after the first: the softmax over it and its negatives, or without negatives over the catalogue.
    fn loss(
        &self,
        shared: &Tensors,
        _: &Tensor,
        batch: &Batch<'_>,
    ) -> Result<Option<Tensor>, TchError> {
        let sequence = last(batch.history, self.most + 1);
        let (Some((_, before)), Some((_, after))) = (sequence.split_last(), sequence.split_first())
        else {
            return Ok(None);
        };
        if before.is_empty() {
            return Ok(None);
        }
        let states = self.states(shared, &indices(before)?)?;
        let table = shared.get("items")?;
        let count = after.len() as i64;
        let group = batch.examples.group;
        let (scores, target) = if group > 1 {
            let groups = batch.items().chunks(group);
            let of_item: HashMap<u32, &[u32]> = groups
                .filter_map(|group| Some((*group.first()?, group)))
                .collect();
            let drawn = after.iter().filter_map(|item| of_item.get(item));
            let candidates = indices(&drawn.copied().flatten().copied().collect::<Vec<u32>>())?;
            let rows = table
                .f_index_select(0, &candidates)?
                .f_view([count, group as i64, -1])?;
            let scores = rows.f_matmul(&states.f_unsqueeze(2)?)?.f_squeeze_dim(2)?;
            let bias = match shared.find("item-bias") {
                Some(bias) => Some(
                    bias.f_index_select(0, &candidates)?
                        .f_view([count, group as i64])?,
                ),
                None => None,
            };
            let target = Tensor::f_zeros([count], (Kind::Int64, tch::Device::Cpu))?;
            (added(scores, bias.as_ref())?, target)
        } else {
            let scores = states.f_matmul(&table.f_transpose(0, 1)?)?;
            (added(scores, shared.find("item-bias"))?, indices(after)?)
        };
        let chosen =
            scores
                .f_log_softmax(1, None::<Kind>)?
                .f_gather(1, &target.f_unsqueeze(1)?, false)?;
        chosen.f_mean(None::<Kind>)?.f_neg().map(Some)
    }
}

fn added(scores: Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    match bias {
        Some(bias) => scores.f_add(bias),
        None => Ok(scores),
    }
}

/// The last `most` items of a history, the earliest first.
fn last(history: &TrainingSet, most: usize) -> Vec<u32> {
    let sequence = history.sequence();
    let from = sequence.len().saturating_sub(most);
    sequence.iter().skip(from).map(|item| item.0).collect()
}
