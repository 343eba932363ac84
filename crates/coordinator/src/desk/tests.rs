//! A desk on a clock that the test moves, with clients that speak to it directly. Whenever the desk answers, the
//! store must already hold what the answer depends on.

use std::sync::atomic::{AtomicU64, Ordering};

use chorus_protocol::{Origin, Outcome, RoundReport};
use chorus_wire::revocation::Revocations;
use rand::SeedableRng;
use tempfile::TempDir;

use super::*;
use crate::testing::{Member, Vanish, Want, common, manual_clock, name, task};
use crate::{export_model, list_models, rollback_model, start_task, status, stop_task};

struct Rig {
    directory: TempDir,
    common: Arc<Common>,
    time: Arc<AtomicU64>,
    desk: Option<Desk>,
    news: watch::Receiver<News>,
    members: Vec<Member>,
    tickets: u64,
}

impl Rig {
    fn new(clients: usize, noise: bool, rounds: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, time) = manual_clock();
        let common = common(directory.path(), clock, &task(clients, noise, rounds));
        let (_, news) = watch::channel(News::default());
        let members = Member::many(clients, 3);
        let mut rig = Self {
            directory,
            common,
            time,
            desk: None,
            news,
            members,
            tickets: 0,
        };
        rig.open();
        rig
    }

    /// Starts the desk, as after a start of the coordinator.
    fn open(&mut self) {
        let (news, watched) = watch::channel(News::default());
        self.news = watched;
        let rng = StdRng::seed_from_u64(1);
        self.desk = Some(Desk::open(self.common.clone(), &name(), news, rng).unwrap());
    }

    fn desk(&mut self) -> &mut Desk {
        self.desk.as_mut().unwrap()
    }

    fn take(&mut self, call: Call) -> Result<(), DeskError> {
        let desk = self.desk.as_mut().unwrap();
        assert!(!desk.over, "a desk that is over takes no calls");
        desk.take(call)
    }

    /// Lets time pass.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(50) {
            self.time.fetch_add(50, Ordering::SeqCst);
            if !self.desk().over {
                self.take(Call::Tick).unwrap();
            }
        }
    }

    /// Everyone who is in no round checks in, and again when the last one opened a round.
    fn check_in(&mut self) {
        self.check_in_once();
        self.check_in_once();
    }

    fn check_in_once(&mut self) {
        for index in 0..self.members.len() {
            if self.members[index].participation.is_some() || self.desk().over {
                continue;
            }
            self.tickets += 1;
            let (answer, mut answered) = oneshot::channel();
            let (client, ticket) = (self.members[index].identity.id(), self.tickets);
            self.take(Call::CheckIn {
                client,
                ticket,
                answer,
            })
            .unwrap();
            match answered.try_recv().unwrap().unwrap() {
                Response::Invited(invitation) => self.members[index].join(invitation),
                Response::Pending => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn ask(
        &mut self,
        client: ClientId,
        request: chorus_protocol::Request,
    ) -> Option<Result<Response, Reject>> {
        use chorus_protocol::Request as R;
        let store = self.common.store.clone();
        let key = self
            .members
            .iter()
            .find(|m| m.identity.id() == client)?
            .identity
            .public();
        let (answer, mut answered) = oneshot::channel();
        let (round, message) = match request {
            R::FetchLog { from } => {
                return Some(Ok(Response::Log(
                    store.read(|c| store::log::page(c, from, 3)).unwrap(),
                )));
            }
            R::FetchModel { digest, offset } => {
                let bytes = store
                    .read(|c| store::models::file(c, &digest))
                    .unwrap()
                    .unwrap();
                return Some(Ok(Response::Model {
                    offset,
                    total: bytes.len() as u64,
                    bytes,
                }));
            }
            R::Await { round, awaited } => {
                self.take(Call::Await {
                    client,
                    round,
                    awaited,
                    answer,
                })
                .unwrap();
                return answered.try_recv().ok();
            }
            R::AdvertiseKeys {
                round,
                keys,
                signature,
            } => {
                let certificate = key.to_vec();
                (
                    round,
                    Message::Advertise {
                        key,
                        certificate,
                        keys,
                        signature,
                    },
                )
            }
            R::ShareKeys { round, sealed } => (round, Message::Share(sealed)),
            R::ConfirmShares { round, unopenable } => (round, Message::Confirm(unopenable)),
            R::Upload { round, update } => (round, Message::Upload(update)),
            R::Unmask { round, revealed } => (round, Message::Unmask(revealed)),
            R::CheckIn { .. } => panic!("no check-in within a round"),
        };
        // An error is the desk's end: nobody gets an answer.
        self.take(Call::Message {
            client,
            round,
            message,
            answer,
        })
        .ok()?;
        answered.try_recv().ok()
    }

    /// One step of every client. True when anyone got on.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.members.len() {
            if self.desk().over {
                break;
            }
            let Want::Say(request) = self.members[index].want() else {
                continue;
            };
            let client = self.members[index].identity.id();
            let Some(response) = self.ask(client, request) else {
                return false;
            };
            match response {
                Ok(response) => {
                    moved |= response != Response::Pending;
                    self.check_stored(&response);
                    self.members[index].hear(response);
                }
                Err(_) => self.members[index].left_out(),
            }
        }
        moved
    }

    /// What must be on disk before this answer can be given.
    fn check_stored(&self, response: &Response) {
        let store = &self.common.store;
        let count = |query: &str| -> i64 {
            store
                .read(|c| Ok(c.query_row(query, [], |row| row.get(0))?))
                .unwrap()
        };
        let last = "FROM rounds WHERE id = (SELECT max(id) FROM rounds)";
        match response {
            Response::Sharers(_) => assert_eq!(count(&format!("SELECT masked {last}")), 1),
            Response::Survivors(_) => {
                let charged =
                    "SELECT count(*) FROM budget WHERE round = (SELECT max(id) FROM rounds)";
                assert_eq!(
                    count(charged),
                    1,
                    "survivors were told before the budget was charged"
                );
            }
            Response::Completed { version } => {
                assert_eq!(count("SELECT max(version) FROM models"), *version as i64);
                assert_eq!(count(&format!("SELECT published {last}")), *version as i64);
            }
            _ => {}
        }
    }

    /// Runs one round from the check-in to its end.
    fn round(&mut self) {
        let before = self.report().map(|report| report.round);
        for _ in 0..200 {
            self.check_in();
            while self.step() {}
            if self.desk().over || self.report().map(|report| report.round) != before {
                while !self.desk().over && self.step() {}
                return;
            }
            self.pass(50);
        }
        panic!("the round does not end");
    }

    fn report(&self) -> Option<RoundReport> {
        self.common
            .store
            .read(|c| store::rounds::reports(c, &name(), 1))
            .unwrap()
            .pop()
    }

    fn version(&self) -> u64 {
        list_models(&self.common.store, &name())
            .unwrap()
            .versions
            .last()
            .unwrap()
            .version
    }

    fn state(&self) -> (TaskState, String) {
        let row = self
            .common
            .store
            .read(|c| store::tasks::one(c, &name()))
            .unwrap()
            .unwrap();
        (row.state, row.reason.unwrap_or_default())
    }

    fn origins(&self) -> Vec<Origin> {
        let list = list_models(&self.common.store, &name()).unwrap();
        list.versions.iter().map(|version| version.origin).collect()
    }
}

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
        assert!(report.trust.contains("honest-but-curious"));
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
    assert_eq!(
        rig.report().unwrap().aborted.unwrap(),
        "the coordinator was restarted"
    );
    for member in &mut rig.members {
        member.left_out();
    }
    rig.round();
    assert_eq!(
        (rig.version(), rig.report().unwrap().round),
        (2, RoundId(2))
    );
}

#[test]
fn when_the_charge_cannot_be_stored_nobody_learns_the_survivors() {
    let mut rig = Rig::new(14, true, 1);
    let other = rusqlite::Connection::open(rig.common.store.path()).unwrap();
    let trigger =
        "CREATE TRIGGER broken BEFORE INSERT ON budget BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    other.execute_batch(trigger).unwrap();
    rig.check_in();
    // `check_stored` fails if anyone is told; the desk ends with the error.
    while rig.step() {}
    assert_eq!(rig.version(), 1);
    other.execute_batch("DROP TRIGGER broken").unwrap();
    // Its clients masked, so with noise the sum is not taken a second time.
    rig.desk = None;
    rig.open();
    assert!(rig.desk().over);
    let (state, reason) = rig.state();
    assert_eq!(state, TaskState::BudgetExhausted);
    assert!(
        reason.contains("already contributed to `counts` in round 1"),
        "{reason}"
    );
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
    assert!(status.trust.contains("One party runs both"));
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
