use super::*;
use crate::generator::Generator;
use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::*;

fn public(mask: [u8; 32]) -> PublicKeys {
    PublicKeys {
        cipher: [0; 32],
        mask,
        generator: Generator::Aes128Ctr,
    }
}

/// The secrets agreed by both ways, for many scalars at once, or the error of both.
fn both(point: [u8; 32], secrets: &[[u8; 32]]) -> [Result<Vec<[u8; 32]>, KeyError>; 2] {
    let advertised = public([0; 32]);
    let dropped: Vec<Dropped<'_>> = secrets
        .iter()
        .map(|mask_secret| Dropped {
            index: 1,
            mask_secret,
            public: &advertised,
        })
        .collect();
    let fast = agree_with_many(&point, &dropped).map(|agreed| agreed.to_vec());
    let ladder = secrets
        .iter()
        .map(|secret| Ok(agree(&StaticSecret::from(*secret), &point)?.to_bytes()))
        .collect();
    [fast, ladder]
}

/// Scalars with long runs of equal bits, where digits carry.
fn special() -> Vec<[u8; 32]> {
    let mut secrets = vec![
        [0; 32], [0xff; 32], [0x77; 32], [0x88; 32], [0x87; 32], [0x78; 32],
    ];
    for bit in 0..256 {
        let mut one = [0; 32];
        one[bit / 8] = 1 << (bit % 8);
        secrets.push(one);
        secrets.push(one.map(|byte| !byte));
    }
    secrets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes are a u-coordinate: half of them on the curve, half on its twist; many are not reduced.
    #[test]
    fn any_point_agrees_as_the_ladder_does(
        point: [u8; 32],
        secrets in prop::collection::vec(any::<[u8; 32]>(), 0..9),
    ) {
        let [fast, ladder] = both(point, &secrets);
        prop_assert_eq!(fast, ladder);
    }

    /// Points with a part of low order, which X25519 must not see.
    #[test]
    fn torsion_makes_no_difference(
        scalar: [u8; 32],
        torsion in 0..8_usize,
        secrets in prop::collection::vec(any::<[u8; 32]>(), WORTH_A_TABLE..9),
    ) {
        let point = EdwardsPoint::mul_base_clamped(scalar) + EIGHT_TORSION[torsion];
        let [fast, ladder] = both(point.to_montgomery().to_bytes(), &secrets);
        prop_assert_eq!(&fast, &ladder);
        let plain = EdwardsPoint::mul_base_clamped(scalar);
        let [without, _] = both(plain.to_montgomery().to_bytes(), &secrets);
        prop_assert_eq!(fast, without);
    }
}

#[test]
fn special_scalars_agree_as_on_the_ladder() {
    // The base point, a point of the twist, and one above the modulus.
    for (first, last) in [(9, 0), (2, 0), (9, 0x80), (0xf6, 0x7f)] {
        let mut point = [if last == 0x7f { 0xff } else { 0 }; 32];
        (point[0], point[31]) = (first, last);
        let [fast, ladder] = both(point, &special());
        assert_eq!(fast, ladder, "{first} {last}");
    }
}

#[test]
fn small_coordinates_agree_as_on_the_ladder() {
    let secrets: Vec<[u8; 32]> = (0..5).map(|i| [0x35 * i + 1; 32]).collect();
    for low in 0..=255 {
        for high in [0x00, 0x7f, 0xff] {
            let mut point = [if high == 0 { 0 } else { 0xff }; 32];
            (point[0], point[31]) = (low, high);
            let [fast, ladder] = both(point, &secrets);
            assert_eq!(fast, ladder, "{low} {high}");
        }
    }
}

#[test]
fn low_order_is_refused_however_many() {
    for point in &EIGHT_TORSION {
        let u = point.to_montgomery().to_bytes();
        for count in [1, WORTH_A_TABLE, 20] {
            let [fast, ladder] = both(u, &vec![[7; 32]; count]);
            assert_eq!(fast, Err(KeyError::LowOrder));
            assert_eq!(ladder, Err(KeyError::LowOrder));
        }
    }
}

#[test]
fn digits_make_up_the_scalar() {
    for secret in special() {
        let bytes = clamp_integer(secret);
        // Subtract 8 * 16^i * digit for every digit; nothing must be left. Signed bytes with a running borrow.
        let digits = digits(&secret);
        let mut carry = 0_i32;
        for (byte, [even, odd]) in bytes.iter().zip(digits.iter()) {
            let left = i32::from(*byte) - 8 * (i32::from(*even) + 16 * i32::from(*odd)) + carry;
            assert_eq!(left % 256, 0);
            carry = left / 256;
        }
        assert_eq!(carry, 0);
        assert!(
            digits
                .iter()
                .flatten()
                .all(|digit| (-8..=8).contains(digit))
        );
    }
}
