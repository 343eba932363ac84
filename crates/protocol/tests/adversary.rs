//! A coordinator that lies about who survived, with as many clients on its side as the plan assumes: it gets nothing.
//! What each lie would bring is shown beside it, by clients or a witness that would sign anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chorus_protocol::{
    Consistency, Digest, Participation, Proof, Refusal, Request, Response, Roster, Unproven, quorum,
};
use common::loot::Loot;
use common::task;
use common::world::{View, World};

/// A sparse graph: 42 neighbours, of whom 12 open a secret; 11 of 110 clients are corrupt.
fn sparse(consistency: Consistency, seed: u64) -> (World, Rc<View>) {
    uploaded(110, consistency, seed)
}

/// Everyone has uploaded, a tenth of them is corrupt.
fn uploaded(clients: usize, consistency: Consistency, seed: u64) -> (World, Rc<View>) {
    let mut task = task(clients, false);
    task.consistency = consistency;
    let mut world = World::new(&task, clients.div_ceil(10), seed);
    let view = world.view((0..clients).collect());
    world.until_uploaded(&view);
    (world, view)
}

const VICTIM: usize = 0;

/// Two lists, and whom each honest client is told: half of the victim's neighbours that it survived, half that not.
struct Split {
    lists: [Roster; 2],
    told: BTreeMap<usize, usize>,
}

fn split(world: &World, view: &View, first: usize) -> Split {
    let lists = [view.all(), view.without(&BTreeSet::from([VICTIM]))];
    let near = view.graph.neighbours(view.number(VICTIM));
    let near: BTreeSet<usize> = near
        .iter()
        .map(|number| view.members[*number as usize])
        .collect();
    // Neighbours of the victim first, by turns; then as many others as fill up the first half.
    let mut told = BTreeMap::from([(VICTIM, 0)]);
    let honest = world.honest_of(view);
    for (place, index) in honest
        .iter()
        .filter(|index| near.contains(index))
        .enumerate()
    {
        told.insert(*index, place % 2);
    }
    for index in &honest {
        let so_far = told.values().filter(|list| **list == 0).count();
        told.entry(*index).or_insert(usize::from(so_far >= first));
    }
    Split { lists, told }
}

/// Tells everyone its list and collects what they sign; the corrupt sign both.
fn settle(world: &mut World, view: &View, split: &Split) -> [BTreeMap<usize, [u8; 64]>; 2] {
    let statements = [0, 1].map(|list| view.statement(&view.all(), &split.lists[list]));
    let mut signed = [BTreeMap::new(), BTreeMap::new()];
    for (index, list) in &split.told {
        let signature = world.settle(*index, &split.lists[*list]).unwrap();
        if let Some(signature) = signature {
            assert_eq!(signature, world.endorse(*index, &statements[*list]));
            signed[*list].insert(*index, signature);
        }
    }
    for index in world.corrupt_of(view) {
        for (list, statement) in statements.iter().enumerate() {
            signed[list].insert(index, world.endorse(index, statement));
        }
    }
    signed
}

#[test]
fn a_split_view_of_the_survivors_is_never_proven_twice() {
    // However the others are divided, and also in halves.
    for (seed, first) in [(1, 30), (2, 50), (3, 51), (4, 70)] {
        let (mut world, view) = sparse(Consistency::Cohort, seed);
        let split = split(&world, &view, first);
        let signed = settle(&mut world, &view, &split);
        let needed = quorum(110, 11);
        let proven: Vec<usize> = (0..2)
            .filter(|list| signed[*list].len() >= needed)
            .collect();
        assert!(proven.len() < 2, "{first}");
        let proofs = [0, 1].map(|list| view.proof(&signed[list]));
        for (index, list) in split.told.clone() {
            let result = world.prove(index, proofs[list].clone());
            match proven.contains(&list) {
                true => assert_eq!(result, Ok(())),
                false => assert!(
                    matches!(
                        result,
                        Err(Refusal::Unproven(Unproven::TooFew { needed: 61, .. }))
                    ),
                    "{result:?}"
                ),
            }
        }
        let loot = Loot::of(&world);
        assert!(loot.is_nothing() && !loot.has(VICTIM));
    }
}

/// The same lie told to clients that sign whatever they are shown: it is the one signature of each that stops it.
#[test]
fn without_one_signature_a_round_a_split_view_opens_the_victim() {
    let (mut world, view) = sparse(Consistency::Cohort, 2);
    let split = split(&world, &view, 50);
    settle(&mut world, &view, &split);
    let proofs = [0, 1].map(|list| {
        let statement = view.statement(&view.all(), &split.lists[list]);
        let all = (0..110).map(|index| (index, world.endorse(index, &statement)));
        view.proof(&all.collect())
    });
    for (index, list) in split.told {
        world.prove(index, proofs[list].clone()).unwrap();
    }
    let loot = Loot::of(&world);
    assert_eq!(loot.both(), [VICTIM]);
    assert!(loot.has(VICTIM) && !loot.is_nothing());
}

#[test]
fn a_witness_seals_one_list_of_survivors() {
    let (mut world, view) = sparse(Consistency::Witness, 5);
    let split = split(&world, &view, 50);
    settle(&mut world, &view, &split);
    let statements = [0, 1].map(|list| view.statement(&view.all(), &split.lists[list]));
    let seal = world.seal(statements[0]).unwrap();
    assert_eq!(world.seal(statements[0]), Some(seal.clone()));
    assert_eq!(world.seal(statements[1]), None);
    for (index, list) in split.told {
        let result = world.prove(index, seal.clone());
        assert_eq!(result.is_ok(), list == 0, "{result:?}");
    }
    let loot = Loot::of(&world);
    assert!(loot.is_nothing() && loot.seeds() == 99);
}

/// The witness is trusted with that: one that seals two lists helps the coordinator.
#[test]
fn a_witness_that_seals_two_lists_opens_the_victim() {
    let (mut world, view) = sparse(Consistency::Witness, 5);
    let split = split(&world, &view, 50);
    settle(&mut world, &view, &split);
    let statements = [0, 1].map(|list| view.statement(&view.all(), &split.lists[list]));
    for (index, list) in split.told {
        let seal = world.false_seal(&world.witness, &statements[list]);
        world.prove(index, seal).unwrap();
    }
    assert!(Loot::of(&world).has(VICTIM));
}

/// Honest clients are turned away until the corrupt are a larger share of those that came. Where the graph is complete
/// the threshold alone would do, and it counts the corrupt of all who were invited.
#[test]
fn turning_honest_clients_away_does_not_make_the_corrupt_enough() {
    let mut world = World::new(&task(90, false), 9, 6);
    // 54 honest clients and all 9 corrupt: the fewest that the plan allows.
    let members: Vec<usize> = (0..54).chain(81..90).collect();
    assert_eq!(members.len(), world.plan.survivors.minimum);
    let view = world.view(members);
    world.until_uploaded(&view);
    // Nobody is lost, or the list would be too short: the victim of each half is in the other's neighbourhood.
    let lists = [view.all(), view.without(&BTreeSet::from([VICTIM]))];
    let result = world.settle(1, &lists[1]);
    assert!(matches!(result, Err(Refusal::Roster { .. })), "{result:?}");
    // What a quorum and a threshold of the cohort's own tenth would be, 27 honest clients and 9 corrupt ones reach.
    assert_eq!((quorum(63, 7), quorum(63, 9)), (27 + 9, 27 + 9 + 1));
    assert_eq!(view.plan.threshold, 27 + 9 + 1);
}

/// As above with one to spare, so that a list without the victim is long enough.
#[test]
fn two_halves_of_a_small_cohort_are_not_two_quorums() {
    let mut world = World::new(&task(90, false), 9, 7);
    let view = world.view((0..55).chain(81..90).collect());
    world.until_uploaded(&view);
    let lists = [view.all(), view.without(&BTreeSet::from([VICTIM]))];
    let told: BTreeMap<usize, usize> = (0..55).map(|index| (index, index % 2)).collect();
    let split = Split { lists, told };
    let signed = settle(&mut world, &view, &split);
    assert_eq!((signed[0].len(), signed[1].len()), (28 + 9, 27 + 9));
    assert_eq!(quorum(64, 9), 37);
    let proofs = [0, 1].map(|list| view.proof(&signed[list]));
    for (index, list) in split.told {
        let result = world.prove(index, proofs[list].clone());
        assert_eq!(result.is_ok(), list == 0);
    }
    assert!(Loot::of(&world).is_nothing());
}

/// Some mask with the victim and some do not: then masks stay on that nobody takes off, and no list is proven twice.
#[test]
fn a_split_view_of_the_sharers_brings_nothing() {
    for signs_all in [false, true] {
        let mut task = task(110, false);
        task.consistency = Consistency::Cohort;
        let mut world = World::new(&task, 11, 8);
        let view = world.view((0..110).collect());
        let honest = world.honest();
        for index in &honest {
            world.show(*index, &view).unwrap();
        }
        for index in &honest {
            world.deliver(*index);
        }
        let sharers = [view.all(), view.without(&BTreeSet::from([VICTIM]))];
        let told = |index: usize| usize::from(index != VICTIM && index % 2 == 1);
        for index in &honest {
            world.mask(*index, &sharers[told(*index)]).unwrap();
        }
        let statements = [0, 1].map(|list| view.statement(&sharers[list], &sharers[list]));
        let mut signed = [BTreeMap::new(), BTreeMap::new()];
        for index in &honest {
            let list = told(*index);
            let signature = world.settle(*index, &sharers[list]).unwrap().unwrap();
            signed[list].insert(*index, signature);
        }
        for (list, statement) in statements.iter().enumerate() {
            let helpers = match signs_all {
                true => 0..110,
                false => 99..110,
            };
            signed[list].extend(helpers.map(|index| (index, world.endorse(index, statement))));
        }
        let proofs = [0, 1].map(|list| view.proof(&signed[list]));
        let results = honest
            .iter()
            .map(|index| world.prove(*index, proofs[told(*index)].clone()).is_ok());
        let shown: BTreeSet<bool> = results.collect();
        // Even with proof of both, the neighbours of the other half did not mask with the same clients.
        assert_eq!(shown, BTreeSet::from([false]));
        let loot = Loot::of(&world);
        assert!(loot.is_nothing() && loot.sums().is_empty());
    }
}

/// One after the other: another list, another proof, the same list again, all of it after a restart.
#[test]
fn nobody_is_asked_twice() {
    for consistency in [Consistency::Cohort, Consistency::Witness] {
        for restored in [false, true] {
            let (mut world, view) = uploaded(20, consistency, 9);
            let again = |world: &mut World, index: usize| {
                if restored {
                    let client = &mut world.clients[index];
                    let saved = client.participation.as_ref().unwrap().save().unwrap();
                    client.participation = Some(Participation::restore(&saved).unwrap());
                }
            };
            let split = split(&world, &view, 9);
            let honest = world.honest();
            let mut proofs = Vec::new();
            for list in 0..2 {
                let statement = view.statement(&view.all(), &split.lists[list]);
                proofs.push(match consistency {
                    Consistency::Witness => world.false_seal(&world.witness, &statement),
                    Consistency::Cohort => {
                        let all = (0..20).map(|index| (index, world.endorse(index, &statement)));
                        view.proof(&all.collect())
                    }
                });
            }
            // Everyone is told that the victim survived; then, by turns, one of the other questions comes.
            let mut refused = 0;
            for index in &honest {
                world.settle(*index, &split.lists[0]).unwrap();
                again(&mut world, *index);
                let saved = world.clients[*index].participation.as_ref().unwrap();
                let saved = saved.save().unwrap();
                let masked = world.masked(*index);
                for question in [
                    Response::Survivors(split.lists[1].clone()),
                    Response::Survivors(split.lists[0].clone()),
                    Response::Sharers(split.lists[1].clone()),
                    Response::Neighbours(view.place(view.number(*index))),
                    Response::Proof(proofs[1].clone(), masked.clone()),
                ] {
                    refused += usize::from(world.tell(*index, question).is_err());
                    assert!(world.is_out(*index));
                    let before = Participation::restore(&saved).unwrap();
                    world.clients[*index].participation = Some(before);
                }
                world.prove(*index, proofs[0].clone()).unwrap();
                again(&mut world, *index);
                for question in [
                    Response::Proof(proofs[1].clone(), masked.clone()),
                    Response::Survivors(split.lists[1].clone()),
                ] {
                    refused += usize::from(world.tell(*index, question).is_err());
                    assert!(world.is_out(*index) && world.says(*index).is_none());
                }
            }
            assert_eq!(refused, 7 * 18);
            let loot = Loot::of(&world);
            assert!(loot.is_nothing() && loot.both().is_empty());
            let all: BTreeSet<usize> = honest.into_iter().collect();
            assert_eq!(loot.sums(), std::slice::from_ref(&all));
            assert_eq!(loot.sum(&all), loot.plain(&all));
        }
    }
}

/// What a client gives back names each neighbour once, with one of its two secrets.
#[test]
fn of_each_neighbour_one_secret_is_given_back() {
    let (mut world, view) = sparse(Consistency::Witness, 10);
    let lost = BTreeSet::from([VICTIM, 7, 8]);
    let survivors = view.without(&lost);
    let seal = world.seal(view.statement(&view.all(), &survivors)).unwrap();
    for index in world.honest() {
        if lost.contains(&index) {
            let refusal = world.settle(index, &survivors).unwrap_err();
            assert!(refusal.to_string().contains("leaves out this client"));
            continue;
        }
        world.settle(index, &survivors).unwrap();
        world.prove(index, seal.clone()).unwrap();
        let revealed = &world.clients[index].revealed;
        assert!(revealed.is_sorted_by(|a, b| a.owner < b.owner));
        for one in revealed {
            let survived = one.kind == chorus_protocol::Secret::SelfSeed;
            assert_eq!(survived, survivors.contains(one.owner));
        }
    }
    let loot = Loot::of(&world);
    assert!(loot.is_nothing());
    // The lost ones' uploads came all the same, and stay masked by seeds that nobody has.
    assert_eq!(loot.sums().len(), 1);
    assert_eq!(loot.sums()[0].len(), 99 - 3);
}

/// Sets that overlap or do not fit: alive and lost at once cannot be said, and the lists cannot contradict each other.
#[test]
fn lists_that_contradict_each_other_are_refused() {
    let mut world = World::new(&task(20, false), 2, 11);
    let view = world.view((0..20).collect());
    let honest = world.honest();
    for index in &honest {
        world.show(*index, &view).unwrap();
    }
    for index in &honest {
        world.deliver(*index);
    }
    let sharers = view.without(&BTreeSet::from([5, 6]));
    for index in honest.iter().filter(|index| ![5, 6].contains(*index)) {
        world.mask(*index, &sharers).unwrap();
        let refusal = world.settle(*index, &view.all()).unwrap_err();
        assert!(
            refusal.to_string().contains("nobody masked with"),
            "{refusal}"
        );
        assert!(world.is_out(*index));
    }
    assert!(Loot::of(&world).sums().is_empty());
}

/// What a client was told of its round is in what it signs: it signs once, and the same after any interruption.
#[test]
fn one_statement_is_signed_whenever_the_client_is_interrupted() {
    let (mut world, view) = sparse(Consistency::Cohort, 12);
    let split = split(&world, &view, 50);
    let mut signatures: BTreeSet<[u8; 64]> = BTreeSet::new();
    world
        .tell(VICTIM, Response::Survivors(split.lists[0].clone()))
        .unwrap();
    for _ in 0..4 {
        let client = &mut world.clients[VICTIM];
        let saved = client.participation.as_ref().unwrap().save().unwrap();
        client.participation = Some(Participation::restore(&saved).unwrap());
        let Some(Request::Endorse { signature, .. }) = world.says(VICTIM) else {
            panic!("it does not endorse");
        };
        signatures.insert(signature);
        for list in &split.lists {
            let told = Response::Survivors(list.clone());
            assert_eq!(world.tell(VICTIM, told), Err(Refusal::Unexpected));
            assert!(world.says(VICTIM).is_none());
            let before = Participation::restore(&saved).unwrap();
            world.clients[VICTIM].participation = Some(before);
        }
    }
    let statement: Digest = view.statement(&view.all(), &split.lists[0]);
    assert_eq!(
        signatures,
        BTreeSet::from([world.endorse(VICTIM, &statement)])
    );
}

/// A client that was told, and has no proof, has given nothing back; nor has one with a proof of nothing.
#[test]
fn without_proof_nothing_is_given_back() {
    let (mut world, view) = sparse(Consistency::Cohort, 13);
    let nothing = view.proof(&BTreeMap::new());
    let nobody = Proof::Cohort {
        members: Vec::new(),
        endorsements: Vec::new(),
    };
    for index in world.honest() {
        world.settle(index, &view.all()).unwrap();
        assert!(matches!(
            world.says(index),
            Some(Request::Await {
                awaited: chorus_protocol::Awaited::Proof,
                ..
            })
        ));
        let proof = [&nothing, &nobody][index % 2].clone();
        let masked = world.masked(index);
        let refusal = world
            .tell(index, Response::Proof(proof, masked))
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Unproven(_)), "{refusal}");
        assert!(world.is_out(index));
    }
    let loot = Loot::of(&world);
    assert!(loot.is_nothing() && loot.seeds() == 0);
}
