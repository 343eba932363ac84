//! A participation at rest. The operating system can end an app between any two steps; what was
//! saved goes on where it stopped. The bytes hold secrets of the round: they belong in the client's store.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Frame, Participation, State};
use crate::{Charge, LogView};

/// First byte of a saved participation. Another layout gets another number.
const VERSION: u8 = 1;

/// A saved participation that cannot be taken up again. The client simply waits for the next round.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the saved round cannot be continued: {0}")]
pub struct SaveError(String);

#[derive(Serialize, Deserialize)]
struct Saved<S> {
    plan: Vec<u8>,
    coordinator: [u8; 32],
    log: LogView,
    charge: Option<Charge>,
    state: S,
}

impl Participation {
    /// The whole of it as bytes.
    ///
    /// # Errors
    /// When it cannot be written; never for reasons that lie in its content.
    ///
    /// # Privacy
    /// Holds this round's secrets and, before the mask, the update itself.
    pub fn save(&self) -> Result<Zeroizing<Vec<u8>>, SaveError> {
        let saved = Saved {
            plan: self.frame.plan_bytes.clone(),
            coordinator: self.frame.coordinator,
            log: self.frame.log.clone(),
            charge: self.frame.charge.clone(),
            state: &self.state,
        };
        postcard::to_extend(&saved, vec![VERSION])
            .map(Zeroizing::new)
            .map_err(|error| SaveError(error.to_string()))
    }

    /// Takes up what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the bytes are damaged or of another version.
    pub fn restore(bytes: &[u8]) -> Result<Self, SaveError> {
        let Some((&VERSION, rest)) = bytes.split_first() else {
            return Err(SaveError("it is empty or of another version".to_owned()));
        };
        let saved: Saved<State> =
            postcard::from_bytes(rest).map_err(|error| SaveError(error.to_string()))?;
        let plan =
            serde_json::from_slice(&saved.plan).map_err(|error| SaveError(error.to_string()))?;
        let frame = Frame {
            plan,
            plan_bytes: saved.plan,
            coordinator: saved.coordinator,
            log: saved.log,
            charge: saved.charge,
        };
        Ok(Self {
            frame,
            state: saved.state,
        })
    }
}

/// Byte arrays longer than serde's own 32.
pub(crate) mod array {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer, const N: usize>(
        array: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        array.as_slice().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom(format!("expected {N} bytes")))
    }
}

/// The round's keys, which are serialised here and nowhere else.
pub(super) mod keys {
    use chorus_secagg::RoundKeys;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(keys: &RoundKeys, serializer: S) -> Result<S::Ok, S::Error> {
        super::array::serialize(&*keys.to_bytes(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoundKeys, D::Error> {
        let bytes = zeroize::Zeroizing::new(super::array::deserialize::<D, 64>(deserializer)?);
        Ok(RoundKeys::from_bytes(&bytes))
    }
}

/// The digest that the round's keys are derived from.
pub(super) mod digest {
    use chorus_secagg::RoundDigest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        digest: &RoundDigest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        digest.0.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RoundDigest, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(RoundDigest)
    }
}

/// A masked update, as the bytes that it travels as.
pub(super) mod masked {
    use chorus_secagg::MaskedUpdate;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(
        update: &MaskedUpdate,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        update.to_le_bytes().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MaskedUpdate, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        MaskedUpdate::from_le_bytes(&bytes, bytes.len() / 4).map_err(D::Error::custom)
    }
}
