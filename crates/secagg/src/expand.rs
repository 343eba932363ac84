//! Keystreams, expanded straight into the vector they mask.

use aes::Aes128Enc;
use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, R12};
use cipher::array::Array;
use cipher::consts::{U16, U64};
use cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    KeyIvInit, ParBlocks, StreamCipherCore,
};
use zeroize::{DefaultIsZeroes, Zeroize, Zeroizing};

use crate::kernel::{Kernel, Schedule};
use crate::keystream::Sign;
use crate::mask::{MaskKey, Secret};

/// Bytes of keystream in one unit: four blocks of AES, one of ChaCha. Keystreams are addressed by unit.
pub const UNIT_BYTES: usize = 64;

/// Masks expanded side by side. More would not be faster: their key schedules just fit the first-level cache.
pub(crate) const BATCH: usize = 256;

/// Units that the portable code expands at a time: each key's backend is set up once for each of these tiles.
const TILE_UNITS: usize = 512;
const TILE_BLOCKS: usize = TILE_UNITS * UNIT_BYTES / 16;

/// Blocks of keystream between expansion and addition, in the first-level cache.
const SCRATCH_BLOCKS: usize = 256;

type Block = Array<u8, U16>;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
}

/// An element of a masked vector in memory: `u16` modulo `2^16`, `u32` for every other ring.
pub trait Lane: DefaultIsZeroes + Send + sealed::Sealed {
    /// Bytes of keystream that mask one element.
    const BYTES: usize;

    /// Adds little-endian elements of a keystream, or subtracts them, as far as both reach.
    #[doc(hidden)]
    fn combine(lanes: &mut [Self], keystream: &[u8], sign: Sign);
}

impl Lane for u16 {
    const BYTES: usize = 2;

    // Compiled into its callers, which may use more instructions than it could alone.
    #[inline(always)]
    fn combine(lanes: &mut [Self], keystream: &[u8], sign: Sign) {
        let pairs = lanes.iter_mut().zip(keystream.as_chunks::<2>().0);
        match sign {
            Sign::Add => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_add(u16::from_le_bytes(*key)));
            }
            Sign::Subtract => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_sub(u16::from_le_bytes(*key)));
            }
        }
    }
}

impl Lane for u32 {
    const BYTES: usize = 4;

    // Compiled into its callers, which may use more instructions than it could alone.
    #[inline(always)]
    fn combine(lanes: &mut [Self], keystream: &[u8], sign: Sign) {
        let pairs = lanes.iter_mut().zip(keystream.as_chunks::<4>().0);
        match sign {
            Sign::Add => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_add(u32::from_le_bytes(*key)));
            }
            Sign::Subtract => {
                pairs.for_each(|(lane, key)| *lane = lane.wrapping_sub(u32::from_le_bytes(*key)));
            }
        }
    }
}

/// Adds or subtracts a part of several masks: `lanes` is the part of the vector that starts at element
/// `first_unit * UNIT_BYTES / L::BYTES`. Parts can be expanded alone and in any order (secagg.md 4.3).
///
/// The keystream of an AES key is AES-128 of the 128-bit big-endian numbers 0, 1, 2 and so on (NIST SP 800-38A 6.5 with
/// an initial counter of zero), unit `u` starting at number `4 u`. That of a ChaCha12 key has the unit as its 64-bit
/// little-endian counter and a nonce of zero. Elements are little-endian. A key masks one vector, so no nonce is needed.
/// Units count modulo `2^62`, which is beyond every vector.
pub fn expand<L: Lane>(
    kernel: Kernel,
    masks: &[(MaskKey, Sign)],
    first_unit: u64,
    lanes: &mut [L],
) {
    let mut batch = Batch::new(kernel, masks.len());
    for masks in masks.chunks(BATCH) {
        for (key, sign) in masks {
            batch.push(key, *sign);
        }
        batch.apply(first_unit, lanes);
        batch.clear();
    }
}

/// Up to [`BATCH`] masks, their keys expanded, ready to be added to any part of a vector.
pub(crate) struct Batch {
    kernel: Kernel,
    capacity: usize,
    length: usize,
    added: Vec<Schedule>,
    subtracted: Vec<Schedule>,
    portable: Vec<(Aes128Enc, Sign)>,
    chacha: Vec<(Zeroizing<[u8; 32]>, Sign)>,
}

impl Batch {
    /// For at most `masks` masks, or [`BATCH`] if that is less.
    pub(crate) fn new(kernel: Kernel, masks: usize) -> Self {
        Self {
            kernel,
            capacity: masks.min(BATCH),
            length: 0,
            added: Vec::new(),
            subtracted: Vec::new(),
            portable: Vec::new(),
            chacha: Vec::new(),
        }
    }

    /// Whether one more mask would make a vector grow.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= self.capacity
    }

    pub(crate) fn push(&mut self, key: &MaskKey, sign: Sign) {
        self.length += 1;
        match &key.0 {
            Secret::Aes128Ctr(key) => match (self.kernel.schedule(key), sign) {
                (Some(schedule), Sign::Add) => push(&mut self.added, schedule, self.capacity),
                (Some(schedule), Sign::Subtract) => {
                    push(&mut self.subtracted, schedule, self.capacity);
                }
                (None, sign) => {
                    let cipher = Aes128Enc::new(key.into());
                    push(&mut self.portable, (cipher, sign), self.capacity);
                }
            },
            Secret::ChaCha12(key) => {
                let mask = (Zeroizing::new(*key), sign);
                push(&mut self.chacha, mask, self.capacity);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.added.clear();
        self.subtracted.clear();
        self.portable.clear();
        self.chacha.clear();
    }

    /// Adds and subtracts all masks, as [`expand`] does.
    pub(crate) fn apply<L: Lane>(&self, first_unit: u64, lanes: &mut [L]) {
        if !(self.added.is_empty() && self.subtracted.is_empty()) {
            self.kernel
                .apply(&self.added, &self.subtracted, first_unit, lanes);
        }
        if self.portable.is_empty() && self.chacha.is_empty() {
            return;
        }
        let mut counters = [Array([0; 16]); TILE_BLOCKS];
        let mut scratch = [Array([0; 16]); SCRATCH_BLOCKS];
        let mut unit = first_unit;
        for lanes in lanes.chunks_mut(TILE_UNITS * UNIT_BYTES / L::BYTES) {
            let blocks = (lanes.len() * L::BYTES).div_ceil(16);
            let (counters, _) = counters.split_at_mut(blocks);
            count(unit, counters);
            for (cipher, sign) in &self.portable {
                cipher.encrypt_with_backend(AddBlocks {
                    counters,
                    scratch: &mut scratch,
                    lanes,
                    sign: *sign,
                });
            }
            for (key, sign) in &self.chacha {
                add_chacha(key, unit, &mut scratch, lanes, *sign);
            }
            unit = unit.wrapping_add(TILE_UNITS as u64);
        }
        Array::slice_as_flattened_mut(&mut scratch).zeroize();
    }
}

/// Encrypts counters and combines the result with `lanes`. A closure for the backend that the `aes` crate chose for this
/// processor: compiled into it, the additions use the vector instructions the backend may use.
struct AddBlocks<'a, L> {
    counters: &'a [Block],
    scratch: &'a mut [Block; SCRATCH_BLOCKS],
    lanes: &'a mut [L],
    sign: Sign,
}

impl<L> BlockSizeUser for AddBlocks<'_, L> {
    type BlockSize = U16;
}

impl<L: Lane> BlockCipherEncClosure for AddBlocks<'_, L> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let (parallel, single) = ParBlocks::<B>::slice_as_chunks(self.counters);
        let (groups, _) = ParBlocks::<B>::slice_as_chunks_mut(self.scratch);
        let (parallel, single, group) = match groups.first_mut() {
            Some(group) => (parallel, single, group),
            // No backend works on more blocks at a time than there is room for; one that did would get them singly.
            None => (&[][..], self.counters, &mut ParBlocks::<B>::default()),
        };
        let lanes_each = size_of::<ParBlocks<B>>() / L::BYTES;
        let (start, end) = self
            .lanes
            .split_at_mut((parallel.len() * lanes_each).min(self.lanes.len()));
        for (counters, lanes) in parallel.iter().zip(start.chunks_mut(lanes_each)) {
            backend.encrypt_par_blocks((counters, &mut *group).into());
            L::combine(lanes, Array::slice_as_flattened(group), self.sign);
        }
        let mut block = Array([0; 16]);
        for (counter, lanes) in single.iter().zip(end.chunks_mut(16 / L::BYTES)) {
            backend.encrypt_block((counter, &mut block).into());
            L::combine(lanes, &block, self.sign);
        }
        block.zeroize();
    }
}

/// Never lets a vector grow, which would leave keys behind in freed memory.
fn push<T>(masks: &mut Vec<T>, mask: T, capacity: usize) {
    if masks.capacity() == 0 {
        masks.reserve_exact(capacity);
    }
    masks.push(mask);
}

/// The counter blocks from the first one of a unit on.
fn count(first_unit: u64, counters: &mut [Array<u8, U16>]) {
    let mut block = first_unit.wrapping_mul(4);
    for counter in counters {
        *counter = Array(u128::from(block).to_be_bytes());
        block = block.wrapping_add(1);
    }
}

/// Combines the keystream of a ChaCha12 key, from a unit on, with `lanes`. The crate's counter has 32 bits; the upper half
/// of ours is where the first word of its nonce is, as in Bernstein's layout of 64-bit counter and 64-bit nonce.
fn add_chacha<L: Lane>(
    key: &[u8; 32],
    first_unit: u64,
    scratch: &mut [Block; SCRATCH_BLOCKS],
    lanes: &mut [L],
    sign: Sign,
) {
    let (units, _) = Array::<u8, U64>::slice_as_chunks_mut(Array::slice_as_flattened_mut(scratch));
    let mut unit = first_unit;
    for lanes in lanes.chunks_mut(units.len() * UNIT_BYTES / L::BYTES) {
        let needed = size_of_val(lanes).div_ceil(UNIT_BYTES);
        let (units, _) = units.split_at_mut(needed.min(units.len()));
        let mut rest = &mut *units;
        while !rest.is_empty() {
            let mut nonce = [0; 12];
            let (upper, _) = nonce.split_at_mut(4);
            upper.copy_from_slice(&((unit >> 32) as u32).to_le_bytes());
            let mut stream = ChaChaCore::<R12, Ietf>::new(key.into(), &Array(nonce));
            stream.set_block_pos(unit as u32);
            let until_carry =
                usize::try_from((1_u64 << 32) - (unit & 0xffff_ffff)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(until_carry.min(rest.len()));
            stream.write_keystream_blocks(now);
            unit = unit.wrapping_add(now.len() as u64);
            rest = later;
        }
        L::combine(lanes, Array::slice_as_flattened(units), sign);
    }
}

#[cfg(test)]
mod tests;
