//! What a witness signs, which rounds need one, and what becomes of a round whose witness is silent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_protocol::{
    Beacon, Consistency, Digest, Event, Floor, Input, Phase, Refusal, RoundId, Seal, Task,
    TaskError, Testimony,
};
use common::{Federation, Witness, task};
use proptest::prelude::*;

fn of_mode(clients: usize, consistency: Consistency) -> Task {
    let mut task = task(clients, false);
    task.consistency = consistency;
    task
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A beacon or seal is good for one witness, coordinator, round and content.
    #[test]
    fn a_witness_signs_for_one_round_of_one_coordinator(
        round: u64,
        other: u64,
        content: [u8; 32],
        drawn: [u8; 32],
        bit in 0usize..512,
    ) {
        prop_assume!(round != other);
        let witness = Witness::new(1).identity;
        let (key, coordinator) = (witness.public(), [7; 32]);
        let (digest, elsewhere) = (Digest(content), Digest::of(&content));
        let beacon = Beacon::sign(&witness, Vec::new(), &coordinator, RoundId(round), &digest, drawn);
        let seal = Seal::sign(&witness, Vec::new(), &coordinator, RoundId(round), &digest);
        let both = |key: &[u8; 32], coordinator: &[u8; 32], round: u64, digest: &Digest| {
            let drawn = beacon.verify(key, coordinator, RoundId(round), digest).is_ok();
            let sealed = seal.verify(key, coordinator, RoundId(round), digest).is_ok();
            (drawn, sealed)
        };
        prop_assert_eq!(both(&key, &coordinator, round, &digest), (true, true));
        let foreign = Witness::new(2).identity.public();
        prop_assert_eq!(both(&foreign, &coordinator, round, &digest), (false, false));
        prop_assert_eq!(both(&key, &[8; 32], round, &digest), (false, false));
        prop_assert_eq!(both(&key, &coordinator, other, &digest), (false, false));
        prop_assert_eq!(both(&key, &coordinator, round, &elsewhere), (false, false));
        let mut altered = beacon.clone();
        altered.randomness[bit % 32] ^= 1;
        prop_assert!(altered.verify(&key, &coordinator, RoundId(round), &digest).is_err());
        let mut altered = seal.clone();
        altered.signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(altered.verify(&key, &coordinator, RoundId(round), &digest).is_err());
        // Neither is the other, nor what a client signs.
        altered.signature = beacon.signature;
        prop_assert!(altered.verify(&key, &coordinator, RoundId(round), &digest).is_err());
        altered.signature = witness.endorse(&digest);
        prop_assert!(altered.verify(&key, &coordinator, RoundId(round), &digest).is_err());
    }
}

#[test]
fn a_floor_can_insist_on_a_witness_and_large_cohorts_need_one() {
    let plan = |clients: usize, consistency| {
        let mut task = of_mode(clients, consistency);
        task.privacy = common::task(clients, true).privacy;
        task.recipe = common::task(clients, true).recipe;
        task.plan(0, clients, RoundId(1), 1, Digest::ZERO).unwrap()
    };
    let (any, strict) = (
        Floor::default(),
        Floor {
            witness: true,
            ..Floor::default()
        },
    );
    for (clients, consistency, with_any, with_strict) in [
        (100, Consistency::Cohort, true, false),
        (5_000, Consistency::Cohort, true, false),
        (5_001, Consistency::Cohort, false, false),
        (5_001, Consistency::Witness, true, true),
        (100, Consistency::Witness, true, true),
    ] {
        let plan = plan(clients, consistency);
        for (floor, expected) in [(&any, with_any), (&strict, with_strict)] {
            match floor.check(&plan, &[]) {
                Ok(()) => assert!(expected, "{clients}"),
                Err(Refusal::Weak { field, needed, .. }) => {
                    assert_eq!(field, "consistency");
                    assert!(!expected && needed.contains("witness"), "{needed}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_task_says_when_it_needs_a_witness() {
    let check = |clients: usize, consistency, corrupt: f64| {
        let mut task = of_mode(clients, consistency);
        task.corrupt = corrupt;
        task.validate()
    };
    assert!(check(5_000, Consistency::Cohort, 0.1).is_ok());
    assert!(check(5_001, Consistency::Witness, 0.1).is_ok());
    for (clients, corrupt) in [(5_001, 0.1), (100_000, 0.1)] {
        let error = check(clients, Consistency::Cohort, corrupt).unwrap_err();
        assert!(
            matches!(
                error,
                TaskError::Field {
                    field: "consistency",
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("`witness`"), "{error}");
    }
    let error = check(100_001, Consistency::Witness, 0.1).unwrap_err();
    assert!(error.to_string().contains("100000"), "{error}");
    // It is written with one word, and the cohort vouches where it is left out.
    let text = serde_json::to_string(&of_mode(20, Consistency::Witness)).unwrap();
    assert!(text.contains(r#""consistency":"witness""#));
    let without = text.replace(r#""consistency":"witness","#, "");
    let read: Task = serde_json::from_str(&without).unwrap();
    assert_eq!(read.consistency, Consistency::Cohort);
}

/// Who is asked what, when; and what becomes of a round whose witness is silent.
#[test]
fn a_witness_is_asked_twice_a_round_and_waited_for() {
    for silent in [Phase::Drawing, Phase::Endorsing, Phase::Ended] {
        let mut federation = Federation::of(&of_mode(12, Consistency::Witness), 45);
        federation.witness.silent_from = silent;
        federation.run();
        assert_eq!(federation.recovered().is_some(), silent == Phase::Ended);
        let phases: Vec<Phase> = federation
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Began(phase) => Some(*phase),
                _ => None,
            })
            .collect();
        assert_eq!(phases.first(), Some(&Phase::Drawing));
        assert_eq!(federation.round.question(), None);
        let asked = federation.witness.answered.len();
        let reason = federation.aborted().unwrap_or_default();
        match silent {
            Phase::Drawing => assert!(reason.contains("did not answer") && asked == 0),
            Phase::Endorsing => assert!(reason.contains("did not sign") && asked == 1),
            _ => assert_eq!(asked, 2),
        }
        assert_eq!(phases.contains(&Phase::Unmasking), silent == Phase::Ended);
    }
}

/// A testimony that nobody asked for changes nothing.
#[test]
fn a_round_takes_a_witness_at_its_word_only_when_it_asked() {
    for consistency in [Consistency::Cohort, Consistency::Witness] {
        let mut federation = Federation::of(&of_mode(12, consistency), 46);
        let witness = Witness::new(77);
        let (own, digest) = (federation.coordinator.public(), Digest::ZERO);
        let certificate = witness.certificate();
        let seal = Seal::sign(
            &witness.identity,
            certificate.clone(),
            &own,
            RoundId(7),
            &digest,
        );
        let beacon = Beacon::sign(
            &witness.identity,
            certificate,
            &own,
            RoundId(7),
            &digest,
            [1; 32],
        );
        federation.join_all();
        for phase in [
            Phase::Advertising,
            Phase::Sharing,
            Phase::Confirming,
            Phase::Uploading,
            Phase::Endorsing,
            Phase::Unmasking,
            Phase::Ended,
        ] {
            federation.run_to(phase);
            if federation.round.question().is_some() {
                continue;
            }
            for testimony in [
                Testimony::Seal(seal.clone()),
                Testimony::Beacon(beacon.clone()),
            ] {
                let before = federation.round.clone();
                let input = Input::Witness(testimony);
                let result = federation.round.handle(0, input, &mut federation.events);
                let label = result.map_err(|reject| reject.label());
                assert_eq!(label, Err("wrong-phase"));
                assert!(federation.round == before);
            }
        }
        assert!(federation.recovered().is_some());
    }
}
