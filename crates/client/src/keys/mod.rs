//! Where the key of a store is kept.

mod file;
mod passphrase;
#[cfg(feature = "platform-keys")]
mod platform;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

pub use file::FileKey;
pub use passphrase::PassphraseKey;
#[cfg(feature = "platform-keys")]
pub use platform::PlatformKey;

/// A key of 32 bytes, wiped when it is dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// Where the key of a client's store is kept: the app chooses. Whoever has the folder and the key can read everything;
/// whoever has the folder alone, nothing.
pub trait KeyStore {
    /// The key, if there is one.
    ///
    /// # Errors
    /// When there may be one that cannot be read. Nothing is ever made up in its place.
    fn load(&self) -> Result<Option<Key>, KeyError>;

    /// Keeps `key` in the place of the one before, at once or not at all; it is durable when this returns.
    ///
    /// # Errors
    /// When it could not be kept; then the one before still is.
    fn replace(&self, key: &Key) -> Result<(), KeyError>;

    /// Forgets the key, for good: what it sealed can never be opened again. None to forget is no error.
    ///
    /// # Errors
    /// When it may still be there.
    fn destroy(&self) -> Result<(), KeyError>;

    /// What stands between a thief and the key, for the warning that a person sees.
    fn protects(&self) -> Protection;
}

/// What stands between a thief and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// The key store of the operating system, as far as the lock of the device goes.
    Platform,
    /// A passphrase that the person types in.
    Passphrase,
    /// Nothing but the permissions of a file.
    File,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protection::Platform => {
                "The key is in the key store of this device. Who can unlock the device can read what is here."
            }
            Protection::Passphrase => {
                "The key is locked with your passphrase. Without it nobody can read what is here, not even you."
            }
            Protection::File => {
                "The key is in a file beside the data. Who can copy both can read what is here: lock the device, \
                 encrypt its disk, and keep this folder out of backups."
            }
        })
    }
}

/// A key that cannot be had or kept.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Type it again.
    #[error("this is not the passphrase that the key {} is locked with: type it again", path.display())]
    WrongPassphrase {
        /// The file of the key.
        path: PathBuf,
    },
    /// Put a backup of it in its place.
    #[error(
        "the key {} is damaged and was left as it is: put a backup of it in its place; without it, what it \
         sealed cannot be opened",
        path.display()
    )]
    Damaged {
        /// The file of the key.
        path: PathBuf,
    },
    /// Open it with the passphrase: [`PassphraseKey`].
    #[error("the key {} is locked with a passphrase: open it with that", path.display())]
    NeedsPassphrase {
        /// The file of the key.
        path: PathBuf,
    },
    /// Open it without a passphrase: [`FileKey`].
    #[error("the key {} has no passphrase: open it without one", path.display())]
    NoPassphrase {
        /// The file of the key.
        path: PathBuf,
    },
    /// See to the key store.
    #[error(
        "the key store cannot be used ({reason}): unlock it, or check its folder and its permissions"
    )]
    Unusable {
        /// Why.
        reason: String,
    },
}

/// Bytes of chance from the operating system. A generator of the caller's would not do: one that a test or a restart
/// begins anew would use a nonce twice, and what was sealed with it could be read without the key.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| KeyError::Unusable {
        reason: format!("the operating system gave no random bytes: {error}"),
    })?;
    Ok(bytes)
}
