use std::sync::{Mutex, PoisonError};

use chorus_protocol::{Beacon, Digest, Identity, RoundId, Seal};
use chorus_wire::Clock;
use rand_core::TryCryptoRng;

use crate::{
    Directory, WitnessError,
    store::{Drawn, Store},
};

/// A witness with its memory: for each coordinator and round it draws once, and signs one statement.
///
/// Questions are answered one after the other, and an answer exists only once it is remembered on the disk.
pub struct Witness<R> {
    identity: Identity,
    certificate: Vec<u8>,
    not_after: i64,
    clock: Clock,
    state: Mutex<(Store, R)>,
}

impl<R: TryCryptoRng> Witness<R> {
    /// The enrolled witness in `directory`. `rng` must be the system's, or as good: with randomness that can be guessed,
    /// a coordinator chooses the graph.
    ///
    /// Two processes may have one directory open: the memory lets one after the other write. [`serve`](crate::serve)
    /// takes the [`Directory::lock`] all the same.
    ///
    /// # Errors
    /// When the witness is not enrolled or its certificate is not valid now, or its memory is gone, of another key, or
    /// cannot be used.
    pub fn open(directory: &Directory, clock: &Clock, rng: R) -> Result<Self, WitnessError> {
        let identity = directory.identity()?;
        let (certificate, not_after) = directory.certificate(clock.now())?;
        let store = directory.store(&identity)?;
        Ok(Self {
            identity,
            certificate,
            not_after,
            clock: clock.clone(),
            state: Mutex::new((store, rng)),
        })
    }

    /// Randomness for the round of the coordinator with this enrolled key, once `commitment` fixes the round's keys.
    /// The same commitment again gives the very same beacon, whatever happened in between.
    ///
    /// # Errors
    /// When it has drawn for another commitment of this round, the round is over, or nothing can be remembered.
    pub fn draw(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: &Digest,
    ) -> Result<Beacon, WitnessError> {
        self.check_time()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, rng) = &mut *state;
        let Drawn {
            randomness,
            certificate,
        } = store.draw(coordinator, round, commitment, || {
            let mut randomness = [0; 32];
            rng.try_fill_bytes(&mut randomness)
                .map_err(|error| WitnessError::Randomness(error.to_string()))?;
            let certificate = self.certificate.clone();
            Ok(Drawn {
                randomness,
                certificate,
            })
        })?;
        // Ed25519 has one signature for one content, so it need not be remembered.
        let identity = &self.identity;
        Ok(Beacon::sign(
            identity,
            certificate,
            coordinator,
            round,
            commitment,
            randomness,
        ))
    }

    /// Signs the one statement of a round that it drew for. The same statement again gives the very same seal, whatever
    /// happened in between.
    ///
    /// # Errors
    /// When it has signed another statement of this round, has not drawn for it, the round is over, or nothing can be
    /// remembered.
    pub fn sign(
        &self,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: &Digest,
    ) -> Result<Seal, WitnessError> {
        self.check_time()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let certificate = state
            .0
            .sign(coordinator, round, statement, &self.certificate)?;
        Ok(Seal::sign(
            &self.identity,
            certificate,
            coordinator,
            round,
            statement,
        ))
    }

    /// The witness's public key.
    pub fn key(&self) -> [u8; 32] {
        self.identity.public()
    }

    /// Clients refuse what a certificate that is over vouches for.
    fn check_time(&self) -> Result<(), WitnessError> {
        match self.clock.now() <= self.not_after {
            true => Ok(()),
            false => Err(WitnessError::Expired(self.not_after)),
        }
    }
}

impl<R> std::fmt::Debug for Witness<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness(..)")
    }
}
