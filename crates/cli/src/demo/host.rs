//! Many clients in one process. Each has its own folder, key, store and connection, as it would on its own device;
//! what they share is the processor.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chorus_client::{
    Answer, CheckIn, Client, Decision, Durability, Ending, Event, FileKey, Purpose, Settings, Step,
    Way,
};
use chorus_data::Dataset;
use chorus_model::{Engine, ItemId, Parameters};
use chorus_protocol::{
    Floor, Invitation, Next, Participation, Refusal, Request, TaskName, contribute, encode,
    noise_share,
};
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use clap::Args;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::plan::{DemoPlan, HostFigures};
use super::sums::{self, Sums};
use super::vanishing;
use crate::{learning, progress};

/// Flags of the hidden `chorus demo-host`.
#[derive(Args)]
pub struct Host {
    /// Folder of the run.
    #[arg(long)]
    run: PathBuf,
    /// First client.
    #[arg(long)]
    from: usize,
    /// One past the last client.
    #[arg(long)]
    to: usize,
}

/// Between two looks for the next round, after this one was left.
const PAUSE: Duration = Duration::from_millis(300);

/// What all clients of the process use.
struct Shared {
    run: PathBuf,
    plan: DemoPlan,
    task: TaskName,
    dataset: Dataset,
    authority: Authority,
    engine: Box<dyn Engine>,
    clock: Clock,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    figures: HostFigures,
    sums: Sums,
    /// The last upload of the process's first contributor, and its round: what the coordinator saw of one client.
    seen: Option<(u64, Vec<u32>)>,
}

impl Host {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        let plan = DemoPlan::read(&self.run)?;
        let shared = Arc::new(Shared {
            run: self.run.clone(),
            task: learning::task_name(&plan.task)?,
            dataset: plan.source.open()?,
            authority: Authority::from_der(plan.authority_certificate.clone())?,
            engine: Box::new(crate::engine::engine()),
            clock: Clock::system(),
            notes: Mutex::default(),
            plan,
        });
        // Three descriptors for each client, and some to spare.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let clients: Vec<_> = (self.from..self.to)
                .map(|index| tokio::spawn(live(Arc::clone(&shared), index)))
                .collect();
            for client in clients {
                client.await??;
            }
            anyhow::Ok(())
        })?;
        self.write(&shared)
    }

    fn write(&self, shared: &Shared) -> anyhow::Result<()> {
        let notes = shared.notes();
        let folder = self.run.join(format!("host-{}", self.from));
        notes.sums.write(&folder.join("sums"))?;
        if let Some((round, words)) = &notes.seen {
            sums::write_words(&folder.join(format!("upload-{round}")), words)?;
        }
        progress::write(
            &folder.join("figures.json"),
            &serde_json::to_vec(&notes.figures)?,
        )
    }
}

impl Shared {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> Settings {
        let plan = &self.plan;
        let epsilon = plan.epsilon.unwrap_or(Floor::default().epsilon);
        let floor = Floor {
            without_noise: plan.epsilon.is_none(),
            epsilon,
            epsilon_in_all: epsilon,
            delta: plan.delta,
            ..Floor::default()
        };
        // The folder of a demo is thrown away with its machine's next crash.
        Settings {
            floor,
            durability: Durability::ProcessEnd,
            ..Settings::default()
        }
    }
}

/// One client, from enrolment until the task is finished.
async fn live(shared: Arc<Shared>, index: usize) -> anyhow::Result<()> {
    let mut rng = ChaCha20Rng::seed_from_u64(shared.plan.seed);
    rng.set_stream(index as u64 + 1);
    let home = shared.run.join("clients").join(format!("{index:06}"));
    let (keys, now) = (FileKey::beside(&home), shared.clock.now());
    let mut client = Client::open(&home, &keys, shared.settings(), now)?;
    // The people of a demo are made up, and so is their yes.
    let notice = client
        .notice("en")
        .context("there is a notice in English")?;
    let purposes = [
        Purpose::AggregateStatistics,
        Purpose::ContributeTraining,
        Purpose::LocalPersonalisation,
    ];
    client.decide(&Decision::new(Answer::Yes, purposes, notice), now)?;
    let target = Target::new(&shared.plan.authority)?;
    let invitation: InvitationCode = shared
        .plan
        .invitations
        .get(index)
        .map_or("", String::as_str)
        .parse()?;
    client
        .enrol(
            &target,
            &shared.authority,
            &invitation,
            &mut rng,
            &shared.clock,
        )
        .await?;
    let history: &[ItemId] = shared
        .dataset
        .histories
        .get(index)
        .map_or(&[], Vec::as_slice);
    client.record_all(history.iter().map(|item| Event::click(*item, 0)), 0)?;
    progress::say("ready");

    let mut connection = client.connect(Target::new(&shared.plan.coordinator)?, &shared.clock)?;
    let mut failures = 0;
    loop {
        match client.check_in(&mut connection, &shared.task).await {
            Ok(CheckIn::Finished) => break,
            Ok(CheckIn::Wait(time)) => tokio::time::sleep(time).await,
            Ok(CheckIn::Invited(invitation)) => {
                failures = 0;
                let mut seat = Seat {
                    shared: &shared,
                    index,
                    client: &mut client,
                };
                seat.take_part(&mut connection, invitation, &mut rng)
                    .await?;
            }
            Err(chorus_client::Error::Unreachable { .. }) if failures < 50 => {
                failures += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let traffic = connection.traffic();
    let mut notes = shared.notes();
    notes.figures.sent += traffic.sent;
    notes.figures.received += traffic.received;
    Ok(())
}

/// One client in one round.
struct Seat<'a> {
    shared: &'a Shared,
    index: usize,
    client: &'a mut Client,
}

impl Seat<'_> {
    async fn take_part(
        &mut self,
        connection: &mut Way,
        invitation: Invitation,
        rng: &mut ChaCha20Rng,
    ) -> anyhow::Result<()> {
        let now = self.shared.clock.now();
        let mut participation = match self.client.join(&self.shared.task, invitation, now) {
            Ok(participation) => participation,
            // Back before the round is over that this client vanished from: it waits for the next one.
            Err(chorus_client::Error::Refused(Refusal::Repeated { .. })) => {
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
            Err(error) => {
                self.shared.notes().figures.refusals.push(error.to_string());
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
        };
        let round = participation.plan().round.0;
        let plan = &self.shared.plan;
        let clients = self.shared.dataset.users();
        let point = vanishing::point(plan.seed, round, clients, plan.vanish, self.index);
        let mut words = Vec::new();
        loop {
            if vanishing::is_now(point, &participation) {
                connection.disconnect();
                return Ok(());
            }
            if let Some(encoded) = self.beside(&participation, &mut rng.clone())? {
                words = encoded;
            }
            let upload = match participation.poll() {
                Next::Send(Request::Upload { update, .. }) => {
                    Some(sums::words(update.masked.bytes()))
                }
                _ => None,
            };
            let engine = self.shared.engine.as_ref();
            let now = self.shared.clock.now();
            match self
                .client
                .step(connection, &mut participation, engine, rng, now)
                .await
            {
                Ok(Step::Sent) => {
                    if let Some(upload) = upload {
                        self.uploaded(round, &words, upload);
                    }
                }
                Ok(Step::Pending) => {}
                Ok(Step::Learned { clipped }) => {
                    let mut notes = self.shared.notes();
                    notes.figures.learned += 1;
                    *notes.figures.clipped.entry(round).or_default() += usize::from(clipped);
                }
                Ok(Step::Over(ending)) => {
                    self.note(&ending);
                    return Ok(());
                }
                // The round is lost for this client; the next one is not.
                Err(chorus_client::Error::Unreachable { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Where the client is about to learn: what it will encode, from a copy of its randomness.
    fn beside(
        &self,
        participation: &Participation,
        rng: &mut ChaCha20Rng,
    ) -> anyhow::Result<Option<Vec<u32>>> {
        let Next::Learn { plan, model } = participation.poll() else {
            return Ok(None);
        };
        let share = noise_share(plan, rng)?;
        let trainer = self.shared.engine.open(&Parameters::from_bytes(model)?)?;
        let history = self.shared.dataset.training_set(self.index);
        let delta = contribute(trainer.as_ref(), plan, &history, rng)?;
        Ok(Some(encode(delta, plan, share, rng)?.update.into_words()))
    }

    fn uploaded(&self, round: u64, words: &[u32], upload: Vec<u32>) {
        let mut notes = self.shared.notes();
        notes.sums.add(round, words);
        if notes.seen.as_ref().is_none_or(|(seen, _)| *seen < round) {
            notes.seen = Some((round, upload));
        }
    }

    fn note(&self, ending: &Ending) {
        let mut notes = self.shared.notes();
        match ending {
            Ending::Outcome(_) => {}
            Ending::Refused(refusal) => notes.figures.refusals.push(refusal.to_string()),
            Ending::Rejected { message, .. } => notes.figures.rejections.push(message.clone()),
            Ending::NotLearned { reason } => notes.figures.refusals.push(reason.clone()),
        }
    }
}
