//! Server steps over buffers of updates, each as it comes, instead of rounds: FedBuff (Nguyen et al. 2022, "Federated learning with
//! buffered asynchronous aggregation", algorithm 1). Nobody waits for anybody, so no masks bind clients together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chorus_model::{MeanDelta, Parameters, Recipe, Step, Sum};
use chorus_privacy::Release;
use chorus_protocol::{Digest, Funnel, Privacy, RoundId, Task, cost, decode};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::draw::{Stream, stream};
use crate::plain::{self, Member, Scene, Summed};
use crate::{Alone, Options, Progress, SimulateError, Simulation};

/// How updates are buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Updates of one server step.
    pub updates: usize,
    /// Server steps that an update may come late by. An older one is thrown away.
    pub staleness: usize,
}

/// What protects whom, where updates come one by one.
pub(crate) const ONE_BY_ONE: &str = "Updates come one by one and without masks: the coordinator sees each client's update by itself, \
    and when it came. Nothing hides one client among others; without noise of its own an update says what its client did.";

/// How much longer a straggler takes.
const SLOW: f64 = 10.0;

/// A client that learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    user: usize,
    /// The sum whose model it learns from.
    began: usize,
    /// When its update comes.
    arrives: f64,
    /// Whether it never comes.
    is_lost: bool,
}

/// Everyone that learns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flights {
    started: u64,
    flying: Vec<Flight>,
}

/// What came until the buffer was full.
struct Arrived {
    /// Who learned from the model of which sum, each ascending.
    users: BTreeMap<usize, BTreeSet<usize>>,
    /// Whoever came, too late, or not at all.
    ended: usize,
}

impl Buffer {
    /// Refuses what cannot be simulated of a task.
    pub(crate) fn check(&self, task: &Task, options: &Options) -> Result<(), SimulateError> {
        let refuse = |problem: String| {
            Err(SimulateError::Conduct {
                key: "buffer",
                problem,
            })
        };
        let is_trained = matches!(task.recipe, Recipe::Trained(_));
        if !is_trained || matches!(task.privacy, Privacy::Distributed { .. }) || options.masks {
            return refuse(
                "updates that come one by one are of a model of a plan, without masks, and without noise or with local noise: name a \
                 `model`, and take `noise` off or local"
                    .to_owned(),
            );
        }
        if options.availability.is_some() {
            return refuse("a trace is of rounds: leave out `availability`".to_owned());
        }
        let (learning, population) = (task.cohort_size(), task.population);
        if self.updates == 0 || self.updates > learning || learning + self.updates > population {
            return refuse(format!(
                "a cohort of {learning} clients learns at a time, of {population}: a buffer holds 1 to {} of their updates",
                learning.min(population.saturating_sub(learning))
            ));
        }
        Ok(())
    }

    /// What an update counts that is so many steps late: 1 / sqrt(1 + s), the paper's choice.
    fn weight(staleness: usize) -> f64 {
        (1.0 + staleness as f64).sqrt().recip()
    }
}

impl Flights {
    /// Clients learn until the buffer is full, `learning` at a time.
    fn fill(
        &mut self,
        buffer: Buffer,
        index: usize,
        learning: usize,
        task: &Task,
        options: &Options,
    ) -> Arrived {
        let mut arrived = Arrived {
            users: BTreeMap::new(),
            ended: 0,
        };
        let mut heard = 0;
        let mut busy: BTreeSet<usize> = self.flying.iter().map(|flight| flight.user).collect();
        let mut clock = 0.0;
        while heard < buffer.updates {
            while self.flying.len() < learning {
                self.start(&mut busy, index, clock, task.population, options);
            }
            let places = self.flying.iter().enumerate();
            let first = places.min_by(|(_, one), (_, other)| {
                let by_user = one.user.cmp(&other.user);
                one.arrives.total_cmp(&other.arrives).then(by_user)
            });
            let Some(place) = first.map(|(place, _)| place) else {
                break;
            };
            let flight = self.flying.swap_remove(place);
            clock = flight.arrives;
            arrived.ended += 1;
            if !flight.is_lost && index - flight.began <= buffer.staleness {
                heard += 1;
                let users = arrived.users.entry(flight.began).or_default();
                users.insert(flight.user);
            } else {
                // Nothing of it is in this buffer, so it can begin again.
                busy.remove(&flight.user);
            }
        }
        // The clock begins anew with every step: only what is left of each flight counts.
        self.flying
            .iter_mut()
            .for_each(|flight| flight.arrives -= clock);
        arrived
    }

    /// A client that is not busy begins. It takes a second and an exponential time, which is what is left of chance after the least
    /// work (Lee et al. 2018, "Speeding up distributed machine learning using codes", section 4).
    fn start(
        &mut self,
        busy: &mut BTreeSet<usize>,
        index: usize,
        clock: f64,
        population: usize,
        options: &Options,
    ) {
        let mut rng: ChaCha20Rng = stream(options.seed, self.started, Stream::Flight);
        self.started += 1;
        // There are more clients than can learn and be in the buffer at once: `check` says so.
        let user = loop {
            let user = rng.random_range(0..population);
            if busy.insert(user) {
                break user;
            }
        };
        let slow = match rng.random_bool(options.stragglers) {
            true => SLOW,
            false => 1.0,
        };
        let takes = slow * (1.0 - (1.0 - rng.random::<f64>()).ln());
        self.flying.push(Flight {
            user,
            began: index,
            arrives: clock + takes,
            is_lost: rng.random_bool(options.dropout),
        });
    }

    /// Whether somebody learns from the model of a sum.
    fn learn_from(&self, index: usize) -> bool {
        self.flying.iter().any(|flight| flight.began == index)
    }
}

/// Models that somebody still learns from, by their sums.
pub(crate) type Older = BTreeMap<usize, Parameters>;

impl Simulation<'_> {
    /// The buffer, where a sum is taken by one.
    pub(crate) fn buffer(&self, sum: &Sum) -> Option<Buffer> {
        let learns = matches!(sum.step, Step::Update | Step::NoisedUpdate);
        self.options.buffer.filter(|_| learns)
    }

    /// Fills a buffer and weighs what is in it. What one client spent is added to `costs`.
    pub(crate) fn gather_buffer(
        &mut self,
        buffer: Buffer,
        sum: &Sum,
        costs: &mut Vec<Release>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<MeanDelta, SimulateError> {
        let (began, index) = (Instant::now(), self.standing.index);
        let round = self.standing.rounds.len() + 1;
        progress(Progress::Began {
            round,
            rounds: self.task.sums().len(),
            name: &sum.name,
            invited: buffer.updates,
        });
        let learning = self.task.cohort_size();
        let arrived = self
            .standing
            .flights
            .fill(buffer, index, learning, self.task, &self.options);
        let mut total = MeanDelta {
            sum: Vec::new(),
            clients: 0,
            noise: 0.0,
        };
        let (mut stale, mut all) = (0, Summed::none());
        let mut last = None;
        for (since, users) in arrived.users {
            let parameters = match since == index {
                true => &self.learning.parameters,
                false => self.older.get(&since).unwrap_or(&self.learning.parameters),
            };
            let trainer = self.engine.open(parameters)?;
            let version = since as u64 + 1;
            let none = Digest::of(b"");
            let plan = self
                .task
                .plan(since, learning, RoundId(version), version, none)?;
            let members: Vec<Member> = users.into_iter().map(Member::here).collect();
            let scene = Scene {
                plan: &plan,
                members: &members,
                dataset: self.dataset,
                trainer: trainer.as_ref(),
                attackers: self.attackers.as_ref(),
                seed: self.options.seed,
            };
            let before = all.clients;
            let summed = plain::run(&scene, self.options.drawn(), &Alone, &mut |done, _| {
                progress(Progress::Learned {
                    done: before + done,
                    of: buffer.updates,
                });
            })?;
            let weight = Buffer::weight(index - since);
            let delta = decode(&summed.sum, &plan, summed.clients);
            total.sum.resize(delta.sum.len(), 0.0);
            for (total, value) in total.sum.iter_mut().zip(&delta.sum) {
                *total += weight * value;
            }
            total.noise = total.noise.hypot(weight * delta.noise);
            stale += (index - since) * summed.clients;
            all.clients += summed.clients;
            all.clipped += summed.clipped;
            all.exact &= summed.exact;
            costs.extend(cost(&plan)?);
            last = Some(plan);
        }
        total.clients = all.clients;
        all.funnel = Funnel {
            invited: arrived.ended,
            advertised: arrived.ended,
            shared: arrived.ended,
            confirmed: arrived.ended,
            uploaded: all.clients,
            unmasked: all.clients,
        };
        if let Some(plan) = last {
            let clients = all.clients.max(1) as f64;
            let mut row = self.row(sum.name.clone(), &plan, all, costs, began)?;
            row.staleness = Some(stale as f64 / clients);
            self.standing.rounds.push(row);
        }
        // The model before the step, for whoever still learns from it.
        if self.standing.flights.learn_from(index) {
            self.older.insert(index, self.learning.parameters.clone());
        }
        let flights = &self.standing.flights;
        self.older.retain(|since, _| flights.learn_from(*since));
        Ok(total)
    }
}
