//! Requests and answers of every kind.

#![allow(dead_code)]

use chorus_protocol::{
    Addressed, Awaited, Digest, Invitation, Neighbour, Neighbourhood, PublicKeys, Request,
    Response, Revealed, Roster, RoundId, Secret, SignedEntry, TaskName,
};
use chorus_secagg::MaskedUpdate;
use chorus_wire::Call;
use proptest::{collection::vec, prelude::*};

pub fn update(words: &[u32]) -> MaskedUpdate {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    MaskedUpdate::from_le_bytes(&bytes, words.len()).unwrap()
}

fn keys() -> impl Strategy<Value = PublicKeys> {
    any::<([u8; 32], [u8; 32])>().prop_map(|(cipher, mask)| PublicKeys { cipher, mask })
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

pub fn awaited() -> [Awaited; 5] {
    [
        Awaited::Neighbours,
        Awaited::Shares,
        Awaited::Sharers,
        Awaited::Survivors,
        Awaited::Outcome,
    ]
}

/// Every request, as it travels: requests themselves cannot be printed, and a failed case must be.
pub fn call() -> impl Strategy<Value = Call> {
    let round = || any::<u64>().prop_map(RoundId);
    let to = |request: Request| Call::from(&request);
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
        (round(), vec(any::<u32>(), 8..200)).prop_map(move |(round, words)| to(Request::Upload {
            round,
            update: update(&words)
        })),
        (round(), vec(any::<(u32, bool, [u8; 32])>(), 0..254)).prop_map(move |(round, shares)| {
            to(Request::Unmask {
                round,
                revealed: shares.into_iter().map(revealed).collect(),
            })
        }),
        (round(), 0..5usize).prop_map(move |(round, place)| to(Request::Await {
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
    (any::<u32>(), vec(any::<u8>(), 0..600), keys(), bytes()).prop_map(
        |(index, certificate, keys, signature)| Neighbour {
            index,
            certificate,
            keys,
            signature,
        },
    )
}

fn neighbourhood() -> impl Strategy<Value = Neighbourhood> {
    (
        any::<u32>(),
        0..=1u32 << 20,
        any::<[u8; 32]>(),
        vec(neighbour(), 0..20),
    )
        .prop_map(|(index, cohort, key_root, neighbours)| Neighbourhood {
            index,
            cohort,
            key_root: Digest(key_root),
            neighbours,
        })
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
        any::<u64>().prop_map(|version| Response::Completed { version }),
        "[ -~]{0,200}".prop_map(|reason| Response::Aborted { reason }),
    ]
}
