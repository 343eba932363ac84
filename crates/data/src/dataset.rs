use chorus_model::{Case, Categories, ItemFeatures, ItemId, TrainingSet};

use crate::films::categories;

use crate::{DataError, Split};

/// People of the largest population that is simulated.
const MOST_PEOPLE: u128 = 1 << 22;

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
    /// What the source calls each item, where that is not its number.
    pub item_ids: Option<Vec<String>>,
    /// What the source calls each user, where that is not their number.
    pub user_ids: Option<Vec<String>>,
    /// What is publicly known about the items, where the data says it: genres and years.
    pub features: Option<ItemFeatures>,
    /// How it was split.
    pub split: Split,
    /// One training history a user: distinct items in the order of their latest events, in the order of the file where
    /// the source has no times. The held-out item is not in it.
    pub histories: Vec<Vec<ItemId>>,
    /// How often everyone of `histories` is there: 1, unless [`Dataset::repeated`] made more.
    pub copies: usize,
    /// When each item of each history was last touched: milliseconds since 1970-01-01 UTC.
    pub times: Option<Vec<Vec<i64>>>,
    /// One held-out item a user, where there is one; as long as `histories`.
    pub cases: Vec<Option<Held>>,
    /// Held-out items that were taken out of a published split, because the history had them already.
    pub repaired: usize,
    /// What of the files is not used as it stands, in sentences: columns that nothing reads, people without a history.
    pub notes: Vec<String>,
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
    /// When each held-out item was touched, the positive first: milliseconds since 1970-01-01 UTC. Empty where it is
    /// not known.
    pub times: Vec<i64>,
}

impl Held {
    /// Every held-out item, the positive first.
    pub fn all(&self) -> impl Iterator<Item = &ItemId> {
        [&self.positive].into_iter().chain(&self.also)
    }
}

impl Dataset {
    /// The categories of the items, where the data says them: genres.
    pub fn categories(&self) -> Option<Categories> {
        self.features
            .as_ref()
            .map(|features| categories(features, self.items))
    }

    /// How many users.
    pub fn users(&self) -> usize {
        self.histories.len() * self.copies
    }

    /// A population `copies` times as large, in which every user is there so many times and kept once. Only the first of each is
    /// measured: the others would say the same.
    ///
    /// # Errors
    /// When so many people are more than a simulation takes.
    pub fn repeated(&self, copies: usize) -> Result<Self, DataError> {
        let copies = copies.max(1);
        let people = self.users() as u128 * copies as u128;
        if people > MOST_PEOPLE {
            return Err(DataError::Copies { copies, people });
        }
        Ok(Self {
            copies: self.copies * copies,
            ..self.clone()
        })
    }

    /// What user number `user` learns from, as a sequence: distinct items, the one touched last at the end. Where the
    /// source has no times, the order is that of its file. Empty when there is no such user.
    pub fn sequence(&self, user: usize) -> &[ItemId] {
        if user >= self.users() {
            return &[];
        }
        let history = self.histories.get(user % self.histories.len());
        history.map(Vec::as_slice).unwrap_or_default()
    }

    /// What user number `user` learns from; empty when there is no such user.
    pub fn training_set(&self, user: usize) -> TrainingSet {
        TrainingSet::of(self.sequence(user).iter().copied(), self.items)
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
