//! Requests and answers of every kind.

#![allow(dead_code)]

use chorus_protocol::{
    Addressed, Awaited, Beacon, Digest, Endorsement, Generator, Invitation, MaskedWith, Neighbour,
    Neighbourhood, Proof, PublicKeys, Request, Response, Revealed, Roster, RoundId, Seal, Secret,
    SignedEntry, SignedUpdate, TaskName,
};
use chorus_secagg::{MaskedUpdate, Ring};
use chorus_wire::{Call, Shape};
use proptest::{collection::vec, prelude::*};

/// The shape of an upload of so many values of 32 bits, and the eight check values after them.
pub fn words(length: usize) -> Shape {
    let ring = Ring::Bits32;
    Shape { ring, length }
}

/// An upload of these words, the last eight of which are in the place of the check values.
pub fn update(words: &[u32]) -> SignedUpdate {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    SignedUpdate {
        masked: MaskedUpdate::from_bytes(bytes, Ring::Bits32, words.len() - 8).unwrap(),
        signature: [3; 64],
    }
}

/// An upload in any ring.
fn upload() -> impl Strategy<Value = (MaskedUpdate, Shape)> {
    (0..4usize, 0..300usize).prop_flat_map(|(ring, length)| {
        let ring = Ring::ALL[ring];
        let used = (length + ring.check_values()) * ring.bits() as usize % 8;
        vec(any::<u8>(), ring.upload_bytes(length)).prop_map(move |mut bytes| {
            if let (1.., Some(last)) = (used, bytes.last_mut()) {
                *last &= (1 << used) - 1;
            }
            let update = MaskedUpdate::from_bytes(bytes, ring, length).unwrap();
            (update, Shape { ring, length })
        })
    })
}

fn keys() -> impl Strategy<Value = PublicKeys> {
    any::<([u8; 32], [u8; 32], bool)>().prop_map(|(cipher, mask, has_aes)| PublicKeys {
        cipher,
        mask,
        generator: match has_aes {
            true => Generator::Aes128Ctr,
            false => Generator::ChaCha12,
        },
    })
}

fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    vec(any::<u8>(), N).prop_map(|bytes| bytes.try_into().unwrap())
}

fn addressed() -> impl Strategy<Value = Vec<Addressed>> {
    vec(
        (any::<u32>(), bytes()).prop_map(|(peer, sealed)| Addressed { peer, sealed }),
        0..254,
    )
}

fn revealed((owner, own, share): (u32, bool, [u8; 32])) -> Revealed {
    let kind = if own {
        Secret::SelfSeed
    } else {
        Secret::MaskKey
    };
    Revealed { owner, kind, share }
}

pub fn awaited() -> [Awaited; 6] {
    [
        Awaited::Neighbours,
        Awaited::Shares,
        Awaited::Sharers,
        Awaited::Survivors,
        Awaited::Proof,
        Awaited::Outcome,
    ]
}

/// Every request, as it travels: requests themselves cannot be printed, and a failed case must be. With the shape by
/// which an upload is read.
pub fn call() -> impl Strategy<Value = (Call, Shape)> {
    let round = || any::<u64>().prop_map(RoundId);
    let to = |request: Request| (Call::from(&request), words(0));
    prop_oneof![
        "[a-z0-9-]{1,64}".prop_map(move |task| to(Request::CheckIn {
            task: TaskName::try_from(task).unwrap()
        })),
        any::<u64>().prop_map(move |from| to(Request::FetchLog { from })),
        any::<([u8; 32], u64)>().prop_map(move |(digest, offset)| to(Request::FetchModel {
            digest: Digest(digest),
            offset
        })),
        (round(), keys(), bytes()).prop_map(move |(round, keys, signature)| to(
            Request::AdvertiseKeys {
                round,
                keys,
                signature
            }
        )),
        (round(), addressed())
            .prop_map(move |(round, sealed)| to(Request::ShareKeys { round, sealed })),
        (round(), vec(any::<u32>(), 0..254))
            .prop_map(move |(round, unopenable)| to(Request::ConfirmShares { round, unopenable })),
        (round(), upload(), bytes()).prop_map(|(round, (masked, shape), signature)| {
            let update = SignedUpdate { masked, signature };
            (Call::from(&Request::Upload { round, update }), shape)
        }),
        (round(), bytes())
            .prop_map(move |(round, signature)| to(Request::Endorse { round, signature })),
        (round(), vec(any::<(u32, bool, [u8; 32])>(), 0..254)).prop_map(move |(round, shares)| {
            to(Request::Unmask {
                round,
                revealed: shares.into_iter().map(revealed).collect(),
            })
        }),
        (round(), 0..6usize).prop_map(move |(round, place)| to(Request::Await {
            round,
            awaited: awaited()[place]
        })),
    ]
}

fn roster() -> impl Strategy<Value = Roster> {
    vec(any::<bool>(), 0..300).prop_map(|members| {
        let size = members.len() as u32;
        Roster::of(size, (0..size).filter(|member| members[*member as usize]))
    })
}

fn neighbour() -> impl Strategy<Value = Neighbour> {
    (any::<u32>(), certificate(), keys(), bytes(), path()).prop_map(
        |(index, certificate, keys, signature, path)| Neighbour {
            index,
            certificate,
            keys,
            signature,
            path,
        },
    )
}

fn certificate() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..600)
}

fn path() -> impl Strategy<Value = Vec<Digest>> {
    vec(any::<[u8; 32]>().prop_map(Digest), 0..=20)
}

fn beacon() -> impl Strategy<Value = Beacon> {
    (certificate(), any::<[u8; 32]>(), bytes()).prop_map(|(certificate, randomness, signature)| {
        Beacon {
            certificate,
            randomness,
            signature,
        }
    })
}

fn proof() -> impl Strategy<Value = Proof> {
    let endorsement =
        (any::<u32>(), certificate(), bytes()).prop_map(|(index, certificate, signature)| {
            Endorsement {
                index,
                certificate,
                signature,
            }
        });
    let seal = (certificate(), bytes()).prop_map(|(certificate, signature)| Seal {
        certificate,
        signature,
    });
    prop_oneof![
        (vec(any::<[u8; 32]>(), 0..200), vec(endorsement, 0..20)).prop_map(
            |(members, endorsements)| Proof::Cohort {
                members,
                endorsements
            }
        ),
        seal.prop_map(Proof::Witness),
    ]
}

fn neighbourhood() -> impl Strategy<Value = Neighbourhood> {
    (
        any::<u32>(),
        0..=1u32 << 20,
        any::<([u8; 32], [u8; 32])>(),
        path(),
        proptest::option::of(beacon()),
        vec(neighbour(), 0..20),
        vec(any::<[u8; 32]>(), 0..50),
    )
        .prop_map(
            |(index, cohort, (cohort_root, key_root), path, beacon, neighbours, members)| {
                Neighbourhood {
                    index,
                    cohort,
                    cohort_root: Digest(cohort_root),
                    key_root: Digest(key_root),
                    path,
                    beacon,
                    members,
                    neighbours,
                }
            },
        )
}

/// Every answer but a model, which travels in chunks.
pub fn response() -> impl Strategy<Value = Response> {
    let entry = || {
        (vec(any::<u8>(), 0..300), bytes())
            .prop_map(|(bytes, signature)| SignedEntry { bytes, signature })
    };
    prop_oneof![
        any::<u64>().prop_map(|milliseconds| Response::Wait { milliseconds }),
        (vec(any::<u8>(), 0..900), bytes())
            .prop_map(|(plan, signature)| Response::Invited(Invitation { plan, signature })),
        Just(Response::Finished),
        vec(entry(), 0..40).prop_map(Response::Log),
        Just(Response::Accepted),
        Just(Response::Pending),
        neighbourhood().prop_map(Response::Neighbours),
        addressed().prop_map(Response::Shares),
        roster().prop_map(Response::Sharers),
        roster().prop_map(Response::Survivors),
        (proof(), vec((any::<u32>(), bytes()), 0..40)).prop_map(|(proof, masked)| {
            let masked = masked.into_iter();
            let with = |(index, signature)| MaskedWith { index, signature };
            Response::Proof(proof, masked.map(with).collect())
        }),
        any::<u64>().prop_map(|version| Response::Completed { version }),
        "[ -~]{0,200}".prop_map(|reason| Response::Aborted { reason }),
    ]
}
