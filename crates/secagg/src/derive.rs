//! HKDF-SHA256 (RFC 5869): the one way a key comes into being in this crate.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// The digest of everything a round is about: protocol version, task, round, model, plan.
///
/// Each client computes it from the bytes it actually trains on. It is the salt of every key derivation, so two
/// clients that were shown different models derive different keys: their envelopes do not open and their masks
/// do not cancel (secagg.md 4.2 and 4.4, "model inconsistency").
///
/// A public value, hence `Debug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoundDigest(pub [u8; 32]);

/// Derives `N` bytes from `secret`. `info` is the concatenation of the parts.
///
/// Every caller starts `info` with its own fixed text and adds parts of fixed length only, so no two uses can
/// produce the same `info`.
pub(crate) fn derive<const N: usize>(
    salt: &[u8],
    secret: &[u8],
    info: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    // RFC 5869 2.3 allows at most 255 blocks of output; this proves at compile time that `expand` cannot refuse.
    const { assert!(N <= 255 * 32) };
    let mut key = Zeroizing::new([0; N]);
    let (mut extracted, hkdf) = Hkdf::<Sha256>::extract(Some(salt), secret);
    extracted.as_mut_slice().zeroize();
    let expanded = hkdf.expand_multi_info(info, key.as_mut_slice());
    debug_assert!(expanded.is_ok());
    key
}

#[cfg(test)]
mod tests {
    use super::derive;

    /// RFC 5869 appendix A.1.
    #[test]
    fn rfc_5869_case_1() {
        let salt = hex::decode("000102030405060708090a0b0c").unwrap();
        let info = hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap();
        let key = derive::<42>(&salt, &[0x0b; 22], &[&info[..3], &info[3..]]);
        assert_eq!(
            hex::encode(*key),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }

    /// RFC 5869 appendix A.3: no salt, no info.
    #[test]
    fn rfc_5869_case_3() {
        let key = derive::<42>(&[], &[0x0b; 22], &[]);
        assert_eq!(
            hex::encode(*key),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }
}
