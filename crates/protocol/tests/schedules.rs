//! Rounds as they come: any size, ring, generator, mode, order of steps, and losses in every phase. The masked sum is the
//! plain modular sum, bit for bit, or the round ends in words and nothing was revealed.
//!
//! `CHORUS_SCHEDULES` sets how many are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::rc::Rc;

use chorus_protocol::{Consistency, Event, Outcome, Participation, Phase, Refusal, Task, quorum};
use chorus_secagg::{Generator, Ring};
use common::loot::Loot;
use common::world::{View, World};
use common::{Federation, Vanish, task};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const LOSSES: [Vanish; 6] = [
    Vanish::BeforeAdvertising,
    Vanish::BeforeSharing,
    Vanish::BeforeConfirming,
    Vanish::BeforeUploading,
    Vanish::BeforeEndorsing,
    Vanish::BeforeUnmasking,
];

fn schedules() -> ProptestConfig {
    let wanted = std::env::var("CHORUS_SCHEDULES").ok();
    let cases = wanted.and_then(|cases| cases.parse().ok()).unwrap_or(48);
    ProptestConfig {
        cases,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
struct Schedule {
    clients: usize,
    ring: Ring,
    noise: bool,
    consistency: Consistency,
    interrupted: bool,
    seed: u64,
    /// The share of the clients that is lost, and in which phases.
    lost: f64,
    phases: BTreeSet<usize>,
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let clients = prop_oneof![24 => 10usize..40, 1 => 100usize..=120];
    let ring = prop::sample::select(Ring::ALL.to_vec());
    let phases = proptest::collection::btree_set(0usize..6, 1..4);
    let flags: (_, _, _) = (any::<bool>(), any::<bool>(), any::<bool>());
    (clients, ring, flags, any::<u64>(), 0.0..0.36f64, phases).prop_map(
        |(clients, ring, (noise, witness, interrupted), seed, lost, phases)| Schedule {
            clients,
            // Noise takes the width of the widest.
            ring: if noise { Ring::Bits32 } else { ring },
            noise,
            consistency: match witness {
                true => Consistency::Witness,
                false => Consistency::Cohort,
            },
            interrupted,
            seed,
            lost,
            phases,
        },
    )
}

fn federation(schedule: &Schedule, rng: &mut ChaCha20Rng) -> Federation {
    let mut task = task(schedule.clients, schedule.noise);
    task.bits = schedule.ring.bits();
    task.consistency = schedule.consistency;
    let mut federation = Federation::of(&task, schedule.seed);
    federation.interrupted = schedule.interrupted;
    let phases: Vec<usize> = schedule.phases.iter().copied().collect();
    for member in &mut federation.members {
        if f64::from(rng.next_u32()) / f64::from(u32::MAX) < schedule.lost {
            member.vanish = LOSSES[phases[rng.next_u32() as usize % phases.len()]];
        }
        member.generator = Some(match rng.next_u32() % 3 {
            0 => Generator::ChaCha12,
            _ => Generator::Aes128Ctr,
        });
    }
    federation
}

/// Everyone's steps in any order; time passes when nobody has anything to do.
fn run(federation: &mut Federation, rng: &mut ChaCha20Rng) {
    federation.join_all();
    let mut order: Vec<usize> = (0..federation.members.len()).collect();
    for _ in 0..10_000 {
        for last in (1..order.len()).rev() {
            order.swap(last, rng.next_u32() as usize % (last + 1));
        }
        let mut moved = false;
        for index in &order {
            moved |= federation.step(*index);
        }
        if !moved && federation.is_over() {
            return;
        }
        if !moved {
            federation.now += 50;
            federation.tick();
        }
    }
    panic!("the round does not end");
}

/// How a round in a complete graph must end, from who is lost when; nothing for a sparse graph, where that depends on
/// who is whose neighbour.
fn completes(federation: &Federation) -> Option<bool> {
    let left = |vanish: Vanish| {
        let members = federation.members.iter();
        members.filter(|member| member.vanish >= vanish).count()
    };
    let plan = &federation.plan;
    let cohort = left(Vanish::BeforeSharing);
    let survivors = left(Vanish::BeforeEndorsing);
    // No cohort is smaller than ten, whatever the plan's minimum.
    if survivors < plan.survivors.minimum || cohort < 10 {
        return Some(false);
    }
    if cohort >= 100 {
        return None;
    }
    let proven = match plan.consistency {
        Consistency::Witness => true,
        Consistency::Cohort => left(Vanish::BeforeUnmasking) >= quorum(cohort, plan.corrupt()),
    };
    // Nobody holds a share of its own secrets.
    let threshold = (cohort + plan.corrupt()) / 2 + 1;
    Some(proven && left(Vanish::Never) > threshold)
}

proptest! {
    #![proptest_config(schedules())]

    #[test]
    fn the_sum_is_exact_or_there_is_none(schedule in schedule()) {
        let mut rng = ChaCha20Rng::seed_from_u64(schedule.seed ^ 1);
        let mut federation = federation(&schedule, &mut rng);
        run(&mut federation, &mut rng);
        let completed = federation.recovered().is_some();
        if let Some(expected) = completes(&federation) {
            prop_assert_eq!(completed, expected, "{:?}", federation.aborted());
        }
        match federation.recovered() {
            Some(recovered) => {
                let uploaded = |member: &common::Member| member.vanish >= Vanish::BeforeEndorsing;
                prop_assert_eq!(&recovered.sum, &federation.plain_sum(uploaded));
                let survivors = federation.members.iter().filter(|member| uploaded(member));
                prop_assert_eq!(recovered.clients, survivors.count());
            }
            None => {
                let reason = federation.aborted().unwrap();
                let words = ["the plan needs", "a round needs", "nothing was revealed"];
                prop_assert!(words.iter().any(|words| reason.contains(words)), "{}", reason);
            }
        }
        // Whoever stayed hears how it ended, and nobody refused anything.
        for (index, member) in federation.members.iter().enumerate() {
            prop_assert_eq!(&member.refusal, &None);
            if member.vanish == Vanish::Never {
                let outcome = federation.outcome(index);
                let aborted = matches!(outcome, Some(Outcome::Aborted { .. }));
                let ended = outcome == Some(Outcome::Completed { version: 2 });
                prop_assert_eq!((ended, aborted), (completed, !completed));
            }
        }
    }
}

fn lost_in(clients: usize, consistency: Consistency, lost: usize, phase: Vanish) -> Federation {
    let mut task = task(clients, false);
    task.consistency = consistency;
    let mut federation = Federation::of(&task, 51);
    for member in federation.members.iter_mut().take(lost) {
        member.vanish = phase;
    }
    federation.run();
    federation
}

/// Twenty clients, of whom six may be lost; a quorum and a threshold of twelve.
#[test]
fn the_least_that_is_enough_is_enough_and_one_fewer_is_not() {
    for phase in &LOSSES[..4] {
        for consistency in [Consistency::Cohort, Consistency::Witness] {
            for (lost, enough) in [(6, true), (7, false)] {
                let federation = lost_in(20, consistency, lost, *phase);
                assert_eq!(federation.recovered().is_some(), enough, "{phase:?} {lost}");
                assert_eq!(federation.round.funnel().unmasked > 0, enough);
                if !enough {
                    assert!(federation.aborted().unwrap().contains("the plan needs 14"));
                    let endorsing = Event::Began(Phase::Endorsing);
                    assert!(!federation.events.contains(&endorsing));
                }
            }
        }
    }
    // Signatures of twelve.
    for (lost, began) in [(8, true), (9, false)] {
        let federation = lost_in(20, Consistency::Cohort, lost, Vanish::BeforeEndorsing);
        let unmasking = Event::Began(Phase::Unmasking);
        assert_eq!(federation.events.contains(&unmasking), began, "{lost}");
        // Twelve that sign hold eleven shares of each other's secrets: it takes one more.
        assert!(federation.recovered().is_none());
        assert_eq!(
            federation.round.funnel().unmasked,
            if began { 12 } else { 0 }
        );
    }
    // Shares of twelve, not counting the client's own.
    for consistency in [Consistency::Cohort, Consistency::Witness] {
        for (lost, enough) in [(7, true), (8, false)] {
            let federation = lost_in(20, consistency, lost, Vanish::BeforeUnmasking);
            let events = &federation.events;
            assert!(events.contains(&Event::Began(Phase::Unmasking)));
            assert_eq!(federation.recovered().is_some(), enough);
            if enough {
                assert_eq!(
                    federation.recovered().unwrap().sum,
                    federation.plain_sum(|_| true)
                );
            } else {
                let reason = federation.aborted().unwrap();
                assert!(
                    reason.contains("12 of 20 survivors answered, too few"),
                    "{reason}"
                );
            }
        }
    }
}

/// A sparse graph in which the first client keeps exactly so many neighbours, all others at least as many.
fn neighbourhood(left: usize) -> (World, Rc<View>, BTreeSet<usize>) {
    let task = Task {
        consistency: Consistency::Witness,
        ..task(110, false)
    };
    let mut world = World::new(&task, 0, 52);
    let view = world.view((0..110).collect());
    world.until_uploaded(&view);
    let near = view.graph.neighbours(view.number(0));
    let lost = near.iter().skip(left);
    let lost = lost.map(|number| view.members[*number as usize]).collect();
    (world, view, lost)
}

#[test]
fn exactly_the_threshold_of_neighbours_unmasks_a_client() {
    for (left, enough) in [(12, true), (11, false)] {
        let (mut world, view, lost) = neighbourhood(left);
        assert_eq!((view.plan.degree, view.plan.threshold), (42, 12));
        let survivors = view.without(&lost);
        assert!(survivors.count() >= world.plan.survivors.minimum);
        let seal = world.seal(view.statement(&view.all(), &survivors)).unwrap();
        let mut refused = 0;
        for index in world.honest() {
            if lost.contains(&index) {
                continue;
            }
            match world.settle(index, &survivors) {
                Ok(_) => world.prove(index, seal.clone()).unwrap(),
                Err(refusal) => {
                    assert!(matches!(refusal, Refusal::Roster { .. }), "{refusal}");
                    refused += 1;
                }
            }
        }
        assert_eq!(refused > 0, !enough, "{refused}");
        let loot = Loot::of(&world);
        assert!(loot.is_nothing());
        let survived: BTreeSet<usize> = world
            .honest()
            .into_iter()
            .filter(|index| !lost.contains(index))
            .collect();
        match enough {
            true => {
                assert_eq!(loot.sums(), std::slice::from_ref(&survived));
                assert_eq!(loot.sum(&survived), loot.plain(&survived));
            }
            false => assert!(loot.sums().is_empty()),
        }
    }
}

/// A client masks with no fewer neighbours than would open its secrets.
#[test]
fn nobody_masks_with_fewer_neighbours_than_the_threshold() {
    let mut world = World::new(&task(110, false), 0, 54);
    let view = world.view((0..110).collect());
    for index in world.honest() {
        world.show(index, &view).unwrap();
    }
    world.deliver(0);
    let near = view.graph.neighbours(view.number(0));
    let saved = world.clients[0].participation.as_ref().unwrap().save();
    for (left, enough) in [(11, false), (12, true)] {
        let lost = near.iter().skip(left);
        let lost = lost.map(|number| view.members[*number as usize]).collect();
        let participation = Participation::restore(saved.as_ref().unwrap()).unwrap();
        world.clients[0].participation = Some(participation);
        let result = world.mask(0, &view.without(&lost));
        match enough {
            true => assert_eq!(result, Ok(())),
            false => {
                let words = result.unwrap_err().to_string();
                assert!(
                    words.contains("fewer neighbours than the threshold"),
                    "{words}"
                );
            }
        }
        assert_eq!(world.clients[0].upload.is_some(), enough);
    }
}

/// Both generators in one round, in each ring: a mask that two clients share is of the one that both can.
#[test]
fn generators_and_rings_mix() {
    for ring in Ring::ALL {
        let mut task = task(14, false);
        task.bits = ring.bits();
        let mut federation = Federation::of(&task, 53);
        assert_eq!(federation.plan.ring(), ring);
        for (index, member) in federation.members.iter_mut().enumerate() {
            member.generator = Some(Generator::ALL[index % 2]);
        }
        for (index, vanish) in [
            (2, LOSSES[3]),
            (3, LOSSES[3]),
            (5, LOSSES[1]),
            (8, LOSSES[5]),
        ] {
            federation.members[index].vanish = vanish;
        }
        federation.run();
        let plain = federation.plain_sum(|member| member.vanish >= Vanish::BeforeEndorsing);
        assert_eq!(federation.recovered().unwrap().sum, plain);
        assert_eq!(
            federation.round.upload_bytes(),
            ring.upload_bytes(plain.len())
        );
    }
}
