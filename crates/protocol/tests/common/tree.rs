//! The trees of RFC 9162 as its section 2.1 writes them down, by recursion: independent of the ones that are tested.

use chorus_protocol::{Digest, Neighbourhood, PublicKeys};
use sha2::{Digest as _, Sha256};

fn split(size: usize) -> usize {
    1 << (usize::BITS - 1 - (size - 1).leading_zeros())
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Digest(hash.finalize().into())
}

/// MTH of section 2.1.1.
pub fn root(entries: &[Vec<u8>]) -> Digest {
    match entries {
        [] => hash(&[]),
        [entry] => hash(&[&[0], entry]),
        _ => {
            let (left, right) = entries.split_at(split(entries.len()));
            hash(&[&[1], &root(left).0, &root(right).0])
        }
    }
}

/// PATH of section 2.1.3.1.
pub fn path(entries: &[Vec<u8>], index: usize) -> Vec<Digest> {
    if entries.len() == 1 {
        return Vec::new();
    }
    let middle = split(entries.len());
    let (left, right) = entries.split_at(middle);
    let (mut path, sibling) = match index < middle {
        true => (path(left, index), root(right)),
        false => (path(right, index - middle), root(left)),
    };
    path.push(sibling);
    path
}

/// What the tree over the keys of a round holds of one client.
pub fn key_entry(enrolled: &[u8; 32], keys: &PublicKeys) -> Vec<u8> {
    let generator = [keys.generator.number()];
    [&enrolled[..], &keys.cipher, &keys.mask, &generator].concat()
}

/// Gives a place in a complete graph the key root and the paths that belong to its keys and its neighbours':
/// what a coordinator shows that lies before the keys are fixed.
pub fn rebuild(place: &mut Neighbourhood, enrolled: &[u8; 32], keys: &PublicKeys) {
    let mut entries = vec![Vec::new(); place.cohort as usize];
    entries[place.index as usize] = key_entry(enrolled, keys);
    for near in &place.neighbours {
        let enrolled = near.certificate.as_slice().try_into().unwrap_or([0; 32]);
        entries[near.index as usize] = key_entry(&enrolled, &near.keys);
    }
    place.key_root = root(&entries);
    place.path = path(&entries, place.index as usize);
    for near in &mut place.neighbours {
        near.path = path(&entries, near.index as usize);
    }
}
