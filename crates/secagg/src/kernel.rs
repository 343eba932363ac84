//! AES-128-CTR keystreams, expanded and added up in registers: the only file of this crate with `unsafe` in it.
//!
//! A tile of the vector is loaded once, every key's keystream for it is computed and added, and the tile is stored once.
//! The counters of a tile do not depend on the key, so all keys share them. A [`Kernel`] with instructions of its own
//! can only be had on a processor that was found to have them, and that is what makes the calls below sound.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::expand::Lane;
use crate::ring::Ring;

/// The code that expands AES-128-CTR keystreams and adds them up. All kernels give the same bits; a kernel can only be
/// had on a processor that can run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    AesNi,
    #[cfg(target_arch = "x86_64")]
    Vaes512,
}

impl Kernel {
    /// The one without code for particular processors of its own: the `aes` crate.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest this processor can run.
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// All that this processor can run, the fastest last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have the portable one only")]
        let mut kernels = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("aes") {
                kernels.push(Self(Kind::AesNi));
                if has!("avx512f") && has!("avx512bw") && has!("vaes") {
                    kernels.push(Self(Kind::Vaes512));
                }
            }
        }
        kernels
    }

    /// Its name in benchmarks: `portable`, `aes-ni` or `vaes-512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::AesNi => "aes-ni",
            #[cfg(target_arch = "x86_64")]
            Kind::Vaes512 => "vaes-512",
        }
    }

    /// The key schedule, for a kernel that does not leave AES to the `aes` crate.
    pub(crate) fn schedule(self, key: &[u8; 16]) -> Option<Schedule> {
        match self.0 {
            Kind::Portable => None,
            #[cfg(target_arch = "x86_64")]
            Kind::AesNi | Kind::Vaes512 => {
                // SAFETY: `available` makes these kernels only where the processor has AES instructions.
                Some(unsafe { x86_64::schedule(key) })
            }
        }
    }

    /// Adds and subtracts the keystreams of many keys, `lanes` starting at the first block of `first_unit`. Does nothing
    /// for the portable kernel, which has no schedules either.
    pub(crate) fn apply<L: Lane>(
        self,
        added: &[Schedule],
        subtracted: &[Schedule],
        first_unit: u64,
        lanes: &mut [L],
    ) {
        let _ = (added, subtracted, first_unit, &lanes);
        match self.0 {
            Kind::Portable => {}
            #[cfg(target_arch = "x86_64")]
            Kind::AesNi => x86_64::in_tiles(
                x86_64::AES_NI_TILE,
                first_unit,
                lanes,
                // SAFETY: `available` makes this kernel only where the processor has AES instructions.
                |block, tile| unsafe { x86_64::aes_ni(added, subtracted, block, tile) },
            ),
            #[cfg(target_arch = "x86_64")]
            Kind::Vaes512 => x86_64::in_tiles(
                x86_64::VAES_512_TILE,
                first_unit,
                lanes,
                // SAFETY: `available` makes this kernel only where the processor has AVX-512F, AVX-512BW and VAES.
                |block, tile| unsafe { x86_64::vaes_512(added, subtracted, block, tile) },
            ),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The eleven round keys of AES-128 (FIPS 197, section 5.2). Wiped when dropped; neither `Clone` nor `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(align(16))]
pub(crate) struct Schedule([[u8; 16]; ROUND_KEYS]);

const ROUND_KEYS: usize = 11;

/// Adds the packed values of 20 or 24 bits of several vectors to `sums`, sixteen at a time, and returns how many of each:
/// all but the last few where the processor can move bytes between the lanes of a register (AVX-512 VBMI), none elsewhere
/// and for other rings.
pub(crate) fn add_packed(ring: Ring, vectors: &[&[u8]], sums: &mut [u32]) -> usize {
    let _ = (ring, vectors, &sums);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512vbmi") {
            // SAFETY: the processor was just found to have AVX-512F, AVX-512BW and AVX-512VBMI.
            return unsafe {
                match ring {
                    Ring::Bits20 => x86_64::add_packed::<20>(vectors, sums),
                    Ring::Bits24 => x86_64::add_packed::<24>(vectors, sums),
                    Ring::Bits16 | Ring::Bits32 => 0,
                }
            };
        }
    }
    0
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::x86_64::*;

    use zeroize::Zeroize;

    use super::{ROUND_KEYS, Schedule};
    use crate::expand::{Lane, UNIT_BYTES};

    /// Eight registers of one block each.
    pub(super) const AES_NI_TILE: usize = 8 * 16;
    /// Eight registers of four blocks each.
    pub(super) const VAES_512_TILE: usize = 8 * 64;

    /// Calls `expand` with every tile of `tile_bytes` and the number of its first block. A last part that is shorter is
    /// expanded in a buffer of its own.
    pub(super) fn in_tiles<L: Lane>(
        tile_bytes: usize,
        first_unit: u64,
        lanes: &mut [L],
        expand: impl Fn(u64, &mut [L]),
    ) {
        let mut block = first_unit.wrapping_mul((UNIT_BYTES / 16) as u64);
        let mut tiles = lanes.chunks_exact_mut(tile_bytes / L::BYTES);
        for tile in &mut tiles {
            expand(block, tile);
            block = block.wrapping_add((tile_bytes / 16) as u64);
        }
        let rest = tiles.into_remainder();
        if rest.is_empty() {
            return;
        }
        let mut buffer = [L::default(); VAES_512_TILE / 2];
        // The buffer holds the largest tile of the smallest lanes.
        let (tile, _) = buffer.split_at_mut(tile_bytes / L::BYTES);
        for (place, lane) in tile.iter_mut().zip(rest.iter()) {
            *place = *lane;
        }
        expand(block, tile);
        for (lane, place) in rest.iter_mut().zip(tile.iter()) {
            *lane = *place;
        }
        tile.zeroize();
    }

    /// The key expansion of FIPS 197, section 5.2.
    #[target_feature(enable = "aes")]
    pub(super) fn schedule(key: &[u8; 16]) -> Schedule {
        /// One round: words 4i to 4i + 3 from words 4i - 4 to 4i - 1.
        #[target_feature(enable = "aes")]
        fn next<const ROUND: i32>(key: __m128i) -> __m128i {
            let assist = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<ROUND>(key));
            let key = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
            let key = _mm_xor_si128(key, _mm_slli_si128::<8>(key));
            _mm_xor_si128(key, assist)
        }
        let mut schedule = Schedule([[0; 16]; ROUND_KEYS]);
        // SAFETY: 16 bytes are read from an array of 16 bytes; the instruction allows any alignment.
        let first = unsafe { _mm_loadu_si128(key.as_ptr().cast()) };
        let k1 = next::<0x01>(first);
        let k2 = next::<0x02>(k1);
        let k3 = next::<0x04>(k2);
        let k4 = next::<0x08>(k3);
        let k5 = next::<0x10>(k4);
        let k6 = next::<0x20>(k5);
        let k7 = next::<0x40>(k6);
        let k8 = next::<0x80>(k7);
        let k9 = next::<0x1b>(k8);
        let k10 = next::<0x36>(k9);
        let keys = [first, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10];
        for (place, key) in schedule.0.iter_mut().zip(keys) {
            // SAFETY: 16 bytes are written to an array of 16 bytes; the instruction allows any alignment.
            unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), key) };
        }
        schedule
    }

    /// Blocks `first_block` to `first_block + 7`; `tile` has [`AES_NI_TILE`] bytes.
    #[target_feature(enable = "aes")]
    pub(super) fn aes_ni<L: Lane>(
        added: &[Schedule],
        subtracted: &[Schedule],
        first_block: u64,
        tile: &mut [L],
    ) {
        if size_of_val(tile) != AES_NI_TILE {
            return;
        }
        let counters: [__m128i; 8] = core::array::from_fn(|i| {
            let block = first_block.wrapping_add(i as u64);
            _mm_set_epi64x(block.swap_bytes() as i64, 0)
        });
        let mut sums = [_mm_setzero_si128(); 8];
        for key in added {
            let blocks = encrypt(key, &counters);
            for (sum, block) in sums.iter_mut().zip(blocks) {
                *sum = match L::BYTES {
                    2 => _mm_add_epi16(*sum, block),
                    _ => _mm_add_epi32(*sum, block),
                };
            }
        }
        for key in subtracted {
            let blocks = encrypt(key, &counters);
            for (sum, block) in sums.iter_mut().zip(blocks) {
                *sum = match L::BYTES {
                    2 => _mm_sub_epi16(*sum, block),
                    _ => _mm_sub_epi32(*sum, block),
                };
            }
        }
        let start: *mut __m128i = tile.as_mut_ptr().cast();
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: the check above leaves room for eight blocks of 16 bytes in the tile, which is borrowed mutably;
            // lanes are integers, for which any bits are valid; the instructions allow any alignment.
            unsafe {
                let place = start.add(i);
                let lanes = _mm_loadu_si128(place);
                let lanes = match L::BYTES {
                    2 => _mm_add_epi16(lanes, sum),
                    _ => _mm_add_epi32(lanes, sum),
                };
                _mm_storeu_si128(place, lanes);
            }
        }

        #[target_feature(enable = "aes")]
        #[inline]
        fn encrypt(key: &Schedule, counters: &[__m128i; 8]) -> [__m128i; 8] {
            let [first, middle @ .., last] = &key.0;
            let first = round_key(first);
            let mut blocks = counters.map(|counter| _mm_xor_si128(counter, first));
            for key in middle {
                let key = round_key(key);
                for block in &mut blocks {
                    *block = _mm_aesenc_si128(*block, key);
                }
            }
            let last = round_key(last);
            blocks.map(|block| _mm_aesenclast_si128(block, last))
        }
    }

    /// Blocks `first_block` to `first_block + 31`; `tile` has [`VAES_512_TILE`] bytes.
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    pub(super) fn vaes_512<L: Lane>(
        added: &[Schedule],
        subtracted: &[Schedule],
        first_block: u64,
        tile: &mut [L],
    ) {
        if size_of_val(tile) != VAES_512_TILE {
            return;
        }
        // The upper half of a counter is zero, the lower half big-endian.
        let big_endian = _mm512_broadcast_i32x4(_mm_set_epi8(
            8, 9, 10, 11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1,
        ));
        let within = _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0);
        let counters: [__m512i; 8] = core::array::from_fn(|i| {
            let block = first_block.wrapping_add(4 * i as u64);
            let blocks = _mm512_add_epi64(_mm512_set1_epi64(block as i64), within);
            _mm512_shuffle_epi8(blocks, big_endian)
        });
        let start: *mut __m512i = tile.as_mut_ptr().cast();
        let mut lanes: [__m512i; 8] = core::array::from_fn(|i| {
            // SAFETY: the check above makes the tile eight times 64 bytes long; the instruction allows any alignment.
            unsafe { _mm512_loadu_si512(start.add(i)) }
        });
        for key in added {
            let blocks = encrypt(key, &counters);
            for (lanes, block) in lanes.iter_mut().zip(blocks) {
                *lanes = match L::BYTES {
                    2 => _mm512_add_epi16(*lanes, block),
                    _ => _mm512_add_epi32(*lanes, block),
                };
            }
        }
        for key in subtracted {
            let blocks = encrypt(key, &counters);
            for (lanes, block) in lanes.iter_mut().zip(blocks) {
                *lanes = match L::BYTES {
                    2 => _mm512_sub_epi16(*lanes, block),
                    _ => _mm512_sub_epi32(*lanes, block),
                };
            }
        }
        for (i, lanes) in lanes.into_iter().enumerate() {
            // SAFETY: as above; the tile is borrowed mutably, and any bits are valid integers.
            unsafe { _mm512_storeu_si512(start.add(i), lanes) };
        }

        #[target_feature(enable = "avx512f,avx512bw,vaes")]
        #[inline]
        fn encrypt(key: &Schedule, counters: &[__m512i; 8]) -> [__m512i; 8] {
            let [first, middle @ .., last] = &key.0;
            let first = _mm512_broadcast_i32x4(round_key(first));
            let mut blocks = counters.map(|counter| _mm512_xor_si512(counter, first));
            for key in middle {
                let key = _mm512_broadcast_i32x4(round_key(key));
                for block in &mut blocks {
                    *block = _mm512_aesenc_epi128(*block, key);
                }
            }
            let last = _mm512_broadcast_i32x4(round_key(last));
            blocks.map(|block| _mm512_aesenclast_epi128(block, last))
        }
    }

    /// Adds packed values of `BITS` bits, a multiple of four from 17 to 24, of several vectors, sixteen at a time while all
    /// reach, and returns how many of each.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) fn add_packed<const BITS: usize>(vectors: &[&[u8]], sums: &mut [u32]) -> usize {
        let (places, shifts) = const { starts(BITS) };
        // SAFETY: 64 bytes are read from arrays of 64 bytes; the instructions allow any alignment.
        let (places, shifts) = unsafe {
            (
                _mm512_loadu_si512(places.as_ptr().cast()),
                _mm512_loadu_si512(shifts.as_ptr().cast()),
            )
        };
        let mask = _mm512_set1_epi32((1 << BITS) - 1);
        let (sixteens, _) = sums.as_chunks_mut::<16>();
        // Each step reads 64 bytes of every vector and uses the first of them.
        let shortest = vectors.iter().map(|vector| vector.len()).min();
        let steps = match shortest.and_then(|length| length.checked_sub(64)) {
            Some(spare) => sixteens.len().min(spare / (2 * BITS) + 1),
            None => 0,
        };
        for (step, sums) in sixteens.iter_mut().take(steps).enumerate() {
            let place: *mut __m512i = sums.as_mut_ptr().cast();
            // SAFETY: `sums` is an array of 64 bytes; the instruction allows any alignment.
            let mut sum = unsafe { _mm512_loadu_si512(place) };
            for vector in vectors {
                // SAFETY: `step * 2 * BITS` is at most `vector.len() - 64`, by the computation of `steps`; the instruction
                // allows any alignment.
                let packed =
                    unsafe { _mm512_loadu_si512(vector.as_ptr().add(step * 2 * BITS).cast()) };
                let lanes = _mm512_permutexvar_epi8(places, packed);
                let values = _mm512_and_si512(_mm512_srlv_epi32(lanes, shifts), mask);
                sum = _mm512_add_epi32(sum, values);
            }
            // SAFETY: as above, and `sums` is borrowed mutably.
            unsafe { _mm512_storeu_si512(place, sum) };
        }
        16 * steps
    }

    /// Where sixteen packed values are: value `i` starts in byte `i bits / 8`, at its bit 0 or 4, and ends in one of the
    /// next two.
    const fn starts(bits: usize) -> ([u8; 64], [u32; 16]) {
        let (mut places, mut shifts) = ([0; 64], [0; 16]);
        let mut i = 0;
        while i < 64 {
            places[i] = (i / 4 * bits / 8 + i % 4) as u8;
            shifts[i / 4] = (i / 4 * bits % 8) as u32;
            i += 1;
        }
        (places, shifts)
    }

    #[inline]
    fn round_key(key: &[u8; 16]) -> __m128i {
        // SAFETY: 16 bytes are read from an array of 16 bytes; the instruction allows any alignment, and is part of
        // every x86-64 processor.
        unsafe { _mm_loadu_si128(key.as_ptr().cast()) }
    }
}
