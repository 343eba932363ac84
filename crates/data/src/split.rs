use std::collections::BTreeMap;

use chorus_model::ItemId;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::Held;

/// How many negatives a held-out item is ranked against: the NCF protocol.
pub(crate) const NEGATIVES: usize = 99;

/// Raw data has no published negatives; these are the same in every run.
pub(crate) const SEED: u64 = 20_261_121;

/// One raw event with the ids of its file.
pub(crate) struct Rating {
    pub(crate) user: u64,
    pub(crate) item: u64,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) at: i64,
}

/// Holds out each user's latest item; of equal times, the one further down in the file.
///
/// Users with one distinct item keep it to learn from and are not measured.
pub(crate) fn leave_one_out(
    ratings: &[Rating],
    users: &BTreeMap<u64, u32>,
    items: &BTreeMap<u64, u32>,
) -> (Vec<Vec<ItemId>>, Vec<Option<Held>>) {
    let mut histories: Vec<Vec<ItemId>> = vec![Vec::new(); users.len()];
    let mut latest: Vec<Option<(i64, ItemId)>> = vec![None; users.len()];
    for rating in ratings {
        let (Some(user), Some(item)) = (users.get(&rating.user), items.get(&rating.item)) else {
            continue;
        };
        let (user, item) = (*user as usize, ItemId(*item));
        if let Some(history) = histories.get_mut(user) {
            history.push(item);
        }
        if let Some(latest) = latest.get_mut(user)
            && latest.is_none_or(|(at, _)| at <= rating.at)
        {
            *latest = Some((rating.at, item));
        }
    }
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let cases = histories
        .iter_mut()
        .zip(latest)
        .map(|(history, latest)| {
            let (_, positive) = latest?;
            if history.iter().all(|item| *item == positive) {
                return None;
            }
            // Every event with the held-out item goes, or the model would have seen the answer.
            history.retain(|item| *item != positive);
            Some(Held {
                positive,
                also: Vec::new(),
                negatives: negatives(history, positive, items.len(), &mut rng),
            })
        })
        .collect();
    (histories, cases)
}

/// Up to 99 distinct items, drawn uniformly from those that are neither in the history nor held out.
pub(crate) fn negatives(
    history: &[ItemId],
    positive: ItemId,
    items: usize,
    rng: &mut impl Rng,
) -> Vec<ItemId> {
    let mut taken = vec![false; items];
    for item in history.iter().chain([&positive]) {
        if let Some(taken) = taken.get_mut(item.0 as usize) {
            *taken = true;
        }
    }
    let mut free: Vec<ItemId> = (0u32..)
        .zip(&taken)
        .filter(|(_, taken)| !**taken)
        .map(|(item, _)| ItemId(item))
        .collect();
    // The first steps of a Fisher-Yates shuffle.
    let count = NEGATIVES.min(free.len());
    for place in 0..count {
        let other = rng.random_range(place..free.len());
        free.swap(place, other);
    }
    free.truncate(count);
    // It had room for the whole catalogue, and one of these is kept for every user.
    free.shrink_to_fit();
    free
}
