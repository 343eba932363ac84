//! Attacks on what a task gives away, and what its guarantee leaves to them.

mod attributes;
mod curve;
mod interactions;
mod membership;
mod round;
mod row;
mod world;

use std::collections::BTreeSet;

use chorus_data::{Dataset, Trait};
use chorus_model::{Engine, TrainingSet};
use chorus_protocol::{Privacy, Task};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::SimulateError;
use crate::draw::{Stream, stream};
use attributes::Groups;
pub use round::{OneRound, attack_one_round};
pub use row::AttackRow;
use world::World;

/// How to attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttackOptions {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// People whose items are guessed, each against noise of its own; at most a sixth of those with 4 items or more.
    pub people: usize,
}

/// What the attacks reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attacks {
    /// One row an attack, with noise first.
    pub rows: Vec<AttackRow>,
    /// What could not be tried, in sentences.
    pub skipped: Vec<String>,
    /// Epsilon that the task claims.
    pub epsilon: f64,
    /// At this delta.
    pub delta: f64,
    /// mu of Gaussian DP that goes with it: what the ceilings are computed from.
    pub mu: f64,
    /// People of the data.
    pub people: usize,
    /// People of the data whose contributions were zeros, to compare with.
    pub absent: usize,
    /// Name of the data.
    pub data: String,
    /// The seed.
    pub seed: u64,
    /// The command, as it can be repeated.
    pub command: String,
}

impl Attacks {
    /// The attacks that did better than the guarantee allows: with a sound mechanism none.
    pub fn above(&self) -> impl Iterator<Item = &AttackRow> {
        self.rows.iter().filter(|row| row.is_above())
    }

    /// The attacks of which the 95 % interval reaches beyond what the guarantee allows: chance may have carried them there, or
    /// not.
    pub fn open(&self) -> impl Iterator<Item = &AttackRow> {
        self.rows.iter().filter(|row| row.is_open())
    }
}

/// Histories shorter than this are not attacked: there would be nothing to know half of.
const SHORTEST: usize = 4;
/// Most people in each group that are compared, present and absent.
const GROUP: usize = 1_000;
/// People that leave at least ten for each group.
const FEWEST: usize = 60;

/// Learns the task twice, with noise and without, and tries every attack on both.
///
/// A sixth of the people (1,000 at most) send zeros, so that attacks on the model can be compared between people that
/// took part and people that did not. `traits`: what the data knows of its people besides their histories.
///
/// # Errors
/// When task and data do not fit each other, there are too few people, the task has no noise, or a step of the road fails.
pub fn attack(
    task: &Task,
    dataset: &Dataset,
    traits: &[Trait],
    engine: &dyn Engine,
    options: AttackOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Attacks, SimulateError> {
    task.validate()?;
    let Privacy::Distributed { epsilon, delta } = task.privacy else {
        return Err(SimulateError::NothingToAudit);
    };
    if task.population != dataset.users() {
        return Err(SimulateError::Population {
            task: task.population,
            data: dataset.users(),
        });
    }
    let mut people: Vec<usize> = (0..dataset.users())
        .filter(|person| dataset.training_set(*person).len() >= SHORTEST)
        .collect();
    if people.len() < FEWEST {
        return Err(SimulateError::TooFewToAttack {
            people: people.len(),
            shortest: SHORTEST,
            fewest: FEWEST,
        });
    }
    people.shuffle(&mut stream(options.seed, 0, Stream::Audit));
    let group = (people.len() / 6).min(GROUP);
    let absent = people.split_off(people.len() - group);
    let (present, known) = people.split_at(group.min(people.len()));
    let histories: Vec<TrainingSet> = (0..dataset.users())
        .map(|person| dataset.training_set(person))
        .collect();
    let popularity: Vec<f64> = chorus_model::popularity(&histories, dataset.items)
        .into_iter()
        .map(f64::from)
        .collect();
    let zeros: BTreeSet<usize> = absent.iter().copied().collect();
    let items = options.people.min(present.len());
    let items = present.get(..items).unwrap_or_default();
    let mut rows = Vec::new();
    let mut mu = 0.0;
    for with_noise in [true, false] {
        let seed = options.seed;
        progress(match with_noise {
            true => "learning with noise",
            false => "learning without noise",
        });
        let world = World::learn(task, dataset, engine, seed, with_noise, &zeros)?;
        mu = world.mu.unwrap_or(mu);
        progress("attacking");
        rows.extend(interactions::on_sums(
            &world,
            dataset,
            items,
            &popularity,
            seed,
        )?);
        let model = interactions::on_model(&world, dataset, present, &absent, &popularity)?;
        rows.push(model);
        rows.push(membership::on_sums(&world, dataset, present, seed)?);
        rows.push(membership::on_model(&world, dataset, present, &absent)?);
        let absent = absent.as_slice();
        let groups = Groups {
            known,
            present,
            absent,
        };
        for wanted in traits {
            rows.push(attributes::on_screen(&world, dataset, wanted, &groups)?);
        }
    }
    let one = OneRound {
        cohort: 1,
        noise_multiplier: 1.0,
        people: items.len(),
        seed: options.seed,
    };
    let [_, _, mut matched, _] = attack_one_round(dataset, &popularity, one)?;
    matched.adversary = "one sum at z = 1, all others known".to_owned();
    rows.push(matched);
    let skipped = match traits.is_empty() {
        true => vec![format!(
            "{} says nothing of its people besides what they touched, so gender and age were not guessed.",
            dataset.name
        )],
        false => Vec::new(),
    };
    Ok(Attacks {
        rows,
        skipped,
        epsilon,
        delta,
        mu,
        people: dataset.users(),
        absent: absent.len(),
        data: dataset.name.clone(),
        seed: options.seed,
        command: String::new(),
    })
}
