//! Enrolling and taking part.

use std::time::{Duration, Instant};

use chorus_client::{Budget, Client, End, Loop, News};
use chorus_protocol::Refusal;
use chorus_wire::Clock;
use chorus_wire::client::Target;
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use super::home::Home;
use super::{explain, runtime};
use crate::exchange::Exchange;
use crate::exit::{self, OrExit, stop};
use crate::{engine, learning, memory, progress, ranges, words};

#[derive(Args)]
pub struct Enrol {
    #[command(flatten)]
    exchange: Exchange,
    /// As JSON: the id of this client.
    #[arg(long)]
    json: bool,
}

impl Enrol {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let (target, certificate, invitation) = self.exchange.read()?;
        let mut client = home.open()?;
        let (mut rng, clock) = (rand::rng(), Clock::system());
        let enrolling = client.enrol(&target, &certificate, &invitation, &mut rng, &clock);
        runtime()?.block_on(enrolling).map_err(explain)?;
        let id = words::id(&client.id().map_err(explain)?);
        if self.json {
            return progress::say_json(&json!({ "client": id }));
        }
        progress::say(&format!("enrolled as {id}"));
        Ok(())
    }
}

#[derive(Args)]
pub struct Run {
    /// Address of the coordinator.
    #[arg(long, value_name = "HOST:PORT")]
    coordinator: String,
    /// The task.
    #[arg(long, value_name = "NAME")]
    task: String,
    /// Contribute also where the task adds no noise: exact sums, no differential privacy.
    #[arg(long)]
    allow_without_noise: bool,
    /// Largest epsilon over all contributions to the task, this time [default: that of the settings, or 8].
    #[arg(long, value_name = "E", value_parser = ranges::epsilon)]
    epsilon: Option<f64>,
    /// Largest delta at which a plan may count, this time [default: that of the settings, or 1e-5].
    #[arg(long, value_name = "D", value_parser = ranges::delta)]
    delta: Option<f64>,
    /// Take part only in rounds that a witness outside the coordinator vouches for.
    #[arg(long)]
    witness: bool,
    #[command(flatten)]
    budget: Limits,
    /// As JSON: how the session ended, and in words; and the most memory that this process held.
    #[arg(long)]
    json: bool,
}

/// Milliseconds of the longest session that is limited: a week.
const MAX_MS: usize = 7 * 24 * 60 * 60 * 1_000;
/// Bytes of the largest one.
const MAX_BYTES: usize = 1_000_000_000;
/// Threads of the largest one.
const MAX_THREADS: usize = 1_024;

/// What this session may use; nothing is lost where it ends. What is left out is as the settings say.
#[derive(Args)]
struct Limits {
    /// Milliseconds from the beginning to the end, waiting included.
    #[arg(long, value_name = "N", value_parser = ranges::within(1, MAX_MS))]
    max_ms: Option<usize>,
    /// Bytes that are sent; the message that passes it is the last one.
    #[arg(long, value_name = "N", value_parser = ranges::within(1, MAX_BYTES))]
    max_bytes: Option<usize>,
    /// Threads that the engine may learn with.
    #[arg(long, value_name = "N", value_parser = ranges::within(1, MAX_THREADS))]
    max_threads: Option<usize>,
}

impl Limits {
    fn narrow(&self, budget: &mut Budget) {
        let number = |number: Option<usize>| number.and_then(|number| u64::try_from(number).ok());
        budget.max_ms = number(self.max_ms).unwrap_or(budget.max_ms);
        budget.max_bytes = number(self.max_bytes).unwrap_or(budget.max_bytes);
        budget.max_threads = self.max_threads.unwrap_or(budget.max_threads);
    }
}

impl Run {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut settings = home.settings()?;
        self.budget.narrow(&mut settings.budget);
        let floor = &mut settings.floor;
        floor.without_noise |= self.allow_without_noise;
        floor.witness |= self.witness;
        floor.epsilon = self.epsilon.unwrap_or(floor.epsilon);
        floor.epsilon_in_all = floor.epsilon_in_all.max(floor.epsilon);
        floor.delta = self.delta.unwrap_or(floor.delta);
        let client = home.open_known_with(settings)?;
        runtime()?.block_on(self.take_part(client))
    }

    async fn take_part(&self, mut client: Client) -> anyhow::Result<()> {
        let target = Target::new(&self.coordinator).or_exit(exit::USAGE)?;
        let task = learning::task_name(&self.task)?;
        let clock = Clock::system();
        let mut connection = client.connect(target, &clock).map_err(explain)?;
        let engine = engine::engine();
        let give_up = tokio::sync::Notify::new();
        let mut hopeless: Option<String> = None;
        let started = Instant::now();
        let mut news = |news: News<'_>| match news {
            News::Joined(round) => progress::tell(&format!("round {round}: joined")),
            News::Over(round, ending) => {
                progress::tell(&format!("round {round}: {}", words::ending(ending)))
            }
            News::Later(error) if is_for_good(error, started.elapsed()) => {
                hopeless = Some(error.to_string());
                give_up.notify_one();
            }
            News::Later(error) => progress::tell(&format!("later: {error}")),
        };
        progress::tell(&format!(
            "waiting for a round of task `{task}`; Ctrl-C stops"
        ));
        let work = Loop {
            task: &task,
            engine: &engine,
            clock: &clock,
            news: &mut news,
        };
        let shutdown = async {
            tokio::select! {
                () = crate::coordinator::shutdown() => {}
                () = give_up.notified() => {}
            }
        };
        let mut rng = StdRng::from_rng(&mut rand::rng());
        let end = client
            .run(&mut connection, work, &mut rng, shutdown)
            .await
            .map_err(explain)?;
        if let Some(reason) = hopeless {
            return stop(exit::REFUSED, reason);
        }
        let (end, says) = match end {
            End::Finished => (
                "finished",
                "the task is over: no more rounds; its newest model, if there is one, is here",
            ),
            End::Withdrawn => (
                "withdrawn",
                "you took back your leave to contribute; nothing more is sent",
            ),
            End::Spent => (
                "spent",
                "the budget of this session is used up; run again to go on",
            ),
            End::Shutdown => ("stopped", "stopped; run again to go on"),
        };
        if self.json {
            let peak = memory::peak();
            return progress::say_json(
                &json!({ "task": task, "end": end, "says": says, "peak_rss_bytes": peak }),
            );
        }
        progress::say(says);
        Ok(())
    }
}

/// A task may be created a moment after its first clients have started.
const TASK_PATIENCE: Duration = Duration::from_secs(20);

/// True for what no waiting cures: the person or the operator has to change something first.
fn is_for_good(error: &chorus_client::Error, waited: Duration) -> bool {
    use chorus_client::Error;
    match error {
        Error::Rejected { label, .. } => label == "unknown-task" && waited >= TASK_PATIENCE,
        Error::Refused(Refusal::Weak { field, .. }) => matches!(*field, "noise" | "consistency"),
        _ => false,
    }
}
