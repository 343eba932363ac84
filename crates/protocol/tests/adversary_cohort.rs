//! A coordinator that lies about the round, the cohort, its keys or its graph: it gets nothing. What each lie would
//! bring is shown beside it where that is possible.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chorus_protocol::{
    Consistency, Digest, Invitation, LogEntry, LogView, Origin, Participation, Purpose, Refusal,
    Roster, RoundId, RoundPlan, SignedEntry, Standing, Unproven, quorum,
};
use chorus_secagg::{Generator, RoundKeys};
use common::loot::Loot;
use common::world::{Advertised, View, World, choices, refusal};
use common::{Witness, task};

const VICTIM: usize = 0;

fn world(clients: usize, corrupt: usize, consistency: Consistency, seed: u64) -> World {
    let mut task = task(clients, false);
    task.consistency = consistency;
    World::new(&task, corrupt, seed)
}

/// The round once more, under a plan of the coordinator's making, with the log that such a plan needs.
fn join_under(
    world: &World,
    change: impl Fn(&mut RoundPlan),
) -> (Participation, RoundPlan, Vec<u8>) {
    let mut plan = world.plan.clone();
    change(&mut plan);
    let model = [b"a model for one half".to_vec(), common::MODEL.to_vec()];
    let model = model
        .into_iter()
        .find(|model| Digest::of(model) == plan.model);
    let entry = LogEntry {
        index: 0,
        previous: Digest::ZERO,
        task: plan.task.clone(),
        version: plan.version,
        origin: Origin::Start,
        model: plan.model,
        report: Digest::of(b""),
    };
    let entry = SignedEntry::sign(&entry, &world.coordinator).unwrap();
    let mut log = LogView::default();
    log.follow(&[entry], &world.coordinator.public()).unwrap();
    let bytes = serde_json::to_vec(&plan).unwrap();
    let signature = world.coordinator.sign(Purpose::Plan, &[&bytes]);
    let floor = chorus_protocol::Floor {
        without_noise: true,
        ..Default::default()
    };
    let standing = Standing {
        floor: &floor,
        charges: &[],
        local_today: 0,
        last_round: None,
        log,
        coordinator: world.coordinator.public(),
        model,
    };
    let invitation = Invitation {
        plan: bytes.clone(),
        signature,
    };
    (
        Participation::join(invitation, standing).unwrap(),
        plan,
        bytes,
    )
}

/// Half of the clients are given another model, or another plan of the same round: the two halves have no neighbours in
/// common that they believe.
#[test]
fn two_models_or_two_plans_are_two_rounds() {
    let changes: [fn(&mut RoundPlan); 4] = [
        |plan| plan.model = Digest::of(b"a model for one half"),
        |plan| plan.survivors.minimum += 1,
        |plan| {
            plan.dropout = 0.25;
            plan.survivors.minimum = 15;
        },
        |plan| {
            plan.assumptions.corrupt = 0.12;
            plan.survivors.honest -= 1;
        },
    ];
    for change in changes {
        let mut world = world(20, 2, Consistency::Cohort, 1);
        for index in 10..18 {
            let (participation, plan, bytes) = join_under(&world, change);
            let plan = std::mem::replace(&mut world.plan, plan);
            world.learn(index, participation);
            world.plan = plan;
            assert_ne!(bytes, world.plan_bytes);
        }
        let view = world.view((0..20).collect());
        for index in world.honest() {
            let number = view.number(index);
            let refusal = refusal(&mut world, index, view.place(number));
            assert!(refusal.contains("its keys: the signature"), "{refusal}");
        }
        assert!(Loot::of(&world).is_nothing());
    }
    // Where nothing was changed, the same clients believe each other.
    let mut world = world(20, 2, Consistency::Cohort, 1);
    let (participation, ..) = join_under(&world, |_| {});
    world.learn(10, participation);
    let view = world.view((0..20).collect());
    world.until_uploaded(&view);
}

/// Keys from an earlier round, whose secrets may be known by now, are not signed for this one.
#[test]
fn keys_of_an_earlier_round_are_refused() {
    let mut world = world(20, 2, Consistency::Cohort, 2);
    let mut plan = world.plan.clone();
    plan.round = RoundId(6);
    let earlier = plan.digest(&serde_json::to_vec(&plan).unwrap(), &plan.model);
    let mut advertised = world.advertised(&(0..20).collect::<Vec<_>>());
    let keys = RoundKeys::generate(Generator::ChaCha12, &mut choices(1)).public();
    advertised[5] = Advertised {
        enrolled: world.clients[5].identity.public(),
        keys,
        signature: world.clients[5].identity.advertise(&earlier, &keys),
    };
    let view = world.view_of((0..20).collect(), advertised, None);
    for index in world.honest() {
        let number = view.number(index);
        let refusal = refusal(&mut world, index, view.place(number));
        let expected = match index {
            5 => "leaves out this client's own keys",
            _ => "its keys: the signature",
        };
        assert!(refusal.contains(expected), "{index} {refusal}");
    }
}

/// A round that is run twice under one number, where no witness counts: clients that were lost in the first, whose mask
/// keys are known, are passed off as survivors of the second. They sign nothing, so more than half of the honest part of
/// the cohort is there in person, and no sum is of fewer.
#[test]
fn the_dead_do_not_sign() {
    for (dead, opened) in [(8, true), (9, false)] {
        let mut world = world(20, 2, Consistency::Cohort, 3);
        let mut rng = choices(3);
        let members: Vec<usize> = (0..20).collect();
        // The first clients are dead: all that is left of them are keys that the coordinator knows.
        for index in 0..dead {
            let keys = RoundKeys::generate(Generator::native(), &mut rng);
            let digest = world.digest();
            let client = &mut world.clients[index];
            client.advertised = Some(Advertised {
                enrolled: client.identity.public(),
                keys: keys.public(),
                signature: client.identity.advertise(&digest, &keys.public()),
            });
            client.corrupt = Some(keys);
        }
        let view = world.view(members);
        world.until_uploaded(&view);
        let statement = view.statement(&view.all(), &view.all());
        let mut signed = BTreeMap::new();
        for index in world.honest() {
            let signature = world.settle(index, &view.all()).unwrap().unwrap();
            signed.insert(index, signature);
        }
        signed.extend((18..20).map(|index| (index, world.endorse(index, &statement))));
        assert_eq!(signed.len() >= quorum(20, 2), opened);
        let proof = view.proof(&signed);
        for index in world.honest() {
            assert_eq!(world.prove(index, proof.clone()).is_ok(), opened);
        }
        let sums = Loot::of(&world).sums();
        assert_eq!(sums.len(), usize::from(opened));
        // floor((20 - 2) / 2) + 1
        assert!(sums.iter().all(|part| part.len() >= 10));
    }
}

/// With a witness a round's keys are fixed once, so there is no second run of it.
#[test]
fn a_witness_draws_once_a_round() {
    let mut world = world(20, 2, Consistency::Witness, 4);
    let first = world.view((0..20).collect());
    let advertised = world.advertised(&(1..20).collect::<Vec<_>>());
    assert_eq!(world.draw(&advertised), None);
    // The first beacon for the second set of keys, a witness of the coordinator's own, and none at all.
    let own = Witness::new(5);
    let place = |beacon| {
        let members: Vec<usize> = (0..20).rev().collect();
        let advertised = world.advertised(&members);
        let view = world.view_of(members, advertised, beacon);
        view.place(view.number(VICTIM))
    };
    let mut forged = first.beacon.clone().unwrap();
    forged.certificate = own.certificate();
    let mut drawn = first.beacon.clone().unwrap();
    drawn.randomness[0] ^= 1;
    let mut unknown = first.beacon.clone().unwrap();
    unknown.certificate = own.identity.public().to_vec();
    let cases = [
        (place(first.beacon.clone()), "its randomness: the signature"),
        (place(Some(forged)), "its randomness: the signature"),
        (place(Some(drawn)), "its randomness: the signature"),
        (place(Some(unknown)), "not the certificate of a witness"),
        (place(None), "not of the kind that the plan names"),
    ];
    for (place, expected) in cases {
        let refusal = refusal(&mut world, VICTIM, place);
        assert!(refusal.contains(expected), "{refusal}");
    }
    world.until_uploaded(&first);
}

/// Two witnesses that the authority certified each draw and seal once, for one half of the clients each: the halves
/// cannot open each other's shares.
#[test]
fn two_witnesses_are_not_played_against_each_other() {
    let mut world = world(104, 11, Consistency::Witness, 6);
    let members: Vec<usize> = (0..104).collect();
    let first = world.view(members.clone());
    world.witness = Witness::new(78);
    let second = world.view(members);
    assert_eq!(first.key_root, second.key_root);
    assert_ne!(first.digest, second.digest);
    let view = |index: usize| match index.is_multiple_of(2) {
        true => Rc::clone(&first),
        false => Rc::clone(&second),
    };
    let honest = world.honest();
    for index in &honest {
        world.show(*index, &view(*index)).unwrap();
    }
    for index in &honest {
        let unopened: BTreeSet<usize> = world
            .deliver(*index)
            .into_iter()
            .map(|n| n as usize)
            .collect();
        let near = view(*index).graph.neighbours(*index as u32);
        // Those of the other half that have it for a neighbour too, and sealed something.
        for number in near {
            let peer = number as usize;
            let other = peer % 2 != index % 2;
            let sealed = world.clients[peer]
                .sealed
                .iter()
                .any(|one| one.peer as usize == *index);
            assert_eq!(unopened.contains(&peer), other && sealed);
        }
        world.mask(*index, &first.all()).unwrap();
    }
    let all = first.all();
    let lost = first.without(&BTreeSet::from([VICTIM]));
    for index in &honest {
        let (view, told) = match index.is_multiple_of(2) {
            true => (&first, &all),
            false => (&second, &lost),
        };
        world.settle(*index, told).unwrap();
        let witness = Witness::new(if index.is_multiple_of(2) { 77 } else { 78 });
        let seal = world.false_seal(&witness, &view.statement(&view.all(), told));
        // Neighbours in the other half masked under what they were told of.
        let refusal = world.prove(*index, seal).unwrap_err();
        assert!(matches!(refusal, Refusal::Unproven(Unproven::Masked(_))));
    }
    assert!(Loot::of(&world).is_nothing());
}

/// Two cohorts under one plan, where the cohort vouches: the same clients, but for the keys of a corrupt one. Whoever is
/// told of the other cohort opens no share of this one, and counts the signatures of other statements.
#[test]
fn two_cohorts_of_one_plan_are_not_played_against_each_other() {
    let mut world = world(40, 4, Consistency::Cohort, 7);
    let members: Vec<usize> = (0..40).collect();
    let one = world.view(members.clone());
    let mut advertised = world.advertised(&members);
    let keys = RoundKeys::generate(Generator::native(), &mut choices(7)).public();
    advertised[39].keys = keys;
    advertised[39].signature = world.clients[39].identity.advertise(&world.digest(), &keys);
    let other = Rc::new(world.view_of(members, advertised, None));
    let views = [&one, &other];
    let honest = world.honest();
    for index in &honest {
        world.show(*index, views[index % 2]).unwrap();
    }
    for index in &honest {
        let unopened: BTreeSet<usize> = world.deliver(*index).iter().map(|n| *n as usize).collect();
        let others = honest.iter().copied().filter(|peer| peer % 2 != index % 2);
        assert_eq!(unopened, others.collect());
        world.mask(*index, &one.all()).unwrap();
    }
    // Even if everyone signs both.
    let lists = [one.all(), other.without(&BTreeSet::from([VICTIM]))];
    for index in &honest {
        let (view, told) = (views[index % 2], &lists[index % 2]);
        world.settle(*index, told).unwrap();
        let statement = view.statement(&view.all(), told);
        let all = (0..40).map(|index| (index, world.endorse(index, &statement)));
        let proof = view.proof(&all.collect());
        let refusal = world.prove(*index, proof).unwrap_err();
        assert!(matches!(refusal, Refusal::Unproven(Unproven::Masked(_))));
    }
    let loot = Loot::of(&world);
    assert!(loot.is_nothing() && loot.sums().is_empty());
}

/// Too few to hide among, by the plan or by the client's own floor.
#[test]
fn a_tiny_cohort_is_refused() {
    let mut world = world(20, 8, Consistency::Cohort, 8);
    for clients in [9, 10, 13] {
        // The victim, and as many corrupt ones as there are.
        let members: Vec<usize> = (0..clients - 8).chain(12..20).collect();
        let advertised = world.advertised(&members);
        let plan = chorus_secagg::GraphPlan {
            clients,
            degree: clients - 1,
            threshold: 2,
        };
        let view = view_with(&world, members, advertised, &plan);
        let refusal = refusal(&mut world, VICTIM, view.place(0));
        let expected = match clients {
            9 => "smaller than this client's floor",
            _ => "size the plan does not allow",
        };
        assert!(refusal.contains(expected), "{refusal}");
    }
    // Lists that leave too few of a cohort that is large enough.
    let view = world.view((0..20).collect());
    world.show(VICTIM, &view).unwrap();
    for index in 1..12 {
        world.show(index, &view).unwrap();
    }
    world.deliver(VICTIM);
    let few = Roster::of(20, [0].into_iter().chain(8..20));
    let refusal = world.mask(VICTIM, &few).unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("fewer clients than the plan allows")
    );
}

/// A view whose graph is not the round's.
fn view_with(
    world: &World,
    members: Vec<usize>,
    advertised: Vec<Advertised>,
    plan: &chorus_secagg::GraphPlan,
) -> View {
    let padded = members.iter().copied().chain(0..20).take(20).collect();
    let filler = world.advertised(&(0..20).collect::<Vec<_>>());
    let all = advertised.iter().cloned().chain(filler).take(20).collect();
    let mut view = world.view_of(padded, all, None);
    view.graph = chorus_secagg::Graph::new(&view.seed, plan);
    view.plan = *plan;
    view.members = members;
    view.advertised = advertised;
    view
}

/// Keys that are left out or exchanged once the graph is known; a place that is not the client's own.
#[test]
fn keys_are_those_that_were_fixed() {
    for consistency in [Consistency::Cohort, Consistency::Witness] {
        let mut world = world(20, 2, consistency, 11);
        let view = world.view((0..20).collect());
        let digest = world.digest();
        let mut places = Vec::new();
        // Another client's place, and its own with another's path.
        places.push((view.place(1), "leaves out this client's own keys"));
        let mut path = view.place(0);
        path.path = view.place(1).path;
        places.push((path, "leaves out this client's own keys"));
        let mut cut = view.place(0);
        cut.path.pop();
        places.push((cut, "leaves out this client's own keys"));
        // A corrupt client shows one neighbour other keys than the rest.
        let keys = RoundKeys::generate(Generator::native(), &mut choices(11)).public();
        let mut exchanged = view.place(0);
        let near = exchanged
            .neighbours
            .iter_mut()
            .find(|near| near.index == 19)
            .unwrap();
        near.keys = keys;
        near.signature = world.clients[19].identity.advertise(&digest, &keys);
        places.push((
            exchanged,
            "not among those that were fixed before the graph",
        ));
        // Another enrolled client in its stead, who advertised as well.
        let mut another = view.place(0);
        let stranger = chorus_protocol::Identity::from_seed(&[3; 32]);
        let near = another
            .neighbours
            .iter_mut()
            .find(|near| near.index == 19)
            .unwrap();
        near.certificate = stranger.public().to_vec();
        near.keys = keys;
        near.signature = stranger.advertise(&digest, &keys);
        places.push((another, "not among those that were fixed before the graph"));
        // Its keys with another generator, which is slower or weaker.
        let mut weaker = view.place(0);
        weaker.neighbours[4].keys.generator = match weaker.neighbours[4].keys.generator {
            Generator::Aes128Ctr => Generator::ChaCha12,
            Generator::ChaCha12 => Generator::Aes128Ctr,
        };
        places.push((weaker, "its keys: the signature"));
        for (place, expected) in places {
            let refusal = refusal(&mut world, VICTIM, place);
            assert!(refusal.contains(expected), "{refusal}");
        }
        // A root over everyone but the victim, whom the coordinator would like to mask with nobody's knowledge.
        let members: Vec<usize> = (1..20).collect();
        let advertised = world.advertised(&members);
        let beacon = view.beacon.clone();
        let without = world.view_of(members, advertised, beacon);
        let refusal = refusal(&mut world, VICTIM, without.place(0));
        let expected = match consistency {
            Consistency::Cohort => "leaves out this client's own keys",
            Consistency::Witness => "its randomness: the signature",
        };
        assert!(refusal.contains(expected), "{refusal}");
        assert!(Loot::of(&world).is_nothing());
    }
}

/// What a proof of the other kind is worth.
#[test]
fn a_proof_is_of_the_kind_that_the_plan_names() {
    for consistency in [Consistency::Cohort, Consistency::Witness] {
        let mut world = world(20, 2, consistency, 13);
        let view = world.view((0..20).collect());
        world.until_uploaded(&view);
        let statement = view.statement(&view.all(), &view.all());
        let all = (0..20).map(|index| (index, world.endorse(index, &statement)));
        let by_cohort = view.proof(&all.collect());
        let by_witness = world.false_seal(&world.witness, &statement);
        world.settle(VICTIM, &view.all()).unwrap();
        let (right, wrong) = match consistency {
            Consistency::Cohort => (by_cohort, by_witness),
            Consistency::Witness => (by_witness, by_cohort),
        };
        let saved = world.clients[VICTIM].participation.as_ref().unwrap();
        let saved = saved.save().unwrap();
        let refusal = world.prove(VICTIM, wrong);
        assert_eq!(refusal, Err(Refusal::Unproven(Unproven::Kind)));
        world.clients[VICTIM].participation = Some(Participation::restore(&saved).unwrap());
        world.prove(VICTIM, right).unwrap();
    }
}
