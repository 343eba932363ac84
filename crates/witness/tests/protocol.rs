//! A whole round of the protocol, with real certificates, and with this witness asked over real TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use chorus_authority::Invited;
use chorus_model::Delta;
use chorus_protocol::{
    Charge, Consistency, Digest, Event, Floor, Identity, Input, Invitation, LogEntry, LogView,
    Message, Next, Origin, Outcome, Participation, Phase, Purpose, Question, Request, Response,
    Round, RoundId, SignedEntry, Standing, Task, Timing, decode, encode, noise_share,
};
use chorus_wire::client::{SendError, WitnessConnection};
use rand::{SeedableRng, rngs::StdRng};
use support::{Federation, NOW, Running};

const CLIENTS: usize = 10;
const TIMING: Timing = Timing {
    phase: 60_000,
    quiet: 5_000,
};

/// Ten clients with certificates of the authority, a coordinator, a task that needs a witness.
struct Cast {
    federation: Federation,
    coordinator: Identity,
    clients: Vec<(Identity, Vec<u8>)>,
    task: Task,
    log: LogView,
    model: Vec<u8>,
}

impl Cast {
    async fn new() -> Self {
        let federation = Federation::start(1).await;
        let coordinator = Identity::from_seed(&[20; 32]);
        let mut clients = Vec::new();
        for seed in 0..CLIENTS as u8 {
            let credentials = federation.credentials(seed, &Invited::Client).await;
            let certificate = credentials.certificate().to_vec();
            clients.push((Identity::from_seed(&[seed; 32]), certificate));
        }
        let mut task: Task = serde_json::from_str(
            r#"{"name": "films", "population": 10, "privacy": {"noise": "off"},
                "recipe": {"algorithm": "ials", "items": 3, "factors": 1, "rounds": 1}}"#,
        )
        .unwrap();
        task.consistency = Consistency::Witness;
        task.validate().unwrap();
        let model = b"item table".to_vec();
        let entry = LogEntry {
            index: 0,
            previous: Digest::ZERO,
            task: task.name.clone(),
            version: 1,
            origin: Origin::Start,
            model: Digest::of(&model),
            report: Digest::of(b""),
        };
        let mut log = LogView::default();
        let signed = SignedEntry::sign(&entry, &coordinator).unwrap();
        log.follow(&[signed], &coordinator.public()).unwrap();
        Self {
            federation,
            coordinator,
            clients,
            task,
            log,
            model,
        }
    }

    fn open(&self, round: u64) -> (Round, Vec<Participation>) {
        let digest = Digest::of(&self.model);
        let plan = self
            .task
            .plan(0, CLIENTS, RoundId(round), 1, digest)
            .unwrap();
        let bytes = serde_json::to_vec(&plan).unwrap();
        let signature = self.coordinator.sign(Purpose::Plan, &[&bytes]);
        let invited = self
            .clients
            .iter()
            .map(|(identity, _)| identity.id())
            .collect();
        let floor = Floor {
            without_noise: true,
            witness: true,
            ..Floor::default()
        };
        let join = |_: &(Identity, Vec<u8>)| {
            let charges: &[Charge] = &[];
            let standing = Standing {
                floor: &floor,
                charges,
                local_today: 0,
                last_round: None,
                log: self.log.clone(),
                coordinator: self.coordinator.public(),
                model: Some(self.model.clone()),
            };
            let plan = bytes.clone();
            Participation::join_for(&self.task.name, Invitation { plan, signature }, standing)
                .unwrap()
        };
        let members = self.clients.iter().map(join).collect();
        (Round::open(plan, &bytes, invited, TIMING, 0), members)
    }

    /// Every client says what it has to say next, and hears the answer.
    fn turn(&self, round: &mut Round, members: &mut [Participation], events: &mut Vec<Event>) {
        let rng = &mut StdRng::seed_from_u64(3);
        let certificates = self.federation.authority.at(NOW);
        for (member, (identity, certificate)) in members.iter_mut().zip(&self.clients) {
            let (client, key) = (identity.id(), identity.public());
            let request = match member.poll() {
                Next::Learn { plan, .. } => {
                    let delta = Delta::new(vec![0.5; plan.encoding.length()]);
                    let encoded =
                        encode(delta, plan, noise_share(plan, rng).unwrap(), rng).unwrap();
                    member.learned(encoded.update, identity, rng).unwrap();
                    continue;
                }
                Next::Send(request) => request,
                Next::Over(_) => continue,
            };
            let message = match request {
                Request::Await { awaited, .. } => {
                    let answer = round.answer(&client, awaited).unwrap();
                    member.handle(answer, identity, &certificates, rng).unwrap();
                    continue;
                }
                Request::AdvertiseKeys {
                    keys, signature, ..
                } => Message::Advertise {
                    key,
                    certificate: certificate.clone(),
                    keys,
                    signature,
                },
                Request::ShareKeys { sealed, .. } => Message::Share(sealed),
                Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable),
                Request::Upload { update, .. } => Message::Upload(update),
                Request::Unmask { revealed, .. } => Message::Unmask(revealed),
                _ => panic!("the log and the model are here already, and nobody endorses"),
            };
            let input = Input::From { client, message };
            round.handle(0, input, events).unwrap();
            member
                .handle(Response::Accepted, identity, &certificates, rng)
                .unwrap();
        }
    }
}

async fn witness(cast: &Cast, running: &Running) -> WitnessConnection {
    let credentials = cast.federation.coordinator(20).await;
    cast.federation.connect(running.address, &credentials)
}

#[tokio::test]
async fn a_round_that_the_witness_vouches_for_ends_with_the_sum() {
    let cast = Cast::new().await;
    let directory = cast.federation.witness("witness").await;
    let mut running = Running::start(&cast.federation, &directory).await;
    let (mut round, mut members) = cast.open(1);
    let mut events = Vec::new();
    let mut asked = Vec::new();
    while round.phase() != Phase::Ended {
        cast.turn(&mut round, &mut members, &mut events);
        if let Some(question) = round.question() {
            let answer = witness(&cast, &running).await.ask(&question).await;
            let testimony = answer.unwrap_or_else(|error| panic!("{error}"));
            round
                .handle(0, Input::Witness(testimony), &mut events)
                .unwrap();
            asked.push(question);
            // Between its two answers the witness restarts.
            running.stop().await;
            running = Running::start(&cast.federation, &directory).await;
        }
    }
    assert!(matches!(
        asked[..],
        [Question::Draw { .. }, Question::Seal { .. }]
    ));
    let Some(Event::Completed(recovered)) = events.last() else {
        panic!("no sum");
    };
    assert_eq!(recovered.clients, CLIENTS);
    let plan = round.plan().clone();
    assert_eq!(
        decode(&recovered.sum, &plan, CLIENTS).sum,
        vec![5.0; plan.encoding.length()]
    );
    round.published(2);
    cast.turn(&mut round, &mut members, &mut events);
    for member in &members {
        let completed = matches!(member.poll(), Next::Over(Outcome::Completed { version: 2 }));
        assert!(completed);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_tells_two_stories_gets_one_seal() {
    let cast = Cast::new().await;
    let directory = cast.federation.witness("witness").await;
    let running = Running::start(&cast.federation, &directory).await;
    let connection = witness(&cast, &running).await;
    let (mut round, mut members) = cast.open(1);
    let mut events = Vec::new();
    let statement = loop {
        cast.turn(&mut round, &mut members, &mut events);
        match round.question() {
            Some(Question::Seal { statement, .. }) => break statement,
            Some(question) => {
                let answer = connection.ask(&question).await;
                let testimony = answer.unwrap_or_else(|error| panic!("{error}"));
                round
                    .handle(0, Input::Witness(testimony), &mut events)
                    .unwrap();
            }
            None => {}
        }
    };
    let ask = async |round, statement| {
        let round = RoundId(round);
        let answer = connection.ask(&Question::Seal { round, statement }).await;
        match answer {
            Ok(_) => "sealed".to_owned(),
            Err(SendError::Refused { label, .. }) => label,
            Err(error) => panic!("{error}"),
        }
    };
    let other = Digest::of(b"another list of survivors");
    assert_eq!(ask(1, statement).await, "sealed");
    assert_eq!(ask(1, other).await, "round-signed");
    // Nor under another number, for which it did not draw.
    assert_eq!(ask(2, other).await, "round-not-drawn");
    running.stop().await;
}
