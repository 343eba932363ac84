//! The directory of an authority: `authority.key` (0600), `authority.pem`, `authority.sqlite`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use chorus_protocol::Identity;
use chorus_wire::certificate::Authority;
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use zeroize::Zeroizing;

use crate::AuthorityError;

/// Where an authority keeps its things.
pub(crate) struct Files {
    pub key: PathBuf,
    pub certificate: PathBuf,
    pub store: PathBuf,
}

impl Files {
    pub fn of(directory: &Path) -> Self {
        Self {
            key: directory.join("authority.key"),
            certificate: directory.join("authority.pem"),
            store: directory.join("authority.sqlite"),
        }
    }

    /// Writes a new authority. An existing file of one is never written over.
    pub fn create(
        &self,
        directory: &Path,
        identity: &Identity,
        certificate: &str,
    ) -> Result<(), AuthorityError> {
        for path in [&self.key, &self.certificate, &self.store] {
            if path.exists() {
                return Err(AuthorityError::Exists(path.clone()));
            }
        }
        private_folder(directory).map_err(failed(directory))?;
        let pem = SigningKey::from_bytes(&identity.seed())
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| AuthorityError::Key(self.key.clone()))?;
        write_new(&self.key, pem.as_bytes(), 0o600)?;
        write_new(&self.certificate, certificate.as_bytes(), 0o644)
    }

    /// The key and the certificate, which must belong together.
    pub fn read(&self, directory: &Path) -> Result<(Identity, Authority), AuthorityError> {
        let certificate = self.read_certificate(directory)?;
        let pem = fs::read_to_string(&self.key)
            .map(Zeroizing::new)
            .map_err(failed(&self.key))?;
        check_rights(&self.key)?;
        let key =
            SigningKey::from_pkcs8_pem(&pem).map_err(|_| AuthorityError::Key(self.key.clone()))?;
        let identity = Identity::from_seed(&Zeroizing::new(key.to_bytes()));
        if identity.public() != certificate.key() {
            return Err(AuthorityError::Mismatch(self.certificate.clone()));
        }
        Ok((identity, certificate))
    }

    pub fn read_certificate(&self, directory: &Path) -> Result<Authority, AuthorityError> {
        match fs::read(&self.certificate) {
            Ok(pem) => Ok(Authority::from_pem(&pem)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(AuthorityError::Absent(directory.to_path_buf()))
            }
            Err(error) => Err(failed(&self.certificate)(error)),
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> AuthorityError {
    let path = path.to_path_buf();
    move |reason| AuthorityError::File {
        path: path.clone(),
        reason,
    }
}

/// Writes a file that must not exist, with its rights from the first moment on, and sees it onto the disk.
fn write_new(path: &Path, bytes: &[u8], rights: u32) -> Result<(), AuthorityError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, rights);
    #[cfg(not(unix))]
    let _ = rights;
    let write = |mut file: File| file.write_all(bytes).and_then(|()| file.sync_all());
    options
        .open(path)
        .and_then(write)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => AuthorityError::Exists(path.to_path_buf()),
            _ => failed(path)(error),
        })
}

#[cfg(unix)]
fn check_rights(path: &Path) -> Result<(), AuthorityError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = fs::metadata(path)
        .map_err(failed(path))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(AuthorityError::Exposed(path.to_path_buf()))
    }
}

#[cfg(not(unix))]
fn check_rights(_: &Path) -> Result<(), AuthorityError> {
    Ok(())
}

/// Makes a folder that its owner alone can enter: it says who was invited and enrolled.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)
}
