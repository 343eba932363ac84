//! The mask keys that survivors share with dropped clients, many at a time.
//!
//! A survivor has tens of dropped neighbours, so the coordinator multiplies one point, the survivor's public key, by many
//! scalars. X25519's ladder (RFC 7748) starts anew for each. Here the point is lifted to the Edwards form of the curve
//! once, a table of its multiples is made, and each scalar costs 64 additions: the fixed-base method of Bernstein et al.,
//! *High-speed high-security signatures*, CHES 2011, section 4. Constant time, as the ladder is: all of a table's entries
//! are read, whatever the scalar.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::clamp_integer;
use curve25519_dalek::traits::{Identity, IsIdentity};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, Zeroizing};

use crate::derive::RoundDigest;
use crate::keys::{KeyError, PublicKeys, agree};
use crate::keystream::Sign;
use crate::mask::MaskKey;

/// Fewer scalars than this are cheaper on the ladder: a table costs as much as about two of its runs.
const WORTH_A_TABLE: usize = 3;

/// A client that was declared dropped, and whose mask key was put together from shares.
/// [`secret_matches`](crate::secret_matches) tells whether the secret and the public key belong together.
pub struct Dropped<'a> {
    /// Its index.
    pub index: u32,
    /// Its secret mask key.
    pub mask_secret: &'a [u8; 32],
    /// What it advertised.
    pub public: &'a PublicKeys,
}

/// The keys of the masks that the client `survivor`, who advertised `theirs`, put on its upload for dropped
/// neighbours, in their order; each with the sign the survivor masked with, as [`Aggregate::remove`] wants it. The same
/// keys as [`MaskKey::pair`] gives the clients.
///
/// [`Aggregate::remove`]: crate::Aggregate::remove
///
/// # Errors
/// [`KeyError::LowOrder`] when `theirs` has a low-order mask key.
pub fn recover_pairs(
    survivor: u32,
    theirs: &PublicKeys,
    dropped: &[Dropped<'_>],
    digest: &RoundDigest,
) -> Result<Vec<(MaskKey, Sign)>, KeyError> {
    let agreed = agree_with_many(&theirs.mask, dropped)?;
    let mut masks = Vec::with_capacity(dropped.len());
    for (client, agreed) in dropped.iter().zip(agreed.iter()) {
        let ends = [(survivor, theirs), (client.index, client.public)];
        let key = MaskKey::from_agreed(agreed, ends, digest);
        masks.push((key, Sign::of(survivor, client.index)));
    }
    Ok(masks)
}

/// The X25519 secrets of one public key with many secret ones; refuses a public key of low order.
fn agree_with_many(
    public: &[u8; 32],
    dropped: &[Dropped<'_>],
) -> Result<Zeroizing<Vec<[u8; 32]>>, KeyError> {
    if dropped.len() >= WORTH_A_TABLE
        && let Some(table) = Multiples::of(public)?
    {
        let mut points: Vec<EdwardsPoint> = dropped
            .iter()
            .map(|client| table.times(client.mask_secret))
            .collect();
        let mut agreed = EdwardsPoint::to_montgomery_batch(&points);
        points.zeroize();
        let secrets = agreed.iter().map(MontgomeryPoint::to_bytes).collect();
        agreed.zeroize();
        return Ok(Zeroizing::new(secrets));
    }
    let mut agreed = Zeroizing::new(Vec::with_capacity(dropped.len()));
    for client in dropped {
        let secret = StaticSecret::from(*client.mask_secret);
        agreed.push(agree(&secret, public)?.to_bytes());
    }
    Ok(agreed)
}

/// Digits of a scalar that stand side by side in one table: two, so half the tables serve all 64 digits.
const TABLES: usize = 32;

/// For every `i` below 32, the multiples 1 to 8 of `256^i * 8 P`.
struct Multiples(Vec<[EdwardsPoint; 8]>);

impl Multiples {
    /// `None` when the u-coordinate is on the twist of the curve, which has no Edwards form here.
    fn of(public: &[u8; 32]) -> Result<Option<Self>, KeyError> {
        let Some(point) = MontgomeryPoint(*public).to_edwards(0) else {
            return Ok(None);
        };
        // A clamped scalar is a multiple of 8. Taking that factor out first leaves a point of prime order, or, from one
        // of low order, the identity.
        let mut base = point.mul_by_cofactor();
        if base.is_identity() {
            return Err(KeyError::LowOrder);
        }
        let mut tables = Vec::with_capacity(TABLES);
        for _ in 0..TABLES {
            let mut multiples = [base; 8];
            let mut last = base;
            for multiple in multiples.iter_mut().skip(1) {
                last += base;
                *multiple = last;
            }
            tables.push(multiples);
            let times_64 = last.mul_by_cofactor();
            let times_128 = times_64 + times_64;
            base = times_128 + times_128;
        }
        Ok(Some(Self(tables)))
    }

    /// The clamped scalar times the point.
    fn times(&self, secret: &[u8; 32]) -> EdwardsPoint {
        let digits = digits(secret);
        let mut sum = EdwardsPoint::identity();
        for (multiples, [_, odd]) in self.0.iter().zip(digits.iter()) {
            sum += select(multiples, *odd);
        }
        let eight_times = sum.mul_by_cofactor();
        sum = eight_times + eight_times;
        for (multiples, [even, _]) in self.0.iter().zip(digits.iter()) {
            sum += select(multiples, *even);
        }
        sum
    }
}

/// An eighth of the clamped scalar as 64 digits from -8 to 8 of base 16, in pairs, the lowest first.
fn digits(secret: &[u8; 32]) -> Zeroizing<[[i8; 2]; TABLES]> {
    let scalar = Zeroizing::new(clamp_integer(*secret));
    let mut digits = Zeroizing::new([[0; 2]; TABLES]);
    let above = scalar.iter().skip(1).chain(&[0]);
    let mut carry = 0;
    for (pair, (byte, above)) in digits.iter_mut().zip(scalar.iter().zip(above)) {
        let eighth = byte >> 3 | above << 5;
        for (digit, nibble) in pair.iter_mut().zip([eighth & 15, eighth >> 4]) {
            // A digit above 7 becomes negative and adds one to the next. The last one is 1 at most: the scalar has 252
            // bits.
            let value = nibble as i8 + carry;
            carry = (value + 8) >> 4;
            *digit = value - (carry << 4);
        }
    }
    digits
}

/// The multiple that a digit asks for; every entry is read and none of the branches depends on it.
fn select(multiples: &[EdwardsPoint; 8], digit: i8) -> EdwardsPoint {
    let sign = digit >> 7;
    let magnitude = (digit ^ sign) - sign;
    // By the bits of the magnitude less one, the lowest first: four times as fast as one entry after another.
    let index = magnitude.wrapping_sub(1) as u8;
    let bit = |place: u8| Choice::from(index >> place & 1);
    let between = |one: &EdwardsPoint, other: &EdwardsPoint, place| {
        EdwardsPoint::conditional_select(one, other, bit(place))
    };
    let [one, two, three, four, five, six, seven, eight] = multiples;
    let low = between(&between(one, two, 0), &between(three, four, 0), 1);
    let high = between(&between(five, six, 0), &between(seven, eight, 0), 1);
    let chosen = between(&low, &high, 2);
    let chosen = EdwardsPoint::conditional_select(&chosen, &-chosen, Choice::from(sign as u8 & 1));
    let identity = EdwardsPoint::identity();
    EdwardsPoint::conditional_select(&chosen, &identity, digit.ct_eq(&0))
}

#[cfg(test)]
mod tests;
