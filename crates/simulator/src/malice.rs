//! Clients that attack: what they add to a sum instead of what they learned.

use std::collections::BTreeSet;

use chorus_data::Dataset;
use chorus_model::{Delta, ItemId, Step, TrainingSet};
use chorus_protocol::{Encoded, contribute, encode, noise_share};
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::SimulateError;
use crate::audit::canary::direction;
use crate::draw::{Stream, sample, stream};
use crate::plain::Scene;

/// What an attacker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// A random direction as long as the clip.
    Random,
    /// The opposite of what it learned.
    SignFlip,
    /// What it learned, longer than the clip allows.
    Scaled,
    /// What it learns from a made-up history: the item that it promotes, among the most popular ones.
    Promotion,
}

/// Who attacks, and how. Masks hide a single update, so nobody sees that an attacker left its clip out: `strength` times the words
/// go into the sum, its share of the noise with them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Malice {
    /// Share of the population, always the same clients, rounded down.
    pub share: f64,
    /// What they send.
    pub attack: Attack,
    /// How often the sum holds it; 1 is what the clip allows.
    pub strength: u16,
    /// The item that is promoted; of other attacks, nothing.
    pub item: Option<u32>,
}

impl Malice {
    /// Refuses what cannot be simulated.
    pub(crate) fn check(&self, items: usize) -> Result<(), SimulateError> {
        let refuse = |key, problem: String| Err(SimulateError::Conduct { key, problem });
        if !(0.0..=1.0).contains(&self.share) {
            return refuse("malicious", "a share lies between 0 and 1".to_owned());
        }
        if self.strength == 0 {
            return refuse(
                "strength",
                "take 1, which the clip allows, or more".to_owned(),
            );
        }
        match (self.attack, self.item) {
            (Attack::Promotion, None) => refuse("promote", "say which item is promoted".to_owned()),
            (Attack::Promotion, Some(item)) if item as usize >= items => refuse(
                "promote",
                format!("there is no item {item}: the catalogue has {items}, numbered from 0"),
            ),
            (Attack::Promotion, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => refuse(
                "promote",
                "an item is promoted by the attack `promotion` alone".to_owned(),
            ),
        }
    }
}

/// The attackers of a simulation.
pub(crate) struct Attackers {
    malice: Malice,
    clients: BTreeSet<usize>,
    /// The history that a promotion is learned from.
    made_up: TrainingSet,
}

impl Attackers {
    pub fn new(malice: Malice, dataset: &Dataset, seed: u64) -> Self {
        let users = dataset.users();
        let count = (malice.share * users as f64 + 1e-9).floor() as usize;
        let clients = sample((0..users).collect(), count, seed, Stream::Malice);
        let made_up = match malice.item {
            Some(item) => made_up(dataset, ItemId(item)),
            None => TrainingSet::of([], dataset.items),
        };
        Self {
            malice,
            clients: clients.into_iter().collect(),
            made_up,
        }
    }

    /// Whether a client attacks a sum. Counts, losses and ranks beyond what honest clients can have are noticed at once, so there
    /// attackers send what honest ones would; a history that is made up is seen nowhere.
    pub fn attack(&self, client: usize, step: Step) -> bool {
        let is_checked = matches!(
            step,
            Step::Counts | Step::History | Step::Check | Step::Ranks
        );
        self.clients.contains(&client) && (!is_checked || self.malice.attack == Attack::Promotion)
    }

    /// What an attacker adds to the sum, and how often.
    pub fn contribute(
        &self,
        scene: &Scene<'_>,
        user: usize,
        rng: &mut ChaCha20Rng,
    ) -> Result<(Encoded, i32), SimulateError> {
        let (trainer, plan) = (scene.trainer, scene.plan);
        let share = noise_share(plan, rng)?;
        let history = scene.dataset.training_set(user);
        let delta = match self.malice.attack {
            Attack::Random => {
                let mut own = stream(scene.seed, plan.round.0, Stream::Attacker(user));
                // Longer than any bound; the clip makes it as long as that.
                let direction = direction(plan.encoding.length(), &mut own);
                Delta::new(direction.iter().map(|value| value * 1e6).collect())
            }
            Attack::Promotion => contribute(trainer, plan, &self.made_up, rng)?,
            Attack::SignFlip | Attack::Scaled => contribute(trainer, plan, &history, rng)?,
        };
        let strength = i32::from(self.malice.strength);
        let times = match self.malice.attack {
            Attack::SignFlip => -strength,
            // More of what is counted than one client has is noticed.
            Attack::Promotion if matches!(plan.step, Step::Counts | Step::History) => 1,
            _ => strength,
        };
        Ok((encode(delta, plan, share, rng)?, times))
    }
}

/// The item, and as many of the most popular ones as the typical history holds.
fn made_up(dataset: &Dataset, item: ItemId) -> TrainingSet {
    let mut counts = vec![0u32; dataset.items];
    let mut lengths = Vec::with_capacity(dataset.users());
    for user in 0..dataset.users() {
        let history = dataset.training_set(user);
        lengths.push(history.len());
        for item in history.items() {
            if let Some(count) = counts.get_mut(item.0 as usize) {
                *count += 1;
            }
        }
    }
    lengths.sort_unstable();
    let typical = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    let mut items: Vec<ItemId> = (0..dataset.items as u32).map(ItemId).collect();
    items.sort_by_key(|item| std::cmp::Reverse(counts.get(item.0 as usize).copied()));
    let popular = items.into_iter().filter(|other| *other != item);
    TrainingSet::of(popular.take(typical).chain([item]), dataset.items)
}
