//! Seals and opens what is in the file.

use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Kind;
use crate::keys::{Key, KeyError, random};

/// What stands for a record's key in the file.
pub(super) type Name = [u8; 16];

/// What was sealed, in the clear; wiped when it is dropped.
pub(super) type Plain = Zeroizing<Vec<u8>>;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Everything that is derived from a store's data key with HKDF-SHA256 (RFC 5869), each under an info of its own.
pub(super) struct Vault {
    data: Key,
    names: Hmac<Sha256>,
    records: XChaCha20Poly1305,
    id: Name,
}

impl Vault {
    /// A vault under a new data key.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::of(Key::new(random()?)))
    }

    fn of(data: Key) -> Self {
        let names: Zeroizing<[u8; 64]> = derive(&data, b"chorus/store/v1/names");
        let records: Key = derive(&data, b"chorus/store/v1/records");
        Self {
            names: Hmac::new((&*names).into()),
            records: XChaCha20Poly1305::new((&*records).into()),
            id: *derive(&data, b"chorus/store/v1/id"),
            data,
        }
    }

    /// What tells this data key from others, and says nothing about it.
    pub fn id(&self) -> Name {
        self.id
    }

    /// The first half of HMAC-SHA256 of kind and key: equal for equal keys, and else like chance.
    pub fn name(&self, kind: Kind, key: &str) -> Name {
        let mut mac = self.names.clone();
        mac.update(&[kind.number()]);
        mac.update(key.as_bytes());
        first(&mac.finalize().into_bytes().into())
    }

    /// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a nonce of chance; kind and name are authenticated with it, so that no record
    /// can be put in another's place.
    pub fn seal(&self, kind: Kind, name: &Name, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal(&self.records, &place(kind, name), plain)
    }

    /// The plain bytes, or nothing when they are not what was sealed for this place.
    pub fn open(&self, kind: Kind, name: &Name, sealed: &[u8]) -> Option<Plain> {
        open(&self.records, &place(kind, name), sealed)
    }

    /// The data key, sealed under a key of a key store, as the newest layout has it.
    pub fn wrap(&self, key: &Key) -> Result<Vec<u8>, KeyError> {
        seal(&wrapping(key), WITH_TALLIES, &self.data[..])
    }

    /// The same of layout 3.
    #[cfg(test)]
    pub fn wrap_without_tallies(&self, key: &Key) -> Result<Vec<u8>, KeyError> {
        seal(&wrapping(key), WITHOUT_TALLIES, &self.data[..])
    }

    /// The vault whose data key was wrapped under `key`.
    pub fn unwrap(key: &Key, wrapped: &[u8]) -> Option<Self> {
        Self::unwrap_as(key, wrapped, WITH_TALLIES)
    }

    /// The same of layout 3.
    pub fn unwrap_without_tallies(key: &Key, wrapped: &[u8]) -> Option<Self> {
        Self::unwrap_as(key, wrapped, WITHOUT_TALLIES)
    }

    fn unwrap_as(key: &Key, wrapped: &[u8], layout: &[u8]) -> Option<Self> {
        let data = open(&wrapping(key), layout, wrapped)?;
        let data = <[u8; 32]>::try_from(data.as_slice()).ok()?;
        Some(Self::of(Key::new(data)))
    }
}

/// What the data key is wrapped with in layout 3, which had no tallies.
const WITHOUT_TALLIES: &[u8] = b"chorus/store/v1/data";

/// And since. Nobody without the key can pass a store off as an older one to get rid of its tallies.
const WITH_TALLIES: &[u8] = b"chorus/store/v4/data";

/// What tells a key of a key store from others in the file, and says nothing about it.
pub(super) fn key_id(key: &Key) -> Name {
    *derive(key, b"chorus/store/v1/key id")
}

/// What a store that is not sealed yet knows the key by that it will be sealed under.
pub(super) fn awaited_id(key: &Key) -> Name {
    *derive(key, b"chorus/store/v4/awaited")
}

fn wrapping(key: &Key) -> XChaCha20Poly1305 {
    let wrapping: Key = derive(key, b"chorus/store/v1/wrap");
    XChaCha20Poly1305::new((&*wrapping).into())
}

fn place(kind: Kind, name: &Name) -> [u8; 17] {
    let mut place = [kind.number(); 17];
    if let Some(rest) = place.last_chunk_mut() {
        *rest = *name;
    }
    place
}

/// `key` is uniform already: only the expansion of HKDF is needed (RFC 5869, section 3.3).
fn derive<const N: usize>(key: &Key, info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut derived = Zeroizing::new([0; N]);
    if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(&key[..]) {
        // Fails for more than 255 blocks alone.
        let _never = hkdf.expand(info, &mut derived[..]);
    }
    derived
}

fn first(bytes: &[u8; 32]) -> Name {
    let mut name = Name::default();
    name.copy_from_slice(bytes.split_at(16).0);
    name
}

fn seal(cipher: &XChaCha20Poly1305, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let nonce: [u8; NONCE] = random()?;
    let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let (_, text) = sealed.split_at_mut(NONCE);
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), place, InOutBuf::from(text))
        .map_err(|_| KeyError::Unusable {
            reason: "a record of more than 256 GB cannot be sealed".to_owned(),
        })?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

fn open(cipher: &XChaCha20Poly1305, place: &[u8], sealed: &[u8]) -> Option<Plain> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let (text, tag) = sealed.split_last_chunk::<TAG>()?;
    let mut plain = Plain::new(text.to_vec());
    let buffer = InOutBuf::from(plain.as_mut_slice());
    cipher
        .decrypt_inout_detached(&XNonce::from(*nonce), place, buffer, &Tag::from(*tag))
        .ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::of(Key::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let vault = vault(1);
        let name = vault.name(Kind::Item, "17");
        let sealed = vault.seal(Kind::Item, &name, b"liked").unwrap();
        let open = |vault: &Vault, kind, name: &Name, sealed: &[u8]| {
            vault.open(kind, name, sealed).map(|plain| plain.to_vec())
        };
        assert_eq!(open(&vault, Kind::Item, &name, &sealed).unwrap(), b"liked");
        assert!(open(&vault, Kind::Shown, &name, &sealed).is_none());
        let other = vault.name(Kind::Item, "18");
        assert!(open(&vault, Kind::Item, &other, &sealed).is_none());
        assert!(open(&super::tests::vault(2), Kind::Item, &name, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&vault, Kind::Item, &name, &changed).is_none());
            assert!(open(&vault, Kind::Item, &name, &sealed[..at]).is_none());
        }
    }

    #[test]
    fn the_same_record_never_looks_the_same() {
        let vault = vault(1);
        let name = vault.name(Kind::Item, "17");
        let seal = || vault.seal(Kind::Item, &name, b"liked").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn names_depend_on_kind_key_and_data_key() {
        let names = [
            vault(1).name(Kind::Item, "17"),
            vault(1).name(Kind::Item, "18"),
            vault(1).name(Kind::Shown, "17"),
            vault(2).name(Kind::Item, "17"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(names[..at].iter().all(|other| other != name));
        }
        assert_eq!(names[0], vault(1).name(Kind::Item, "17"));
    }

    #[test]
    fn a_wrapped_key_opens_with_its_key_alone() {
        let (key, other) = (Key::new([8; 32]), Key::new([9; 32]));
        let wrapped = vault(1).wrap(&key).unwrap();
        assert_eq!(Vault::unwrap(&key, &wrapped).unwrap().id(), vault(1).id());
        assert!(Vault::unwrap(&other, &wrapped).is_none());
        assert_ne!(key_id(&key), key_id(&other));
    }
}
