//! Keystreams, expanded straight into the vector they mask.

use aes::Aes128;
use chacha20::cipher::array::Array;
use chacha20::cipher::{KeyIvInit, StreamCipherCore, StreamCipherSeekCore};
use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, R12};
use zeroize::Zeroize;

use crate::kernel::Kernel;
use crate::keystream::Sign;
use crate::mask::{MaskKey, Secret};

/// Bytes of keystream in one unit: four blocks of AES, one of ChaCha. Keystreams are addressed by unit.
pub const UNIT_BYTES: usize = 64;

/// Units expanded at a time: they stay in the first-level cache between expansion and addition.
const TILE_UNITS: usize = 64;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
}

/// An element of a masked vector in memory: `u16` modulo `2^16`, `u32` for every other ring.
pub trait Lane: Copy + Default + Zeroize + Send + sealed::Sealed {
    /// Bytes of keystream that mask one element.
    const BYTES: usize;

    /// Adds little-endian elements of a keystream, or subtracts them, as far as both reach.
    #[doc(hidden)]
    fn combine(lanes: &mut [Self], keystream: &[u8], sign: Sign);
}

impl Lane for u16 {
    const BYTES: usize = 2;

    fn combine(lanes: &mut [Self], keystream: &[u8], sign: Sign) {
        let pairs = lanes.iter_mut().zip(keystream.as_chunks::<2>().0);
        match sign {
            Sign::Add => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_add(u16::from_le_bytes(*key)))
            }
            Sign::Subtract => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_sub(u16::from_le_bytes(*key)));
            }
        }
    }
}

impl Lane for u32 {
    const BYTES: usize = 4;

    fn combine(lanes: &mut [Self], keystream: &[u8], sign: Sign) {
        let pairs = lanes.iter_mut().zip(keystream.as_chunks::<4>().0);
        match sign {
            Sign::Add => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_add(u32::from_le_bytes(*key)))
            }
            Sign::Subtract => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_sub(u32::from_le_bytes(*key)));
            }
        }
    }
}

/// Adds or subtracts a part of several masks: `lanes` is the part of the vector that starts at element
/// `first_unit * 64 / L::BYTES`. Parts can be expanded alone and in any order (secagg.md 4.3).
///
/// The keystream of an AES key is AES-128 of the 128-bit big-endian numbers 0, 1, 2 and so on (NIST SP 800-38A 6.5 with
/// an initial counter of zero), unit `u` starting at number `4 u`. That of a ChaCha12 key has the unit as its 64-bit
/// little-endian counter and a nonce of zero. Elements are little-endian. A key masks one vector, so no nonce is needed.
pub fn expand<L: Lane>(
    kernel: Kernel,
    masks: &[(MaskKey, Sign)],
    first_unit: u64,
    lanes: &mut [L],
) {
    for (key, sign) in masks {
        expand_one(kernel, key, *sign, first_unit, lanes);
    }
}

pub(crate) fn expand_one<L: Lane>(
    kernel: Kernel,
    key: &MaskKey,
    sign: Sign,
    first_unit: u64,
    lanes: &mut [L],
) {
    let _ = kernel;
    let mut tile = [Array([0; UNIT_BYTES]); TILE_UNITS];
    let mut unit = first_unit;
    for lanes in lanes.chunks_mut(TILE_UNITS * UNIT_BYTES / L::BYTES) {
        match &key.0 {
            Secret::Aes128Ctr(key) => {
                let mut stream = ctr::CtrCore::<Aes128, ctr::flavors::Ctr128BE>::new(
                    key.into(),
                    &Array([0; 16]),
                );
                stream.set_block_pos(u128::from(unit) * 4);
                let (blocks, _) = Array::slice_as_flattened_mut(&mut tile).as_chunks_mut::<16>();
                stream.write_keystream_blocks(Array::cast_slice_from_core_mut(blocks));
            }
            Secret::ChaCha12(key) => chacha(key, unit, &mut tile),
        }
        L::combine(lanes, Array::slice_as_flattened(&tile), sign);
        unit = unit.wrapping_add(TILE_UNITS as u64);
    }
    Array::slice_as_flattened_mut(&mut tile).zeroize();
}

/// The keystream of a ChaCha12 key from a unit on. The crate's counter has 32 bits; the upper half of ours is where the
/// first word of its nonce is, as in Bernstein's layout of 64-bit counter and 64-bit nonce.
fn chacha(
    key: &[u8; 32],
    first_unit: u64,
    mut tile: &mut [Array<u8, chacha20::cipher::consts::U64>],
) {
    let mut unit = first_unit;
    while !tile.is_empty() {
        let mut nonce = [0; 12];
        let (upper, _) = nonce.split_at_mut(4);
        upper.copy_from_slice(&((unit >> 32) as u32).to_le_bytes());
        let mut stream = ChaChaCore::<R12, Ietf>::new(key.into(), &Array(nonce));
        stream.set_block_pos(unit as u32);
        let until_carry =
            usize::try_from((1_u64 << 32) - (unit & 0xffff_ffff)).unwrap_or(usize::MAX);
        let (now, later) = tile.split_at_mut(until_carry.min(tile.len()));
        stream.write_keystream_blocks(now);
        unit = unit.wrapping_add(now.len() as u64);
        tile = later;
    }
}
