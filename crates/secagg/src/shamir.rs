//! Shamir's secret sharing over GF(2^8), byte by byte, in constant time.
//!
//! A. Shamir, *How to Share a Secret*, CACM 1979. The field is `GF(2)[z] / (z^8 + z^4 + z^3 + z^2 + 1)`, 0x11d, the one
//! of the `blahaj` and `sharks` crates, against which the tests compare. No table is ever indexed and no branch taken
//! by a secret byte. Positions are public: what is computed from them alone goes through tables.

use rand_core::CryptoRng;
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
    // Highest power first, the secret last; allocated once, so no copy is left behind by growing.
    let mut coefficients = Zeroizing::new(Vec::with_capacity(threshold));
    let mut drawn = Zeroizing::new([0; 32]);
    for _ in 1..threshold {
        rng.fill_bytes(drawn.as_mut_slice());
        coefficients.push(Planes::from_bytes(&drawn));
    }
    coefficients.push(Planes::from_bytes(secret));
    let mut shares = Vec::with_capacity(count);
    for x in positions {
        // Horner's rule.
        let factor = Factor::new(x);
        let mut value = Planes::default();
        for coefficient in coefficients.iter() {
            value = value.times_plus(&factor, coefficient);
        }
        let y = value.to_bytes();
        value.zeroize();
        shares.push(Share { x, y });
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
        // L(0) = product over the others of x' / (x' - x); subtraction is exclusive or. As logarithms.
        let others = used.iter().filter(|other| other.x != share.x);
        let quotients = others.map(|other| logarithm(other.x) + 255 - logarithm(other.x ^ share.x));
        let weight = power(quotients.sum());
        let mut term = Zeroizing::new(share.y);
        scale(&mut term, weight);
        for (byte, term) in secret.iter_mut().zip(term.iter()) {
            *byte ^= term;
        }
    }
    Ok(secret)
}

/// Multiplies 32 bytes by one public factor: schoolbook, eight steps, whatever the bytes are.
fn scale(values: &mut [u8; 32], factor: u8) {
    let mut power = Zeroizing::new(*values);
    *values = [0; 32];
    for bit in 0..8 {
        let chosen = 0_u8.wrapping_sub((factor >> bit) & 1);
        for (value, power) in values.iter_mut().zip(power.iter_mut()) {
            *value ^= *power & chosen;
            *power = double(*power);
        }
    }
}

/// Multiplies by `z`: the bit that falls out on the left comes back as the reduction polynomial.
const fn double(value: u8) -> u8 {
    (value << 1) ^ (REDUCTION & 0_u8.wrapping_sub(value >> 7))
}

/// 32 field elements by bits: plane `i` has bit `i` of each of them. Then multiplying by a constant is a few exclusive
/// ors of whole planes.
#[derive(Clone, Copy, Default, Zeroize)]
struct Planes([u32; 8]);

impl Planes {
    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut planes = [0; 8];
        for (place, byte) in bytes.iter().enumerate() {
            for (bit, plane) in planes.iter_mut().enumerate() {
                *plane |= u32::from(byte >> bit & 1) << place;
            }
        }
        Self(planes)
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            for (bit, plane) in self.0.iter().enumerate() {
                *byte |= ((plane >> place & 1) as u8) << bit;
            }
        }
        bytes
    }

    /// `self * factor + addend`.
    fn times_plus(self, factor: &Factor, addend: &Self) -> Self {
        let mut result = addend.0;
        for (plane, masks) in self.0.iter().zip(&factor.0) {
            for (result, mask) in result.iter_mut().zip(masks) {
                *result ^= plane & mask;
            }
        }
        Self(result)
    }
}

/// A public factor as the matrix of its multiplication: where plane `i` goes into plane `j` of the product, entry `j` of
/// row `i` has all bits set.
struct Factor([[u32; 8]; 8]);

impl Factor {
    fn new(factor: u8) -> Self {
        let mut rows = [[0; 8]; 8];
        // The product with bit i alone is the factor times z^i.
        let mut product = factor;
        for row in &mut rows {
            for (bit, mask) in row.iter_mut().enumerate() {
                *mask = 0_u32.wrapping_sub(u32::from(product >> bit & 1));
            }
            product = double(product);
        }
        Self(rows)
    }
}

/// The powers of `z`, which runs through all 255 elements but zero.
const POWERS: [u8; 255] = {
    let mut powers = [1; 255];
    let mut i = 1;
    while i < 255 {
        powers[i] = double(powers[i - 1]);
        i += 1;
    }
    powers
};

/// Which power of `z` an element is; zero, for which there is none, has 0.
const LOGARITHMS: [u8; 256] = {
    let mut logarithms = [0; 256];
    let mut i = 0;
    while i < 255 {
        logarithms[POWERS[i] as usize] = i as u8;
        i += 1;
    }
    logarithms
};

/// Of a public element.
fn logarithm(public: u8) -> usize {
    // A byte always indexes a table of 256.
    usize::from(LOGARITHMS[usize::from(public)])
}

/// A power of `z` with a public exponent.
fn power(exponent: usize) -> u8 {
    // A remainder modulo 255 always indexes a table of 255.
    POWERS[exponent % 255]
}

#[cfg(test)]
mod tests;
