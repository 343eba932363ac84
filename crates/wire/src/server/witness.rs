use std::{future::Future, sync::Arc};

use chorus_protocol::{Beacon, Digest, RoundId, Seal};
use tokio::net::TcpListener;
use tonic::{Request as Incoming, Response as Outgoing, Status};

use super::{Calls, Peer, ServeError, ServerTls, peer::gate, refusals::Door, run::run};
use crate::{
    Clock, Kind, Rejection, WireError,
    certificate::Role,
    error::{fixed, version},
    limits::MAX_WITNESS_REQUEST_BYTES,
    proto::{
        self,
        witness_server::{Witness as Served, WitnessServer},
    },
    reply::{beacon_message, seal_message},
};

/// What a witness does for coordinators. `coordinator` is the enrolled key that the caller proved to hold.
///
/// A call that has begun is carried through even when its caller goes away.
///
/// # Privacy
/// A witness is given the number of a round and a digest, and nothing of who takes part.
pub trait WitnessService: Send + Sync + 'static {
    /// Randomness for a round whose keys `commitment` fixes. Asked again the same, it answers the same.
    ///
    /// # Errors
    /// When it has drawn for another commitment of this round.
    fn draw(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: Digest,
    ) -> impl Future<Output = Result<Beacon, Rejection>> + Send;

    /// A signature under the one statement of a round. Asked again the same, it answers the same.
    ///
    /// # Errors
    /// When it has signed another statement of this round.
    fn sign(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: Digest,
    ) -> impl Future<Output = Result<Seal, Rejection>> + Send;
}

/// Serves the witness on `listener` until `shutdown`.
///
/// A connection without a certificate of the authority for a coordinator does not get past TLS; whatever else goes
/// wrong with one connection ends that connection only.
///
/// # Errors
/// When `tls` does not ask callers for certificates, or the transport fails.
pub async fn serve_witness<S: WitnessService>(
    listener: TcpListener,
    tls: ServerTls,
    service: Arc<S>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let ServerTls {
        config,
        authority,
        clock,
        limits,
    } = tls;
    let authority = authority.ok_or(ServeError::Open)?;
    let gate = gate(
        authority,
        Role::Coordinator,
        clock.clone(),
        limits.connections_per_key,
    );
    let calls = witness_calls(service, &clock);
    run(listener, config, limits, gate, calls, shutdown).await
}

/// The calls of [`serve_witness`], for whoever brings a transport of their own. Needs a tokio runtime.
pub fn witness_calls<S: WitnessService>(service: Arc<S>, clock: &Clock) -> impl Calls + use<S> {
    let clock = clock.clone();
    Door::silent(
        WitnessServer::new(Witness { service, clock })
            .max_decoding_message_size(MAX_WITNESS_REQUEST_BYTES),
    )
}

struct Witness<S> {
    service: Arc<S>,
    clock: Clock,
}

impl<S: WitnessService> Witness<S> {
    /// The caller's key, if its certificate is still good.
    fn admit<T>(&self, request: &Incoming<T>) -> Result<[u8; 32], Rejection> {
        let peer = request.extensions().get::<Arc<Peer>>();
        let peer = peer.ok_or_else(Rejection::broken)?;
        if self.clock.now() <= peer.not_after {
            return Ok(peer.key);
        }
        let message = "the certificate expired during this connection; enrol again";
        Err(Rejection::new(
            Kind::Forbidden,
            "certificate-expired",
            message,
        ))
    }
}

/// In a task of its own: when the caller goes away, what was drawn or signed for it is remembered all the same.
async fn carry_through<T: Send + 'static>(
    call: impl Future<Output = Result<T, Rejection>> + Send + 'static,
) -> Result<T, Rejection> {
    tokio::spawn(call)
        .await
        .unwrap_or_else(|_| Err(Rejection::broken()))
}

fn unsendable(error: WireError) -> Rejection {
    tracing::error!(%error, "the witness gave an answer that cannot be sent");
    Rejection::broken()
}

#[tonic::async_trait]
impl<S: WitnessService> Served for Witness<S> {
    async fn draw(
        &self,
        request: Incoming<proto::DrawRequest>,
    ) -> Result<Outgoing<proto::Beacon>, Status> {
        let coordinator = self.admit(&request)?;
        let (round, commitment) = read_draw(&request.into_inner()).map_err(Rejection::from)?;
        let service = self.service.clone();
        let drawing = async move { service.draw(&coordinator, round, commitment).await };
        let beacon = carry_through(drawing).await?;
        Ok(Outgoing::new(beacon_message(beacon).map_err(unsendable)?))
    }

    async fn sign(
        &self,
        request: Incoming<proto::SignRequest>,
    ) -> Result<Outgoing<proto::Seal>, Status> {
        let coordinator = self.admit(&request)?;
        let (round, statement) = read_sign(&request.into_inner()).map_err(Rejection::from)?;
        let service = self.service.clone();
        let signing = async move { service.sign(&coordinator, round, statement).await };
        let seal = carry_through(signing).await?;
        Ok(Outgoing::new(seal_message(seal).map_err(unsendable)?))
    }
}

fn read_draw(message: &proto::DrawRequest) -> Result<(RoundId, Digest), WireError> {
    version("DrawRequest.protocol_version", message.protocol_version)?;
    let commitment = fixed("DrawRequest.commitment", &message.commitment)?;
    Ok((RoundId(message.round), Digest(commitment)))
}

fn read_sign(message: &proto::SignRequest) -> Result<(RoundId, Digest), WireError> {
    version("SignRequest.protocol_version", message.protocol_version)?;
    let statement = fixed("SignRequest.statement", &message.statement)?;
    Ok((RoundId(message.round), Digest(statement)))
}
