use thiserror::Error;

use crate::marks::Marks;
use crate::{Dataset, Held, Split};

/// What makes a figure that is measured on a data set wrong.
///
/// The sentences name users and items by their numbers, which is what the figures are measured by.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Flaw {
    /// The answer is in what the model learns from.
    #[error("leak: item {item}, held out for user {user}, is in that user's training history")]
    HeldInHistory {
        /// User number.
        user: usize,
        /// Item number.
        item: u32,
    },
    /// The question names its answer.
    #[error(
        "leak: item {item}, held out for user {user}, is among the negatives it is ranked against"
    )]
    HeldAmongNegatives {
        /// User number.
        user: usize,
        /// Item number.
        item: u32,
    },
    /// A negative that a model has been shown as a positive.
    #[error("leak: item {item} is a negative of user {user} and in that user's training history")]
    NegativeInHistory {
        /// User number.
        user: usize,
        /// Item number.
        item: u32,
    },
    /// The model would learn from what came after the question.
    #[error(
        "leak: user {user} learns from an event at {learned} and is asked about one at {asked}, which is earlier \
         (milliseconds since 1970)"
    )]
    AskedBeforeLearned {
        /// User number.
        user: usize,
        /// The latest training event, or the cut: milliseconds since 1970-01-01 UTC.
        learned: i64,
        /// The held-out event, in the same unit.
        asked: i64,
    },
    /// An item number that the catalogue does not have.
    #[error("item {item} of user {user} is beyond the catalogue of {items} items")]
    ItemBeyondCatalogue {
        /// User number.
        user: usize,
        /// Item number.
        item: u32,
        /// Items in the catalogue.
        items: usize,
    },
    /// A list with one entry a user, or one an item, of another length.
    #[error("{what} has {length} entries, where {wanted} are expected")]
    WrongLength {
        /// Which list.
        what: &'static str,
        /// How long it is.
        length: usize,
        /// How long it should be.
        wanted: usize,
    },
    /// An item more than once in a history, which should hold each once.
    #[error("item {item} stands more than once in the history of user {user}")]
    Repeated {
        /// User number.
        user: usize,
        /// Item number.
        item: u32,
    },
}

/// Asserts what every figure relies on; every reader's result passes through here.
///
/// A published split is what its publisher made it: it may list the held-out item or items of the history among the
/// negatives (156 rows of ml-1m do), which the metrics drop, and its times are not compared. Everything else holds for
/// it too.
///
/// # Errors
/// The first flaw, with the user and the item.
pub fn check(dataset: &Dataset) -> Result<(), Flaw> {
    lengths(dataset)?;
    let mut seen = Marks::new(dataset.items);
    for (user, (history, held)) in dataset.histories.iter().zip(&dataset.cases).enumerate() {
        let within = |item: u32| match (item as usize) < dataset.items {
            true => Ok(()),
            false => Err(Flaw::ItemBeyondCatalogue {
                user,
                item,
                items: dataset.items,
            }),
        };
        seen.clear();
        for item in history {
            within(item.0)?;
            if !seen.mark(*item) {
                return Err(Flaw::Repeated { user, item: item.0 });
            }
        }
        if let Some(held) = held {
            for item in held.all().chain(&held.negatives) {
                within(item.0)?;
            }
            question(user, held, &seen, dataset.split == Split::Published)?;
        }
        order(dataset, user, held.as_ref())?;
    }
    Ok(())
}

/// Every list with one entry a user or an item has as many.
fn lengths(dataset: &Dataset) -> Result<(), Flaw> {
    let (users, items) = (dataset.histories.len(), dataset.items);
    let lists = [
        (
            "the list of held-out items",
            Some(dataset.cases.len()),
            users,
        ),
        (
            "the list of times",
            dataset.times.as_ref().map(Vec::len),
            users,
        ),
        (
            "the list of user ids",
            dataset.user_ids.as_ref().map(Vec::len),
            users,
        ),
        (
            "the list of item ids",
            dataset.item_ids.as_ref().map(Vec::len),
            items,
        ),
        (
            "the list of titles",
            dataset.titles.as_ref().map(Vec::len),
            items,
        ),
    ];
    for (what, length, wanted) in lists {
        if let Some(length) = length.filter(|length| *length != wanted) {
            return Err(Flaw::WrongLength {
                what,
                length,
                wanted,
            });
        }
    }
    for (history, times) in dataset.histories.iter().zip(dataset.times.iter().flatten()) {
        if history.len() != times.len() {
            return Err(Flaw::WrongLength {
                what: "the list of times of a history",
                length: times.len(),
                wanted: history.len(),
            });
        }
    }
    Ok(())
}

/// One question: its answer is nowhere but in it. `seen` marks the history.
fn question(user: usize, held: &Held, seen: &Marks, is_published: bool) -> Result<(), Flaw> {
    if let Some(item) = held.all().find(|item| seen.is_marked(**item)) {
        return Err(Flaw::HeldInHistory { user, item: item.0 });
    }
    if is_published {
        return Ok(());
    }
    for item in &held.negatives {
        if held.all().any(|held| held == item) {
            return Err(Flaw::HeldAmongNegatives { user, item: item.0 });
        }
        if seen.is_marked(*item) {
            return Err(Flaw::NegativeInHistory { user, item: item.0 });
        }
    }
    Ok(())
}

/// Nothing is learned from what came after the question.
fn order(dataset: &Dataset, user: usize, held: Option<&Held>) -> Result<(), Flaw> {
    let times = dataset.times.as_ref().and_then(|times| times.get(user));
    let learned = times.into_iter().flatten().max().copied();
    let asked = held.and_then(|held| held.times.iter().min().copied());
    let is_early = |asked: i64, learned: i64| match asked < learned {
        true => Err(Flaw::AskedBeforeLearned {
            user,
            learned,
            asked,
        }),
        false => Ok(()),
    };
    match dataset.split {
        Split::Published => {}
        Split::LeaveOneOut => {
            if let (Some(asked), Some(learned)) = (asked, learned) {
                is_early(asked, learned)?;
            }
        }
        // The cut is the same for everyone: no user learns from a day that another one is asked about.
        Split::Temporal(cut) => {
            if let Some(cut) = cut.at() {
                if let Some(learned) = learned.filter(|learned| *learned >= cut) {
                    return Err(Flaw::AskedBeforeLearned {
                        user,
                        learned,
                        asked: cut,
                    });
                }
                if let Some(asked) = asked {
                    is_early(asked, cut)?;
                }
            }
        }
    }
    Ok(())
}
