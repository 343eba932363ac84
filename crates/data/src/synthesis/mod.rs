//! Populations that are made up: with planted taste, or fitted to real ones.

mod fit;
mod likeness;
mod world;
mod write;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::log::Event;
use crate::marks::Marks;
use crate::split::hold_out;
use crate::{Dataset, Split};
pub use fit::{Fit, FitError, fit};
pub use likeness::Likeness;
use world::{Happening, Person, World};

/// A population to make up: seeded, skewed, with planted taste.
///
/// What is planted, and so can be learned: every item belongs to one of `tastes` groups of about equal size and
/// popularity, every user has one group as their own, and three of four of a user's items come from it. The rest come
/// from the whole catalogue. Within either, items are drawn by popularity, which falls with rank like Zipf's law.
/// History lengths vary threefold around their mean. Which of a user's items is the last is chance.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Popularity of the item of rank r, from 0, is (r + 4) to the power of minus this: 0 is none, 1 is Zipf's law; at
    /// most 4.
    pub skew: f64,
    /// The part of all popularity that has moved to other items at the end of the time covered, growing evenly from
    /// nothing at its beginning: within 0 and 1.
    pub drift: f64,
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
            skew: 1.0,
            drift: 0.0,
        }
    }
}

impl Synthesis {
    /// The same with values out of range moved to the nearest one in range.
    fn within_range(&self) -> Self {
        let items = self.items.clamp(20, 1 << 24);
        let within = |value: f64, most: f64| match value.is_finite() {
            true => value.clamp(0.0, most),
            false => 0.0,
        };
        Self {
            users: self.users.clamp(1, 1 << 22),
            items,
            tastes: self.tastes.clamp(1, items / 10),
            mean_history: self.mean_history.clamp(4, items / 4),
            skew: within(self.skew, 4.0),
            drift: within(self.drift, 1.0),
            seed: self.seed,
        }
    }
}

/// People who never were: what each touched, when, and in which session.
#[derive(Clone, PartialEq)]
pub struct Population {
    /// One invented title an item.
    titles: Vec<String>,
    /// The taste group of each item.
    tastes: Vec<usize>,
    people: Vec<Person>,
}

/// Makes up people. Values out of range are moved to the nearest one in range.
pub fn invent(synthesis: &Synthesis) -> Population {
    let synthesis = synthesis.within_range();
    let mut rng = ChaCha20Rng::seed_from_u64(synthesis.seed);
    let world = World::planted(&synthesis, &mut rng);
    let mut taken = Marks::new(synthesis.items);
    Population {
        titles: (0..synthesis.items).map(title).collect(),
        tastes: world.groups().to_vec(),
        people: (0..synthesis.users)
            .map(|user| {
                world.person(
                    user % synthesis.tastes,
                    synthesis.drift,
                    &mut taken,
                    &mut rng,
                )
            })
            .collect(),
    }
}

/// Makes up a data set: people, each with the latest item held out.
pub fn synthesise(synthesis: &Synthesis) -> Dataset {
    invent(synthesis).dataset()
}

impl Population {
    /// How many people.
    pub fn users(&self) -> usize {
        self.people.len()
    }

    /// How many items.
    pub fn items(&self) -> usize {
        self.titles.len()
    }

    /// How many events.
    pub fn events(&self) -> usize {
        self.people.iter().map(|person| person.events.len()).sum()
    }

    /// How many sessions.
    pub fn sessions(&self) -> usize {
        self.people.iter().map(Person::sessions).sum()
    }

    /// As a data set, each user's latest item held out.
    pub fn dataset(&self) -> Dataset {
        let event = |one: &Happening| Event {
            at: one.at,
            item: one.item,
        };
        let events = |person: &Person| person.events.iter().map(event).collect();
        let users = self.people.iter().map(events).collect();
        let parts = hold_out(users, self.items(), true, Split::LeaveOneOut);
        Dataset {
            name: "synthetic".to_owned(),
            items: self.items(),
            titles: Some(self.titles.clone()),
            item_ids: None,
            user_ids: None,
            features: None,
            split: Split::LeaveOneOut,
            copies: 1,
            histories: parts.histories,
            times: parts.times,
            cases: parts.cases,
            repaired: 0,
            notes: Vec::new(),
        }
    }
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
