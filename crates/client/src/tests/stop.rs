//! What ends in the middle: learning by a withdrawal, a session by its budget.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use chorus_model::{Block, Delta, GoOn, PersonVector, TrainError, Trainer};
use rand_core::Rng;

use super::*;
use crate::{Decision, Switch};

/// An engine that learns in a million short steps, and at one of them the person says no to something.
struct Slow {
    switch: Arc<Mutex<Switch>>,
    no: Decision,
    steps: Arc<AtomicUsize>,
}

struct SlowTrainer {
    inner: Box<dyn Trainer>,
    slow: Slow,
    go_on: Option<GoOn>,
}

impl Engine for Slow {
    fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError> {
        Ok(Box::new(SlowTrainer {
            inner: Direct.open(parameters)?,
            slow: Slow {
                switch: Arc::clone(&self.switch),
                no: self.no.clone(),
                steps: Arc::clone(&self.steps),
            },
            go_on: None,
        }))
    }
}

impl Trainer for SlowTrainer {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        self.inner.person(history)
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        self.inner.scores(history)
    }

    fn heed(&mut self, go_on: GoOn) {
        self.go_on = Some(go_on);
    }

    fn contribution(
        &self,
        step: chorus_model::Step,
        block: Option<Block>,
        history: &TrainingSet,
        rng: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        for _ in 0..1_000 {
            if self.slow.steps.fetch_add(1, SeqCst) == 3 {
                let mut switch = self.slow.switch.lock().unwrap();
                switch.decide(&self.slow.no, NOW).unwrap();
            }
            if self.go_on.as_ref().is_some_and(|go_on| !go_on()) {
                return Err(TrainError::Stopped);
            }
        }
        self.inner.contribution(step, block, history, rng)
    }
}

#[tokio::test]
async fn a_withdrawal_ends_learning_between_two_of_its_steps() {
    for purpose in [Purpose::ContributeTraining, Purpose::ThirdPartyShare] {
        let (coordinator, mut members) = federation(12, false);
        let member = &mut members[0];
        decide(&mut member.client, Answer::Yes, [purpose]);
        let engine = Slow {
            switch: Arc::new(Mutex::new(member.client.switch().unwrap())),
            no: Decision::new(Answer::No, [purpose], member.client.notice("en").unwrap()),
            steps: Arc::default(),
        };
        let mut participation = join(member).await;
        let Member {
            client, seat, rng, ..
        } = member;
        while !matches!(participation.poll(), Next::Learn { .. }) {
            let step = client.step(seat, &mut participation, &engine, rng, NOW);
            assert!(matches!(step.await.unwrap(), Step::Sent));
        }
        let calls = seat.calls();
        let step = client
            .step(seat, &mut participation, &engine, rng, NOW)
            .await;
        assert_eq!(engine.steps.load(SeqCst), 4);
        if purpose == Purpose::ContributeTraining {
            assert!(matches!(step, Err(Error::NotGranted { .. })), "{step:?}");
            assert!(client.resume().unwrap().is_none());
        } else {
            // The control: what was said no to is not what this is for. It is learned again.
            assert!(matches!(step, Ok(Step::Pending)), "{step:?}");
            let step = client
                .step(seat, &mut participation, &engine, rng, NOW)
                .await;
            assert!(matches!(step, Ok(Step::Learned { .. })), "{step:?}");
            assert_eq!(engine.steps.load(SeqCst), 1_004);
        }
        assert_eq!(seat.calls(), calls);
        assert!(coordinator.uploads().is_empty());
    }
}

/// A round counts before its contribution leaves; the log shows it once it left.
#[tokio::test]
async fn what_is_counted_is_in_the_log_once_it_left() {
    let counted = |client: &Client| {
        let status = client.status(NOW).unwrap();
        (status.tasks[0].contributions, status.tasks[0].sent)
    };
    let (coordinator, mut members) = federation(12, true);
    let mut waiting = 0;
    play(&coordinator, &mut members, |_, index, member, round| {
        let next = round.as_ref().map(|round| round.poll());
        if let (3, Some(Next::Send(Request::Upload { .. }))) = (index, next) {
            assert_eq!(counted(&member.client), (1, 0));
            waiting += 1;
        }
    })
    .await;
    assert!(waiting > 0);
    assert_eq!(counted(&members[3].client), (1, 1));
}
