use std::collections::BTreeMap;

use chorus_privacy::{Guarantee, Release, spent};
use chorus_protocol::{Charge, RoundId, TaskName};
use chorus_wire::certificate::Role;
use serde::Serialize;

use crate::{Client, Error, LogHead};

/// What a client can say about itself. For the person and the app; never sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Whether it may take part.
    pub enrolment: EnrolmentStatus,
    /// Events in its history.
    pub events: u64,
    /// The round that is under way.
    pub round: Option<RoundId>,
    /// Every task that it contributed to or has a model of, by name.
    pub tasks: Vec<TaskStatus>,
    /// The model log as far as it was seen.
    pub log: LogHead,
}

/// Whether a client may take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum EnrolmentStatus {
    /// It never enrolled.
    None,
    /// Its certificate is valid.
    Valid {
        /// Until and including, seconds since 1970 UTC.
        until: i64,
    },
    /// Its certificate is of no use any more; it must enrol again.
    Over {
        /// Why.
        reason: String,
    },
}

/// What a client gave to one task and has from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskName,
    /// Rounds that are counted against its privacy: each before its contribution leaves, whatever becomes of it then.
    pub contributions: usize,
    /// Of those, how many the log of what left shows. The others broke off before they left, or are older than the log.
    pub sent: usize,
    /// Of those, how many had no noise: no epsilon describes what they cost.
    pub without_noise: usize,
    /// Privacy spent on the task, as far as the accountant bounds it; nothing when any contribution had no noise.
    pub epsilon: Option<f64>,
    /// The same after each contribution, in their order; ends with `epsilon`.
    pub spending: Vec<f64>,
    /// The delta that `epsilon` is counted at: the largest that the settings allow.
    pub delta: f64,
    /// The same in words, with what it assumes; nothing where no epsilon bounds it.
    pub guarantee: Option<String>,
    /// Version of the newest model that is here.
    pub version: Option<u64>,
}

impl Client {
    /// What this client can say about itself at `now` (seconds since 1970 UTC).
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Privacy
    /// Counts only, yet they are the person's own: show them, do not send them.
    pub fn status(&self, now: i64) -> Result<Status, Error> {
        let saved = self.store.saved()?.1;
        let round = saved.and_then(|saved| chorus_protocol::Participation::restore(&saved).ok());
        Ok(Status {
            enrolment: self.enrolment_status(now)?,
            events: self.count_events()?,
            round: round.map(|participation| participation.plan().round),
            tasks: self.task_statuses()?,
            log: self.head()?,
        })
    }

    fn enrolment_status(&self, now: i64) -> Result<EnrolmentStatus, Error> {
        let Some(enrolled) = self.store.enrolled()? else {
            return Ok(EnrolmentStatus::None);
        };
        let verdict = self
            .authority()?
            .verify_role(&enrolled.certificate, Role::Client, now);
        Ok(match verdict {
            Ok(certificate) => EnrolmentStatus::Valid {
                until: certificate.not_after,
            },
            Err(error) => EnrolmentStatus::Over {
                reason: error.to_string(),
            },
        })
    }

    fn task_statuses(&self) -> Result<Vec<TaskStatus>, Error> {
        let delta = self.settings.floor.delta;
        let sent = self.sent_rounds()?;
        let mut tasks: BTreeMap<TaskName, (Vec<Charge>, Option<u64>)> = BTreeMap::new();
        for charge in self.store.charges()? {
            let entry = tasks.entry(charge.task.clone()).or_default();
            entry.0.push(charge);
        }
        for (task, version) in self.store.model_versions()? {
            tasks.entry(task).or_default().1 = Some(version);
        }
        let status = |(task, (charges, version)): (TaskName, (Vec<Charge>, _))| {
            let releases: Vec<Release> = charges.iter().filter_map(|charge| charge.cost).collect();
            let without_noise = charges.len() - releases.len();
            // An exact sum is not bounded by what the noised ones cost.
            let is_bounded = without_noise == 0;
            let epsilon = spent(&releases, delta).ok().filter(|_| is_bounded);
            let spending = match is_bounded {
                true => spending(&releases, delta),
                false => Vec::new(),
            };
            // The one that counts on the fewest others says what is assumed.
            let fewest = charges.iter().map(|charge| charge.survivors);
            let guarantee = fewest
                .min_by_key(|survivors| survivors.honest)
                .filter(|_| is_bounded)
                .and_then(|survivors| Guarantee::new(&releases, delta, &survivors).ok());
            TaskStatus {
                task,
                contributions: charges.len(),
                sent: charges
                    .iter()
                    .filter(|charge| sent.contains(&charge.round))
                    .count(),
                without_noise,
                epsilon: epsilon.map(|spent| spent.epsilon),
                spending,
                delta,
                guarantee: guarantee.map(|guarantee| guarantee.to_string()),
                version,
            }
        };
        Ok(tasks.into_iter().map(status).collect())
    }

    /// What was spent on its task once the contribution to `round` is counted.
    pub(crate) fn spent_until(&self, round: RoundId) -> Result<Option<f64>, Error> {
        let charges = self.store.charges()?;
        let Some(charge) = charges.iter().find(|charge| charge.round == round) else {
            return Ok(None);
        };
        let so_far = charges
            .iter()
            .filter(|other| other.task == charge.task && other.round <= round);
        let costs: Option<Vec<Release>> = so_far.map(|charge| charge.cost).collect();
        let delta = self.settings.floor.delta;
        Ok(costs
            .and_then(|costs| spent(&costs, delta).ok())
            .map(|spent| spent.epsilon))
    }
}

/// Epsilon at `delta` after each of the releases; shorter where the accountant bounds it no more.
fn spending(releases: &[Release], delta: f64) -> Vec<f64> {
    let until = (1..=releases.len()).map_while(|count| releases.get(..count));
    until
        .map_while(|releases| Some(spent(releases, delta).ok()?.epsilon))
        .collect()
}
