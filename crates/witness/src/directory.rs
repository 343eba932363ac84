//! The directory of a witness: its key, its certificate, the authority's certificate, the lock, the memory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use chorus_protocol::Identity;
use chorus_wire::{
    Clock, InvitationCode,
    certificate::{Authority, CertificateError, Role},
    client::{Open, Target, enrol},
    tls::Credentials,
};
use rand_core::CryptoRng;

use crate::{WitnessError, store::Store};

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

impl Directory {
    /// The directory at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The witness's key.
    ///
    /// # Errors
    /// When there is none, the file is damaged, or others can read it.
    pub fn identity(&self) -> Result<Identity, WitnessError> {
        let path = self.key_path();
        let seed = read(&path)?;
        check_rights(&path)?;
        let seed: &[u8; 32] = seed
            .as_slice()
            .try_into()
            .map_err(|_| WitnessError::Key { path })?;
        Ok(Identity::from_seed(seed))
    }

    /// The authority's certificate: the only root of trust.
    ///
    /// # Errors
    /// When there is none, or it is none of an authority.
    pub fn authority(&self) -> Result<Authority, WitnessError> {
        let path = self.path.join("authority.crt");
        let der = read(&path)?;
        Authority::from_der(der).map_err(|reason| WitnessError::Certificate { path, reason })
    }

    /// The key's certificate, and until when it is valid (seconds since 1970 UTC), if it is at `now`.
    pub(crate) fn certificate(&self, now: i64) -> Result<(Vec<u8>, i64), WitnessError> {
        let (identity, authority) = (self.identity()?, self.authority()?);
        let path = self.certificate_path();
        let certificate = read(&path)?;
        match authority.verify_role(&certificate, Role::Witness, now) {
            Ok(enrolled) if enrolled.key == identity.public() => {
                Ok((certificate, enrolled.not_after))
            }
            Ok(_) => Err(WitnessError::OtherKey { path }),
            Err(reason) => Err(WitnessError::Certificate { path, reason }),
        }
    }

    /// The key and its certificate, if that is valid at `now` (seconds since 1970 UTC).
    ///
    /// # Errors
    /// When the witness is not enrolled, or its certificate is foreign, expired or for another key.
    pub fn credentials(&self, now: i64) -> Result<Credentials, WitnessError> {
        let (certificate, _) = self.certificate(now)?;
        Ok(Credentials::new(&self.identity()?, certificate))
    }

    /// Until when the certificate is valid, in seconds since 1970 UTC; nothing where there is no usable one.
    pub fn certificate_until(&self) -> Option<i64> {
        // At the end of time every certificate has expired, and the error says when.
        match self.certificate(i64::MAX) {
            Ok((_, not_after)) => Some(not_after),
            Err(WitnessError::Certificate {
                reason: CertificateError::Expired { not_after, .. },
                ..
            }) => Some(not_after),
            Err(_) => None,
        }
    }

    /// Exchanges an invitation for a certificate, and keeps it with the authority's. The first time, the key and the
    /// memory are made here; a later invitation renews the certificate, and both stay.
    ///
    /// # Errors
    /// When the authority refuses or cannot be trusted, the invitation is for another role, a file cannot be written,
    /// or the directory has a key without a memory or the other way around.
    pub async fn enrol(
        &self,
        target: &Target,
        authority: &Authority,
        invitation: &InvitationCode,
        clock: &Clock,
        rng: &mut impl CryptoRng,
    ) -> Result<(), WitnessError> {
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
        let path = self.certificate_path();
        issued
            .enrolled
            .only(Role::Witness)
            .map_err(|reason| WitnessError::Certificate {
                path: path.clone(),
                reason,
            })?;
        write(&self.path.join("authority.crt"), authority.der(), 0o644)?;
        write(&path, &issued.certificate, 0o644)
    }

    /// The key; a new one, with an empty memory, where there is neither. A key whose memory is gone is refused for
    /// good: what it signed, nobody knows.
    fn identity_or_new(&self, rng: &mut impl CryptoRng) -> Result<Identity, WitnessError> {
        let identity = match self.identity() {
            Err(WitnessError::NotEnrolled { .. }) => self.begin(rng)?,
            known => known?,
        };
        self.store(&identity)?;
        Ok(identity)
    }

    /// Makes the memory, and then the key: a crash in between leaves no key without a memory.
    fn begin(&self, rng: &mut impl CryptoRng) -> Result<Identity, WitnessError> {
        let _lock = self.lock()?;
        let (path, memory) = (self.key_path(), self.store_path());
        if path.exists() {
            // Another process was faster.
            return self.identity();
        }
        match Store::open(&memory).and_then(|store| store.owner()) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(WitnessError::OtherMemory { path: memory }),
            Err(WitnessError::Forgotten { .. }) => Store::create(&memory)?,
            // A crash came before its first entry, and there is no key that could have signed anything.
            Err(WitnessError::Layout { layout: 0, .. }) => {
                fs::remove_file(&memory).map_err(|error| fault(&memory, &error))?;
                Store::create(&memory)?;
            }
            Err(error) => return Err(error),
        }
        let identity = Identity::generate(rng);
        write(&path, identity.seed().as_ref(), 0o600)?;
        Ok(identity)
    }

    /// The memory of this key.
    pub(crate) fn store(&self, identity: &Identity) -> Result<Store, WitnessError> {
        let path = self.store_path();
        let mut store = Store::open(&path)?;
        match store.belongs_to(&identity.public())? {
            true => Ok(store),
            false => Err(WitnessError::OtherMemory { path }),
        }
    }

    /// Takes the directory for one service.
    ///
    /// # Errors
    /// When another process has it.
    pub fn lock(&self) -> Result<Lock, WitnessError> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(WitnessError::InUse {
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

    fn lock_file(&self) -> Result<File, WitnessError> {
        let path = self.path.join("witness.lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        options.open(&path).map_err(|error| fault(&path, &error))
    }

    fn key_path(&self) -> PathBuf {
        self.path.join("witness.key")
    }

    fn certificate_path(&self) -> PathBuf {
        self.path.join("witness.crt")
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.path.join("witness.sqlite")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WitnessError> {
    fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => WitnessError::NotEnrolled {
            path: path.to_owned(),
        },
        _ => fault(path, &error),
    })
}

/// Writes a file whole: under another name first, so that a crash leaves the old one; and sees it onto the disk.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WitnessError> {
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
        fs::rename(&draft, path)?;
        sync_folder(path)
    })();
    written.map_err(|error| fault(path, &error))
}

/// Sees the name of a file onto the disk, without which its content is not found again.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            // A name without a folder is in the current one.
            let here = Path::new(".");
            let folder = match folder.as_os_str().is_empty() {
                true => here,
                false => folder,
            };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

/// Makes a folder that its owner alone can enter.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)?;
    sync_folder(path)
}

#[cfg(unix)]
fn check_rights(path: &Path) -> Result<(), WitnessError> {
    use std::os::unix::fs::PermissionsExt;

    let file = fs::metadata(path).map_err(|error| fault(path, &error))?;
    if file.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(WitnessError::Exposed {
        path: path.to_owned(),
    })
}

#[cfg(not(unix))]
fn check_rights(_: &Path) -> Result<(), WitnessError> {
    Ok(())
}

fn fault(path: &Path, error: &io::Error) -> WitnessError {
    WitnessError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
