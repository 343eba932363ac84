//! A desk on a clock that the test moves, with clients that speak to it directly. Whenever the desk answers, the
//! store must already hold what the answer depends on.

mod ledgers;
mod operators;
mod ranks;
mod restarts;
mod rounds;
mod turns;
mod witnesses;

use std::sync::atomic::{AtomicU64, Ordering};

use chorus_protocol::{Origin, Recovered, RoundReport};
use rand::SeedableRng;
use tempfile::TempDir;

use super::*;
use crate::list_models;
use crate::testing::{Member, Want, common, manual_clock, name, task};

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
        Self::of(&task(clients, noise, rounds))
    }

    fn of(task: &Task) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, time) = manual_clock();
        let (clients, common) = (task.population, common(directory.path(), clock, task));
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
        let calls = mpsc::channel(1).0.downgrade();
        self.desk = Some(Desk::open(self.common.clone(), &name(), calls, news, rng).unwrap());
    }

    fn desk(&mut self) -> &mut Desk {
        self.desk.as_mut().unwrap()
    }

    fn take(&mut self, call: Call) -> Result<(), DeskError> {
        let desk = self.desk.as_mut().unwrap();
        assert!(!desk.over, "a desk that is over takes no calls");
        desk.take(call)?;
        desk.flush()
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
            R::Endorse { round, signature } => (round, Message::Endorse(signature)),
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

    /// One step of every client. True when anyone got on; false as soon as the desk failed.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.members.len() {
            match self.step_one(index) {
                Some(stepped) => moved |= stepped,
                None => return false,
            }
        }
        moved
    }

    /// One step of one client: whether it got on. Nothing when the desk failed.
    fn step_one(&mut self, index: usize) -> Option<bool> {
        if self.desk().over {
            return Some(false);
        }
        let Want::Say(request) = self.members[index].want() else {
            return Some(false);
        };
        let client = self.members[index].identity.id();
        match self.ask(client, request)? {
            Ok(response) => {
                self.check_stored(&response);
                let moved = response != Response::Pending;
                self.members[index].hear(response);
                Some(moved)
            }
            Err(_) => {
                self.members[index].left_out();
                Some(false)
            }
        }
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
            Response::Sharers(_) => {
                assert_eq!(count(&format!("SELECT masked {last}")), 1);
                let charged =
                    "SELECT count(*) FROM budget WHERE round = (SELECT max(id) FROM rounds)";
                assert_eq!(
                    count(charged),
                    1,
                    "clients were told with whom to mask before the budget was charged"
                );
            }
            Response::Survivors(_) => {
                let kept =
                    "SELECT count(*) FROM checkpoints WHERE round = (SELECT max(id) FROM rounds)";
                assert_eq!(count(kept), 1, "survivors were told before they were kept");
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

    /// A sum of everyone as a round would recover it, but without keys, shares and masks, which cost most of a round's time. For
    /// what comes before the rounds that a test is about.
    fn sum_unmasked(&mut self) {
        self.check_in();
        self.desk().charge().unwrap();
        let running = self.desk().running.as_ref().unwrap();
        let plan = running.round.plan().clone();
        let model = self.desk().learning.parameters.to_bytes().unwrap();
        let mut sum = vec![0; plan.encoding.words()];
        for member in &mut self.members {
            member.left_out();
            for (sum, word) in sum.iter_mut().zip(member.unmasked(&plan, &model)) {
                *sum = plan.ring().reduce(word.wrapping_add(*sum));
            }
        }
        let recovered = Recovered {
            sum,
            clients: self.members.len(),
            survivors: self.members.iter().map(|m| m.identity.id()).collect(),
            surplus: 0.0,
        };
        let now = self.common.clock.elapsed();
        self.desk().complete(recovered, now).unwrap();
        self.desk().running = None;
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
