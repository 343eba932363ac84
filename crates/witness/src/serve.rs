use std::{future::Future, sync::Arc};

use chorus_protocol::{Beacon, Digest, RoundId, Seal};
use chorus_wire::{
    Clock, Kind, Rejection,
    server::{Limits, ServerTls, WitnessService, serve_witness},
};
use rand_core::TryCryptoRng;
use tokio::{net::TcpListener, task::spawn_blocking};

use crate::{Directory, Refusal, Witness, WitnessError};

/// A witness serves a few coordinators, each over a connection or two.
const CONNECTIONS: usize = 256;

/// Serves the witness in `directory` on `listener` until `shutdown`, over mutual TLS 1.3: only coordinators of its
/// authority are let in.
///
/// # Errors
/// When the witness is not enrolled or its certificate is not valid now, another process serves the directory, its
/// memory is gone, of another key, or cannot be used, or the transport fails.
///
/// # Privacy
/// The witness learns the key and the address of each coordinator, the numbers of its rounds, when they come to pass,
/// and digests. It learns nothing of who takes part.
pub async fn serve<R: TryCryptoRng + Send + 'static>(
    listener: TcpListener,
    directory: &Directory,
    clock: Clock,
    rng: R,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WitnessError> {
    let credentials = directory.credentials(clock.now())?;
    let _lock = directory.lock()?;
    let witness = Arc::new(Witness::open(directory, &clock, rng)?);
    let limits = Limits {
        connections: CONNECTIONS,
        ..Limits::default()
    };
    let tls = ServerTls::for_coordinators(&credentials, &directory.authority()?, &clock)?
        .with_limits(limits);
    let service = Arc::new(Counter(witness));
    Ok(serve_witness(listener, tls, service, shutdown).await?)
}

/// Takes questions to the witness on threads that may wait for the disk.
struct Counter<R>(Arc<Witness<R>>);

impl<R: TryCryptoRng + Send + 'static> WitnessService for Counter<R> {
    async fn draw(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: Digest,
    ) -> Result<Beacon, Rejection> {
        let (witness, coordinator) = (self.0.clone(), *coordinator);
        let drawing = spawn_blocking(move || witness.draw(&coordinator, round, &commitment));
        answer(drawing.await, round)
    }

    async fn sign(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: Digest,
    ) -> Result<Seal, Rejection> {
        let (witness, coordinator) = (self.0.clone(), *coordinator);
        let signing = spawn_blocking(move || witness.sign(&coordinator, round, &statement));
        answer(signing.await, round)
    }
}

fn answer<T, E>(
    answered: Result<Result<T, WitnessError>, E>,
    round: RoundId,
) -> Result<T, Rejection> {
    let error = match answered {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error,
        Err(_) => return Err(Rejection::broken()),
    };
    let label = match &error {
        WitnessError::Refused(refusal) => {
            // An honest coordinator never asks for a second answer.
            if matches!(refusal, Refusal::OtherCommitment | Refusal::OtherStatement) {
                tracing::warn!(%round, %refusal, "a coordinator asked for a second answer");
            }
            refusal.label()
        }
        WitnessError::Expired(_) => "witness-expired",
        _ => {
            tracing::error!(%error, "a call failed for a fault of this side");
            return Err(Rejection::broken());
        }
    };
    Err(Rejection::new(Kind::OutOfPlace, label, error.to_string()))
}
