//! Cohorts that repeat no client within a pass.

use super::*;
use crate::testing::Vanish;

/// A task of forty clients, ten a round.
fn rig(rounds: usize) -> Rig {
    let mut task = task(40, false, rounds);
    task.cohort = 0.25;
    Rig::of(&task)
}

/// Who was heard in the pass, as the store has it.
fn stored(rig: &Rig, turn: &str) -> BTreeSet<ClientId> {
    let rows = rig
        .common
        .store
        .read(|connection| store::turns::heard(connection, &name(), turn));
    rows.unwrap()
}

/// Runs one round; says which members were in its sum.
fn heard(rig: &mut Rig) -> BTreeSet<usize> {
    let turn = rig.desk().turn().unwrap();
    let before = stored(rig, &turn);
    rig.round();
    let report = rig.report().unwrap();
    assert_eq!(report.aborted, None);
    let after = stored(rig, &turn);
    // In a new pass nothing is left of the one before.
    let cohort: BTreeSet<ClientId> = match after.is_superset(&before) {
        true => after.difference(&before).copied().collect(),
        false => after,
    };
    assert_eq!(cohort.len(), report.funnel.uploaded);
    let members = rig.members.iter().enumerate();
    members
        .filter(|(_, member)| cohort.contains(&member.identity.id()))
        .map(|(index, _)| index)
        .collect()
}

#[test]
fn a_pass_hears_everyone_once() {
    let mut rig = rig(9);
    heard(&mut rig);
    for pass in 0..2 {
        let mut seen = BTreeSet::new();
        for round in 1..=4 {
            let cohort = heard(&mut rig);
            assert_eq!(cohort.len(), 10);
            assert!(seen.is_disjoint(&cohort), "pass {pass}, round {round}");
            seen.extend(cohort);
            assert_eq!(stored(&rig, "gradient").len(), seen.len());
        }
        assert_eq!(seen.len(), 40);
    }
    // The last round of the task leaves nobody waiting for a turn.
    rig.round();
    assert!(rig.desk().over);
    for turn in ["history", "gradient"] {
        assert!(stored(&rig, turn).is_empty());
    }
}

#[test]
fn a_restart_goes_on_with_the_pass() {
    let mut rig = rig(6);
    heard(&mut rig);
    let mut seen = heard(&mut rig);
    for _ in 0..3 {
        rig.desk = None;
        rig.open();
        let cohort = heard(&mut rig);
        assert!(seen.is_disjoint(&cohort));
        seen.extend(cohort);
    }
    assert_eq!(seen.len(), 40);
    // And with the next one.
    rig.desk = None;
    rig.open();
    assert_eq!(heard(&mut rig).len(), 10);
}

#[test]
fn who_drops_out_is_drawn_again_and_an_aborted_round_counts_for_nobody() {
    let mut rig = rig(5);
    heard(&mut rig);
    let mut seen = heard(&mut rig);
    // Everyone who is still to come breaks off in the next round: it ends without a sum.
    for (index, member) in rig.members.iter_mut().enumerate() {
        if !seen.contains(&index) {
            member.vanish = Vanish::BeforeUploading;
        }
    }
    rig.round();
    assert!(rig.report().unwrap().aborted.is_some());
    assert_eq!(stored(&rig, "gradient").len(), 10);
    for member in &mut rig.members {
        member.vanish = Vanish::Never;
        member.left_out();
    }
    // One of the next round breaks off, and is not missing at the end of the pass.
    let lost = (0..40).find(|index| !seen.contains(index)).unwrap();
    rig.members[lost].vanish = Vanish::BeforeUploading;
    for _ in 0..3 {
        let cohort = heard(&mut rig);
        assert!(seen.is_disjoint(&cohort) && !cohort.contains(&lost));
        seen.extend(cohort);
    }
    assert_eq!(seen.len(), 39);
}

#[test]
fn few_clients_do_not_wait_for_those_that_never_come() {
    let mut rig = rig(6);
    heard(&mut rig);
    // Thirty of the forty go away for good; ten stay, which is a cohort but no pass.
    rig.members.truncate(10);
    let now = rig.common.clock.elapsed();
    rig.desk().gathering = Gathering::new(12_000, 100, now);
    for _ in 0..5 {
        rig.round();
        let report = rig.report().unwrap();
        assert_eq!((report.aborted, report.funnel.uploaded), (None, 10));
    }
}

/// Whoever waits for a turn is told the same as whoever waits for others to come.
#[test]
fn a_check_in_does_not_say_who_was_heard() {
    let mut rig = rig(4);
    heard(&mut rig);
    let seen = heard(&mut rig);
    // Too few for a round, so everyone waits.
    rig.desk().gathering = Gathering::new(12_000, 100, 0);
    let answers = (0..5).map(|number| {
        let heard_one = seen.iter().nth(number).copied().unwrap();
        let other = (0..40).filter(|index| !seen.contains(index)).nth(number);
        [heard_one, other.unwrap()]
    });
    let pairs: Vec<[usize; 2]> = answers.collect();
    for pair in pairs {
        let told = pair.map(|index| {
            rig.tickets += 1;
            let (answer, mut answered) = oneshot::channel();
            let (client, ticket) = (rig.members[index].identity.id(), rig.tickets);
            let call = Call::CheckIn {
                client,
                ticket,
                answer,
            };
            rig.take(call).unwrap();
            answered.try_recv().unwrap().unwrap()
        });
        assert_eq!(told, [Response::Pending, Response::Pending]);
    }
}
