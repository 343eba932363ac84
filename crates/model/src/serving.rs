use crate::{
    Cause, ItemId, Parameters, ParametersError, TrainError, TrainingSet, finite, products,
};

/// The head's share of a score (ials.md, Serving).
const SHARE: f64 = 0.6;

/// How a model with an item table ranks for a person, the same for every engine.
///
/// With a head the score is z(V u') + 0.6 z(head): each part in standard deviations over the catalogue, for this person. Without
/// one it is V u'. Either way it is a sum over the items of the history, so it can be explained exactly.
pub struct Serving {
    regularisation: f64,
    head: Option<Head>,
}

/// A low-rank EASE model: the score of item j is the sum over the history's items i of B_i.B_j / q_j.
struct Head {
    width: usize,
    /// B, row-major `[items, width]`.
    table: Vec<f32>,
    /// 1 / q, `[items]`.
    scale: Vec<f32>,
    /// The mean of B_j / q_j over the catalogue, `[width]`.
    mean: Vec<f64>,
    /// The mean row of V, `[factors]`.
    centre: Vec<f64>,
}

/// Mean and standard deviation of a person's scores over the catalogue.
#[derive(Clone, Copy)]
struct Spread {
    mean: f64,
    deviation: f64,
}

impl Spread {
    fn of(scores: &[f64]) -> Self {
        let count = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let square = |score: &f64| (score - mean) * (score - mean);
        let deviation = (scores.iter().map(square).sum::<f64>() / count).sqrt();
        // Where all scores are the same nothing is told apart, whatever it is divided by.
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        Self { mean, deviation }
    }
}

impl Serving {
    /// Takes from a model how it ranks: `serving_regularisation` `[1]`, `head` `[items, r]` and `head_scale` `[items]`, each where the
    /// model has it. `table`: V, row-major `[items, factors]`. `regularisation`: lambda, where there is no other for serving.
    ///
    /// # Errors
    /// A tensor of another shape.
    pub fn open(
        parameters: &Parameters,
        table: &[f32],
        factors: usize,
        regularisation: f64,
    ) -> Result<Self, ParametersError> {
        let regularisation = match parameters.get("serving_regularisation") {
            None => regularisation,
            Some(_) => f64::from(parameters.scalar("serving_regularisation")?),
        };
        let head = Head::open(parameters, table, factors.max(1))?;
        Ok(Self {
            regularisation,
            head,
        })
    }

    /// The lambda that person vectors are solved with to rank; smaller than the one to learn with.
    pub fn regularisation(&self) -> f64 {
        self.regularisation
    }

    /// The scores, `[items]`. `linear`: V u', `[items]`.
    ///
    /// # Errors
    /// When a score is not finite.
    pub fn scores(
        &self,
        mut linear: Vec<f64>,
        history: &TrainingSet,
    ) -> Result<Vec<f32>, TrainError> {
        if let Some(head) = &self.head {
            let spread = Spread::of(&linear);
            let of_head = head.scores(history);
            let head_spread = Spread::of(&of_head);
            for (score, other) in linear.iter_mut().zip(of_head) {
                *score = (*score - spread.mean) / spread.deviation
                    + SHARE * (other - head_spread.mean) / head_spread.deviation;
            }
        }
        finite(linear.into_iter().map(|score| score as f32).collect())
    }

    /// What to solve with the person's matrix, `[factors]`, so that the solution's product with the row of an item of the history is
    /// what that item adds to the linear part of a score. `linear`: V u', `[items]`; `row`: the explained item's, `[factors]`.
    pub fn question(&self, linear: &[f64], row: &[f32]) -> Vec<f64> {
        let row = row.iter().copied().map(f64::from);
        match &self.head {
            None => row.collect(),
            Some(head) => {
                let deviation = Spread::of(linear).deviation;
                let cells = row.zip(&head.centre);
                cells
                    .map(|(value, mean)| (value - mean) / deviation)
                    .collect()
            }
        }
    }

    /// What each item of the history adds to the score of `item`, in the order of the history.
    /// `linear`: what each adds to the linear part, in the same order.
    pub fn causes(&self, linear: &[f64], history: &TrainingSet, item: ItemId) -> Vec<Cause> {
        let of_head = self.head.as_ref().map(|head| head.causes(history, item));
        let of_head = of_head.into_iter().flatten().chain(std::iter::repeat(0.0));
        let causes = history.items().iter().zip(linear).zip(of_head);
        causes
            .map(|((item, linear), head)| Cause {
                item: *item,
                adds: (linear + head) as f32,
            })
            .collect()
    }
}

impl Head {
    fn open(
        parameters: &Parameters,
        table: &[f32],
        factors: usize,
    ) -> Result<Option<Self>, ParametersError> {
        let Some(head) = parameters.get("head") else {
            return Ok(None);
        };
        let scale = parameters.require("head_scale")?;
        let items = table.len() / factors;
        let shape = |name: &str, shape: &[usize], found: usize| ParametersError::Shape {
            name: name.to_owned(),
            shape: shape.to_vec(),
            found,
        };
        let width = match head.shape.as_slice() {
            [rows, width] if *rows == items && *width > 0 => *width,
            other => return Err(shape("head", other, head.values.len())),
        };
        if scale.values.len() != items {
            return Err(shape("head_scale", &scale.shape, scale.values.len()));
        }
        let ones = std::iter::repeat(1.0);
        let centre = mean_row(table, factors, ones);
        let weights = scale.values.iter().copied().map(f64::from);
        let mean = mean_row(&head.values, width, weights);
        Ok(Some(Self {
            width,
            table: head.values.clone(),
            scale: scale.values.clone(),
            mean,
            centre,
        }))
    }

    /// The row of one item; empty for one outside the catalogue.
    fn row(&self, item: ItemId) -> &[f32] {
        let start = item.0 as usize * self.width;
        let cells = self.table.get(start..start + self.width);
        cells.unwrap_or_default()
    }

    fn scores(&self, history: &TrainingSet) -> Vec<f64> {
        let mut person = vec![0.0; self.width];
        for item in history.items() {
            person
                .iter_mut()
                .zip(self.row(*item))
                .for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let rows = products(&self.table, &person);
        rows.zip(&self.scale)
            .map(|(score, scale)| score * f64::from(*scale))
            .collect()
    }

    /// What each item of the history adds, in standard deviations of this person's scores, times the head's share.
    fn causes(&self, history: &TrainingSet, item: ItemId) -> Vec<f64> {
        let deviation = Spread::of(&self.scores(history)).deviation;
        let scale = self.scale.get(item.0 as usize).copied().unwrap_or(0.0);
        let explained = self.row(item).iter().zip(&self.mean);
        let explained: Vec<f64> = explained
            .map(|(value, mean)| f64::from(*value) * f64::from(scale) - mean)
            .collect();
        let adds = |item: &ItemId| {
            let row = self.row(*item).iter();
            let sum: f64 = row.zip(&explained).map(|(a, b)| f64::from(*a) * b).sum();
            SHARE * sum / deviation
        };
        history.items().iter().map(adds).collect()
    }
}

/// The mean over the rows of `table` of weight times row, `[width]`.
fn mean_row(table: &[f32], width: usize, weights: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    let rows = (table.len() / width).max(1) as f64;
    for (row, weight) in table.chunks_exact(width).zip(weights) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(mean, value)| *mean += weight / rows * f64::from(*value));
    }
    mean
}
