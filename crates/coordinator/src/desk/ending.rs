//! From the sum of a round to a published version, or to a sentence that says why there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use chorus_model::{LearnError, Learning, Step};
use chorus_privacy::{Spent, spent};
use chorus_protocol::{
    ClientId, Digest, Millis, Origin, Phase, Recovered, RoundReport, cost, decode, sum_digest,
};

use super::{Common, Desk, Running};
use crate::error::DeskError;
use crate::registry::{self, Prepared};
use crate::store::{self, Closing, TaskState, Wanted};

impl Desk {
    /// Before clients are told with whom to mask: from then on they count this sum as contributed, and so does the task,
    /// whatever becomes of the round.
    pub(super) fn charge(&mut self) -> Result<(), DeskError> {
        if let Some(running) = &mut self.running {
            let plan = running.round.plan();
            let release = cost(plan).map_err(|error| DeskError::Task(error.to_string()))?;
            self.common.store.write(|tx| {
                store::rounds::mark_masked(tx, plan.round)?;
                store::rounds::charge(tx, plan, release.as_ref())
            })?;
            running.masked = true;
        }
        Ok(())
    }

    /// Before clients are told who survived: from then on the sum can be revealed, and by no other list of survivors.
    pub(super) fn settle(&mut self) -> Result<(), DeskError> {
        if let Some(running) = &self.running {
            let round = running.round.plan().round;
            if let Some(checkpoint) = running.round.checkpoint() {
                self.common
                    .store
                    .write(|tx| store::rounds::keep(tx, round, &checkpoint))?;
            }
        }
        Ok(())
    }

    /// What the task has spent; nothing without noise or before the first sum.
    pub(super) fn spent(&self) -> Result<Option<Spent>, DeskError> {
        let Some((_, delta)) = self.task.privacy.bound() else {
            return Ok(None);
        };
        let name = &self.task.name;
        let releases = self
            .common
            .store
            .read(|connection| store::rounds::charges(connection, name))?;
        if releases.is_empty() {
            return Ok(None);
        }
        spent(&releases, delta)
            .map(Some)
            .map_err(|error| DeskError::Task(error.to_string()))
    }

    /// Decodes the sum, makes the server step, and publishes.
    pub(super) fn complete(&mut self, recovered: Recovered, now: Millis) -> Result<(), DeskError> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let plan = running.round.plan();
        let mut delta = decode(&recovered.sum, plan, recovered.clients);
        delta.noise = delta.noise.hypot(recovered.surplus / plan.encoding.scale());
        let learned = self
            .task
            .learn(self.learning.clone(), self.next_sum, &delta);
        if let Err(error @ LearnError::Impossible) = learned {
            // Other clients may be better ones.
            return self.unusable(&error.to_string(), now).map(drop);
        }
        let learned = learned
            .map_err(|error| error.to_string())
            .and_then(|learned| {
                let next = Prepared::new(&learned.learning, learned.next);
                next.map(|next| (learned, next))
                    .map_err(|error| error.to_string())
            });
        let (learned, next) = match learned {
            Ok(learned) => learned,
            Err(reason) => return self.fail(&reason, now),
        };
        let mut report = self.report(running, now)?;
        report.sum = Some(sum_digest(&recovered.sum));
        report.measured = learned.measured;
        report.note = learned.note;
        let origin = match learned.back {
            Some(_) => Origin::Rollback,
            None => Origin::Round,
        };
        let version = (learned.learning, next, origin);
        self.publish(version, &report, &recovered.survivors, now)
    }

    /// One transaction: the version, its log entry, the report of the round, who was heard, the state of the task.
    fn publish(
        &mut self,
        (learning, next, origin): (Learning, Prepared, Origin),
        report: &RoundReport,
        heard: &BTreeSet<ClientId>,
        now: Millis,
    ) -> Result<(), DeskError> {
        let turn = self.turn();
        let Common {
            store,
            identity,
            config,
            clock,
            ..
        } = &*self.common;
        let (task, unix) = (&self.task.name, clock.unix());
        let finished = next.next_sum >= self.sums.len();
        let published = store.write(|tx| {
            let digest = Digest::of(store::rounds::report_bytes(report)?.as_bytes());
            let why = (origin, digest);
            let version = registry::publish(tx, identity, task, &next, self.version, why, unix)?;
            if let Some(version) = version {
                let closing = Closing {
                    report,
                    published: Some(version),
                    now: unix,
                };
                store::rounds::close(tx, report.round, &closing)?;
                if let Some(turn) = &turn {
                    store::turns::hear(tx, task, turn, heard)?;
                }
                if config.keep_versions() > 0 {
                    store::models::drop_old(tx, task, config.keep_versions())?;
                }
                if finished {
                    let back = report
                        .note
                        .as_deref()
                        .filter(|_| origin == Origin::Rollback);
                    let reason = back.unwrap_or("all its sums are taken");
                    store::tasks::set(tx, task, TaskState::Finished, Some(reason))?;
                    store::turns::forget(tx, task)?;
                }
            }
            Ok(version)
        })?;
        store.forget()?;
        let Some(version) = published else {
            return self.fail("the operator published another version meanwhile", now);
        };
        log_line(report, version);
        if let Some(running) = &mut self.running {
            running.round.published(version);
        }
        self.learning = learning;
        self.version = version;
        self.digest = next.digest;
        self.next_sum = next.next_sum;
        self.over = finished;
        self.load_turns()?;
        self.gathering.restart(now);
        let model: Arc<[u8]> = next.parameters.into();
        self.news.send_modify(|news| {
            news.model = Some((next.digest, model));
        });
        Ok(())
    }

    /// The sum was recovered and cannot be used: the round ends as aborted, and trying again would end the same way.
    fn fail(&mut self, reason: &str, now: Millis) -> Result<(), DeskError> {
        let sentence = self.unusable(reason, now)?;
        let newest = self
            .common
            .store
            .read(|connection| store::models::newest(connection, &self.task.name))?;
        match newest {
            _ if self.over => Ok(()),
            Some(newest) if newest == self.version => self.end(TaskState::Stopped, &sentence),
            // An operator published another version meanwhile: learning goes on from that.
            _ => self.reload(now),
        }
    }

    /// The sum was recovered and cannot be used: the round ends as aborted. Gives the sentence that says so.
    fn unusable(&mut self, reason: &str, now: Millis) -> Result<String, DeskError> {
        let sentence = format!("the sum was recovered and could not be used: {reason}");
        if let Some(running) = &mut self.running {
            running.failed = Some(sentence.clone());
        }
        self.aborted(&sentence, now)?;
        Ok(sentence)
    }

    /// Ends a running round without a sum, for a reason of ours.
    pub(super) fn abort(&mut self, reason: &str, now: Millis) -> Result<(), DeskError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        if running.round.phase() == Phase::Ended {
            return Ok(());
        }
        running.round.abort(reason, &mut Vec::new());
        self.aborted(reason, now)?;
        self.news.send_modify(|news| news.steps += 1);
        Ok(())
    }

    /// The round ended without a sum. With noise, a sum that was masked for cannot be taken again: one of ranks is done without,
    /// any other is the end of the task.
    pub(super) fn aborted(&mut self, reason: &str, now: Millis) -> Result<(), DeskError> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let mut report = self.report(running, now)?;
        report.aborted = Some(reason.to_owned());
        let spent = self.has_noise() && running.masked;
        let only_measures = running.round.plan().step == Step::Ranks;
        if spent && only_measures {
            let words = "with noise each sum is taken once: this version is not measured, and the task goes on";
            report.note = Some(words.to_owned());
        }
        let exhausted = (spent && !only_measures).then(|| {
            format!(
                "round {} ended without a sum ({reason}) after its clients had begun to contribute to `{}`; with noise \
                 each sum is taken once, so the task cannot go on: create a new one",
                report.round, report.release
            )
        });
        let unix = self.common.clock.unix();
        let closing = Closing {
            report: &report,
            published: None,
            now: unix,
        };
        self.common.store.write(|tx| {
            store::rounds::close(tx, report.round, &closing)?;
            if exhausted.is_some() {
                let state = TaskState::BudgetExhausted;
                store::tasks::set(tx, &self.task.name, state, exhausted.as_deref())?;
            }
            Ok(())
        })?;
        self.common.store.forget()?;
        log_line(&report, 0);
        self.over |= exhausted.is_some();
        self.gathering.restart(now);
        match spent && only_measures {
            true => self.check_left(),
            false => Ok(()),
        }
    }

    fn report(&self, running: &Running, now: Millis) -> Result<RoundReport, DeskError> {
        let plan = running.round.plan();
        Ok(RoundReport {
            task: plan.task.clone(),
            round: plan.round,
            release: plan.release.clone(),
            trained: plan.version,
            funnel: running.round.funnel(),
            upload_bytes: running.round.upload_bytes() as u64,
            milliseconds: now.saturating_sub(running.began),
            sum: None,
            aborted: None,
            spent: self.spent()?,
            guarantee: self.guarantee.clone(),
            trust: self.task.trust(self.common.config.one_party()),
            rejected: running.rejected.clone(),
            measured: None,
            note: None,
        })
    }

    /// The operator's wish: no more rounds.
    pub(super) fn stop(&mut self, reason: &str, now: Millis) -> Result<(), DeskError> {
        self.abort(reason, now)?;
        if self.over {
            return Ok(());
        }
        self.end(TaskState::Stopped, reason)
    }

    /// The service ends. The task stays as it is, so that the next start goes on with it, and with the round too if
    /// its survivors are settled.
    pub(super) fn close(&mut self) -> Result<(), DeskError> {
        let now = self.common.clock.elapsed();
        self.flush()?;
        if !self.is_kept() {
            let reason = "the coordinator is shutting down; check in again later";
            self.abort(reason, now)?;
        }
        self.over = true;
        Ok(())
    }

    /// No more rounds of this task, and why.
    pub(super) fn end(&mut self, state: TaskState, reason: &str) -> Result<(), DeskError> {
        let name = &self.task.name;
        self.common.store.write(|tx| {
            if state == TaskState::Stopped {
                store::tasks::want(tx, name, Wanted::Stopped)?;
            }
            store::tasks::set(tx, name, state, Some(reason))
        })?;
        self.over = true;
        tracing::info!(state = state.name(), "a task ended its rounds");
        Ok(())
    }
}

/// One line for each round: counts, and nothing of anyone.
fn log_line(report: &RoundReport, version: u64) {
    let funnel = report.funnel;
    tracing::info!(
        round = report.round.0,
        version,
        completed = report.aborted.is_none(),
        invited = funnel.invited,
        advertised = funnel.advertised,
        uploaded = funnel.uploaded,
        unmasked = funnel.unmasked,
        milliseconds = report.milliseconds,
        note = report.note.as_deref(),
        "a round ended"
    );
}
