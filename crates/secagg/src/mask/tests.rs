use super::*;
use crate::expand::expand;
use crate::recover::{Dropped, recover_pairs};
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const DIGEST: RoundDigest = RoundDigest([7; 32]);

fn two(generators: [Generator; 2]) -> [RoundKeys; 2] {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    generators.map(|generator| RoundKeys::generate(generator, &mut rng))
}

fn pair(ours: &RoundKeys, theirs: &RoundKeys, digest: &RoundDigest, a: u32, b: u32) -> MaskKey {
    MaskKey::pair(ours, &theirs.public(), digest, a, b)
        .ok()
        .unwrap()
}

fn own(seed: u8, generator: Generator) -> MaskKey {
    MaskKey::own(&[seed; 32], &DIGEST, 0, generator)
}

fn bytes(key: &MaskKey) -> Vec<u8> {
    match &key.0 {
        Secret::Aes128Ctr(key) => key.to_vec(),
        Secret::ChaCha12(key) => key.to_vec(),
    }
}

#[test]
fn both_sides_and_the_coordinator_derive_one_key() {
    use Generator::{Aes128Ctr, ChaCha12};
    for generators in [[Aes128Ctr; 2], [Aes128Ctr, ChaCha12], [ChaCha12; 2]] {
        let [alice, bob] = two(generators);
        let ours = pair(&alice, &bob, &DIGEST, 2, 6);
        let theirs = pair(&bob, &alice, &DIGEST, 6, 2);
        assert_eq!(
            ours.generator(),
            Generator::between(generators[0], generators[1])
        );
        assert_eq!(bytes(&ours), bytes(&theirs));

        let dropped = Dropped {
            index: 2,
            mask_secret: &alice.mask_secret(),
            public: &alice.public(),
        };
        let recovered = recover_pairs(6, &bob.public(), &[dropped], &DIGEST);
        let (recovered, sign) = recovered.ok().unwrap().pop().unwrap();
        assert_eq!(sign, Sign::Subtract, "the survivor has the higher index");
        assert_eq!(bytes(&ours), bytes(&recovered));

        let other_round = RoundDigest([8; 32]);
        for (digest, a, b) in [(&other_round, 2, 6), (&DIGEST, 2, 7), (&DIGEST, 3, 6)] {
            assert_ne!(bytes(&ours), bytes(&pair(&alice, &bob, digest, a, b)));
        }
    }
    for generator in Generator::ALL {
        let key = |digest, index| bytes(&MaskKey::own(&[1; 32], digest, index, generator));
        assert_ne!(key(&DIGEST, 0), key(&DIGEST, 1));
        assert_ne!(key(&DIGEST, 0), key(&RoundDigest([8; 32]), 0));
    }
    assert_ne!(bytes(&own(1, Aes128Ctr)), bytes(&own(1, ChaCha12))[..16]);
}

#[test]
fn low_order_keys_are_refused() {
    let [alice, _] = two([Generator::Aes128Ctr; 2]);
    let zero = PublicKeys {
        cipher: [0; 32],
        mask: [0; 32],
        generator: Generator::Aes128Ctr,
    };
    let pair = MaskKey::pair(&alice, &zero, &DIGEST, 0, 1);
    assert_eq!(pair.err(), Some(KeyError::LowOrder));
}

/// Many masks of both kinds, with and without spare capacity, equal masks added one by one.
#[test]
fn many_masks_are_the_sum_of_each() {
    let sign = |i: u8| Sign::of(u32::from(i) % 2, 1);
    let generator = |i: u8| Generator::ALL[usize::from(i % 3 / 2)];
    for (ring, spare) in Ring::ALL.into_iter().zip([0, 100, 0, 100]) {
        let mut values: Vec<u32> = Vec::with_capacity(2_500 + spare);
        values.extend((0..2_500_u32).map(|i| i.wrapping_mul(0x9e37_79b9)));
        let mut words = values.clone();
        words.resize(2_500 + ring.check_values(), 0);
        let mut lanes: Vec<u16> = words.iter().map(|word| *word as u16).collect();
        for i in (0..70).chain([200]) {
            let mask = [(
                own(i, generator(i)),
                if i == 200 { Sign::Add } else { sign(i) },
            )];
            expand(Kernel::PORTABLE, &mask, 0, &mut words);
            expand(Kernel::PORTABLE, &mask, 0, &mut lanes);
        }
        if ring == Ring::Bits16 {
            words = lanes.iter().map(|lane| u32::from(*lane)).collect();
        }
        let mut expected = vec![0; ring.upload_bytes(2_500)];
        pack_wide(ring, &words, &mut expected);
        for kernel in Kernel::available() {
            let pairs = (0..70).map(|i| (own(i, generator(i)), sign(i)));
            let masked = mask_with(
                kernel,
                values.clone(),
                ring,
                &own(200, generator(200)),
                pairs,
            );
            assert_eq!(masked.bytes(), expected, "{kernel} {ring:?}");
            assert_eq!((masked.ring(), masked.length()), (ring, 2_500));
        }
    }
}

/// Chi-square of how often each byte occurs: 255 degrees of freedom, so 255 is expected with a deviation of 22.6.
fn chi_square(bytes: impl ExactSizeIterator<Item = u8>) -> f64 {
    let expected = bytes.len() as f64 / 256.0;
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let squares = counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2));
    squares.sum::<f64>() / expected
}

/// Six deviations on either side. The keys are fixed, so this passes always or never.
fn looks_uniform(bytes: impl ExactSizeIterator<Item = u8>) -> bool {
    (120.0..391.0).contains(&chi_square(bytes))
}

/// An upload of zeros says nothing: its bytes are as frequent as those of uniform values, and so are the differences of
/// neighbouring values. With the mask left out, or with one bit in 96 held down, the same test fails.
#[test]
fn one_upload_is_uniform() {
    for generators in [[Generator::Aes128Ctr; 2], [Generator::ChaCha12; 2]] {
        let [alice, bob] = two(generators);
        for ring in Ring::ALL {
            let pairs = [(pair(&alice, &bob, &DIGEST, 0, 1), Sign::of(0, 1))];
            for upload in [
                mask(vec![0; 1 << 18], ring, &own(3, generators[0]), pairs),
                mask(vec![0; 1 << 18], ring, &own(3, generators[0]), []),
            ] {
                let bytes = upload.into_bytes();
                assert!(looks_uniform(bytes.iter().copied()), "{ring:?}");
                // A whole number of values apart, for every ring.
                let differences = bytes.iter().zip(&bytes[60..]);
                let differences = differences.map(|(one, other)| one.wrapping_sub(*other));
                assert!(looks_uniform(differences), "{ring:?}");

                let held = bytes.iter().enumerate();
                let held = held.map(|(i, byte)| if i % 12 == 0 { byte & 0x7f } else { *byte });
                assert!(!looks_uniform(held), "{ring:?}");
                assert!(!looks_uniform(bytes.iter().map(|_| 0)), "{ring:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn reading_arbitrary_bytes_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        length in 0..60_usize,
    ) {
        for ring in Ring::ALL {
            match MaskedUpdate::from_bytes(bytes.clone(), ring, length) {
                Ok(update) => {
                    prop_assert_eq!(bytes.len(), ring.upload_bytes(length));
                    prop_assert_eq!((update.ring(), update.length()), (ring, length));
                    prop_assert_eq!(update.bytes(), &bytes);
                    prop_assert_eq!(update.into_bytes(), bytes.clone());
                }
                Err(MalformedUpdate::Length { expected, found }) => {
                    prop_assert_eq!(expected, ring.upload_bytes(length));
                    prop_assert_eq!(found, bytes.len());
                    prop_assert_ne!(expected, found);
                }
                Err(MalformedUpdate::SpareBits) => {
                    prop_assert_eq!(ring, Ring::Bits20);
                    prop_assert!(bytes.last().is_some_and(|last| last >> 4 != 0));
                }
            }
        }
    }
}

#[test]
fn absurd_lengths_are_refused() {
    for ring in Ring::ALL {
        for length in [1, usize::MAX, usize::MAX / 4 + 1, usize::MAX - 8] {
            let read = |bytes| MaskedUpdate::from_bytes(bytes, ring, length);
            assert!(read(vec![]).is_err());
            assert!(read(vec![0; ring.upload_bytes(0)]).is_err());
        }
        assert!(MaskedUpdate::from_bytes(vec![0; ring.upload_bytes(0)], ring, 0).is_ok());
    }
}

#[test]
fn debug_shows_no_values() {
    let update = MaskedUpdate::from_bytes(vec![123; 48], Ring::Bits24, 5).unwrap();
    assert_eq!(format!("{update:?}"), "MaskedUpdate(5 values of 24 bits)");
}
