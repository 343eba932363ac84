use std::path::PathBuf;

use chorus_wire::{
    certificate::CertificateError, client::SendError, server::ServeError, tls::TlsError,
};
use thiserror::Error;

/// Why a witness does not answer a question of a coordinator.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It has drawn for other keys of this round.
    #[error("this witness has drawn for other keys of this round; a round's keys are fixed once")]
    OtherCommitment,
    /// It has signed something else for this round.
    #[error("this witness has signed another statement of this round; it signs one")]
    OtherStatement,
    /// It was not asked to draw in this round, or has no memory of it.
    #[error("this witness has not drawn for this round; it signs for rounds that it drew for")]
    NotDrawn,
    /// The round lies behind all that it remembers.
    #[error(
        "rounds up to {through} are over here; give rounds higher numbers, and never a number twice"
    )]
    Over {
        /// The last round that is over.
        through: u64,
    },
}

impl Refusal {
    /// A stable label for machines.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::OtherCommitment => "round-drawn",
            Refusal::OtherStatement => "round-signed",
            Refusal::NotDrawn => "round-not-drawn",
            Refusal::Over { .. } => "round-over",
        }
    }
}

/// Why a witness could not do what it was asked. Each is a sentence that says what to do.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// A question that has another answer already.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its own certificate is over.
    #[error("the witness's own certificate expired at {0} (seconds since 1970); enrol it again")]
    Expired(i64),
    /// A file that cannot be read or written.
    #[error("cannot use {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not enrolled yet.
    #[error(
        "{path} is missing: enrol this witness first, with an invitation of the authority (`chorus witness enrol`)"
    )]
    NotEnrolled {
        /// The missing file.
        path: PathBuf,
    },
    /// A key without a memory.
    #[error(
        "{path} is missing, so this witness has forgotten what it signed and must not sign again with this key: \
         make a new witness in an empty directory, and have the old key revoked"
    )]
    Forgotten {
        /// The missing store.
        path: PathBuf,
    },
    /// A memory of another key.
    #[error(
        "{path} is the memory of another key than the one in this directory: put them back together, or make a new \
         witness in an empty directory"
    )]
    OtherMemory {
        /// The store.
        path: PathBuf,
    },
    /// A key file of another length.
    #[error(
        "{path} is damaged: expected a key of 32 bytes; make a new witness in an empty directory"
    )]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A key file that others on this machine can read.
    #[error(
        "{path} can be read by others: take their rights away (chmod 600) and consider the key known"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that cannot be used, now or at all.
    #[error("{path}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: CertificateError,
    },
    /// The certificate is not for the key.
    #[error("{path} was issued for another key than the one in this directory: enrol again")]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// Another witness runs here.
    #[error("another witness runs on {path}: stop it first, or use another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A store that is none, or that a later build wrote.
    #[error("{path} is damaged or of another build (layout {layout}): update this one")]
    Layout {
        /// The store.
        path: PathBuf,
        /// Its layout; 0 where it has none.
        layout: i64,
    },
    /// The store.
    #[error("the witness's memory cannot be used: {0}")]
    Store(#[from] rusqlite::Error),
    /// A store on a file system that keeps nothing safe.
    #[error("the witness's memory cannot be kept safe here: {0}; use a local disk")]
    Unsafe(String),
    /// The system gave no randomness.
    #[error("the system gave no randomness: {0}")]
    Randomness(String),
    /// The authority refused, or cannot be reached.
    #[error("enrolment: {0}")]
    Enrolment(#[from] SendError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server.
    #[error(transparent)]
    Serve(#[from] ServeError),
}
