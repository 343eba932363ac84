//! The desk's questions to the witness: asked away from the desk's thread, answered into its inbox.

use std::pin::Pin;
use std::sync::Arc;

use chorus_protocol::{Consistency, Input, Millis, Question, Testimony};
use chorus_wire::client::SendError;

use super::{Call, Desk};
use crate::error::DeskError;

/// The witness's answer, on its way.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Result<Testimony, SendError>> + Send>>;

/// How the witness is asked.
pub(crate) type Witness = Arc<dyn Fn(Question) -> Asking + Send + Sync>;

/// A question that was asked, and when it may be asked again because no answer came.
pub(super) struct Asked {
    question: Question,
    again: Option<Millis>,
}

/// Between a failed question and the next try.
const AGAIN: Millis = 250;

impl Desk {
    /// True when the task cannot run because it needs a witness and there is none.
    pub(super) fn lacks_witness(&self) -> bool {
        self.task.consistency == Consistency::Witness && self.common.witness.is_none()
    }

    /// Asks what the round wants to know of the witness, once; after a failure again.
    pub(super) fn ask_witness(&mut self, now: Millis) {
        let (Some(running), Some(witness)) = (&mut self.running, &self.common.witness) else {
            return;
        };
        let Some(question) = running.round.question() else {
            return;
        };
        let is_pending = running.asked.as_ref().is_some_and(|asked| {
            asked.question == question && asked.again.is_none_or(|again| now < again)
        });
        if is_pending {
            return;
        }
        running.asked = Some(Asked {
            question,
            again: None,
        });
        let (asking, calls) = (witness(question), self.calls.clone());
        tokio::runtime::Handle::current().spawn(async move {
            let answer = asking.await;
            if let Some(calls) = calls.upgrade() {
                let _gone = calls.send(Call::Witness { question, answer }).await;
            }
        });
    }

    /// Takes the witness's answer. One to an older question is of no use any more.
    pub(super) fn testify(
        &mut self,
        question: Question,
        answer: Result<Testimony, SendError>,
        now: Millis,
    ) -> Result<(), DeskError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        if running.round.question() != Some(question) {
            return Ok(());
        }
        match answer {
            Ok(testimony) => {
                let mut events = Vec::new();
                let input = Input::Witness(testimony);
                if let Err(reject) = running.round.handle(now, input, &mut events) {
                    tracing::warn!(%reject, "the witness answered something else");
                }
                self.react(events, now)
            }
            // It has answered another question of this round, or its answer proves nothing: asking again changes neither.
            Err(error @ (SendError::Refused { .. } | SendError::Protocol(_))) => self.abort(
                &format!(
                    "the witness does not vouch for this round: {error}; nothing was revealed"
                ),
                now,
            ),
            Err(error) => {
                tracing::warn!(%error, "the witness did not answer; it is asked again");
                running.asked = Some(Asked {
                    question,
                    again: Some(now + AGAIN),
                });
                Ok(())
            }
        }
    }
}
