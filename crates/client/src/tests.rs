//! Whole rounds with real stores: what a client keeps, when, and what it refuses.

use std::collections::BTreeSet;

use chorus_model::{Direct, Engine, ItemId, Parameters, Shelf, TrainingSet, Wish};
use chorus_privacy::{LocalNoise, Survivors};
use chorus_protocol::{
    Digest, Floor, Identity, LogError, Next, Origin, Outcome, Participation, Refusal, Request,
    RoundId, RoundPlan, contribute, encode, noise_share,
};
use chorus_wire::Clock;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::testing::{ITEMS, Member, NOW, decide, federation, films, model, open, settings};
use crate::{
    Answer, CheckIn, Client, End, Ending, EnrolmentStatus, Error, FakeCoordinator, FakeTransport,
    Loop, Purpose, Settings, Step, Trouble,
};

mod consent;
mod stop;

async fn join(member: &mut Member) -> Participation {
    match member
        .client
        .check_in(&mut member.seat, &films())
        .await
        .unwrap()
    {
        CheckIn::Invited(invitation) => member.client.join(&films(), invitation, NOW).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn step(member: &mut Member, participation: &mut Participation) -> Result<Step, Error> {
    let Member {
        client, seat, rng, ..
    } = member;
    client.step(seat, participation, &Direct, rng, NOW).await
}

/// Every member takes steps in turn until the round is over for all. `before` can disturb a member before
/// each of its steps.
async fn play(
    coordinator: &FakeCoordinator,
    members: &mut [Member],
    mut before: impl FnMut(usize, usize, &mut Member, &mut Option<Participation>),
) -> Vec<Ending> {
    let mut rounds = Vec::new();
    for member in &mut *members {
        rounds.push(Some(join(member).await));
    }
    let mut endings: Vec<Option<Ending>> = members.iter().map(|_| None).collect();
    for count in 0..1_000 {
        for (index, member) in members.iter_mut().enumerate() {
            if endings[index].is_some() {
                continue;
            }
            before(count, index, member, &mut rounds[index]);
            let participation = rounds[index].as_mut().unwrap();
            match step(member, participation).await {
                Ok(Step::Over(ending)) => endings[index] = Some(ending),
                Ok(_) | Err(Error::Unreachable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if endings.iter().all(Option::is_some) {
            break;
        }
        coordinator.desk().office.now += 20;
    }
    endings
        .into_iter()
        .map(|ending| ending.expect("the round ends"))
        .collect()
}

fn completed(endings: &[Ending]) -> bool {
    let completed =
        |ending: &Ending| matches!(ending, Ending::Outcome(Outcome::Completed { version: 2 }));
    endings.iter().all(completed)
}

/// The encoding that a member is about to make, computed beside it with a copy of its randomness.
fn beside(member: &Member, participation: &Participation) -> Option<Vec<u32>> {
    let Next::Learn { plan, model } = participation.poll() else {
        return None;
    };
    let parameters = Parameters::from_bytes(model).unwrap();
    let history = member.client.history(ITEMS).unwrap();
    let mut rng = member.rng.clone();
    let share = noise_share(plan, &mut rng).unwrap();
    let trainer = Direct.open(&parameters).unwrap();
    let delta = contribute(trainer.as_ref(), plan, &history, &mut rng).unwrap();
    Some(
        encode(delta, plan, share, &mut rng)
            .unwrap()
            .update
            .into_words(),
    )
}

#[tokio::test]
async fn the_sum_is_that_of_the_encodings() {
    for noise in [false, true] {
        let (coordinator, mut members) = federation(12, noise);
        let length = coordinator.plan().encoding.length();
        let mut sum = vec![0u32; length];
        let endings = play(&coordinator, &mut members, |_, _, member, round| {
            if let Some(words) = beside(member, round.as_ref().unwrap()) {
                sum.iter_mut()
                    .zip(words)
                    .for_each(|(sum, word)| *sum = sum.wrapping_add(word));
            }
        })
        .await;
        assert!(completed(&endings), "{endings:?}");
        assert_eq!(coordinator.desk().office.recovered[0].sum, sum);
        for member in &members {
            let status = member.client.status(NOW).unwrap();
            assert_eq!(status.round, None);
            assert_eq!(status.tasks.len(), 1);
            let task = &status.tasks[0];
            assert_eq!((task.contributions, task.version), (1, Some(1)));
            assert_eq!(task.without_noise, usize::from(!noise));
            assert_eq!(task.epsilon.is_some_and(|epsilon| epsilon > 0.0), noise);
            assert_eq!(task.epsilon.is_none(), !noise);
        }
    }
}

/// The app ends before every single step, and nothing is lost, answered twice or charged twice.
#[tokio::test]
async fn an_app_may_end_between_any_two_steps() {
    let (coordinator, mut members) = federation(12, true);
    let mut sum = vec![0u32; coordinator.plan().encoding.length()];
    let endings = play(&coordinator, &mut members, |_, _, member, round| {
        *round = None;
        member.restart();
        *round = member.client.resume().unwrap();
        assert!(round.is_some(), "a round under way is found again");
        if let Some(words) = beside(member, round.as_ref().unwrap()) {
            sum.iter_mut()
                .zip(words)
                .for_each(|(sum, word)| *sum = sum.wrapping_add(word));
        }
    })
    .await;
    assert!(completed(&endings), "{endings:?}");
    assert_eq!(coordinator.desk().office.recovered[0].sum, sum);
    for member in &members {
        assert_eq!(member.client.store.charges().unwrap().len(), 1);
    }
}

/// One member is ended once, at one place; at each place in turn, also when the answer to what it had just
/// sent is lost with it.
#[tokio::test]
async fn a_charge_is_written_once_wherever_the_app_ends() {
    for lossy in [false, true] {
        for place in 0..24 {
            let (coordinator, mut members) = federation(12, true);
            let mut charged = false;
            let endings = play(&coordinator, &mut members, |count, index, member, round| {
                if index != 3 {
                    return;
                }
                if count == place && lossy {
                    member.seat.trouble(0..1, Trouble::AnswerLost);
                }
                if count == place + usize::from(lossy) {
                    *round = None;
                    member.restart();
                    *round = member.client.resume().unwrap();
                }
                let charges = member.client.store.charges().unwrap().len();
                let sends = round.as_ref().unwrap().poll();
                if let Next::Send(Request::Upload { .. } | Request::Unmask { .. }) = sends {
                    assert_eq!(charges, 1, "charged before anything leaves");
                }
                assert!(
                    charges >= usize::from(charged),
                    "a charge is never taken back"
                );
                charged = charges == 1;
            })
            .await;
            assert!(completed(&endings), "place {place}: {endings:?}");
            assert_eq!(members[3].client.store.charges().unwrap().len(), 1);
            let uploads = coordinator.uploads();
            let of_all: BTreeSet<_> = uploads.iter().map(|upload| &upload.bytes).collect();
            assert_eq!(of_all.len(), 12, "whoever uploads twice uploads the same");
        }
    }
}

#[tokio::test]
async fn a_client_that_vanished_returns_for_another_round_only() {
    let (coordinator, mut members) = federation(12, false);
    let mut participation = join(&mut members[0]).await;
    for _ in 0..4 {
        step(&mut members[0], &mut participation).await.unwrap();
    }
    drop(participation);
    let invitation = coordinator.invitation();
    let refused = members[0].client.join(&films(), invitation, NOW);
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::Repeated { .. }))
    ));
    assert!(
        members[0].client.resume().unwrap().is_some(),
        "its round can still be taken up"
    );
}

#[tokio::test]
async fn a_rejected_client_is_done_with_the_round() {
    let (coordinator, mut members) = federation(12, false);
    let mut participation = join(&mut members[0]).await;
    coordinator.desk().office.now = 20_000;
    let ending = loop {
        if let Step::Over(ending) = step(&mut members[0], &mut participation).await.unwrap() {
            break ending;
        }
    };
    assert!(
        matches!(ending, Ending::Rejected { .. } | Ending::Outcome(_)),
        "{ending:?}"
    );
    assert!(members[0].client.resume().unwrap().is_none());
}

#[tokio::test]
async fn without_noise_is_refused_unless_allowed() {
    let (coordinator, mut members) = federation(12, false);
    let settings = Settings {
        floor: Floor::default(),
        ..settings()
    };
    members[0].client = open(members[0].home.path(), settings);
    let invitation = coordinator.invitation();
    assert!(matches!(
        members[0].client.join(&films(), invitation.clone(), NOW),
        Err(Error::Stranger)
    ));
    let Member { client, seat, .. } = &mut members[0];
    client.check_in(seat, &films()).await.unwrap();
    let refused = members[0].client.join(&films(), invitation, NOW);
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::Weak { field: "noise", .. }))
    ));
}

#[tokio::test]
async fn another_coordinator_is_not_followed() {
    let (coordinator, mut members) = federation(12, false);
    let member = &mut members[0];
    member
        .client
        .check_in(&mut member.seat, &films())
        .await
        .unwrap();
    coordinator.desk().office.identity = Identity::from_seed(&[8; 32]);
    let answer = member.client.check_in(&mut member.seat, &films()).await;
    assert!(matches!(answer, Err(Error::OtherCoordinator)));
}

#[tokio::test]
async fn only_logged_and_newer_models_are_accepted() {
    let (coordinator, mut members) = federation(12, false);
    let Member { client, seat, .. } = &mut members[0];
    let missing = client.recommend(&films(), &Direct, 3).unwrap_err();
    assert!(matches!(missing, Error::NoModel { .. }));
    assert!(missing.to_string().contains("fetch"), "{missing}");
    let first = client.refresh(seat, &films()).await.unwrap();
    assert_eq!((first.version, first.is_new), (1, true));
    assert!(!client.refresh(seat, &films()).await.unwrap().is_new);
    coordinator.publish(Origin::Round, 2);
    coordinator.publish(Origin::Rollback, 3);
    let newest = client.refresh(seat, &films()).await.unwrap();
    assert_eq!((newest.version, newest.is_new), (3, true));
    let head = client.head().unwrap();
    assert_eq!(
        (head.length, head.digest),
        (3, coordinator.desk().office.log[2].digest())
    );
    let other = client
        .refresh(seat, &"songs".to_owned().try_into().unwrap())
        .await;
    assert!(matches!(other, Err(Error::NoModel { .. })));
}

#[tokio::test]
async fn other_bytes_than_the_log_names_are_refused() {
    let (coordinator, mut members) = federation(12, false);
    let Member { client, seat, .. } = &mut members[0];
    client.refresh(seat, &films()).await.unwrap();
    coordinator.publish(Origin::Round, 2);
    coordinator.desk().office.models[1].pop();
    // The coordinator finds files by their digest, so it has none; a digest that lies needs a lying one.
    let first = coordinator.desk().office.models[0].clone();
    let digest = Digest::of(&first);
    let seat = seat.clone();
    let mut liar = Liar { seat, digest };
    let refused = client.refresh(&mut liar, &films()).await;
    assert!(matches!(refused, Err(Error::Model { .. })));
    assert_eq!(client.store.model(&films()).unwrap().unwrap().version, 1);
}

/// Gives the first model whatever is asked for.
struct Liar {
    seat: FakeTransport,
    digest: Digest,
}

impl crate::Transport for Liar {
    async fn send(
        &mut self,
        pass: crate::Pass,
        request: &Request,
    ) -> Result<chorus_protocol::Response, chorus_wire::client::SendError> {
        if let Request::FetchModel { offset, .. } = request {
            let instead = Request::FetchModel {
                digest: self.digest,
                offset: *offset,
            };
            return self.seat.send(pass, &instead).await;
        }
        self.seat.send(pass, request).await
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        self.seat.coordinator()
    }
}

#[tokio::test]
async fn a_forked_log_is_refused_and_explained() {
    let (coordinator, mut members) = federation(12, false);
    let [first, second, ..] = &mut members[..] else {
        unreachable!()
    };
    first
        .client
        .refresh(&mut first.seat, &films())
        .await
        .unwrap();
    join(second).await;
    coordinator.fork().unwrap();
    let fork = first
        .client
        .refresh(&mut first.seat, &films())
        .await
        .unwrap_err();
    assert!(matches!(fork, Error::Log(LogError::Fork(1))), "{fork}");
    assert!(fork.to_string().contains("different clients"), "{fork}");
    assert_eq!(first.client.head().unwrap().length, 1, "the view stays");
    // In a round, a log whose newest version is not the one that the plan trains makes a client fall silent.
    let mut round = second.client.resume().unwrap().unwrap();
    let ending = loop {
        if let Step::Over(ending) = step(second, &mut round).await.unwrap() {
            break ending;
        }
    };
    assert!(
        matches!(ending, Ending::Refused(Refusal::NotLogged { version: 1 })),
        "{ending:?}"
    );
    assert!(coordinator.uploads().is_empty());
}

#[tokio::test]
async fn recommendations_are_unseen_and_best_first() {
    let (_coordinator, mut members) = federation(12, false);
    let Member { client, seat, .. } = &mut members[0];
    client.refresh(seat, &films()).await.unwrap();
    seat.trouble(0..u64::MAX, Trouble::Unreachable);
    let seen = client.history(ITEMS).unwrap();
    let all = client.recommend(&films(), &Direct, 1_000).unwrap();
    assert_eq!(all.len(), ITEMS - seen.len());
    assert!(all.iter().all(|best| !seen.contains(best.item)));
    assert!(all.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(client.recommend(&films(), &Direct, 2).unwrap(), all[..2]);

    /// Only even items are in stock.
    struct Even;
    impl Shelf for Even {
        fn may_show(&self, item: ItemId) -> bool {
            item.0.is_multiple_of(2)
        }
        fn likeness(&self, _: ItemId, _: ItemId) -> f64 {
            0.0
        }
    }
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let wish = Wish::best(1_000);
    let even = client
        .compose(&films(), &Direct, wish, &Even, &mut rng)
        .unwrap();
    let expected: Vec<_> = all
        .into_iter()
        .filter(|best| best.item.0 % 2 == 0)
        .collect();
    assert_eq!(even, expected);

    let explained = client.explain(&films(), &Direct, even[0].item, 2).unwrap();
    assert_eq!(explained.score, even[0].score);
    assert!((1..=2).contains(&explained.causes.len()));
    assert!(
        explained
            .causes
            .iter()
            .all(|cause| seen.contains(cause.item) && cause.adds > 0.0)
    );
    assert!(explained.causes.is_sorted_by(|a, b| a.adds >= b.adds));
    let unknown = client
        .explain(&films(), &Direct, ItemId(ITEMS as u32), 2)
        .unwrap_err();
    assert!(
        unknown.to_string().contains("there is no number"),
        "{unknown}"
    );
}

#[test]
fn without_a_history_the_popular_comes_first() {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    let mut parameters = model(false, 1);
    let counts = (0..ITEMS).map(|item| ((item * 7) % ITEMS) as f32).collect();
    let counts = chorus_model::Tensor::new("counts", &[ITEMS], counts).unwrap();
    parameters.set("counts", counts);
    let bytes = parameters.to_bytes().unwrap();
    let stored = crate::store::StoredModel {
        task: films(),
        version: 1,
        bytes,
    };
    client.store.put_model(&stored).unwrap();
    let best = client.recommend(&films(), &Direct, 1).unwrap();
    let most = (0..ITEMS as u32)
        .max_by_key(|item| (item * 7) % ITEMS as u32)
        .unwrap();
    assert_eq!(best[0].item, ItemId(most));
    assert!(client.history(ITEMS).unwrap() == TrainingSet::of([], ITEMS));
}

#[test]
fn a_client_that_never_enrolled_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), Settings::default());
    decide(&mut client, Answer::Yes, [Purpose::ContributeTraining]);
    let target = chorus_wire::client::Target::new("localhost:1").unwrap();
    let refused = client.connect(target, &Clock::new(|| NOW));
    assert!(matches!(refused, Err(Error::NotEnrolled)));
    assert_eq!(client.status(NOW).unwrap().enrolment, EnrolmentStatus::None);
}

#[tokio::test]
async fn an_expired_certificate_says_what_to_do() {
    let (_coordinator, members) = federation(10, false);
    let client = &members[0].client;
    assert!(matches!(
        client.status(NOW).unwrap().enrolment,
        EnrolmentStatus::Valid { .. }
    ));
    let late = NOW + 20 * 365 * 86_400;
    assert!(matches!(
        client.status(late).unwrap().enrolment,
        EnrolmentStatus::Over { .. }
    ));
    let target = chorus_wire::client::Target::new("localhost:1").unwrap();
    let Err(refused) = client.connect(target, &Clock::new(move || late)) else {
        panic!("a certificate that is over is of no use");
    };
    assert!(matches!(refused, Error::Enrol { .. }));
    assert!(refused.to_string().contains("new invitation"), "{refused}");
}

/// The ordinary loop, all clients at once: one cannot reach the coordinator at first, one refuses the plan,
/// one is stopped in the middle and starts again.
#[tokio::test(start_paused = true)]
async fn the_loop_takes_part_until_the_task_is_finished() {
    let (coordinator, mut members) = federation(14, false);
    members[1].seat.trouble(0..3, Trouble::Unreachable);
    let strict = Settings {
        floor: Floor::default(),
        ..settings()
    };
    members[2].client = open(members[2].home.path(), strict);
    let sums = coordinator.sums();
    let runs = members.into_iter().enumerate().map(|(index, mut member)| {
        tokio::spawn(async move {
            let mut heard = Vec::new();
            if index == 3 {
                let stop = tokio::time::sleep(std::time::Duration::from_millis(60));
                let end = run(&mut member, &mut heard, stop).await;
                assert_eq!(end, End::Shutdown);
                member.restart();
            }
            let end = run(&mut member, &mut heard, std::future::pending()).await;
            assert_eq!(end, End::Finished);
            (member, heard)
        })
    });
    let runs: Vec<_> = runs.collect();
    for (index, run) in runs.into_iter().enumerate() {
        let (member, heard) = run.await.unwrap();
        let expected = if index == 2 { 0 } else { sums };
        assert_eq!(
            member.client.store.charges().unwrap().len(),
            expected,
            "{index}: {heard:?}"
        );
        let status = member.client.status(NOW).unwrap();
        assert_eq!(status.tasks[0].version, Some(sums as u64 + 1));
        let text = heard.join(" ");
        assert_eq!(text.contains("Unreachable"), index == 1, "{text}");
        assert_eq!(text.contains("Weak"), index == 2, "{text}");
    }
}

async fn run(
    member: &mut Member,
    heard: &mut Vec<String>,
    shutdown: impl Future<Output = ()>,
) -> End {
    let Member {
        client, seat, rng, ..
    } = member;
    let task = films();
    let clock = Clock::new(|| NOW);
    let mut news = |news: crate::News<'_>| heard.push(format!("{news:?}"));
    let work = Loop {
        task: &task,
        engine: &Direct,
        clock: &clock,
        news: &mut news,
    };
    client.run(seat, work, rng, shutdown).await.unwrap()
}

/// Reports that are private by themselves are sent only so often a day, however many tasks ask for them.
#[tokio::test]
async fn local_reports_are_limited_by_the_day() {
    let (coordinator, mut members) = federation(12, true);
    let Member { client, seat, .. } = &mut members[0];
    client.check_in(seat, &films()).await.unwrap();
    let mut plan = coordinator.plan();
    plan.noise = LocalNoise::share(
        20.0,
        &plan.encoding,
        &Survivors {
            honest: 1,
            ..plan.survivors
        },
    )
    .unwrap();
    plan.survivors.honest = 1;
    let invite = |plan: &RoundPlan| {
        let bytes = serde_json::to_vec(plan).unwrap();
        coordinator.desk().office.invitation(bytes)
    };
    let limit = Floor::default().local_reports_a_day as u64;
    for report in 0..=limit {
        plan.round = RoundId(report + 1);
        let invitation = invite(&plan);
        let joined = client.join(&films(), invitation, NOW + report as i64);
        match joined {
            Ok(_) => assert!(report < limit),
            Err(Error::Refused(Refusal::EnoughToday { .. })) => assert_eq!(report, limit),
            Err(other) => panic!("{other}"),
        }
    }
    let tomorrow = NOW + 24 * 60 * 60 + 1;
    client.join(&films(), invite(&plan), tomorrow).unwrap();
}
