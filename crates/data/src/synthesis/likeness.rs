use std::collections::HashSet;
use std::fmt;

use chorus_model::ItemId;
use serde::Serialize;

/// Whether people who were made up repeat the real ones they were fitted to: distances to the closest record.
///
/// Likeness of two histories is Jaccard's: items in both over items in either. Each made-up history is compared with its
/// nearest among the histories of the fit, and so is each real history that the fit never saw. People who were learned by
/// heart are nearer to the fit than fresh real people are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Likeness {
    /// Real histories of the fit.
    pub train: usize,
    /// Real histories that it never saw, as far as they were compared.
    pub holdout: usize,
    /// Made-up histories, as far as they were compared; copies are looked for among all of them.
    pub synthetic: usize,
    /// Made-up histories of four items or more that are one of the fit's, item for item. Shorter ones meet by chance.
    pub exact_copies: usize,
    /// The chance that a made-up history is nearer to the fit than a fresh real one is, ties half. 0.5 where made-up
    /// people are as near as fresh ones.
    pub nearer_share: f64,
    /// The most that `nearer_share` may be: 0.5 and three standard errors.
    pub nearer_limit: f64,
    /// Share of made-up histories that are nearer to the fit than all but one of a hundred fresh ones.
    pub very_near_share: f64,
    /// The most that `very_near_share` may be: 0.01 and three standard errors.
    pub very_near_limit: f64,
    /// The typical likeness of a made-up history to its nearest of the fit: a median.
    pub synthetic_median: f64,
    /// The same of a fresh real one.
    pub holdout_median: f64,
}

/// Histories of each kind that are compared at most: it takes a walk over the people of every item.
const MOST: usize = 2_000;
/// Copies are counted from this many items on.
const LEAST_ITEMS: usize = 4;

impl Likeness {
    /// Compares made-up histories with real ones; items are numbered below `items`, and stand once in a history.
    pub fn of(
        train: &[&[ItemId]],
        holdout: &[&[ItemId]],
        synthetic: &[&[ItemId]],
        items: usize,
    ) -> Self {
        let known: HashSet<Vec<ItemId>> = train.iter().map(|history| sorted(history)).collect();
        let long = synthetic
            .iter()
            .filter(|history| history.len() >= LEAST_ITEMS);
        let exact_copies = long
            .filter(|history| known.contains(&sorted(history)))
            .count();

        let mut index = Index::new(train, items);
        let mut nearest = |histories: &[&[ItemId]]| {
            // Evenly over all of them: they may stand in some order.
            let step = histories.len().div_ceil(MOST).max(1);
            let some = histories.iter().step_by(step);
            let mut near: Vec<f64> = some.map(|history| index.nearest(history)).collect();
            near.sort_by(f64::total_cmp);
            near
        };
        let (fresh, made) = (nearest(holdout), nearest(synthetic));
        let share = |above: &dyn Fn(f64) -> f64| {
            made.iter().map(|near| above(*near)).sum::<f64>() / made.len().max(1) as f64
        };
        let nearer_share = share(&|near| {
            let below = fresh.partition_point(|fresh| *fresh < near);
            let ties = fresh.partition_point(|fresh| *fresh <= near) - below;
            (below as f64 + 0.5 * ties as f64) / fresh.len().max(1) as f64
        });
        let edge = at(&fresh, 0.99);
        let very_near_share = share(&|near| f64::from(u8::from(near > edge)));
        let spread = 1.0 / fresh.len().max(1) as f64 + 1.0 / made.len().max(1) as f64;
        Self {
            train: train.len(),
            holdout: fresh.len(),
            synthetic: made.len(),
            exact_copies,
            nearer_share,
            nearer_limit: 0.5 + 3.0 * (spread / 12.0).sqrt(),
            very_near_share,
            very_near_limit: 0.01 + 3.0 * (0.01 * 0.99 * spread).sqrt(),
            synthetic_median: at(&made, 0.5),
            holdout_median: at(&fresh, 0.5),
        }
    }

    /// Whether nobody was learned by heart, as far as this check sees.
    pub fn passes(&self) -> bool {
        self.exact_copies == 0
            && self.nearer_share <= self.nearer_limit
            && self.very_near_share <= self.very_near_limit
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} exact copies (none allowed); nearer to the fit than a fresh person is with a chance of {:.3} (at most {:.3}); \
             {:.1} % very near (at most {:.1} %); typical likeness {:.3}, of fresh people {:.3}",
            self.exact_copies,
            self.nearer_share,
            self.nearer_limit,
            100.0 * self.very_near_share,
            100.0 * self.very_near_limit,
            self.synthetic_median,
            self.holdout_median
        )
    }
}

/// A quantile of ascending numbers.
fn at(ascending: &[f64], part: f64) -> f64 {
    let place = (ascending.len().saturating_sub(1) as f64 * part).ceil() as usize;
    ascending.get(place).copied().unwrap_or(0.0)
}

fn sorted(history: &[ItemId]) -> Vec<ItemId> {
    let mut items = history.to_vec();
    items.sort_unstable();
    items
}

/// Who has each item.
struct Index {
    people: Vec<Vec<u32>>,
    lengths: Vec<usize>,
    /// Items that each has in common with who is being compared; all 0 in between.
    common: Vec<u32>,
}

impl Index {
    fn new(histories: &[&[ItemId]], items: usize) -> Self {
        let mut people = vec![Vec::new(); items];
        for (person, history) in (0u32..).zip(histories) {
            for item in *history {
                if let Some(list) = people.get_mut(item.0 as usize) {
                    list.push(person);
                }
            }
        }
        Self {
            people,
            lengths: histories.iter().map(|history| history.len()).collect(),
            common: vec![0; histories.len()],
        }
    }

    /// The likeness of a history to the one that is most like it.
    fn nearest(&mut self, history: &[ItemId]) -> f64 {
        let lists = || {
            history
                .iter()
                .filter_map(|item| self.people.get(item.0 as usize))
                .flatten()
        };
        for person in lists() {
            if let Some(common) = self.common.get_mut(*person as usize) {
                *common += 1;
            }
        }
        let mut nearest = 0.0f64;
        for person in lists() {
            let place = *person as usize;
            if let (Some(common), Some(length)) =
                (self.common.get_mut(place), self.lengths.get(place))
            {
                let both = f64::from(std::mem::take(common));
                nearest = nearest.max(both / ((history.len() + length) as f64 - both));
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Synthesis, synthesise};

    fn slices(histories: &[Vec<ItemId>]) -> Vec<&[ItemId]> {
        histories.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn the_nearest_by_hand() {
        let ids = |items: &[u32]| items.iter().copied().map(ItemId).collect::<Vec<_>>();
        let histories = [ids(&[0, 1, 2, 3]), ids(&[2, 3, 4])];
        let mut index = Index::new(&slices(&histories), 6);
        // 3 of 4 with the first, 1 of 5 with the second; nothing is left over for who comes next.
        assert_eq!(index.nearest(&ids(&[1, 2, 0])), 0.75);
        assert_eq!(index.nearest(&ids(&[3, 4])), 2.0 / 3.0);
        assert_eq!(index.nearest(&ids(&[5])), 0.0);
    }

    /// Fresh people of the same kind pass; copies, and copies with one item gone, do not, be they all or one in ten.
    #[test]
    fn who_was_learned_by_heart_is_found() {
        let all = synthesise(&Synthesis {
            users: 900,
            ..Synthesis::default()
        });
        let histories = slices(&all.histories);
        let (train, rest) = histories.split_at(300);
        let (holdout, fresh) = rest.split_at(300);
        let passed = Likeness::of(train, holdout, fresh, all.items);
        println!("fresh: {passed}");
        assert!(passed.passes() && (passed.nearer_share - 0.5).abs() < 0.07);

        let copied = Likeness::of(train, holdout, train, all.items);
        assert!(!copied.passes() && copied.exact_copies == 300);
        let near: Vec<&[ItemId]> = train.iter().map(|history| &history[1..]).collect();
        let near_copies = Likeness::of(train, holdout, &near, all.items);
        println!("near copies: {near_copies}");
        assert!(
            !near_copies.passes()
                && near_copies.exact_copies == 0
                && near_copies.nearer_share > 0.99
        );
        let mut mixed = fresh.to_vec();
        mixed.splice(..30, near.iter().take(30).copied());
        let mixed = Likeness::of(train, holdout, &mixed, all.items);
        println!("one in ten: {mixed}");
        assert!(
            !mixed.passes()
                && mixed.exact_copies == 0
                && mixed.very_near_share > mixed.very_near_limit
        );
    }
}
