use std::collections::BTreeMap;
use std::time::Instant;

use chorus_data::Dataset;
use chorus_model::{Engine, Learned, Learning, MeanDelta, Parameters, Quality, Step, Sum};
use chorus_privacy::{Release, spent};
use chorus_protocol::{Digest, Privacy, RoundId, RoundPlan, Task, Turns, cost, decode};

use crate::buffered::{ONE_BY_ONE, Older};
use crate::company::ANOTHER_MODEL;
use crate::draw::Stream;
use crate::hooks::{self, Draw, Hooks, ServerStep};
use crate::malice::Attackers;
use crate::masked::{self, Enrolled};
use crate::plain::{self, Member, Scene, Summed};
use crate::run::{Checkpoint, Standing};
use crate::sampling::Sampler;
use crate::simulate::{check, content_of};
use crate::{
    Alone, Company, Farewell, Figures, Live, Noise, Options, Picture, Progress, RoundRow, Run,
};
use crate::{SimulateError, draw, evaluate};

/// A simulation on its way: sum by sum, so that whoever drives it can save where it stands and go on from there.
pub struct Simulation<'a> {
    pub(crate) task: &'a Task,
    pub(crate) dataset: &'a Dataset,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) options: Options,
    began: Instant,
    enrolled: Option<Enrolled>,
    pub(crate) attackers: Option<Attackers>,
    measured: Vec<usize>,
    /// Who was heard in this pass, by the sums that take turns together.
    turns: BTreeMap<String, Turns<usize>>,
    pub(crate) learning: Learning,
    /// Where updates come one by one, models that somebody still learns from.
    pub(crate) older: Older,
    pub(crate) standing: Standing,
    hooks: Option<&'a mut dyn Hooks>,
    company: &'a dyn Company,
}

impl<'a> Simulation<'a> {
    /// Before the first sum.
    ///
    /// # Errors
    /// When task, data and options do not fit each other.
    pub fn new(
        task: &'a Task,
        dataset: &'a Dataset,
        engine: &'a dyn Engine,
        options: Options,
    ) -> Result<Self, SimulateError> {
        check(task, dataset, &options)?;
        let malice = options.malice.filter(|malice| malice.share > 0.0);
        Ok(Self {
            attackers: malice.map(|malice| Attackers::new(malice, dataset, options.seed)),
            task,
            dataset,
            engine,
            began: Instant::now(),
            enrolled: options.masks.then(|| Enrolled::new(task, options.seed)),
            measured: draw::sample(
                evaluate::measured(dataset),
                options.measured,
                options.seed,
                Stream::Sample,
            ),
            turns: BTreeMap::new(),
            learning: task.recipe.start(options.seed),
            older: Older::new(),
            standing: Standing::default(),
            options,
            hooks: None,
            company: &Alone,
        })
    }

    /// The same with other processes that simulate it too: each learns its share of every round. Hooks have to decide the same on all.
    ///
    /// # Errors
    /// When it cannot be shared out.
    pub fn with_company(mut self, company: &'a dyn Company) -> Result<Self, SimulateError> {
        if company.size() > 1 {
            self.options.check_shared()?;
        }
        self.company = company;
        Ok(self)
    }

    /// The same with somebody who decides instead of the product. A checkpoint holds nothing of theirs.
    pub fn with_hooks(mut self, hooks: &'a mut dyn Hooks) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Goes on where a simulation of the same task, data and options stood: the rest has the same bits.
    pub fn go_on_from(&mut self, checkpoint: Checkpoint) {
        let Checkpoint {
            learning,
            older,
            standing,
        } = checkpoint;
        let turns = standing.heard.iter();
        let turns = turns.map(|(turn, heard)| (turn.clone(), Turns::of(heard.clone())));
        self.turns = turns.collect();
        if let (Some(enrolled), Some(kept)) = (&mut self.enrolled, &standing.kept) {
            enrolled.go_on_from(kept);
        }
        (self.learning, self.older, self.standing) = (learning, older, standing);
        self.began = Instant::now();
    }

    /// Where it stands.
    pub fn checkpoint(&self) -> Checkpoint {
        let everyone = 0..self.task.population;
        let heard = self.turns.iter().map(|(turn, turns)| {
            let heard = everyone.clone().filter(|client| turns.had(client));
            (turn.clone(), heard.collect())
        });
        Checkpoint {
            learning: self.learning.clone(),
            older: self.older.clone(),
            standing: Standing {
                heard: heard.collect(),
                kept: self.enrolled.as_ref().map(Enrolled::kept),
                seconds: self.seconds(),
                ..self.standing.clone()
            },
        }
    }

    /// Whether there are sums left.
    pub fn goes_on(&self) -> bool {
        self.standing.index < self.task.sums().len()
    }

    /// One row a round so far.
    pub fn rounds(&self) -> &[RoundRow] {
        &self.standing.rounds
    }

    /// Seconds so far, those before a checkpoint included.
    fn seconds(&self) -> f64 {
        self.standing.seconds + self.began.elapsed().as_secs_f64()
    }

    /// Measures the last model over everyone.
    ///
    /// # Errors
    /// When that fails.
    pub fn end(mut self) -> Result<Run, SimulateError> {
        let (parameters, company) = (&self.learning.parameters, self.company);
        if company.size() > 1 {
            let model = Digest::of(&parameters.to_bytes()?);
            company.agree(model, || Farewell::failed(ANOTHER_MODEL))?;
        }
        let trainer = self.engine.open(parameters)?;
        let everyone = evaluate::measured(self.dataset);
        let quality = evaluate::evaluate_users(self.dataset, trainer.as_ref(), &everyone, company)?;
        if let Some(last) = self.standing.rounds.last_mut() {
            last.quality = Some(quality);
        }
        let promoted = self.options.malice.and_then(|malice| malice.item);
        let promoted = promoted.map(|item| {
            let everyone = match self.measured.is_empty() {
                true => evaluate::measured(self.dataset),
                false => self.measured.clone(),
            };
            evaluate::listed(self.dataset, trainer.as_ref(), &everyone, item as usize)
        });
        let promoted = promoted.transpose()?;
        let popularity = evaluate::popular(self.dataset, company)?;
        let content = content_of(self.task, self.dataset, self.engine, parameters, company)?;
        let mut figures = self.figures();
        figures.set_quality(&quality, &popularity);
        figures.content = content.map(|content| (&content).into());
        figures.promoted = promoted;
        figures.wall_seconds = self.seconds();
        Ok(Run {
            parameters: self.learning.parameters,
            quality,
            popularity,
            content,
            figures,
            guarantee: self.task.guarantee()?,
            trust: self.options.trust(self.task),
            picture: self.standing.picture,
            rounds: self.standing.rounds,
            releases: self.standing.releases,
        })
    }

    /// One named sum, and the server step after it.
    ///
    /// # Errors
    /// When a step of the road fails. The simulation cannot go on then, but from an earlier checkpoint.
    pub fn sum(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), SimulateError> {
        let index = self.standing.index;
        let sums = self.task.sums();
        let sum = sums.get(index);
        let mut costs = Vec::new();
        let total = match sum.and_then(|sum| Some((self.buffer(sum)?, sum))) {
            Some((buffer, sum)) => Some(self.gather_buffer(buffer, sum, &mut costs, progress)?),
            None => self.gather(sum, &mut costs, progress)?,
        };
        self.standing.releases.extend(dearest(&costs));
        let Some(delta) = total else {
            self.standing.index += 1;
            return Ok(());
        };
        let stepped = Instant::now();
        let learned = self.learned(index, sum, &delta)?;
        let largest = largest(&learned.learning.parameters);
        if largest.is_nan() || largest > DIVERGED {
            return Err(SimulateError::Diverged {
                round: self.standing.rounds.len(),
                sum: sum.map(|sum| sum.name.clone()).unwrap_or_default(),
                largest,
            });
        }
        let seconds = stepped.elapsed().as_secs_f64();
        let quality = self.measure(&learned.learning.parameters)?;
        if let Some(row) = self.standing.rounds.last_mut() {
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
        (self.learning, self.standing.index) = (learned.learning, learned.next);
        self.tell(sums.len() * self.task.split, progress);
        Ok(())
    }

    /// The sum over the cohorts of a round; nothing where there are none.
    fn gather(
        &mut self,
        sum: Option<&Sum>,
        costs: &mut Vec<Release>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<MeanDelta>, SimulateError> {
        let index = self.standing.index;
        let learning = &self.learning;
        let model = learning.parameters.to_bytes()?;
        let trainer = self.engine.open(&learning.parameters)?;
        let turn = sum.map(Sum::turn).unwrap_or_default();
        let turns = self.turns.entry(turn.clone()).or_default();
        let sampler = Sampler {
            task: self.task,
            sampling: self.options.sampling,
            availability: self.options.availability.as_ref(),
            seed: self.options.seed,
        };
        let slot = index as u64 + self.standing.waited;
        let (cohorts, waited) = sampler.cohorts(slot, turns)?;
        self.standing.waited += waited;
        let cohorts = self.chosen(cohorts, sum)?;
        let mut total: Option<MeanDelta> = None;
        for (part, cohort) in cohorts.iter().enumerate() {
            let began = Instant::now();
            let round = RoundId(self.standing.rounds.len() as u64 + 1);
            let digest = Digest::of(&model);
            let plan = self
                .task
                .plan(index, cohort.len(), round, index as u64 + 1, digest)?;
            let name = match cohorts.len() {
                1 => plan.release.clone(),
                of => format!("{} ({} of {of})", plan.release, part + 1),
            };
            let rounds = self.task.sums().len() * cohorts.len();
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
                attackers: self.attackers.as_ref(),
                seed: self.options.seed,
            };
            let mut learned = |done, of| progress(Progress::Learned { done, of });
            let summed = match &mut self.enrolled {
                Some(enrolled) => masked::run(enrolled, &scene, &model, &mut learned)?,
                None => plain::run(&scene, self.options.drawn(), self.company, &mut learned)?,
            };
            let heard = members.iter().filter(|member| member.uploads());
            let turns = self.turns.entry(turn.clone()).or_default();
            turns.heard(heard.map(|member| member.user));
            costs.extend(cost(&plan)?);
            let mut delta = decode(&summed.sum, &plan, summed.clients);
            if self.options.central_noise {
                let deviation = plan.noise.deviation_of_sum(plan.survivors.honest);
                delta.noise = deviation / plan.encoding.scale();
            }
            total = Some(match total {
                None => delta,
                Some(total) => added(total, &delta),
            });
            let row = self.row(name, &plan, summed, costs, began)?;
            self.standing.rounds.push(row);
            if part + 1 < cohorts.len() {
                self.tell(rounds, progress);
            }
        }
        Ok(total)
    }

    /// The cohorts of a sum, where a hook may choose others than the usual ones.
    fn chosen(
        &mut self,
        usual: Vec<Vec<usize>>,
        sum: Option<&Sum>,
    ) -> Result<Vec<Vec<usize>>, SimulateError> {
        let (Some(hooks), Some(sum)) = (&mut self.hooks, sum) else {
            return Ok(usual);
        };
        let draw = Draw {
            round: self.standing.rounds.len() + 1,
            sum: &sum.name,
            population: self.task.population,
            size: usual.iter().map(Vec::len).sum(),
        };
        hooks::cohorts(*hooks, usual, self.task, draw)
    }

    /// What the server step makes of a sum, where a hook may make another model of it.
    fn learned(
        &mut self,
        index: usize,
        sum: Option<&Sum>,
        delta: &MeanDelta,
    ) -> Result<Learned, SimulateError> {
        let before = self
            .hooks
            .as_ref()
            .map(|_| self.learning.parameters.clone());
        // Moved, not copied: of a large catalogue one model more is much memory.
        let learning = Learning {
            parameters: std::mem::take(&mut self.learning.parameters),
            state: std::mem::take(&mut self.learning.state),
        };
        let mut learned = self.task.learn(learning, index, delta)?;
        let rounds = &self.standing.rounds;
        if let (Some(hooks), Some(before), Some(sum), Some(row)) =
            (&mut self.hooks, before, sum, rounds.last())
        {
            let step = ServerStep {
                round: rounds.len(),
                sum,
                before,
                delta,
                after: &learned.learning.parameters,
                row,
            };
            if let Some(parameters) = hooks::step(*hooks, step)? {
                learned.learning.parameters = parameters;
            }
        }
        Ok(learned)
    }

    fn tell(&self, rounds: usize, progress: &mut dyn FnMut(Progress<'_>)) {
        if let Some(row) = self.standing.rounds.last() {
            progress(Progress::Ended {
                round: self.standing.rounds.len(),
                rounds,
                row,
            });
        }
    }

    /// The clients of a round, and which of them vanish.
    fn members(&self, plan: &RoundPlan, cohort: &[usize]) -> Vec<Member> {
        let leaving = draw::leaving(cohort.len(), &self.options, plan.round.0);
        let members = cohort.iter().zip(leaving);
        members
            .map(|(user, leaves)| Member {
                user: *user,
                leaves,
            })
            .collect()
    }

    pub(crate) fn row(
        &mut self,
        name: String,
        plan: &RoundPlan,
        summed: Summed,
        costs: &[Release],
        began: Instant,
    ) -> Result<RoundRow, SimulateError> {
        self.standing.contributions += summed.clients;
        if let Some(upload) = summed.upload {
            self.standing.picture = Some(Picture {
                round: name.clone(),
                upload,
                sum: summed.sum,
            });
        }
        let so_far: Vec<Release> = self
            .standing
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
            staleness: None,
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
        let quality =
            evaluate::evaluate_users(self.dataset, trainer.as_ref(), users, self.company)?;
        Ok(Some(quality))
    }

    /// Everything that is counted; quality and time are still to be filled in.
    fn figures(&self) -> Figures {
        let (noise, delta) = match self.task.privacy {
            Privacy::Off => (Noise::Off, None),
            Privacy::Distributed { delta, .. } if self.options.central_noise => {
                (Noise::Central, Some(delta))
            }
            Privacy::Distributed { delta, .. } => (Noise::Distributed, Some(delta)),
            Privacy::Local { delta, .. } => (Noise::Local, Some(delta)),
        };
        let clipped: usize = self.standing.rounds.iter().map(|row| row.clipped).sum();
        Figures {
            rounds: self.standing.rounds.len(),
            rounds_completed: self
                .standing
                .rounds
                .iter()
                .filter(|row| row.completed)
                .count(),
            clients: self.task.population,
            dropouts: self.standing.rounds.iter().map(RoundRow::dropouts).sum(),
            epsilon: self.standing.rounds.last().and_then(|row| row.epsilon),
            delta,
            upload_bytes_per_client: self
                .standing
                .rounds
                .iter()
                .map(|row| row.upload_bytes)
                .max()
                .unwrap_or(0),
            sum_exact: self.standing.rounds.iter().all(|row| row.sum_exact),
            clipped_share: clipped as f64 / self.standing.contributions.max(1) as f64,
            noise,
            split: self.task.split,
            seed: self.options.seed,
            live: self
                .standing
                .rounds
                .iter()
                .filter_map(|row| row.live.clone())
                .collect(),
            notes: self
                .standing
                .rounds
                .iter()
                .filter_map(RoundRow::remark)
                .collect(),
            data: self.dataset.name.clone(),
            ..Figures::default()
        }
    }
}

impl Options {
    /// Against whom the clients of such a run are protected, in words.
    pub(crate) fn trust(&self, task: &Task) -> String {
        match (self.buffer, self.central_noise) {
            (Some(_), _) => ONE_BY_ONE.to_owned(),
            (None, true) => BY_ONE_PARTY.to_owned(),
            (None, false) => task.trust(true),
        }
    }
}

/// What protects whom, where one party adds the noise.
const BY_ONE_PARTY: &str = "One party adds the noise to each sum here: it sees exact sums, and has to be trusted with them. The product \
    does not offer that; there clients add the noise, and nobody sees a sum without it.";

/// No model that ranks holds a number as large as this: counts of a population are smaller, and factors by far.
const DIVERGED: f32 = 1e9;

/// The largest magnitude in a model; not a number where one of its values is none.
fn largest(parameters: &Parameters) -> f32 {
    let mut largest = 0.0f32;
    for (_, tensor) in parameters.iter() {
        for value in &tensor.values {
            if value.is_nan() {
                return f32::NAN;
            }
            largest = largest.max(value.abs());
        }
    }
    largest
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
