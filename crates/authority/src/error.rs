use std::{io, path::PathBuf};

use chorus_wire::{certificate::CertificateError, server::ServeError, tls::TlsError};
use thiserror::Error;

/// Why an authority could not do what its operator asked. Each is a sentence that says what to do.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// `init` where there is one.
    #[error("`{0}` exists already: choose an empty directory, or keep using this authority")]
    Exists(PathBuf),
    /// Anything else where there is none.
    #[error("there is no enrolment authority in `{0}`: make one with `chorus authority init`")]
    Absent(PathBuf),
    /// A file that cannot be read or written.
    #[error("`{path}` cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        reason: io::Error,
    },
    /// A key that others can read.
    #[error(
        "`{0}` can be read by others: take their rights away (chmod 600) and consider the key known"
    )]
    Exposed(PathBuf),
    /// A key file that holds no key.
    #[error("`{0}` holds no Ed25519 private key (PKCS#8, PEM)")]
    Key(PathBuf),
    /// `authority.pem` is not the certificate of `authority.key`.
    #[error("`{0}` is not the certificate of the key beside it: restore both from one backup")]
    Mismatch(PathBuf),
    /// A certificate of the authority that cannot be read.
    #[error("the authority's own certificate cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// The database.
    #[error("the authority's database cannot be used: {0}")]
    Store(#[from] rusqlite::Error),
    /// A database that a later build wrote.
    #[error("the authority's database has layout {0}, which this build does not know: update it")]
    Layout(i64),
    /// A certificate that cannot be written.
    #[error("the certificate cannot be issued: {0}")]
    Issue(#[from] rcgen::Error),
    /// A server name that a certificate cannot be for.
    #[error("`{0}` is no server name: expected a DNS name or an IP address")]
    ServerName(String),
    /// No invitations, or too many.
    #[error("{0} invitations: expected 1 to {MAX_INVITATIONS} at once")]
    Count(usize),
    /// A time that no certificate or invitation may have.
    #[error("{0} seconds: expected 1 second to {MAX_YEARS} years")]
    Lifetime(u64),
    /// What is to be revoked is not written as it must be.
    #[error(
        "`{0}` is not hexadecimal, or of the wrong length: a client id has 32 digits, a serial number up to 40"
    )]
    Revoked(String),
    /// What is to be revoked was never issued.
    #[error("no certificate with this {0} was issued here: check it, nothing was revoked")]
    NeverIssued(&'static str),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Most invitations that are made at once.
pub(crate) const MAX_INVITATIONS: usize = 1_000_000;

/// Longest life of anything that this authority makes, but itself.
pub(crate) const MAX_YEARS: u64 = 2;

/// Seconds of a life that is neither nothing nor for ever.
pub(crate) fn seconds(life: std::time::Duration) -> Result<i64, AuthorityError> {
    match life.as_secs() {
        seconds @ 1.. if seconds <= MAX_YEARS * 366 * 86_400 => {
            i64::try_from(seconds).map_err(|_| AuthorityError::Lifetime(seconds))
        }
        seconds => Err(AuthorityError::Lifetime(seconds)),
    }
}
