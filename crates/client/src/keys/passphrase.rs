use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::file::{damaged, destroy, path_in, read, write};
use super::{Key, KeyError, KeyStore, Protection, file as plain, random};

/// Says what the file is, and in which layout.
pub(super) const MARK: &[u8; 15] = b"chorus locked 1";

/// The second choice of RFC 9106, section 4, for devices with little memory: three passes over 64 MiB in four lanes.
const PASSES: u32 = 3;
const KIBIBYTES: u32 = 64 * 1024;
const LANES: u32 = 4;

/// The key in a file beside the store, locked with a passphrase: Argon2id (RFC 9106) makes a key of it that seals the
/// store's key with XChaCha20-Poly1305.
///
/// # Privacy
/// As good as the passphrase is hard to guess: who has the folder can try, at some tenths of a second and 64 MiB a guess.
pub struct PassphraseKey {
    path: PathBuf,
    passphrase: Zeroizing<String>,
}

impl PassphraseKey {
    /// The key in the client's folder `home` that `passphrase` unlocks. To change the passphrase, rotate the key with
    /// another one.
    pub fn new(home: &Path, passphrase: Zeroizing<String>) -> Self {
        Self {
            path: path_in(home),
            passphrase,
        }
    }

    fn cipher(&self, salt: &[u8; 16]) -> Result<XChaCha20Poly1305, KeyError> {
        let mut key = Key::new([0; 32]);
        Params::new(KIBIBYTES, PASSES, LANES, Some(key.len()))
            .and_then(|params| {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(self.passphrase.as_bytes(), salt, &mut key[..])
            })
            .map_err(|error| KeyError::Unusable {
                reason: error.to_string(),
            })?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }
}

impl KeyStore for PassphraseKey {
    fn load(&self) -> Result<Option<Key>, KeyError> {
        let Some(content) = read(&self.path)? else {
            return Ok(None);
        };
        if content.starts_with(plain::MARK) {
            return Err(KeyError::NoPassphrase {
                path: self.path.clone(),
            });
        }
        let (salt, nonce, mut key, tag) = split(&content).ok_or_else(|| damaged(&self.path))?;
        self.cipher(&salt)?
            .decrypt_inout_detached(
                &XNonce::from(nonce),
                MARK,
                InOutBuf::from(&mut key[..]),
                &Tag::from(tag),
            )
            .map_err(|_| KeyError::WrongPassphrase {
                path: self.path.clone(),
            })?;
        Ok(Some(key))
    }

    fn replace(&self, key: &Key) -> Result<(), KeyError> {
        let (salt, nonce): ([u8; 16], [u8; 24]) = (random()?, random()?);
        let mut sealed = key.clone();
        let tag = self
            .cipher(&salt)?
            .encrypt_inout_detached(&XNonce::from(nonce), MARK, InOutBuf::from(&mut sealed[..]))
            .map_err(|error| KeyError::Unusable {
                reason: error.to_string(),
            })?;
        write(&self.path, &[MARK, &salt, &nonce, &sealed[..], &tag])
    }

    fn destroy(&self) -> Result<(), KeyError> {
        destroy(&self.path)
    }

    fn protects(&self) -> Protection {
        Protection::Passphrase
    }
}

/// Salt, nonce, sealed key and tag.
type Locked = ([u8; 16], [u8; 24], Key, [u8; 16]);

fn split(content: &[u8]) -> Option<Locked> {
    let rest = content.strip_prefix(MARK)?;
    let (salt, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let tag = rest.try_into().ok()?;
    Some((*salt, *nonce, Key::new(*key), tag))
}
