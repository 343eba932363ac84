//! Merkle trees over the members of a cohort, as RFC 9162 (Certificate Transparency 2.0), section 2.1, builds them:
//! leaves and nodes are hashed apart, and a last node without a sibling moves up as it is.

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// A whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// From the leaves up; the last level is the root alone, or nothing at all.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over `leaves`, each the bytes of one entry.
    pub fn new<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Self {
        let first: Vec<Digest> = leaves
            .into_iter()
            .map(|bytes| leaf(bytes.as_ref()))
            .collect();
        let mut levels = vec![first];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let next = level.chunks(2).map(above).collect();
            levels.push(next);
        }
        Self { levels }
    }

    /// The root; of no leaves at all, the digest of nothing.
    pub fn root(&self) -> Digest {
        match self.levels.last().and_then(|level| level.first()) {
            Some(root) => *root,
            None => Digest::of(&[]),
        }
    }

    /// The nodes beside the way from leaf `index` to the root, from below. Empty for a leaf that is not there.
    pub fn path(&self, index: u32) -> Vec<Digest> {
        let mut place = index as usize;
        let mut path = Vec::new();
        if self
            .levels
            .first()
            .is_none_or(|leaves| place >= leaves.len())
        {
            return path;
        }
        for level in &self.levels {
            path.extend(level.get(place ^ 1));
            place /= 2;
        }
        path
    }
}

/// True when `path` leads from the entry `bytes` at place `index` of a tree of `size` entries to `root`
/// (RFC 9162, section 2.1.3.2).
pub(crate) fn is_included(
    bytes: &[u8],
    index: u32,
    size: u32,
    path: &[Digest],
    root: &Digest,
) -> bool {
    let Some(mut last) = size.checked_sub(1).filter(|last| index <= *last) else {
        return false;
    };
    let mut place = index;
    let mut node = leaf(bytes);
    let mut path = path.iter();
    while last > 0 {
        // The last node of an odd level has no sibling.
        if place != last || place % 2 == 1 {
            let Some(sibling) = path.next() else {
                return false;
            };
            node = match place % 2 {
                0 => join(&node, sibling),
                _ => join(sibling, &node),
            };
        }
        place /= 2;
        last /= 2;
    }
    path.next().is_none() && node == *root
}

fn above(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => join(left, right),
        [single, ..] => *single,
        [] => Digest::of(&[]),
    }
}

fn leaf(bytes: &[u8]) -> Digest {
    Digest(
        Sha256::new()
            .chain_update([0])
            .chain_update(bytes)
            .finalize()
            .into(),
    )
}

fn join(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new().chain_update([1]);
    Digest(
        hash.chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs and roots that implementations of Certificate Transparency share (RFC 6962 trees).
    const ENTRIES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn entries(count: usize) -> Vec<Vec<u8>> {
        ENTRIES[..count]
            .iter()
            .map(|entry| hex::decode(entry).unwrap())
            .collect()
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        for (count, root) in ROOTS.iter().enumerate() {
            assert_eq!(Tree::new(entries(count)).root().to_string(), *root);
        }
    }

    #[test]
    fn a_path_proves_its_own_entry_and_place_only() {
        for size in 1..=40_u32 {
            let entries: Vec<[u8; 4]> = (0..size).map(u32::to_be_bytes).collect();
            let tree = Tree::new(entries.iter());
            let root = tree.root();
            for index in 0..size {
                let path = tree.path(index);
                let entry = &entries[index as usize];
                assert!(is_included(entry, index, size, &path, &root));
                assert!(!is_included(&[9; 4], index, size, &path, &root));
                assert!(!is_included(entry, index, size, &path, &Digest::ZERO));
                for other in (0..size + 2).filter(|other| *other != index) {
                    assert!(!is_included(entry, other, size, &path, &root));
                }
                let mut longer = path.clone();
                longer.push(Digest::ZERO);
                assert!(!is_included(entry, index, size, &longer, &root));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!is_included(entry, index, size, shorter, &root));
                }
            }
        }
    }

    #[test]
    fn odd_questions_are_answered() {
        assert!(!is_included(b"", 0, 0, &[], &Digest::of(&[])));
        assert!(!is_included(b"", u32::MAX, u32::MAX, &[], &Digest::ZERO));
        assert!(Tree::new(entries(3)).path(3).is_empty());
        assert!(Tree::new(entries(0)).path(0).is_empty());
    }
}
