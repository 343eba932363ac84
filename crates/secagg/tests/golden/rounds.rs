//! `rounds.json`: whole rounds.

use chorus_secagg::{
    Aggregate, Dropped, Graph, GraphPlan, MaskKey, MaskedUpdate, Share, SharePair, Sign,
    SpoiledSum, combine, mask, open, recover_pairs, seal, secret_matches, share_position, split,
};

use crate::reading::{Case, cases};
use crate::shares::Replay;

const KINDS: [&str; 4] = [
    "round",
    "bad_spoiled_sum",
    "bad_forgotten_mask",
    "bad_wrong_share",
];

#[test]
fn rounds() {
    let all = cases("rounds", &KINDS);
    let (rounds, bad): (Vec<Case>, Vec<Case>) =
        all.into_iter().partition(|case| case.kind() == "round");
    assert_eq!(rounds.len(), 4);
    for case in &rounds {
        neighbours(case);
        shares_in_transit(case);
        uploads(case);
        opened_secrets(case);
        let sum = unmasked(case, |client| upload(case, client), |_| true, |_| true);
        assert_eq!(sum, Ok(case.get("sum")));
    }
    for case in &bad {
        let round = rounds
            .iter()
            .find(|round| round.ring() == case.ring())
            .unwrap();
        match case.kind() {
            "bad_wrong_share" => wrong_share(round, case),
            "bad_spoiled_sum" => {
                let altered = |client| match client == case.get::<u32>("client") {
                    true => update(round, case.bytes("upload")),
                    false => upload(round, client),
                };
                assert_eq!(
                    unmasked(round, altered, |_| true, |_| true),
                    Err(SpoiledSum)
                );
            }
            _ => {
                let is_own =
                    |client| case.has("own_mask_of") && client == case.get::<u32>("own_mask_of");
                let is_lost = |client| case.has("lost") && client == case.get::<u32>("lost");
                let sum = unmasked(
                    round,
                    |client| upload(round, client),
                    |c| !is_own(c),
                    |c| !is_lost(c),
                );
                assert_eq!(sum, Err(SpoiledSum));
            }
        }
    }
}

fn members(case: &Case) -> Vec<Case> {
    case.parts("members")
}

fn survivors(case: &Case) -> Vec<u32> {
    let lost: Vec<u32> = case.get("lost");
    let clients: u32 = case.get("clients");
    (0..clients)
        .filter(|client| !lost.contains(client))
        .collect()
}

fn neighbours(case: &Case) {
    let plan = GraphPlan {
        clients: case.get("clients"),
        degree: case.get("degree"),
        threshold: case.get("threshold"),
    };
    let graph = Graph::new(&case.key("graph_seed"), &plan);
    for (index, member) in (0..).zip(members(case)) {
        assert_eq!(member.get::<u32>("index"), index);
        assert_eq!(member.round_keys().public(), member.public_keys());
        assert_eq!(
            graph.neighbours(index),
            member.get::<Vec<u32>>("neighbours")
        );
    }
}

/// Splits, seals, and opens at the other end.
fn shares_in_transit(case: &Case) {
    let (members, digest) = (members(case), case.digest());
    for member in &members {
        let neighbours: Vec<u32> = member.get("neighbours");
        let shares = |secret: [u8; 32], coefficients: &str| {
            let mut drawn = Replay::of(&member.list_of_keys(coefficients));
            split(&secret, case.get("threshold"), neighbours.len(), &mut drawn).unwrap()
        };
        let of_mask_key = shares(member.key("mask_secret"), "mask_key_coefficients");
        let of_self_seed = shares(member.key("self_seed"), "self_seed_coefficients");
        let expected: Vec<String> = member.get("sealed");
        let (keys, from) = (member.round_keys(), member.get("index"));
        for (position, to) in neighbours.iter().enumerate() {
            let pair = SharePair {
                mask_key: of_mask_key[position].y,
                self_seed: of_self_seed[position].y,
            };
            let receiver = members[*to as usize].round_keys();
            let sealed = seal(&keys, &receiver.public(), &digest, from, *to, &pair).unwrap();
            assert_eq!(hex::encode(sealed), expected[position]);
            let opened = open(&receiver, &keys.public(), &digest, from, *to, &sealed);
            let opened = opened.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(opened.mask_key, pair.mask_key);
            assert_eq!(opened.self_seed, pair.self_seed);
            assert_eq!(
                share_position(&neighbours, *to),
                Some(of_mask_key[position].x)
            );
        }
    }
}

fn own_key(case: &Case, member: &Case) -> MaskKey {
    let seed = member.key("self_seed");
    MaskKey::own(
        &seed,
        &case.digest(),
        member.get("index"),
        member.generator(),
    )
}

fn uploads(case: &Case) {
    let members = members(case);
    for client in survivors(case) {
        let member = &members[client as usize];
        let keys = member.round_keys();
        let neighbours: Vec<u32> = member.get("neighbours");
        let pairs = neighbours.iter().map(|other| {
            let theirs = members[*other as usize].public_keys();
            let key = MaskKey::pair(&keys, &theirs, &case.digest(), client, *other).unwrap();
            (key, Sign::of(client, *other))
        });
        let upload = mask(
            member.get("values"),
            case.ring(),
            &own_key(case, member),
            pairs,
        );
        assert_eq!(
            upload.into_bytes(),
            member.bytes("upload"),
            "client {client}"
        );
    }
}

/// Every set of shares that was given back opens the secret it should.
fn opened_secrets(case: &Case) {
    let members = members(case);
    for revealed in case.parts("revealed") {
        let whole = combine(case.get("threshold"), &revealed.shares()).unwrap();
        assert_eq!(*whole, revealed.key("whole"));
        let owner = &members[revealed.get::<usize>("owner")];
        if revealed.get::<String>("secret") == "mask_key" {
            assert!(secret_matches(&whole, &owner.key("mask")));
        } else {
            assert_eq!(*whole, owner.key("self_seed"));
        }
    }
}

fn update(case: &Case, bytes: Vec<u8>) -> MaskedUpdate {
    MaskedUpdate::from_bytes(bytes, case.ring(), case.get("length")).unwrap()
}

fn upload(case: &Case, client: u32) -> MaskedUpdate {
    update(case, members(case)[client as usize].bytes("upload"))
}

/// The sum as the coordinator computes it, of what `upload` says each survivor sent. Own masks and lost clients can be
/// forgotten.
fn unmasked(
    case: &Case,
    upload: impl Fn(u32) -> MaskedUpdate,
    own_masks_of: impl Fn(u32) -> bool,
    lost_clients: impl Fn(u32) -> bool,
) -> Result<Vec<u32>, SpoiledSum> {
    let members = members(case);
    let survivors = survivors(case);
    let mut sum = Aggregate::new(case.ring(), case.get("length"));
    for client in &survivors {
        sum.add(upload(*client)).unwrap();
    }
    let opened: Vec<(u32, [u8; 32])> = case
        .parts("revealed")
        .iter()
        .map(|revealed| {
            let whole = combine(case.get("threshold"), &revealed.shares()).unwrap();
            (revealed.get("owner"), *whole)
        })
        .collect();
    for (owner, secret) in &opened {
        let member = &members[*owner as usize];
        if survivors.contains(owner) {
            let key = MaskKey::own(secret, &case.digest(), *owner, member.generator());
            if own_masks_of(*owner) {
                sum.remove(&[(key, Sign::Add)]);
            }
            continue;
        }
        let public = member.public_keys();
        for neighbour in member.get::<Vec<u32>>("neighbours") {
            if survivors.contains(&neighbour) && lost_clients(*owner) {
                let theirs = members[neighbour as usize].public_keys();
                let lost = [Dropped {
                    index: *owner,
                    mask_secret: secret,
                    public: &public,
                }];
                sum.remove(&recover_pairs(neighbour, &theirs, &lost, &case.digest()).unwrap());
            }
        }
    }
    sum.finish()
}

/// One bit of one share differs: the secret is another, and is not taken for the client's.
fn wrong_share(round: &Case, case: &Case) {
    let owner: u32 = case.get("owner");
    let revealed = round.parts("revealed");
    let of_owner = revealed
        .iter()
        .find(|one| one.get::<u32>("owner") == owner)
        .unwrap();
    let mut shares = of_owner.shares();
    let wrong = Share {
        x: case.get("x"),
        y: case.key("y"),
    };
    let place = shares.iter_mut().find(|share| share.x == wrong.x).unwrap();
    *place = wrong;
    let whole = combine(shares.len(), &shares).unwrap();
    assert!(!secret_matches(
        &whole,
        &members(round)[owner as usize].key("mask")
    ));
}
