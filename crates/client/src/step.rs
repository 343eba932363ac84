//! One step of a round: ask what is next, do it, keep what came of it.

use std::sync::Arc;
use std::time::Duration;

use chorus_model::{Delta, Engine, GoOn, Parameters, TrainError};
use chorus_protocol::{
    Invitation, LogView, Next, Outcome, Participation, Refusal, Request, Response, RoundPlan,
    TaskName, contribute, encode, noise_share,
};
use chorus_wire::certificate::Authority;
use rand_core::{CryptoRng, Rng};

use crate::consent::Leave;
use crate::model::catalogue;
use crate::store::StoredModel;
use crate::{Client, Error, Pass, Transport};

/// What the coordinator says to a client that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckIn {
    /// No round yet: check in again after this time.
    Wait(Duration),
    /// A round is to be joined.
    Invited(Invitation),
    /// The task is over.
    Finished,
}

/// What one step did.
#[derive(Debug)]
pub enum Step {
    /// The coordinator answered, and the round went on.
    Sent,
    /// The coordinator has no answer yet: the next step asks again.
    Pending,
    /// The client learned, and made its keys of the round.
    Learned {
        /// True when the contribution was larger than the clip norm and was cut down to it.
        clipped: bool,
    },
    /// The round is over for this client; further steps say the same.
    Over(Ending),
}

/// How a round ended for this client.
#[derive(Debug)]
pub enum Ending {
    /// As the protocol has it: completed, aborted, or gone on without this client.
    Outcome(Outcome),
    /// This client does not go on, and says nothing about it on the wire.
    Refused(Refusal),
    /// The coordinator did not take what this client sent.
    Rejected {
        /// Stable, for machines.
        label: String,
        /// For people.
        message: String,
    },
    /// The model that came and the plan do not fit together, or not to the engine.
    NotLearned {
        /// Why.
        reason: String,
    },
}

impl Client {
    /// Says that this client is there for `task`.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave to contribute. When the coordinator cannot be reached, is another one than before, or does not admit this client.
    pub async fn check_in(
        &mut self,
        transport: &mut impl Transport,
        task: &TaskName,
    ) -> Result<CheckIn, Error> {
        match self
            .ask(
                transport,
                Leave::Contribute,
                &Request::CheckIn { task: task.clone() },
            )
            .await?
        {
            Response::Wait { milliseconds } => {
                Ok(CheckIn::Wait(Duration::from_millis(milliseconds)))
            }
            Response::Invited(invitation) => Ok(CheckIn::Invited(invitation)),
            Response::Finished => Ok(CheckIn::Finished),
            _ => Err(Error::answer()),
        }
    }

    /// Does exactly one step of a round: sends what is to be sent and takes the answer, or learns.
    ///
    /// What the step changed is in the store before this returns, and nothing more is sent before that. The
    /// app may end between any two steps, also while one of them waits: [`resume`](Self::resume) finds the
    /// round as the last finished step left it, and repeats at most what the coordinator has heard already.
    ///
    /// In the step that learns, `rng` gives the noise of the contribution before anything is learned, its rounding after
    /// that, and then this round's keys. Learning runs on the thread that polls this, and ends soon after a withdrawal: where the
    /// engine's steps are long, between two of them.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave for this round; once it was withdrawn, the round is gone. When the
    /// coordinator cannot be reached: the participation is unchanged, and the same step can be tried
    /// again. When the store fails: the participation is over, and `resume` gives back the last state that
    /// was written. A refusal of either side is no error, but the end of the round: [`Step::Over`].
    ///
    /// # Privacy
    /// Sends what [`Participation::poll`] shows, nothing else.
    pub async fn step(
        &mut self,
        transport: &mut impl Transport,
        participation: &mut Participation,
        engine: &dyn Engine,
        rng: &mut (impl CryptoRng + Send),
        now: i64,
    ) -> Result<Step, Error> {
        let leave = Leave::of(participation.plan());
        let request = match participation.poll() {
            Next::Over(outcome) => return Ok(Step::Over(Ending::Outcome(outcome.clone()))),
            Next::Learn { .. } => {
                let pass = self.pass(leave)?;
                return self.learn(participation, engine, pass, rng);
            }
            Next::Send(request) => request,
        };
        let authority = self.authority()?;
        match self.ask(transport, leave, &request).await {
            Ok(response) => self.take(participation, response, &authority, rng, now),
            Err(Error::Rejected { label, message }) => {
                self.end(participation, Ending::Rejected { label, message })
            }
            Err(error) => Err(error),
        }
    }

    fn take(
        &mut self,
        participation: &mut Participation,
        response: Response,
        authority: &Authority,
        rng: &mut impl CryptoRng,
        now: i64,
    ) -> Result<Step, Error> {
        if response == Response::Pending {
            return Ok(Step::Pending);
        }
        let (before, stored) = (participation.log().clone(), self.store.log()?);
        let identity = self.identity()?;
        if let Err(refusal) = participation.handle(response, &identity, &authority.at(now), rng) {
            return self.end(participation, Ending::Refused(refusal));
        }
        let after = participation.log();
        let followed = (*after != before).then_some(&before);
        // The store followed the log elsewhere meanwhile: the two views cannot be compared any more, and a
        // fork could hide between them.
        if followed.is_some() && stored != before {
            return self.end(participation, Ending::Outcome(Outcome::LeftOut));
        }
        match participation.poll() {
            Next::Over(outcome) => {
                let ending = Ending::Outcome(outcome.clone());
                self.end(participation, ending)
            }
            Next::Send(_) | Next::Learn { .. } => {
                self.save_or_stop(participation, followed, None)?;
                Ok(Step::Sent)
            }
        }
    }

    fn learn(
        &mut self,
        participation: &mut Participation,
        engine: &dyn Engine,
        pass: Pass,
        rng: &mut impl CryptoRng,
    ) -> Result<Step, Error> {
        let Next::Learn { plan, model } = participation.poll() else {
            return Ok(Step::Pending);
        };
        let identity = self.identity()?;
        // First, so that the time that noise takes to draw stays apart from what learning and uploading take.
        let share = match noise_share(plan, rng) {
            Ok(share) => share,
            Err(error) => return self.end(participation, not_learned(&error)),
        };
        let door = Arc::clone(&self.door);
        let go_on = Arc::new(move || door.lasts(&pass));
        let delta = match self.contribution(engine, plan, model, go_on, rng)? {
            Ok(delta) => delta,
            // Something was withdrawn; where it was something else, the step is made again.
            Err(TrainError::Stopped) => {
                self.pass(Leave::of(plan))?;
                return Ok(Step::Pending);
            }
            // It depends on the person's own data: a client that went silent now would tell. It adds nothing
            // but its noise instead (as chorus-privacy does with what is not finite).
            Err(TrainError::Numeric(_)) => {
                tracing::warn!("learning failed; the contribution of this round is empty");
                Delta::new(vec![0.0; plan.encoding.length()])
            }
            Err(error) => return self.end(participation, not_learned(&error)),
        };
        let encoded = match encode(delta, plan, share, rng) {
            Ok(encoded) => encoded,
            Err(error) => return self.end(participation, not_learned(&error)),
        };
        let model = StoredModel {
            task: plan.task.clone(),
            version: plan.version,
            bytes: model.to_vec(),
        };
        if let Err(refusal) = participation.learned(encoded.update, &identity, rng) {
            return self.end(participation, Ending::Refused(refusal));
        }
        self.save_or_stop(participation, None, Some(&model))?;
        Ok(Step::Learned {
            clipped: encoded.clipped,
        })
    }

    /// What this client's history adds to the sum of the round.
    pub(crate) fn contribution(
        &self,
        engine: &dyn Engine,
        plan: &RoundPlan,
        model: &[u8],
        go_on: GoOn,
        rng: &mut dyn Rng,
    ) -> Result<Result<Delta, TrainError>, Error> {
        let opened = || {
            let parameters = Parameters::from_bytes(model)?;
            Ok((catalogue(&parameters)?, engine.open(&parameters)?))
        };
        let (catalogue, mut trainer) = match opened() {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        trainer.heed(go_on);
        let history = self.history(catalogue)?;
        Ok(contribute(trainer.as_ref(), plan, &history, rng))
    }

    /// Ends the client's part, and erases what it held of the round.
    pub(crate) fn end(
        &mut self,
        participation: &mut Participation,
        ending: Ending,
    ) -> Result<Step, Error> {
        if !matches!(participation.poll(), Next::Over(_)) {
            participation.left_out();
        }
        self.save(participation, None, None)?;
        Ok(Step::Over(ending))
    }

    /// A state that could not be kept must not be acted on.
    fn save_or_stop(
        &mut self,
        participation: &mut Participation,
        followed: Option<&LogView>,
        model: Option<&StoredModel>,
    ) -> Result<(), Error> {
        let saved = self.save(participation, followed, model);
        if saved.is_err() {
            participation.left_out();
            // A withdrawal takes the round away.
            self.pass(Leave::of(participation.plan()))?;
        }
        saved
    }
}

fn not_learned(error: &dyn std::fmt::Display) -> Ending {
    Ending::NotLearned {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chorus_model::{Direct, ItemId, Step};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::{Client, RoundPlan};
    use crate::testing::{NOW, federation, model};

    /// The newest item is in nothing that the client adds to an evaluated task but its rank, until there is a newer one.
    #[test]
    fn an_evaluated_task_gets_nothing_of_the_newest_item_but_its_rank() {
        let (coordinator, mut members) = federation(12, false);
        let member = &mut members[0];
        let mut rounds = coordinator.plan();
        rounds.step = Step::History;
        let bytes = model(false, 1).to_bytes().unwrap();
        let added = |client: &Client, plan: &RoundPlan| {
            let mut rng = ChaCha20Rng::seed_from_u64(1);
            let delta = client.contribution(&Direct, plan, &bytes, Arc::new(|| true), &mut rng);
            delta.unwrap().unwrap().into_values()
        };
        let touch = |client: &mut Client, item: u32, at: i64| {
            let item = ItemId(item);
            client.record(crate::Event::click(item, at), NOW).unwrap();
        };
        let before = added(&member.client, &rounds);
        touch(&mut member.client, 20, NOW + 1);
        let whole = added(&member.client, &rounds);
        assert_ne!(whole, before);
        // Held out it leaves no trace, and neither does another one in its place.
        rounds.hold_out = true;
        assert_eq!(added(&member.client, &rounds), before);
        touch(&mut member.client, 21, NOW + 2);
        assert_eq!(added(&member.client, &rounds), whole);
        rounds.step = Step::Ranks;
        let ranks = added(&member.client, &rounds);
        assert_eq!(ranks.iter().filter(|value| **value == 0.5).count(), 4);
        assert_eq!(ranks.len(), 60);
    }
}
