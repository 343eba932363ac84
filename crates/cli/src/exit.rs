//! Exit codes: stable, so that scripts can act on them.

use std::fmt;
use std::process::ExitCode;

use crate::progress;

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
/// A question was asked that so little data cannot answer either way.
pub const UNDECIDED: u8 = 6;
/// A signal ended it after the step under way; it can be gone on with.
pub const INTERRUPTED: u8 = 130;

/// What `--help` says about them.
pub const HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 unusable data, \
    4 the machine or the network lacks something, 5 refused by a rule (privacy, enrolment), 6 undecided, 130 interrupted.";

/// An error that knows its exit code.
#[derive(Debug)]
pub struct Exit {
    pub code: u8,
    error: anyhow::Error,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(&self.error))
    }
}

impl std::error::Error for Exit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error.as_ref())
    }
}

/// The whole chain in one line: what happened, to what, why. Many errors repeat their cause; it is said once.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Gives an error its exit code.
pub trait OrExit<T> {
    fn or_exit(self, code: u8) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, code: u8) -> anyhow::Result<T> {
        self.map_err(|error| with(code, error))
    }
}

/// An error with an exit code.
pub fn with(code: u8, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    Exit { code, error }.into()
}

/// A sentence with an exit code.
pub fn stop<T>(code: u8, sentence: impl fmt::Display) -> anyhow::Result<T> {
    Err(with(code, anyhow::anyhow!("{sentence}")))
}

/// Says how the command ended, and ends with the code of it.
pub fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) if progress::all_said() => ExitCode::from(DONE),
        Ok(()) => ExitCode::from(ENVIRONMENT),
        Err(error) => {
            progress::complain(&sentence(&error));
            ExitCode::from(code_of(&error))
        }
    }
}

/// The exit code of whatever ended the command.
pub fn code_of(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Exit>())
        .map_or(FAILED, |exit| exit.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once_and_the_code_stays() {
        let cause = std::io::Error::other("the disk is full");
        let repeating = anyhow::Error::new(cause).context("cannot save: the disk is full");
        let failed: Result<(), _> = Err(repeating.context("no model"));
        let error = failed.or_exit(DATA).unwrap_err();
        assert_eq!(error.to_string(), "no model: cannot save: the disk is full");
        assert_eq!(code_of(&error), DATA);
    }
}
