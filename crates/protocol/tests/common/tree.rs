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
    let paths = paths(&entries);
    place.path = paths[place.index as usize].clone();
    for near in &mut place.neighbours {
        near.path = paths[near.index as usize].clone();
    }
}

/// PATH of section 2.1.3.1, of every entry.
pub fn paths(entries: &[Vec<u8>]) -> Vec<Vec<Digest>> {
    fn build(entries: &[Vec<u8>]) -> (Digest, Vec<Vec<Digest>>) {
        match entries {
            [] => (hash(&[]), Vec::new()),
            [entry] => (hash(&[&[0], entry]), vec![Vec::new()]),
            _ => {
                let (left, right) = entries.split_at(split(entries.len()));
                let ((left, mut paths), (right, others)) = (build(left), build(right));
                paths.iter_mut().for_each(|path| path.push(right));
                paths.extend(others.into_iter().map(|mut path| {
                    path.push(left);
                    path
                }));
                (hash(&[&[1], &left.0, &right.0]), paths)
            }
        }
    }
    build(entries).1
}
