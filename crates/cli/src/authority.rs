//! `chorus authority`: who may take part.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chorus_authority::{Invited, Revoked, ServeOptions};
use chorus_wire::Clock;
use clap::{Args, Subcommand, ValueEnum};
use rand::SeedableRng;

use crate::client::runtime;
use crate::coordinator::{listen, shutdown};
use crate::exit::{self, OrExit, stop};
use crate::progress;
use crate::ranges::within;

/// The authority's folder.
#[derive(Args)]
pub struct Place {
    /// Folder of the authority: its key, its certificate, its invitations.
    #[arg(
        long,
        env = "CHORUS_AUTHORITY_HOME",
        value_name = "DIR",
        default_value = "authority"
    )]
    directory: PathBuf,
}

/// Whom an invitation lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// A client.
    Client,
    /// A coordinator, under the name that clients reach it by.
    Coordinator,
    /// A witness, under the name that coordinators reach it by.
    Witness,
}

/// Actions of `chorus authority`.
#[derive(Subcommand)]
pub enum Authority {
    /// Make a new authority. `authority.pem` goes to everyone; `authority.key` never leaves the folder.
    Init {
        #[command(flatten)]
        place: Place,
    },
    /// Make one-time invitations. Each lets one key enrol.
    ///
    /// Examples: chorus authority invite --count 100
    /// or chorus authority invite --role coordinator --server-name rounds.example.org
    /// or chorus authority invite --role witness --server-name witness.example.org
    Invite {
        #[command(flatten)]
        place: Place,
        /// Whom they let in.
        #[arg(long, value_enum, default_value_t = Role::Client)]
        role: Role,
        /// The coordinator's or the witness's name: a DNS name or an IP address.
        #[arg(
            long,
            value_name = "NAME",
            required_if_eq_any([("role", "coordinator"), ("role", "witness")])
        )]
        server_name: Option<String>,
        /// Hours for which they can be used.
        #[arg(long, value_name = "HOURS", default_value_t = 72, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        hours: u64,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1, 1_000_000))]
        count: usize,
    },
    /// Revoke a client, or one certificate. Coordinators learn of it when they next look.
    Revoke {
        #[command(flatten)]
        place: Place,
        /// The client's id: 32 hexadecimal digits.
        #[arg(
            long,
            value_name = "ID",
            required_unless_present = "serial",
            conflicts_with = "serial"
        )]
        client: Option<String>,
        /// A certificate's serial number, in hexadecimal digits.
        #[arg(long, value_name = "SERIAL")]
        serial: Option<String>,
    },
    /// Run the service until SIGTERM or Ctrl-C. Prints the address it listens on.
    Serve {
        #[command(flatten)]
        place: Place,
        /// Address to listen on; port 0 takes a free one.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7444")]
        listen: String,
        /// Name under which others reach it: a DNS name or an IP address.
        #[arg(long, value_name = "NAME", default_value = "localhost")]
        server_name: String,
        /// Days for which a certificate is valid.
        #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=3_650))]
        days: u64,
    },
}

impl Authority {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        match self {
            Authority::Init { place } => {
                init(&place.directory)?;
                progress::say(&format!("an authority is in {}", place.directory.display()));
                progress::say("give authority.pem to everyone; keep authority.key where it is");
            }
            Authority::Invite {
                place,
                role,
                server_name,
                hours,
                count,
            } => {
                let invited = match (role, server_name) {
                    (Role::Client, _) => Invited::Client,
                    (Role::Coordinator, Some(name)) => Invited::Coordinator {
                        server_name: name.clone(),
                    },
                    (Role::Witness, Some(name)) => Invited::Witness {
                        server_name: name.clone(),
                    },
                    (Role::Coordinator | Role::Witness, None) => {
                        return stop(exit::USAGE, "this role needs `--server-name`");
                    }
                };
                for code in invite(&place.directory, &invited, *hours, *count)? {
                    progress::say(&code);
                }
            }
            Authority::Revoke {
                place,
                client,
                serial,
            } => {
                let revoked = match (client, serial) {
                    (Some(client), _) => Revoked::client(client),
                    (None, serial) => Revoked::serial(serial.as_deref().unwrap_or_default()),
                };
                let revoked = revoked.or_exit(exit::DATA)?;
                chorus_authority::revoke(&place.directory, &revoked).or_exit(exit::DATA)?;
                progress::say("revoked");
            }
            Authority::Serve {
                place,
                listen: address,
                server_name,
                days,
            } => {
                let options = ServeOptions {
                    server_name: server_name.clone(),
                    certificate_lifetime: Duration::from_secs(days.saturating_mul(86_400)),
                };
                let _ = rlimit::increase_nofile_limit(u64::MAX);
                runtime()?.block_on(async {
                    let listener = listen(address).await?;
                    let rng = rand::rngs::StdRng::from_rng(&mut rand::rng());
                    let serving = chorus_authority::serve(
                        listener,
                        &place.directory,
                        &options,
                        Clock::system(),
                        rng,
                        shutdown(),
                    );
                    serving.await.or_exit(exit::ENVIRONMENT)
                })?;
            }
        }
        Ok(())
    }
}

/// Makes an authority in `directory`.
pub fn init(directory: &Path) -> anyhow::Result<()> {
    chorus_authority::init(directory, Clock::system().now(), &mut rand::rng())
        .or_exit(exit::ENVIRONMENT)?;
    Ok(())
}

/// Makes invitations, as text.
pub fn invite(
    directory: &Path,
    invited: &Invited,
    hours: u64,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let valid = Duration::from_secs(hours.saturating_mul(3_600));
    let now = Clock::system().now();
    let codes = chorus_authority::invite(directory, invited, valid, count, now, &mut rand::rng())
        .or_exit(exit::DATA)?;
    Ok(codes.iter().map(ToString::to_string).collect())
}
