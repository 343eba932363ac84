use std::collections::BTreeMap;
use std::time::Instant;

use chorus_data::Dataset;
use chorus_model::{Engine, Learning, MeanDelta, Parameters, Quality, Step, Sum};
use chorus_privacy::{Release, spent};
use chorus_protocol::{Digest, Privacy, RoundId, RoundPlan, Task, Turns, cost, decode};

use crate::masked::{self, Enrolled};
use crate::plain::{self, Member, Scene, Summed};
use crate::{Figures, Live, Noise, Picture, Report, RoundRow, SimulateError};
use crate::{draw, evaluate, popularity};

const ONE_PROCESS: &str = "One process played every role here, so nothing was protected from whoever ran it. In the \
    product the same functions run on clients and coordinator, apart from each other:";

/// How to simulate; what is learned stands in the task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The same task, data and seed give the same model, bit for bit, whatever the number of threads.
    pub seed: u64,
    /// Share of the invited clients that vanish in each round; at most the task's own dropout.
    pub dropout: f64,
    /// Runs the whole protocol with keys, shares and masks. The sums have the same bits either way, so the default
    /// leaves the masks out: that is many times as fast.
    pub masks: bool,
    /// Draws the noise of each sum in one piece instead of a share a client, without masks: many times as fast, for large
    /// populations and catalogues. The law of the sum is the same to within 1e-58 (`privacy.md` 1.3, tau), its bits are not.
    pub noise_at_once: bool,
    /// People that quality is measured on between rounds, at most; 0 for none. The last figure is always over everyone.
    pub measured: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            dropout: 0.0,
            masks: false,
            noise_at_once: false,
            measured: 1_000,
        }
    }
}

/// How far a simulation is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A round begins.
    Began {
        /// Its number, from 1.
        round: usize,
        /// How many there are.
        rounds: usize,
        /// Its named sum.
        name: &'a str,
        /// Clients invited.
        invited: usize,
    },
    /// Clients of this round have learned.
    Learned {
        /// How many.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// A round ended.
    Ended {
        /// Its number, from 1.
        round: usize,
        /// How many there are.
        rounds: usize,
        /// What it did.
        row: &'a RoundRow,
    },
}

/// What a simulation gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The last model.
    pub parameters: Parameters,
    /// One row a round.
    pub rounds: Vec<RoundRow>,
    /// The last model's quality, over everyone.
    pub quality: Quality,
    /// The quality of ranking by popularity, over everyone.
    pub popularity: Quality,
    /// The quality of the noisy counts and the public item features without any other sum, over everyone; nothing for
    /// models without noise and for data without features.
    pub content: Option<Quality>,
    /// What was measured, in the form of `--json`. Its `command` is the caller's to fill in.
    pub figures: Figures,
    /// What protects the clients of such a task, in words.
    pub guarantee: String,
    /// Against whom, in words.
    pub trust: String,
    /// One upload of the last round beside its sum; nothing without masks, where nothing was uploaded.
    pub picture: Option<Picture>,
}

impl Run {
    /// The report of this run.
    pub fn report(&self) -> Report {
        let figures = &self.figures;
        let masks = match self.picture {
            Some(_) => "with the keys, shares and masks of the real protocol",
            None => "without masks, which changes no bit of any sum",
        };
        Report {
            title: format!("{}, simulated", figures.data),
            setting: format!(
                "{} simulated clients in one process, {masks}. No network, no identities.",
                figures.clients
            ),
            figures: figures.clone(),
            popularity: self.popularity,
            rounds: self.rounds.clone(),
            guarantee: self.guarantee.clone(),
            trust: format!("{ONE_PROCESS}\n{}", self.trust),
            picture: self.picture.clone(),
        }
    }
}

/// Learns the task from the data: every named sum in order, over seeded cohorts, on all cores.
///
/// Each client runs the product's own functions: select, learn (`engine`), clip, quantise, noise, and with
/// [`Options::masks`] mask; so does the coordinator's side: sum, decode, server step. With noise everyone takes part
/// in every sum; a task with `split` C > 1 asks for C disjoint cohorts a sum, each with the full noise.
///
/// # Errors
/// When task and data do not fit each other, the task cannot be planned, more are to vanish than it bears,
/// or a step of the road fails.
pub fn simulate(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    options: Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Run, SimulateError> {
    check(task, dataset, options)?;
    let began = Instant::now();
    let mut federation = Federation {
        task,
        dataset,
        engine,
        options,
        enrolled: options.masks.then(|| Enrolled::new(task, options.seed)),
        measured: draw::sample(evaluate::measured(dataset), options.measured, options.seed),
        turns: BTreeMap::new(),
        releases: Vec::new(),
        rounds: Vec::new(),
        contributions: 0,
        picture: None,
    };
    let mut learning = task.recipe.start(options.seed);
    let mut index = 0;
    while index < task.sums().len() {
        (learning, index) = federation.sum(index, learning, progress)?;
    }
    let trainer = engine.open(&learning.parameters)?;
    let quality = evaluate::evaluate(dataset, trainer.as_ref())?;
    if let Some(last) = federation.rounds.last_mut() {
        last.quality = Some(quality);
    }
    let popularity = popularity(dataset)?;
    let content = content(task, dataset, engine, &learning.parameters)?;
    let mut figures = federation.figures();
    figures.set_quality(&quality, &popularity);
    figures.content = content.map(|content| (&content).into());
    figures.wall_seconds = began.elapsed().as_secs_f64();
    Ok(Run {
        parameters: learning.parameters,
        quality,
        popularity,
        content,
        figures,
        guarantee: task.guarantee()?,
        trust: task.trust(true),
        picture: federation.picture,
        rounds: federation.rounds,
    })
}

/// The quality of what the counts and the public item features say alone, where `parameters` are of such a model: the
/// comparison that every figure of a private model is shown with.
///
/// # Errors
/// When the model is not of the task's recipe, or cannot be measured.
pub fn content(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    parameters: &Parameters,
) -> Result<Option<Quality>, SimulateError> {
    let Some(alone) = task.recipe.content_alone(parameters)? else {
        return Ok(None);
    };
    let trainer = engine.open(&alone)?;
    Ok(Some(evaluate::evaluate(dataset, trainer.as_ref())?))
}

/// Refuses what cannot be simulated, before anything is computed.
fn check(task: &Task, dataset: &Dataset, options: Options) -> Result<(), SimulateError> {
    task.validate()?;
    if task.population != dataset.users() {
        return Err(SimulateError::Population {
            task: task.population,
            data: dataset.users(),
        });
    }
    if task.recipe.items() != dataset.items {
        return Err(SimulateError::Catalogue {
            recipe: task.recipe.items(),
            data: dataset.items,
        });
    }
    if options.masks && options.noise_at_once {
        return Err(SimulateError::NoiseAtOnce);
    }
    if !(0.0..=task.dropout).contains(&options.dropout) {
        return Err(SimulateError::Dropout {
            wanted: options.dropout,
            borne: task.dropout,
        });
    }
    Ok(())
}

/// A simulation on its way.
struct Federation<'a> {
    task: &'a Task,
    dataset: &'a Dataset,
    engine: &'a dyn Engine,
    options: Options,
    enrolled: Option<Enrolled>,
    measured: Vec<usize>,
    /// Who was heard in this pass, by the sums that take turns together.
    turns: BTreeMap<String, Turns<usize>>,
    /// What one client has spent: its cost in each sum so far.
    releases: Vec<Release>,
    rounds: Vec<RoundRow>,
    contributions: usize,
    picture: Option<Picture>,
}

impl Federation<'_> {
    /// One named sum, and the server step after it: the next model, and the sum that the task goes on with.
    fn sum(
        &mut self,
        index: usize,
        learning: Learning,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Learning, usize), SimulateError> {
        let model = learning.parameters.to_bytes()?;
        let trainer = self.engine.open(&learning.parameters)?;
        let sums = self.task.sums();
        let sum = sums.get(index);
        let turn = sum.map(Sum::turn).unwrap_or_default();
        let turns = self.turns.entry(turn.clone()).or_default();
        let cohorts = draw::cohorts(self.task, self.options.seed, index, turns);
        let mut total: Option<MeanDelta> = None;
        let mut costs = Vec::new();
        for (part, cohort) in cohorts.iter().enumerate() {
            let began = Instant::now();
            let round = RoundId(self.rounds.len() as u64 + 1);
            let digest = Digest::of(&model);
            let plan = self
                .task
                .plan(index, cohort.len(), round, index as u64 + 1, digest)?;
            let name = match cohorts.len() {
                1 => plan.release.clone(),
                of => format!("{} ({} of {of})", plan.release, part + 1),
            };
            let rounds = sums.len() * cohorts.len();
            progress(Progress::Began {
                round: round.0 as usize,
                rounds,
                name: &name,
                invited: cohort.len(),
            });
            let members = self.members(&plan, cohort);
            let scene = Scene {
                plan: &plan,
                members: &members,
                dataset: self.dataset,
                trainer: trainer.as_ref(),
                seed: self.options.seed,
            };
            let summed = self.round(&scene, &model, &mut |done, of| {
                progress(Progress::Learned { done, of });
            })?;
            let heard = members.iter().filter(|member| member.vanishes.is_none());
            let turns = self.turns.entry(turn.clone()).or_default();
            turns.heard(heard.map(|member| member.user));
            costs.extend(cost(&plan)?);
            let delta = decode(&summed.sum, &plan, summed.clients);
            total = Some(match total {
                None => delta,
                Some(total) => added(total, &delta),
            });
            let row = self.row(name, &plan, summed, &costs, began)?;
            self.rounds.push(row);
            if part + 1 < cohorts.len() {
                self.tell(rounds, progress);
            }
        }
        self.releases.extend(dearest(&costs));
        let Some(delta) = total else {
            return Ok((learning, index + 1));
        };
        let stepped = Instant::now();
        let learned = self.task.learn(learning, index, &delta)?;
        let seconds = stepped.elapsed().as_secs_f64();
        let quality = self.measure(&learned.learning.parameters)?;
        if let Some(row) = self.rounds.last_mut() {
            row.seconds += seconds;
            row.quality = quality;
            row.note = learned.note;
            let name = |sum: &Sum| sum.name.clone();
            row.live = sum.filter(|sum| sum.step == Step::Ranks).map(|sum| Live {
                round: name(sum),
                measured: learned.measured,
                back_to: learned.back.and_then(|back| sums.get(back)).map(name),
            });
        }
        self.tell(sums.len() * cohorts.len(), progress);
        Ok((learned.learning, learned.next))
    }

    fn tell(&self, rounds: usize, progress: &mut dyn FnMut(Progress<'_>)) {
        if let Some(row) = self.rounds.last() {
            progress(Progress::Ended {
                round: self.rounds.len(),
                rounds,
                row,
            });
        }
    }

    /// The clients of a round, and which of them vanish.
    fn members(&self, plan: &RoundPlan, cohort: &[usize]) -> Vec<Member> {
        let Options { seed, dropout, .. } = self.options;
        let vanishing = draw::vanishing(cohort.len(), dropout, seed, plan.round.0);
        let members = cohort.iter().zip(vanishing);
        members
            .map(|(user, vanishes)| Member {
                user: *user,
                vanishes,
            })
            .collect()
    }

    /// One round over one cohort.
    fn round(
        &mut self,
        scene: &Scene<'_>,
        model: &[u8],
        learned: &mut dyn FnMut(usize, usize),
    ) -> Result<Summed, SimulateError> {
        match &mut self.enrolled {
            Some(enrolled) => masked::run(enrolled, scene, model, learned),
            None => plain::run(scene, self.options.noise_at_once, learned),
        }
    }

    fn row(
        &mut self,
        name: String,
        plan: &RoundPlan,
        summed: Summed,
        costs: &[Release],
        began: Instant,
    ) -> Result<RoundRow, SimulateError> {
        self.contributions += summed.clients;
        if let Some(upload) = summed.upload {
            self.picture = Some(Picture {
                round: name.clone(),
                upload,
                sum: summed.sum,
            });
        }
        let so_far: Vec<Release> = self
            .releases
            .iter()
            .copied()
            .chain(dearest(costs))
            .collect();
        let epsilon = match so_far.as_slice() {
            [] => None,
            releases => Some(spent(releases, plan.delta)?.epsilon),
        };
        Ok(RoundRow {
            name,
            funnel: summed.funnel,
            completed: true,
            quality: None,
            seconds: began.elapsed().as_secs_f64(),
            upload_bytes: plan.ring().upload_bytes(plan.encoding.words()) as u64,
            epsilon,
            clipped: summed.clipped,
            sum_exact: summed.exact,
            live: None,
            note: None,
        })
    }

    fn measure(&self, parameters: &Parameters) -> Result<Option<Quality>, SimulateError> {
        if self.measured.is_empty() {
            return Ok(None);
        }
        let trainer = self.engine.open(parameters)?;
        let users = &self.measured;
        let quality = evaluate::evaluate_users(self.dataset, trainer.as_ref(), users)?;
        Ok(Some(quality))
    }

    /// Everything that is counted; quality and time are still to be filled in.
    fn figures(&self) -> Figures {
        let (noise, delta) = match self.task.privacy {
            Privacy::Off => (Noise::Off, None),
            Privacy::Distributed { delta, .. } => (Noise::Distributed, Some(delta)),
            Privacy::Local { delta, .. } => (Noise::Local, Some(delta)),
        };
        let clipped: usize = self.rounds.iter().map(|row| row.clipped).sum();
        Figures {
            rounds: self.rounds.len(),
            rounds_completed: self.rounds.iter().filter(|row| row.completed).count(),
            clients: self.task.population,
            dropouts: self.rounds.iter().map(RoundRow::dropouts).sum(),
            epsilon: self.rounds.last().and_then(|row| row.epsilon),
            delta,
            upload_bytes_per_client: self
                .rounds
                .iter()
                .map(|row| row.upload_bytes)
                .max()
                .unwrap_or(0),
            sum_exact: self.rounds.iter().all(|row| row.sum_exact),
            clipped_share: clipped as f64 / self.contributions.max(1) as f64,
            noise,
            split: self.task.split,
            seed: self.options.seed,
            live: self
                .rounds
                .iter()
                .filter_map(|row| row.live.clone())
                .collect(),
            notes: self.rounds.iter().filter_map(RoundRow::remark).collect(),
            data: self.dataset.name.clone(),
            ..Figures::default()
        }
    }
}

/// The sum over two disjoint cohorts: both carry their own noise, so the variances add up.
fn added(mut total: MeanDelta, other: &MeanDelta) -> MeanDelta {
    for (sum, value) in total.sum.iter_mut().zip(&other.sum) {
        *sum += value;
    }
    total.clients += other.clients;
    total.noise = total.noise.hypot(other.noise);
    total
}

/// A client is in one cohort of a sum: what it can have spent there at most.
fn dearest(costs: &[Release]) -> Option<Release> {
    costs
        .iter()
        .copied()
        .min_by(|left, right| left.noise_multiplier.total_cmp(&right.noise_multiplier))
}
