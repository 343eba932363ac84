//! The task's ledger and the clients' own ones say the same, whatever crashes.

use chorus_protocol::cost;

use super::*;
use crate::testing::Vanish;

impl Rig {
    /// What the task was charged for, by the name of the sum.
    fn charged(&self) -> BTreeMap<String, (u64, String)> {
        let query = "SELECT release, round, cost FROM budget WHERE cost IS NOT NULL";
        self.common
            .store
            .read(|connection| {
                let mut rows = connection.prepare(query)?;
                let found = rows.query_map([], |row| {
                    let round: i64 = row.get(1)?;
                    Ok((row.get(0)?, (round as u64, row.get(2)?)))
                })?;
                Ok(found.collect::<Result<_, _>>()?)
            })
            .unwrap()
    }

    /// Every line of a client's ledger is in the task's, at the same cost; every line of the task's is in some client's.
    fn ledgers_agree(&self) {
        let charged = self.charged();
        let mut known = BTreeSet::new();
        for member in &self.members {
            for charge in &member.charges {
                let cost = serde_json::to_string(&charge.cost.unwrap()).unwrap();
                assert_eq!(charged.get(&charge.release), Some(&(charge.round.0, cost)));
                known.insert(charge.release.clone());
            }
        }
        // The last one may be charged and not yet heard of.
        let unheard = charged.keys().filter(|release| !known.contains(*release));
        assert!(unheard.count() <= 1, "{charged:?} {known:?}");
    }

    fn crash(&mut self) {
        self.desk = None;
        self.open();
    }
}

/// The coordinator crashes after any one step of any client, and some clients vanish for good.
#[test]
fn both_ledgers_agree_wherever_the_coordinator_crashes() {
    let mut spoiled = 0;
    for crash in (0..140).step_by(4) {
        let mut rig = Rig::new(14, true, 1);
        let vanish = [
            Vanish::BeforeUploading,
            Vanish::BeforeEndorsing,
            Vanish::Never,
        ];
        rig.members[crash % 14].vanish = vanish[crash / 4 % 3];
        let mut steps = 0;
        for _ in 0..120 {
            if rig.desk().over {
                break;
            }
            rig.check_in();
            for index in 0..rig.members.len() {
                while rig.step_one(index) == Some(true) {
                    steps += 1;
                    rig.ledgers_agree();
                    if steps == crash + 1 {
                        rig.crash();
                        rig.ledgers_agree();
                    }
                }
            }
            rig.pass(500);
        }
        assert!(
            rig.desk().over && steps > crash,
            "{crash}: {:?}",
            rig.state()
        );
        rig.ledgers_agree();
        spoiled += usize::from(rig.state().0 == TaskState::BudgetExhausted);
        if rig.state().0 == TaskState::Finished {
            // Who was in every sum counts as much as the task does.
            let charged = rig.charged().len();
            let fullest = rig.members.iter().map(|member| member.charges.len()).max();
            assert_eq!(fullest, Some(charged));
        }
    }
    assert!(
        spoiled > 0,
        "no crash cost the task a sum: the test lost its teeth"
    );
}

#[test]
fn when_the_charge_cannot_be_stored_nobody_masks() {
    let mut rig = Rig::new(14, true, 1);
    let other = rusqlite::Connection::open(rig.common.store.path()).unwrap();
    let trigger =
        "CREATE TRIGGER broken BEFORE INSERT ON budget BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    other.execute_batch(trigger).unwrap();
    rig.check_in();
    // `check_stored` fails if anyone is told; the desk ends with the error.
    while rig.step() {}
    assert_eq!(rig.version(), 1);
    assert!(rig.members.iter().all(|member| member.charges.is_empty()));
    other.execute_batch("DROP TRIGGER broken").unwrap();
    // Nobody counts the sum as contributed, so it is taken.
    rig.crash();
    for member in &mut rig.members {
        member.left_out();
    }
    rig.round();
    assert_eq!((rig.version(), rig.charged().len()), (2, 1));
    rig.ledgers_agree();
}

/// A plan that no budget has room for is never shown to anyone.
#[test]
fn a_round_that_would_pass_the_cap_does_not_start() {
    let mut rig = Rig::new(14, true, 1);
    rig.round();
    let other = rusqlite::Connection::open(rig.common.store.path()).unwrap();
    let spent = serde_json::to_string(&{
        let plan = rig.desk().running.as_ref().unwrap().round.plan();
        cost(plan).unwrap().unwrap()
    })
    .unwrap();
    for extra in 0..200 {
        let row = (extra.to_string(), &spent);
        let insert = "INSERT INTO budget (task, release, round, cost) SELECT task, ?1, round, ?2 FROM budget LIMIT 1";
        other.execute(insert, row).unwrap();
    }
    let rounds = rig.report().unwrap().round;
    rig.check_in();
    assert!(rig.desk().over);
    assert_eq!(rig.state().0, TaskState::BudgetExhausted);
    assert_eq!(rig.report().unwrap().round, rounds);
    assert!(
        rig.state().1.contains("would spend epsilon"),
        "{:?}",
        rig.state()
    );
}
