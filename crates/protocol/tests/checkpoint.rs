//! A coordinator that ends in the middle of a round and is started again: the same survivors, the same sum.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_protocol::{
    Awaited, ClientId, Consistency, Message, Next, Phase, Record, Request, Response, Round,
};
use common::kept::TIMING;
use common::{Federation, Vanish, task};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn federation(clients: usize, consistency: Consistency, seed: u64) -> Federation {
    let mut task = task(clients, false);
    task.consistency = consistency;
    Federation::of(&task, seed)
}

const MODES: [Consistency; 2] = [Consistency::Cohort, Consistency::Witness];

fn shuffle<T>(rng: &mut ChaCha20Rng, list: &mut [T]) {
    for last in (1..list.len()).rev() {
        list.swap(last, rng.next_u32() as usize % (last + 1));
    }
}

/// What every member is told of the round's end, whether it waits for it now or not.
fn answers(federation: &Federation) -> Vec<[Result<Response, String>; 3]> {
    let answer = |client: &ClientId, awaited| {
        let answer = federation.round.answer(client, awaited);
        answer.map_err(|reject| reject.to_string())
    };
    let members = federation.members.iter();
    members
        .map(|member| {
            let id = member.identity.id();
            [Awaited::Survivors, Awaited::Proof, Awaited::Outcome]
                .map(|awaited| answer(&id, awaited))
        })
        .collect()
}

#[test]
fn a_checkpoint_is_the_round_when_its_survivors_are_settled() {
    for (clients, consistency) in [(14, MODES[0]), (14, MODES[1]), (110, MODES[0])] {
        let mut federation = federation(clients, consistency, 31);
        federation.members[3].vanish = Vanish::BeforeSharing;
        federation.members[9].vanish = Vanish::BeforeUploading;
        federation.join_all();
        while federation.round.phase() < Phase::Endorsing {
            assert_eq!(federation.round.checkpoint(), None);
            assert!(!federation.restart(|_| {}));
            let moved = (0..clients).any(|index| federation.step(index));
            if !moved {
                federation.now += 50;
                federation.tick();
            }
        }
        if consistency == Consistency::Cohort {
            let first = federation.kept.checkpoint.clone().unwrap();
            let again = Round::restore(&first, TIMING, federation.now).unwrap();
            assert!(again.plan() == federation.round.plan());
            assert_eq!(again.funnel(), federation.round.funnel());
            assert_eq!(again.checkpoint().as_ref(), Some(&first));
            // Taken late it is the same: what came in the meantime is in the records.
            while federation.kept.records.len() < 5 {
                assert!((0..clients).any(|index| federation.step(index)));
            }
            assert_eq!(federation.round.checkpoint().as_ref(), Some(&first));
        }
        federation.go_on();
        assert_eq!(federation.round.checkpoint(), None);
        let plain = federation.plain_sum(|member| member.vanish == Vanish::Never);
        assert_eq!(federation.recovered().unwrap().sum, plain);
    }
}

/// After every single message that must be kept, the coordinator is started again, and given the records in whatever
/// order: it answers everyone as before, and the round ends with the same sum.
#[test]
fn after_any_number_of_records_the_round_goes_on_as_it_was() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for (clients, consistency) in [(12, MODES[0]), (12, MODES[1]), (104, MODES[1])] {
        let mut federation = federation(clients, consistency, 32);
        federation.members[5].vanish = Vanish::BeforeUploading;
        federation.members[7].vanish = Vanish::BeforeUnmasking;
        federation.join_all();
        let (mut restarts, mut seen) = (0, 0);
        let mut ended = false;
        for _ in 0..10_000 {
            let mut moved = false;
            for index in 0..clients {
                moved |= federation.step(index);
                let kept = federation.kept.records.len();
                if federation.kept.checkpoint.is_some() && (kept > seen || restarts == 0) {
                    seen = kept;
                    let before = answers(&federation);
                    let (phase, funnel) = (federation.round.phase(), federation.round.funnel());
                    match restarts % 3 {
                        0 => assert!(federation.restart(|_| {})),
                        1 => assert!(federation.restart(|records| records.reverse())),
                        _ => assert!(federation.restart(|records| shuffle(&mut rng, records))),
                    }
                    restarts += 1;
                    // Which signatures of a quorum are shown may differ, and is nothing to anyone.
                    let told = |answers: Vec<[Result<Response, String>; 3]>| -> Vec<_> {
                        let blank = |answer: &mut Result<Response, String>| {
                            if let Ok(Response::Proof(..)) = answer {
                                *answer = Ok(Response::Accepted);
                            }
                        };
                        let mut answers = answers;
                        answers.iter_mut().for_each(|[_, proof, _]| blank(proof));
                        answers
                    };
                    assert_eq!(told(answers(&federation)), told(before));
                    assert_eq!(federation.round.phase(), phase);
                    // Help that came after the end is counted by a round that hears it before.
                    let again = federation.round.funnel();
                    assert!(again == funnel || phase == Phase::Ended);
                    assert_eq!(again.uploaded, funnel.uploaded);
                }
            }
            if federation.is_over() && !moved {
                ended = true;
                break;
            }
            if !moved {
                federation.now += 50;
                federation.tick();
            }
        }
        assert!(ended && restarts > clients / 2, "{restarts}");
        let plain = federation.plain_sum(|member| member.vanish > Vanish::BeforeUploading);
        assert!(federation.completions() > 0);
        for event in &federation.events {
            if let chorus_protocol::Event::Completed(recovered) = event {
                assert_eq!(recovered.sum, plain);
                assert_eq!(recovered.clients, clients - 1);
            }
        }
    }
}

/// Records twice over, and records that do not fit, add nothing to the sum.
#[test]
fn a_replay_counts_nothing_twice() {
    for consistency in MODES {
        let mut federation = federation(12, consistency, 33);
        federation.join_all();
        federation.run_to(Phase::Unmasking);
        for index in 0..4 {
            while federation.step(index) {}
        }
        // The answer to an upload got lost: the client sends it again, and it is not added again.
        let twice = |records: &mut Vec<(ClientId, Vec<u8>)>| records.extend(records.clone());
        assert!(federation.restart(twice));
        federation.go_on();
        let plain = federation.plain_sum(|_| true);
        assert_eq!(federation.recovered().unwrap().sum, plain);
    }
    let mut federation = federation(12, Consistency::Cohort, 33);
    federation.join_all();
    federation.run_to(Phase::Uploading);
    let mut uploads = Vec::new();
    while federation.round.phase() == Phase::Uploading {
        for index in 0..12 {
            let next = federation.members[index].participation.as_ref().unwrap();
            if let Next::Send(Request::Upload { update, .. }) = next.poll() {
                uploads.push((federation.members[index].identity.id(), update));
            }
            federation.step(index);
        }
    }
    assert!(federation.restart(|_| {}));
    let mut changed = 0;
    for (client, update) in uploads {
        let before = federation.round.clone();
        federation.say(client, Message::Upload(update)).unwrap();
        changed += usize::from(federation.round != before);
    }
    assert_eq!(changed, 0);
    federation.go_on();
    let plain = federation.plain_sum(|_| true);
    assert_eq!(federation.recovered().unwrap().sum, plain);
}

/// The records of one round given to another: refused, one by one.
#[test]
fn records_of_another_round_are_refused() {
    let mut one = federation(12, Consistency::Cohort, 34);
    let mut other = federation(12, Consistency::Cohort, 35);
    for federation in [&mut one, &mut other] {
        federation.join_all();
        federation.run_to(Phase::Endorsing);
    }
    other.go_on();
    let mut round = Round::restore(one.kept.checkpoint.as_ref().unwrap(), TIMING, 0).unwrap();
    let ids: Vec<ClientId> = one.members.iter().map(|m| m.identity.id()).collect();
    let mut refused = 0;
    for (client, bytes) in &other.kept.records {
        // From its own sender, whom this round does not know, and from each of its own clients.
        for client in ids.iter().chain([client]) {
            let message = Record::read(bytes).unwrap();
            let endorses = matches!(message, Message::Endorse(_));
            let before = round.clone();
            let input = chorus_protocol::Input::From {
                client: *client,
                message,
            };
            let result = round.handle(0, input, &mut Vec::new());
            if endorses || !ids.contains(client) {
                assert!(result.is_err());
                assert!(round == before);
                refused += 1;
            }
        }
    }
    assert!(refused > 100);
}

#[test]
fn every_damaged_byte_of_a_checkpoint_is_found() {
    for consistency in MODES {
        let mut federation = federation(10, consistency, 36);
        federation.join_all();
        while federation.kept.checkpoint.is_none() {
            assert!((0..10).any(|index| federation.step(index)));
        }
        let checkpoint = federation.kept.checkpoint.clone().unwrap();
        let restore = |bytes: &[u8]| Round::restore(bytes, TIMING, 0).map(|_| ());
        assert_eq!(restore(&checkpoint), Ok(()));
        for length in 0..checkpoint.len() {
            assert!(restore(&checkpoint[..length]).is_err());
        }
        let mut damaged = checkpoint.clone();
        for place in 0..checkpoint.len() {
            for bit in [1 << (place % 8), 0xff] {
                damaged[place] ^= bit;
                assert!(restore(&damaged).is_err());
                damaged[place] ^= bit;
            }
        }
        damaged.push(0);
        assert!(restore(&damaged).is_err());
        let words = restore(&[]).unwrap_err().to_string();
        assert!(words.contains("another version"), "{words}");
    }
}

#[test]
fn every_damaged_byte_of_a_record_is_found() {
    let mut federation = federation(10, Consistency::Cohort, 37);
    federation.run();
    let kinds: std::collections::BTreeSet<usize> = federation
        .kept
        .records
        .iter()
        .map(|(_, bytes)| bytes.len())
        .collect();
    assert!(kinds.len() >= 2);
    for (_, bytes) in federation.kept.records.iter().step_by(7) {
        assert!(Record::read(bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(Record::read(&bytes[..length]).is_err());
        }
        let mut damaged = bytes.clone();
        for place in 0..bytes.len() {
            damaged[place] ^= 1 << (place % 8);
            assert!(Record::read(&damaged).is_err());
            damaged[place] ^= 1 << (place % 8);
        }
        damaged.push(0);
        assert!(Record::read(&damaged).is_err());
    }
}

/// Tells the records of one client apart, and keeps nothing of what comes before.
#[test]
fn a_record_has_the_kind_of_its_message() {
    let endorse = Record::of(&Message::Endorse([3; 64])).unwrap();
    let unmask = Record::of(&Message::Unmask(Vec::new())).unwrap();
    assert_ne!(endorse.kind(), unmask.kind());
    let other = Record::of(&Message::Endorse([4; 64])).unwrap();
    assert_eq!(endorse.kind(), other.kind());
    assert!(Record::of(&Message::Confirm(Vec::new())).is_none());
    assert!(Record::of(&Message::Share(Vec::new())).is_none());
    for record in [endorse, unmask] {
        let message = Record::read(record.bytes()).unwrap();
        assert_eq!(Record::of(&message).unwrap().bytes(), record.bytes());
    }
}

/// With the digest that belongs to it: what somebody could write who can write into the coordinator's store.
fn sealed(body: &[u8], domain: &str) -> Vec<u8> {
    let digest = chorus_protocol::Digest::of_parts(domain, &[body]);
    [body, &digest.0].concat()
}

fn small() -> &'static [u8] {
    static CHECKPOINT: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    CHECKPOINT.get_or_init(|| {
        let mut federation = federation(10, Consistency::Cohort, 38);
        federation.join_all();
        federation.run_to(Phase::Endorsing);
        federation.kept.checkpoint.unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Whatever the bytes say, a round comes of them that goes on, or an error.
    #[test]
    fn forged_checkpoints_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let whole = small();
        let mut body = whole[..whole.len() - 32].to_vec();
        for (place, value) in changes {
            let place = place.index(body.len());
            body[place] = value;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let arbitrary = [&[1], &bytes[..]].concat();
        for body in [&body, &arbitrary] {
            let _ = Record::read(&sealed(body, "chorus/v2/record"));
            let Ok(mut round) = Round::restore(&sealed(body, "chorus/v2/checkpoint"), TIMING, 0)
            else {
                continue;
            };
            let mut events = Vec::new();
            for now in [0, 1_000_000] {
                round.handle(now, chorus_protocol::Input::Tick, &mut events).unwrap();
                let _ = (round.checkpoint(), round.question(), round.upload_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Both sides are interrupted wherever it may happen, clients are lost in every phase, and the sum is the plain one.
    /// So many are invited that ten are left.
    #[test]
    fn interruptions_of_both_sides_change_nothing(
        clients in 15usize..30,
        witnessed: bool,
        interrupted: bool,
        seed: u64,
        losses in proptest::collection::vec(0usize..6, 0..6),
        every in 1u32..6,
    ) {
        const LOSSES: [Vanish; 6] = [
            Vanish::BeforeAdvertising,
            Vanish::BeforeSharing,
            Vanish::BeforeConfirming,
            Vanish::BeforeUploading,
            Vanish::BeforeEndorsing,
            Vanish::BeforeUnmasking,
        ];
        let mut federation = federation(clients, MODES[usize::from(witnessed)], seed);
        federation.interrupted = interrupted;
        let bearable = clients - federation.plan.survivors.minimum;
        for (place, loss) in losses.iter().take(bearable).enumerate() {
            let index = (place * 7 + seed as usize % 10) % clients;
            federation.members[index].vanish = LOSSES[*loss];
        }
        federation.join_all();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut over = false;
        for _ in 0..10_000 {
            let mut moved = false;
            for index in 0..clients {
                moved |= federation.step(index);
                if rng.next_u32().is_multiple_of(every) {
                    federation.restart(|records| shuffle(&mut rng, records));
                }
            }
            if !moved && federation.is_over() {
                over = true;
                break;
            }
            if !moved {
                federation.now += 50;
                federation.tick();
            }
        }
        prop_assert!(over);
        prop_assert!(federation.completions() > 0, "{:?}", federation.aborted());
        let plain = federation.plain_sum(|member| member.vanish >= Vanish::BeforeEndorsing);
        for event in &federation.events {
            if let chorus_protocol::Event::Completed(recovered) = event {
                prop_assert_eq!(&recovered.sum, &plain);
            }
        }
        for (index, member) in federation.members.iter().enumerate() {
            prop_assert_eq!(&member.refusal, &None);
            if member.vanish == Vanish::Never {
                let completed = chorus_protocol::Outcome::Completed { version: 2 };
                prop_assert_eq!(federation.outcome(index), Some(completed));
            }
        }
    }
}
