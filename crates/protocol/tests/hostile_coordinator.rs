//! What a client does not let a coordinator do to it: the rules of secagg.md 4.2 and 4.4, answer by answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_protocol::{
    Awaited, Digest, Next, Outcome, Participation, Refusal, Request, Response, Roster, RoundId,
};
use chorus_secagg::{Generator, RoundKeys};
use common::{Federation, Keys, MODEL, Vanish, refused, tree};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A federation in which member 0 is about to hear the answer to `awaited`.
fn halted(clients: usize, awaited: Awaited) -> (Federation, Response) {
    let mut federation = Federation::new(clients, false, 11);
    federation.join_all();
    let response = federation.halt_at(0, awaited);
    (federation, response)
}

fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Roster { list, reason } => format!("{list}: {reason}"),
        other => other.to_string(),
    }
}

#[test]
fn a_place_that_contradicts_the_plan_or_the_graph_is_refused() {
    let (mut federation, response) = halted(20, Awaited::Neighbours);
    let Response::Neighbours(place) = response else {
        panic!("{response:?}");
    };
    let minimum = federation.plan.survivors.minimum as u32;
    for cohort in [0, 9, minimum - 1, 21, 1 << 20, u32::MAX] {
        let mut other = place.clone();
        other.cohort = cohort;
        let refusal = refused(&mut federation, Response::Neighbours(other));
        let reason = reason(&refusal);
        assert!(
            reason.contains("size") || reason.contains("floor"),
            "{refusal}"
        );
    }
    let mut other = place.clone();
    other.index = 20;
    let refusal = refused(&mut federation, Response::Neighbours(other));
    assert!(reason(&refusal).contains("size"), "{refusal}");
    let mut fewer = place.clone();
    fewer.neighbours.pop();
    let mut swapped = place.clone();
    swapped.neighbours.swap(3, 4);
    let mut twice = place.clone();
    twice.neighbours[4] = twice.neighbours[3].clone();
    let mut elsewhere = place.clone();
    elsewhere.index = (elsewhere.index + 1) % 20;
    let mut smaller = place.clone();
    smaller.cohort = 19;
    for other in [fewer, swapped, twice, elsewhere, smaller] {
        let refusal = refused(&mut federation, Response::Neighbours(other));
        assert!(reason(&refusal).contains("graph"), "{refusal}");
    }
    // What is printed of it by mistake names nobody.
    let printed = format!("{:?}", Response::Neighbours(place.clone()));
    let number = place.neighbours[0].index;
    assert!(
        printed.contains(&format!("[Neighbour({number}), ")),
        "{printed}"
    );
    federation
        .tell(0, Response::Neighbours(place))
        .expect("the true one");
}

#[test]
fn the_graph_of_a_large_cohort_is_the_clients_own() {
    let (mut federation, response) = halted(110, Awaited::Neighbours);
    let Response::Neighbours(mut place) = response else {
        panic!("{response:?}");
    };
    place.key_root = Digest::of(b"a graph of the coordinator's choice");
    let refusal = refused(&mut federation, Response::Neighbours(place));
    assert!(reason(&refusal).contains("graph"), "{refusal}");
}

#[test]
fn neighbours_prove_who_they_are_and_are_there_once() {
    let (mut federation, response) = halted(12, Awaited::Neighbours);
    let Response::Neighbours(place) = response else {
        panic!("{response:?}");
    };
    let enrolled = federation.members[0].identity.public();
    let own = enrolled.to_vec();
    let own_request = {
        let mut fresh = Federation::new(12, false, 11);
        fresh.join_all();
        // The same seeds give the same keys: what this client advertised.
        loop {
            let next = fresh.members[0].participation.as_ref().unwrap().poll();
            if let Next::Send(Request::AdvertiseKeys {
                keys, signature, ..
            }) = next
            {
                break (keys, signature);
            }
            fresh.step(0);
        }
    };
    let mut unknown = place.clone();
    unknown.neighbours[2].certificate = b"not issued by the authority".to_vec();
    let mut forged = place.clone();
    forged.neighbours[2].signature[0] ^= 1;
    let mut borrowed = place.clone();
    borrowed.neighbours[2].keys = borrowed.neighbours[3].keys;
    // One client that works for the coordinator, in two places: it would hold two shares.
    let mut sybil = place.clone();
    let index = sybil.neighbours[2].index;
    sybil.neighbours[2] = sybil.neighbours[3].clone();
    sybil.neighbours[2].index = index;
    let mut mirrored = place.clone();
    mirrored.neighbours[2].certificate = own;
    (
        mirrored.neighbours[2].keys,
        mirrored.neighbours[2].signature,
    ) = own_request;
    for (other, expected) in [
        (unknown, "not a key"),
        (forged, "signature"),
        (borrowed, "signature"),
        (sybil, "second time"),
        (mirrored, "second time"),
    ] {
        // The lie is in the key root too: nothing else gives it away.
        let mut other = other;
        tree::rebuild(&mut other, &enrolled, &own_request.0);
        let refusal = refused(&mut federation, Response::Neighbours(other));
        assert!(refusal.to_string().contains(expected), "{refusal}");
    }
    // The same client with other keys: signed for this round, so only its enrolled key gives it away.
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let digest = federation
        .plan
        .digest(&federation.plan_bytes, &federation.plan.model);
    let traitor = federation
        .members
        .iter()
        .find(|member| member.identity.public().to_vec() == place.neighbours[3].certificate)
        .unwrap();
    let keys = RoundKeys::generate(Generator::native(), &mut rng).public();
    let mut sybil = place;
    sybil.neighbours[2].certificate = sybil.neighbours[3].certificate.clone();
    sybil.neighbours[2].signature = traitor.identity.advertise(&digest, &keys);
    sybil.neighbours[2].keys = keys;
    tree::rebuild(&mut sybil, &enrolled, &own_request.0);
    let refusal = refused(&mut federation, Response::Neighbours(sybil));
    assert!(refusal.to_string().contains("second time"), "{refusal}");
}

#[test]
fn the_cohort_that_came_is_held_against_the_floor_too() {
    let mut federation = Federation::new(20, false, 12);
    federation.members[5].vanish = Vanish::BeforeAdvertising;
    federation.join_all();
    let mut floor = federation.floor();
    floor.cohort = 20;
    federation.members[0].participation = Some(federation.join(&floor).unwrap());
    federation.interrupted = true;
    let response = federation.halt_at(0, Awaited::Neighbours);
    let refusal = refused(&mut federation, response);
    assert!(reason(&refusal).contains("floor"), "{refusal}");
}

#[test]
fn shares_come_from_neighbours_and_once_from_each() {
    let (mut federation, response) = halted(12, Awaited::Shares);
    let Response::Shares(shares) = response else {
        panic!("{response:?}");
    };
    let mut stranger = shares.clone();
    stranger[10].peer = 12;
    let mut twice = shares.clone();
    twice[4].peer = twice[3].peer;
    let mut swapped = shares.clone();
    swapped.swap(0, 1);
    for other in [stranger, twice, swapped] {
        let refusal = refused(&mut federation, Response::Shares(other));
        assert!(reason(&refusal).starts_with("shares"), "{refusal}");
    }
    // What cannot be opened is named, and costs nobody but its sender.
    let mut moved = shares.clone();
    (moved[1].sealed, moved[2].sealed) = (moved[2].sealed, moved[1].sealed);
    let unopened = vec![moved[1].peer, moved[2].peer];
    federation.tell(0, Response::Shares(moved)).unwrap();
    let next = federation.members[0].participation.as_ref().unwrap().poll();
    assert!(
        matches!(next, Next::Send(Request::ConfirmShares { unopenable, .. }) if unopenable == unopened)
    );
}

#[test]
fn rosters_that_are_small_or_of_another_cohort_are_refused() {
    let (mut federation, response) = halted(20, Awaited::Sharers);
    let Response::Sharers(all) = response else {
        panic!("{response:?}");
    };
    assert_eq!((all.size(), all.count()), (20, 20));
    let minimum = federation.plan.survivors.minimum as u32;
    for (roster, expected) in [
        (Roster::of(21, 0..20), "another cohort"),
        (Roster::of(0, []), "another cohort"),
        (Roster::of(20, 0..minimum - 1), "fewer clients"),
        (Roster::of(20, []), "fewer clients"),
    ] {
        let refusal = refused(&mut federation, Response::Sharers(roster));
        assert!(reason(&refusal).contains(expected), "{refusal}");
    }
    // Whatever ends before the mask costs nothing; what ends after it is charged, whatever becomes of the round.
    let member = federation.members[0].participation.as_ref().unwrap();
    assert!(member.charge().is_none());
    federation.tell(0, Response::Sharers(all)).unwrap();
    let member = federation.members[0].participation.as_mut().unwrap();
    assert_eq!(member.charge().map(|charge| charge.round), Some(RoundId(7)));
    member.left_out();
    assert!(member.charge().is_some());
}

#[test]
fn a_client_that_is_not_masked_with_is_left_out() {
    let (mut federation, _) = halted(20, Awaited::Sharers);
    let own = own_number(&federation);
    let others = Roster::of(20, (0..20).filter(|number| *number != own));
    federation.tell(0, Response::Sharers(others)).unwrap();
    assert_eq!(federation.outcome(0), Some(Outcome::LeftOut));
    let member = federation.members[0].participation.as_ref().unwrap();
    assert!(member.charge().is_none());
}

/// Members are numbered in the order of their ids.
fn own_number(federation: &Federation) -> u32 {
    let own = federation.members[0].identity.id();
    let smaller = |member: &&common::Member| member.identity.id() < own;
    federation.members.iter().filter(smaller).count() as u32
}

#[test]
fn survivors_that_contradict_what_was_said_before_are_refused() {
    let mut federation = Federation::new(20, false, 13);
    let lost = federation.members[9].identity.id();
    federation.members[9].vanish = Vanish::BeforeSharing;
    federation.join_all();
    let response = federation.halt_at(0, Awaited::Survivors);
    let Response::Survivors(all) = response else {
        panic!("{response:?}");
    };
    let own = own_number(&federation);
    let revealed = |federation: &Federation| match federation.members[0]
        .participation
        .as_ref()
        .unwrap()
        .poll()
    {
        Next::Send(Request::Unmask { revealed, .. }) => revealed,
        _ => panic!("not unmasking"),
    };
    let lost = (0..20)
        .find(|number| !all.contains(*number))
        .unwrap_or_else(|| panic!("{lost:?} is there"));
    let minimum = federation.plan.survivors.minimum;
    let without_own = Roster::of(20, all.iter().filter(|number| *number != own));
    for (roster, expected) in [
        (Roster::of(19, all.iter()), "another cohort"),
        (
            Roster::of(20, all.iter().take(minimum - 1)),
            "fewer clients",
        ),
        (Roster::of(20, all.iter().chain([lost])), "nobody masked"),
        (without_own, "leaves out this client"),
    ] {
        let refusal = refused(&mut federation, Response::Survivors(roster));
        assert!(reason(&refusal).contains(expected), "{refusal}");
    }
    federation
        .tell(0, Response::Survivors(all.clone()))
        .unwrap();
    // It was told, and has signed: nobody tells it anything else any more, with or without proof.
    let smaller = Roster::of(20, all.iter().filter(|number| *number != (own + 1) % 20));
    for roster in [&all, &smaller] {
        let refusal = refused(&mut federation, Response::Survivors(roster.clone()));
        assert_eq!(refusal, Refusal::Unexpected);
    }
    let proof = federation.halt_at(0, Awaited::Proof);
    let printed = format!("{proof:?}");
    assert!(
        printed.starts_with("Proof(Proof(12 of 20), [MaskedWith(0), "),
        "{printed}"
    );
    for roster in [&all, &smaller] {
        let refusal = refused(&mut federation, Response::Survivors(roster.clone()));
        assert_eq!(refusal, Refusal::Unexpected);
    }
    federation.tell(0, proof.clone()).unwrap();
    // One share of each, never both; the same answer however often it is asked for; and no second answer.
    let answer = revealed(&federation);
    assert!(answer.is_sorted_by(|a, b| a.owner < b.owner));
    assert_eq!(answer.len(), 18);
    assert!(revealed(&federation) == answer);
    for again in [
        Response::Survivors(all),
        Response::Survivors(smaller),
        proof,
    ] {
        assert_eq!(refused(&mut federation, again), Refusal::Unexpected);
    }
    federation.tell(0, Response::Accepted).unwrap();
    let member = federation.members[0].participation.as_ref().unwrap();
    let left = member.save().unwrap();
    assert!(
        answer
            .iter()
            .all(|one| !left.windows(32).any(|part| part == one.share))
    );
    let again = Response::Survivors(Roster::of(20, 0..20));
    assert_eq!(refused(&mut federation, again), Refusal::Unexpected);
}

/// Whoever is slow is told the outcome instead of being asked: that is no fault of anybody's.
#[test]
fn a_round_can_be_over_before_a_client_is_asked() {
    for awaited in [
        Awaited::Neighbours,
        Awaited::Shares,
        Awaited::Sharers,
        Awaited::Survivors,
        Awaited::Proof,
        Awaited::Outcome,
    ] {
        let (mut federation, _) = halted(12, awaited);
        federation
            .tell(0, Response::Completed { version: 2 })
            .unwrap();
        let expected = match awaited {
            Awaited::Survivors | Awaited::Proof | Awaited::Outcome => {
                Outcome::Completed { version: 2 }
            }
            _ => Outcome::LeftOut,
        };
        assert_eq!(federation.outcome(0), Some(expected.clone()));
        // What is over stays as it ended.
        let late = Response::Aborted {
            reason: "no".to_owned(),
        };
        assert_eq!(federation.tell(0, late), Err(Refusal::Unexpected));
        let member = federation.members[0].participation.as_mut().unwrap();
        member.left_out();
        assert_eq!(federation.outcome(0), Some(expected));
    }
}

#[test]
fn a_reason_cannot_move_the_cursor() {
    let (mut federation, _) = halted(12, Awaited::Shares);
    let reason = format!("\u{1b}[2Jgone\r\n{}", "x".repeat(5_000));
    federation.tell(0, Response::Aborted { reason }).unwrap();
    let Some(Outcome::Aborted { reason }) = federation.outcome(0) else {
        panic!("not aborted");
    };
    assert!(reason.starts_with("[2Jgonexxx") && reason.len() == 1024);
}

/// Every answer in every state: it is followed or refused, and a refusal ends the round for this client.
#[test]
fn answers_that_do_not_belong_end_the_round_and_never_panic() {
    let bytes = MODEL[..10].to_vec();
    let answers = || {
        let (mut federation, response) = halted(12, Awaited::Neighbours);
        let neighbours = response;
        let shares = federation.halt_at(1, Awaited::Shares);
        [
            neighbours,
            shares,
            Response::Wait { milliseconds: 1 },
            Response::Invited(federation.invitation()),
            Response::Finished,
            Response::Log(Vec::new()),
            Response::Model {
                offset: 0,
                total: MODEL.len() as u64,
                bytes: bytes.clone(),
            },
            Response::Accepted,
            Response::Sharers(Roster::of(12, 0..12)),
            Response::Survivors(Roster::of(12, 0..12)),
            federation.halt_at(2, Awaited::Proof),
            Response::Completed { version: 9 },
        ]
    };
    let mut federation = Federation::new(12, false, 11);
    let mut states = Vec::new();
    federation.join_all();
    while federation.outcome(0).is_none() {
        let member = federation.members[0].participation.as_ref().unwrap();
        let saved = member.save().unwrap();
        if states.last() != Some(&saved) {
            states.push(saved);
        }
        for index in 0..12 {
            federation.step(index);
        }
    }
    assert!(states.len() >= 17, "{}", states.len());
    let answers = answers();
    let identity = &federation.members[0].identity;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut refused = 0;
    for saved in &states {
        for answer in &answers {
            let mut member = Participation::restore(saved).unwrap();
            if member
                .handle(answer.clone(), identity, &Keys, &mut rng)
                .is_err()
            {
                refused += 1;
                assert!(matches!(member.poll(), Next::Over(Outcome::LeftOut)));
            }
        }
        let mut member = Participation::restore(saved).unwrap();
        member
            .handle(Response::Pending, identity, &Keys, &mut rng)
            .unwrap();
        assert_eq!(&member.save().unwrap(), saved);
    }
    assert!(refused > 120, "{refused}");
}
