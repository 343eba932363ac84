//! Whole rounds, without sockets: sums, dropouts, interruptions, and what spoils a round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_protocol::{
    Event, Next, Outcome, Phase, Refusal, Reject, Request, Response, Secret, SignedUpdate,
};
use common::{Federation, Vanish};
use proptest::prelude::*;

const LOSSES: [Vanish; 6] = [
    Vanish::BeforeAdvertising,
    Vanish::BeforeSharing,
    Vanish::BeforeConfirming,
    Vanish::BeforeUploading,
    Vanish::BeforeEndorsing,
    Vanish::BeforeUnmasking,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The heart of it: whatever the size (10 must be left), the noise, the phase of the losses and the interruptions,
    /// the masked sum is the plain modular sum, bit for bit.
    #[test]
    fn the_masked_sum_is_the_plain_sum(
        clients in 15usize..40,
        noise: bool,
        interrupted: bool,
        seed: u64,
        losses in proptest::collection::vec(0usize..6, 0..12),
    ) {
        let mut federation = Federation::new(clients, noise, seed);
        federation.interrupted = interrupted;
        // No more than the plan bears, over all phases together.
        let bearable = clients - federation.plan.survivors.minimum;
        for (place, loss) in losses.iter().take(bearable).enumerate() {
            let index = (place * 7 + seed as usize % 10) % clients;
            federation.members[index].vanish = LOSSES[*loss];
        }
        federation.run();
        let recovered = federation.recovered().expect("the plan bears these losses").clone();
        let plain = federation.plain_sum(|member| member.vanish >= Vanish::BeforeEndorsing);
        prop_assert_eq!(recovered.sum, plain);
        for (index, member) in federation.members.iter().enumerate() {
            prop_assert_eq!(&member.refusal, &None);
            if member.vanish == Vanish::Never {
                let outcome = federation.outcome(index);
                prop_assert_eq!(outcome, Some(Outcome::Completed { version: 2 }));
            }
        }
    }

    /// Below the minimum the round ends, whatever phase the losses fall into, and no share was given back.
    #[test]
    fn below_the_minimum_nothing_is_revealed(clients in 10usize..30, phase in 0usize..4, seed: u64) {
        let mut federation = Federation::new(clients, true, seed);
        let lost = clients - federation.plan.survivors.minimum + 1;
        for member in federation.members.iter_mut().take(lost) {
            member.vanish = LOSSES[phase];
        }
        federation.run();
        prop_assert!(federation.recovered().is_none());
        prop_assert!(federation.aborted().is_some());
        prop_assert!(!federation.events.contains(&Event::Began(Phase::Unmasking)));
    }
}

#[test]
fn a_graph_that_is_not_complete_works_too() {
    let mut federation = Federation::new(120, true, 5);
    for (index, vanish) in [
        (3, LOSSES[3]),
        (50, LOSSES[1]),
        (77, LOSSES[3]),
        (90, LOSSES[4]),
        (101, LOSSES[5]),
    ] {
        federation.members[index].vanish = vanish;
    }
    federation.run();
    let plain = federation.plain_sum(|member| member.vanish >= Vanish::BeforeEndorsing);
    assert_eq!(
        federation.recovered().map(|recovered| &recovered.sum),
        Some(&plain)
    );
}

#[test]
fn too_few_answers_while_unmasking_reveal_nothing() {
    let mut federation = Federation::new(20, true, 1);
    // Ten of nineteen neighbours are fewer than the threshold of twelve.
    for member in federation.members.iter_mut().take(10) {
        member.vanish = Vanish::BeforeUnmasking;
    }
    federation.run();
    assert!(federation.recovered().is_none());
    assert!(
        federation
            .aborted()
            .is_some_and(|reason| reason.contains("too few to unmask"))
    );
}

#[test]
fn a_client_that_was_shown_another_model_refuses_it() {
    let mut federation = Federation::new(12, false, 2);
    federation
        .models
        .insert(4, b"a model made for one person only".to_vec());
    federation.run();
    assert_eq!(federation.members[4].refusal, Some(Refusal::Model));
    assert!(
        federation.recovered().is_some(),
        "the others go on without it"
    );
}

/// A coordinator that also forges log and plan for one client gets a spoiled sum: the client's masks are
/// derived from the model that it saw, and cancel with nobody's.
#[test]
fn another_model_for_one_client_spoils_the_round() {
    let mut federation = Federation::new(12, false, 2);
    let mut other = Federation::new(12, false, 2);
    federation.join_all();
    other.plan.model = chorus_protocol::Digest::of(b"another model");
    other.plan_bytes = serde_json::to_vec(&other.plan).unwrap();
    let entry = chorus_protocol::LogEntry {
        index: 0,
        previous: chorus_protocol::Digest::ZERO,
        task: other.plan.task.clone(),
        version: 1,
        origin: chorus_protocol::Origin::Start,
        model: other.plan.model,
        report: chorus_protocol::Digest::of(b""),
    };
    let entry = chorus_protocol::SignedEntry::sign(&entry, &other.coordinator).unwrap();
    let floor = other.floor();
    let victim = other.join(&floor).unwrap();
    let bytes = b"another model".to_vec();
    let total = bytes.len() as u64;
    federation.members[0].participation = Some(victim);
    federation.tell(0, Response::Log(vec![entry])).unwrap();
    let model = Response::Model {
        offset: 0,
        total,
        bytes,
    };
    federation.tell(0, model).unwrap();
    federation.go_on();
    // Its signature is over another round digest, so it does not even enter the cohort.
    assert_eq!(federation.round.funnel().advertised, 11);
    assert!(federation.recovered().is_some());
}

#[test]
fn a_client_that_masks_for_another_round_spoils_the_sum_and_leaks_nothing() {
    let mut federation = Federation::new(12, false, 3);
    let mut other = Federation::new(12, false, 3);
    // The same clients in a second round with another model: everything fits but the digest.
    other.plan.round = chorus_protocol::RoundId(8);
    other.plan_bytes = serde_json::to_vec(&other.plan).unwrap();
    let invited = other
        .members
        .iter()
        .map(|member| member.identity.id())
        .collect();
    let timing = chorus_protocol::Timing {
        phase: 1_000,
        quiet: 100,
    };
    other.round =
        chorus_protocol::Round::open(other.plan.clone(), &other.plan_bytes, invited, timing, 0);
    for federation in [&mut federation, &mut other] {
        federation.join_all();
        while federation.round.phase() < Phase::Uploading {
            for index in 0..12 {
                federation.step(index);
            }
        }
        while (0..12).any(|index| {
            !matches!(
                federation.members[index]
                    .participation
                    .as_ref()
                    .unwrap()
                    .poll(),
                Next::Send(Request::Upload { .. })
            )
        }) {
            for index in 0..12 {
                let at = federation.members[index]
                    .participation
                    .as_ref()
                    .unwrap()
                    .poll();
                if !matches!(at, Next::Send(Request::Upload { .. })) {
                    federation.step(index);
                }
            }
        }
    }
    let Next::Send(Request::Upload { update, .. }) =
        other.members[0].participation.as_ref().unwrap().poll()
    else {
        panic!("not at the upload");
    };
    let round = federation.plan.round;
    let Next::Send(Request::Upload { update: own, .. }) =
        federation.members[0].participation.as_ref().unwrap().poll()
    else {
        panic!("not at the upload");
    };
    let mixed = SignedUpdate {
        masked: update.masked.clone(),
        signature: own.signature,
    };
    // Signed for the other round it is not even taken; signed for this one, it is found out in the sum.
    let other = federation.ask(0, Request::Upload { round, update });
    assert_eq!(other, Err(Reject::Signature));
    let update = mixed;
    federation
        .ask(0, Request::Upload { round, update })
        .unwrap();
    federation.tell(0, Response::Accepted).unwrap();
    federation.go_on();
    assert!(federation.recovered().is_none());
    assert!(federation.aborted().is_some());
}

#[test]
fn shares_that_cannot_be_opened_cost_their_sender_alone() {
    let mut federation = Federation::new(12, false, 4);
    federation.join_all();
    // Client 0 seals rubbish for everyone.
    while federation.round.phase() == Phase::Advertising {
        for index in 0..12 {
            federation.step(index);
        }
    }
    loop {
        let next = federation.members[0].participation.as_ref().unwrap().poll();
        if let Next::Send(Request::ShareKeys { round, mut sealed }) = next {
            for one in &mut sealed {
                one.sealed[3] ^= 1;
            }
            federation
                .ask(0, Request::ShareKeys { round, sealed })
                .unwrap();
            federation.tell(0, Response::Accepted).unwrap();
            break;
        }
        federation.step(0);
    }
    federation.go_on();
    let offender = federation.members[0].identity.id();
    let plain = federation.plain_sum(|member| member.identity.id() != offender);
    assert_eq!(
        federation.recovered().map(|recovered| &recovered.sum),
        Some(&plain)
    );
    assert_eq!(federation.round.funnel().confirmed, 11);
    assert_eq!(federation.outcome(0), Some(Outcome::LeftOut));
}

#[test]
fn a_wrong_share_of_a_lost_clients_mask_key_is_survived() {
    let mut federation = Federation::new(14, false, 6);
    federation.members[13].vanish = Vanish::BeforeUploading;
    federation.join_all();
    let lost = federation.members[13].identity.id();
    let mut spoilt = false;
    for _ in 0..10_000 {
        for index in 0..14 {
            let next = federation.members[index]
                .participation
                .as_ref()
                .map(|p| p.poll());
            if let Some(Next::Send(Request::Unmask {
                round,
                mut revealed,
            })) = next
                && !spoilt
            {
                spoilt = true;
                let wrong = revealed
                    .iter_mut()
                    .find(|one| one.kind == Secret::MaskKey)
                    .unwrap();
                wrong.share[0] ^= 1;
                federation
                    .ask(index, Request::Unmask { round, revealed })
                    .unwrap();
                federation.members[index].participation = None;
                continue;
            }
            federation.step(index);
        }
        if federation.is_over() {
            break;
        }
        federation.now += 50;
        let tick = chorus_protocol::Input::Tick;
        federation
            .round
            .handle(federation.now, tick, &mut federation.events)
            .unwrap();
    }
    // With exactly the threshold of answers the liar is in every run, and the round ends; it never gives a wrong sum.
    let plain = federation.plain_sum(|member| member.identity.id() != lost);
    if let Some(recovered) = federation.recovered() {
        assert_eq!(recovered.sum, plain);
    } else {
        assert!(
            federation
                .aborted()
                .is_some_and(|reason| reason.contains("wrong share"))
        );
    }
}
