//! A coordinator that would like another graph, or to divide the one that there is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::rc::Rc;

use chorus_protocol::{Awaited, Consistency, Digest, Event, Neighbour, Phase, Response};
use chorus_secagg::Graph;
use common::loot::Loot;
use common::world::{View, World, choices, refusal};
use common::{Federation, Vanish, task};
use rand_chacha::rand_core::Rng;

const VICTIM: usize = 0;

fn world(clients: usize, corrupt: usize, consistency: Consistency, seed: u64) -> World {
    let mut task = task(clients, false);
    task.consistency = consistency;
    World::new(&task, corrupt, seed)
}

/// What a neighbour with this number is shown as.
fn shown(view: &View, number: u32) -> Neighbour {
    let mut near = (0..view.size()).flat_map(|index| view.place(index).neighbours);
    near.find(|near| near.index == number).unwrap()
}

/// A root does not tell how many leaves its tree has: with another number there would be another graph to choose.
#[test]
fn a_beacon_is_for_so_many_clients() {
    let mut world = world(104, 0, Consistency::Witness, 5);
    let view = world.view((0..104).collect());
    for cohort in [100, 103, 105] {
        let mut place = view.place(3);
        place.cohort = cohort;
        let plan = world.graph_plan(cohort as usize);
        let graph = Graph::new(&view.seed, &plan);
        let numbers = graph.neighbours(3);
        let near: Vec<u32> = numbers.into_iter().filter(|number| *number < 104).collect();
        place.neighbours = near.iter().map(|number| shown(&view, *number)).collect();
        let refusal = refusal(&mut world, view.members[3], place);
        let expected = match cohort {
            105 => "size the plan does not allow",
            _ => "its randomness: the signature",
        };
        assert!(refusal.contains(expected), "{cohort} {refusal}");
    }
}

/// The neighbours that the coordinator would like: the corrupt ones first.
#[test]
fn the_graph_is_the_rounds_own() {
    for consistency in [Consistency::Cohort, Consistency::Witness] {
        let mut world = world(110, 11, consistency, 9);
        let view = world.view((0..110).collect());
        let place = view.place(view.number(VICTIM));
        // Any seed but the one that follows from the keys and the beacon.
        for seed in 0..3 {
            let graph = Graph::new(&[seed; 32], &view.plan);
            let mut other = place.clone();
            let chosen = graph.neighbours(place.index).into_iter();
            other.neighbours = chosen.map(|number| shown(&view, number)).collect();
            let refusal = refusal(&mut world, VICTIM, other);
            assert!(
                refusal.contains("not what the graph of this round gives"),
                "{refusal}"
            );
        }
        // Another key root would give another graph, and these keys are not under it.
        let mut other = place.clone();
        other.key_root = Digest::of(b"a root of the coordinator's choice");
        let refusal = refusal(&mut world, VICTIM, other);
        let expected = match consistency {
            Consistency::Cohort => "not what the graph of this round gives",
            Consistency::Witness => "its randomness: the signature",
        };
        assert!(refusal.contains(expected), "{refusal}");
    }
}

/// What a witness is for. More clients are corrupt here than the plan assumes, so that trying key roots for a second is
/// enough; with the assumed number it takes 2^40 of them. A witness leaves one try a round.
#[test]
fn where_the_cohort_vouches_the_graph_can_be_ground_out() {
    let mut world = world(110, 25, Consistency::Cohort, 10);
    let mut rng = choices(10);
    let mut members: Vec<usize> = (0..110).collect();
    let mut tries = 0;
    let view = loop {
        tries += 1;
        for last in (1..members.len()).rev() {
            members.swap(last, rng.next_u32() as usize % (last + 1));
        }
        let advertised = world.advertised(&members);
        let view = world.view_of(members.clone(), advertised, None);
        let near = view.graph.neighbours(view.number(VICTIM));
        let corrupt = near
            .iter()
            .filter(|number| view.members[**number as usize] >= 85);
        if corrupt.count() > view.plan.threshold {
            break Rc::new(view);
        }
    };
    assert!(tries < 2_000, "{tries}");
    world.until_uploaded(&view);
    assert!(Loot::of(&world).both().contains(&VICTIM));
    assert!(Loot::of(&world).has(VICTIM));
    // The same with a witness: one draw, and no second one.
    let mut world = self::world(110, 25, Consistency::Witness, 10);
    world.view((0..110).collect());
    for _ in 0..10 {
        members.rotate_left(1);
        let advertised = world.advertised(&members);
        assert_eq!(world.draw(&advertised), None);
    }
}

/// Everyone is told the same losses, chosen so that the ring of the others falls in two: a sum of forty clients where
/// two hundred were promised.
#[test]
fn losses_that_divide_the_others_are_refused() {
    let mut world = world(300, 30, Consistency::Witness, 12);
    let view = world.view((0..300).collect());
    world.until_uploaded(&view);
    let order = ring(&view.graph, view.size());
    let order: Vec<usize> = order
        .iter()
        .map(|number| view.members[*number as usize])
        .collect();
    let side = view.plan.degree / 2;
    let run = |from: usize| (from..from + side).map(|place| order[place % 300]);
    let lost: BTreeSet<usize> = run(0).chain(run(side + 45)).collect();
    let survivors = view.without(&lost);
    assert!(survivors.count() >= world.plan.survivors.minimum);
    // It would have been two sums. The corrupt may be called lost or not: they join nobody.
    let between: BTreeSet<usize> = (side..side + 45).map(|place| order[place]).collect();
    let honest: BTreeSet<usize> = world.honest().into_iter().collect();
    let touches = between.intersection(&honest).any(|index| {
        let near = view.graph.neighbours(view.number(*index));
        let near = near.iter().map(|number| view.members[*number as usize]);
        near.into_iter()
            .any(|peer| honest.contains(&peer) && !lost.contains(&peer) && !between.contains(&peer))
    });
    assert!(!touches && between.len() < 60);
    let seal = world.seal(view.statement(&view.all(), &survivors)).unwrap();
    for index in honest.iter().filter(|index| !lost.contains(*index)) {
        let refusal = world.settle(*index, &survivors).unwrap_err();
        let words = refusal.to_string();
        // At the edges of the small part some also keep too few neighbours.
        assert!(
            words.contains("could be divided") || words.contains("fewer neighbours"),
            "{words}"
        );
        assert!(
            world
                .tell(*index, Response::Proof(seal.clone(), Vec::new()))
                .is_err()
        );
    }
    let loot = Loot::of(&world);
    assert!(loot.sums().is_empty() && loot.seeds() == 0);
}

/// As many losses that nobody chose divide nothing, and the sum is of everyone who is left.
#[test]
fn losses_that_nobody_chose_are_borne() {
    let mut world = world(300, 30, Consistency::Witness, 12);
    let view = world.view((0..300).collect());
    world.until_uploaded(&view);
    let lost: BTreeSet<usize> = (0..90).map(|place| place * 3).collect();
    let survivors = view.without(&lost);
    let seal = world.seal(view.statement(&view.all(), &survivors)).unwrap();
    for index in world.honest() {
        if !lost.contains(&index) {
            world.settle(index, &survivors).unwrap();
            world.prove(index, seal.clone()).unwrap();
        }
    }
    let loot = Loot::of(&world);
    assert!(loot.is_nothing());
    let left = world
        .honest()
        .into_iter()
        .filter(|index| !lost.contains(index));
    let left: BTreeSet<usize> = left.collect();
    assert_eq!(loot.sums(), std::slice::from_ref(&left));
    assert_eq!(loot.sum(&left), loot.plain(&left));
}

/// The coordinator that keeps to the protocol ends such a round itself, in words, whoever made the clients vanish.
#[test]
fn losses_that_divide_the_others_end_the_round() {
    let mut federation = Federation::of(&task(300, false), 13);
    federation.join_all();
    let Response::Neighbours(place) = federation.halt_at(0, Awaited::Neighbours) else {
        panic!("no neighbours");
    };
    let seed = Digest::of_parts("chorus/v2/graph-seed", &[&place.key_root.0, &[]]).0;
    let plan = chorus_secagg::plan(300, &federation.plan.assumptions).unwrap();
    let graph = Graph::new(&seed, &plan);
    let order = ring(&graph, 300);
    let side = plan.degree / 2;
    let run = |from: usize| (from..from + side).map(|place| order[place % 300]);
    let lost: BTreeSet<u32> = run(0).chain(run(side + 45)).collect();
    federation.tell(0, Response::Neighbours(place)).unwrap();
    // The cohort is numbered by ids.
    let mut ids: Vec<_> = federation
        .members
        .iter()
        .map(|member| member.identity.id())
        .collect();
    ids.sort();
    for member in &mut federation.members {
        let number = ids.binary_search(&member.identity.id()).unwrap() as u32;
        if lost.contains(&number) {
            member.vanish = Vanish::BeforeUploading;
        }
    }
    federation.go_on();
    assert!(300 - lost.len() >= federation.plan.survivors.minimum);
    let reason = federation.aborted().unwrap();
    assert!(
        reason.contains("could be divided; nothing was revealed"),
        "{reason}"
    );
    assert!(!federation.events.contains(&Event::Began(Phase::Endorsing)));
}

/// The clients in the order of the ring: two that stand beside each other have all but two neighbours in common.
fn ring(graph: &Graph, size: u32) -> Vec<u32> {
    let near: Vec<BTreeSet<u32>> = (0..size)
        .map(|number| {
            graph
                .neighbours(number)
                .into_iter()
                .chain([number])
                .collect()
        })
        .collect();
    let mut order = vec![0u32];
    let mut seen = BTreeSet::from([0]);
    while let Some(last) = order.last().copied() {
        let here = &near[last as usize];
        let closest = here
            .iter()
            .filter(|number| !seen.contains(*number))
            .max_by_key(|number| near[**number as usize].intersection(here).count());
        let Some(next) = closest.copied() else {
            break;
        };
        seen.insert(next);
        order.push(next);
    }
    assert_eq!(order.len(), size as usize);
    order
}
