//! The ordinary loop: be there, take part, wait, fetch the model at the end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chorus_model::Engine;
use chorus_protocol::{Outcome, Participation, RoundId, TaskName};
use chorus_wire::Clock;
use rand_core::CryptoRng;

use crate::consent::Leave;
use crate::contribution::Session;
use crate::{CheckIn, Client, Ending, Error, Purpose, Step, StoreError, Transport};

/// What [`Client::run`] works with.
pub struct Loop<'a> {
    /// The task to take part in.
    pub task: &'a TaskName,
    /// What learns and ranks.
    pub engine: &'a dyn Engine,
    /// The time.
    pub clock: &'a Clock,
    /// Hears what happens, for showing it to a person.
    pub news: &'a mut (dyn FnMut(News<'_>) + Send),
}

/// What happened in [`Client::run`].
///
/// # Privacy
/// For the person in front of the client; says when it took part and why not.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A round was joined, or taken up again.
    Joined(RoundId),
    /// A round is over for this client.
    Over(RoundId, &'a Ending),
    /// Something did not work, and is tried again later.
    Later(&'a Error),
}

/// Why [`Client::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The task is finished, and its last model is here.
    Finished,
    /// The app wished so.
    Shutdown,
    /// The person took back their leave to contribute.
    Withdrawn,
    /// The budget of the settings is used up: another call goes on where this one ended.
    Spent,
}

/// How to go on.
enum Then {
    At(Duration),
    AfterFailure,
    End,
}

impl Client {
    /// Takes part in every round of a task until it is finished or `shutdown` is ready; a round that was under
    /// way when the app ended is taken up first. When the task is finished, the newest model is fetched.
    ///
    /// A coordinator that cannot be reached, that refuses, or whose plan this client refuses never ends the
    /// loop: it waits longer each time, spread by `rng`, and looks again. `shutdown` can come at any moment;
    /// nothing is lost by it.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave to contribute, before anything happens. Those that waiting does not
    /// cure: the store, the enrolment, another coordinator, a forked model log.
    pub async fn run(
        &mut self,
        transport: &mut impl Transport,
        mut work: Loop<'_>,
        rng: &mut (impl CryptoRng + Send),
        shutdown: impl Future<Output = ()>,
    ) -> Result<End, Error> {
        let shutdown = pin!(shutdown);
        // Not this session's.
        self.note_rest();
        let session = Session::begin(self.settings.budget, self.door.sent());
        work.engine.set_threads(self.settings.budget.max_threads);
        let door = Arc::clone(&self.door);
        let end = tokio::select! {
            biased;
            () = shutdown => Ok(End::Shutdown),
            () = tokio::time::sleep(session.left()) => Ok(End::Spent),
            never = door.watch() => match never {},
            end = self.take_part(transport, &mut work, rng, &session) => end,
        };
        // What connections said of their own accord.
        self.note_rest();
        let written = self.write_activity();
        let end = end?;
        written.map(|()| end)
    }

    async fn take_part(
        &mut self,
        transport: &mut impl Transport,
        work: &mut Loop<'_>,
        rng: &mut (impl CryptoRng + Send),
        session: &Session,
    ) -> Result<End, Error> {
        self.pass(Leave::Contribute)?;
        let mut failures = 0;
        let mut current = self.resume()?;
        if let Some(participation) = &current {
            (work.news)(News::Joined(participation.plan().round));
        }
        loop {
            if session.is_over(self.door.sent()) {
                return Ok(End::Spent);
            }
            self.now = work.clock.now();
            let then = match &mut current {
                Some(participation) => {
                    let then = self.go_on(transport, participation, work, rng).await;
                    if matches!(participation.poll(), chorus_protocol::Next::Over(_)) {
                        current = None;
                    }
                    then
                }
                None => self.look(transport, work, &mut current).await,
            };
            let wait = match then {
                Ok(Then::End) => return Ok(End::Finished),
                Ok(Then::At(wait)) => {
                    failures = 0;
                    wait
                }
                Ok(Then::AfterFailure) => {
                    failures += 1;
                    self.settings.pace.after(failures, rng.next_u32())
                }
                Err(Error::NotGranted {
                    purpose: Purpose::ContributeTraining,
                }) => return Ok(End::Withdrawn),
                Err(error) if passes(&error) || self.was_dropped(&error) => {
                    tracing::info!("the coordinator could not be worked with; trying again later");
                    (work.news)(News::Later(&error));
                    failures += 1;
                    self.settings.pace.after(failures, rng.next_u32())
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks for a round and joins it.
    async fn look(
        &mut self,
        transport: &mut impl Transport,
        work: &mut Loop<'_>,
        current: &mut Option<Participation>,
    ) -> Result<Then, Error> {
        let pace = &self.settings.pace;
        let (between, longest) = (
            Duration::from_millis(pace.between),
            Duration::from_millis(pace.longest),
        );
        match self.check_in(transport, work.task).await? {
            CheckIn::Wait(wait) => Ok(Then::At(wait.min(longest).max(between))),
            CheckIn::Finished => match self.refresh(transport, work.task).await {
                Ok(_) | Err(Error::NoModel { .. }) => Ok(Then::End),
                Err(error) => Err(error),
            },
            CheckIn::Invited(invitation) => {
                let participation = self.join(work.task, invitation, work.clock.now())?;
                (work.news)(News::Joined(participation.plan().round));
                *current = Some(participation);
                Ok(Then::At(Duration::ZERO))
            }
        }
    }

    /// One step of the round that is under way.
    async fn go_on(
        &mut self,
        transport: &mut impl Transport,
        participation: &mut Participation,
        work: &mut Loop<'_>,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Then, Error> {
        let now = work.clock.now();
        let step = match self
            .step(transport, participation, work.engine, rng, now)
            .await
        {
            // The person took back their leave for this kind of round alone.
            Err(Error::NotGranted { purpose }) if purpose != Purpose::ContributeTraining => {
                self.end(participation, Ending::Outcome(Outcome::LeftOut))?
            }
            step => step?,
        };
        Ok(match step {
            Step::Sent | Step::Learned { .. } => Then::At(Duration::ZERO),
            Step::Pending => Then::At(Duration::from_millis(self.settings.pace.between)),
            Step::Over(ending) => {
                (work.news)(News::Over(participation.plan().round, &ending));
                match ending {
                    Ending::Outcome(_) => Then::At(Duration::ZERO),
                    Ending::Refused(_) => {
                        tracing::warn!("a round was refused by this client");
                        Then::AfterFailure
                    }
                    Ending::Rejected { .. } => {
                        tracing::warn!("a round was ended by the coordinator's refusal");
                        Then::AfterFailure
                    }
                    Ending::NotLearned { .. } => {
                        tracing::warn!("a round's model could not be learned from");
                        Then::AfterFailure
                    }
                }
            }
        })
    }

    /// True where a round is gone because the person took back their leave, and gave it again meanwhile.
    fn was_dropped(&self, error: &Error) -> bool {
        matches!(error, Error::Store(StoreError::Elsewhere { .. }))
            && matches!(self.store.saved(), Ok((_, None)))
    }
}

/// True for what another round or a little time can cure.
fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::Rejected { .. }
            | Error::Refused(_)
            | Error::Answer { .. }
            | Error::Model { .. }
            | Error::Save(_)
            | Error::NotGranted { .. }
    )
}
