use std::{fmt, str::FromStr};

use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroize;

/// Crockford's base 32: no `I`, `L`, `O`, `U`, so that a code can be read aloud.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Letters between two hyphens.
const GROUP: usize = 8;

/// A one-time code that lets one key enrol: 160 random bits, written as `XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX`.
///
/// Displays itself, because handing it out is what it is for; `Debug` shows nothing. Wiped when dropped.
pub struct InvitationCode([u8; 20]);

/// A text that is no invitation code.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "an invitation code has 32 letters and digits, like XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX; copy it whole"
)]
pub struct InvitationError;

impl InvitationCode {
    /// A new code.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut code = Self([0; 20]);
        rng.fill_bytes(&mut code.0);
        code
    }

    /// The code of 20 bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The code as it travels.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// What the authority keeps of it. A plain SHA-256 is enough: 160 random bits cannot be guessed from it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update("chorus/v1/invitation")
            .chain_update(self.0)
            .finalize()
            .into()
    }

    /// True when this is the code of `digest`, in a time that does not depend on where they differ.
    pub fn is_of(&self, digest: &[u8]) -> bool {
        self.digest().ct_eq(digest).into()
    }
}

impl Drop for InvitationCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for InvitationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationCode(..)")
    }
}

impl fmt::Display for InvitationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Five bytes are eight letters, one group.
        for (place, five) in self.0.as_chunks::<5>().0.iter().enumerate() {
            let bits = five
                .iter()
                .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            if place > 0 {
                f.write_str("-")?;
            }
            for letter in (0..GROUP).rev() {
                let value = (bits >> (5 * letter)) as usize % LETTERS.len();
                let letter = LETTERS.get(value).copied().unwrap_or_default();
                write!(f, "{}", char::from(letter))?;
            }
        }
        Ok(())
    }
}

impl FromStr for InvitationCode {
    type Err = InvitationError;

    /// Hyphens and spaces are skipped, small letters are read as large ones.
    fn from_str(text: &str) -> Result<Self, InvitationError> {
        let mut code = Self([0; 20]);
        let mut letters = text
            .bytes()
            .filter(|byte| !matches!(byte, b'-' | b' ' | b'\n' | b'\r'));
        for five in code.0.as_chunks_mut::<5>().0 {
            let mut bits = 0u64;
            for _ in 0..GROUP {
                let letter = letters.next().ok_or(InvitationError)?.to_ascii_uppercase();
                let value = LETTERS
                    .iter()
                    .position(|known| *known == letter)
                    .ok_or(InvitationError)?;
                bits = bits << 5 | value as u64;
            }
            for (place, byte) in five.iter_mut().zip(bits.to_be_bytes().into_iter().skip(3)) {
                *place = byte;
            }
        }
        if letters.next().is_some() {
            Err(InvitationError)
        } else {
            Ok(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_can_be_typed(bytes: [u8; 20]) {
            let text = InvitationCode::from_bytes(bytes).to_string();
            prop_assert_eq!(text.len(), 35);
            let typed: InvitationCode = text.to_lowercase().replace('-', " ").parse().unwrap();
            prop_assert_eq!(typed.as_bytes(), &bytes);
            prop_assert!(typed.is_of(&InvitationCode::from_bytes(bytes).digest()));
        }

        #[test]
        fn other_texts_are_refused(text in "[0-9A-Z]{0,31}|[0-9A-Z]{33,40}|[U!é]{32}") {
            prop_assert!(text.parse::<InvitationCode>().is_err());
        }
    }

    #[test]
    fn nothing_is_shown_by_debug() {
        assert_eq!(
            format!("{:?}", InvitationCode::from_bytes([7; 20])),
            "InvitationCode(..)"
        );
    }
}
