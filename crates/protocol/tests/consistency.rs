//! When a client believes that everyone was told the same: quorums, proofs, witnesses, and plans that name one or not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::rc::Rc;

use chorus_protocol::{
    Awaited, Beacon, COHORT_MOST, Consistency, Digest, Endorsement, Identity, Participation, Phase,
    Proof, Purpose, Refusal, Reject, Request, Response, RoundId, Seal, Statement, Task, Unproven,
    commitment, quorum,
};
use chorus_secagg::{Assumptions, RoundDigest};
use common::world::{View, World};
use common::{Federation, Vanish, Witness, task};

const MODES: [Consistency; 2] = [Consistency::Cohort, Consistency::Witness];

fn of_mode(clients: usize, consistency: Consistency) -> Task {
    let mut task = task(clients, false);
    task.consistency = consistency;
    task
}

/// Every pair of sets of a quorum's size, and every set of corrupt clients.
#[test]
fn two_quorums_share_an_honest_member() {
    for cohort in 1..=9_usize {
        for corrupt in 0..cohort.div_ceil(2) {
            let needed = quorum(cohort, corrupt);
            let sets: Vec<u32> = (0..1_u32 << cohort)
                .filter(|set| set.count_ones() as usize >= needed)
                .collect();
            for one in &sets {
                for other in &sets {
                    assert!((one & other).count_ones() as usize > corrupt);
                }
            }
            // One fewer would not do.
            let fewer = needed - 1;
            let (one, other) = (
                (1_u32 << fewer) - 1,
                ((1_u32 << fewer) - 1) << (cohort - fewer),
            );
            assert!(
                (one & other).count_ones() as usize <= corrupt,
                "{cohort} {corrupt}"
            );
        }
    }
    for cohort in 0..=COHORT_MOST {
        for corrupt in [0.0, 0.1, 0.2, 1.0 / 3.0, 0.49] {
            let assumptions = Assumptions {
                corrupt,
                ..Assumptions::DEFAULT
            };
            let corrupt = assumptions.corrupt_of(cohort);
            let needed = quorum(cohort, corrupt);
            assert!(2 * needed > cohort + corrupt);
            assert!(2 * (needed - 1) <= cohort + corrupt);
        }
    }
    // secagg.md 4.2: 0.55 n at a tenth; and nothing overflows.
    assert_eq!(quorum(1_000, 100), 551);
    assert!(quorum(usize::MAX, usize::MAX) > 0);
}

/// Whoever came: a quorum is never more than the plan's minimum, and the graph of a smaller cohort exists.
#[test]
fn a_quorum_can_be_reached_by_as_many_as_the_plan_leaves() {
    for invited in (10..200).chain([300, 1_000, 5_000]) {
        for dropout in [0.0, 0.1, 0.3] {
            let mut task = task(invited, false);
            task.dropout = dropout;
            task.validate().unwrap();
            let plan = task.plan(0, invited, RoundId(1), 1, Digest::ZERO).unwrap();
            for cohort in plan.survivors.minimum..=invited {
                let needed = quorum(cohort, plan.corrupt());
                assert!(needed <= plan.survivors.minimum, "{cohort} of {invited}");
            }
        }
    }
}

/// A cohort of 20 that was told that all survived, two of it corrupt; the first client waits for proof.
fn waiting() -> (World, Rc<View>, Digest) {
    let mut world = World::new(&of_mode(20, Consistency::Cohort), 2, 41);
    let view = world.view((0..20).collect());
    world.until_uploaded(&view);
    for index in world.honest() {
        world.settle(index, &view.all()).unwrap();
    }
    let statement = view.statement(&view.all(), &view.all());
    (world, view, statement)
}

/// Why the first client does not believe a proof; nothing when it does. The next one finds it as this one did.
fn unproven(world: &mut World, proof: Proof) -> Option<Unproven> {
    let client = world.clients[0].participation.as_ref().unwrap();
    let saved = client.save().unwrap();
    let result = world.tell(0, Response::Proof(proof, world.masked(0)));
    let revealed = matches!(world.says(0), Some(Request::Unmask { .. }));
    assert_eq!(result.is_ok(), revealed);
    assert_eq!(result.is_err(), world.is_out(0));
    world.clients[0].participation = Some(Participation::restore(&saved).unwrap());
    match result {
        Ok(()) => None,
        Err(Refusal::Unproven(reason)) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

fn signed(
    world: &World,
    statement: &Digest,
    by: impl IntoIterator<Item = usize>,
) -> BTreeMap<usize, [u8; 64]> {
    by.into_iter()
        .map(|index| (index, world.endorse(index, statement)))
        .collect()
}

fn parts(proof: Proof) -> (Vec<[u8; 32]>, Vec<Endorsement>) {
    match proof {
        Proof::Cohort {
            members,
            endorsements,
        } => (members, endorsements),
        Proof::Witness(_) => panic!("not of the cohort"),
    }
}

fn proof(members: &[[u8; 32]], endorsements: Vec<Endorsement>) -> Proof {
    Proof::Cohort {
        members: members.to_vec(),
        endorsements,
    }
}

#[test]
fn a_quorum_of_any_members_convinces_and_one_fewer_does_not() {
    let (mut world, view, statement) = waiting();
    let needed = quorum(20, 2);
    assert_eq!(needed, 12);
    for from in 0..=8 {
        let enough = signed(&world, &statement, from..from + needed);
        assert_eq!(unproven(&mut world, view.proof(&enough)), None);
        let few = signed(&world, &statement, from..from + needed - 1);
        let too_few = Unproven::TooFew { found: 11, needed };
        assert_eq!(unproven(&mut world, view.proof(&few)), Some(too_few));
    }
    let all = signed(&world, &statement, 0..20);
    assert_eq!(unproven(&mut world, view.proof(&all)), None);
}

#[test]
fn what_is_no_endorsement_of_a_member_convinces_nobody() {
    let (mut world, view, statement) = waiting();
    let all = signed(&world, &statement, 0..20);
    let (members, all) = parts(view.proof(&all));
    let enough: Vec<Endorsement> = all[..12].to_vec();

    // The same member many times over, and members in another order.
    let mut twice = enough[..11].to_vec();
    twice.push(enough[10].clone());
    let mut swapped = enough.clone();
    swapped.swap(3, 4);
    let many: Vec<Endorsement> = std::iter::repeat_n(enough[0].clone(), 100_000).collect();
    for endorsements in [twice, swapped, many] {
        let reason = unproven(&mut world, proof(&members, endorsements));
        assert_eq!(reason, Some(Unproven::Order));
    }

    let other = |change: &dyn Fn(&mut Endorsement)| {
        let mut endorsements = enough.clone();
        change(&mut endorsements[5]);
        proof(&members, endorsements)
    };
    let foreign = Identity::from_seed(&[8; 32]);
    let lost = view.statement(&view.all(), &view.without(&[7].into()));
    let elsewhere = world.clients[0].identity.endorse(&lost);
    let advertises = world.clients[5]
        .identity
        .sign(Purpose::Advertise, &[&statement.0]);
    let cases = [
        // Of another statement, for another purpose, damaged, by another member, by nobody's key.
        (other(&|one| one.signature = elsewhere), "the signature"),
        (other(&|one| one.signature = advertises), "the signature"),
        (other(&|one| one.signature[7] ^= 1), "the signature"),
        (
            other(&|one| one.signature = all[19].signature),
            "the signature",
        ),
        (other(&|one| one.certificate = vec![1; 31]), "not a key"),
        // An enrolled client that is not in the cohort, with its own valid signature.
        (
            other(&|one| {
                one.certificate = foreign.public().to_vec();
                one.signature = foreign.endorse(&statement);
            }),
            "its certificate is of another client",
        ),
        // A member under another's number, and under one that nobody has.
        (
            {
                let mut endorsements = enough[..11].to_vec();
                let mut last = all[19].clone();
                last.index = 18;
                endorsements.push(last);
                proof(&members, endorsements)
            },
            "its certificate is of another client",
        ),
        (
            {
                let mut endorsements = enough[..11].to_vec();
                let mut last = all[19].clone();
                last.index = 20;
                endorsements.push(last);
                proof(&members, endorsements)
            },
            "its certificate is of another client",
        ),
    ];
    for (proof, expected) in cases {
        let reason = unproven(&mut world, proof).unwrap();
        assert!(matches!(reason, Unproven::Endorsement { .. }), "{reason}");
        assert!(reason.to_string().contains(expected), "{reason}");
    }
}

#[test]
fn the_members_are_those_that_were_committed_to() {
    let (mut world, view, statement) = waiting();
    let (members, all) = parts(view.proof(&signed(&world, &statement, 0..20)));
    let changed = |change: &dyn Fn(&mut Vec<[u8; 32]>)| {
        let mut members = members.clone();
        change(&mut members);
        proof(&members, all.clone())
    };
    let foreign = Identity::from_seed(&[8; 32]).public();
    for proof in [
        changed(&|members| members.clear()),
        changed(&|members| members.truncate(11)),
        changed(&|members| members.push(foreign)),
        changed(&|members| members.swap(8, 9)),
        changed(&|members| members[0] = foreign),
        changed(&|members| members[9] = foreign),
        changed(&|members| members[9] = members[10]),
        changed(&|members| members.resize(COHORT_MOST + 1, foreign)),
    ] {
        assert_eq!(unproven(&mut world, proof), Some(Unproven::Members));
    }
}

/// In a sparse graph a client knows its neighbours only. A cohort in which one key has many places counts it once.
#[test]
fn a_key_in_many_places_signs_once() {
    let mut world = World::new(&of_mode(110, Consistency::Cohort), 11, 42);
    let members: Vec<usize> = (0..110).collect();
    // The last client, which is corrupt, also stands in three places that are nowhere near the first. What stands there
    // changes the key root, and with it the graph, so this takes a few tries.
    let (taken, view) = (1..100)
        .find_map(|from| {
            let taken = [from, from + 1, from + 2];
            let mut advertised = world.advertised(&members);
            for place in taken {
                advertised[place] = advertised[109].clone();
            }
            let view = world.view_of(members.clone(), advertised, None);
            let near = view.graph.neighbours(0);
            let is_far = |place: &usize| !near.contains(&(*place as u32));
            taken
                .iter()
                .chain([&109])
                .all(is_far)
                .then_some((taken, view))
        })
        .unwrap();
    let view = Rc::new(view);
    world.show(0, &view).unwrap();
    world.deliver(0);
    world.mask(0, &view.all()).unwrap();
    world.settle(0, &view.all()).unwrap();
    let statement = view.statement(&view.all(), &view.all());
    let sign = |place: &usize| match taken.contains(place) {
        true => (*place, world.endorse(109, &statement)),
        false => (*place, world.endorse(*place, &statement)),
    };
    let others: Vec<usize> = (0..109).filter(|place| !taken.contains(place)).collect();
    let places = |honest: usize| taken.iter().chain(&others[..honest]).map(sign).collect();
    let short = view.proof(&places(58));
    let too_few = Unproven::TooFew {
        found: 59,
        needed: 61,
    };
    let enough = view.proof(&places(60));
    // Nor is a list believed in which somebody else stands where nobody that the client knows does.
    let (members, endorsements) = parts(enough.clone());
    let mut exchanged = members.clone();
    exchanged[taken[0]] = Identity::from_seed(&[8; 32]).public();
    let exchanged = proof(&exchanged, endorsements);
    assert_eq!(unproven(&mut world, exchanged), Some(Unproven::Members));
    assert_eq!(unproven(&mut world, short), Some(too_few));
    assert_eq!(unproven(&mut world, enough), None);
}

/// Everything that clients must have been told alike is in what they sign, and nothing can be moved from one part to
/// another.
#[test]
fn a_statement_is_of_all_its_parts() {
    let (world, view, statement) = waiting();
    let round = world.digest();
    let (all, fewer) = (view.all(), view.without(&[3].into()));
    let other = Digest::of(b"other");
    let digest = |round: &RoundDigest,
                  roots: [&Digest; 2],
                  seed: &[u8; 32],
                  lists: [&chorus_protocol::Roster; 2]| {
        Statement {
            round,
            cohort_root: roots[0],
            key_root: roots[1],
            graph_seed: seed,
            sharers: lists[0],
            survivors: lists[1],
        }
        .digest()
    };
    let roots = [&view.cohort_root, &view.key_root];
    assert_eq!(digest(&round, roots, &view.seed, [&all, &all]), statement);
    let longer = chorus_protocol::Roster::of(21, 0..20);
    let others = [
        digest(&RoundDigest([9; 32]), roots, &view.seed, [&all, &all]),
        digest(&round, [&other, roots[1]], &view.seed, [&all, &all]),
        digest(&round, [roots[0], &other], &view.seed, [&all, &all]),
        digest(&round, [roots[1], roots[0]], &view.seed, [&all, &all]),
        digest(&round, roots, &[9; 32], [&all, &all]),
        digest(&round, roots, &view.seed, [&fewer, &fewer]),
        digest(&round, roots, &view.seed, [&all, &fewer]),
        digest(&round, roots, &view.seed, [&fewer, &all]),
        digest(&round, roots, &view.seed, [&longer, &longer]),
    ];
    let distinct: std::collections::BTreeSet<Digest> =
        others.into_iter().chain([statement]).collect();
    assert_eq!(distinct.len(), 10);
    // Nor is there another number of clients with the same commitment.
    let commitments = [19, 20, 21].map(|size| commitment(&round, size, roots[0], roots[1]));
    assert!(commitments[0] != commitments[1] && commitments[1] != commitments[2]);
}

#[test]
fn a_seal_is_of_this_round_and_of_the_witness_that_drew() {
    let mut world = World::new(&of_mode(20, Consistency::Witness), 2, 43);
    let view = world.view((0..20).collect());
    world.until_uploaded(&view);
    for index in world.honest() {
        assert_eq!(world.settle(index, &view.all()).unwrap(), None);
    }
    let statement = view.statement(&view.all(), &view.all());
    let witness = &world.witness;
    let own = world.coordinator.public();
    let seal = |coordinator: &[u8; 32], round: u64, statement: &Digest| {
        let certificate = witness.certificate();
        let seal = Seal::sign(
            &witness.identity,
            certificate,
            coordinator,
            RoundId(round),
            statement,
        );
        Proof::Witness(seal)
    };
    let mut not_a_witness = world.false_seal(witness, &statement);
    if let Proof::Witness(seal) = &mut not_a_witness {
        seal.certificate = witness.identity.public().to_vec();
    }
    let cases = [
        (seal(&own, 8, &statement), "its statement: the signature"),
        (
            seal(&[5; 32], 7, &statement),
            "its statement: the signature",
        ),
        (
            seal(&own, 7, &Digest::of(b"other")),
            "its statement: the signature",
        ),
        (
            world.false_seal(&Witness::new(78), &statement),
            "not the one that drew the graph",
        ),
        (not_a_witness, "not the certificate of a witness"),
    ];
    let right = seal(&own, 7, &statement);
    for (proof, expected) in cases {
        let reason = unproven(&mut world, proof).unwrap();
        assert!(reason.to_string().contains(expected), "{reason}");
    }
    assert_eq!(unproven(&mut world, right), None);
}

/// A beacon where the plan names none, and none where it does.
#[test]
fn who_draws_is_in_the_plan() {
    for consistency in MODES {
        let mut world = World::new(&of_mode(20, consistency), 2, 44);
        let view = world.view((0..20).collect());
        let mut place = view.place(0);
        place.beacon = match consistency {
            Consistency::Witness => None,
            Consistency::Cohort => {
                let certificate = world.witness.certificate();
                let content = commitment(&world.digest(), 20, &view.cohort_root, &view.key_root);
                let (own, round) = (world.coordinator.public(), RoundId(7));
                let witness = &world.witness.identity;
                Some(Beacon::sign(
                    witness,
                    certificate,
                    &own,
                    round,
                    &content,
                    [1; 32],
                ))
            }
        };
        let refusal = world.tell(0, Response::Neighbours(place)).unwrap_err();
        assert_eq!(refusal, Refusal::Unproven(Unproven::Kind));
    }
}

/// A quorum is enough: the round goes on at once, and whoever signs or asks later is helped all the same.
#[test]
fn who_comes_after_the_quorum_helps_to_unmask() {
    let mut federation = Federation::of(&of_mode(20, Consistency::Cohort), 47);
    federation.join_all();
    federation.run_to(Phase::Unmasking);
    // The last ones have not even heard who survived.
    let late = (0..20).filter(|index| {
        let member = federation.members[*index].participation.as_ref().unwrap();
        matches!(
            member.poll(),
            chorus_protocol::Next::Send(
                Request::Await {
                    awaited: Awaited::Survivors,
                    ..
                } | Request::Endorse { .. }
            )
        )
    });
    let late: Vec<usize> = late.collect();
    assert!(late.len() >= 7, "{late:?}");
    // Some of those that were first vanish: without the late ones there would be too few.
    for index in 0..7 {
        federation.members[index].vanish = Vanish::BeforeUnmasking;
    }
    federation.go_on();
    let plain = federation.plain_sum(|_| true);
    assert_eq!(federation.recovered().unwrap().sum, plain);
    // A signature that is not one is refused while it counts.
    let mut federation = Federation::of(&of_mode(20, Consistency::Cohort), 47);
    federation.join_all();
    federation.run_to(Phase::Endorsing);
    let client = federation.members[0].identity.id();
    let forged = chorus_protocol::Message::Endorse([1; 64]);
    assert_eq!(federation.say(client, forged), Err(Reject::Signature));
}
