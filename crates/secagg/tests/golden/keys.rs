//! `keys.json`.

use chorus_secagg::{Dropped, Generator, KeyError, MaskKey, PublicKeys, RoundDigest};
use chorus_secagg::{recover_pairs, secret_matches};

use crate::reading::{cases, round_keys};

const DIGEST: RoundDigest = RoundDigest([1; 32]);

#[test]
fn keys() {
    for case in cases("keys", &["public", "bad_low_order"]) {
        let secret = case.key("secret");
        let ours = round_keys(&secret, &secret, Generator::ChaCha12);
        if case.kind() == "public" {
            let public = case.key("public");
            assert_eq!(ours.public().mask, public);
            assert!(secret_matches(&secret, &public));
            assert!(!secret_matches(&secret, &case.key("other_public")));
            assert_eq!(ours.public().check(), Ok(()));
            continue;
        }
        let point = case.key("point");
        for (cipher, mask) in [
            (point, point),
            (point, ours.public().mask),
            (ours.public().cipher, point),
        ] {
            let theirs = PublicKeys {
                cipher,
                mask,
                generator: Generator::ChaCha12,
            };
            assert_eq!(theirs.check(), Err(KeyError::LowOrder));
            let is_bad = mask == point;
            let pair = MaskKey::pair(&ours, &theirs, &DIGEST, 0, 1);
            assert_eq!(pair.err(), is_bad.then_some(KeyError::LowOrder));
            // One lost client, and so many that another way of computing pays.
            let lost = || Dropped {
                index: 1,
                mask_secret: &secret,
                public: &theirs,
            };
            for count in [1, 64] {
                let lost: Vec<Dropped<'_>> = (0..count).map(|_| lost()).collect();
                let recovered = recover_pairs(0, &theirs, &lost, &DIGEST);
                assert_eq!(recovered.err(), is_bad.then_some(KeyError::LowOrder));
            }
        }
    }
}
