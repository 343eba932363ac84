//! The one form in which states of a round are kept: a version, the content, and a digest that finds damage. It does not
//! find forgery: whoever can write into the store has won.

use postcard::ser_flavors::Size;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::Digest;

/// Length of the digest at the end.
const DIGEST: usize = 32;

/// What is kept of one kind.
pub(crate) struct Form {
    /// The first byte. Another layout gets another number.
    pub version: u8,
    /// Tells the kinds apart.
    pub domain: &'static str,
}

impl Form {
    /// The bytes of `content`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, content: &impl Serialize) -> postcard::Result<Zeroizing<Vec<u8>>> {
        // Measured first: a vector that grows leaves secrets behind in the memory that it grew out of.
        let length = postcard::serialize_with_flavor(content, Size::default())?;
        let mut bytes = Zeroizing::new(vec![0; 1 + length + DIGEST]);
        let (body, digest) = bytes.split_at_mut(1 + length);
        if let Some((version, place)) = body.split_first_mut() {
            *version = self.version;
            postcard::to_slice(content, place)?;
        }
        digest.copy_from_slice(&self.digest(body));
        Ok(bytes)
    }

    /// The content again.
    ///
    /// # Errors
    /// When the bytes are damaged, cut off, too long or of another version.
    pub fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, String> {
        if bytes.first() != Some(&self.version) {
            return Err("it is empty or of another version".to_owned());
        }
        let damaged = || "its bytes are damaged".to_owned();
        let (body, digest) = bytes.split_last_chunk::<DIGEST>().ok_or_else(damaged)?;
        if self.digest(body) != *digest {
            return Err(damaged());
        }
        let content = body.get(1..).unwrap_or_default();
        let (content, rest) =
            postcard::take_from_bytes(content).map_err(|error| error.to_string())?;
        match rest.is_empty() {
            true => Ok(content),
            false => Err("there is more than was kept".to_owned()),
        }
    }

    fn digest(&self, body: &[u8]) -> [u8; DIGEST] {
        Digest::of_parts(self.domain, &[body]).0
    }
}
