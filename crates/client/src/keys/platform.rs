use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::{Key, KeyError, KeyStore, Protection};

/// The key in the key store of the operating system, through the `keyring-core` crate. The app knows its platform: it
/// chooses the store (Android Keystore, Apple's keychain, Windows credentials, Secret Service) and hands in the entry.
/// One that forgets when the device restarts, as the kernel's keyring does, loses everything that is in the client's store.
pub struct PlatformKey {
    entry: Entry,
}

impl PlatformKey {
    /// The key in this entry, which no other client may use.
    pub fn new(entry: Entry) -> Self {
        Self { entry }
    }
}

impl KeyStore for PlatformKey {
    fn load(&self) -> Result<Option<Key>, KeyError> {
        let secret = match self.entry.get_secret() {
            Ok(secret) => Zeroizing::new(secret),
            Err(Error::NoEntry) => return Ok(None),
            Err(error) => return Err(unusable(&error)),
        };
        let key = <[u8; 32]>::try_from(secret.as_slice());
        let key = key.map_err(|_| KeyError::Unusable {
            reason: "its entry for this client does not hold 32 bytes".to_owned(),
        })?;
        Ok(Some(Key::new(key)))
    }

    fn replace(&self, key: &Key) -> Result<(), KeyError> {
        let kept = self.entry.set_secret(&key[..]);
        kept.map_err(|error| unusable(&error))
    }

    fn destroy(&self) -> Result<(), KeyError> {
        match self.entry.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(unusable(&error)),
        }
    }

    fn protects(&self) -> Protection {
        Protection::Platform
    }
}

/// Some errors hold what was found in the store; a display of the kind alone does not.
fn unusable(error: &Error) -> KeyError {
    KeyError::Unusable {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use keyring_core::api::CredentialStoreApi;
    use keyring_core::mock;

    use super::*;
    use crate::{Client, Settings};

    #[test]
    fn a_key_comes_back_until_it_is_destroyed() {
        let store = mock::Store::new().unwrap();
        let store = PlatformKey::new(store.build("chorus", "me", None).unwrap());
        assert!(store.load().unwrap().is_none());
        for byte in [1, 2] {
            store.replace(&Key::new([byte; 32])).unwrap();
            assert_eq!(*store.load().unwrap().unwrap(), [byte; 32]);
        }
        store.destroy().unwrap();
        assert!(store.load().unwrap().is_none());
        store.destroy().unwrap();
        store.entry.set_secret(b"of another app").unwrap();
        assert!(matches!(store.load(), Err(KeyError::Unusable { .. })));
    }

    #[test]
    fn where_no_key_store_answers_nothing_is_made_up() {
        let store = mock::Store::new().unwrap();
        let keys = PlatformKey::new(store.build("chorus", "you", None).unwrap());
        // The next question finds nobody there.
        let gone = || {
            let nobody = std::io::Error::other("there is no such service");
            let credential: &mock::Cred = keys.entry.as_any().downcast_ref().unwrap();
            credential.set_error(Error::NoStorageAccess(nobody.into()));
        };
        let home = tempfile::tempdir().unwrap();
        let open = || Client::open(home.path(), &keys, Settings::default(), 0);
        gone();
        let error = open().map(drop).unwrap_err().to_string();
        for words in [
            "the key store cannot be used",
            "there is no such service",
            "unlock it",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(keys.load().unwrap().is_none());
        drop(open().unwrap());
        gone();
        assert!(open().is_err());
        gone();
        assert!(keys.replace(&Key::new([3; 32])).is_err());
        gone();
        assert!(keys.destroy().is_err());
        // It is back, and so is the key.
        drop(open().unwrap());
    }
}
