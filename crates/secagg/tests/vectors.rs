//! Frozen outputs, computed by an independent implementation (Python's `cryptography` over OpenSSL, and ChaCha12 in plain
//! Python, written from the formulas in the documentation): a change here changes the protocol and needs a new version.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use chorus_secagg::*;
use sha2::{Digest, Sha256};

fn digest() -> RoundDigest {
    RoundDigest(core::array::from_fn(|i| i as u8))
}

/// Keys whose secret halves are 32 equal bytes each.
fn keys(cipher: u8, mask: u8, generator: Generator) -> RoundKeys {
    let mut bytes = [generator.number(); 65];
    bytes[..32].fill(cipher);
    bytes[32..64].fill(mask);
    RoundKeys::from_bytes(&bytes).ok().unwrap()
}

#[test]
fn envelope() {
    let pair = SharePair {
        mask_key: [0xaa; 32],
        self_seed: [0xbb; 32],
    };
    let [ours, theirs] = [(1, 2), (3, 4)].map(|(c, m)| keys(c, m, Generator::Aes128Ctr));
    let sealed = seal(&ours, &theirs.public(), &digest(), 3, 9, &pair).unwrap();
    assert_eq!(
        hex::encode(sealed),
        "a5c1120d9a7d22d3f057246b2e9099ff8afe6645b334930b75d7145ccddc38b3\
         932274efb3100c8134cfdf5f8f7a4581ef791a0936b796464e5abf4696ef2087\
         4c9ff5732858863c073e48e81ebf633a"
    );
}

/// Client 9's upload with its own mask and the one it shares with client 3, for every generator and ring.
fn upload(generator: Generator, ring: Ring, values: Vec<u32>) -> MaskedUpdate {
    let [ours, theirs] = [(3, 4), (1, 2)].map(|(c, m)| keys(c, m, generator));
    let own = MaskKey::own(&[5; 32], &digest(), 9, generator);
    let pair = MaskKey::pair(&ours, &theirs.public(), &digest(), 9, 3);
    mask(values, ring, &own, [(pair.ok().unwrap(), Sign::of(9, 3))])
}

/// The upload of the values 1, 2, 3, and the SHA-256 of that of 0 to 699, which crosses every border of tiles.
#[test]
fn uploads() {
    use Generator::{Aes128Ctr, ChaCha12};
    use Ring::{Bits16, Bits20, Bits24, Bits32};
    let expected = [
        (
            Aes128Ctr,
            Bits16,
            "934034a960de9e3567f71919d4d3e03e90c3b9c1b5e438645be9e867c2513a5f3929504cab3e",
            "32afc1c779f207c60d4a0eeada42f6e73b890bf1714dffca691e4f4535c07ec7",
        ),
        (
            Aes128Ctr,
            Bits20,
            "9340f2e5dd6af7493dfd90c3584b7e5be9271ca53929b0ea0346189fbf6c4ace69bce1d765ea84ec",
            "5d4300c02b82dba673ac427429618afe46d58cfbc8917b875a48674bcc5d95fe",
        ),
        (
            Aes128Ctr,
            Bits24,
            "9340325fde9d6af719d4d3df90c3b8b5e4375be9e7c2513a392950ab3e5046185ff9cba64aceb9c61b6e",
            "a0c281084e8c1a6bf808289875d1eb60416a1b21738bb7dd0cb2ea25b487c750",
        ),
        (
            Aes128Ctr,
            Bits32,
            "934032a95fde9d356af71919d4d3df3e90c3b8c1b5e437645be9e767c2513a5f3929504cab3e500f46185f4a",
            "38f68e12c564883274e18612a82768011d1f192610441e9a935f37f0567ba3f5",
        ),
        (
            ChaCha12,
            Bits16,
            "c1594b7db9f541659f05368aa305c2e4ec8b6d1ebf584c6e8df68cd10fdc11a091fb0fb2fb1d",
            "fd606966d37f72fdde95b47dbbb8d9e32c12c795690119dc36c4f1fed9e0f82e",
        ),
        (
            ChaCha12,
            Bits20,
            "c159895b0fa205365a20ec8bfd8bc58df6fbc00d91fbbedf01b66114ddda48446752898e78daf28e",
            "fa3789ce9f981b0dc493e6bb59306a1707a52127df9f93b13ef18d514b8b2d4a",
        ),
        (
            ChaCha12,
            Bits24,
            "c15949b8f540a20536a305c2ec8b6dbf584c8df68b0fdc1091fb0efb1d60b661c4d1aded484437269578",
            "2da4643819b9148c356b4f0bcffed2a6f03622161daa4ee65dbe324fc66278af",
        ),
        (
            ChaCha12,
            Bits32,
            "c159497db8f54065a205368aa305c2e4ec8b6d1ebf584c6e8df68bd10fdc10a091fb0eb2fb1d6064b661c451",
            "95b9f511080c9fadb85dfe8156150c70f49f800adf2d1534f759953b52ca7468",
        ),
    ];
    for (generator, ring, short, long) in expected {
        let bytes = upload(generator, ring, vec![1, 2, 3]).into_bytes();
        assert_eq!(hex::encode(bytes), short, "{generator} {ring:?}");
        let bytes = upload(generator, ring, (0..700).collect()).into_bytes();
        let digest = Sha256::digest(bytes);
        assert_eq!(hex::encode(digest), long, "{generator} {ring:?}");
    }
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
