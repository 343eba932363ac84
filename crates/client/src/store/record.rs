use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::{damaged, unusable};
use super::vault::Plain;
use super::{Kind, StoreError};

/// One thing that the store keeps: a value of one kind under a key.
///
/// What is stored is the value as JSON, so that a field can be added with a default, and behind it a tail of bytes.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;

    /// What tells it from the others of its kind; `all` gives them in this order.
    fn key(&self) -> String;

    /// Bytes that JSON would only swell, kept behind it.
    fn tail(&self) -> &[u8] {
        &[]
    }

    /// Takes the tail back.
    fn with_tail(self, _tail: &[u8]) -> Self {
        self
    }
}

/// Lengths of sealed records are multiples of this, so that they tell little about what is inside.
const STEP: usize = 64;

/// A record in the clear: key, JSON and tail, each behind its length (32 bits, little-endian), padded with zeros.
pub(super) fn encode<R: Record>(record: &R, path: &Path) -> Result<Plain, StoreError> {
    let json = Plain::new(serde_json::to_vec(record).map_err(|error| unusable(path, error))?);
    let key = record.key();
    let parts = [key.as_bytes(), json.as_slice(), record.tail()];
    let length: usize = parts.iter().map(|part| 4 + part.len()).sum();
    let mut plain = Plain::new(Vec::with_capacity(length.next_multiple_of(STEP)));
    for part in parts {
        let length = u32::try_from(part.len()).map_err(|error| unusable(path, error))?;
        plain.extend_from_slice(&length.to_le_bytes());
        plain.extend_from_slice(part);
    }
    plain.resize(length.next_multiple_of(STEP), 0);
    Ok(plain)
}

/// The key of a record in the clear, its JSON and its tail.
pub(super) fn parts(plain: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (key, rest) = part(plain)?;
    let (json, rest) = part(rest)?;
    let (tail, _) = part(rest)?;
    Some((std::str::from_utf8(key).ok()?, json, tail))
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// The record in `plain`, and its key.
pub(super) fn decode<R: Record>(plain: &[u8], path: &Path) -> Result<(String, R), StoreError> {
    let (key, json, tail) = parts(plain).ok_or_else(|| damaged(path, "a record is cut short"))?;
    let record: R = serde_json::from_slice(json).map_err(|error| damaged(path, error))?;
    Ok((key.to_owned(), record.with_tail(tail)))
}
