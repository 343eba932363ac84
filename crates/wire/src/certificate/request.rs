//! Certificate requests (PKCS#10, RFC 2986). Writing one is a fixed frame of 129 bytes around a key and a signature,
//! so it is written here: `rcgen` would double the X.509 code in every client for it. Reading one is as general
//! as other tools need (any subject, any attributes), because both are ignored.

use chorus_protocol::Identity;
use ed25519_dalek::{Signature, Signer, SigningKey};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use super::{
    CertificateError,
    parse::{is_ed25519, public_key},
};
use crate::limits::MAX_CERTIFICATE_BYTES;

/// `SEQUENCE { version 0, empty subject, SubjectPublicKeyInfo { Ed25519, BIT STRING`, up to the key.
const BEFORE_KEY: [u8; 19] = [
    0x30, 0x33, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
    0x03, 0x21, 0x00,
];

/// No attributes.
const AFTER_KEY: [u8; 2] = [0xa0, 0x00];

/// The whole: `SEQUENCE` of 127 bytes.
const BEFORE_INFO: [u8; 2] = [0x30, 0x7f];

/// `Ed25519, BIT STRING`, up to the signature.
const BEFORE_SIGNATURE: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00];

/// A certificate request for the key of `identity`, signed with it. DER.
///
/// The signature is over the request's own bytes, not over a digest with a domain, as RFC 2986 wants it; they begin
/// with `30 33` and are 53 long, so no signature for another purpose (32 bytes) or TLS (64 spaces first) is one.
///
/// # Privacy
/// Names the public key and nothing else.
pub fn certificate_request(identity: &Identity) -> Vec<u8> {
    let info = [&BEFORE_KEY[..], &identity.public(), &AFTER_KEY].concat();
    let signature = SigningKey::from_bytes(&identity.seed()).sign(&info);
    [
        &BEFORE_INFO[..],
        &info,
        &BEFORE_SIGNATURE,
        &signature.to_bytes(),
    ]
    .concat()
}

/// The public key of a certificate request whose sender proved that it holds the private one.
///
/// # Errors
/// When it is no PKCS#10 request in DER, not for an Ed25519 key, or not signed by that key.
pub fn verify_request(der: &[u8]) -> Result<[u8; 32], CertificateError> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(CertificateError::Request("it is longer than 4096 bytes"));
    }
    let (rest, request) = X509CertificationRequest::from_der(der)
        .map_err(|_| CertificateError::Request("it is not PKCS#10 in DER"))?;
    let info = &request.certification_request_info;
    let key = public_key(&info.subject_pki)
        .map_err(|_| CertificateError::Request("expected an Ed25519 public key"))?;
    let bits = &request.signature_value;
    let signature = Signature::from_slice(&bits.data)
        .map_err(|_| CertificateError::Request("expected an Ed25519 signature"))?;
    if !rest.is_empty() || !is_ed25519(&request.signature_algorithm) || bits.unused_bits != 0 {
        return Err(CertificateError::Request(
            "expected an Ed25519 signature and nothing behind it",
        ));
    }
    key.verify_strict(info.raw, &signature)
        .map_err(|_| CertificateError::Request("it is not signed by the key it is for"))?;
    Ok(key.to_bytes())
}
