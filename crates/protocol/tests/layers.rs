//! Noise in layers: what the survivors do not need comes off the sum, bit for bit, and nothing else does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_privacy::{Law, LayerSeed, LayeredNoise, LocalNoise};
use chorus_protocol::{
    Floor, Message, Next, Privacy, Reject, Request, Revealed, RoundPlan, Secret, Surplus, Task,
    cost,
};
use common::{Federation, Member, Vanish, task};
use proptest::prelude::*;

fn layered(clients: usize) -> Task {
    let mut task = task(clients, true);
    task.noise.surplus = Surplus::Removed;
    task
}

fn noise(plan: &RoundPlan) -> LayeredNoise {
    match plan.noise {
        LocalNoise::Layered(noise) => noise,
        other => panic!("{other:?}"),
    }
}

/// The modular sum of what those who answered leave in it, and of all that the others added.
fn expected(federation: &Federation) -> Vec<u32> {
    let noise = noise(&federation.plan);
    let ring = federation.plan.ring();
    let uploaded = |member: &&Member| member.vanish >= Vanish::BeforeEndorsing;
    let survivors = federation.members.iter().filter(uploaded);
    let vanished = federation.plan.vanished(survivors.clone().count());
    let mut sum = vec![0u32; federation.plan.encoding.words()];
    for member in survivors {
        let opened: Vec<LayerSeed> = member.seeds[vanished..]
            .iter()
            .map(|seed| LayerSeed::from_bytes(*seed))
            .collect();
        let removal = noise.removal(vanished, &opened, sum.len()).unwrap();
        let answers = member.vanish == Vanish::Never;
        for ((total, word), removed) in sum.iter_mut().zip(&member.words).zip(removal) {
            let removed = if answers { removed } else { 0 };
            *total = ring.reduce(total.wrapping_add(*word).wrapping_sub(removed));
        }
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_surplus_comes_off_whoever_vanishes(
        clients in 16usize..30,
        interrupted: bool,
        seed: u64,
        losses in proptest::collection::vec(0usize..3, 0..6),
    ) {
        let mut federation = Federation::of(&layered(clients), seed);
        federation.interrupted = interrupted;
        let bearable = clients - federation.plan.survivors.minimum;
        let phases = [Vanish::BeforeAdvertising, Vanish::BeforeUploading, Vanish::BeforeUnmasking];
        for (place, loss) in losses.iter().take(bearable).enumerate() {
            federation.members[place * 2].vanish = phases[*loss];
        }
        federation.run();
        let recovered = federation.recovered().expect("the plan bears these losses").clone();
        prop_assert_eq!(recovered.sum, expected(&federation));
        let silent = federation
            .members
            .iter()
            .filter(|member| member.vanish == Vanish::BeforeUnmasking)
            .count();
        let noise = noise(&federation.plan);
        let vanished = clients - recovered.clients;
        let left = (noise.removed(vanished) as f64 * silent as f64).sqrt();
        prop_assert!((recovered.surplus - left).abs() <= 1e-9 * left);
        // What is counted on is always there.
        let honest = noise.remaining(vanished, true).unwrap() as f64;
        let promised = cost(&federation.plan).unwrap().unwrap().noise_multiplier;
        prop_assert!(honest.sqrt() / federation.plan.encoding.sensitivity() >= promised * (1.0 - 1e-12));
    }
}

/// A client gives out no seed that the guarantee counts on, and the coordinator takes exactly those that come off.
#[test]
fn only_the_seeds_that_come_off_are_given_out_and_taken() {
    let mut federation = Federation::of(&layered(20), 5);
    federation.members[0].vanish = Vanish::BeforeUploading;
    federation.members[1].vanish = Vanish::BeforeUploading;
    federation.join_all();
    while federation.round.phase() < chorus_protocol::Phase::Unmasking {
        let mut moved = false;
        for index in 0..20 {
            let waits_for_help = federation.round.phase() == chorus_protocol::Phase::Unmasking;
            moved |= !waits_for_help && federation.step(index);
        }
        if !moved {
            federation.now += 50;
            federation.tick();
        }
    }
    let dropouts = noise(&federation.plan).dropouts();
    assert!(dropouts > 2);
    let index = (2..20)
        .find(|index| {
            loop {
                let participation = federation.members[*index].participation.as_ref().unwrap();
                if let Next::Send(Request::Unmask { .. }) = participation.poll() {
                    break true;
                }
                if !federation.step(*index) {
                    break false;
                }
            }
        })
        .unwrap();
    let member = &federation.members[index];
    let Next::Send(Request::Unmask { revealed, .. }) =
        member.participation.as_ref().unwrap().poll()
    else {
        panic!("it answers");
    };
    let (seeds, shares): (Vec<Revealed>, Vec<Revealed>) = revealed
        .into_iter()
        .partition(|one| one.kind == Secret::LayerSeed);
    let given: Vec<[u8; 32]> = seeds.iter().map(|one| one.share).collect();
    assert_eq!(given, member.seeds[2..]);
    let kept = seeds[0].owner;
    let client = member.identity.id();
    let all: Vec<Revealed> = member
        .seeds
        .iter()
        .map(|seed| Revealed {
            owner: kept,
            kind: Secret::LayerSeed,
            share: *seed,
        })
        .collect();
    let another = |mut seeds: Vec<Revealed>| {
        seeds[0].owner += 1;
        seeds
    };
    for wrong in [
        Vec::new(),
        seeds[1..].to_vec(),
        all.clone(),
        another(seeds.clone()),
    ] {
        let message = Message::Unmask([shares.clone(), wrong].concat());
        let reject = federation.say(client, message).unwrap_err();
        assert!(
            matches!(
                reject,
                Reject::Content {
                    field: "revealed",
                    ..
                }
            ),
            "{reject}"
        );
    }
    let message = Message::Unmask([seeds.clone(), shares.clone()].concat());
    assert!(federation.say(client, message).is_err(), "seeds come last");
    federation
        .say(client, Message::Unmask([shares, seeds].concat()))
        .unwrap();
}

#[test]
fn clients_check_the_layers_of_a_plan() {
    let sound = layered(20)
        .plan(
            0,
            20,
            chorus_protocol::RoundId(1),
            1,
            chorus_protocol::Digest::ZERO,
        )
        .unwrap();
    let floor = Floor::default();
    assert_eq!(floor.check(&sound, &[]), Ok(()));
    let layers = |variance, clients, dropouts, colluding| {
        let mut plan = sound.clone();
        plan.noise =
            LocalNoise::Layered(LayeredNoise::new(variance, clients, dropouts, colluding).unwrap());
        floor.check(&plan, &[])
    };
    let (minimum, honest) = (sound.survivors.minimum, sound.survivors.honest);
    let variance = 1 << 40;
    assert_eq!(layers(variance, 20, 20 - minimum, minimum - honest), Ok(()));
    // For more clients than were invited, each would add less than its part.
    assert!(layers(variance, 21, 21 - minimum, minimum - honest).is_err());
    assert!(layers(variance, 20, 20 - minimum, minimum - honest - 1).is_err());
    assert!(layers(variance, 20, 20 - minimum - 1, minimum - honest).is_err());
    assert!(
        layers(1 << 20, 20, 20 - minimum, minimum - honest).is_err(),
        "too little noise"
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |change: &dyn Fn(&mut Task)| {
        let mut task = layered(20);
        change(&mut task);
        task.validate().unwrap_err().to_string()
    };
    layered(20).validate().unwrap();
    assert!(refused(&|task| task.noise.law = Law::Skellam).contains("noise.law"));
    assert!(
        refused(&|task| task.privacy = Privacy::Local {
            epsilon: 8.0,
            delta: 1e-5
        })
        .contains("noise.surplus")
    );
    assert!(refused(&|task| task.population = 500).contains("at most 64 layers"));
    // The other laws and the rotation are planned, accounted for and agreed on by the client's floor.
    for (law, rotation) in [(Law::Skellam, false), (Law::DiscreteGaussian, true)] {
        let mut task = task(400, true);
        (task.noise.law, task.noise.rotation) = (law, rotation);
        task.validate().unwrap();
        let plan = task
            .plan(
                0,
                400,
                chorus_protocol::RoundId(1),
                1,
                chorus_protocol::Digest::ZERO,
            )
            .unwrap();
        assert_eq!(Floor::default().check(&plan, &[]), Ok(()));
        let text = toml::to_string(&task).unwrap();
        assert_eq!(toml::from_str::<Task>(&text).unwrap(), task);
    }
}
