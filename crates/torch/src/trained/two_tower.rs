use chorus_model::{TrainError, TrainingSet};
use tch::{Kind, TchError, Tensor};

use super::network::{Declared, Network, is_of_tower, rows, with_bias};
use super::tensors::{Tensors, indices};

/// An item tower over public features, so that an item nobody touched has a score too; a person is a vector of their own, or
/// the mean of the vectors of their history.
///
/// v_i = tower(features_i) + items_i + rows-1[h1(i)] + rows-2[h2(i)] (the last three where the plan has them; hashed rows:
/// Shi et al. 2020, "Compositional embeddings using complementary partitions").
pub(super) struct TwoTower {
    layers: usize,
    width: usize,
    is_local: bool,
}

/// The names of the hashed tables, and of the places of the items in them.
const HASHED: [(&str, &str, u64); 2] = [
    ("rows-1", "rows-1 of items", 0x9E37_79B9_7F4A_7C15),
    ("rows-2", "rows-2 of items", 0xC2B2_AE3D_27D4_EB4F),
];

impl TwoTower {
    pub fn new(
        declared: &Declared<'_>,
        items: usize,
        shared: &mut Tensors,
    ) -> Result<Self, TrainError> {
        declared.nothing_but(|name| {
            matches!(name, "features" | "items" | "rows-1" | "rows-2") || is_of_tower(name)
        })?;
        let features = declared.columns("features")?;
        let widths = declared.tower(features)?;
        let width = widths.last().copied().unwrap_or_default();
        if declared
            .0
            .tensors
            .iter()
            .any(|tensor| tensor.name == "items")
            && declared.columns("items")? != width
        {
            return declared.refuse("`items` must be as wide as the last layer");
        }
        for (name, places, salt) in HASHED {
            if let Some(shape) = declared.shape(name, false) {
                let [buckets, _] = shape.as_slice() else {
                    return declared.refuse(&format!("`{name}` must be [buckets, {width}]"));
                };
                declared.has(name, &[*buckets, width])?;
                let place = |item: usize| hashed(item as u64, salt, *buckets);
                let of_items: Vec<u32> = (0..items).map(place).collect();
                shared.set(places, indices(&of_items).map_err(crate::solve::numeric)?);
            }
        }
        Ok(Self {
            layers: widths.len(),
            width,
            is_local: declared.0.client.person.is_some(),
        })
    }

    /// The vectors of `items` `[n]`: `[n, width]`.
    fn vectors(&self, shared: &Tensors, items: &Tensor) -> Result<Tensor, TchError> {
        let mut vectors = rows(shared.get("features")?, items)?;
        for layer in 1..=self.layers {
            let (weight, bias) = (format!("tower-{layer}"), format!("tower-{layer}-bias"));
            vectors = vectors.f_linear(shared.get(&weight)?, Some(shared.get(&bias)?))?;
            if layer < self.layers {
                vectors = vectors.f_relu()?;
            }
        }
        if let Some(table) = shared.find("items") {
            vectors = vectors.f_add(&rows(table, items)?)?;
        }
        for (name, places, _) in HASHED {
            if let Some(table) = shared.find(name) {
                let places = rows(shared.get(places)?, items)?;
                vectors = vectors.f_add(&rows(table, &places)?)?;
            }
        }
        Ok(vectors)
    }
}

impl Network for TwoTower {
    fn person(&self) -> usize {
        if self.is_local { self.width } else { 0 }
    }

    fn scores(
        &self,
        shared: &Tensors,
        person: &Tensor,
        history: &TrainingSet,
        items: &Tensor,
        own: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let vectors = self.vectors(shared, items)?;
        if self.is_local {
            return with_bias(vectors.f_mv(person)?, shared, items);
        }
        let touched: Vec<u32> = history.items().iter().map(|item| item.0).collect();
        let sum = self
            .vectors(shared, &indices(&touched)?)?
            .f_sum_dim_intlist([0i64].as_slice(), false, None::<Kind>)?;
        let whole = vectors.f_mv(&sum)?;
        let k = touched.len() as f64;
        let scores = match own {
            None => whole.f_div_scalar(k)?,
            // An item of the history is learned from as if it were not in it: else it would recommend itself.
            Some(own) => {
                let itself = vectors.f_square()?.f_sum_dim_intlist(
                    [1i64].as_slice(),
                    false,
                    None::<Kind>,
                )?;
                let others = own.f_neg()?.f_add_scalar(k)?.f_clamp_min(1.0)?;
                whole.f_sub(&itself.f_mul(own)?)?.f_div(&others)?
            }
        };
        with_bias(scores, shared, items)
    }
}

/// The bucket of an item: the last steps of SplitMix64 over item + salt, below `buckets`.
fn hashed(item: u64, salt: u64, buckets: usize) -> u32 {
    let mut word = item.wrapping_add(salt);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    (((word >> 32) * buckets as u64) >> 32) as u32
}
