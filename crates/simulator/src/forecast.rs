//! What a run will take, before it learns anything: a few clients do what all would do, once for each kind of sum.

use std::time::Instant;

use chorus_data::Dataset;
use chorus_model::{Engine, Learning, MeanDelta, Recipe, Step, Sum, Trainer};
use chorus_privacy::{LocalNoise, spent};
use chorus_protocol::{Digest, RoundId, RoundPlan, Task, cost, decode};
use serde::Serialize;

use crate::draw::{Stream, sample};
use crate::plain::{self, Drawn, Member, Scene};
use crate::simulate::check;
use crate::{Alone, Options, SimulateError, evaluate};

/// What a run will take here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Clients of the population.
    pub clients: usize,
    /// Rounds of the task.
    pub rounds: usize,
    /// Each kind of sum, in the order in which they come.
    pub sums: Vec<SumForecast>,
    /// Bytes that the longest upload of one round has.
    pub upload_bytes_per_client: u64,
    /// Bytes that one client uploads over the whole task, if it takes its share of the rounds.
    pub upload_bytes_per_client_in_all: u64,
    /// Seconds of the whole run on this machine, the last measurement included.
    pub seconds: f64,
    /// What one client spends over the whole task; nothing without noise.
    pub epsilon: Option<f64>,
    /// The probability at which that may fail.
    pub delta: Option<f64>,
    /// The clients from which on the first sum, which all others rest on, says more than its noise; nothing without noise. Measured on
    /// ml-100k: with half of them the model is no better than popularity, with all of them it is better (README).
    pub clients_needed: Option<usize>,
}

/// One kind of sum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SumForecast {
    /// The first of them.
    pub name: String,
    /// How many there are; of a sum that is split, each part.
    pub rounds: usize,
    /// Clients in one.
    pub clients: usize,
    /// Bytes of the longest upload.
    pub upload_bytes: u64,
    /// Seconds of one processor that a client takes to learn and to encode.
    pub client_seconds: f64,
    /// Seconds of one round here, on all processors: clients, server step, and people who are measured.
    pub seconds: f64,
    /// Length of what clients sum over length of the noise in it; nothing without noise. Below 1 the noise says more.
    pub signal_to_noise: Option<f64>,
}

/// Clients that are asked for each kind of sum, at most.
const ASKED: usize = 256;

/// People whose measurement is timed, at most.
const MEASURED: usize = 128;

/// Tries of what is timed, at most; and seconds after which there is no other.
const TRIES: usize = 7;
const LONG: f64 = 0.2;

/// Everything that stays the same while sums are tried.
struct Trial<'a> {
    task: &'a Task,
    dataset: &'a Dataset,
    options: &'a Options,
    /// Clients of one round.
    clients: usize,
    /// Those of them that are asked.
    asked: Vec<usize>,
}

/// What a few clients of one sum did.
struct Tried {
    /// Scaled up to everyone.
    delta: MeanDelta,
    /// Seconds of everyone, and of one client on one processor.
    seconds: f64,
    client_seconds: f64,
    signal_to_noise: Option<f64>,
}

/// What the task will take, with this engine on this machine.
///
/// Clients of one round: for each kind of sum up to 256 people learn and encode as in a run, and what they sum is scaled up for the
/// server step, so that the next kind finds a model as a run has it. Of a cohort that is drawn, the mean over the population counts.
///
/// # Errors
/// As [`simulate`](crate::simulate); and with masks or a buffer, whose time is not that of rounds without.
pub fn forecast(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    options: &Options,
) -> Result<Forecast, SimulateError> {
    check(task, dataset, options)?;
    if options.masks || options.buffer.is_some() {
        let problem = "what masks and buffers take is not forecast: leave out `masks` and `buffer`";
        return Err(SimulateError::Conduct {
            key: "plan",
            problem: problem.to_owned(),
        });
    }
    let short = shortened(task);
    let all = task.sums();
    let clients = task.cohort_size().min(task.population) / task.split;
    let everyone = (0..dataset.users()).collect();
    let trial = Trial {
        task,
        dataset,
        options,
        clients,
        asked: sample(everyone, ASKED.min(clients), options.seed, Stream::Sample),
    };
    let mut learning = short.recipe.start(options.seed);
    let mut found: Vec<(Step, SumForecast)> = Vec::new();
    let short_sums = short.sums();
    for (index, sum) in short_sums.iter().enumerate() {
        let same = |other: &&Sum| other.step == sum.step;
        // The sum of the task that is as many of its kind as this one.
        let before = short_sums.iter().take(index).filter(same).count();
        let kind = all.iter().enumerate().filter(|(_, other)| same(other));
        let place = kind.map(|(place, _)| place).nth(before).unwrap_or(index);
        let began = Instant::now();
        let model = learning.parameters.to_bytes()?;
        let plan = task.plan(
            place,
            clients,
            RoundId(1),
            place as u64 + 1,
            Digest::of(&model),
        )?;
        let trainer = engine.open(&learning.parameters)?;
        let opened = began.elapsed().as_secs_f64();
        let tried = trial.tried(&plan, trainer.as_ref())?;
        let measured = trial.measured(trainer.as_ref(), options.measured)?;
        drop(trainer);
        let stepped = Instant::now();
        let before = Learning {
            parameters: learning.parameters,
            state: learning.state,
        };
        learning = short.learn(before, index, &tried.delta)?.learning;
        let stepped = stepped.elapsed().as_secs_f64();
        let row = SumForecast {
            name: sum.name.clone(),
            rounds: all.iter().filter(same).count() * task.split,
            clients,
            upload_bytes: 0,
            client_seconds: tried.client_seconds,
            seconds: opened + tried.seconds + stepped + measured,
            signal_to_noise: tried.signal_to_noise,
        };
        // Of several tries the last counts: the model is most like that of a run.
        match found.iter_mut().find(|(step, _)| *step == sum.step) {
            Some((_, known)) => {
                known.seconds = row.seconds;
                known.client_seconds = row.client_seconds;
                known.signal_to_noise = row.signal_to_noise;
            }
            None => found.push((sum.step, row)),
        }
    }
    let trainer = engine.open(&learning.parameters)?;
    let last = trial.measured(trainer.as_ref(), usize::MAX)?;
    trial.summed(found, last)
}

/// The same task with as few rounds as show every kind of sum at least twice.
fn shortened(task: &Task) -> Task {
    let mut short = task.clone();
    match &mut short.recipe {
        Recipe::Ials(recipe) => {
            recipe.head = Some(recipe.heads().min(2));
            recipe.rounds = recipe.rounds.min(3);
        }
        Recipe::IalsPrivate(recipe) => recipe.sweeps = recipe.sweeps.min(2),
        Recipe::Trained(recipe) => recipe.rounds = recipe.rounds.min(3),
    }
    short
}

/// Seconds that work takes: the middle of a few tries, as other programs lengthen some.
fn usual<T>(mut work: impl FnMut() -> Result<T, SimulateError>) -> Result<f64, SimulateError> {
    let mut tries = Vec::with_capacity(TRIES);
    while tries.len() < TRIES && tries.iter().sum::<f64>() < LONG {
        let began = Instant::now();
        work()?;
        tries.push(began.elapsed().as_secs_f64());
    }
    tries.sort_by(f64::total_cmp);
    Ok(tries.get(tries.len() / 2).copied().unwrap_or_default())
}

impl Trial<'_> {
    /// A few clients, as in a run.
    fn tried(&self, plan: &RoundPlan, trainer: &dyn Trainer) -> Result<Tried, SimulateError> {
        let quiet = RoundPlan {
            noise: LocalNoise::Off,
            ..plan.clone()
        };
        let run = |plan: &RoundPlan, users: &[usize]| {
            let members: Vec<Member> = users.iter().copied().map(Member::here).collect();
            let scene = Scene {
                plan,
                members: &members,
                dataset: self.dataset,
                trainer,
                attackers: None,
                seed: self.options.seed,
            };
            plain::run(&scene, Drawn::EachItsShare, &Alone, &mut |_, _| {})
        };
        // Two halves without noise, which also bring the memory that clients work in; then everyone as in a run.
        let (one, other) = self.asked.split_at(self.asked.len() / 2);
        let halves = [one, other].map(|half| run(&quiet, half));
        let [one, other] = halves;
        let halves = [one?, other?].map(|summed| decode(&summed.sum, &quiet, summed.clients));
        let each_draws = self.options.drawn() == Drawn::EachItsShare;
        let drawing = if each_draws { plan } else { &quiet };
        let nobody = usual(|| run(plan, &[]))?;
        let asked = usual(|| run(drawing, &self.asked))?;
        let count = self.asked.len().max(1) as f64;
        let each = (asked - nobody).max(0.0) / count;
        let people = self.clients as f64;
        let noise = plan.noise.deviation_of_sum(self.clients) / plan.encoding.scale();
        let [one, other] = &halves;
        let mut delta = MeanDelta {
            sum: Vec::with_capacity(one.sum.len()),
            clients: self.clients,
            noise,
        };
        let mut common = 0.0;
        for (one, other) in one.sum.iter().zip(&other.sum) {
            delta.sum.push((one + other) * people / count);
            common += one * other;
        }
        // What two halves have in common is what everyone has; what only one has is chance.
        let (half, rest) = (one.clients.max(1) as f64, other.clients.max(1) as f64);
        let signal = (common / (half * rest)).max(0.0).sqrt() * people;
        let length = noise * (delta.sum.len() as f64).sqrt();
        Ok(Tried {
            delta,
            seconds: nobody + each * people,
            client_seconds: each * rayon::current_num_threads() as f64,
            signal_to_noise: (noise > 0.0).then(|| signal / length),
        })
    }

    /// Seconds that it takes to measure people, at most so many.
    fn measured(&self, trainer: &dyn Trainer, most: usize) -> Result<f64, SimulateError> {
        let cases = evaluate::measured(self.dataset);
        let people = cases.len().min(most);
        let timed = sample(
            cases,
            people.min(MEASURED),
            self.options.seed,
            Stream::Sample,
        );
        let seconds = usual(|| {
            Ok(evaluate::evaluate_users(
                self.dataset,
                trainer,
                &timed,
                &Alone,
            )?)
        })?;
        Ok(seconds * people as f64 / timed.len().max(1) as f64)
    }

    /// All kinds together; what is counted is that of the very plans.
    fn summed(
        &self,
        mut found: Vec<(Step, SumForecast)>,
        last: f64,
    ) -> Result<Forecast, SimulateError> {
        let task = self.task;
        let (mut releases, mut in_all) = (Vec::new(), 0);
        for (index, sum) in task.sums().iter().enumerate() {
            let none = Digest::of(b"");
            let plan = task.plan(index, self.clients, RoundId(1), index as u64 + 1, none)?;
            releases.extend(cost(&plan)?);
            let bytes = plan.ring().upload_bytes(plan.encoding.words()) as u64;
            in_all += bytes * task.split as u64;
            if let Some((_, row)) = found.iter_mut().find(|(step, _)| *step == sum.step) {
                row.upload_bytes = row.upload_bytes.max(bytes);
            }
        }
        let sums: Vec<SumForecast> = found.into_iter().map(|(_, row)| row).collect();
        let (epsilon, delta) = match task.privacy.bound() {
            Some((_, delta)) => (Some(spent(&releases, delta)?.epsilon), Some(delta)),
            None => (None, None),
        };
        let rounds = |row: &SumForecast| row.rounds as f64;
        let share = self.clients as f64 / task.population as f64;
        // The signal grows with the clients, the noise does not.
        let first = sums.first().and_then(|row| row.signal_to_noise);
        Ok(Forecast {
            clients: task.population,
            rounds: sums.iter().map(|row| row.rounds).sum(),
            upload_bytes_per_client: sums.iter().map(|row| row.upload_bytes).max().unwrap_or(0),
            upload_bytes_per_client_in_all: (in_all as f64 * share) as u64,
            seconds: sums
                .iter()
                .map(|row| row.seconds * rounds(row))
                .sum::<f64>()
                + last,
            epsilon,
            delta,
            clients_needed: first.map(|ratio| (task.population as f64 / ratio).ceil() as usize),
            sums,
        })
    }
}
