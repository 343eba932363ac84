//! AES-128 in counter mode, expanded tile by tile straight into a sum.

use aes::Aes128;
use ctr::cipher::{Array, Block, KeyIvInit, StreamCipherCore};
use zeroize::Zeroize;

/// Words of one tile: 4 KiB of keystream stay in the first-level cache between expansion and addition.
pub(crate) const TILE_WORDS: usize = 1024;
const TILE_BLOCKS: usize = TILE_WORDS / WORDS_PER_BLOCK;
const WORDS_PER_BLOCK: usize = 4;

/// Whether a mask is added to a vector or subtracted from it (modulo `2^32`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The mask is added.
    Add,
    /// The mask is subtracted.
    Subtract,
}

impl Sign {
    /// The sign client `own` uses for the mask it shares with client `other`: the lower index adds, the higher
    /// subtracts, so the two cancel in the sum (Bonawitz et al., CCS 2017, section 4).
    pub fn of(own: u32, other: u32) -> Self {
        if own < other {
            Self::Add
        } else {
            Self::Subtract
        }
    }

    /// The sign that undoes this one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Add => Self::Subtract,
            Self::Subtract => Self::Add,
        }
    }
}

/// Keystream between expansion and use. Wiped when dropped: once per vector, because a wipe costs as much as filling
/// it does.
pub(crate) struct Tile([Block<Aes128>; TILE_BLOCKS]);

impl Tile {
    pub(crate) fn new() -> Self {
        Self([Block::<Aes128>::default(); TILE_BLOCKS])
    }
}

impl Drop for Tile {
    fn drop(&mut self) {
        Array::slice_as_flattened_mut(&mut self.0).zeroize();
    }
}

/// The keystream of one key: block `b` is AES-128 of the 128-bit big-endian number `b` (NIST SP 800-38A 6.5 with
/// an initial counter of zero), read as four little-endian words. Each key is used for one vector only, so the
/// counter needs no nonce. The AES key schedule is wiped when the stream is dropped.
pub(crate) struct Keystream(ctr::CtrCore<Aes128, ctr::flavors::Ctr128BE>);

impl Keystream {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(ctr::CtrCore::new(key.into(), &Array([0; 16])))
    }

    /// Combines the next `words.len()` words of keystream into `words`. Starts at a block border, so every call
    /// but the last must cover whole blocks.
    pub(crate) fn apply(&mut self, tile: &mut Tile, sign: Sign, words: &mut [u32]) {
        for words in words.chunks_mut(TILE_WORDS) {
            // A chunk has at most TILE_WORDS words, so the split point lies within the tile.
            let (blocks, _) = tile.0.split_at_mut(words.len().div_ceil(WORDS_PER_BLOCK));
            self.0.write_keystream_blocks(blocks);
            let (lanes, _) = Array::slice_as_flattened(blocks).as_chunks::<4>();
            let pairs = words.iter_mut().zip(lanes);
            match sign {
                Sign::Add => pairs
                    .for_each(|(word, lane)| *word = word.wrapping_add(u32::from_le_bytes(*lane))),
                Sign::Subtract => pairs
                    .for_each(|(word, lane)| *word = word.wrapping_sub(u32::from_le_bytes(*lane))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AES-128 under the zero key of 0, 1 and 2 as big-endian numbers: the values in the GCM specification's test
    /// cases 1 and 2 (McGrew, Viega).
    #[test]
    fn first_blocks_are_the_published_ones() {
        let mut words = [0; 12];
        Keystream::new(&[0; 16]).apply(&mut Tile::new(), Sign::Add, &mut words);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(
            hex::encode(bytes),
            "66e94bd4ef8a2c3b884cfa59ca342b2e\
             58e2fccefa7e3061367f1d57a4e7455a\
             0388dace60b6a392f328c2b971b2fe78"
        );
    }

    #[test]
    fn tiles_agree_with_the_whole() {
        let key = [7; 16];
        let mut whole = vec![0; 3 * TILE_WORDS + 5];
        Keystream::new(&key).apply(&mut Tile::new(), Sign::Add, &mut whole);
        assert_ne!(whole[..TILE_WORDS], whole[TILE_WORDS..2 * TILE_WORDS]);

        let mut pieces = vec![0; whole.len()];
        let mut stream = Keystream::new(&key);
        for piece in pieces.chunks_mut(8) {
            stream.apply(&mut Tile::new(), Sign::Add, piece);
        }
        assert_eq!(pieces, whole);

        Keystream::new(&key).apply(&mut Tile::new(), Sign::Subtract, &mut whole);
        assert!(whole.iter().all(|word| *word == 0));
    }
}
