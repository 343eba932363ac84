use chorus_model::Step;
use chorus_privacy::{LocalNoise, PrivacyError, Release, Survivors, spent, survivors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::is_name;
use crate::{
    COHORT_MOST, Consistency, LogError, PROTOCOL_VERSION, Privacy, RoundId, RoundPlan, Task,
    TaskName, Unproven, WITNESS_MOST,
};

/// The least that a client insists on, whatever a coordinator proposes. The default is the careful choice in every field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Floor {
    /// Smallest cohort.
    pub cohort: usize,
    /// Largest share of the invited that a plan may lose.
    pub dropout: f64,
    /// Smallest corrupt share that a plan must bear.
    pub corrupt: f64,
    /// Whether this client takes part only where a witness outside the coordinator vouches that everyone is told the
    /// same.
    pub witness: bool,
    /// Whether this client contributes to a task that adds no noise.
    pub without_noise: bool,
    /// Largest epsilon over all of this client's contributions to one task.
    pub epsilon: f64,
    /// Largest epsilon over all of its contributions to all tasks together.
    pub epsilon_in_all: f64,
    /// Most contributions with noise to one task.
    pub contributions: usize,
    /// Most reports in a day to tasks whose reports are private by themselves.
    pub local_reports_a_day: usize,
    /// Largest delta at which a plan may count.
    pub delta: f64,
    /// Words of the longest contribution.
    pub length: usize,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            cohort: 10,
            dropout: 0.3,
            corrupt: 0.1,
            witness: false,
            without_noise: false,
            epsilon: 8.0,
            epsilon_in_all: 16.0,
            contributions: 100,
            local_reports_a_day: 10,
            delta: 1e-5,
            length: 20_000_000,
        }
    }
}

/// Why a client does not go on with a round. It stays silent about it on the wire.
#[derive(Debug, Error, PartialEq)]
pub enum Refusal {
    /// The plan's bytes cannot be read.
    #[error("the plan cannot be read: {0}")]
    Unreadable(String),
    /// Not signed by the coordinator.
    #[error("the plan is not signed by the coordinator")]
    Signature,
    /// Another protocol version.
    #[error(
        "the coordinator speaks protocol {found}, this client {PROTOCOL_VERSION}: update the older one"
    )]
    Version {
        /// The coordinator's.
        found: u32,
    },
    /// An invitation to another task than the one that was asked for. Budgets are counted by task, so a coordinator
    /// must not choose the task.
    #[error("the invitation is to task `{found}`; this client asked for `{asked}`")]
    OtherTask {
        /// The plan's task.
        found: TaskName,
        /// The task of the check-in.
        asked: TaskName,
    },
    /// A field of the plan is weaker than this client's floor, or contradicts the others.
    #[error("plan field `{field}` is {found}; this client needs {needed}")]
    Weak {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        needed: String,
    },
    /// A round that is not newer than the last one.
    #[error("round {found} is not newer than round {last}, in which this client took part")]
    Repeated {
        /// The plan's round.
        found: RoundId,
        /// The last one.
        last: RoundId,
    },
    /// The release was contributed to before.
    #[error(
        "this client already contributed to `{release}` of task `{task}`; a second time is not in its budget"
    )]
    Contributed {
        /// The task.
        task: TaskName,
        /// The release.
        release: String,
    },
    /// The privacy budget would be overspent.
    #[error(
        "contributing would spend epsilon {would:.3} of task `{task}`; this client's limit is {limit}"
    )]
    Budget {
        /// The task.
        task: TaskName,
        /// After this round.
        would: f64,
        /// The limit.
        limit: f64,
    },
    /// The privacy budget over all tasks would be overspent.
    #[error(
        "contributing to task `{task}` would spend epsilon {would:.3} over all tasks together; this client's limit is {limit}"
    )]
    BudgetInAll {
        /// The task.
        task: TaskName,
        /// After this round.
        would: f64,
        /// The limit.
        limit: f64,
    },
    /// The client took part in the task often enough.
    #[error("this client contributed to task `{task}` {limit} times, and does so no more often")]
    OftenEnough {
        /// The task.
        task: TaskName,
        /// The limit.
        limit: usize,
    },
    /// The client reported often enough today.
    #[error(
        "this client sent {limit} reports within a day to tasks with local noise; it goes on tomorrow"
    )]
    EnoughToday {
        /// The limit.
        limit: usize,
    },
    /// The model log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The plan's model is not the newest that the log holds.
    #[error(
        "the plan trains version {version} of the model, which is not the newest one in the log"
    )]
    NotLogged {
        /// The plan's version.
        version: u64,
    },
    /// The model's bytes are not those that the plan and the log name.
    #[error("the model that came is not the one that the plan and the log name")]
    Model,
    /// A neighbour that cannot be proven to be an enrolled client of this round.
    #[error("neighbour {number} of the cohort: {reason}")]
    Neighbour {
        /// Its number.
        number: u32,
        /// Why.
        reason: String,
    },
    /// A list of clients that contradicts what was said before.
    #[error("the coordinator's list of {list} {reason}")]
    Roster {
        /// Which list.
        list: &'static str,
        /// Why it is refused.
        reason: &'static str,
    },
    /// No proof that others were told the same.
    #[error("the coordinator's proof that everyone was told the same: {0}")]
    Unproven(#[from] Unproven),
    /// An answer that does not belong to the question.
    #[error("the coordinator answered with something that does not belong here")]
    Unexpected,
    /// The plan's noise cannot be drawn or accounted for.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// A cryptographic step failed.
    #[error("{0}")]
    Crypto(String),
}

/// One contribution, as the client's own privacy ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// The task.
    pub task: TaskName,
    /// The named sum.
    pub release: String,
    /// The round.
    pub round: RoundId,
    /// What it cost; nothing for a sum without noise, whose cost no epsilon describes.
    pub cost: Option<Release>,
    /// How many clients the cost counts on; nobody knows it of charges that were written before it was kept.
    #[serde(default = "unknown")]
    pub survivors: Survivors,
}

fn unknown() -> Survivors {
    Survivors {
        minimum: 0,
        honest: 0,
    }
}

/// What a contribution to a round of `plan` costs. Nothing when noise is off.
///
/// # Errors
/// Noise that cannot be accounted for.
pub fn cost(plan: &RoundPlan) -> Result<Option<Release>, PrivacyError> {
    match plan.noise {
        LocalNoise::Off => Ok(None),
        noise => noise.release(&plan.encoding, &plan.survivors).map(Some),
    }
}

impl Floor {
    /// The floor that asks for no more than `task` gives: for simulations, demonstrations and tests, whose people are made
    /// up. A person's client keeps to [`Floor::default`], or to what that person chose.
    pub fn admitting(task: &Task) -> Self {
        let mut floor = Self {
            without_noise: task.privacy == Privacy::Off,
            ..Self::default()
        };
        if let Some((epsilon, delta)) = task.privacy.bound() {
            floor.epsilon = epsilon;
            floor.epsilon_in_all = epsilon;
            floor.contributions = task.sums().len();
            floor.delta = delta;
        }
        let longest = task.sums().iter().map(|sum| sum.length).max();
        floor.length = longest.unwrap_or(floor.length);
        floor
    }

    /// Checks a plan against this floor and against what was contributed before.
    ///
    /// # Errors
    /// The first field that is too weak, with what would do.
    pub fn check(&self, plan: &RoundPlan, charges: &[Charge]) -> Result<(), Refusal> {
        if plan.protocol != PROTOCOL_VERSION {
            return Err(Refusal::Version {
                found: plan.protocol,
            });
        }
        self.check_numbers(plan)?;
        self.check_consistency(plan)?;
        self.check_noise(plan, charges)
    }

    /// Checks how often this client reported in the last day. `today`: rounds with local noise that it joined.
    pub(crate) fn check_day(&self, plan: &RoundPlan, today: usize) -> Result<(), Refusal> {
        match plan.is_local() && today >= self.local_reports_a_day {
            true => Err(Refusal::EnoughToday {
                limit: self.local_reports_a_day,
            }),
            false => Ok(()),
        }
    }

    /// Every comparison is written so that NaN fails it, and every count is bounded before anything is
    /// computed from it.
    fn check_numbers(&self, plan: &RoundPlan) -> Result<(), Refusal> {
        let assumptions = &plan.assumptions;
        // It is kept in the ledger and shown to people.
        require(
            "release",
            plan.release.escape_debug(),
            is_name(&plan.release),
            || "1 to 64 characters of a-z, 0-9 and `-`".to_owned(),
        )?;
        require("invited", plan.invited, plan.invited >= self.cohort, || {
            format!("at least {}", self.cohort)
        })?;
        // The accountant's work grows with it.
        require(
            "invited",
            plan.invited,
            plan.invited <= WITNESS_MOST,
            || format!("at most {WITNESS_MOST}"),
        )?;
        require(
            "encoding.length",
            plan.encoding.length(),
            plan.encoding.length() <= self.length,
            || format!("at most {}", self.length),
        )?;
        // Groups that do not fit the update would make it zeros.
        if !plan.groups.is_empty() {
            let words = plan
                .groups
                .iter()
                .fold(0, |sum: usize, group| sum.saturating_add(group.length));
            let squares = plan.groups.iter().map(|group| group.bound * group.bound);
            let joint = squares.sum::<f64>().sqrt();
            let clip = plan.encoding.clip();
            require(
                "groups",
                format!("{words} words of norm {joint}"),
                words == plan.encoding.length() && joint <= clip * (1.0 + 1e-9),
                || format!("{} words of norm {clip}", plan.encoding.length()),
            )?;
        }
        require(
            "dropout",
            plan.dropout,
            (0.0..=self.dropout).contains(&plan.dropout),
            || format!("at most {}", self.dropout),
        )?;
        let corrupt = assumptions.corrupt;
        require(
            "assumptions.corrupt",
            corrupt,
            corrupt >= self.corrupt,
            || format!("at least {}", self.corrupt),
        )?;
        // A graph planned for fewer losses than the round bears could fall apart, and show two sums.
        require(
            "assumptions.dropout",
            assumptions.dropout,
            assumptions.dropout >= plan.dropout,
            || format!("at least the dropout of {}", plan.dropout),
        )?;
        require(
            "assumptions.secrecy_bits",
            assumptions.secrecy_bits,
            assumptions.secrecy_bits >= 40,
            || "at least 40".to_owned(),
        )?;
        chorus_secagg::plan(plan.invited, assumptions).map_err(|error| Refusal::Weak {
            field: "assumptions",
            found: format!("{assumptions:?}"),
            needed: error.to_string(),
        })?;
        require(
            "delta",
            plan.delta,
            plan.delta > 0.0 && plan.delta <= self.delta,
            || format!("at most {}", self.delta),
        )?;
        let own = survivors(plan.invited, plan.dropout, corrupt)?;
        require(
            "survivors.minimum",
            plan.survivors.minimum,
            plan.survivors.minimum >= own.minimum,
            || format!("at least {}", own.minimum),
        )?;
        require(
            "survivors.minimum",
            plan.survivors.minimum,
            plan.survivors.minimum <= plan.invited,
            || format!("at most the {} invited", plan.invited),
        )?;
        require(
            "survivors.honest",
            plan.survivors.honest,
            plan.survivors.honest <= own.honest,
            || format!("at most {}", own.honest),
        )
    }

    fn check_consistency(&self, plan: &RoundPlan) -> Result<(), Refusal> {
        let witnessed = plan.consistency == Consistency::Witness;
        require(
            "consistency",
            "the cohort's own signatures",
            witnessed || !self.witness,
            || "a witness: this client takes part in no round without one".to_owned(),
        )?;
        require(
            "consistency",
            "the cohort's own signatures",
            witnessed || plan.invited <= COHORT_MOST,
            || format!("a witness above {COHORT_MOST} clients"),
        )
    }

    fn check_noise(&self, plan: &RoundPlan, charges: &[Charge]) -> Result<(), Refusal> {
        let Some(release) = cost(plan)? else {
            return require("noise", "off", self.without_noise, || {
                "noise, or a person who allowed a task without it".to_owned()
            });
        };
        if let LocalNoise::Layered(layers) = plan.noise {
            // Else it would take layers off that clients which never came were to need.
            require(
                "noise.layered.clients",
                layers.clients(),
                layers.clients() == plan.invited,
                || format!("the {} invited", plan.invited),
            )?;
        }
        // Clipping would still bound these, but cut most people's contributions to pieces, or drown in noise what they report.
        if matches!(
            plan.step,
            Step::Gradient | Step::History | Step::Head | Step::Update | Step::Check
        ) {
            return Err(Refusal::Weak {
                field: "step",
                found: format!("{:?} with noise", plan.step).to_lowercase(),
                needed: "a step that is made for noise".to_owned(),
            });
        }
        let mine = || charges.iter().filter(|charge| charge.task == plan.task);
        if mine().any(|charge| charge.release == plan.release) {
            return Err(Refusal::Contributed {
                task: plan.task.clone(),
                release: plan.release.clone(),
            });
        }
        let noised = |charge: &Charge| charge.cost;
        let mut releases: Vec<Release> = mine().filter_map(noised).collect();
        if releases.len() >= self.contributions {
            return Err(Refusal::OftenEnough {
                task: plan.task.clone(),
                limit: self.contributions,
            });
        }
        releases.push(release);
        let would = spent(&releases, plan.delta)?.epsilon;
        let is_within = would <= self.epsilon;
        if !is_within {
            return Err(Refusal::Budget {
                task: plan.task.clone(),
                would,
                limit: self.epsilon,
            });
        }
        // One delta for everything, for each task's could be another.
        let everything: Vec<Release> = charges.iter().filter_map(noised).chain([release]).collect();
        let would = spent(&everything, self.delta)?.epsilon;
        let is_within = would <= self.epsilon_in_all;
        if !is_within {
            return Err(Refusal::BudgetInAll {
                task: plan.task.clone(),
                would,
                limit: self.epsilon_in_all,
            });
        }
        Ok(())
    }
}

fn require(
    field: &'static str,
    found: impl ToString,
    holds: bool,
    needed: impl FnOnce() -> String,
) -> Result<(), Refusal> {
    if holds {
        Ok(())
    } else {
        Err(Refusal::Weak {
            field,
            found: found.to_string(),
            needed: needed(),
        })
    }
}
