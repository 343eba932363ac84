//! What secure aggregation reads: masked updates, sealed shares, shares, saved keys.

use std::sync::OnceLock;

use chorus_secagg::{
    Aggregate, Generator, MaskedUpdate, Ring, RoundDigest, RoundKeys, Share, SharePair, combine,
    open, seal, split,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// A masked update: its ring, its length in eight bytes, its bytes.
pub fn update(bytes: &[u8]) -> bool {
    let Some((&ring, bytes)) = bytes.split_first() else {
        return false;
    };
    let Some((length, bytes)) = bytes.split_first_chunk() else {
        return false;
    };
    let ring = Ring::ALL[usize::from(ring % 4)];
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let place = bytes.to_vec();
    match MaskedUpdate::from_bytes(place, ring, length) {
        Ok(update) => {
            assert_eq!(bytes.len(), ring.upload_bytes(length));
            assert_eq!((update.ring(), update.length()), (ring, length));
            assert_eq!(update.bytes(), bytes);
            let mut sum = Aggregate::new(ring, length);
            sum.add(update).expect("of the sum's shape");
            let kept = sum.to_bytes();
            let again = Aggregate::from_bytes(&kept, ring, length).expect("what was kept");
            assert!(again == sum);
            // One masked update is no sum of updates: its check values are not zero, or all of it is readable.
            if let Ok(values) = again.finish() {
                assert_eq!(values.len(), length);
                assert!(values.iter().all(|value| ring.reduce(*value) == *value));
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(Aggregate::from_bytes(bytes, ring, length).is_err());
            false
        }
    }
}

pub fn updates() -> Vec<Vec<u8>> {
    let seed = |(number, ring): (usize, Ring), length: usize| {
        let mut bytes = vec![0xa5; ring.upload_bytes(length)];
        let used = ring.masked_values(length) * ring.bits() as usize % 8;
        if let (1.., Some(last)) = (used, bytes.last_mut()) {
            *last &= (1 << used) - 1;
        }
        [&[number as u8][..], &(length as u64).to_le_bytes(), &bytes].concat()
    };
    let rings = Ring::ALL.into_iter().enumerate();
    rings
        .flat_map(|ring| [0, 1, 2, 50].map(|length| seed(ring, length)))
        .collect()
}

const DIGEST: RoundDigest = RoundDigest([9; 32]);

fn round_keys(seed: u64) -> RoundKeys {
    RoundKeys::generate(Generator::ChaCha12, &mut ChaCha20Rng::seed_from_u64(seed))
}

/// Shares that somebody sealed: from whom, to whom, the envelope.
pub fn sealed(bytes: &[u8]) -> bool {
    let Some((&[from, to], bytes)) = bytes.split_first_chunk() else {
        return false;
    };
    let (from, to) = (u32::from(from), u32::from(to));
    let (theirs, own) = (round_keys(1), round_keys(2));
    match open(&own, &theirs.public(), &DIGEST, from, to, bytes) {
        // Nothing but what the sender sealed on this way can be opened.
        Ok(pair) => {
            let again = seal(&theirs, &own.public(), &DIGEST, from, to, &pair);
            assert!(again.is_ok_and(|again| again == bytes));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

pub fn sealed_seeds() -> Vec<Vec<u8>> {
    let pair = SharePair {
        mask_key: [1; 32],
        self_seed: [2; 32],
    };
    let (theirs, own) = (round_keys(1), round_keys(2));
    let seed = |(from, to): (u8, u8)| {
        let sealed = seal(
            &theirs,
            &own.public(),
            &DIGEST,
            from.into(),
            to.into(),
            &pair,
        );
        [&[from, to][..], &sealed.expect("sound keys")].concat()
    };
    [(0, 1), (7, 3)].map(seed).into()
}

/// Shares of one secret: the threshold, and for each share its position and its value.
pub fn shares(bytes: &[u8]) -> bool {
    let Some((&threshold, bytes)) = bytes.split_first() else {
        return false;
    };
    let threshold = usize::from(threshold);
    let read = || -> Vec<Share> {
        let shares = bytes.as_chunks::<33>().0.iter();
        shares
            .filter_map(|share| share.split_first_chunk::<1>())
            .filter_map(|([x], y)| {
                Some(Share {
                    x: *x,
                    y: y.try_into().ok()?,
                })
            })
            .collect()
    };
    let mut given = read();
    let positions: Vec<u8> = given.iter().map(|share| share.x).collect();
    let secret = match combine(threshold, &given) {
        Ok(secret) => secret,
        Err(error) => {
            let mut distinct = positions.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let is_sound = threshold >= 2
                && positions.len() >= threshold
                && distinct.len() == positions.len()
                && !positions.contains(&0);
            assert!(!is_sound, "{error}");
            return false;
        }
    };
    // By Lagrange's formula as a book has it.
    let mut expected = [0; 32];
    for share in &given[..threshold] {
        let others = given[..threshold].iter().map(|other| other.x);
        let weight = others.filter(|x| *x != share.x).fold(1, |product, x| {
            times(product, times(x, inverse(x ^ share.x)))
        });
        for (sum, value) in expected.iter_mut().zip(share.y) {
            *sum ^= times(weight, value);
        }
    }
    assert_eq!(*secret, expected);
    // The order does not matter.
    given.truncate(threshold);
    given.reverse();
    assert!(combine(threshold, &given).is_ok_and(|again| *again == expected));
    true
}

/// In GF(2^8) with the polynomial 0x11d.
fn times(mut one: u8, mut other: u8) -> u8 {
    let mut product = 0;
    while other > 0 {
        if other & 1 == 1 {
            product ^= one;
        }
        one = (one << 1) ^ if one & 0x80 > 0 { 0x1d } else { 0 };
        other >>= 1;
    }
    product
}

/// Found by trying.
fn inverse(value: u8) -> u8 {
    static INVERSES: OnceLock<[u8; 256]> = OnceLock::new();
    let table = INVERSES.get_or_init(|| {
        std::array::from_fn(|value| {
            let is_inverse = |other: &u8| times(value as u8, *other) == 1;
            (1..=255).find(is_inverse).unwrap_or(0)
        })
    });
    table[usize::from(value)]
}

pub fn share_seeds() -> Vec<Vec<u8>> {
    let seed = |(threshold, count): (u8, usize)| {
        let mut rng = ChaCha20Rng::seed_from_u64(count as u64);
        let shares = split(&[7; 32], threshold.into(), count, &mut rng).expect("sound numbers");
        let shares = shares
            .iter()
            .flat_map(|share| [&[share.x][..], &share.y].concat());
        std::iter::once(threshold).chain(shares).collect()
    };
    [(2, 2), (3, 5), (41, 60), (255, 255)].map(seed).into()
}

/// A client's saved keys of a round.
pub fn keys(bytes: &[u8]) -> bool {
    let Ok(bytes) = bytes.try_into() else {
        return false;
    };
    match RoundKeys::from_bytes(bytes) {
        Ok(keys) => {
            assert_eq!(&*keys.to_bytes(), bytes);
            let again = RoundKeys::from_bytes(&keys.to_bytes()).expect("what was written");
            assert_eq!(again.public(), keys.public());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

pub fn key_seeds() -> Vec<Vec<u8>> {
    let aes = RoundKeys::generate(Generator::Aes128Ctr, &mut ChaCha20Rng::seed_from_u64(3));
    vec![round_keys(1).to_bytes().to_vec(), aes.to_bytes().to_vec()]
}
