use chorus_model::{Cause, Engine, Everything, ItemId, Recommendation, Shelf, TrainError, Wish};
use chorus_protocol::TaskName;
use rand_core::Rng;
use serde::Serialize;

use crate::taste::{NoChance, fitting};
use crate::{Ask, Client, Error, Order};

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
    /// The `n` unseen items that fit this person best, best first, from the newest model that is here: [`Client::rank`] in its
    /// simplest form, for which the model is opened. Works without a network. A person without a history gets the most popular items; before
    /// the first model came, everybody gets those of the app's catalogue in its order.
    ///
    /// # Errors
    /// [`Error::NoModel`] before the first model came, where the catalogue names no items either; [`Error::Recommend`] when the model and the engine do
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
        self.compose(task, engine, Wish::best(n), &Everything, &mut NoChance)
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
        let model = match self.model(task, engine) {
            Err(Error::NoModel { .. }) if self.lists_items() => None,
            model => Some(model?),
        };
        let order = model.as_ref().map_or(Order::Editorial, Order::Profiled);
        let ask = Ask {
            wish,
            ..Ask::best(order, wish.length)
        };
        let taste = self.taste(None)?;
        let ranked = taste.rank(&ask, None, &*self.catalogue, shelf, rng);
        Ok(fitting(order, ranked)?.places)
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
        let model = self.model(task, engine)?;
        let history = self.history(model.items())?;
        let order = Order::Profiled(&model);
        let scores = fitting(order, model.trainer.scores(&history))?;
        let score = scores.get(item.0 as usize).copied().ok_or_else(|| {
            let (item, items) = (item.0, scores.len());
            TrainError::Numeric(format!(
                "the model has {items} items; there is no number {item}"
            ))
        });
        Ok(Explanation {
            item,
            score: fitting(order, score)?,
            causes: self.reasons(&model, item, most, false)?,
        })
    }
}
