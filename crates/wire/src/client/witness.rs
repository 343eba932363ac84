use std::{fmt, sync::Arc, time::Duration};

use chorus_protocol::{PROTOCOL_VERSION, Question, Testimony};
use tonic::transport::Channel;

use super::{Open, SendError, Target, dial::Dialler, line::Line};
use crate::{
    Clock,
    certificate::{Authority, Role},
    limits::{MAX_WITNESS_REPLY_BYTES, MAX_WITNESS_REQUEST_BYTES, WITNESS_DEADLINE},
    proto::{self, witness_client::WitnessClient},
    reply::{beacon, seal},
    tls::{self, Credentials, TlsError},
};

/// A coordinator's connection to its witness: mutual TLS 1.3, made with the first question and again whenever it broke.
///
/// # Privacy
/// The witness learns the coordinator's certificate and its network address, the number of a round, and a digest.
pub struct WitnessConnection {
    line: Line,
    authority: Arc<Authority>,
    coordinator: [u8; 32],
    clock: Clock,
    deadline: Duration,
}

impl WitnessConnection {
    /// A connection that does not stand yet. `authority` is the only root of trust; `credentials` are the
    /// coordinator's.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub fn new(
        target: Target,
        authority: &Authority,
        credentials: &Credentials,
        clock: &Clock,
    ) -> Result<Self, TlsError> {
        let config = tls::client(authority, Some(credentials), clock)?;
        let authority = Arc::new(authority.clone());
        let (root, time) = (authority.clone(), clock.clone());
        let dialler = Dialler::new(target, config, root, Role::Witness, time, Arc::new(Open));
        Ok(Self {
            line: Line::new(dialler),
            authority,
            coordinator: credentials.public(),
            clock: clock.clone(),
            deadline: WITNESS_DEADLINE,
        })
    }

    /// The same with another deadline for each question.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Asks, and checks the answer: signed for this coordinator, this round and this digest by the holder of a valid
    /// certificate of the authority for a witness. Needs a tokio runtime.
    ///
    /// A witness answers the same question the same again, so one whose answer was lost is simply asked again.
    ///
    /// # Errors
    /// By what to do about it: [`SendError::Unreachable`] is worth asking again until the phase of the round is over;
    /// [`SendError::Refused`] and [`SendError::Protocol`] are final for this round.
    pub async fn ask(&self, question: &Question) -> Result<Testimony, SendError> {
        match *question {
            Question::Draw { round, commitment } => {
                let message = proto::DrawRequest {
                    protocol_version: PROTOCOL_VERSION,
                    round: round.0,
                    commitment: commitment.0.to_vec(),
                };
                let asking = async |channel| client(channel).draw(message).await;
                let beacon = beacon(self.line.call(self.deadline, asking).await?)?;
                let key = self.key(&beacon.certificate)?;
                beacon
                    .verify(&key, &self.coordinator, round, &commitment)
                    .map_err(wrong)?;
                Ok(Testimony::Beacon(beacon))
            }
            Question::Seal { round, statement } => {
                let message = proto::SignRequest {
                    protocol_version: PROTOCOL_VERSION,
                    round: round.0,
                    statement: statement.0.to_vec(),
                };
                let asking = async |channel| client(channel).sign(message).await;
                let seal = seal(self.line.call(self.deadline, asking).await?)?;
                let key = self.key(&seal.certificate)?;
                seal.verify(&key, &self.coordinator, round, &statement)
                    .map_err(wrong)?;
                Ok(Testimony::Seal(seal))
            }
        }
    }

    /// The enrolled key that the witness proved to hold when it was last connected; nothing before that.
    pub fn witness(&self) -> Option<[u8; 32]> {
        self.line.dialler().peer()
    }

    /// The key that an answer is signed with: clients check its certificate just so.
    fn key(&self, certificate: &[u8]) -> Result<[u8; 32], SendError> {
        self.authority
            .verify_role(certificate, Role::Witness, self.clock.now())
            .map(|enrolled| enrolled.key)
            .map_err(wrong)
    }
}

fn client(channel: Channel) -> WitnessClient<Channel> {
    WitnessClient::new(channel)
        .max_decoding_message_size(MAX_WITNESS_REPLY_BYTES)
        .max_encoding_message_size(MAX_WITNESS_REQUEST_BYTES)
}

fn wrong(error: impl fmt::Display) -> SendError {
    SendError::Protocol(format!("the witness's answer: {error}"))
}

impl fmt::Debug for WitnessConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WitnessConnection(..)")
    }
}
