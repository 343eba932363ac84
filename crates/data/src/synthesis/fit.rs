use chorus_model::ItemId;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use thiserror::Error;

use super::likeness::Likeness;
use super::world::World;
use super::{Population, title};
use crate::Dataset;
use crate::marks::Marks;

/// How to make up a population like a real one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// How many users; as many as are real, where it is not said.
    pub users: Option<usize>,
    /// How many taste groups; at least 1.
    pub tastes: usize,
    /// As in [`super::Synthesis`].
    pub drift: f64,
    /// The same seed and the same data give the same population.
    pub seed: u64,
}

/// A population that is not made up.
#[derive(Debug, Error)]
pub enum FitError {
    /// Fewer users than a fit and its check need.
    #[error(
        "{users} users with a history are too few to fit to and to check against: at least {LEAST}"
    )]
    TooFew {
        /// As many there are.
        users: usize,
    },
    /// More tastes than the data can tell apart.
    #[error(
        "{tastes} taste groups are too many for {users} users: at most one for every {A_GROUP}"
    )]
    TooManyTastes {
        /// As many were asked for.
        tastes: usize,
        /// As many users the fit has.
        users: usize,
    },
    /// What came out repeats real people.
    #[error(
        "the population is too like the people it was fitted to, so it is not written: {0}; ask for fewer groups, or fit to more people"
    )]
    TooAlike(Box<Likeness>),
}

/// Real users, at least.
const LEAST: usize = 50;
/// Users for each taste, at least: a group of a few would be those few.
const A_GROUP: usize = 10;
/// The real users that the fit does not see, to compare with: one of so many.
const HOLDOUT: usize = 5;
/// Passes of expectation and maximisation.
const PASSES: usize = 15;
/// Share of each taste, and of each person's items, that is what everyone likes.
const COMMON: f64 = 0.1;

/// Makes up people like those of `dataset`, and checks that nobody is repeated.
///
/// Fitted, on four of five of the real users' training histories: how popular each item is, how long histories are, and a
/// mixture of tastes (a mixture of multinomials by expectation and maximisation, Dempster, Laird and Rubin 1977). Then the
/// people who come out are compared with those of the fit, and with the fifth that it never saw.
///
/// # Privacy
/// The check finds histories that were learned by heart. It is no differential privacy, and promises nothing about
/// anyone: whoever publishes a fitted population publishes something about real people.
///
/// # Errors
/// When there are too few users, or when the population fails the check.
pub fn fit(dataset: &Dataset, fit: &Fit) -> Result<(Population, Likeness), FitError> {
    let mut rng = ChaCha20Rng::seed_from_u64(fit.seed);
    let histories = dataset
        .histories
        .iter()
        .filter(|history| !history.is_empty());
    let mut real: Vec<&[ItemId]> = histories.map(Vec::as_slice).collect();
    if real.len() < LEAST {
        return Err(FitError::TooFew { users: real.len() });
    }
    real.shuffle(&mut rng);
    let (holdout, train) = real.split_at(real.len() / HOLDOUT);
    if fit.tastes.max(1).saturating_mul(A_GROUP) > train.len() {
        return Err(FitError::TooManyTastes {
            tastes: fit.tastes,
            users: train.len(),
        });
    }
    let mixture = Mixture::fit(train, dataset.items, fit.tastes.max(1), &mut rng);
    let lengths = train.iter().map(|history| history.len()).collect();
    let Mixture {
        shares,
        tastes,
        everything,
    } = mixture;
    let world = World::of(tastes, everything, 1.0 - COMMON, lengths, &mut rng);
    let users = fit.users.unwrap_or(dataset.users()).clamp(1, 1 << 22);
    let drift = match fit.drift.is_finite() {
        true => fit.drift.clamp(0.0, 1.0),
        false => 0.0,
    };
    let mut taken = Marks::new(dataset.items);
    let people = (0..users).map(|_| {
        let taste = pick(&shares, &mut rng);
        world.person(taste, drift, &mut taken, &mut rng)
    });
    let population = Population {
        people: people.collect(),
        tastes: world.groups().to_vec(),
        titles: (0..dataset.items).map(title).collect(),
    };
    let made: Vec<Vec<ItemId>> = population
        .people
        .iter()
        .map(|person| person.events.iter().map(|event| event.item).collect())
        .collect();
    let made: Vec<&[ItemId]> = made.iter().map(Vec::as_slice).collect();
    let likeness = Likeness::of(train, holdout, &made, dataset.items);
    match likeness.passes() {
        true => Ok((population, likeness)),
        false => Err(FitError::TooAlike(Box::new(likeness))),
    }
}

/// Tastes that people mix: every history is drawn from one of them.
struct Mixture {
    /// Share of the people with each taste.
    shares: Vec<f64>,
    /// Each taste's weights by item.
    tastes: Vec<Vec<f64>>,
    /// How popular each item is.
    everything: Vec<f64>,
}

impl Mixture {
    fn fit(train: &[&[ItemId]], items: usize, tastes: usize, rng: &mut impl Rng) -> Self {
        let mut everything = vec![0.0; items];
        for item in train.iter().copied().flatten() {
            add(&mut everything, *item, 1.0);
        }
        let mut mixture = Self {
            shares: vec![1.0 / tastes as f64; tastes],
            // Each begins at somebody, on top of what everyone likes.
            tastes: (0..tastes)
                .map(|_| {
                    let place = rng.random_range(0..train.len().max(1));
                    let mut weights = vec![0.0; items];
                    for item in train.get(place).copied().unwrap_or_default() {
                        add(&mut weights, *item, 1.0);
                    }
                    smoothed(weights, &everything, 0.5)
                })
                .collect(),
            everything,
        };
        for _ in 0..PASSES {
            mixture.improve(train);
        }
        mixture
    }

    /// One pass: whose taste is whose, then what each taste wants.
    fn improve(&mut self, train: &[&[ItemId]]) {
        let logs: Vec<Vec<f64>> = self
            .tastes
            .iter()
            .map(|weights| {
                weights
                    .iter()
                    .map(|weight| weight.max(1e-300).ln())
                    .collect()
            })
            .collect();
        let mut shares = vec![1.0; self.shares.len()];
        let mut tastes = vec![vec![0.0; self.everything.len()]; self.tastes.len()];
        for history in train {
            let mut odds: Vec<f64> = logs
                .iter()
                .zip(&self.shares)
                .map(|(logs, share)| {
                    let items = history.iter().filter_map(|item| logs.get(item.0 as usize));
                    share.ln() + items.sum::<f64>()
                })
                .collect();
            let most = odds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            odds.iter_mut()
                .for_each(|odds| *odds = (*odds - most).exp());
            let all: f64 = odds.iter().sum();
            for ((share, taste), odds) in shares.iter_mut().zip(&mut tastes).zip(&odds) {
                let part = odds / all;
                *share += part;
                if part > 1e-6 {
                    history.iter().for_each(|item| add(taste, *item, part));
                }
            }
        }
        let all: f64 = shares.iter().sum();
        self.shares = shares.into_iter().map(|share| share / all).collect();
        self.tastes = tastes
            .into_iter()
            .map(|weights| smoothed(weights, &self.everything, COMMON))
            .collect();
    }
}

fn add(weights: &mut [f64], item: ItemId, weight: f64) {
    if let Some(slot) = weights.get_mut(item.0 as usize) {
        *slot += weight;
    }
}

/// Weights that add up to 1, a share of them as everyone's are.
fn smoothed(mut weights: Vec<f64>, everything: &[f64], common: f64) -> Vec<f64> {
    let own: f64 = weights.iter().sum::<f64>().max(1e-300);
    let all: f64 = everything.iter().sum::<f64>().max(1e-300);
    for (weight, every) in weights.iter_mut().zip(everything) {
        *weight = (1.0 - common) * *weight / own + common * every / all;
    }
    weights
}

/// A taste, as likely as its share.
fn pick(shares: &[f64], rng: &mut impl Rng) -> usize {
    let mut left = rng.random::<f64>() * shares.iter().sum::<f64>();
    for (taste, share) in shares.iter().enumerate() {
        left -= share;
        if left < 0.0 {
            return taste;
        }
    }
    shares.len().saturating_sub(1)
}
