use super::*;
use crate::derive::RoundDigest;
use crate::generator::Generator;
use crate::mask::mask;

fn own(seed: u8) -> MaskKey {
    let generator = [Generator::Aes128Ctr, Generator::ChaCha12][usize::from(seed % 2)];
    MaskKey::own(&[seed; 32], &RoundDigest([0; 32]), 0, generator)
}

#[test]
fn own_and_pairwise_masks_come_off() {
    for ring in Ring::ALL {
        let mut sum = Aggregate::new(ring, 3);
        let pairs = [(own(2), Sign::Add), (own(3), Sign::Subtract)];
        sum.add(mask(vec![1, 2, u32::MAX], ring, &own(1), pairs))
            .unwrap();
        sum.add(mask(vec![10, 20, 30], ring, &own(4), [])).unwrap();
        assert_eq!((sum.ring(), sum.len()), (ring, 3));
        sum.remove(&[
            (own(1), Sign::Add),
            (own(4), Sign::Add),
            (own(2), Sign::Add),
        ]);
        assert_eq!(sum.clone().finish(), Err(SpoiledSum));
        sum.remove(&[(own(3), Sign::Subtract)]);
        assert_eq!(sum.finish(), Ok(vec![11, 22, 29]));
    }
}

#[test]
fn every_check_value_counts() {
    for ring in Ring::ALL {
        for place in 0..ring.check_values() {
            let mut bytes = vec![0; ring.upload_bytes(2)];
            let bit = (2 + place) * ring.bits() as usize + place % 16;
            bytes[bit / 8] = 1 << (bit % 8);
            let sum = Aggregate::from_bytes(&bytes, ring, 2).unwrap();
            assert_eq!(sum.finish(), Err(SpoiledSum), "{ring:?} {place}");
        }
    }
}

#[test]
fn another_shape_changes_nothing() {
    let mut sum = Aggregate::new(Ring::Bits20, 4);
    let before = sum.clone();
    for (ring, length) in [(Ring::Bits20, 5), (Ring::Bits24, 4)] {
        let error = sum
            .add(mask(vec![1; length], ring, &own(1), []))
            .unwrap_err();
        let expected = WrongShape {
            expected_length: 4,
            expected_bits: 20,
            found_length: length,
            found_bits: ring.bits(),
        };
        assert_eq!(error, expected);
        assert_eq!(sum, before);
    }
}

#[test]
fn an_empty_vector_still_has_its_check() {
    for ring in Ring::ALL {
        let mut sum = Aggregate::new(ring, 0);
        assert!(sum.is_empty());
        sum.add(mask(vec![], ring, &own(1), [])).unwrap();
        assert_eq!(sum.clone().finish(), Err(SpoiledSum));
        sum.remove(&[(own(1), Sign::Add)]);
        assert_eq!(sum.finish(), Ok(vec![]));
    }
}

#[test]
fn a_checkpoint_comes_back() {
    for ring in Ring::ALL {
        for length in [0, 1, 2, 3, 100] {
            let mut sum = Aggregate::new(ring, length);
            for seed in 1..4 {
                sum.add(mask(vec![7; length], ring, &own(seed), []))
                    .unwrap();
            }
            let bytes = sum.to_bytes();
            let mut restored = Aggregate::from_bytes(&bytes, ring, length).unwrap();
            assert_eq!(restored, sum);
            assert_ne!(restored, Aggregate::new(ring, length));
            restored.remove(&[1, 2, 3].map(|seed| (own(seed), Sign::Add)));
            assert_eq!(restored.finish(), Ok(vec![21; length]));

            let found = bytes.len() - 1;
            let expected = bytes.len();
            let error = Aggregate::from_bytes(&bytes[1..], ring, length).unwrap_err();
            assert_eq!(error, MalformedUpdate::Length { expected, found });
        }
    }
    let mut spare = vec![0; Ring::Bits20.upload_bytes(0)];
    spare[32] = 0x10;
    let error = Aggregate::from_bytes(&spare, Ring::Bits20, 0).unwrap_err();
    assert_eq!(error, MalformedUpdate::SpareBits);
}

/// No memory holds such a sum: nothing can be added to it and nothing comes out, but nothing panics either.
#[test]
fn absurd_lengths_give_nothing() {
    for ring in Ring::ALL {
        let mut sum = Aggregate::new(ring, usize::MAX);
        sum.remove(&[(own(1), Sign::Add)]);
        assert!(sum.add(mask(vec![1], ring, &own(1), [])).is_err());
        assert!(Aggregate::from_bytes(&[], ring, usize::MAX).is_err());
        assert_eq!(sum.finish(), Err(SpoiledSum));
    }
}

/// A sum of more than eight mebibytes, for which uploads wait: none is lost, whenever the sum is looked at.
#[test]
fn uploads_that_wait_are_not_lost() {
    let length = (CACHED_SUM / 4) + 1;
    let upload = |value| mask(vec![value; length], Ring::Bits24, &own(4), []);
    let mut sum = Aggregate::new(Ring::Bits24, length);
    let mut at_once = sum.clone();
    for value in [1, 2, 3] {
        sum.add(upload(value)).unwrap();
        at_once.add_all(&[upload(value)]).unwrap();
        assert_eq!(sum.waiting.len(), value as usize);
    }
    assert!(at_once.waiting.is_empty());
    assert_eq!(sum, at_once);
    let restored = Aggregate::from_bytes(&sum.clone().to_bytes(), Ring::Bits24, length);
    assert_eq!(restored, Ok(at_once));
    sum.remove(&[4, 4, 4].map(|seed| (own(seed), Sign::Add)));
    assert_eq!(sum.finish(), Ok(vec![6; length]));
}

#[test]
fn many_uploads_at_once_are_the_same_as_one_by_one() {
    for ring in Ring::ALL {
        let uploads: Vec<MaskedUpdate> = (0..19)
            .map(|seed| mask(vec![u32::from(seed) * 77_777; 1_201], ring, &own(seed), []))
            .collect();
        let mut one_by_one = Aggregate::new(ring, 1_201);
        for upload in &uploads {
            one_by_one.add(upload.clone()).unwrap();
        }
        let mut at_once = Aggregate::new(ring, 1_201);
        at_once.add_all(&uploads).unwrap();
        assert_eq!(at_once, one_by_one);

        let before = at_once.clone();
        let other = mask(vec![1; 1_200], ring, &own(1), []);
        let mixed = [uploads[0].clone(), other];
        assert!(at_once.add_all(&mixed).is_err());
        assert_eq!(at_once, before);
    }
}

/// Enough work for several threads, at a length that no range divides.
#[test]
fn threads_and_kernels_make_no_difference() {
    let masks: Vec<(MaskKey, Sign)> = (0..120_u8)
        .map(|seed| (own(seed), Sign::of(u32::from(seed) % 4, 1)))
        .collect();
    for ring in [Ring::Bits16, Ring::Bits20] {
        let mut expected = Aggregate::new(ring, 123_457);
        expected.remove_with(Kernel::PORTABLE, NonZeroUsize::MIN, &masks);
        assert_ne!(expected, Aggregate::new(ring, 123_457));
        for kernel in Kernel::available() {
            for threads in [2, 3, 64].map(|threads| NonZeroUsize::new(threads).unwrap()) {
                let mut sum = Aggregate::new(ring, 123_457);
                sum.remove_with(kernel, threads, &masks);
                assert_eq!(sum, expected, "{kernel} {threads}");
            }
        }
    }
}

/// What a catalogue of a few hundred thousand items needs.
#[test]
fn ten_million_values_are_exact() {
    let length = 10_000_019;
    let value = |i: usize| (i as u32).wrapping_mul(0x9e37_79b9);
    let mut sum = Aggregate::new(Ring::Bits20, length);
    let pair = |sign| [(own(9), sign)];
    for (seed, sign) in [(2, Sign::Add), (4, Sign::Subtract)] {
        let values = (0..length).map(value).collect();
        sum.add(mask(values, Ring::Bits20, &own(seed), pair(sign)))
            .unwrap();
    }
    sum.remove(&[(own(2), Sign::Add), (own(4), Sign::Add)]);
    let sum = sum.finish().unwrap();
    assert_eq!(sum.len(), length);
    for (i, sum) in sum.into_iter().enumerate() {
        assert_eq!(sum, Ring::Bits20.reduce(value(i).wrapping_mul(2)));
    }
}
