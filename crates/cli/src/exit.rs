//! Exit codes: stable, so that scripts can act on them.

use std::fmt;

/// Done.
pub const DONE: u8 = 0;
/// Something failed that is in none of the other groups.
pub const FAILED: u8 = 1;
/// The command line or a configuration file is wrong (clap uses the same code).
pub const USAGE: u8 = 2;
/// Data that was given cannot be used: a dataset line, a model file, an invitation.
pub const DATA: u8 = 3;
/// The machine lacks something: libtorch, a free port, room on the disk, the other side of a connection.
pub const ENVIRONMENT: u8 = 4;
/// A rule forbids it: privacy budget, revoked certificate, a plan weaker than the floor.
pub const REFUSED: u8 = 5;

/// What `--help` says about them.
pub const HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 unusable data, \
    4 the machine or the network lacks something, 5 refused by a rule (privacy, enrolment).";

/// An error that knows its exit code.
#[derive(Debug)]
pub struct Exit {
    pub code: u8,
    error: anyhow::Error,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The whole chain in one line: what happened, to what, why.
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Exit {}

/// Gives an error its exit code.
pub trait OrExit<T> {
    fn or_exit(self, code: u8) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, code: u8) -> anyhow::Result<T> {
        self.map_err(|error| {
            Exit {
                code,
                error: error.into(),
            }
            .into()
        })
    }
}

/// A sentence with an exit code.
pub fn stop<T>(code: u8, sentence: impl fmt::Display) -> anyhow::Result<T> {
    Err(Exit {
        code,
        error: anyhow::anyhow!("{sentence}"),
    }
    .into())
}

/// The exit code of whatever ended the command.
pub fn code_of(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Exit>())
        .map_or(FAILED, |exit| exit.code)
}
