//! What an operator and the authority decide.

use chorus_protocol::Outcome;
use chorus_wire::revocation::Revocations;

use super::*;
use crate::{export_model, rollback_model, start_task, status, stop_task};

#[test]
fn a_rollback_is_a_new_version_and_learning_goes_on_from_it() {
    let mut rig = Rig::new(14, false, 4);
    for _ in 0..3 {
        rig.round();
    }
    let second = export_model(&rig.common.store, &name(), Some(2)).unwrap();
    rig.check_in();
    rig.step();
    let back = rollback_model(&rig.common.store, &rig.common.identity, &name(), 2, 1).unwrap();
    assert_eq!(
        (back.restored, back.version, back.digest),
        (2, 5, second.digest)
    );
    // The round in the middle trained a version that is not the newest any more.
    rig.pass(600);
    assert!(
        rig.report()
            .unwrap()
            .aborted
            .unwrap()
            .contains("brought an earlier version")
    );
    assert_eq!((rig.desk().version, rig.desk().next_sum), (5, 1));
    while rig.step() {}
    rig.round();
    let report = rig.report().unwrap();
    assert_eq!(
        (report.aborted, report.release.as_str(), report.trained),
        (None, "gradient-1", 5)
    );
    assert_eq!(rig.version(), 6);
    // Every client followed the whole log, and each signature and link in it held.
    assert!(
        rig.members
            .iter()
            .all(|member| member.refusals.is_empty() && member.log.length >= 5)
    );
    assert_eq!(rig.origins()[4], Origin::Rollback);
    let error = rollback_model(&rig.common.store, &rig.common.identity, &name(), 6, 1).unwrap_err();
    assert!(error.to_string().contains("version 6 is the newest"));
}

#[test]
fn with_noise_a_rollback_cannot_take_sums_again() {
    let mut rig = Rig::new(14, true, 1);
    rig.round();
    rig.round();
    rollback_model(&rig.common.store, &rig.common.identity, &name(), 2, 1).unwrap();
    rig.pass(600);
    assert!(rig.desk().over);
    assert_eq!(rig.state().0, TaskState::BudgetExhausted);
}

/// What is served goes back either way. Only without noise is there more to learn from it, and the operator is told.
#[test]
fn a_rollback_of_a_finished_task_says_whether_it_can_go_on() {
    let finished = |noise| {
        let mut rig = Rig::new(14, noise, 1);
        while !rig.desk().over {
            rig.sum_unmasked();
        }
        assert_eq!(rig.state().0, TaskState::Finished);
        let store = &rig.common.store;
        let back = rollback_model(store, &rig.common.identity, &name(), 2, 1).unwrap();
        let second = export_model(store, &name(), Some(2)).unwrap().digest;
        assert_eq!(export_model(store, &name(), None).unwrap().digest, second);
        let started = start_task(store, &name()).map_err(|error| error.to_string());
        (back.note.unwrap(), started)
    };
    let (note, started) = finished(false);
    assert!(note.contains("start it to train on") && started.is_ok());
    let (note, started) = finished(true);
    assert!(note.contains("each sum is taken once"), "{note}");
    assert!(started.unwrap_err().contains("version 2 was brought back"));
}

#[test]
fn a_sum_that_races_a_rollback_is_not_published_over_it() {
    let mut rig = Rig::new(14, false, 4);
    rig.round();
    rig.check_in();
    while rig.desk().running.as_ref().unwrap().round.phase() < Phase::Uploading {
        assert!(rig.step());
    }
    rollback_model(&rig.common.store, &rig.common.identity, &name(), 1, 1).unwrap();
    // No tick comes between: the desk finds out when it publishes.
    while rig.step() {}
    assert!(
        rig.report()
            .unwrap()
            .aborted
            .unwrap()
            .contains("published another version meanwhile")
    );
    assert_eq!(
        (rig.version(), rig.desk().version, rig.desk().next_sum),
        (3, 3, 0)
    );
    let aborted =
        |member: &Member| matches!(member.outcomes.get(&2), Some(Outcome::Aborted { .. }));
    assert!(rig.members.iter().all(aborted));
}

#[test]
fn no_round_starts_before_the_revoked_are_known_and_none_invites_them() {
    let mut rig = Rig::new(20, false, 2);
    rig.desk = None;
    let first = rig.members[0].identity.id();
    let common = Arc::get_mut(&mut rig.common).unwrap();
    common.revoked = Revoked::default();
    rig.open();
    rig.check_in();
    rig.pass(1_000);
    assert!(rig.desk().running.is_none());
    let (_, reason) = rig.state();
    assert!(
        reason.contains("list of revoked certificates was never fetched"),
        "{reason}"
    );
    let clients = [first].into();
    rig.common.revoked.set(Revocations {
        sequence: 1,
        clients,
        ..Revocations::default()
    });
    rig.check_in();
    rig.pass(600);
    let invited = rig.desk().running.as_ref().unwrap().expected.clone();
    assert!(invited.len() >= 16 && !invited.contains(&first));
}

#[test]
fn an_operator_stops_and_starts() {
    let mut rig = Rig::new(14, false, 2);
    rig.check_in();
    rig.step();
    stop_task(&rig.common.store, &name()).unwrap();
    rig.pass(600);
    assert!(rig.desk().over);
    assert_eq!(
        rig.state(),
        (TaskState::Stopped, "stopped by the operator".to_owned())
    );
    assert_eq!(
        rig.report().unwrap().aborted.unwrap(),
        "stopped by the operator"
    );
    for member in &mut rig.members {
        member.left_out();
    }
    start_task(&rig.common.store, &name()).unwrap();
    rig.open();
    rig.round();
    let directory = crate::Directory::new(rig.directory.path());
    let status = status(&rig.common.store, &directory, true).unwrap();
    let task = &status.tasks[0];
    assert_eq!(
        (task.rounds_completed, task.rounds_aborted, task.version),
        (1, 1, 2)
    );
    assert_eq!(
        (status.clients, status.log_length, status.serving),
        (14, 2, false)
    );
    assert!(status.tasks[0].trust.contains("One party runs both"));
}

#[test]
fn stopping_does_not_spend_a_noised_sum_for_nothing() {
    let mut rig = Rig::new(14, true, 1);
    rig.check_in();
    while rig.desk().running.as_ref().unwrap().round.phase() < Phase::Uploading {
        assert!(rig.step());
    }
    stop_task(&rig.common.store, &name()).unwrap();
    rig.pass(600);
    assert!(!rig.desk().over);
    while rig.step() {}
    assert_eq!(rig.report().unwrap().aborted, None);
    rig.pass(600);
    assert!(rig.desk().over);
    assert_eq!(
        rig.state(),
        (TaskState::Stopped, "stopped by the operator".to_owned())
    );
    start_task(&rig.common.store, &name()).unwrap();
    rig.open();
    rig.round();
    let report = rig.report().unwrap();
    assert_eq!((report.aborted, report.trained), (None, 2));
}

#[test]
fn the_store_does_not_say_who_was_invited_to_which_round() {
    let mut rig = Rig::new(14, false, 2);
    rig.time.fetch_add(90_000_000, Ordering::SeqCst);
    rig.round();
    let (began, times) = rig
        .common
        .store
        .read(|c| {
            let began: i64 = c.query_row("SELECT max(began) FROM rounds", [], |row| row.get(0))?;
            let mut query = c.prepare("SELECT last_seen FROM clients")?;
            let times = query.query_map([], |row| row.get::<_, i64>(0))?;
            Ok((began, times.collect::<Result<Vec<_>, _>>()?))
        })
        .unwrap();
    assert!(began % 86_400 > 0);
    assert!(times.len() >= 10 && times.iter().all(|time| time % 86_400 == 0));
}

#[test]
fn old_versions_are_dropped_where_that_was_asked_for() {
    let mut rig = Rig::new(14, false, 3);
    rig.desk = None;
    let raw = crate::RawConfig::from_toml(
        "keep_versions = 2\n[timing]\ngather_seconds = 0.5\nquiet_seconds = 0.3\n",
    );
    Arc::get_mut(&mut rig.common).unwrap().config = raw.unwrap().try_into().unwrap();
    rig.open();
    for _ in 0..3 {
        rig.round();
    }
    let list = list_models(&rig.common.store, &name()).unwrap();
    let kept: Vec<bool> = list
        .versions
        .iter()
        .map(|version| version.bytes.is_some())
        .collect();
    assert_eq!(kept, [false, false, true, true]);
    let error = export_model(&rig.common.store, &name(), Some(1)).unwrap_err();
    assert!(error.to_string().contains("no version 1 with its content"));
}
