//! `chorus client`: one client, driven by hand.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use chorus_client::{
    Answer, Client as Store, Decision, End, FileKey, Loop, News, Purpose, Settings,
};
use chorus_model::{Everything, ItemId, Wish};
use chorus_protocol::{Floor, Refusal};
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use clap::{Args, Subcommand};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::exit::{self, OrExit, stop};
use crate::{learning, progress, ranges, words};

/// Flags of `chorus client`.
#[derive(Args)]
pub struct Client {
    /// Folder that holds everything this client knows: its key, its events, its models.
    #[arg(long, env = "CHORUS_CLIENT_HOME", value_name = "DIR")]
    home: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Exchange an invitation for a certificate. The key is made here and never leaves.
    ///
    /// Example: chorus client --home me enrol --authority localhost:7444 --certificate authority.pem --invitation CODE
    Enrol {
        /// Address of the authority.
        #[arg(long, value_name = "HOST:PORT")]
        authority: String,
        /// The authority's certificate (PEM), which came with the invitation.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// The one-time code.
        #[arg(long, value_name = "CODE")]
        invitation: String,
    },
    /// What this client may do: nothing, until it is granted here.
    Consent {
        #[command(subcommand)]
        choice: Choice,
    },
    /// Add events from a file of lines `item`, or `item<TAB>seconds since 1970`. They stay in the folder.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Take part in a task until it is finished or Ctrl-C ends it; nothing is lost either way.
    ///
    /// Example: chorus client --home me run --coordinator localhost:7443 --task films
    Run {
        /// Address of the coordinator.
        #[arg(long, value_name = "HOST:PORT")]
        coordinator: String,
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// Contribute also where the task adds no noise: exact sums, no differential privacy.
        #[arg(long)]
        allow_without_noise: bool,
        /// Largest epsilon over all contributions to the task.
        #[arg(long, value_name = "E", default_value_t = Floor::default().epsilon, value_parser = ranges::epsilon)]
        epsilon: f64,
        /// Largest delta at which a plan may count.
        #[arg(long, value_name = "D", default_value_t = Floor::default().delta, value_parser = ranges::delta)]
        delta: f64,
        /// Take part only in rounds that a witness outside the coordinator vouches for.
        #[arg(long)]
        witness: bool,
    },
    /// Recommend from the newest model that is here. Works without a network.
    Recommend {
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = ranges::within(1, 1_000_000))]
        count: usize,
        /// Share of the list that is drawn by chance, between 0 and 1.
        #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = ranges::share)]
        exploration: f64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say why an item is recommended: what of the own history speaks for it. Works without a network.
    ///
    /// Example: chorus client --home me explain --task films --item 12
    Explain {
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// The item.
        #[arg(long, value_name = "NUMBER")]
        item: u32,
        /// At most so many reasons.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = ranges::within(1, 1_000_000))]
        count: usize,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What this client is, has contributed and has spent.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Choice {
    /// Say yes, having read the notice that is printed.
    ///
    /// Example: chorus client --home me consent grant contribute-training local-personalisation
    Grant {
        /// To what.
        #[arg(value_name = "PURPOSE", required = true)]
        purposes: Vec<Purpose>,
    },
    /// Say no, or take a yes back. When this returns, nothing is sent for it any more.
    Withdraw {
        /// To what.
        #[arg(value_name = "PURPOSE", required = true)]
        purposes: Vec<Purpose>,
    },
    /// Say how things stand with every purpose.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Client {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        let clock = Clock::system();
        match &self.action {
            Action::Enrol {
                authority,
                certificate,
                invitation,
            } => {
                let target = Target::new(authority).or_exit(exit::USAGE)?;
                let invitation: InvitationCode = invitation.parse().or_exit(exit::DATA)?;
                let certificate = read_authority(certificate)?;
                let mut client = self.open(Settings::default())?;
                let mut rng = rand::rng();
                let enrolling = client.enrol(&target, &certificate, &invitation, &mut rng, &clock);
                runtime()?.block_on(enrolling).map_err(explain)?;
                progress::say(&format!(
                    "enrolled as {}",
                    words::id(&client.id().map_err(explain)?)
                ));
            }
            Action::Consent { choice } => self.consent(choice, clock.now())?,
            Action::Import { file } => {
                let name = file.display().to_string();
                let reader = File::open(file)
                    .map_err(|error| anyhow::anyhow!("cannot read {name}: {error}"))
                    .or_exit(exit::DATA)?;
                let mut client = self.open(Settings::default())?;
                let imported = client
                    .import(&name, BufReader::new(reader), clock.now())
                    .map_err(explain)?;
                let (added, known) = (imported.added, imported.known);
                progress::say(&format!("{added} events added, {known} were here already"));
            }
            Action::Run {
                coordinator,
                task,
                allow_without_noise,
                epsilon,
                delta,
                witness,
            } => {
                let floor = Floor {
                    without_noise: *allow_without_noise,
                    epsilon: *epsilon,
                    epsilon_in_all: epsilon.max(Floor::default().epsilon_in_all),
                    delta: *delta,
                    witness: *witness,
                    ..Floor::default()
                };
                let settings = Settings {
                    floor,
                    ..Settings::default()
                };
                runtime()?.block_on(self.contribute(coordinator, task, settings, &clock))?;
            }
            Action::Recommend {
                task,
                count,
                exploration,
                json,
            } => {
                let client = self.open_known(Settings::default())?;
                let task = learning::task_name(task)?;
                let engine = crate::engine::engine();
                let wish = Wish {
                    exploration: *exploration,
                    ..Wish::best(*count)
                };
                let list = client
                    .compose(&task, &engine, wish, &Everything, &mut rand::rng())
                    .map_err(explain)?;
                if *json {
                    progress::say_json(&list)?;
                } else {
                    for recommendation in list {
                        let (item, score) = (recommendation.item.0, recommendation.score);
                        let chance = match recommendation.explored {
                            true => "\tby chance",
                            false => "",
                        };
                        progress::say(&format!("{item}\t{score:.4}{chance}"));
                    }
                }
            }
            Action::Explain {
                task,
                item,
                count,
                json,
            } => {
                let client = self.open_known(Settings::default())?;
                let task = learning::task_name(task)?;
                let engine = crate::engine::engine();
                let found = client
                    .explain(&task, &engine, ItemId(*item), *count)
                    .map_err(explain)?;
                if *json {
                    progress::say_json(&found)?;
                } else {
                    progress::say(&format!("item {item} has the score {:.4}", found.score));
                    for cause in found.causes {
                        let (item, adds) = (cause.item.0, cause.adds);
                        progress::say(&format!("because of {item}\t{adds:+.4}"));
                    }
                }
            }
            Action::Status { json } => {
                let client = self.open_known(Settings::default())?;
                let status = client.status(clock.now()).map_err(explain)?;
                if *json {
                    progress::say_json(&status)?;
                } else {
                    if let Ok(id) = client.id() {
                        progress::say(&format!("client {}", words::id(&id)));
                    }
                    progress::say(&words::client(&status));
                }
            }
        }
        Ok(())
    }

    fn consent(&self, choice: &Choice, now: i64) -> anyhow::Result<()> {
        let mut client = self.open(Settings::default())?;
        let (answer, purposes) = match choice {
            Choice::Grant { purposes } => (Answer::Yes, purposes),
            Choice::Withdraw { purposes } => (Answer::No, purposes),
            Choice::Show { json } => {
                let consents = client.consents(now).map_err(explain)?;
                if *json {
                    return progress::say_json(&consents);
                }
                for consent in consents {
                    progress::say(&format!("{}\t{}", consent.purpose, consent.state));
                }
                return Ok(());
            }
        };
        let notice = client
            .notice("en")
            .context("there is a notice in English")?;
        for section in purposes
            .iter()
            .filter_map(|purpose| notice.sections.get(purpose))
        {
            progress::say(&section.to_string());
        }
        let decision = Decision::new(answer, purposes.iter().copied(), notice);
        client.decide(&decision, now).map_err(explain)?;
        for purpose in purposes {
            let granted = client.granted(purpose).map_err(explain)?;
            let word = if granted { "granted" } else { "not granted" };
            progress::say(&format!("{purpose}: {word}"));
        }
        Ok(())
    }

    fn open(&self, settings: Settings) -> anyhow::Result<Store> {
        let keys = FileKey::beside(&self.home);
        Store::open(&self.home, &keys, settings, Clock::system().now()).map_err(explain)
    }

    /// A client that is there already: a mistyped folder must not become a new one.
    fn open_known(&self, settings: Settings) -> anyhow::Result<Store> {
        if !self.home.is_dir() {
            let home = self.home.display();
            return stop(
                exit::DATA,
                format!("there is no client in {home}: enrol it first"),
            );
        }
        self.open(settings)
    }

    async fn contribute(
        &self,
        coordinator: &str,
        task: &str,
        settings: Settings,
        clock: &Clock,
    ) -> anyhow::Result<()> {
        let target = Target::new(coordinator).or_exit(exit::USAGE)?;
        let task = learning::task_name(task)?;
        let mut client = self.open_known(settings)?;
        let mut connection = client.connect(target, clock).map_err(explain)?;
        let engine = crate::engine::engine();
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
            clock,
            news: &mut news,
        };
        let shutdown = async {
            tokio::select! {
                () = crate::coordinator::shutdown() => {}
                () = give_up.notified() => {}
            }
        };
        let end = client
            .run(
                &mut connection,
                work,
                &mut StdRng::from_rng(&mut rand::rng()),
                shutdown,
            )
            .await
            .map_err(explain)?;
        if let Some(reason) = hopeless {
            return stop(exit::REFUSED, reason);
        }
        match end {
            End::Finished => progress::say(
                "the task is over: no more rounds; its newest model, if there is one, is here",
            ),
            End::Withdrawn => {
                progress::say("you took back your leave to contribute; nothing more is sent")
            }
            End::Shutdown => progress::say("stopped; run again to go on"),
        }
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

/// The certificate of an authority, from a PEM file.
pub fn read_authority(file: &std::path::Path) -> anyhow::Result<Authority> {
    let text = std::fs::read(file)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", file.display()))
        .or_exit(exit::DATA)?;
    Authority::from_pem(&text).or_exit(exit::DATA)
}

/// A runtime for one command.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// An error of the client library with its exit code.
fn explain(error: chorus_client::Error) -> anyhow::Error {
    use chorus_client::Error;
    let code = match &error {
        Error::Unreachable { .. } | Error::Store(_) => exit::ENVIRONMENT,
        Error::Refused(_)
        | Error::Rejected { .. }
        | Error::Enrol { .. }
        | Error::Log(_)
        | Error::NotGranted { .. } => exit::REFUSED,
        Error::NoModel { .. } | Error::Model { .. } | Error::Import { .. } => exit::DATA,
        _ => exit::FAILED,
    };
    exit::with(code, error)
}
