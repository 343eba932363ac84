//! A participation at rest. The operating system can end an app between any two steps; what was
//! saved goes on where it stopped. The bytes hold secrets of the round: they belong in the client's store.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Frame, Participation, State};
use crate::at_rest::Form;
use crate::{Charge, LogView};

const FORM: Form = Form {
    version: 4,
    domain: "chorus/v1/saved",
};

/// A saved participation that cannot be taken up again. The client simply waits for the next round.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the saved round cannot be continued: {0}")]
pub struct SaveError(String);

#[derive(Serialize, Deserialize)]
struct Saved<S> {
    plan: Vec<u8>,
    coordinator: [u8; 32],
    log: LogView,
    cohort: usize,
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
            cohort: self.frame.cohort,
            charge: self.frame.charge.clone(),
            state: &self.state,
        };
        FORM.write(&saved).map_err(fault)
    }

    /// Takes up what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the bytes are damaged or of another version.
    pub fn restore(bytes: &[u8]) -> Result<Self, SaveError> {
        let saved: Saved<State> = FORM.read(bytes).map_err(SaveError)?;
        let plan = serde_json::from_slice(&saved.plan).map_err(fault)?;
        let frame = Frame {
            plan,
            plan_bytes: saved.plan,
            coordinator: saved.coordinator,
            log: saved.log,
            cohort: saved.cohort,
            charge: saved.charge,
        };
        Ok(Self {
            frame,
            state: saved.state,
        })
    }
}

fn fault(error: impl std::fmt::Display) -> SaveError {
    SaveError(error.to_string())
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
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use zeroize::Zeroizing;

    pub fn serialize<S: Serializer>(keys: &RoundKeys, serializer: S) -> Result<S::Ok, S::Error> {
        super::array::serialize(&keys.to_bytes(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoundKeys, D::Error> {
        let bytes = Zeroizing::<Vec<u8>>::deserialize(deserializer)?;
        let bytes = bytes
            .as_array()
            .ok_or_else(|| D::Error::custom("expected 65 bytes"))?;
        RoundKeys::from_bytes(bytes).map_err(D::Error::custom)
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

/// The update before its mask: little-endian bytes, read into a vector that never grows.
pub(super) mod words {
    use std::fmt;

    use serde::{
        Deserializer, Serializer,
        de::{Error, Visitor},
    };
    use zeroize::Zeroizing;

    pub fn serialize<S: Serializer>(
        words: &Zeroizing<Vec<u32>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Zeroizing::new(vec![0; 4 * words.len()]);
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words.iter()) {
            *place = word.to_le_bytes();
        }
        serializer.serialize_bytes(&bytes)
    }

    struct Words;

    impl Visitor<'_> for Words {
        type Value = Zeroizing<Vec<u32>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes, four for each word")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            let (words, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(E::invalid_length(bytes.len(), &self));
            }
            let words = words.iter().map(|word| u32::from_le_bytes(*word));
            Ok(Zeroizing::new(words.collect()))
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<Vec<u32>>, D::Error> {
        deserializer.deserialize_bytes(Words)
    }
}

/// A masked update: its ring, its length, the bytes that it travels as, and the signature that goes with it.
pub(super) mod masked {
    use chorus_secagg::{MaskedUpdate, Ring};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::SignedUpdate;

    #[derive(Serialize, Deserialize)]
    struct Packed<B> {
        ring: Ring,
        length: usize,
        bytes: B,
        #[serde(with = "super::array")]
        signature: [u8; 64],
    }

    pub fn serialize<S: Serializer>(
        update: &SignedUpdate,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let masked = &update.masked;
        let packed = Packed {
            ring: masked.ring(),
            length: masked.length(),
            bytes: masked.bytes(),
            signature: update.signature,
        };
        packed.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SignedUpdate, D::Error> {
        let Packed {
            ring,
            length,
            bytes,
            signature,
        } = Packed::<Vec<u8>>::deserialize(deserializer)?;
        let masked = MaskedUpdate::from_bytes(bytes, ring, length).map_err(D::Error::custom)?;
        Ok(SignedUpdate { masked, signature })
    }
}
