use chorus_model::{
    Evaluate, LearnError, Learned, Learning, MeanDelta, Recipe, RecipeError, Step, Sum,
};
use chorus_privacy::{
    Encoding, Guarantee, Law, LocalNoise, PrivacyError, Release, Survivors, calibrate, spent,
    survivors,
};
use chorus_secagg::{Assumptions, COMPLETE_BELOW, MINIMUM_CLIENTS};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    COHORT_MOST, Consistency, Digest, PROTOCOL_VERSION, RoundId, RoundPlan, TaskName, WITNESS_MOST,
    quorum,
};

/// One model being trained for one population: what an operator decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name.
    pub name: TaskName,
    /// Clients the model is learned for.
    pub population: usize,
    /// Share of the population in one round; 1 with noise.
    #[serde(default = "everyone")]
    pub cohort: f64,
    /// Disjoint cohorts over which one noised sum is split. Each carries the full noise.
    #[serde(default = "whole")]
    pub split: usize,
    /// Largest share of a round's clients that may be lost before it ends without a sum.
    #[serde(default = "fifth")]
    pub dropout: f64,
    /// Share of clients that are taken to collude with the coordinator, and to leave out their noise.
    #[serde(default = "tenth")]
    pub corrupt: f64,
    /// Bits of the ring that sums are taken in: 16, 20, 24 or 32. Fewer make a smaller upload and a coarser grid.
    #[serde(default = "widest")]
    pub bits: u32,
    /// Who vouches that all clients of a round were told the same; above 5,000 clients a round only the witness can.
    #[serde(default)]
    pub consistency: Consistency,
    /// Whether noise is added. There is no default: somebody decides it.
    pub privacy: Privacy,
    /// How it is made.
    #[serde(default, skip_serializing_if = "NoiseMaking::is_usual")]
    pub noise: NoiseMaking,
    /// How clients evaluate the model with items that they leave out of all they add; left out: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<Evaluate>,
    /// What is learned.
    pub recipe: Recipe,
}

/// The choice of noise. Written as `noise = "off"`, or as `"distributed"` or `"local"` with `epsilon` and `delta`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawPrivacy", into = "RawPrivacy")]
pub enum Privacy {
    /// No noise: the sums are exact, and no differential privacy is claimed.
    Off,
    /// Every client adds its share of discrete Gaussian noise to every sum.
    Distributed {
        /// Bound over the whole task.
        epsilon: f64,
        /// At this delta.
        delta: f64,
    },
    /// Every client adds so much noise to every report that each is private by itself, whoever sees it and whatever becomes
    /// of the aggregation. Dear: the noise of all clients adds up.
    Local {
        /// Bound over the whole task.
        epsilon: f64,
        /// At this delta.
        delta: f64,
    },
}

impl Privacy {
    /// Epsilon and delta over the whole task; nothing where no noise is added.
    pub fn bound(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Off => None,
            Self::Distributed { epsilon, delta } | Self::Local { epsilon, delta } => {
                Some((epsilon, delta))
            }
        }
    }
}

/// How noise is made. What a sum promises is the same; what it costs is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct NoiseMaking {
    /// The law of one client's share.
    pub law: Law,
    /// What becomes of the noise that was planned for clients that did not vanish.
    pub surplus: Surplus,
    /// Rotate updates before they are rounded, so that a ring of 16 or 20 bits holds a finer grid.
    pub rotation: bool,
}

impl NoiseMaking {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of surplus noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surplus {
    /// It stays on: no more work, and a little less accuracy when fewer vanish than may.
    #[default]
    Kept,
    /// It comes off again, to the last bit ([`LayeredNoise`](chorus_privacy::LayeredNoise)): for rounds of which at most 64 clients
    /// may vanish.
    Removed,
}

/// The form in files. A tagged enum would let an epsilon beside `noise = "off"` pass unseen.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrivacy {
    noise: RawNoise,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epsilon: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawNoise {
    Off,
    Distributed,
    Local,
}

impl TryFrom<RawPrivacy> for Privacy {
    type Error = &'static str;

    fn try_from(raw: RawPrivacy) -> Result<Self, Self::Error> {
        match (raw.noise, raw.epsilon, raw.delta) {
            (RawNoise::Off, None, None) => Ok(Privacy::Off),
            (RawNoise::Off, ..) => Err("with noise off there is neither epsilon nor delta"),
            (RawNoise::Distributed, Some(epsilon), Some(delta)) => {
                Ok(Privacy::Distributed { epsilon, delta })
            }
            (RawNoise::Local, Some(epsilon), Some(delta)) => Ok(Privacy::Local { epsilon, delta }),
            (RawNoise::Distributed | RawNoise::Local, ..) => Err("noise needs epsilon and delta"),
        }
    }
}

impl From<Privacy> for RawPrivacy {
    fn from(privacy: Privacy) -> Self {
        let noise = match privacy {
            Privacy::Off => RawNoise::Off,
            Privacy::Distributed { .. } => RawNoise::Distributed,
            Privacy::Local { .. } => RawNoise::Local,
        };
        Self {
            noise,
            epsilon: privacy.bound().map(|(epsilon, _)| epsilon),
            delta: privacy.bound().map(|(_, delta)| delta),
        }
    }
}

/// A task that cannot be run.
#[derive(Debug, Error)]
pub enum TaskError {
    /// A field is out of range.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be, or what to do.
        problem: String,
    },
    /// The recipe.
    #[error("recipe.{0}")]
    Recipe(#[from] RecipeError),
    /// The evaluation.
    #[error("evaluate.{0}")]
    Evaluate(RecipeError),
    /// The privacy parameters.
    #[error("privacy: {0}")]
    Privacy(#[from] PrivacyError),
}

/// Clients in a round from which on anything can be shown of their ranks.
const RANKED: usize = 50;
/// Steps of 0.1 % by which noise grows, at most, until a law that costs more than a Gaussian stays within epsilon.
const MORE_NOISE: usize = 1000;
/// The largest delta that still promises something.
const LARGEST_DELTA: f64 = 1e-3;

fn everyone() -> f64 {
    1.0
}

fn whole() -> usize {
    1
}

fn fifth() -> f64 {
    0.2
}

fn tenth() -> f64 {
    0.1
}

fn widest() -> u32 {
    32
}

fn require(holds: bool, field: &'static str, problem: &str) -> Result<(), TaskError> {
    if holds {
        Ok(())
    } else {
        Err(TaskError::Field {
            field,
            problem: problem.to_owned(),
        })
    }
}

/// What local noise costs: `honest` shares of distributed noise together are as wide as one of its shares.
fn price(honest: usize) -> String {
    format!(
        "Price: the noise in each sum is {:.1} times as wide as distributed noise for the same epsilon, which would count on \
         {honest} honest clients.",
        (honest as f64).sqrt()
    )
}

impl Task {
    /// Checks every field, and that the parts fit together.
    ///
    /// # Errors
    /// The first field that is out of range, with what to do.
    pub fn validate(&self) -> Result<(), TaskError> {
        require(
            self.population >= MINIMUM_CLIENTS,
            "population",
            "at least 10 clients are needed",
        )?;
        require(
            self.cohort > 0.0 && self.cohort <= 1.0,
            "cohort",
            "a share of the population above 0 and up to 1",
        )?;
        require(self.split >= 1, "split", "at least 1")?;
        require(
            (0.0..=0.3).contains(&self.dropout),
            "dropout",
            "between 0 and 0.3: the graph of secure aggregation is planned for 30 % at most",
        )?;
        require(
            (0.1..0.5).contains(&self.corrupt),
            "corrupt",
            "between 0.1 and 0.5: clients refuse to assume less than 10 %",
        )?;
        self.recipe.validate()?;
        match self.privacy {
            Privacy::Off => {
                require(
                    !self.recipe.is_private(),
                    "recipe.algorithm",
                    "this algorithm is made for noise; where noise is off use `ials`, or `noise = false` for a trained model",
                )?;
                require(
                    self.split == 1,
                    "split",
                    "only a noised sum is split; leave it at 1",
                )?;
                require(
                    self.noise.is_usual(),
                    "noise",
                    "there is none to make; leave the section out",
                )?;
            }
            Privacy::Distributed { .. } | Privacy::Local { .. } => {
                require(
                    self.recipe.is_private(),
                    "recipe.algorithm",
                    "it is not made for noise; use `ials-private`, or `noise = true` for a trained model",
                )?;
                require(
                    self.cohort == 1.0,
                    "cohort",
                    "with noise, one sum holds the whole population; a smaller cohort costs noise \
                     (variance times the number of cohorts) and must be asked for with `split`",
                )?;
            }
        }
        if self.noise.surplus == Surplus::Removed {
            require(
                self.noise.law == Law::DiscreteGaussian,
                "noise.law",
                "only discrete Gaussian noise comes in layers; leave it out where the surplus is removed",
            )?;
            require(
                !matches!(self.privacy, Privacy::Local { .. }),
                "noise.surplus",
                "local noise has no surplus: every report needs all of its own",
            )?;
        }
        let clients = self.cohort_size();
        self.check_size(clients)?;
        require(
            clients <= WITNESS_MOST,
            "cohort",
            "it gives more than 100000 clients a round; take a smaller one, or a `split` with noise",
        )?;
        let graph = chorus_secagg::plan(clients, &self.assumptions());
        graph.map_err(|error| TaskError::Field {
            field: "corrupt",
            problem: error.to_string(),
        })?;
        if self.consistency == Consistency::Cohort {
            require(
                clients <= COHORT_MOST,
                "consistency",
                "more than 5000 clients a round cannot vouch for each other; take `witness`, or a smaller cohort",
            )?;
            let left = survivors(clients, self.dropout, self.corrupt)?.minimum;
            require(
                quorum(clients, self.assumptions().corrupt_of(clients)) <= left,
                "consistency",
                "with so many lost and corrupt clients the cohort cannot vouch for itself; take `witness`, or assume \
                 fewer",
            )?;
        }
        if let Some(evaluate) = &self.evaluate {
            evaluate
                .validate(&self.recipe)
                .map_err(TaskError::Evaluate)?;
            require(
                clients >= RANKED,
                "evaluate",
                "fewer than 50 clients a round: nothing could be shown, and to tell a figure takes several times as many; take a larger \
                 cohort, or leave it out",
            )?;
        }
        // A sum that cannot be planned should not be found out in the middle of the task.
        let deviation = self.noise_deviation()?;
        if let Some((_, delta)) = self.privacy.bound() {
            require(
                delta <= LARGEST_DELTA,
                "privacy.delta",
                "must be at most 0.001, and had better be under one over the population: it is the probability at which \
                 nothing is promised",
            )?;
        }
        let mut shapes: Vec<(usize, f64, f64)> = Vec::new();
        for sum in self.sums() {
            let shape = (sum.length, sum.clip, sum.share);
            if !shapes.contains(&shape) {
                let (encoding, ..) = self.coding(&sum, clients, deviation)?;
                require(
                    sum.step != Step::Ranks || encoding.scale() >= 2.0,
                    "bits",
                    "too few to count the ranks of so many clients exactly; take more, or leave out `evaluate`",
                )?;
                require(
                    sum.step != Step::Gradient || encoding.scale() >= 2.0,
                    "bits",
                    "too few to learn from so many clients: the grid would be coarser than what they say; take more",
                )?;
                shapes.push(shape);
            }
        }
        Ok(())
    }

    fn check_size(&self, clients: usize) -> Result<(), TaskError> {
        let (all, least) = (self.population, MINIMUM_CLIENTS);
        let share = (100 * least).div_ceil(all) as f64 / 100.0;
        let (field, change) = match self.split {
            0 | 1 => ("cohort", format!("{share} or more")),
            _ => ("split", format!("{} or fewer", all / least)),
        };
        let few = format!("{clients} of {all} clients a round; {least} are needed: take {change}");
        require(clients >= least, field, &few)
    }

    fn assumptions(&self) -> Assumptions {
        Assumptions {
            corrupt: self.corrupt,
            ..Assumptions::DEFAULT
        }
    }

    /// The grid and the noise of one sum over `invited` clients. `deviation`: of [`Self::noise_deviation`]. A sum with a
    /// smaller share of the budget has the larger noise: mu^2 of a sum is 1 over its squared multiplier.
    fn coding(
        &self,
        sum: &Sum,
        invited: usize,
        deviation: f64,
    ) -> Result<(Encoding, LocalNoise, Survivors), TaskError> {
        let mut needed = survivors(invited, self.dropout, self.corrupt)?;
        if let Privacy::Local { .. } = self.privacy {
            // Nobody else's noise is counted on.
            needed.honest = 1;
        }
        if self.privacy == Privacy::Off {
            let encoding = Encoding::for_sum(sum.clip, sum.length, invited, 0.0, self.bits)?;
            return Ok((encoding, LocalNoise::Off, needed));
        }
        let multiplier = deviation / sum.share.sqrt();
        // Everyone may survive, and then the sum carries everyone's share.
        let most = multiplier * (invited as f64 / needed.honest as f64).sqrt();
        let (clip, length, bits) = (sum.clip, sum.length, self.bits);
        let encoding = match self.noise.rotation {
            false => Encoding::for_sum(clip, length, invited, most, bits)?,
            true => {
                let [a, b, c, d, e, f, g, h, ..] = Digest::of(sum.name.as_bytes()).0;
                let seed = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                Encoding::for_rotated_sum(clip, length, invited, most, bits, seed)?
            }
        };
        let noise = match self.noise.surplus {
            Surplus::Kept => LocalNoise::share_of(self.noise.law, multiplier, &encoding, &needed)?,
            Surplus::Removed => LocalNoise::layered(multiplier, &encoding, invited, &needed)?,
        };
        Ok((encoding, noise, needed))
    }

    /// Clients to invite to one round.
    pub fn cohort_size(&self) -> usize {
        let share = (self.population as f64 * self.cohort).round() as usize;
        share.min(self.population) / self.split.max(1)
    }

    /// The smallest round that may be opened when not everyone comes: as many clients as a full one may be left with.
    pub fn fewest_invited(&self) -> usize {
        let cohort = self.cohort_size();
        survivors(cohort, self.dropout, self.corrupt)
            .map_or(cohort, |survivors| survivors.minimum)
            .max(MINIMUM_CLIENTS)
    }

    /// The named sums, in order.
    pub fn sums(&self) -> Vec<Sum> {
        self.recipe.sums_with(self.evaluate.as_ref())
    }

    /// What sum number `sum_index` (from 0) makes of the task: the next version of the model.
    ///
    /// # Errors
    /// When the sum does not fit the recipe, or the numbers went wrong.
    pub fn learn(
        &self,
        learning: Learning,
        sum_index: usize,
        delta: &MeanDelta,
    ) -> Result<Learned, LearnError> {
        let evaluate = self.evaluate.as_ref();
        self.recipe
            .learn(evaluate, learning, sum_index, delta, self.population)
    }

    /// The plan of one round.
    ///
    /// # Errors
    /// When there is no such sum, or no safe plan for so many clients.
    pub fn plan(
        &self,
        sum_index: usize,
        invited: usize,
        round: RoundId,
        version: u64,
        model: Digest,
    ) -> Result<RoundPlan, TaskError> {
        let sum = self
            .sums()
            .into_iter()
            .nth(sum_index)
            .ok_or_else(|| TaskError::Field {
                field: "recipe",
                problem: format!("there is no sum number {sum_index}"),
            })?;
        let delta = self.privacy.bound().map_or(1e-5, |(_, delta)| delta);
        let deviation = self.noise_deviation()?;
        let (encoding, noise, needed) = self.coding(&sum, invited, deviation)?;
        Ok(RoundPlan {
            protocol: PROTOCOL_VERSION,
            task: self.name.clone(),
            round,
            release: sum.name,
            step: sum.step,
            block: sum.block,
            groups: sum.groups,
            hold_out: self.evaluate.is_some(),
            encoding,
            noise,
            invited,
            dropout: self.dropout,
            survivors: needed,
            assumptions: self.assumptions(),
            consistency: self.consistency,
            version,
            model,
            delta,
        })
    }

    /// The noise multiplier of a sum that had the whole budget: the smallest with which all sums together, each with its
    /// share of it, stay within epsilon; larger by steps of 0.1 % where the law that is drawn costs more than a Gaussian.
    fn noise_deviation(&self) -> Result<f64, TaskError> {
        let Some((epsilon, delta)) = self.privacy.bound() else {
            return Ok(0.0);
        };
        let weights: Vec<f64> = self.sums().iter().map(|sum| sum.share).collect();
        let mut deviation = calibrate(epsilon, delta, &weights)?;
        for _ in 0..MORE_NOISE {
            let (releases, _) = self.releases(deviation)?;
            if spent(&releases, delta)?.epsilon <= epsilon {
                return Ok(deviation);
            }
            deviation *= 1.001;
        }
        Err(PrivacyError::Unreachable(epsilon).into())
    }

    /// What every sum costs with this noise, and whom it takes, in the smallest round that may be opened: no other has
    /// fewer honest clients.
    fn releases(&self, deviation: f64) -> Result<(Vec<Release>, Survivors), TaskError> {
        let clients = self.fewest_invited();
        let mut needed = survivors(clients, self.dropout, self.corrupt)?;
        let mut releases = Vec::new();
        for sum in self.sums() {
            let (encoding, noise, survivors) = self.coding(&sum, clients, deviation)?;
            releases.push(noise.release(&encoding, &survivors)?);
            needed = survivors;
        }
        Ok((releases, needed))
    }

    /// What protects the clients of this task, in words: for reports, and wherever the model is shown.
    ///
    /// # Errors
    /// When the task cannot be planned.
    pub fn guarantee(&self) -> Result<String, TaskError> {
        let Some((_, delta)) = self.privacy.bound() else {
            return Ok(NO_NOISE.to_owned());
        };
        let distributed = survivors(self.fewest_invited(), self.dropout, self.corrupt)?;
        let (releases, needed) = self.releases(self.noise_deviation()?)?;
        let guarantee = Guarantee::new(&releases, delta, &needed)?;
        Ok(match self.privacy {
            Privacy::Local { .. } => format!("{guarantee}\n{}", price(distributed.honest)),
            _ => guarantee.to_string(),
        })
    }

    /// Against whom the sums are protected, in words. `one_party`: who runs the coordinator runs the authority too.
    pub fn trust(&self, one_party: bool) -> String {
        let bound = format!(
            "as long as at most {} % of the clients that it invites to a round work for it",
            // 0.07 * 100 is 7.000000000000001 in floating point, and means 7.
            (self.corrupt * 1e6).round() / 1e4
        );
        let promise = match self.consistency {
            Consistency::Witness => format!(
                "Protects against a coordinator that cheats, {bound} and the witness does not: the witness draws the \
                 graph of each round, and signs one list of survivors."
            ),
            Consistency::Cohort if self.cohort_size() < COMPLETE_BELOW => format!(
                "Protects against a coordinator that cheats, {bound}: clients give back shares only for the one list \
                 of survivors that more than half of their cohort signed."
            ),
            Consistency::Cohort => format!(
                "Protects against a coordinator that draws the graph of each round as the protocol says, {bound}; \
                 clients give back shares only for the one list of survivors that more than half of their cohort \
                 signed. Without that trust, the task needs a witness."
            ),
        };
        let roles = match one_party {
            true => {
                "One party runs both the enrolment authority and the coordinator here, so it could also \
                     enrol clients of its own."
            }
            false => {
                "The enrolment authority is run by another party, which vouches that every client is a \
                      different device."
            }
        };
        format!("{promise} {roles}")
    }
}

const NO_NOISE: &str = "No noise is added in this task: the coordinator learns exact sums and nothing else of any \
    single client, but what the sums and the model say about one person is not bounded. No differential privacy is \
    claimed.";
