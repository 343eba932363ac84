use super::*;
use crate::derive::RoundDigest;
use crate::generator::Generator;
use proptest::prelude::*;

/// The keystream from its definition: one block at a time, ChaCha12 written out.
fn slow(key: &MaskKey, first_unit: u64, bytes: usize) -> Vec<u8> {
    let mut keystream = Vec::new();
    for unit in first_unit.. {
        match &key.0 {
            Secret::Aes128Ctr(key) => {
                let cipher = Aes128Enc::new(key.into());
                for block in 0..4 {
                    let mut block = Array((4 * u128::from(unit) + block).to_be_bytes());
                    cipher.encrypt_block(&mut block);
                    keystream.extend(block);
                }
            }
            Secret::ChaCha12(key) => keystream.extend(chacha12(key, unit)),
        }
        if keystream.len() >= bytes {
            break;
        }
    }
    keystream.truncate(bytes);
    keystream
}

fn chacha12(key: &[u8; 32], counter: u64) -> [u8; 64] {
    let mut state = [0_u32; 16];
    let parts: [&[u8]; 4] = [b"expand 32-byte k", key, &counter.to_le_bytes(), &[0; 8]];
    for (word, bytes) in state.iter_mut().zip(parts.concat().as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut mixed = state;
    for round in 0..12 {
        for column in 0..4 {
            // Even rounds go down the columns, odd ones down the diagonals.
            let row = |i: usize| 4 * i + (column + i * (round % 2)) % 4;
            let [a, b, c, d] = [0, 1, 2, 3].map(row);
            for (turn, [x, y, z]) in [
                (16, [a, b, d]),
                (12, [c, d, b]),
                (8, [a, b, d]),
                (7, [c, d, b]),
            ] {
                mixed[x] = mixed[x].wrapping_add(mixed[y]);
                mixed[z] = (mixed[z] ^ mixed[x]).rotate_left(turn);
            }
        }
    }
    let mut bytes = [0; 64];
    for (place, (mixed, word)) in bytes
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(mixed.iter().zip(state))
    {
        *place = mixed.wrapping_add(word).to_le_bytes();
    }
    bytes
}

/// Lanes of either width, so that one property serves for both.
trait Slow: Lane + PartialEq + core::fmt::Debug {
    fn apply(self, keystream: &[u8], sign: Sign) -> Self;
}

impl Slow for u16 {
    fn apply(self, keystream: &[u8], sign: Sign) -> Self {
        let mask = u16::from_le_bytes(keystream.try_into().unwrap());
        match sign {
            Sign::Add => self.wrapping_add(mask),
            Sign::Subtract => self.wrapping_sub(mask),
        }
    }
}

impl Slow for u32 {
    fn apply(self, keystream: &[u8], sign: Sign) -> Self {
        let mask = u32::from_le_bytes(keystream.try_into().unwrap());
        match sign {
            Sign::Add => self.wrapping_add(mask),
            Sign::Subtract => self.wrapping_sub(mask),
        }
    }
}

fn every_kernel_is_exact<L: Slow>(masks: &[(MaskKey, Sign)], first_unit: u64, start: Vec<L>) {
    let mut expected = start.clone();
    for (key, sign) in masks {
        let keystream = slow(key, first_unit, size_of_val(start.as_slice()));
        for (lane, keystream) in expected.iter_mut().zip(keystream.chunks(L::BYTES)) {
            *lane = lane.apply(keystream, *sign);
        }
    }
    for kernel in Kernel::available() {
        let mut lanes = start.clone();
        expand(kernel, masks, first_unit, &mut lanes);
        assert_eq!(lanes, expected, "{kernel}");
        // At every place the borders of memory words and registers may have.
        for offset in [1, 2, 3, 7, 31] {
            let mut shifted = vec![L::default(); offset];
            shifted.extend(&start);
            let (before, lanes) = shifted.split_at_mut(offset);
            expand(kernel, masks, first_unit, lanes);
            assert_eq!(lanes, expected, "{kernel} {offset}");
            assert!(before.iter().all(|lane| *lane == L::default()));
        }
    }
}

fn key(number: u32) -> MaskKey {
    let generator = Generator::ALL[(number % 3 / 2) as usize];
    MaskKey::own(&[5; 32], &RoundDigest([6; 32]), number, generator)
}

/// Numbers of keys, and whether each is added: keys themselves have no `Debug`.
fn numbers() -> impl Strategy<Value = Vec<(u32, bool)>> {
    prop::collection::vec(any::<(u32, bool)>(), 0..6)
}

fn masks(numbers: &[(u32, bool)]) -> Vec<(MaskKey, Sign)> {
    let sign = |add| if add { Sign::Add } else { Sign::Subtract };
    numbers
        .iter()
        .map(|(i, add)| (key(*i), sign(*add)))
        .collect()
}

/// Lengths around the borders of units, registers, tiles and scratch, and any others.
fn length() -> impl Strategy<Value = usize> {
    let border = prop::sample::select(vec![8, 16, 32, 64, 128, 256, 1024, 2048, 8192, 16384]);
    prop_oneof![
        0..6_usize,
        (border, 0..5_usize).prop_map(|(border, beside)| border - 2 + beside),
        0..20_000_usize,
    ]
}

/// Small ones, those around a carry of the counters, and any others.
fn first_unit() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..100_u64,
        (1_u64 << 32) - 300..(1 << 32) + 10,
        (1_u64 << 30) - 300..(1 << 30) + 10,
        0..1_u64 << 61,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn narrow_lanes_are_exact(numbers in numbers(), unit in first_unit(), length in length(), start: u16) {
        every_kernel_is_exact(&masks(&numbers), unit, vec![start; length]);
    }

    #[test]
    fn wide_lanes_are_exact(numbers in numbers(), unit in first_unit(), length in length(), start: u32) {
        every_kernel_is_exact(&masks(&numbers), unit, vec![start; length]);
    }

    #[test]
    fn ranges_make_up_the_whole(numbers in numbers(), length in length(), cut in 0..200_usize) {
        let masks = masks(&numbers);
        for kernel in Kernel::available() {
            let mut whole = vec![0_u32; length];
            expand(kernel, &masks, 3, &mut whole);
            let mut parts = vec![0; length];
            let (first, second) = parts.split_at_mut((16 * cut).min(length));
            expand(kernel, &masks, 3 + cut as u64, second);
            expand(kernel, &masks, 3, first);
            prop_assert_eq!(parts, whole);
        }
    }
}

/// More masks than a batch holds.
#[test]
fn many_masks_are_exact() {
    let masks: Vec<_> = (0..2 * BATCH as u32 + 3)
        .map(|i| (key(i), Sign::of(i % 2, 1)))
        .collect();
    every_kernel_is_exact(&masks, 0, vec![7_u16; 700]);
    every_kernel_is_exact(&masks, 0, vec![7_u32; 350]);
}

/// The last unit there is; what comes after it is of no use, but does not panic.
#[test]
fn the_end_of_the_counter_is_no_trap() {
    for kernel in Kernel::available() {
        for unit in [(1 << 62) - 1, 1 << 62, u64::MAX] {
            expand(
                kernel,
                &[(key(0), Sign::Add), (key(2), Sign::Add)],
                unit,
                &mut [0_u32; 2000],
            );
        }
    }
}

/// AES-128 under the zero key of 0, 1 and 2 as big-endian numbers: the values in the GCM specification's test cases 1
/// and 2 (McGrew, Viega); and the first bytes of ChaCha12 under the zero key and nonce (draft-strombergson-chacha-test-
/// vectors-01, TC1, 256 bits, 12 rounds).
#[test]
fn first_bytes_are_the_published_ones() {
    for kernel in Kernel::available() {
        let first = |key| {
            let mut lanes = [0_u32; 12];
            expand(kernel, &[(MaskKey(key), Sign::Add)], 0, &mut lanes);
            hex::encode(lanes.map(u32::to_le_bytes).concat())
        };
        assert_eq!(
            first(Secret::Aes128Ctr([0; 16])),
            "66e94bd4ef8a2c3b884cfa59ca342b2e\
             58e2fccefa7e3061367f1d57a4e7455a\
             0388dace60b6a392f328c2b971b2fe78"
        );
        assert!(first(Secret::ChaCha12([0; 32])).starts_with("9bf49a6a0755f953811fce125f2683d5"));
    }
}
