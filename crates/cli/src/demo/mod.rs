//! `chorus demo`: a coordinator process, an authority process and some processes full of clients, on this machine,
//! over real TCP, TLS and protocol; then a table and a page to look at.

pub mod host;
mod plan;
pub mod processes;
mod result;
mod sums;
mod vanishing;
mod watch;

use std::path::PathBuf;
use std::time::Instant;

use chorus_protocol::{Privacy, Task};
use clap::Args;

use crate::exit::{self, OrExit};
use crate::json::Json;
use crate::learning::Learning;
use crate::ranges::{bearable, within};
use crate::{progress, words};
use plan::{DemoPlan, Source};
use processes::Processes;

/// Gradient rounds of a demo: so few people are learned from sooner, and someone is watching.
const ROUNDS: usize = 22;

/// Flags of `chorus demo`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Demo {
    /// Folder of a data set, one client for each of its users; without it, people with planted tastes are made up.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many people are made up.
    #[arg(long, value_name = "N", default_value_t = 300, conflicts_with = "data", value_parser = within(10, 100_000))]
    clients: usize,
    /// How many items they choose from.
    #[arg(long, value_name = "N", default_value_t = 240, conflicts_with = "data", value_parser = within(20, 1 << 24))]
    items: usize,
    #[command(flatten)]
    learning: Learning,
    /// Share of all clients that vanish in the middle of each round, drawn anew each time.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = bearable)]
    vanish: f64,
    /// Processes that hold the clients.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = within(1, 1_000))]
    processes: usize,
    #[command(flatten)]
    json: Json,
    /// Where the report goes.
    #[arg(long, value_name = "FILE", default_value = "chorus-demo.html")]
    report: PathBuf,
    /// Keep the folder of the run, with every key, store and log, and say where it is.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        let started = Instant::now();
        let files = std::iter::once(self.report.as_path()).chain(self.json.file());
        progress::check_files(files, self.data.as_deref())?;
        let source = match &self.data {
            Some(folder) => {
                let folder = folder
                    .canonicalize()
                    .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", folder.display()))
                    .or_exit(exit::DATA)?;
                Source::Folder(folder)
            }
            None => Source::Synthetic {
                users: self.clients,
                items: self.items,
                seed: self.learning.seed,
            },
        };
        let dataset = source.open()?;
        let task = self.task(&dataset)?;
        self.introduce(&task, &dataset);

        // Kept also when the run fails: that is when its logs are wanted.
        let folder = tempfile::Builder::new()
            .prefix("chorus-demo-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .disable_cleanup(self.keep)
            .tempdir()?;
        if self.keep {
            progress::tell(&format!("the run is kept in {}", folder.path().display()));
        }
        let mut processes = Processes::start(folder.path(), &task, self.learning.seed)?;
        let plan = DemoPlan {
            source,
            task: task.name.to_string(),
            seed: self.learning.seed,
            vanish: self.vanish,
            epsilon: task.privacy.bound().map(|(epsilon, _)| epsilon),
            delta: self.learning.delta,
            authority: processes.authority_address().to_owned(),
            coordinator: processes.coordinator_address().to_owned(),
            authority_certificate: processes.authority_certificate()?,
            invitations: processes.invite(dataset.users())?,
        };
        plan.write(folder.path())?;
        processes.start_hosts(dataset.users(), self.processes)?;
        let watched = watch::watch(&mut processes, &task, &dataset)?;
        processes.finish()?;
        let outcome = result::Outcome::collect(folder.path(), &task, &dataset, watched)?;
        let figures = outcome.figures(self.learning.seed, started.elapsed());
        let report = outcome.report(&task, &figures)?;
        progress::write(&self.report, report.to_html().as_bytes())?;
        self.json.write(&figures)?;
        if !self.json.replaces_words() {
            progress::say(&words::figures(&figures));
            progress::say(&task.guarantee()?);
            progress::say(&task.trust(true));
            progress::say(&format!("\nLook at {}", self.report.display()));
        }
        let complaints = outcome.complaints();
        if complaints > 0 {
            progress::tell(&format!(
                "{complaints} times a client or the coordinator refused something; --keep keeps the logs"
            ));
        }
        if !figures.sum_exact {
            return exit::stop(
                exit::FAILED,
                "a recovered sum is not the sum of what the clients encoded",
            );
        }
        Ok(())
    }

    fn task(&self, dataset: &chorus_data::Dataset) -> anyhow::Result<Task> {
        let delta = self.learning.delta;
        let default = Privacy::Distributed {
            epsilon: chorus_simulator::DEFAULT_EPSILON,
            delta,
        };
        if self.learning.remove_surplus {
            return exit::stop(
                exit::USAGE,
                "the demo shows that a sum is what the clients encoded: take `--remove-surplus` to `chorus simulate`, or a task file",
            );
        }
        let privacy = self.learning.privacy()?.unwrap_or(default);
        let mut learning = self.learning.clone();
        learning.rounds.get_or_insert(ROUNDS);
        let task = learning.task("demo", dataset.users(), dataset, privacy)?;
        if self.vanish > task.dropout {
            return exit::stop(
                exit::USAGE,
                format!(
                    "`--vanish {}`: a round that loses more than {} of its clients ends without a sum; let fewer vanish, or \
                     raise `--bearable-dropout`",
                    self.vanish, task.dropout
                ),
            );
        }
        Ok(task)
    }

    fn introduce(&self, task: &Task, dataset: &chorus_data::Dataset) {
        let noise = match task.privacy {
            Privacy::Off => "no noise".to_owned(),
            Privacy::Distributed { epsilon, delta } => {
                format!("noise for epsilon {epsilon} at delta {delta}")
            }
            Privacy::Local { epsilon, delta } => {
                format!("local noise for epsilon {epsilon} at delta {delta}")
            }
        };
        progress::tell(&format!(
            "{} clients, {} items, {} sums, {noise}, {:.0} % vanish in each round; learning with {}",
            dataset.users(),
            dataset.items,
            task.sums().len(),
            100.0 * self.vanish,
            crate::engine::NAME,
        ));
    }
}
