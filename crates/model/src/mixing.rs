use crate::{Block, Delta, Parameters, ParametersError, TrainingSet};

/// Rows of Q weigh like those of items that so many more people own (ials.md, stage B).
pub(crate) const CROWD: f64 = 10.0;

/// What a client computes in the head sums of `ials`, the same for every engine: see [`Step::Head`](crate::Step::Head).
pub struct Mixing {
    factors: usize,
    /// (c_i + 10)^-1/2, `[items]`.
    weights: Vec<f64>,
    /// `[factors, factors]`: takes a row of (c + 10)^-1/2 V to one of Q.
    mixing: Vec<f64>,
}

impl Mixing {
    /// Takes from a model what the head sums need; nothing from a model that is in another step.
    ///
    /// # Errors
    /// `mixing` that is not `[factors, factors]`, or `counts` that are not `[items]`.
    pub fn open(
        parameters: &Parameters,
        items: usize,
        factors: usize,
    ) -> Result<Option<Self>, ParametersError> {
        let Some(mixing) = parameters.get("mixing") else {
            return Ok(None);
        };
        let counts = parameters.require("counts")?;
        let shape = |name: &str, shape: &[usize], found: usize| ParametersError::Shape {
            name: name.to_owned(),
            shape: shape.to_vec(),
            found,
        };
        if mixing.values.len() != factors * factors {
            return Err(shape("mixing", &mixing.shape, mixing.values.len()));
        }
        if counts.values.len() != items {
            return Err(shape("counts", &counts.shape, counts.values.len()));
        }
        let weight = |count: &f32| 1.0 / (f64::from(*count).max(0.0) + CROWD).sqrt();
        Ok(Some(Self {
            factors,
            weights: counts.values.iter().map(weight).collect(),
            mixing: mixing.values.iter().copied().map(f64::from).collect(),
        }))
    }

    /// The contribution of a history that is not empty.
    ///
    /// `rows`: the table's rows of the history's items, in their order, row-major `[k, factors]`. `block`: the rows that the
    /// sum is about.
    pub fn contribution(&self, history: &TrainingSet, rows: &[f64], block: Block) -> Delta {
        let factors = self.factors.max(1);
        let mut crowded = vec![0.0; factors];
        for (item, row) in history.items().iter().zip(rows.chunks_exact(factors)) {
            let weight = self.weights.get(item.0 as usize).copied().unwrap_or(0.0);
            crowded
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += weight * value);
        }
        // Q'x / sqrt(k)
        let size = 1.0 / (history.len().max(1) as f64).sqrt();
        let mut along = vec![0.0; factors];
        for (value, others) in crowded.iter().zip(self.mixing.chunks_exact(factors)) {
            along
                .iter_mut()
                .zip(others)
                .for_each(|(along, other)| *along += size * value * other);
        }
        let along: Vec<f32> = along.into_iter().map(|value| value as f32).collect();
        let table = block.items * factors;
        let mut delta = Delta::zeros(table + block.items);
        for position in history.positions(block) {
            delta.write(position * factors, along.iter().copied());
        }
        for position in history.positions(block) {
            delta.write(table + position, [size as f32]);
        }
        delta
    }
}
