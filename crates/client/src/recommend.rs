use chorus_model::{
    Cause, Engine, ItemId, Parameters, Recommendation, Shelf, TrainError, Trainer, TrainingSet,
    Wish, list, top,
};
use chorus_protocol::TaskName;
use rand_core::Rng;
use serde::Serialize;

use crate::model::catalogue;
use crate::{Client, Error};

/// Why an item is on a person's list.
///
/// # Privacy
/// Names what the person did. It is for that person's screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The item.
    pub item: ItemId,
    /// Its score.
    pub score: f32,
    /// What of the history speaks for it, the strongest first.
    pub causes: Vec<Cause>,
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
        let (trainer, history) = self.newest(task, engine)?;
        let scores = self.fitting(task, trainer.scores(&history))?;
        let best = top(&scores, &history, n).into_iter();
        Ok(best
            .filter_map(|item| {
                let score = scores.get(item.0 as usize).copied()?;
                Some(Recommendation {
                    item,
                    score,
                    explored: false,
                })
            })
            .collect())
    }

    /// A list of unseen items as the app wants it: of what may be shown now, as unlike each other and with as much left to
    /// chance as `wish` says. `rng` decides what chance draws; the same gives the same list.
    ///
    /// # Errors
    /// As [`Client::recommend`].
    pub fn compose(
        &self,
        task: &TaskName,
        engine: &dyn Engine,
        wish: Wish,
        shelf: &dyn Shelf,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Recommendation>, Error> {
        let (trainer, history) = self.newest(task, engine)?;
        let scores = self.fitting(task, trainer.scores(&history))?;
        Ok(list(&scores, &history, wish, shelf, rng))
    }

    /// Why the newest model that is here gives `item` its score: the `most` items of the history that speak for it most.
    ///
    /// # Errors
    /// As [`Client::recommend`]; also for an item that the model does not have.
    pub fn explain(
        &self,
        task: &TaskName,
        engine: &dyn Engine,
        item: ItemId,
        most: usize,
    ) -> Result<Explanation, Error> {
        let (trainer, history) = self.newest(task, engine)?;
        let scores = self.fitting(task, trainer.scores(&history))?;
        let score = scores.get(item.0 as usize).copied().ok_or_else(|| {
            let (item, items) = (item.0, scores.len());
            TrainError::Numeric(format!(
                "the model has {items} items; there is no number {item}"
            ))
        });
        let score = self.fitting(task, score)?;
        let mut causes = self.fitting(task, trainer.explain(&history, item))?;
        causes.retain(|cause| cause.adds > 0.0);
        causes.sort_by(|left, right| right.adds.total_cmp(&left.adds));
        causes.truncate(most);
        Ok(Explanation {
            item,
            score,
            causes,
        })
    }

    /// The newest model, opened, and the history in its catalogue.
    fn newest(
        &self,
        task: &TaskName,
        engine: &dyn Engine,
    ) -> Result<(Box<dyn Trainer>, TrainingSet), Error> {
        let model = self.store.model(task)?;
        let model = model.ok_or_else(|| Error::NoModel { task: task.clone() })?;
        let opened = || {
            let parameters = Parameters::from_bytes(&model.bytes)?;
            Ok((catalogue(&parameters)?, engine.open(&parameters)?))
        };
        let (catalogue, trainer) = self.fitting(task, opened())?;
        Ok((trainer, self.history(catalogue)?))
    }

    /// Says of which task a model is at fault.
    fn fitting<T>(&self, task: &TaskName, found: Result<T, TrainError>) -> Result<T, Error> {
        found.map_err(|reason| Error::Recommend {
            task: task.clone(),
            reason,
        })
    }
}
