use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Key, KeyError, KeyStore, Protection, passphrase};
use crate::store::file;

/// Name of the key's file in the client's folder.
const FILE: &str = "client.key";

/// Says what the file is, and in which layout.
pub(super) const MARK: &[u8] = b"chorus key 1\n";

/// The key in a file that its owner alone can read.
///
/// # Privacy
/// Protects against nothing that can read the owner's files: a thief of the unlocked disk, a backup that took the whole
/// folder, another program of the same user. It is there for machines without a key store and without a person who could
/// type a passphrase, and so that destroying 32 bytes destroys everything.
pub struct FileKey {
    path: PathBuf,
}

impl FileKey {
    /// The key beside the store in the client's folder `home`.
    pub fn beside(home: &Path) -> Self {
        Self {
            path: path_in(home),
        }
    }
}

impl KeyStore for FileKey {
    fn load(&self) -> Result<Option<Key>, KeyError> {
        let Some(content) = read(&self.path)? else {
            return Ok(None);
        };
        let key = content.strip_prefix(MARK).map(<[u8; 32]>::try_from);
        match key {
            Some(Ok(key)) => Ok(Some(Key::new(key))),
            None if content.starts_with(passphrase::MARK) => Err(KeyError::NeedsPassphrase {
                path: self.path.clone(),
            }),
            _ => Err(damaged(&self.path)),
        }
    }

    fn replace(&self, key: &Key) -> Result<(), KeyError> {
        write(&self.path, &[MARK, &key[..]])
    }

    fn destroy(&self) -> Result<(), KeyError> {
        destroy(&self.path)
    }

    fn protects(&self) -> Protection {
        Protection::File
    }
}

pub(super) fn path_in(home: &Path) -> PathBuf {
    home.join(FILE)
}

/// Where the file of a key is: somebody may keep it elsewhere, on a stick, and leave a link to it. A link to anything but a key is not
/// followed.
fn place(path: &Path) -> PathBuf {
    let is_key =
        |content: &[u8]| content.starts_with(MARK) || content.starts_with(passphrase::MARK);
    match read(path) {
        Ok(Some(content)) if is_key(&content) => path.canonicalize(),
        _ => Ok(path.to_owned()),
    }
    .unwrap_or_else(|_| path.to_owned())
}

/// Forgets the key of a file, and the link to it.
pub(super) fn destroy(path: &Path) -> Result<(), KeyError> {
    let gone = file::wipe(&place(path));
    gone.and(file::wipe(path))
        .map_err(|error| unusable(path, &error))
}

/// Reads a file of a key, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    // A link to a file is how a key is kept elsewhere; a pipe would let whoever opens it wait.
    match std::fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => std::fs::read(path),
        false => Err(Error::other("it is no plain file: move it elsewhere")),
    }) {
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

pub(super) fn write(path: &Path, parts: &[&[u8]]) -> Result<(), KeyError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let content = Zeroizing::new(parts.concat());
    file::make_folder(folder)
        .and_then(|()| file::replace(&place(path), &content))
        .map_err(|error| unusable(path, &error))
}

pub(super) fn damaged(path: &Path) -> KeyError {
    KeyError::Damaged {
        path: path.to_owned(),
    }
}

fn unusable(path: &Path, error: &Error) -> KeyError {
    KeyError::Unusable {
        reason: format!("{}: {error}", path.display()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_kept_elsewhere_is_destroyed_there() {
        let (home, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (keys, kept) = (FileKey::beside(home.path()), stick.path().join("kept"));
        for round in 1..3 {
            keys.replace(&Key::new([round; 32])).unwrap();
            std::fs::rename(&keys.path, &kept).unwrap();
            std::os::unix::fs::symlink(&kept, &keys.path).unwrap();
            // A new one takes the place of the old one there.
            keys.replace(&Key::new([round + 7; 32])).unwrap();
            assert_eq!(std::fs::read(&kept).unwrap()[MARK.len()..], [round + 7; 32]);
            keys.destroy().unwrap();
            assert!(!kept.exists() && keys.load().unwrap().is_none());
        }
        // What is no key stays.
        std::fs::write(&kept, b"theirs").unwrap();
        std::os::unix::fs::symlink(&kept, &keys.path).unwrap();
        keys.destroy().unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), b"theirs");
        assert!(keys.load().unwrap().is_none());
    }
}
