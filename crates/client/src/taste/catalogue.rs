use std::borrow::Cow;
use std::collections::BTreeSet;

use chorus_model::ItemId;

use super::offer::Price;
use crate::Category;
use crate::map::{AgeBand, Region};

/// What the app knows about an item. All of it is public; none of it is about the person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// What it is called.
    pub title: String,
    /// What it is about: genres, departments, brands. One without a topic is not shown to somebody who muted any.
    pub topics: Vec<String>,
    /// The sensitive category that it is of.
    pub sensitive: Option<Category>,
    /// What everybody pays.
    pub price: Option<Price>,
    /// Where it may be shown; everywhere when there is none.
    pub regions: Vec<Region>,
    /// The youngest that it may be shown to. Somebody whose age nobody knows is shown nothing from 16 on.
    pub from_age: Option<AgeBand>,
}

/// The app's catalogue. Handed in, so that the library never holds a second one.
pub trait Catalogue: Send + Sync {
    /// What is known about an item.
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>>;

    /// Every item, those first that most people touch, where the app knows that.
    fn items(&self) -> Vec<ItemId>;

    /// Every topic that an item has: what a person can choose about.
    fn topics(&self) -> BTreeSet<String> {
        let known = self.items();
        let known = known.iter().filter_map(|item| self.about(*item));
        known.flat_map(|about| about.topics.clone()).collect()
    }
}

/// A catalogue that knows nothing: every item may be shown to everybody who muted no topic, and no item is sensitive.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCatalogue;

impl Catalogue for NoCatalogue {
    fn about(&self, _: ItemId) -> Option<Cow<'_, About>> {
        None
    }

    fn items(&self) -> Vec<ItemId> {
        Vec::new()
    }
}

impl About {
    /// Whether it may be shown to somebody of this age, where they are. What is not known counts as the careful case.
    pub(crate) fn is_for(&self, age: Option<AgeBand>, region: Option<&Region>) -> bool {
        let old_enough = match (self.from_age, age) {
            (None, _) => true,
            (Some(from), Some(age)) => age >= from,
            (Some(from), None) => from < AgeBand::From16,
        };
        let here = |place: &Region| region.is_some_and(|region| region.lies_in(place));
        old_enough && (self.regions.is_empty() || self.regions.iter().any(here))
    }

    /// How much two items have in common: the cosine of their topics (recommender.md 5).
    pub(crate) fn likeness(&self, other: &Self) -> f64 {
        let common = self
            .topics
            .iter()
            .filter(|topic| other.topics.contains(topic));
        match common.count() {
            0 => 0.0,
            common => common as f64 / ((self.topics.len() * other.topics.len()) as f64).sqrt(),
        }
    }
}
