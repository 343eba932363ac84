use super::*;
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const DIGEST: RoundDigest = RoundDigest([7; 32]);

fn two() -> (RoundKeys, RoundKeys) {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    (RoundKeys::generate(&mut rng), RoundKeys::generate(&mut rng))
}

#[test]
fn both_sides_and_the_coordinator_derive_one_key() {
    let (alice, bob) = two();
    let ours = MaskKey::pair(&alice, &bob.public(), &DIGEST, 2, 6)
        .ok()
        .unwrap();
    let theirs = MaskKey::pair(&bob, &alice.public(), &DIGEST, 6, 2)
        .ok()
        .unwrap();
    let recovered = MaskKey::recovered(
        &alice.mask_secret(),
        &alice.public(),
        &bob.public(),
        &DIGEST,
        2,
        6,
    );
    assert_eq!(ours.0, theirs.0);
    assert_eq!(ours.0, recovered.ok().unwrap().0);

    let other_round = RoundDigest([8; 32]);
    for (digest, a, b) in [(&other_round, 2, 6), (&DIGEST, 2, 7), (&DIGEST, 3, 6)] {
        let other = MaskKey::pair(&alice, &bob.public(), digest, a, b)
            .ok()
            .unwrap();
        assert_ne!(ours.0, other.0);
    }
    let seed = [1; 32];
    assert_ne!(
        MaskKey::own(&seed, &DIGEST, 0).0,
        MaskKey::own(&seed, &DIGEST, 1).0
    );
    assert_ne!(
        MaskKey::own(&seed, &DIGEST, 0).0,
        MaskKey::own(&seed, &other_round, 0).0
    );
}

#[test]
fn low_order_keys_are_refused() {
    let (alice, _) = two();
    let zero = PublicKeys {
        cipher: [0; 32],
        mask: [0; 32],
    };
    let pair = MaskKey::pair(&alice, &zero, &DIGEST, 0, 1);
    assert_eq!(pair.err(), Some(KeyError::LowOrder));
    let recovered = MaskKey::recovered(&[1; 32], &zero, &zero, &DIGEST, 0, 1);
    assert_eq!(recovered.err(), Some(KeyError::LowOrder));
}

/// More masks than one batch holds, with and without spare capacity, equal masks applied one by one.
#[test]
fn batches_equal_single_masks() {
    for spare in [0, 100] {
        let mut values: Vec<u32> = Vec::with_capacity(2_500 + spare);
        values.extend(0..2_500_u32);
        let key = |i: u8| MaskKey([i; 16]);
        let sign = |i: u8| Sign::of(u32::from(i) % 2, 1);
        let mut expected: Vec<u32> = values.iter().copied().chain([0; CHECK_WORDS]).collect();
        expand_add(&key(200), &mut expected);
        for i in 0..70 {
            match sign(i) {
                Sign::Add => expand_add(&key(i), &mut expected),
                Sign::Subtract => expand_sub(&key(i), &mut expected),
            }
        }
        let masked = mask(values, &key(200), (0..70).map(|i| (key(i), sign(i))));
        assert_eq!(masked.words(), expected);
    }
}

#[test]
fn ranges_make_up_the_whole() {
    let key = MaskKey([9; 16]);
    let mut whole = vec![0; 1_000];
    expand_add(&key, &mut whole);
    let mut parts = vec![0; 1_000];
    let (first, second) = parts.split_at_mut(600);
    expand_range(&key, Sign::Add, 150, second);
    expand_range(&key, Sign::Add, 0, first);
    assert_eq!(parts, whole);
}

/// Chi-square of the bytes of an upload of zeros, 255 degrees of freedom: 255 expected, deviation 22.6.
#[test]
fn a_masked_zero_vector_looks_uniform() {
    let (alice, bob) = two();
    let pair = MaskKey::pair(&alice, &bob.public(), &DIGEST, 0, 1)
        .ok()
        .unwrap();
    let own = MaskKey::own(&[3; 32], &DIGEST, 0);
    let bytes = mask(vec![0; 1 << 16], &own, [(pair, Sign::of(0, 1))]).to_le_bytes();
    let mut counts = [0_u32; 256];
    bytes
        .iter()
        .for_each(|byte| counts[usize::from(*byte)] += 1);
    let expected = bytes.len() as f64 / 256.0;
    let chi_square: f64 = counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum();
    assert!((160.0..370.0).contains(&chi_square), "{chi_square}");
}

proptest! {
    #[test]
    fn reading_arbitrary_bytes_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        expected in 0..60_usize,
    ) {
        match MaskedUpdate::from_le_bytes(&bytes, expected) {
            Ok(update) => {
                prop_assert!(expected >= CHECK_WORDS);
                prop_assert_eq!(update.words().len(), expected);
                prop_assert_eq!(update.to_le_bytes(), bytes);
            }
            Err(error) => {
                prop_assert!(bytes.len() != expected * 4 || expected < CHECK_WORDS);
                prop_assert_eq!(error.found, bytes.len());
            }
        }
    }
}

#[test]
fn absurd_lengths_are_refused() {
    for expected in [0, CHECK_WORDS - 1, usize::MAX, usize::MAX / 4 + 1] {
        assert!(MaskedUpdate::from_le_bytes(&[], expected).is_err());
    }
    assert!(MaskedUpdate::from_le_bytes(&[0; 4 * CHECK_WORDS], CHECK_WORDS).is_ok());
}

#[test]
fn debug_shows_no_words() {
    let update = MaskedUpdate(vec![12_345; 9]);
    assert_eq!(format!("{update:?}"), "MaskedUpdate(9 words)");
}
