//! Certificates: which key belongs to the federation, and as what.
//!
//! The authority issues X.509 certificates of one narrow profile, and nothing else is accepted: version 3, Ed25519 for
//! the key and for the signature, subject `O = client | coordinator | witness | authority`, key usage `digitalSignature` alone
//! (critical), extended key usage `clientAuth` alone for a client, `serverAuth` and `clientAuth` for a coordinator
//! (it answers clients and asks the witness) and `serverAuth` alone for the others, no authority over other
//! certificates, no critical extension that is not named here.

mod parse;
mod request;
mod seen;

use chorus_protocol::{Certificates, ClientId, Digest};
use ed25519_dalek::VerifyingKey;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;

pub use parse::verify;
use seen::Seen;

pub use request::{certificate_request, verify_request};

/// What a certificate allows its holder to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes part in rounds.
    Client,
    /// Runs rounds.
    Coordinator,
    /// Vouches that all clients of a round are told the same.
    Witness,
    /// Answers for the enrolment authority. Issued by the authority to its own server.
    Authority,
}

impl Role {
    /// The organisation in the subject: `client`, `coordinator`, `witness`, `authority`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Coordinator => "coordinator",
            Role::Witness => "witness",
            Role::Authority => "authority",
        }
    }

    /// True for whoever answers calls: its certificate names its server.
    pub fn answers(self) -> bool {
        self != Role::Client
    }

    /// True for whoever makes calls with its certificate.
    pub fn calls(self) -> bool {
        matches!(self, Role::Client | Role::Coordinator)
    }

    /// The role of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        let roles = [
            Role::Client,
            Role::Coordinator,
            Role::Witness,
            Role::Authority,
        ];
        roles.into_iter().find(|role| role.name() == name)
    }
}

/// What a valid certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The holder's Ed25519 public key.
    pub key: [u8; 32],
    /// As what it was enrolled.
    pub role: Role,
    /// Valid from, seconds since 1970 UTC.
    pub not_before: i64,
    /// Valid until and including, seconds since 1970 UTC.
    pub not_after: i64,
    /// Serial number, big-endian, at most 20 bytes and without leading zeros.
    pub serial: Vec<u8>,
}

impl Enrolled {
    /// The holder's id.
    pub fn id(&self) -> ClientId {
        ClientId::of_key(&self.key)
    }

    /// The same, for who takes certificates of `role` alone.
    ///
    /// # Errors
    /// [`CertificateError::Role`] for another role.
    pub fn only(self, role: Role) -> Result<Self, CertificateError> {
        let (expected, found) = (role.name(), self.role.name());
        match self.role == role {
            true => Ok(self),
            false => Err(CertificateError::Role { expected, found }),
        }
    }

    fn check_time(&self, now: i64) -> Result<(), CertificateError> {
        let (not_before, not_after) = (self.not_before, self.not_after);
        match (not_before..=not_after).contains(&now) {
            true => Ok(()),
            false => Err(CertificateError::Expired {
                not_before,
                not_after,
                now,
            }),
        }
    }
}

/// A certificate that proves nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// No X.509 certificate at all, or not of the profile.
    #[error("the certificate is not one that the enrolment authority issues: {0}")]
    Profile(&'static str),
    /// Signed by someone else.
    #[error("the certificate was not signed by the enrolment authority of this federation")]
    Foreign,
    /// Outside its time.
    #[error(
        "the certificate is valid from {not_before} to {not_after}, but now it is {now} (seconds since 1970); enrol again"
    )]
    Expired {
        /// Valid from.
        not_before: i64,
        /// Valid until.
        not_after: i64,
        /// Time of the check.
        now: i64,
    },
    /// For another role.
    #[error("the certificate is for the role `{found}`, expected `{expected}`")]
    Role {
        /// Role expected.
        expected: &'static str,
        /// Role found.
        found: &'static str,
    },
    /// A certificate request that is no proof that its sender holds the key.
    #[error("the certificate request is not valid: {0}")]
    Request(&'static str),
}

/// The enrolment authority as everyone else knows it: its certificate, the only root of trust.
/// Clones share their memory of the certificates that were checked.
#[derive(Clone, Debug)]
pub struct Authority {
    der: Vec<u8>,
    key: VerifyingKey,
    seen: Seen,
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Authority {}

impl Authority {
    /// Reads the certificate from PEM (`authority.pem`).
    ///
    /// # Errors
    /// When there is no certificate in it, or not that of an enrolment authority.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem)
            .map_err(|_| CertificateError::Profile("expected a PEM block `CERTIFICATE`"))?;
        Self::from_der(der.to_vec())
    }

    /// Reads the certificate from DER.
    ///
    /// # Errors
    /// When it is not that of an enrolment authority: self-signed, Ed25519, allowed to sign certificates.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        let key = parse::authority_key(&der)?;
        let seen = Seen::default();
        Ok(Self { der, key, seen })
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The authority's Ed25519 public key.
    pub fn key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Checks a certificate that should have been issued by this authority, at `now` (seconds since 1970 UTC).
    ///
    /// # Errors
    /// When it is not of the profile, foreign, or outside its time.
    pub fn verify(&self, der: &[u8], now: i64) -> Result<Enrolled, CertificateError> {
        let digest = Digest::of(der);
        if let Some(enrolled) = self.seen.get(&digest) {
            enrolled.check_time(now)?;
            return Ok(enrolled);
        }
        let enrolled = parse::verify_with(der, &self.key, now)?;
        self.seen.keep(digest, enrolled.clone());
        Ok(enrolled)
    }

    /// As [`Authority::verify`], for one role.
    ///
    /// # Errors
    /// As there, and for a certificate of another role.
    pub fn verify_role(
        &self,
        der: &[u8],
        role: Role,
        now: i64,
    ) -> Result<Enrolled, CertificateError> {
        self.verify(der, now)?.only(role)
    }

    /// The check of neighbours' certificates that a client's `Participation` asks for, at `now`.
    pub fn at(&self, now: i64) -> AuthorityAt<'_> {
        AuthorityAt {
            authority: self,
            now,
        }
    }
}

/// An [`Authority`] at one moment.
#[derive(Clone, Copy, Debug)]
pub struct AuthorityAt<'a> {
    authority: &'a Authority,
    now: i64,
}

impl Certificates for AuthorityAt<'_> {
    fn enrolled_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        self.authority
            .verify_role(certificate, Role::Client, self.now)
            .map(|enrolled| enrolled.key)
            .map_err(|error| error.to_string())
    }

    fn witness_key(&self, certificate: &[u8]) -> Result<[u8; 32], String> {
        self.authority
            .verify_role(certificate, Role::Witness, self.now)
            .map(|enrolled| enrolled.key)
            .map_err(|error| error.to_string())
    }
}
