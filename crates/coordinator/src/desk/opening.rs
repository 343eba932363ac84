//! From a task in the store to an open round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chorus_model::{Learning, Parameters};
use chorus_privacy::spent;
use chorus_protocol::{
    Digest, Funnel, Input, Invitation, Millis, Purpose, Record, Round, RoundPlan, RoundReport,
    TaskName, Turns, cost,
};
use rand::rngs::StdRng;
use tokio::sync::{mpsc, watch};

use super::{Call, Common, Desk, News, Running};
use crate::error::DeskError;
use crate::gathering::{Gathering, Need};
use crate::left::Left;
use crate::store::{self, Closing, Kept, NewRound, TaskState, Unfinished};

/// Beyond its long poll, so long a client may take to check in again and still count as waiting.
const GRACE: Millis = 10_000;

impl Desk {
    /// Takes up a task where the store has it. A round that was running when the coordinator ended is closed.
    pub fn open(
        common: Arc<Common>,
        name: &TaskName,
        calls: mpsc::WeakSender<Call>,
        news: watch::Sender<News>,
        rng: StdRng,
    ) -> Result<Self, DeskError> {
        let spec = common
            .store
            .read(|connection| store::tasks::spec(connection, name))?;
        let (task, guarantee) = spec.ok_or_else(|| DeskError::NoTask(name.clone()))?;
        let now = common.clock.elapsed();
        let long_poll = common.config.long_poll().as_millis() as Millis;
        let empty = Learning {
            parameters: Parameters::default(),
            state: Parameters::default(),
        };
        let mut desk = Self {
            need: Need::of(&task),
            sums: task.sums(),
            guarantee,
            learning: empty,
            version: 0,
            digest: Digest::ZERO,
            next_sum: 0,
            gathering: Gathering::new(long_poll + GRACE, common.config.waiting(), now),
            seen: BTreeSet::new(),
            running: None,
            records: Vec::new(),
            unsent: Vec::new(),
            calls,
            news,
            rng,
            looked: 0,
            note: None,
            closing: false,
            over: false,
            common,
            task,
        };
        desk.load(now)?;
        desk.take_up_unfinished(now)?;
        if desk.is_idle() {
            desk.check_left()?;
        }
        Ok(desk)
    }

    /// Takes the newest version of the model from the store, and sees whether there is anything left to learn.
    pub(super) fn reload(&mut self, now: Millis) -> Result<(), DeskError> {
        self.load(now)?;
        self.check_left()
    }

    fn load(&mut self, now: Millis) -> Result<(), DeskError> {
        let name = &self.task.name;
        let model = self.common.store.read(|connection| {
            let newest = store::models::newest(connection, name)?.unwrap_or(0);
            store::models::load(connection, name, newest)
        })?;
        let model = model.ok_or_else(|| DeskError::NoModel(name.clone()))?;
        self.learning = model.learning;
        self.version = model.version;
        self.digest = model.digest;
        self.next_sum = model.next_sum;
        self.load_turns()?;
        self.gathering.restart(now);
        let bytes: Arc<[u8]> = model.bytes.into();
        self.news
            .send_modify(|news| news.model = Some((model.digest, bytes)));
        Ok(())
    }

    /// The sums that take turns with the next one; nothing with noise, where everyone is in every sum.
    pub(super) fn turn(&self) -> Option<String> {
        let sum = self.sums.get(self.next_sum)?;
        (!self.has_noise()).then(|| sum.turn())
    }

    /// Who was heard in the pass that runs, as the store has it.
    pub(super) fn load_turns(&mut self) -> Result<(), DeskError> {
        let name = &self.task.name;
        let turns = match self.turn() {
            None => Turns::default(),
            Some(turn) => {
                let heard = |connection: &_| store::turns::heard(connection, name, &turn);
                Turns::of(self.common.store.read(heard)?)
            }
        };
        self.gathering.take_turns(turns);
        Ok(())
    }

    /// Sees what there is left to learn, and ends the task where there is nothing.
    pub(super) fn check_left(&mut self) -> Result<(), DeskError> {
        let (task, next) = (&self.task, self.next_sum);
        match self.common.store.read(|read| Left::of(read, task, next))? {
            Left::Sum(next) => {
                self.next_sum = next;
                Ok(())
            }
            Left::End(state, reason) => self.end(state, &reason),
        }
    }

    /// Goes on with the round that was running when the coordinator ended, if its survivors were settled; whatever else
    /// was left open is closed.
    fn take_up_unfinished(&mut self, now: Millis) -> Result<(), DeskError> {
        let name = &self.task.name;
        let unfinished = self
            .common
            .store
            .read(|connection| store::rounds::unfinished(connection, name))?;
        for round in unfinished {
            match self.take_up(&round, now)? {
                true => {}
                false => self.close_one(&round)?,
            }
        }
        self.gathering.restart(now);
        Ok(())
    }

    /// True when the round could be taken up where its checkpoint and the messages since have it.
    fn take_up(&mut self, unfinished: &Unfinished, now: Millis) -> Result<bool, DeskError> {
        let kept = self
            .common
            .store
            .read(|connection| store::rounds::kept(connection, unfinished.round))?;
        let Some(Kept {
            checkpoint,
            records,
        }) = kept
        else {
            return Ok(false);
        };
        if unfinished.trained != self.version || !self.is_idle() {
            return Ok(false);
        }
        let timing = self.common.config.timing();
        let mut round = match Round::restore(&checkpoint, timing, now) {
            Ok(round) => round,
            Err(error) => {
                tracing::error!(%error, round = unfinished.round.0, "a round could not be taken up");
                return Ok(false);
            }
        };
        let mut events = Vec::new();
        for (client, content) in records {
            // What was accepted before is accepted again; a record that cannot be read is a message that never came.
            if let Ok(message) = Record::read(&content) {
                let input = Input::From { client, message };
                let _accepted = round.handle(now, input, &mut events);
            }
        }
        let plan = serde_json::to_vec(round.plan());
        let plan = plan.map_err(|error| DeskError::Task(error.to_string()))?;
        let signature = self.common.identity.sign(Purpose::Plan, &[&plan]);
        let id = unfinished.round;
        tracing::info!(round = id.0, "a round that a restart interrupted goes on");
        self.running = Some(Running {
            round,
            invitation: Invitation { plan, signature },
            expected: BTreeSet::new(),
            began: now,
            masked: true,
            failed: None,
            asked: None,
            rejected: BTreeMap::new(),
        });
        self.news.send_modify(|news| {
            news.opened += 1;
            news.steps += 1;
            news.round = Some(id);
        });
        self.react(events, now)?;
        Ok(true)
    }

    fn close_one(&mut self, unfinished: &Unfinished) -> Result<(), DeskError> {
        let reason = "the coordinator was restarted";
        let report = RoundReport {
            task: self.task.name.clone(),
            round: unfinished.round,
            release: unfinished.release.clone(),
            trained: unfinished.trained,
            funnel: Funnel {
                invited: unfinished.invited,
                ..Funnel::default()
            },
            upload_bytes: 0,
            milliseconds: 0,
            sum: None,
            aborted: Some(reason.to_owned()),
            spent: self.spent()?,
            guarantee: self.guarantee.clone(),
            trust: self.task.trust(self.common.config.one_party()),
            rejected: BTreeMap::new(),
            measured: None,
            note: None,
        };
        let closing = Closing {
            report: &report,
            published: None,
            now: self.common.clock.unix(),
        };
        self.common
            .store
            .write(|tx| store::rounds::close(tx, unfinished.round, &closing))?;
        tracing::info!(
            round = unfinished.round.0,
            "a round that a restart interrupted was closed"
        );
        Ok(())
    }

    /// Opens a round if there is one to open and enough clients wait.
    pub(super) fn consider(&mut self, now: Millis) -> Result<(), DeskError> {
        let gather = self.common.config.gather().as_millis() as Millis;
        if self.over || self.closing || !self.gathering.is_ready(&self.need, gather, now) {
            return Ok(());
        }
        if self.lacks_witness() {
            return Ok(());
        }
        let Some(revoked) = self.common.revoked.current() else {
            return Ok(());
        };
        self.gathering
            .sweep(now, |client| revoked.clients.contains(client));
        if !self.gathering.is_ready(&self.need, gather, now) {
            return Ok(());
        }
        let (invited, begins) = self
            .gathering
            .draw(&self.need, (gather, now), &mut self.rng);
        let round = self.common.store.write(store::rounds::next_id)?;
        let plan = self.task.plan(
            self.next_sum,
            invited.len(),
            round,
            self.version,
            self.digest,
        );
        let plan = match plan.map_err(|error| error.to_string()) {
            Ok(plan) => plan,
            Err(reason) => {
                return self.end(
                    TaskState::Stopped,
                    &format!("no round can be planned: {reason}"),
                );
            }
        };
        if !self.affords(&plan)? {
            return Ok(());
        }
        let bytes =
            serde_json::to_vec(&plan).map_err(|error| DeskError::Task(error.to_string()))?;
        let signature = self.common.identity.sign(Purpose::Plan, &[&bytes]);
        let (seen, unix) = (std::mem::take(&mut self.seen), self.common.clock.unix());
        let turn = self.turn();
        self.common.store.write(|tx| {
            store::clients::seen(tx, &seen, unix)?;
            store::clients::seen(tx, &invited, unix)?;
            if let Some(turn) = turn.filter(|_| begins) {
                store::turns::begin(tx, &self.task.name, &turn)?;
            }
            store::rounds::open(
                tx,
                &NewRound {
                    plan: &plan,
                    now: unix,
                },
            )?;
            store::tasks::set(tx, &self.task.name, TaskState::Running, None)
        })?;
        self.note = None;
        let timing = self.common.config.timing();
        let expected = invited.clone();
        let opened = Round::open(plan, &bytes, invited, timing, now);
        self.running = Some(Running {
            round: opened,
            invitation: Invitation {
                plan: bytes,
                signature,
            },
            expected,
            began: now,
            masked: false,
            failed: None,
            asked: None,
            rejected: BTreeMap::new(),
        });
        self.news.send_modify(|news| {
            news.opened += 1;
            news.steps += 1;
            news.round = Some(round);
        });
        Ok(())
    }

    /// Asks the accountant before anyone is invited: the plan must fit into what is left of the budget.
    fn affords(&mut self, plan: &RoundPlan) -> Result<bool, DeskError> {
        let release = cost(plan).map_err(|error| DeskError::Task(error.to_string()))?;
        let (Some((epsilon, delta)), Some(release)) = (self.task.privacy.bound(), release) else {
            return Ok(true);
        };
        let name = &self.task.name;
        let mut releases = self
            .common
            .store
            .read(|connection| store::rounds::charges(connection, name))?;
        releases.push(release);
        let would = spent(&releases, delta)
            .map_err(|error| DeskError::Task(error.to_string()))?
            .epsilon;
        if would <= epsilon * (1.0 + 1e-9) {
            return Ok(true);
        }
        let reason = format!(
            "`{}` would spend epsilon {would:.3} in all, and the task has {epsilon}; create a new task to train further",
            plan.release
        );
        self.end(TaskState::BudgetExhausted, &reason)?;
        Ok(false)
    }
}
