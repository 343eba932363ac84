#![doc = include_str!("../README.md")]

mod error;
mod files;
mod issue;
mod serve;
mod store;

use std::{path::Path, time::Duration};

use chorus_protocol::{ClientId, Identity};
pub use chorus_wire::InvitationCode;
use chorus_wire::certificate::{Authority, Role};
use rand_core::CryptoRng;

use error::{MAX_INVITATIONS, seconds};
use files::Files;
use issue::check_server_name;
use store::{Store, Terms};

pub use error::AuthorityError;
pub use serve::{ServeOptions, serve};

/// Whom an invitation lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// A client.
    Client,
    /// A coordinator.
    Coordinator {
        /// The name under which clients reach it: a DNS name or an IP address.
        server_name: String,
    },
    /// A witness.
    Witness {
        /// The name under which coordinators reach it: a DNS name or an IP address.
        server_name: String,
    },
}

/// What is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Every certificate of a key, also any to come.
    Client(ClientId),
    /// One certificate, by its serial number without leading zeros.
    Serial(Vec<u8>),
}

impl Revoked {
    /// A client by its id, 32 hexadecimal digits.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn client(text: &str) -> Result<Self, AuthorityError> {
        let mut id = ClientId([0; 16]);
        hex::decode_to_slice(text, &mut id.0)
            .map_err(|_| AuthorityError::Revoked(text.to_owned()))?;
        Ok(Revoked::Client(id))
    }

    /// A certificate by its serial number, up to 40 hexadecimal digits; colons between them are skipped.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn serial(text: &str) -> Result<Self, AuthorityError> {
        let wrong = || AuthorityError::Revoked(text.to_owned());
        let bytes = hex::decode(text.replace(':', "")).map_err(|_| wrong())?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match bytes.get(zeros..) {
            Some(serial @ [_, ..]) if serial.len() <= 20 => Ok(Revoked::Serial(serial.to_vec())),
            _ => Err(wrong()),
        }
    }
}

/// Makes a new authority in `directory`: a key (`authority.key`, readable by its owner alone), its certificate
/// (`authority.pem`, for everyone) and an empty database. Returns the certificate.
///
/// # Errors
/// When there is one already, or the files cannot be written.
pub fn init(
    directory: &Path,
    now: i64,
    rng: &mut impl CryptoRng,
) -> Result<Authority, AuthorityError> {
    let files = Files::of(directory);
    let identity = Identity::generate(rng);
    let pem = issue::authority(&identity, now, rng)?;
    let authority = Authority::from_pem(pem.as_bytes())?;
    files.create(directory, &identity, &pem)?;
    Store::create(&files.store)?;
    Ok(authority)
}

/// The certificate of the authority in `directory`.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn certificate(directory: &Path) -> Result<Authority, AuthorityError> {
    Files::of(directory).read_certificate(directory)
}

/// Makes `count` one-time invitations that can be used for `valid_for` from `now` on (seconds since 1970 UTC).
///
/// The codes are returned once: the authority keeps their digests alone.
///
/// # Errors
/// When there is no authority, its database cannot be used, or an argument is out of range.
pub fn invite(
    directory: &Path,
    invited: &Invited,
    valid_for: Duration,
    count: usize,
    now: i64,
    rng: &mut impl CryptoRng,
) -> Result<Vec<InvitationCode>, AuthorityError> {
    let expires_at = now.saturating_add(seconds(valid_for)?);
    let (role, server_name) = match invited {
        Invited::Client => (Role::Client, None),
        Invited::Coordinator { server_name } => (Role::Coordinator, Some(server_name.clone())),
        Invited::Witness { server_name } => (Role::Witness, Some(server_name.clone())),
    };
    server_name.as_deref().map_or(Ok(()), check_server_name)?;
    if !(1..=MAX_INVITATIONS).contains(&count) {
        return Err(AuthorityError::Count(count));
    }
    let mut store = Store::open(&Files::of(directory).store, directory)?;
    let codes: Vec<_> = (0..count).map(|_| InvitationCode::generate(rng)).collect();
    store.invite(
        &codes,
        &Terms {
            role,
            server_name,
            expires_at,
        },
        now,
    )?;
    Ok(codes)
}

/// Revokes a client or one certificate. Takes effect where the list of revocations is fetched next.
/// Revoking again changes nothing.
///
/// # Errors
/// When there is no authority, its database cannot be used, or no such certificate was ever issued.
pub fn revoke(directory: &Path, revoked: &Revoked) -> Result<(), AuthorityError> {
    let mut store = Store::open(&Files::of(directory).store, directory)?;
    let (issued, what) = match revoked {
        Revoked::Client(id) => (store.revoke_client(id)?, "client id"),
        Revoked::Serial(serial) => (store.revoke_serial(serial)?, "serial number"),
    };
    if issued {
        Ok(())
    } else {
        Err(AuthorityError::NeverIssued(what))
    }
}
