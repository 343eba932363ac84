//! A task that needs a witness.

use std::sync::Mutex;

use chorus_protocol::{Beacon, Consistency, Outcome, Seal};

use super::*;

/// A witness that answers every question, the first time with a failure.
fn unreliable(asked: Arc<Mutex<Vec<Question>>>) -> Witness {
    Arc::new(move |question| {
        let mut asked = asked.lock().unwrap();
        let before = asked.contains(&question);
        asked.push(question);
        let identity = Identity::from_seed(&[44; 32]);
        let certificate = identity.public().to_vec();
        let coordinator = Identity::from_seed(&[9; 32]).public();
        let testimony = match question {
            Question::Draw { round, commitment } => Testimony::Beacon(Beacon::sign(
                &identity,
                certificate,
                &coordinator,
                round,
                &commitment,
                [5; 32],
            )),
            Question::Seal { round, statement } => {
                let seal = Seal::sign(&identity, certificate, &coordinator, round, &statement);
                Testimony::Seal(seal)
            }
        };
        Box::pin(async move {
            match before {
                true => Ok(testimony),
                false => Err(SendError::Unreachable("no answer".to_owned())),
            }
        })
    })
}

fn with_witness(witness: Option<Witness>) -> (Rig, mpsc::Receiver<Call>) {
    let directory = tempfile::tempdir().unwrap();
    let (clock, time) = manual_clock();
    let mut task = task(14, false, 1);
    task.consistency = Consistency::Witness;
    let mut common = common(directory.path(), clock, &task);
    Arc::get_mut(&mut common).unwrap().witness = witness;
    let (news, watched) = watch::channel(News::default());
    let (calls, inbox) = mpsc::channel(64);
    let rng = StdRng::seed_from_u64(1);
    let desk = Desk::open(common.clone(), &name(), calls.downgrade(), news, rng).unwrap();
    // The inbox must outlive the rig: a desk whose inbox is gone is told nothing.
    std::mem::forget(calls);
    let rig = Rig {
        directory,
        common,
        time,
        desk: Some(desk),
        news: watched,
        members: Member::many(14, 3),
        tickets: 0,
    };
    (rig, inbox)
}

#[tokio::test]
async fn the_witness_is_asked_until_it_answers() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (mut rig, mut inbox) = with_witness(Some(unreliable(asked.clone())));
    for _ in 0..400 {
        rig.check_in();
        rig.step();
        tokio::task::yield_now().await;
        while let Ok(call) = inbox.try_recv() {
            rig.take(call).unwrap();
        }
        if rig.report().is_some() {
            break;
        }
        rig.pass(50);
    }
    assert_eq!(rig.report().unwrap().aborted, None);
    while rig.step() {}
    let completed = |member: &Member| {
        assert_eq!(member.refusals, []);
        member.outcomes.get(&1) == Some(&Outcome::Completed { version: 2 })
    };
    assert!(rig.members.iter().all(completed));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4, "each question twice: {asked:?}");
    assert_eq!((asked[0], asked[2]), (asked[1], asked[3]));
}

#[tokio::test]
async fn a_witness_that_refuses_ends_the_round_and_is_not_asked_again() {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let refusing: Witness = Arc::new(move |_| {
        *count.lock().unwrap() += 1;
        Box::pin(async {
            Err(SendError::Refused {
                label: "round-drawn".to_owned(),
                message: "other keys".to_owned(),
            })
        })
    });
    let (mut rig, mut inbox) = with_witness(Some(refusing));
    rig.check_in();
    for _ in 0..10 {
        rig.step();
        tokio::task::yield_now().await;
        while let Ok(call) = inbox.try_recv() {
            rig.take(call).unwrap();
        }
    }
    let reason = rig.report().unwrap().aborted.unwrap();
    assert!(reason.contains("does not vouch"), "{reason}");
    assert_eq!(*asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn without_a_witness_no_round_starts_and_the_operator_is_told() {
    let (mut rig, _inbox) = with_witness(None);
    rig.check_in();
    rig.pass(1_000);
    assert!(rig.desk().running.is_none());
    assert!(
        rig.state().1.contains("witness.address"),
        "{:?}",
        rig.state()
    );
}
