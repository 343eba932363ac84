//! `envelopes.json`.

use chorus_secagg::{EnvelopeError, Generator, KeyError, PublicKeys, SharePair, open, seal};

use crate::reading::{Case, cases, round_keys};

const KINDS: [&str; 7] = [
    "sealed",
    "bad_flipped",
    "bad_route",
    "bad_round",
    "bad_keys",
    "bad_length",
    "bad_low_order",
];

#[test]
fn envelopes() {
    for case in cases("envelopes", &KINDS) {
        if case.kind() == "sealed" {
            sealed(&case);
            continue;
        }
        let found = opened(&case).err();
        let expected = match case.kind() {
            "bad_length" => EnvelopeError::Length {
                found: case.bytes("sealed").len(),
            },
            "bad_low_order" => EnvelopeError::Key(KeyError::LowOrder),
            _ => EnvelopeError::Refused,
        };
        assert_eq!(found, Some(expected), "{}", case.kind());
    }
}

fn keys(case: &Case, secret: &str) -> chorus_secagg::RoundKeys {
    round_keys(&case.key(secret), &[1; 32], Generator::Aes128Ctr)
}

/// As the receiver sees it.
fn opened(case: &Case) -> Result<SharePair, EnvelopeError> {
    let mut sender: PublicKeys = keys(case, "sender_secret").public();
    if case.has("sender_public") {
        sender.cipher = case.key("sender_public");
    }
    let receiver = keys(case, "receiver_secret");
    let (from, to) = (case.get("from"), case.get("to"));
    open(
        &receiver,
        &sender,
        &case.digest(),
        from,
        to,
        &case.bytes("sealed"),
    )
}

fn sealed(case: &Case) {
    let pair = SharePair {
        mask_key: case.key("mask_key"),
        self_seed: case.key("self_seed"),
    };
    let sender = keys(case, "sender_secret");
    let receiver = keys(case, "receiver_secret").public();
    let (from, to) = (case.get("from"), case.get("to"));
    let sealed = seal(&sender, &receiver, &case.digest(), from, to, &pair).unwrap();
    assert_eq!(sealed.to_vec(), case.bytes("sealed"));
    let opened = opened(case).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(opened.mask_key, pair.mask_key);
    assert_eq!(opened.self_seed, pair.self_seed);
}
