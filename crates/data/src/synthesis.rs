use chorus_model::ItemId;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::{Dataset, Held, Split, negatives::negatives};

/// A population to make up: seeded, skewed, with planted taste.
///
/// What is planted, and so can be learned: every item belongs to one of `tastes` groups of about equal size and
/// popularity, every user has one group as their own, and three of four of a user's items come from it. The rest come
/// from the whole catalogue. Within either, items are drawn by popularity, which falls with rank like Zipf's law.
/// History lengths vary threefold around their mean. The held-out item is a random one of the user's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthesis {
    /// How many users; at least 1.
    pub users: usize,
    /// How many items; at least 20.
    pub items: usize,
    /// How many taste groups; at least 1 and at most a tenth of the items.
    pub tastes: usize,
    /// The same seed gives the same population.
    pub seed: u64,
    /// Mean items of a training history; at least 4 and at most a quarter of the items.
    pub mean_history: usize,
}

impl Default for Synthesis {
    /// Four hundred users and 240 items: small, and the model with noise still beats popularity clearly.
    fn default() -> Self {
        Self {
            users: 400,
            items: 240,
            tastes: 5,
            seed: 1,
            mean_history: 24,
        }
    }
}

/// Share of a user's items that come from the user's own taste group.
const LOYALTY: f64 = 0.75;
/// Popularity of the item of rank r, from 0: (r + `ZIPF_SHIFT`)^-`ZIPF_POWER`.
const ZIPF_POWER: f64 = 1.0;
const ZIPF_SHIFT: f64 = 4.0;

/// Makes up a population. Values out of range are moved to the nearest one in range.
pub fn synthesise(synthesis: &Synthesis) -> Dataset {
    let items = synthesis.items.clamp(20, 1 << 24);
    let tastes = synthesis.tastes.clamp(1, items / 10);
    let mean = synthesis.mean_history.clamp(4, items / 4) as f64;
    let mut rng = ChaCha20Rng::seed_from_u64(synthesis.seed);
    let popularity = popularity(items, &mut rng);
    let groups = groups(&popularity, tastes);
    let mut histories = Vec::new();
    let mut cases = Vec::new();
    for user in 0..synthesis.users.max(1) {
        // Log-uniform over a factor of three each way, divided by its own mean.
        let spread = 3f64.powf(rng.random_range(-1.0..1.0)) / (8.0 / 3.0 / 9f64.ln());
        // One more than the training history: the item to hold out.
        let length = ((mean * spread).round() as usize).clamp(3, items / 2) + 1;
        let own = groups.get(user % tastes);
        let mut history = draw_history(
            length,
            own.map_or(&[], Vec::as_slice),
            &popularity,
            &mut rng,
        );
        history.shuffle(&mut rng);
        cases.push(history.pop().map(|positive| Held {
            positive,
            also: Vec::new(),
            negatives: negatives(&history, positive, items, &mut rng),
            times: Vec::new(),
        }));
        histories.push(history);
    }
    let titles = Some((0..items).map(title).collect());
    Dataset {
        name: "synthetic".to_owned(),
        items,
        titles,
        item_ids: None,
        user_ids: None,
        features: None,
        split: Split::LeaveOneOut,
        histories,
        times: None,
        cases,
        repaired: 0,
    }
}

/// How often each item is wanted, `[items]`: Zipf-like, the ranks given to the items at random.
fn popularity(items: usize, rng: &mut impl Rng) -> Vec<f64> {
    let mut popularity: Vec<f64> = (0..items)
        .map(|rank| (rank as f64 + ZIPF_SHIFT).powf(-ZIPF_POWER))
        .collect();
    popularity.shuffle(rng);
    popularity
}

/// Deals the items to the groups in the order of their popularity, so that no group is the popular one.
fn groups(popularity: &[f64], tastes: usize) -> Vec<Vec<(ItemId, f64)>> {
    let mut ranked: Vec<(ItemId, f64)> = (0u32..)
        .map(ItemId)
        .zip(popularity.iter().copied())
        .collect();
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
    let mut groups = vec![Vec::new(); tastes];
    for (place, item) in ranked.into_iter().enumerate() {
        // There and back, so that the first group does not get the best of every hand.
        let turn = place % (2 * tastes);
        let group = if turn < tastes {
            turn
        } else {
            2 * tastes - 1 - turn
        };
        if let Some(group) = groups.get_mut(group) {
            group.push(item);
        }
    }
    groups
}

/// `length` distinct items, by popularity: most from the group, the rest from everything.
fn draw_history(
    length: usize,
    group: &[(ItemId, f64)],
    popularity: &[f64],
    rng: &mut impl Rng,
) -> Vec<ItemId> {
    let loyal = (0..length)
        .filter(|_| rng.random_bool(LOYALTY))
        .count()
        .min(group.len());
    let mut history = by_popularity(group.iter().copied(), loyal, rng);
    let others = (0u32..)
        .map(ItemId)
        .zip(popularity.iter().copied())
        .filter(|(item, _)| !history.contains(item));
    let others = by_popularity(others, length - loyal, rng);
    history.extend(others);
    history
}

/// `count` distinct items, each draw in proportion to the weights that are left (Efraimidis and Spirakis 2006:
/// the items with the smallest of independent exponential times of those rates).
fn by_popularity(
    items: impl Iterator<Item = (ItemId, f64)>,
    count: usize,
    rng: &mut impl Rng,
) -> Vec<ItemId> {
    let mut times: Vec<(f64, ItemId)> = items
        .map(|(item, weight)| (-(1.0 - rng.random::<f64>()).ln() / weight, item))
        .collect();
    times.sort_by(|left, right| left.0.total_cmp(&right.0));
    times
        .into_iter()
        .take(count)
        .map(|(_, item)| item)
        .collect()
}

/// An invented, neutral name; distinct for distinct items.
fn title(item: usize) -> String {
    const FIRST: [&str; 16] = [
        "Harbour", "Meadow", "Copper", "Winter", "Paper", "Silver", "Orchard", "River", "Lantern",
        "Granite", "Morning", "Cedar", "Velvet", "Coastal", "Amber", "Northern",
    ];
    const SECOND: [&str; 15] = [
        "Lights", "Song", "Bridge", "Letters", "Garden", "Road", "Clock", "Windows", "Story",
        "Signal", "Market", "Voyage", "Echo", "Season", "Atlas",
    ];
    let word = |words: &[&'static str], number: usize| {
        words.get(number % words.len()).copied().unwrap_or_default()
    };
    format!(
        "{} {} {}",
        word(&FIRST, item),
        word(&SECOND, item),
        item + 1
    )
}
