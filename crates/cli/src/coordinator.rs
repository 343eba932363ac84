//! `chorus coordinator`: the service.

use std::path::PathBuf;
use std::sync::Arc;

use chorus_coordinator::{
    Clock, Config, Directory, DirectoryError, RawAuthority, RawConfig, RawTiming, RawWitness,
    ServeError, Store,
};
use chorus_wire::client::SendError;
use clap::{Args, Subcommand};

use crate::client::runtime;
use crate::exchange::Exchange;
use crate::exit::{self, OrExit, stop};
use crate::ranges::seconds;
use crate::{progress, words};

/// The coordinator's folder.
#[derive(Args)]
pub struct Place {
    /// Folder of the coordinator: its key, its certificate, its store.
    #[arg(
        long,
        env = "CHORUS_COORDINATOR_HOME",
        value_name = "DIR",
        default_value = "coordinator"
    )]
    directory: PathBuf,
}

impl Place {
    pub fn directory(&self) -> Directory {
        Directory::new(&self.directory)
    }

    pub fn store(&self) -> anyhow::Result<Store> {
        // A mistyped folder must not become a new, empty coordinator.
        self.directory().identity().or_exit(exit::ENVIRONMENT)?;
        Store::open(&self.directory).or_exit(exit::ENVIRONMENT)
    }
}

/// Actions of `chorus coordinator`.
#[derive(Subcommand)]
pub enum Coordinator {
    /// Exchange an invitation for the coordinator's certificate. The key is made here.
    Enrol {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        exchange: Exchange,
    },
    /// Run the service until SIGTERM or Ctrl-C. Prints the address it listens on.
    ///
    /// Settings come from the defaults, then the file, then the flags.
    Run(Box<Run>),
    /// How everything stands.
    Status {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Flags of `chorus coordinator run`.
#[derive(Args)]
pub struct Run {
    /// Folder of the coordinator [default: coordinator].
    #[arg(long, env = "CHORUS_COORDINATOR_HOME", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7443].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address of the enrolment authority [default: 127.0.0.1:7444].
    #[arg(long, value_name = "HOST:PORT")]
    authority: Option<String>,
    /// Address of the witness, for tasks that need one.
    #[arg(long, value_name = "HOST:PORT")]
    witness: Option<String>,
    /// Another party runs the enrolment authority: reports may then say so.
    #[arg(long)]
    independent_authority: bool,
    /// After so long a round starts with enough clients instead of all.
    #[arg(long, value_name = "S", value_parser = seconds)]
    gather_seconds: Option<f64>,
    /// A phase of a round never lasts longer.
    #[arg(long, value_name = "S", value_parser = seconds)]
    phase_seconds: Option<f64>,
    /// Once enough clients answered, a phase ends after so long a silence.
    #[arg(long, value_name = "S", value_parser = seconds)]
    quiet_seconds: Option<f64>,
}

impl Coordinator {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        match self {
            Coordinator::Enrol { place, exchange } => {
                let (target, certificate, invitation) = exchange.read()?;
                let (directory, clock) = (place.directory(), chorus_wire::Clock::system());
                let mut rng = rand::rng();
                let enrolling =
                    directory.enrol(&target, &certificate, &invitation, &clock, &mut rng);
                runtime()?.block_on(enrolling).map_err(explain)?;
                progress::say("enrolled");
            }
            Coordinator::Run(run) => run.serve()?,
            Coordinator::Status { place, json } => {
                let status = chorus_coordinator::status(&place.store()?, &place.directory(), true)
                    .or_exit(exit::ENVIRONMENT)?;
                if *json {
                    return progress::say_json(&status);
                }
                progress::say(&words::coordinator(&status));
                if let Some(until) = place.directory().certificate_until() {
                    progress::say(&words::certificate(
                        until,
                        chorus_wire::Clock::system().now(),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Run {
    fn config(&self) -> anyhow::Result<Config> {
        let file = match &self.config {
            None => RawConfig::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
                    .or_exit(exit::USAGE)?;
                RawConfig::from_toml(&text).or_exit(exit::USAGE)?
            }
        };
        let flags = RawConfig {
            directory: self.directory.clone(),
            listen: self.listen.clone(),
            one_party: self.independent_authority.then_some(false),
            authority: RawAuthority {
                address: self.authority.clone(),
                ..RawAuthority::default()
            },
            witness: RawWitness {
                address: self.witness.clone(),
            },
            timing: RawTiming {
                gather_seconds: self.gather_seconds,
                phase_seconds: self.phase_seconds,
                quiet_seconds: self.quiet_seconds,
                ..RawTiming::default()
            },
            ..RawConfig::default()
        };
        Config::try_from(flags.over(file)).or_exit(exit::USAGE)
    }

    fn serve(&self) -> anyhow::Result<()> {
        let config = self.config()?;
        let store = Arc::new(Store::open(config.directory()).or_exit(exit::ENVIRONMENT)?);
        // One descriptor for each connected client.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        runtime()?.block_on(async {
            let listener = listen(config.listen()).await?;
            let serving =
                chorus_coordinator::serve(listener, config, Clock::system(), store, shutdown());
            serving.await.map_err(|error| match error {
                ServeError::Directory(error) => explain(error),
                error => exit::with(exit::ENVIRONMENT, error),
            })
        })
    }
}

/// An error of the coordinator's folder with its exit code.
fn explain(error: DirectoryError) -> anyhow::Error {
    let code = match &error {
        DirectoryError::Enrolment(SendError::Unreachable(_)) => exit::ENVIRONMENT,
        DirectoryError::Enrolment(_) | DirectoryError::Certificate { .. } => exit::REFUSED,
        _ => exit::ENVIRONMENT,
    };
    exit::with(code, error)
}

/// Takes the port and says which one it is.
pub async fn listen(address: &str) -> anyhow::Result<tokio::net::TcpListener> {
    let listener = match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            let advice = "choose another one with --listen, or stop what holds it";
            return stop(
                exit::ENVIRONMENT,
                format!("cannot listen on {address}: {error}; {advice}"),
            );
        }
    };
    progress::say(&format!("listening on {}", listener.local_addr()?));
    Ok(listener)
}

/// Ends a service: SIGTERM from a service manager, Ctrl-C from a person.
pub async fn shutdown() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
