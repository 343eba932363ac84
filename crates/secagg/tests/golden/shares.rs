//! `shares.json`.

use core::convert::Infallible;

use chorus_secagg::{ShareError, combine, split};
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use crate::reading::{Case, cases};

const KINDS: [&str; 7] = [
    "split",
    "combine",
    "bad_zero_position",
    "bad_duplicate_position",
    "bad_too_few",
    "bad_threshold",
    "bad_split",
];

#[test]
fn shares() {
    for case in cases("shares", &KINDS) {
        let threshold = case.get("threshold");
        match case.kind() {
            "split" => {
                let expected = case.list_of_keys("shares");
                let mut coefficients = Replay::of(&case.list_of_keys("coefficients"));
                let secret = case.key("secret");
                let shares = split(&secret, threshold, expected.len(), &mut coefficients).unwrap();
                assert!(coefficients.is_used_up());
                let found: Vec<[u8; 32]> = shares.iter().map(|share| share.y).collect();
                assert_eq!(found, expected);
                assert!((1..=255).zip(&shares).all(|(x, share)| share.x == x));
            }
            "combine" => {
                let secret = combine(threshold, &case.shares()).unwrap();
                assert_eq!(*secret, case.key("secret"));
            }
            "bad_split" => {
                let count = case.get("count");
                let mut rng = ChaCha20Rng::from_seed([1; 32]);
                let refused = split(&[0; 32], threshold, count, &mut rng).err();
                assert_eq!(refused, Some(ShareError::Split { threshold, count }));
            }
            _ => refused(&case, threshold),
        }
    }
}

fn refused(case: &Case, threshold: usize) {
    let shares = case.shares();
    let expected = match case.kind() {
        "bad_zero_position" => ShareError::ZeroPosition,
        "bad_duplicate_position" => ShareError::DuplicatePosition { x: case.get("x") },
        "bad_too_few" => ShareError::TooFew {
            needed: threshold,
            given: shares.len(),
        },
        _ => ShareError::Threshold { threshold },
    };
    assert_eq!(
        combine(threshold, &shares).err(),
        Some(expected),
        "{}",
        case.kind()
    );
}

/// "Random" bytes that are known beforehand, once.
pub struct Replay(std::vec::IntoIter<u8>);

impl Replay {
    /// [`split`] draws 32 bytes for each coefficient, the highest power first.
    pub fn of(coefficients: &[[u8; 32]]) -> Self {
        Self(coefficients.concat().into_iter())
    }

    pub fn is_used_up(&self) -> bool {
        self.0.len() == 0
    }
}

impl TryRng for Replay {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0.next().unwrap();
        }
        Ok(())
    }
}

impl TryCryptoRng for Replay {}
