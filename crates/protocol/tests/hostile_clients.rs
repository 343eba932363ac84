//! What a malicious client can say, in every phase: it is refused and changes nothing, or it costs its sender.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use chorus_protocol::{
    Addressed, Awaited, ClientId, Digest, Event, Identity, Input, Message, Next, Phase, PublicKeys,
    Reject, Request, Response, Revealed, Secret, SignedUpdate,
};
use chorus_secagg::{Generator, MaskedUpdate, Ring, RoundKeys};
use common::Federation;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const PHASES: [Phase; 7] = [
    Phase::Advertising,
    Phase::Sharing,
    Phase::Confirming,
    Phase::Uploading,
    Phase::Endorsing,
    Phase::Unmasking,
    Phase::Ended,
];

fn below(rng: &mut ChaCha20Rng, bound: u32) -> u32 {
    rng.next_u32() % bound
}

/// A number of the cohort, or one a little or far beyond it.
fn number(rng: &mut ChaCha20Rng, clients: u32) -> u32 {
    match below(rng, 8) {
        0 => rng.next_u32(),
        _ => below(rng, clients + 2),
    }
}

/// Numbers in any order, or every other number of the cohort in the right one.
fn numbers(rng: &mut ChaCha20Rng, clients: u32) -> Vec<u32> {
    if below(rng, 3) == 0 {
        let own = below(rng, clients);
        return (0..clients).filter(|peer| *peer != own).collect();
    }
    let count = below(rng, 2 * clients);
    (0..count).map(|_| number(rng, clients)).collect()
}

fn update(length: usize) -> SignedUpdate {
    let ring = Ring::Bits32;
    let bytes = vec![7; ring.upload_bytes(length)];
    SignedUpdate {
        masked: MaskedUpdate::from_bytes(bytes, ring, length).unwrap(),
        signature: [7; 64],
    }
}

/// A message of any kind; some are well formed, none is what an honest client would say.
fn hostile(rng: &mut ChaCha20Rng, federation: &Federation, sender: usize) -> Message {
    let clients = federation.members.len() as u32;
    match below(rng, 6) {
        0 => {
            let mut keys = RoundKeys::generate(Generator::native(), rng).public();
            let digest = federation
                .plan
                .digest(&federation.plan_bytes, &federation.plan.model);
            let signer = &federation.members[below(rng, clients) as usize].identity;
            let mut signature = signer.advertise(&digest, &keys);
            match below(rng, 4) {
                0 => keys.cipher = [0; 32],
                1 => signature[5] ^= 1,
                2 => keys.mask = keys.cipher,
                _ => {}
            }
            let owner = match below(rng, 2) {
                0 => sender,
                _ => below(rng, clients) as usize,
            };
            Message::Advertise {
                key: federation.members[owner].identity.public(),
                certificate: vec![1; below(rng, 100) as usize],
                keys,
                signature,
            }
        }
        1 => {
            let seal = |peer| Addressed {
                peer,
                sealed: [3; 80],
            };
            Message::Share(numbers(rng, clients).into_iter().map(seal).collect())
        }
        2 => Message::Confirm(numbers(rng, clients)),
        3 => {
            let expected = federation.plan.encoding.length() as u32;
            Message::Upload(update(below(rng, 2 * expected) as usize))
        }
        4 => {
            let mut signature = [0; 64];
            rng.fill_bytes(&mut signature);
            Message::Endorse(signature)
        }
        _ => {
            let owners = numbers(rng, clients);
            let reveal = |owner| Revealed {
                owner,
                kind: match rng.next_u32() % 2 {
                    0 => Secret::SelfSeed,
                    _ => Secret::MaskKey,
                },
                share: [9; 32],
            };
            Message::Unmask(owners.into_iter().map(reveal).collect())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In every phase, after any number of honest steps: what is refused leaves the round exactly as it was, and
    /// where everything was refused, the sum is right in the end.
    #[test]
    fn every_reject_leaves_the_round_unchanged(
        phase in 0usize..7,
        steps in 0usize..12,
        seed: u64,
        late: bool,
    ) {
        let mut federation = Federation::new(12, false, seed);
        federation.join_all();
        federation.run_to(PHASES[phase]);
        for index in 0..steps {
            federation.step(index);
        }
        let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 1);
        let stranger = Identity::generate(&mut rng).id();
        let mut accepted = 0;
        for _ in 0..60 {
            let sender = below(&mut rng, 12) as usize;
            let message = hostile(&mut rng, &federation, sender);
            let client = match below(&mut rng, 8) {
                0 => stranger,
                _ => federation.members[sender].identity.id(),
            };
            let before = federation.round.clone();
            let events = federation.events.len();
            let later = federation.now + if late { 1_000_000 } else { 0 };
            // What is refused does not even make time pass: it may come long after the phase should have ended.
            let input = Input::From { client, message };
            let now = if below(&mut rng, 4) == 0 { later } else { federation.now };
            match federation.round.handle(now, input, &mut federation.events) {
                Ok(()) => {
                    prop_assert_ne!(client, stranger);
                    // Late help to a sum that is there already is no fault, and changes nothing.
                    accepted += usize::from(federation.round != before);
                }
                Err(_) => {
                    prop_assert!(federation.round == before);
                    prop_assert_eq!(federation.events.len(), events);
                }
            }
        }
        federation.go_on();
        if accepted == 0 {
            let plain = federation.plain_sum(|_| true);
            prop_assert_eq!(federation.recovered().map(|recovered| &recovered.sum), Some(&plain));
        }
    }
}

/// One message of every kind, none of them anybody's.
fn samples() -> Vec<Message> {
    vec![
        Message::Advertise {
            key: [1; 32],
            certificate: Vec::new(),
            keys: PublicKeys {
                cipher: [9; 32],
                mask: [9; 32],
                generator: Generator::Aes128Ctr,
            },
            signature: [0; 64],
        },
        Message::Share(Vec::new()),
        Message::Confirm(vec![5, 4]),
        Message::Upload(update(0)),
        Message::Endorse([1; 64]),
        Message::Unmask(vec![Revealed {
            owner: 99,
            kind: Secret::MaskKey,
            share: [0; 32],
        }]),
    ]
}

#[test]
fn strangers_are_refused_in_every_phase() {
    let mut federation = Federation::new(12, false, 1);
    federation.join_all();
    let stranger = ClientId([7; 16]);
    for phase in PHASES {
        federation.run_to(phase);
        for message in samples() {
            assert_eq!(federation.say(stranger, message), Err(Reject::NotInvited));
        }
        for awaited in [Awaited::Neighbours, Awaited::Shares, Awaited::Outcome] {
            let answer = federation.round.answer(&stranger, awaited);
            assert_eq!(answer, Err(Reject::NotInvited));
        }
    }
    assert!(federation.recovered().is_some());
}

#[test]
fn a_message_is_taken_in_its_own_phase_only() {
    let mut federation = Federation::new(12, false, 2);
    federation.members[11].vanish = common::Vanish::BeforeAdvertising;
    federation.join_all();
    let silent = federation.members[11].identity.id();
    for (place, phase) in PHASES.into_iter().enumerate() {
        if phase > Phase::Advertising && federation.round.phase() == Phase::Advertising {
            for index in 0..12 {
                while federation.step(index) {}
            }
            federation.now += 100;
            let now = federation.now;
            let tick = Input::Tick;
            federation
                .round
                .handle(now, tick, &mut federation.events)
                .unwrap();
        }
        federation.run_to(phase);
        for (kind, message) in samples().into_iter().enumerate() {
            let result = federation.say(silent, message);
            match (kind == place, phase) {
                (true, Phase::Advertising) => {
                    assert_eq!(result, Err(Reject::Signature));
                }
                // It never sent keys: it is not in the cohort.
                (true, _) => assert_eq!(result, Err(Reject::LeftOut)),
                (false, Phase::Ended) if kind >= 4 => assert_eq!(result, Ok(())),
                // Endorsements go on coming in once a quorum is there; not from outside of the cohort.
                (false, Phase::Unmasking) if kind == 4 => {
                    assert_eq!(result, Err(Reject::LeftOut));
                }
                (false, _) => assert_eq!(result.unwrap_err().label(), "wrong-phase"),
            }
        }
    }
}

/// What a member would say now.
fn next_message(federation: &Federation, index: usize) -> Option<Message> {
    let Next::Send(request) = federation.members[index].participation.as_ref()?.poll() else {
        return None;
    };
    let key = federation.members[index].identity.public();
    Some(match request {
        Request::AdvertiseKeys {
            keys, signature, ..
        } => Message::Advertise {
            key,
            certificate: key.to_vec(),
            keys,
            signature,
        },
        Request::ShareKeys { sealed, .. } => Message::Share(sealed),
        Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable),
        Request::Upload { update, .. } => Message::Upload(update),
        Request::Endorse { signature, .. } => Message::Endorse(signature),
        Request::Unmask { revealed, .. } => Message::Unmask(revealed),
        _ => return None,
    })
}

/// The same message again is what an interrupted client sends; another one is equivocation. Both leave the round alone.
#[test]
fn repeats_are_taken_and_equivocation_is_refused() {
    let mut federation = Federation::new(12, false, 3);
    federation.join_all();
    let client = federation.members[0].identity.id();
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        for index in 0..12 {
            let (first, again) = (
                next_message(&federation, index),
                next_message(&federation, index),
            );
            federation.step(index);
            if let (0, Some(_), Some(again)) = (index, first, again) {
                let after = federation.round.clone();
                assert_eq!(federation.say(client, again), Ok(()));
                assert!(federation.round == after);
                let mut rng = ChaCha20Rng::seed_from_u64(4);
                for _ in 0..20 {
                    let other = hostile(&mut rng, &federation, 0);
                    if let Err(Reject::Duplicate(kind)) = federation.say(client, other) {
                        seen.insert(kind);
                    }
                    assert!(federation.round == after);
                }
            }
        }
        if federation.is_over() {
            break;
        }
    }
    let all = BTreeSet::from([
        "advertise",
        "share",
        "confirm",
        "upload",
        "endorse",
        "unmask",
    ]);
    assert_eq!(seen, all);
    let plain = federation.plain_sum(|_| true);
    assert_eq!(
        federation.recovered().map(|recovered| &recovered.sum),
        Some(&plain)
    );
}

fn advertisement(federation: &Federation, index: usize, keys: PublicKeys) -> Message {
    let digest = federation
        .plan
        .digest(&federation.plan_bytes, &federation.plan.model);
    let identity = &federation.members[index].identity;
    Message::Advertise {
        key: identity.public(),
        certificate: identity.public().to_vec(),
        keys,
        signature: identity.advertise(&digest, &keys),
    }
}

/// A neighbour's keys a second time make honest clients leave the round; so they are refused before anyone sees them.
#[test]
fn keys_are_nobody_elses_and_their_senders_own() {
    let mut federation = Federation::new(12, false, 5);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let ids: Vec<ClientId> = federation.members.iter().map(|m| m.identity.id()).collect();
    let first = RoundKeys::generate(Generator::native(), &mut rng).public();
    let second = RoundKeys::generate(Generator::native(), &mut rng).public();
    let message = advertisement(&federation, 0, first);
    assert_eq!(federation.say(ids[0], message), Ok(()));
    for keys in [
        first,
        PublicKeys {
            cipher: first.cipher,
            ..second
        },
        PublicKeys {
            mask: first.mask,
            ..second
        },
        PublicKeys {
            cipher: first.mask,
            ..second
        },
        PublicKeys {
            cipher: second.mask,
            ..second
        },
        PublicKeys {
            cipher: [0; 32],
            ..second
        },
    ] {
        let before = federation.round.clone();
        let message = advertisement(&federation, 1, keys);
        let reject = federation.say(ids[1], message).unwrap_err();
        assert!(
            matches!(reject, Reject::Content { field: "keys", .. }),
            "{reject}"
        );
        assert!(federation.round == before);
    }
    // Another's advertisement, whole: the signature fits its key, and the key is not the sender's.
    let message = advertisement(&federation, 2, second);
    assert_eq!(federation.say(ids[1], message), Err(Reject::Signature));
    let message = advertisement(&federation, 1, second);
    assert_eq!(federation.say(ids[1], message), Ok(()));
}

/// The assumed corrupt part of the clients complains of everyone else, truthfully of nobody: nobody is left out for it.
#[test]
fn false_complaints_of_the_corrupt_put_nobody_out() {
    for clients in [11, 20, 120] {
        let mut federation = Federation::new(clients, false, 7);
        let corrupt = clients.div_ceil(10);
        federation.join_all();
        federation.run_to(Phase::Confirming);
        for index in 0..corrupt {
            let response = federation.halt_at(index, Awaited::Shares);
            let Response::Shares(sealed) = response else {
                panic!("{response:?}");
            };
            let all = sealed.iter().map(|one| one.peer).collect();
            let client = federation.members[index].identity.id();
            federation.say(client, Message::Confirm(all)).unwrap();
            federation.members[index].participation = None;
        }
        federation.go_on();
        let funnel = federation.round.funnel();
        assert_eq!(
            (funnel.confirmed, funnel.uploaded),
            (clients, clients - corrupt)
        );
        let words = |member: &common::Member| member.participation.is_some();
        let plain = federation.plain_sum(words);
        assert_eq!(
            federation.recovered().map(|recovered| &recovered.sum),
            Some(&plain)
        );
    }
}

/// Rubbish of the right length is in the sum, and the check values find it before anything is given out.
#[test]
fn a_rubbish_upload_spoils_the_round_and_reveals_nothing() {
    let mut federation = Federation::new(12, false, 8);
    federation.join_all();
    let sharers = federation.halt_at(0, Awaited::Sharers);
    federation.tell(0, sharers).unwrap();
    let next = federation.members[0].participation.take().unwrap();
    let Next::Send(Request::Upload { update: sound, .. }) = next.poll() else {
        panic!("it does not upload");
    };
    let words = federation.plan.encoding.length();
    let bytes = |length| Ring::Bits32.upload_bytes(length);
    let client = federation.members[0].identity.id();
    for wrong in [words - 1, words + 1] {
        let reject = federation.say(client, Message::Upload(update(wrong)));
        let expected = Reject::Length {
            expected: bytes(words),
            found: bytes(wrong),
        };
        assert_eq!(reject, Err(expected));
    }
    // As many bytes as the plan's, of another ring.
    let other = Ring::Bits16;
    let length = bytes(words) / 2 - other.check_values();
    let update_of_16 = SignedUpdate {
        masked: MaskedUpdate::from_bytes(vec![7; bytes(words)], other, length).unwrap(),
        signature: sound.signature,
    };
    let reject = federation.say(client, Message::Upload(update_of_16));
    assert!(matches!(reject, Err(Reject::Length { .. })), "{reject:?}");
    // Whoever signs another list of sharers than everyone's is found out at once.
    let reject = federation.say(client, Message::Upload(update(words)));
    assert_eq!(reject, Err(Reject::Signature));
    let rubbish = SignedUpdate {
        signature: sound.signature,
        ..update(words)
    };
    assert_eq!(federation.say(client, Message::Upload(rubbish)), Ok(()));
    federation.go_on();
    assert!(federation.recovered().is_none());
    assert!(
        federation
            .aborted()
            .is_some_and(|why| why.contains("check values"))
    );
}

/// A clock that stands still, goes back or jumps to its end.
#[test]
fn no_clock_breaks_a_round() {
    let mut federation = Federation::new(12, false, 9);
    federation.join_all();
    federation.run_to(Phase::Sharing);
    let mut events = Vec::new();
    for now in [0, u64::MAX, 0] {
        federation
            .round
            .handle(now, Input::Tick, &mut events)
            .unwrap();
    }
    assert!(matches!(events[..], [Event::Aborted { .. }]));
    assert_eq!(federation.round.phase(), Phase::Ended);
    // What came before the end stays what it was.
    let client = federation.members[3].identity.id();
    let answer = federation.round.answer(&client, Awaited::Outcome);
    assert!(matches!(answer, Ok(Response::Aborted { .. })));
}

#[test]
fn ids_are_of_keys() {
    let identity = Identity::from_seed(&[1; 32]);
    assert_eq!(identity.id(), ClientId::of_key(&identity.public()));
    assert_eq!(format!("{:?}", identity.id()), "ClientId(..)");
    assert_ne!(Digest::of(b""), Digest::ZERO);
}
