//! A coordinator that tells one client of few sharers and everyone else of all. It then calls the few lost: whoever
//! believed that gave back what takes that client's masks off, though everyone was told one list of survivors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use chorus_protocol::{Consistency, Identity, Question, Refusal, Testimony, Unproven, commitment};
use common::loot::Loot;
use common::world::{World, refusal, roots};
use common::{task, tree};

const VICTIM: usize = 0;

/// The attack on one of `clients`, with an honest witness or with the signatures of everyone. Gives how many clients
/// refused to help, how many there were to ask, and whether the coordinator can open the client.
fn attack(
    clients: usize,
    consistency: Consistency,
    narrow: bool,
    seed: u64,
) -> (usize, usize, bool) {
    let mut task = task(clients, false);
    task.consistency = consistency;
    let mut world = World::new(&task, clients.div_ceil(10), seed);
    let view = world.view((0..clients).collect());
    let honest = world.honest();
    for index in &honest {
        world.show(*index, &view).unwrap();
    }
    for index in &honest {
        world.deliver(*index);
    }
    let near = view.graph.neighbours(view.number(VICTIM)).into_iter();
    let near: Vec<usize> = near.map(|number| view.members[number as usize]).collect();
    let corrupt: BTreeSet<usize> = world.corrupt_of(&view).into_iter().collect();
    // It masks with every corrupt neighbour, and with as few honest ones as make up the threshold: those will be lost.
    let (helpers, others): (Vec<usize>, Vec<usize>) =
        near.iter().partition(|index| corrupt.contains(index));
    let few = view.plan.threshold - helpers.len();
    let (lost, untold) = others.split_at(few);
    let lost: BTreeSet<usize> = lost.iter().copied().collect();
    let few_sharers = view.without(&untold.iter().copied().collect());
    for index in &honest {
        let sharers = match *index == VICTIM && narrow {
            true => few_sharers.clone(),
            false => view.all(),
        };
        world.mask(*index, &sharers).unwrap();
    }
    let survivors = view.without(&lost);
    let statement = view.statement(&view.all(), &survivors);
    let told: Vec<usize> = honest
        .into_iter()
        .filter(|index| *index != VICTIM && !lost.contains(index))
        .collect();
    let mut signed = BTreeMap::new();
    for index in &told {
        let signature = world.settle(*index, &survivors).unwrap();
        signed.extend(signature.map(|signature| (*index, signature)));
    }
    for index in &corrupt {
        signed.insert(*index, world.endorse(*index, &statement));
    }
    let proof = match consistency {
        Consistency::Witness => world.seal(statement).unwrap(),
        Consistency::Cohort => view.proof(&signed),
    };
    let number = view.number(VICTIM);
    let mut refused = 0;
    for index in &told {
        match world.prove(*index, proof.clone()) {
            Ok(()) => assert!(!narrow || !near.contains(index)),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Unproven(Unproven::Masked(number)));
                refused += 1;
            }
        }
    }
    (
        refused,
        near.iter().filter(|index| told.contains(index)).count(),
        Loot::of(&world).has(VICTIM),
    )
}

#[test]
fn who_masked_with_others_is_not_unmasked() {
    for (clients, consistency, seed) in [
        (110, Consistency::Witness, 1),
        (110, Consistency::Witness, 2),
        (300, Consistency::Witness, 3),
        (110, Consistency::Cohort, 3),
    ] {
        let (refused, neighbours, opened) = attack(clients, consistency, true, seed);
        assert_eq!(refused, neighbours);
        assert!(!opened);
        // Told of all sharers, it masked with many that are not lost: its neighbours help, and it stays hidden.
        let (refused, _, opened) = attack(clients, consistency, false, seed);
        assert_eq!(refused, 0);
        assert!(!opened);
    }
}

/// One enrolled client that stands in two places would be given two shares of many.
#[test]
fn a_witnessed_cohort_has_everyone_once() {
    let mut task = task(110, false);
    task.consistency = Consistency::Witness;
    let mut world = World::new(&task, 11, 5);
    let members: Vec<usize> = (0..110).collect();
    let mut advertised = world.advertised(&members);
    advertised[50] = advertised[109].clone();
    let beacon = world.draw(&advertised).unwrap();
    let view = std::rc::Rc::new(world.view_of(members, advertised, beacon));
    for index in world.honest().into_iter().filter(|index| *index != 50) {
        let refusal = world.show(index, &view).unwrap_err().to_string();
        let is_seen = refusal.contains("in two places") || refusal.contains("second time");
        assert!(is_seen, "{refusal}");
    }
}

/// The list in which everyone is once must be of those that are there: otherwise it would hide who stands in two places.
#[test]
fn the_members_that_are_listed_are_those_that_are_there() {
    let mut task = task(20, false);
    task.consistency = Consistency::Witness;
    let mut world = World::new(&task, 2, 6);
    let members: Vec<usize> = (0..20).collect();
    let advertised = world.advertised(&members);
    let mut listed: Vec<[u8; 32]> = advertised.iter().map(|said| said.enrolled).collect();
    listed[19] = Identity::from_seed(&[3; 32]).public();
    let entries: Vec<Vec<u8>> = listed.iter().map(|key| key.to_vec()).collect();
    let (cohort_root, (_, key_root)) = (tree::root(&entries), roots(&advertised));
    let question = Question::Draw {
        round: world.plan.round,
        commitment: commitment(&world.digest(), 20, &cohort_root, &key_root),
    };
    let coordinator = world.coordinator.public();
    let Some(Testimony::Beacon(beacon)) = world.witness.answer(&coordinator, question) else {
        panic!("the witness draws");
    };
    let view = world.view_of(members, advertised, Some(beacon));
    for index in world.honest() {
        let mut place = view.place(index as u32);
        place.cohort_root = cohort_root;
        place.members = listed.clone();
        let refusal = refusal(&mut world, index, place);
        let expected = "neighbour 19 of the cohort: its keys are not among those that were fixed";
        assert!(refusal.contains(expected), "{refusal}");
    }
}
