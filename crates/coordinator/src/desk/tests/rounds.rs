//! Rounds, restarts and failures.

use chorus_protocol::Outcome;

use super::*;
use crate::testing::Vanish;
use crate::{export_model, start_task};

#[test]
fn a_task_runs_to_its_end_and_everyone_hears_of_it() {
    for noise in [false, true] {
        let mut rig = Rig::new(14, noise, 2);
        let sums = rig.desk().sums.len();
        for taken in 1..=sums {
            rig.round();
            assert_eq!(rig.report().unwrap().aborted, None);
            assert_eq!(rig.version(), taken as u64 + 1);
        }
        assert!(rig.desk().over);
        assert_eq!(rig.state().0, TaskState::Finished);
        for member in &rig.members {
            assert_eq!(member.refusals, []);
            assert_eq!(member.charges.len(), sums);
        }
        let report = rig.report().unwrap();
        assert_eq!(
            (report.funnel.unmasked > 0, report.funnel.uploaded),
            (true, 14)
        );
        assert_eq!(report.spent.is_some(), noise);
        assert!(
            report
                .spent
                .is_none_or(|spent| spent.epsilon <= 8.0 && spent.epsilon > 7.5)
        );
        assert!(report.trust.contains("coordinator that cheats"));
        // The log holds the digest of each report as it is stored.
        let entries = rig
            .common
            .store
            .read(|c| store::log::page(c, 0, 99))
            .unwrap();
        let entry: chorus_protocol::LogEntry =
            serde_json::from_slice(&entries.last().unwrap().bytes).unwrap();
        let stored = store::rounds::report_bytes(&report).unwrap();
        assert_eq!(entry.report, Digest::of(stored.as_bytes()));
        let error = start_task(&rig.common.store, &name())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("finished: all its sums are taken"),
            "{error}"
        );
    }
}

#[test]
fn a_restart_between_rounds_goes_on_from_the_last_version() {
    let mut rig = Rig::new(14, false, 2);
    rig.round();
    let published = export_model(&rig.common.store, &name(), None).unwrap();
    rig.desk = None;
    rig.open();
    assert_eq!((rig.desk().version, rig.desk().next_sum), (2, 1));
    assert_eq!(
        rig.news.borrow().model.as_ref().unwrap().0,
        published.digest
    );
    rig.round();
    assert_eq!(
        (rig.version(), rig.report().unwrap().release.as_str()),
        (3, "gradient-1")
    );
}

#[test]
fn a_restart_in_a_round_closes_it_and_never_gives_its_number_again() {
    let mut rig = Rig::new(14, false, 2);
    rig.check_in();
    rig.step();
    assert_eq!(
        rig.desk().running.as_ref().unwrap().round.plan().round,
        RoundId(1)
    );
    rig.desk = None;
    rig.open();
    let closed = rig.report().unwrap();
    assert_eq!(
        (closed.round, closed.aborted.unwrap().as_str()),
        (RoundId(1), "the coordinator was restarted")
    );
    for member in &mut rig.members {
        member.left_out();
    }
    rig.round();
    let report = rig.report().unwrap();
    assert_eq!(
        (report.round, report.aborted, rig.version()),
        (RoundId(2), None, 2)
    );
}

#[test]
fn a_number_that_was_drawn_is_gone_even_when_no_round_was_opened() {
    let rig = Rig::new(14, false, 2);
    let drawn = rig.common.store.write(store::rounds::next_id).unwrap();
    let reopened = Store::open(rig.directory.path()).unwrap();
    assert_eq!(
        (drawn, reopened.write(store::rounds::next_id).unwrap()),
        (RoundId(1), RoundId(2))
    );
}

#[test]
fn a_failure_in_the_middle_of_publishing_leaves_the_version_before() {
    let mut rig = Rig::new(14, false, 2);
    let other = rusqlite::Connection::open(rig.common.store.path()).unwrap();
    // The entry of the log comes after the model, in the same transaction.
    let trigger =
        "CREATE TRIGGER broken BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    other.execute_batch(trigger).unwrap();
    rig.check_in();
    while rig.step() {}
    assert_eq!(rig.version(), 1);
    let models: i64 = other
        .query_row("SELECT count(*) FROM models", [], |row| row.get(0))
        .unwrap();
    assert_eq!(models, 1, "a model without its log entry");
    other.execute_batch("DROP TRIGGER broken").unwrap();
    rig.desk = None;
    rig.open();
    // Everything that the sum needs had been kept: the same round ends well.
    assert_eq!(
        (rig.version(), rig.report().unwrap().round),
        (2, RoundId(1))
    );
    rig.step();
    let everyone = |outcome: &Outcome| *outcome == Outcome::Completed { version: 2 };
    while rig.step() {}
    for member in &rig.members {
        assert!(member.outcomes.get(&1).is_some_and(everyone));
    }
}

#[test]
fn below_the_minimum_nothing_is_published() {
    let mut rig = Rig::new(14, false, 2);
    for member in rig.members.iter_mut().take(4) {
        member.vanish = Vanish::BeforeUploading;
    }
    rig.round();
    let report = rig.report().unwrap();
    assert!(
        report
            .aborted
            .unwrap()
            .contains("10 of 14 invited clients sent an update")
    );
    assert_eq!(
        (rig.version(), report.sum, report.funnel.uploaded),
        (1, None, 10)
    );
    assert_eq!(rig.origins(), [Origin::Start]);
    // Without noise nothing was spent: the next round takes the same sum.
    for member in &mut rig.members {
        member.vanish = Vanish::Never;
        assert!(member.participation.is_none());
    }
    rig.round();
    assert_eq!(
        (rig.version(), rig.report().unwrap().release.as_str()),
        (2, "history")
    );
    let everyone = |outcome: &Outcome| *outcome == Outcome::Completed { version: 2 };
    assert!(
        rig.members
            .iter()
            .all(|member| member.outcomes.get(&2).is_some_and(everyone))
    );
}

#[test]
fn with_noise_a_sum_is_tried_again_only_if_nobody_masked() {
    let mut rig = Rig::new(14, true, 1);
    for member in rig.members.iter_mut().take(4) {
        member.vanish = Vanish::BeforeSharing;
    }
    rig.round();
    assert!(rig.report().unwrap().aborted.is_some() && !rig.desk().over);
    for member in rig.members.iter_mut().take(4) {
        member.vanish = Vanish::BeforeUploading;
    }
    rig.round();
    assert_eq!(
        (rig.version(), rig.report().unwrap().round),
        (1, RoundId(2))
    );
    assert!(rig.desk().over);
    let (state, reason) = rig.state();
    assert_eq!(state, TaskState::BudgetExhausted);
    assert!(
        reason.contains("round 2 ended without a sum") && reason.contains("create a new one"),
        "{reason}"
    );
    assert!(start_task(&rig.common.store, &name()).is_err());
}

#[test]
fn a_tenth_may_vanish() {
    let mut rig = Rig::new(20, true, 1);
    for (place, vanish) in [(3, Vanish::BeforeUploading), (7, Vanish::BeforeUnmasking)] {
        rig.members[place].vanish = vanish;
    }
    rig.round();
    let report = rig.report().unwrap();
    assert_eq!(
        (
            report.aborted.clone(),
            report.funnel.uploaded,
            report.dropouts()
        ),
        (None, 19, 1)
    );
    // The one that vanished before uploading had counted this sum; both come back for the next.
    for member in &mut rig.members {
        member.vanish = Vanish::Never;
    }
    rig.round();
    assert_eq!(rig.report().unwrap().funnel.uploaded, 20);
    assert_eq!(rig.version(), 3);
}

#[test]
fn the_end_of_the_service_waits_for_a_sum_that_cannot_be_taken_again() {
    for (noise, now, version) in [(true, false, 2), (true, true, 1), (false, false, 1)] {
        let mut rig = Rig::new(14, noise, 4);
        rig.check_in();
        while rig.desk().running.as_ref().unwrap().round.phase() < Phase::Uploading {
            assert!(rig.step());
        }
        rig.take(Call::Close { now }).unwrap();
        while !rig.desk().over && rig.step() {}
        assert_eq!(rig.version(), version, "noise {noise}, now {now}");
        assert!(rig.desk().over || rig.desk().closing && rig.desk().is_idle());
        rig.check_in();
        assert!(rig.desk().is_idle(), "no new round");
    }
}
