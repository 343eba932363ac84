//! Frozen outputs, computed by an independent implementation (Python's `cryptography` over OpenSSL, written from the
//! formulas in the documentation): a change here changes the protocol and needs a new version.

use chorus_secagg::*;

fn digest() -> RoundDigest {
    RoundDigest(core::array::from_fn(|i| i as u8))
}

/// Keys whose secret halves are 32 equal bytes each.
fn keys(cipher: u8, mask: u8) -> RoundKeys {
    let mut bytes = [cipher; 64];
    bytes[32..].fill(mask);
    RoundKeys::from_bytes(&bytes)
}

#[test]
fn envelope() {
    let pair = SharePair {
        mask_key: [0xaa; 32],
        self_seed: [0xbb; 32],
    };
    let sealed = seal(&keys(1, 2), &keys(3, 4).public(), &digest(), 3, 9, &pair).unwrap();
    assert_eq!(
        hex::encode(sealed),
        "a5c1120d9a7d22d3f057246b2e9099ff8afe6645b334930b75d7145ccddc38b3\
         932274efb3100c8134cfdf5f8f7a4581ef791a0936b796464e5abf4696ef2087\
         4c9ff5732858863c073e48e81ebf633a"
    );
}

#[test]
fn upload() {
    let own = MaskKey::own(&[5; 32], &digest(), 9);
    let pair = MaskKey::pair(&keys(3, 4), &keys(1, 2).public(), &digest(), 9, 3);
    let masked = mask(vec![1, 2, 3], &own, [(pair.ok().unwrap(), Sign::of(9, 3))]);
    assert_eq!(
        hex::encode(masked.to_le_bytes()),
        "ac60718d62543ae71fc1d633e0081cca214cac2e4ea1ae7a1e8f7851ff4331cc6fa70542629b6b0d06052150"
    );
}

#[test]
fn graph() {
    let plan = GraphPlan {
        clients: 12,
        degree: 4,
        threshold: 3,
    };
    let graph = Graph::new(&digest().0, &plan);
    // The ring is 6 2 3 8 4 1 0 5 9 7 10 11.
    assert_eq!(graph.neighbours(0), [1, 4, 5, 9]);
    assert_eq!(graph.neighbours(6), [2, 3, 10, 11]);
    assert_eq!(graph.neighbours(11), [2, 6, 7, 10]);
}
