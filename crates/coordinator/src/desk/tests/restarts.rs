//! A coordinator that ends between the last upload and the sum: the next one finishes the same round.

use chorus_protocol::Outcome;

use super::*;
use crate::testing::Vanish;

/// Runs a round in which the desk breaks off without a word after `steps` single steps of clients, and again after as
/// many more. Gives the digest of the sum, and the phases in which it broke off.
fn interrupted(noise: bool, steps: usize) -> (Option<Digest>, BTreeSet<Phase>) {
    let mut rig = Rig::new(14, noise, 1);
    rig.members[3].vanish = Vanish::BeforeUploading;
    rig.members[8].vanish = Vanish::BeforeUnmasking;
    rig.check_in();
    let mut broke = BTreeSet::new();
    let (mut taken, mut idle) = (0, 0);
    while rig.report().is_none() {
        let mut moved = false;
        for index in 0..rig.members.len() {
            let phase = rig
                .desk()
                .running
                .as_ref()
                .map(|running| running.round.phase());
            let phase = phase.filter(|phase| *phase >= Phase::Endorsing && *phase < Phase::Ended);
            if let Some(phase) = phase {
                taken += 1;
                if taken % steps == 0 {
                    broke.insert(phase);
                    rig.desk = None;
                    rig.open();
                }
            }
            moved |= rig.step_one(index).unwrap();
        }
        idle = if moved { 0 } else { idle + 1 };
        if !moved {
            rig.pass(50);
        }
        assert!(idle < 200, "the round does not end");
    }
    let report = rig.report().unwrap();
    assert_eq!((report.round, &report.aborted), (RoundId(1), &None));
    assert_eq!((report.funnel.uploaded, rig.version()), (13, 2));
    while rig.step() {}
    let completed =
        |member: &&Member| member.outcomes.get(&1) == Some(&Outcome::Completed { version: 2 });
    assert_eq!(rig.members.iter().filter(completed).count(), 12);
    // Nothing of it is left behind.
    let left = rig.common.store.read(|connection| {
        let left = "SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM records)";
        Ok(connection.query_row(left, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(left.unwrap(), 0);
    (report.sum, broke)
}

#[test]
fn a_round_whose_survivors_are_settled_ends_with_the_same_sum() {
    for noise in [false, true] {
        let (expected, _) = interrupted(noise, usize::MAX);
        assert!(expected.is_some());
        let mut phases = BTreeSet::new();
        for steps in [1, 2, 3, 5, 8, 13, 21] {
            let (sum, broke) = interrupted(noise, steps);
            assert_eq!(sum, expected, "interrupted every {steps} steps");
            phases.extend(broke);
        }
        assert_eq!(phases, [Phase::Endorsing, Phase::Unmasking].into());
    }
}

#[test]
fn a_service_that_ends_leaves_a_settled_round_to_the_next_start() {
    let mut rig = Rig::new(14, true, 1);
    rig.check_in();
    while rig
        .desk()
        .running
        .as_ref()
        .is_some_and(|running| running.round.phase() < Phase::Endorsing)
    {
        rig.step();
    }
    rig.take(Call::Close { now: true }).unwrap();
    assert!(rig.report().is_none());
    rig.open();
    while rig.step() {}
    assert_eq!(rig.report().unwrap().aborted, None);
    assert_eq!(rig.version(), 2);
}

#[test]
fn a_damaged_checkpoint_closes_the_round() {
    let mut rig = Rig::new(14, false, 1);
    rig.check_in();
    while rig
        .desk()
        .running
        .as_ref()
        .is_some_and(|running| running.round.phase() < Phase::Unmasking)
    {
        rig.step();
    }
    rig.desk = None;
    let other = rusqlite::Connection::open(rig.common.store.path()).unwrap();
    other
        .execute_batch("UPDATE checkpoints SET content = x'0100'")
        .unwrap();
    rig.open();
    assert_eq!(
        rig.report().unwrap().aborted.unwrap(),
        "the coordinator was restarted"
    );
}
