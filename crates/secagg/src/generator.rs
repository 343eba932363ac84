//! Which keystream a mask is made of.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The pseudorandom generator of a mask. A client advertises the one that suits its processor; two clients use AES
/// for the mask they share only when both advertise it (secagg.md 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Generator {
    /// AES-128 in counter mode (NIST SP 800-38A): the fastest where the processor has instructions for AES.
    #[serde(rename = "aes-128-ctr")]
    Aes128Ctr,
    /// ChaCha with 12 rounds (Bernstein, *ChaCha, a variant of Salsa20*, 2008): fast and constant in time everywhere.
    #[serde(rename = "chacha12")]
    ChaCha12,
}

/// A number that names no [`Generator`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no generator of masks has the number {number}")]
pub struct UnknownGenerator {
    /// The number given.
    pub number: u8,
}

impl Generator {
    /// Every generator.
    pub const ALL: [Self; 2] = [Self::Aes128Ctr, Self::ChaCha12];

    /// The one that suits this processor: AES where it has instructions for it, ChaCha elsewhere.
    pub fn native() -> Self {
        if aes_instructions() {
            Self::Aes128Ctr
        } else {
            Self::ChaCha12
        }
    }

    /// The one for the mask that two clients share: AES only when both advertise it.
    pub fn between(one: Self, other: Self) -> Self {
        match (one, other) {
            (Self::Aes128Ctr, Self::Aes128Ctr) => Self::Aes128Ctr,
            _ => Self::ChaCha12,
        }
    }

    /// Its name, as in configuration files and in the key derivation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Ctr => "aes-128-ctr",
            Self::ChaCha12 => "chacha12",
        }
    }

    /// Its number, as in saved keys. Never zero.
    pub fn number(self) -> u8 {
        match self {
            Self::Aes128Ctr => 1,
            Self::ChaCha12 => 2,
        }
    }
}

impl TryFrom<u8> for Generator {
    type Error = UnknownGenerator;

    fn try_from(number: u8) -> Result<Self, UnknownGenerator> {
        let generator = Self::ALL.into_iter().find(|known| known.number() == number);
        generator.ok_or(UnknownGenerator { number })
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn aes_instructions() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn aes_instructions() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn aes_instructions() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_needs_both() {
        for one in Generator::ALL {
            for other in Generator::ALL {
                let both = one == Generator::Aes128Ctr && other == Generator::Aes128Ctr;
                let agreed = Generator::between(one, other);
                assert_eq!(agreed == Generator::Aes128Ctr, both);
                assert_eq!(agreed, Generator::between(other, one));
            }
        }
    }

    #[test]
    fn numbers_and_names_are_its_own() {
        for generator in Generator::ALL {
            assert_eq!(Generator::try_from(generator.number()), Ok(generator));
            assert_eq!(generator.to_string(), generator.name());
        }
        for number in [0, 3, 255] {
            assert_eq!(
                Generator::try_from(number),
                Err(UnknownGenerator { number })
            );
        }
    }
}
