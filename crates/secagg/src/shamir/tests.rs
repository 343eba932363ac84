use super::*;
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn copy(share: &Share) -> Share {
    Share {
        x: share.x,
        y: share.y,
    }
}

fn error<T>(result: Result<T, ShareError>) -> ShareError {
    result.err().unwrap()
}

/// Carry-less multiplication, then long division by 0x11d: nothing in common with the code under test.
fn multiply(a: u8, b: u8) -> u8 {
    let mut product = (0..8)
        .filter(|bit| b >> bit & 1 == 1)
        .fold(0_u32, |sum, bit| sum ^ (u32::from(a) << bit));
    for bit in (8..16).rev() {
        if product >> bit & 1 == 1 {
            product ^= 0x11d << (bit - 8);
        }
    }
    product as u8
}

#[test]
fn multiplication_is_that_of_the_field() {
    let spread = |value: u8| core::array::from_fn(|i| value ^ (i as u8).wrapping_mul(37));
    for b in 0..=255_u8 {
        let factor = Factor::new(b);
        for a in 0..=255_u8 {
            let expected = spread(a).map(|value| multiply(value, b));
            let mut values = spread(a);
            scale(&mut values, b);
            assert_eq!(values, expected);
            let addend: [u8; 32] = spread(b);
            let sum =
                Planes::from_bytes(&spread(a)).times_plus(&factor, &Planes::from_bytes(&addend));
            assert_eq!(
                sum.to_bytes(),
                core::array::from_fn(|i| expected[i] ^ addend[i])
            );
        }
    }
}

#[test]
fn logarithms_turn_products_into_sums() {
    for a in 1..=255_u8 {
        assert_eq!(power(logarithm(a)), a);
        for b in 1..=255_u8 {
            assert_eq!(power(logarithm(a) + logarithm(b)), multiply(a, b));
            let quotient = power(logarithm(a) + 255 - logarithm(b));
            assert_eq!(multiply(quotient, b), a);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_threshold_shares_open_the_secret(
        secret in prop::array::uniform32(any::<u8>()),
        (threshold, count) in (2..=40_usize).prop_flat_map(|t| (Just(t), t..=80_usize)),
        order in any::<u64>(),
        seed in any::<u8>(),
    ) {
        let shares = split(&secret, threshold, count, &mut rng(seed)).unwrap_or_default();
        prop_assert_eq!(shares.len(), count);
        // A different subset for every case: sort by a keyed mix of the position.
        let mut subset: Vec<&Share> = shares.iter().collect();
        subset.sort_by_key(|share| (order ^ u64::from(share.x)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let subset: Vec<Share> = subset.into_iter().take(threshold).map(copy).collect();
        let opened = combine(threshold, &subset);
        prop_assert_eq!(opened.ok().map(|opened| *opened), Some(secret));
        let fewer = error(combine(threshold, &subset[1..]));
        prop_assert_eq!(fewer, ShareError::TooFew { needed: threshold, given: threshold - 1 });
    }
}

#[test]
fn the_largest_split_works() {
    let secret = [9; 32];
    let shares = split(&secret, 255, 255, &mut rng(1)).ok().unwrap();
    assert_eq!(*combine(255, &shares).unwrap(), secret);
}

/// One byte, threshold 3, two shares known: for every candidate secret exactly one polynomial passes through the
/// shares, so the shares leave all 256 equally likely.
#[test]
fn fewer_shares_fit_every_secret_equally_well() {
    let shares = split(&[0x5a; 32], 3, 5, &mut rng(2)).ok().unwrap();
    let (first, second) = (&shares[1], &shares[4]);
    for candidate in 0..=255_u8 {
        let mut fitting = 0;
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                let at = |x| candidate ^ multiply(b, x) ^ multiply(a, multiply(x, x));
                fitting += u32::from(at(first.x) == first.y[0] && at(second.x) == second.y[0]);
            }
        }
        assert_eq!(fitting, 1, "candidate {candidate}");
    }
}

/// Over the randomness of the splitter, a single share (threshold 2) is uniform, zero included: the bias of
/// RUSTSEC-2024-0398 would make a share never equal to the secret.
#[test]
fn one_share_is_uniform() {
    let mut rng = rng(3);
    let mut counts = [0_u32; 256];
    for _ in 0..2_000 {
        let shares = split(&[0x77; 32], 2, 2, &mut rng).ok().unwrap();
        shares[0]
            .y
            .iter()
            .for_each(|byte| counts[usize::from(*byte)] += 1);
    }
    let chi_square: f64 = counts
        .iter()
        .map(|count| (f64::from(*count) - 250.0).powi(2) / 250.0)
        .sum();
    assert!((160.0..370.0).contains(&chi_square), "{chi_square}");
}

#[test]
fn refuses_bad_requests() {
    for (threshold, count) in [(0, 5), (1, 5), (6, 5), (2, 256), (2, 0), (256, 256)] {
        assert_eq!(
            error(split(&[0; 32], threshold, count, &mut rng(4))),
            ShareError::Split { threshold, count }
        );
    }
    let mut shares = split(&[1; 32], 2, 3, &mut rng(5)).ok().unwrap();
    assert_eq!(
        error(combine(1, &shares)),
        ShareError::Threshold { threshold: 1 }
    );
    assert_eq!(
        error(combine(2, &[])),
        ShareError::TooFew {
            needed: 2,
            given: 0
        }
    );
    shares[2].x = 1;
    assert_eq!(
        error(combine(2, &shares)),
        ShareError::DuplicatePosition { x: 1 }
    );
    shares[2].x = 0;
    assert_eq!(error(combine(2, &shares)), ShareError::ZeroPosition);
}

#[test]
fn blahaj_opens_our_shares() {
    let secret: [u8; 32] = core::array::from_fn(|i| (i * 7 + 1) as u8);
    let shares = split(&secret, 5, 9, &mut rng(6)).ok().unwrap();
    let theirs: Vec<blahaj::Share> = shares
        .iter()
        .skip(3)
        .take(5)
        .map(|share| {
            let bytes: Vec<u8> = core::iter::once(share.x).chain(share.y).collect();
            blahaj::Share::try_from(bytes.as_slice()).unwrap()
        })
        .collect();
    assert_eq!(blahaj::Sharks(5).recover(&theirs).unwrap(), secret);
}

#[test]
fn we_open_the_shares_of_blahaj() {
    let secret: [u8; 32] = core::array::from_fn(|i| (i * 11 + 5) as u8);
    let shares: Vec<Share> = blahaj::Sharks(4)
        .dealer_rng(&secret, &mut rng(7))
        .take(6)
        .map(|share| {
            let bytes = Vec::from(&share);
            Share {
                x: bytes[0],
                y: bytes[1..].try_into().unwrap(),
            }
        })
        .collect();
    assert_eq!(*combine(4, &shares[2..]).unwrap(), secret);
}
