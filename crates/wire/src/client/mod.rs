//! The calling side: a client's connection to its coordinator, a coordinator's to the witness, and anyone's to the
//! enrolment authority.

mod dial;
mod enrolment;
mod error;
mod gate;
mod line;
mod model;
mod upload;
mod witness;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use chorus_protocol::{Request, Response};
use tonic::{Status, transport::Channel};

use crate::{
    Call, Clock,
    certificate::{Authority, Role},
    limits::{CALL_DEADLINE, MAX_MESSAGE_BYTES},
    proto::training_client::TrainingClient,
    request::upload_start,
    tls::{self, Credentials, TlsError},
};
use dial::Dialler;
pub use dial::{Target, TargetError, Traffic};
pub use enrolment::{Issued, enrol, revocations};
pub use error::SendError;
pub use gate::{Gate, Lease, Open, Reset};
use line::Line;
pub use witness::WitnessConnection;

/// A client's connection to its coordinator: mutual TLS 1.3, made with the first call and again whenever it broke.
///
/// # Privacy
/// The coordinator learns the client's certificate and its network address.
pub struct Connection {
    line: Line,
    deadline: Duration,
}

impl Connection {
    /// A connection that does not stand yet. `authority` is the only root of trust; every byte passes `gate`.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub fn new(
        target: Target,
        authority: &Authority,
        credentials: &Credentials,
        clock: &Clock,
        gate: Arc<dyn Gate>,
    ) -> Result<Self, TlsError> {
        let config = tls::client(authority, Some(credentials), clock)?;
        let authority = Arc::new(authority.clone());
        let (role, clock) = (Role::Coordinator, clock.clone());
        let dialler = Dialler::new(target, config, authority, role, clock, gate);
        Ok(Self {
            line: Line::new(dialler),
            deadline: CALL_DEADLINE,
        })
    }

    /// The same with another deadline for each call. It must be longer than a long poll.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sends a request and waits for the answer. Needs a tokio runtime.
    ///
    /// A model comes as one [`Response::Model`] of all bytes that came before the stream ended or broke. An upload
    /// that breaks is continued where it stopped, some times.
    ///
    /// # Errors
    /// By what to do about it: see [`SendError`].
    pub async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let deadline = self.deadline;
        if let Request::Upload { round, update } = request {
            // Sent from where it is: it can be long.
            return self
                .upload(&upload_start(*round, update), update.masked.bytes())
                .await;
        }
        let reply = match Call::from(request) {
            Call::FetchModel(message) => return self.fetch_model(message).await,
            Call::Upload(start, bytes) => return self.upload(&start, &bytes).await,
            Call::CheckIn(message) => {
                self.call(deadline, async |mut client| client.check_in(message).await)
                    .await
            }
            Call::FetchLog(message) => {
                self.call(deadline, async |mut client| client.fetch_log(message).await)
                    .await
            }
            Call::AdvertiseKeys(message) => {
                self.call(deadline, async |mut client| {
                    client.advertise_keys(message).await
                })
                .await
            }
            Call::ShareKeys(message) => {
                self.call(deadline, async |mut client| {
                    client.share_keys(message).await
                })
                .await
            }
            Call::ConfirmShares(message) => {
                self.call(deadline, async |mut client| {
                    client.confirm_shares(message).await
                })
                .await
            }
            Call::Endorse(message) => {
                self.call(deadline, async |mut client| client.endorse(message).await)
                    .await
            }
            Call::Unmask(message) => {
                self.call(deadline, async |mut client| client.unmask(message).await)
                    .await
            }
            Call::Await(message) => {
                self.call(deadline, async |mut client| client.r#await(message).await)
                    .await
            }
        };
        Ok(reply?.try_into()?)
    }

    /// Bytes that this connection, and the ones before it, cost.
    pub fn traffic(&self) -> Traffic {
        self.line.dialler().traffic()
    }

    /// The enrolled key that the coordinator proved to hold when it was last connected; nothing before that.
    pub fn coordinator(&self) -> Option<[u8; 32]> {
        self.line.dialler().peer()
    }

    /// Lets go of the connection. The next call makes a new one.
    pub fn disconnect(&self) {
        self.line.disconnect();
    }

    async fn call<T, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(TrainingClient<Channel>) -> F,
    ) -> Result<T, SendError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let client = |channel| {
            TrainingClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
        };
        self.line
            .call(deadline, |channel| call(client(channel)))
            .await
    }

    fn fault(&self, error: SendError) -> SendError {
        self.line.fault(error)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection(..)")
    }
}
