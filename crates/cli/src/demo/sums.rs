//! The sums as they should be: what the clients of the demo encoded, added up beside them, without masks.
//!
//! The demo can know this because it gives its clients their randomness. Neither client nor coordinator has such a path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::exit::{self, OrExit};

/// Modular sums by round.
#[derive(Default)]
pub struct Sums {
    rounds: BTreeMap<u64, Vec<u32>>,
}

impl Sums {
    /// Adds one client's encoded update to its round's sum.
    pub fn add(&mut self, round: u64, words: &[u32]) {
        let sum = self
            .rounds
            .entry(round)
            .or_insert_with(|| vec![0; words.len()]);
        for (total, word) in sum.iter_mut().zip(words) {
            *total = total.wrapping_add(*word);
        }
    }

    /// Adds everything that another process summed.
    pub fn merge(&mut self, other: &Self) {
        for (round, words) in &other.rounds {
            self.add(*round, words);
        }
    }

    /// The sum of one round.
    pub fn get(&self, round: u64) -> Option<&[u32]> {
        self.rounds.get(&round).map(Vec::as_slice)
    }

    /// Writes one file for each round into `folder`.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).or_exit(exit::ENVIRONMENT)?;
        for (round, words) in &self.rounds {
            write_words(&folder.join(round.to_string()), words)?;
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) wrote; nothing where it wrote nothing.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut sums = Self::default();
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Ok(sums);
        };
        for entry in entries {
            let path: PathBuf = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(round) = name.and_then(|name| name.parse().ok()) {
                sums.rounds.insert(round, read_words(&path)?);
            }
        }
        Ok(sums)
    }
}

/// Writes words in little-endian order.
pub fn write_words(path: &Path, words: &[u32]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    crate::progress::write(path, &bytes)
}

/// Reads what [`write_words`] wrote.
pub fn read_words(path: &Path) -> anyhow::Result<Vec<u32>> {
    let bytes = std::fs::read(path)?;
    Ok(words(&bytes))
}

/// Four bytes a word, in little-endian order.
pub fn words(bytes: &[u8]) -> Vec<u32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_two_processes_come_together() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (Sums::default(), Sums::default());
        one.add(1, &[u32::MAX, 1]);
        two.add(1, &[2, 3]);
        two.add(2, &[7, 7]);
        two.write(folder.path()).unwrap();
        one.merge(&Sums::read(folder.path()).unwrap());
        assert_eq!(one.get(1), Some(&[1, 4][..]));
        assert_eq!(one.get(2), Some(&[7, 7][..]));
        assert_eq!(one.get(3), None);
    }
}
