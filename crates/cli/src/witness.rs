//! `chorus witness`: another party than the coordinator, which vouches that all clients of a round are told the same.

use std::path::PathBuf;

use chorus_wire::Clock;
use chorus_wire::client::SendError;
use chorus_witness::{CoordinatorStatus, Directory, Status, WitnessError, serve, status};
use clap::{Args, Subcommand};
use rand::rngs::SysRng;

use crate::client::runtime;
use crate::coordinator::{listen, shutdown};
use crate::exchange::Exchange;
use crate::exit;
use crate::progress;

/// The witness's folder.
#[derive(Args)]
pub struct Place {
    /// Folder of the witness: its key, its certificate, its memory. Never put a backup of it back.
    #[arg(
        long,
        env = "CHORUS_WITNESS_HOME",
        value_name = "DIR",
        default_value = "witness"
    )]
    directory: PathBuf,
}

impl Place {
    fn directory(&self) -> Directory {
        Directory::new(&self.directory)
    }
}

/// Actions of `chorus witness`.
#[derive(Subcommand)]
pub enum Witness {
    /// Exchange an invitation for the witness's certificate. The first time, the key and the memory are made here; a
    /// later invitation renews the certificate, and both stay.
    ///
    /// Example: chorus witness enrol --authority authority.example.org:7444 --certificate authority.pem
    /// --invitation CODE
    Enrol {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        exchange: Exchange,
    },
    /// Run the service until SIGTERM or Ctrl-C. Prints the address it listens on.
    ///
    /// Example: chorus witness run --listen 0.0.0.0:7445
    Run {
        #[command(flatten)]
        place: Place,
        /// Address to listen on; port 0 takes a free one.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7445")]
        listen: String,
    },
    /// Whom it has answered, and who asked for a second answer.
    ///
    /// Example: chorus witness status --json
    Status {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Witness {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        match self {
            Witness::Enrol { place, exchange } => {
                let (target, certificate, invitation) = exchange.read()?;
                let (directory, clock) = (place.directory(), Clock::system());
                let mut rng = rand::rng();
                let enrolling =
                    directory.enrol(&target, &certificate, &invitation, &clock, &mut rng);
                runtime()?.block_on(enrolling).map_err(explain)?;
                progress::say("enrolled");
            }
            Witness::Run {
                place,
                listen: address,
            } => {
                let directory = place.directory();
                runtime()?.block_on(async {
                    let listener = listen(address).await?;
                    let serving = serve(listener, &directory, Clock::system(), SysRng, shutdown());
                    serving.await.map_err(explain)
                })?;
            }
            Witness::Status { place, json } => {
                let status = status(&place.directory()).map_err(explain)?;
                if *json {
                    return progress::say_json(&status);
                }
                progress::say(&words(&status, Clock::system().now()));
            }
        }
        Ok(())
    }
}

/// An error of the witness with its exit code.
fn explain(error: WitnessError) -> anyhow::Error {
    let code = match &error {
        WitnessError::Enrolment(SendError::Unreachable(_)) => exit::ENVIRONMENT,
        WitnessError::Enrolment(_)
        | WitnessError::Certificate { .. }
        | WitnessError::Forgotten { .. }
        | WitnessError::OtherMemory { .. } => exit::REFUSED,
        _ => exit::ENVIRONMENT,
    };
    exit::with(code, error)
}

/// How the witness stands.
fn words(status: &Status, now: i64) -> String {
    let serving = match status.serving {
        true => "serving",
        false => "not serving",
    };
    let renew = "enrol again with a new invitation, then restart the service";
    let certificate = match status.certificate_until.map(|until| (until - now) / 3_600) {
        None => "it has no usable certificate: enrol it".to_owned(),
        Some(..=0) => format!("its certificate has expired: {renew}"),
        Some(hours @ 1..=48) => {
            format!("its certificate is valid for {hours} more hours: {renew}")
        }
        Some(hours) => format!("its certificate is valid for {} more days", hours / 24),
    };
    let mut lines = vec![
        format!("{serving}; id {}", status.id),
        format!("key {}", status.key),
        certificate,
    ];
    if status.coordinators.is_empty() {
        lines.push("no coordinator has asked yet".to_owned());
    }
    for coordinator in &status.coordinators {
        lines.push(String::new());
        lines.extend(lines_of(coordinator));
    }
    lines.join("\n")
}

fn lines_of(coordinator: &CoordinatorStatus) -> Vec<String> {
    let newest = coordinator
        .newest_round
        .map(|round| format!(", the newest is {round}"))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "coordinator {}: {} rounds are remembered, {} of them signed{newest}",
        coordinator.id, coordinator.rounds, coordinator.signed
    )];
    if let Some(through) = coordinator.over_through {
        lines.push(format!("rounds up to {through} are over, and refused"));
    }
    let (keys, statements) = (coordinator.other_commitments, coordinator.other_statements);
    if keys > 0 || statements > 0 {
        lines.push(format!(
            "it asked {keys} times to draw for other keys of a round and {statements} times to sign another \
             statement: an honest coordinator never does"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_answer_that_was_asked_for_is_said() {
        let honest = CoordinatorStatus {
            id: "aa".to_owned(),
            rounds: 3,
            signed: 2,
            newest_round: Some(7),
            over_through: None,
            other_commitments: 0,
            other_statements: 0,
        };
        let cheat = CoordinatorStatus {
            id: "bb".to_owned(),
            over_through: Some(4),
            other_statements: 1,
            ..honest.clone()
        };
        let status = Status {
            serving: true,
            key: "cc".to_owned(),
            id: "dd".to_owned(),
            certificate_until: Some(1_000_000 + 30 * 3_600),
            coordinators: vec![honest, cheat],
        };
        let said = words(&status, 1_000_000);
        let expected = "serving; id dd\nkey cc\n\
            its certificate is valid for 30 more hours: enrol again with a new invitation, then restart the service\n\
            \n\
            coordinator aa: 3 rounds are remembered, 2 of them signed, the newest is 7\n\
            \n\
            coordinator bb: 3 rounds are remembered, 2 of them signed, the newest is 7\n\
            rounds up to 4 are over, and refused\n\
            it asked 0 times to draw for other keys of a round and 1 times to sign another statement: an honest \
            coordinator never does";
        assert_eq!(said, expected);
    }
}
