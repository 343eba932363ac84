use chorus_model::{Engine, ItemId, Parameters, TrainError, top};
use chorus_protocol::TaskName;
use serde::Serialize;

use crate::model::catalogue;
use crate::{Client, Error};

/// An item that a person has not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// The item.
    pub item: ItemId,
    /// What it was ranked by; comparable within one list only.
    pub score: f32,
}

impl Client {
    /// The `n` unseen items that fit this person best, best first, from the newest model that is here.
    /// Works without a network. A person without a history gets the most popular items.
    ///
    /// # Errors
    /// [`Error::NoModel`] before the first model came; [`Error::Recommend`] when the model and the engine do
    /// not fit together.
    ///
    /// # Privacy
    /// Everything happens on the client: the person's vector is solved, used and dropped here.
    pub fn recommend(
        &self,
        task: &TaskName,
        engine: &dyn Engine,
        n: usize,
    ) -> Result<Vec<Recommendation>, Error> {
        let model = self.store.model(task)?;
        let model = model.ok_or_else(|| Error::NoModel { task: task.clone() })?;
        let fault = |reason: TrainError| Error::Recommend {
            task: task.clone(),
            reason,
        };
        let opened = || {
            let parameters = Parameters::from_bytes(&model.bytes)?;
            let trainer = engine.open(&parameters)?;
            Ok((catalogue(&parameters)?, trainer))
        };
        let (catalogue, trainer) = opened().map_err(fault)?;
        let history = self.history(catalogue)?;
        let scores = trainer.scores(&history).map_err(fault)?;
        let best = top(&scores, &history, n).into_iter();
        Ok(best
            .filter_map(|item| {
                let score = scores.get(item.0 as usize).copied()?;
                Some(Recommendation { item, score })
            })
            .collect())
    }
}
