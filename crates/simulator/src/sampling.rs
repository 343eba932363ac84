//! Who is invited to a sum.

use std::fmt;

use chorus_protocol::{Task, Turns};
use rand::RngExt;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::SimulateError;
use crate::draw::{Stream, stream};

/// How the cohort of a sum is drawn, where not everyone is invited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// As the product does: nobody is heard twice before everybody was once.
    #[default]
    Turns,
    /// So many of the population, whoever was heard before.
    Uniform,
    /// Each with the same probability, so that how many they are is chance too.
    Poisson,
}

/// When clients can be reached: a trace over slots of time, of which a round takes one, that begins anew after its last slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Availability {
    windows: Vec<Window>,
}

/// A client that can be reached from slot `from` on, up to `until` and no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    client: usize,
    from: u64,
    until: u64,
}

/// The first line of a trace.
const COLUMNS: &str = "client,from,until";

/// Of the largest population that is simulated.
const MOST_CLIENTS: u64 = 1 << 22;

/// Slots that a round waits for clients, at most.
const PATIENCE: u64 = 1_000;

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityError {
    line: usize,
    problem: String,
}

impl std::error::Error for AvailabilityError {}

impl fmt::Display for AvailabilityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.problem)
    }
}

impl Availability {
    /// Reads a trace: `client,from,until`, then a line a window. Clients are numbered from 0, as users of the data are, and slots
    /// are too; `until` is the first slot in which the client is gone again. Who is not in it is never there.
    ///
    /// # Errors
    /// Another first line, a number that is none, a window that holds no slot; with the line.
    pub fn parse(text: &str) -> Result<Self, AvailabilityError> {
        let fault = |line, problem: String| AvailabilityError { line, problem };
        let mut lines = text.lines().map(str::trim).zip(1..);
        if lines.next().is_none_or(|(first, _)| first != COLUMNS) {
            let expected = format!("a trace begins with the columns `{COLUMNS}`");
            return Err(fault(1, expected));
        }
        let mut windows = Vec::new();
        for (text, line) in lines.filter(|(text, _)| !text.is_empty()) {
            let numbers: Option<Vec<u64>> = text
                .split(',')
                .map(|cell| cell.trim().parse().ok())
                .collect();
            let Some([client, from, until]) = numbers.as_deref() else {
                let problem = format!("expected three whole numbers, found `{text}`");
                return Err(fault(line, problem));
            };
            if from >= until {
                let problem = format!("the window from slot {from} until {until} holds no slot");
                return Err(fault(line, problem));
            }
            if *client >= MOST_CLIENTS {
                let problem = format!(
                    "client {client}: no population has more than {MOST_CLIENTS}, numbered from 0"
                );
                return Err(fault(line, problem));
            }
            windows.push(Window {
                client: *client as usize,
                from: *from,
                until: *until,
            });
        }
        match windows.is_empty() {
            true => Err(fault(1, "nobody is ever there".to_owned())),
            false => Ok(Self { windows }),
        }
    }

    /// One more than the largest client.
    pub fn clients(&self) -> usize {
        let clients = self.windows.iter().map(|window| window.client + 1);
        clients.max().unwrap_or_default()
    }

    /// Slots until it begins anew.
    fn slots(&self) -> u64 {
        let ends = self.windows.iter().map(|window| window.until);
        ends.max().unwrap_or(1)
    }

    /// Who is there, ascending.
    fn present(&self, slot: u64) -> Vec<usize> {
        let slot = slot % self.slots();
        let there = |window: &&Window| (window.from..window.until).contains(&slot);
        let there = self.windows.iter().filter(there);
        let mut clients: Vec<usize> = there.map(|window| window.client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}

/// How somebody draws cohorts.
#[derive(Clone, Copy)]
pub(crate) struct Sampler<'a> {
    pub task: &'a Task,
    pub sampling: Sampling,
    pub availability: Option<&'a Availability>,
    pub seed: u64,
}

impl Sampler<'_> {
    /// The cohorts of the sum that begins in a slot, each ascending, and how many slots it had to wait for so many clients.
    pub fn cohorts(
        &self,
        slot: u64,
        turns: &mut Turns<usize>,
    ) -> Result<(Vec<Vec<usize>>, u64), SimulateError> {
        if self.task.split > 1 {
            return Ok((self.parts(slot), 0));
        }
        let needed = self.task.fewest_invited();
        let mut most = 0;
        for waited in 0..PATIENCE {
            let there = self.there(slot + waited);
            let found = match there.len() < needed {
                true => there.len(),
                false => {
                    let cohort = self.drawn(there, slot + waited, turns);
                    if cohort.len() >= needed {
                        return Ok((vec![cohort], waited));
                    }
                    cohort.len()
                }
            };
            most = most.max(found);
        }
        Err(SimulateError::TooFew { most, needed })
    }

    /// Disjoint cohorts of everyone.
    fn parts(&self, slot: u64) -> Vec<Vec<usize>> {
        let parts = self.task.split;
        let mut everyone: Vec<usize> = (0..self.task.population).collect();
        everyone.shuffle(&mut self.chance(slot));
        // Not chunks of one size: the clients that are left over join the first cohorts.
        let mut cohorts = vec![Vec::with_capacity(self.task.population / parts + 1); parts];
        for (place, client) in everyone.into_iter().enumerate() {
            if let Some(cohort) = cohorts.get_mut(place % parts) {
                cohort.push(client);
            }
        }
        cohorts.iter_mut().for_each(|cohort| cohort.sort_unstable());
        cohorts
    }

    /// Who can be reached, ascending.
    fn there(&self, slot: u64) -> Vec<usize> {
        match self.availability {
            None => (0..self.task.population).collect(),
            Some(trace) => trace.present(slot),
        }
    }

    /// The cohort out of those who are there.
    fn drawn(&self, there: Vec<usize>, slot: u64, turns: &mut Turns<usize>) -> Vec<usize> {
        let mut rng = self.chance(slot);
        let (population, wanted) = (self.task.population, self.task.cohort_size());
        let size = wanted.min(there.len());
        let mut cohort: Vec<usize> = match self.sampling {
            Sampling::Poisson => {
                let share = (wanted as f64 / population.max(1) as f64).min(1.0);
                let chosen = there.into_iter().filter(|_| rng.random_bool(share));
                chosen.collect()
            }
            _ if size == population => there,
            Sampling::Uniform => {
                let drawn = index::sample(&mut rng, there.len(), size).into_iter();
                let drawn = drawn.filter_map(|place| there.get(place).copied());
                drawn.collect()
            }
            Sampling::Turns => {
                // Who is away does not begin a new pass as long as a round can be opened without.
                let least = match self.availability {
                    None => size,
                    Some(_) => self.task.fewest_invited(),
                };
                let draw = turns.draw(there, size, least);
                let drawn = index::sample(&mut rng, draw.others.len(), draw.amount).into_iter();
                let drawn = drawn.filter_map(|place| draw.others.get(place));
                draw.first.iter().chain(drawn).copied().collect()
            }
        };
        cohort.sort_unstable();
        cohort
    }

    fn chance(&self, slot: u64) -> ChaCha20Rng {
        stream(self.seed, slot, Stream::Cohort)
    }
}

#[cfg(test)]
mod tests;
