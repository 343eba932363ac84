use chorus_model::{Case, ItemFeatures, ItemId, TrainingSet};

/// A population: what each user touched, and what was held out to measure a model with.
///
/// # Privacy
/// For simulation, demos and measurement. A real client knows its own history and nothing else.
#[derive(Clone, PartialEq)]
pub struct Dataset {
    /// What to call it: `ml-100k`, `synthetic`.
    pub name: String,
    /// Items in the catalogue; every item number is below it.
    pub items: usize,
    /// One title an item, where titles are known.
    pub titles: Option<Vec<String>>,
    /// What is publicly known about the items, where the data says it: genres and years.
    pub features: Option<ItemFeatures>,
    /// One training history a user: the held-out item is not in it.
    pub histories: Vec<Vec<ItemId>>,
    /// One held-out item a user, where there is one; as long as `histories`.
    pub cases: Vec<Option<Held>>,
}

/// The held-out item of one user.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The item itself: never in the user's training history.
    pub positive: ItemId,
    /// Further held-out items, where the split holds out several.
    pub also: Vec<ItemId>,
    /// Items to rank it against: 99, or fewer where the catalogue is too small. Published files may list the
    /// positive among them; the metrics drop it.
    pub negatives: Vec<ItemId>,
}

impl Dataset {
    /// How many users.
    pub fn users(&self) -> usize {
        self.histories.len()
    }

    /// A population `copies` times as large, in which every user is there so many times. Only the first of each is measured:
    /// the others would say the same.
    pub fn repeated(&self, copies: usize) -> Self {
        let copies = copies.max(1);
        let mut cases = self.cases.clone();
        cases.resize(self.cases.len() * copies, None);
        Self {
            histories: std::iter::repeat_n(&self.histories, copies)
                .flatten()
                .cloned()
                .collect(),
            cases,
            ..self.clone()
        }
    }

    /// What user number `user` learns from; empty when there is no such user.
    pub fn training_set(&self, user: usize) -> TrainingSet {
        let history = self
            .histories
            .get(user)
            .map(Vec::as_slice)
            .unwrap_or_default();
        TrainingSet::of(history.iter().copied(), self.items)
    }

    /// The question that user number `user` puts to a ranking, where an item was held out.
    pub fn case(&self, user: usize) -> Option<Case> {
        let held = self.cases.get(user)?.as_ref()?;
        Some(Case {
            history: self.training_set(user),
            positive: held.positive,
            also: held.also.clone(),
            negatives: held.negatives.clone(),
        })
    }
}
