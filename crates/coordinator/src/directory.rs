//! The coordinator's directory: its key, its certificate, the authority's certificate, the lock, the store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chorus_protocol::Identity;
use chorus_wire::certificate::{Authority, CertificateError, Role};
use chorus_wire::client::{Open, SendError, Target, enrol};
use chorus_wire::tls::Credentials;
use chorus_wire::{Clock, InvitationCode};
use rand::CryptoRng;
use thiserror::Error;

/// Why the directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
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
        "{path} is missing: enrol this coordinator first, with an invitation of the authority (`chorus coordinator enrol`)"
    )]
    NotEnrolled {
        /// The missing file.
        path: PathBuf,
    },
    /// A key file of another length.
    #[error("{path} is damaged: expected a key of 32 bytes; put a backup in its place")]
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
    /// Another coordinator runs here.
    #[error("another coordinator runs on {path}: stop it first, or use another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The authority refused, or cannot be reached.
    #[error("enrolment: {0}")]
    Enrolment(#[from] SendError),
}

/// The directory. Nothing is read before it is asked for.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// Held by the one service that runs on a directory; the system lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Makes a folder that its owner alone can enter: it holds the key, and pseudonyms of clients.
pub(crate) fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)
}

impl Directory {
    /// The directory at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The coordinator's key.
    ///
    /// # Errors
    /// When there is none, the file is damaged, or others can read it.
    pub fn identity(&self) -> Result<Identity, DirectoryError> {
        let path = self.path.join("coordinator.key");
        let seed = self.read(&path)?;
        check_rights(&path)?;
        let seed: &[u8; 32] = seed
            .as_slice()
            .try_into()
            .map_err(|_| DirectoryError::Key { path })?;
        Ok(Identity::from_seed(seed))
    }

    /// The coordinator's key; a new one where there is none. The file can be read by its owner alone.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub fn identity_or_new(&self, rng: &mut impl CryptoRng) -> Result<Identity, DirectoryError> {
        match self.identity() {
            Err(DirectoryError::NotEnrolled { path }) => {
                let identity = Identity::generate(rng);
                self.write(&path, identity.seed().as_ref(), 0o600)?;
                Ok(identity)
            }
            known => known,
        }
    }

    /// The authority's certificate: the only root of trust.
    ///
    /// # Errors
    /// When there is none, or it is none of an authority.
    pub fn authority(&self) -> Result<Authority, DirectoryError> {
        let path = self.path.join("authority.crt");
        let der = self.read(&path)?;
        Authority::from_der(der).map_err(|reason| DirectoryError::Certificate { path, reason })
    }

    /// The key and its certificate, if that is valid at `now` (seconds since 1970 UTC).
    ///
    /// # Errors
    /// When the coordinator is not enrolled, or its certificate is foreign, expired or for another key.
    pub fn credentials(&self, now: i64) -> Result<Credentials, DirectoryError> {
        let (identity, authority) = (self.identity()?, self.authority()?);
        let path = self.path.join("coordinator.crt");
        let certificate = self.read(&path)?;
        match authority.verify_role(&certificate, Role::Coordinator, now) {
            Ok(enrolled) if enrolled.key == identity.public() => {
                Ok(Credentials::new(&identity, certificate))
            }
            Ok(_) => Err(DirectoryError::OtherKey { path }),
            Err(reason) => Err(DirectoryError::Certificate { path, reason }),
        }
    }

    /// Until when the certificate is valid, in seconds since 1970 UTC; nothing where there is no usable one.
    pub fn certificate_until(&self) -> Option<i64> {
        let certificate = self.read(&self.path.join("coordinator.crt")).ok()?;
        // At the end of time every certificate has expired, and the error says when.
        match self.authority().ok()?.verify(&certificate, i64::MAX) {
            Ok(enrolled) => Some(enrolled.not_after),
            Err(CertificateError::Expired { not_after, .. }) => Some(not_after),
            Err(_) => None,
        }
    }

    /// Exchanges an invitation for a certificate, and keeps it with the authority's. The key stays here; it is made
    /// where there is none, and kept when a later invitation renews the certificate.
    ///
    /// # Errors
    /// When the authority refuses or cannot be trusted, the invitation is for another role, or a file cannot be written.
    pub async fn enrol(
        &self,
        target: &Target,
        authority: &Authority,
        invitation: &InvitationCode,
        clock: &Clock,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DirectoryError> {
        private_folder(&self.path).map_err(|error| fault(&self.path, &error))?;
        let identity = self.identity_or_new(rng)?;
        let issued = enrol(
            target,
            authority,
            invitation,
            &identity,
            clock,
            Arc::new(Open),
        )
        .await?;
        let path = self.path.join("coordinator.crt");
        issued
            .enrolled
            .only(Role::Coordinator)
            .map_err(|reason| DirectoryError::Certificate {
                path: path.clone(),
                reason,
            })?;
        self.write(&self.path.join("authority.crt"), authority.der(), 0o644)?;
        self.write(&path, &issued.certificate, 0o644)
    }

    /// Takes the directory for one service.
    ///
    /// # Errors
    /// When another process has it.
    pub fn lock(&self) -> Result<Lock, DirectoryError> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse {
                path: self.path.clone(),
            }),
            Err(TryLockError::Error(error)) => Err(fault(&self.path, &error)),
        }
    }

    /// True while a service runs on this directory.
    pub fn is_served(&self) -> bool {
        let shared = self.lock_file().map(|file| file.try_lock_shared());
        matches!(shared, Ok(Err(TryLockError::WouldBlock)))
    }

    fn lock_file(&self) -> Result<File, DirectoryError> {
        private_folder(&self.path).map_err(|error| fault(&self.path, &error))?;
        let path = self.path.join("coordinator.lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        options.open(&path).map_err(|error| fault(&path, &error))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, DirectoryError> {
        std::fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => DirectoryError::NotEnrolled {
                path: path.to_owned(),
            },
            _ => fault(path, &error),
        })
    }

    /// Writes a file whole: under another name first, so that a crash leaves the old one.
    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), DirectoryError> {
        let draft = path.with_extension("new");
        let written = (|| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
            #[cfg(not(unix))]
            let _ = mode;
            let mut file = options.open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&draft, path)
        })();
        written.map_err(|error| fault(path, &error))
    }
}

#[cfg(unix)]
fn check_rights(path: &Path) -> Result<(), DirectoryError> {
    use std::os::unix::fs::PermissionsExt;

    let file = std::fs::metadata(path).map_err(|error| fault(path, &error))?;
    if file.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(DirectoryError::Exposed {
        path: path.to_owned(),
    })
}

#[cfg(not(unix))]
fn check_rights(_: &Path) -> Result<(), DirectoryError> {
    Ok(())
}

fn fault(path: &Path, error: &std::io::Error) -> DirectoryError {
    DirectoryError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
