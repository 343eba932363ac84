//! The answering side: the coordinator's training service, the authority's enrolment service and the witness.

mod accept;
mod enrolment;
mod peer;
mod refusals;
mod run;
mod training;
mod uploads;
mod witness;

use std::{future::Future, sync::Arc, time::Duration};

use chorus_protocol::{Digest, Request, Response, RoundId};

use crate::{Rejection, Shape};
pub use enrolment::{Certificates, EnrolmentService, enrolment_calls, serve_enrolment};
pub use peer::Peer;
pub use refusals::Calls;
pub use run::{ServeError, ServerTls};
pub use training::{serve_training, training_calls};
pub use witness::{WitnessService, serve_witness, witness_calls};

/// What a coordinator does with what clients say.
///
/// Every call that has begun is carried through even when its caller goes away, except a long poll, which may be
/// dropped at any `await`.
pub trait Service: Send + Sync + 'static {
    /// Whether this peer may speak now. Asked before every call, so that a certificate that was revoked during a
    /// connection is refused in every phase. (One that has expired is refused before this is asked.)
    ///
    /// # Errors
    /// Why it may not.
    fn admit(&self, peer: &Peer) -> Result<(), Rejection>;

    /// Carries out a request of any kind but [`Request::FetchModel`]. An [`Request::Upload`] has arrived whole, and its
    /// digest was checked. A long poll ([`Request::Await`]) answers within [`crate::limits::LONG_POLL`].
    ///
    /// # Errors
    /// Why it was not carried out.
    fn handle(
        &self,
        peer: &Peer,
        request: Request,
    ) -> impl Future<Output = Result<Response, Rejection>> + Send;

    /// The whole model file with this SHA-256. The wire sends it in chunks from wherever the client wants it.
    ///
    /// # Errors
    /// When there is no such file, or not for this peer.
    fn model(
        &self,
        peer: &Peer,
        digest: Digest,
    ) -> impl Future<Output = Result<Arc<[u8]>, Rejection>> + Send;

    /// What this peer's upload in `round` must be. Asked before a byte is kept, and again from time to
    /// time for uploads that do not get on: those are dropped when this fails.
    ///
    /// # Errors
    /// When the round is over, not at that phase, or this peer is not in it.
    fn upload_shape(
        &self,
        peer: &Peer,
        round: RoundId,
    ) -> impl Future<Output = Result<Shape, Rejection>> + Send;

    /// Told once of every call that was refused, by this service or before it was asked, with the label that the
    /// refusal carries: to count them by their reason.
    fn refused(&self, label: &str) {
        let _ = label;
    }
}

/// How much a server takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, those that are still shaking hands included. More wait.
    pub connections: usize,
    /// Connections of one key at once. More are closed.
    pub connections_per_key: usize,
    /// Bytes of uploads that have begun and not ended. More wait: beyond
    /// [`STREAM_WINDOW_BYTES`](crate::limits::STREAM_WINDOW_BYTES) of each, nothing of them is read until there is room.
    /// No more wait than this many bytes hold windows, 16 at least, so all uploads on their way together take up at most
    /// twice this; whoever comes then is told to come again. One upload that is longer than this passes alone.
    pub upload_bytes: u64,
    /// Time for calls to end after the signal to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_key: 8,
            upload_bytes: 256 << 20,
            grace: Duration::from_secs(5),
        }
    }
}
