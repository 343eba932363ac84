//! Shamir's secret sharing over GF(2^8), byte by byte, in constant time.
//!
//! A. Shamir, *How to Share a Secret*, CACM 1979. The field is `GF(2)[z] / (z^8 + z^4 + z^3 + z^2 + 1)`, 0x11d, the one
//! of the `blahaj` and `sharks` crates, against which the tests compare. No table is ever indexed and no branch taken
//! by a secret byte: multiplication is by shifts and masks over all 32 bytes of a secret at once.

use rand_core::CryptoRng;
use subtle::{Choice, ConditionallySelectable};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The low byte of the field's polynomial 0x11d.
const REDUCTION: u8 = 0x1d;

/// One share of a 32-byte secret. Wiped when dropped; neither `Clone` nor `Debug`.
///
/// # Privacy
/// Fewer shares than the threshold say nothing at all about the secret, whatever the holder can compute.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Share {
    /// Where the polynomials were evaluated: 1 to 255, different for every holder. Public.
    pub x: u8,
    /// The 32 values there. Secret.
    pub y: [u8; 32],
}

/// Why a secret can not be split or put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShareError {
    /// `2 <= threshold <= count <= 255` does not hold. A threshold of one would hand out the secret itself.
    #[error(
        "cannot split into {count} shares with threshold {threshold}: 2 <= threshold <= shares <= 255"
    )]
    Split {
        /// Shares needed to open the secret.
        threshold: usize,
        /// Shares asked for.
        count: usize,
    },
    /// A threshold below two, with which no secret was ever split.
    #[error("a threshold of {threshold} is not one that secrets are split with")]
    Threshold {
        /// The threshold given.
        threshold: usize,
    },
    /// Fewer shares than the threshold.
    #[error("{given} shares are too few to open a secret: {needed} are needed")]
    TooFew {
        /// Shares needed.
        needed: usize,
        /// Shares given.
        given: usize,
    },
    /// A share at `x = 0`, which is where the secret itself lies.
    #[error("a share at position zero is refused")]
    ZeroPosition,
    /// Two shares at the same position.
    #[error("two shares have position {x}")]
    DuplicatePosition {
        /// The position they share.
        x: u8,
    },
}

/// Splits `secret` into `count` shares at `x = 1..=count`, any `threshold` of which open it.
///
/// Every coefficient, the leading one too, is uniform over all 256 values: anything else (RUSTSEC-2024-0398 in
/// `sharks`) lets fewer shares exclude secrets.
///
/// # Errors
/// [`ShareError::Split`] unless `2 <= threshold <= count <= 255`.
pub fn split(
    secret: &[u8; 32],
    threshold: usize,
    count: usize,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<Share>, ShareError> {
    let positions = match u8::try_from(count) {
        Ok(last) if (2..=count).contains(&threshold) => 1..=last,
        _ => return Err(ShareError::Split { threshold, count }),
    };
    // Highest power first, without the constant term; allocated once, so no copy is left behind by growing.
    let mut coefficients = Zeroizing::new(vec![[0; 32]; threshold - 1]);
    for coefficient in coefficients.iter_mut() {
        rng.fill_bytes(coefficient);
    }
    let mut shares = Vec::with_capacity(count);
    for x in positions {
        let mut share = Share { x, y: [0; 32] };
        for coefficient in coefficients.iter() {
            add(&mut share.y, coefficient);
            scale(&mut share.y, x);
        }
        add(&mut share.y, secret);
        shares.push(share);
    }
    Ok(shares)
}

/// Opens a secret by Lagrange interpolation at zero, from the first `threshold` of the shares given.
///
/// A share whose value was tampered with gives a wrong secret, not an error: [`secret_matches`](crate::secret_matches)
/// finds a wrong mask key, [`Aggregate::finish`](crate::Aggregate::finish) a wrong self seed.
///
/// # Errors
/// [`ShareError`] for a threshold below two, fewer than `threshold` shares, `x = 0` or a repeated `x` anywhere among
/// the shares given.
pub fn combine(threshold: usize, shares: &[Share]) -> Result<Zeroizing<[u8; 32]>, ShareError> {
    if threshold < 2 {
        return Err(ShareError::Threshold { threshold });
    }
    let mut seen = [false; 256];
    for share in shares {
        if share.x == 0 {
            return Err(ShareError::ZeroPosition);
        }
        // A byte always indexes a table of 256; positions are public.
        if core::mem::replace(&mut seen[usize::from(share.x)], true) {
            return Err(ShareError::DuplicatePosition { x: share.x });
        }
    }
    let Some(used) = shares.get(..threshold) else {
        return Err(ShareError::TooFew {
            needed: threshold,
            given: shares.len(),
        });
    };
    let mut secret = Zeroizing::new([0; 32]);
    for share in used {
        // L(0) = product over the others of x' / (x' - x); subtraction is exclusive or.
        let (mut numerator, mut denominator) = (1, 1);
        for other in used.iter().filter(|other| other.x != share.x) {
            numerator = multiply(numerator, other.x);
            denominator = multiply(denominator, other.x ^ share.x);
        }
        let mut term = Zeroizing::new(share.y);
        scale(&mut term, multiply(numerator, invert(denominator)));
        add(&mut secret, &term);
    }
    Ok(secret)
}

fn add(values: &mut [u8; 32], others: &[u8; 32]) {
    for (value, other) in values.iter_mut().zip(others) {
        *value ^= other;
    }
}

/// Multiplies 32 bytes by one factor: schoolbook, eight steps, whatever the bytes are.
fn scale(values: &mut [u8; 32], factor: u8) {
    let mut power = Zeroizing::new(*values);
    *values = [0; 32];
    for bit in 0..8 {
        let chosen = u8::conditional_select(&0, &0xff, Choice::from((factor >> bit) & 1));
        for (value, power) in values.iter_mut().zip(power.iter_mut()) {
            *value ^= *power & chosen;
            *power = double(*power);
        }
    }
}

/// Multiplies two field elements in eight steps.
fn multiply(value: u8, factor: u8) -> u8 {
    let (mut product, mut power) = (0, value);
    for bit in 0..8 {
        product ^= power & 0_u8.wrapping_sub((factor >> bit) & 1);
        power = double(power);
    }
    product
}

/// Multiplies by `z`: the bit that falls out on the left comes back as the reduction polynomial.
fn double(value: u8) -> u8 {
    (value << 1) ^ (REDUCTION & 0_u8.wrapping_sub(value >> 7))
}

/// `value^254`, the inverse of every element but zero (Fermat); zero stays zero.
fn invert(value: u8) -> u8 {
    let (mut result, mut power) = (1, value);
    for _ in 0..7 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

#[cfg(test)]
mod tests;
