use chorus_model::{Engine, ItemId, Parameters, Tensor, TrainError, Trainer};
use chorus_protocol::TaskName;

/// The newest model of a task, opened once for any number of lists. There is nothing of the person in it.
pub struct Model {
    pub(crate) task: TaskName,
    pub(crate) items: usize,
    pub(crate) trainer: Box<dyn Trainer>,
    /// Released counts, `[items]`, where the model has them.
    pub(crate) counts: Option<Vec<f32>>,
    /// The item table, `[items, factors]`, where the model has one: people touch items together whose rows point the same way.
    table: Option<Tensor>,
}

impl Model {
    /// Opens a model of `task` that came with the app; one that came through the log is in
    /// [`Client::model`](crate::Client::model).
    ///
    /// # Errors
    /// When the engine cannot rank with it.
    pub fn open(
        task: &TaskName,
        parameters: &Parameters,
        engine: &dyn Engine,
    ) -> Result<Self, TrainError> {
        let items = parameters.items()?;
        let counts = parameters.get("counts").map(|counts| counts.values.clone());
        // Before the first sum nobody was counted.
        let counted =
            |counts: &Vec<f32>| counts.len() == items && counts.iter().any(|count| *count > 0.0);
        Ok(Self {
            task: task.clone(),
            items,
            trainer: engine.open(parameters)?,
            counts: counts.filter(counted),
            table: parameters.get("items").cloned(),
        })
    }

    /// Items in its catalogue.
    pub fn items(&self) -> usize {
        self.items
    }

    /// How much `item` goes with what is in a basket: the mean cosine of their vectors; nothing where the model has none.
    pub(crate) fn goes_with(&self, basket: &[ItemId], item: ItemId) -> Option<f64> {
        let row = self.row(item)?;
        let rows = basket.iter().filter_map(|other| self.row(*other));
        let (sum, count) = rows.fold((0.0, 0.0), |(sum, count), other| {
            (sum + cosine(row, other), count + 1.0)
        });
        (count > 0.0).then(|| sum / count)
    }
}

impl Model {
    fn row(&self, item: ItemId) -> Option<&[f32]> {
        let table = self.table.as_ref()?;
        let [_, factors] = table.shape.as_slice() else {
            return None;
        };
        let start = item.0 as usize * factors;
        table.values.get(start..start + factors)
    }
}

/// Of two vectors of one length; 0 where one of them is zero.
fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let (mut dot, mut left, mut right) = (0.0f64, 0.0f64, 0.0f64);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        left += a * a;
        right += b * b;
    }
    let norms = (left * right).sqrt();
    if norms > 0.0 { dot / norms } else { 0.0 }
}
