use ed25519_dalek::{Signature, VerifyingKey};
use x509_parser::{
    certificate::{TbsCertificate, X509Certificate},
    extensions::{ExtendedKeyUsage, ParsedExtension},
    oid_registry::{OID_SIG_ED25519, OID_X509_ORGANIZATION_NAME},
    prelude::FromDer,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Name, X509Version},
};

use super::{CertificateError, Enrolled, Role};
use crate::limits::MAX_CERTIFICATE_BYTES;

/// Key usage bit 0 (RFC 5280, section 4.2.1.3), in the order in which `x509-parser` keeps the bits.
const DIGITAL_SIGNATURE: u16 = 1;

/// Key usage bit 5, the same.
const SIGN_CERTIFICATES: u16 = 1 << 5;

/// Checks an enrolment certificate against the authority's Ed25519 public key, at `now` (seconds since 1970 UTC).
///
/// # Errors
/// When it is not of the profile of this module, not signed by `authority`, or outside its time.
pub fn verify(der: &[u8], authority: &[u8; 32], now: i64) -> Result<Enrolled, CertificateError> {
    let key = VerifyingKey::from_bytes(authority).map_err(|_| CertificateError::Foreign)?;
    verify_with(der, &key, now)
}

pub(super) fn verify_with(
    der: &[u8],
    authority: &VerifyingKey,
    now: i64,
) -> Result<Enrolled, CertificateError> {
    let certificate = parse(der)?;
    let body = &certificate.tbs_certificate;
    let role = role(&body.subject)?;
    check_leaf(body, role)?;
    let key = public_key(&body.subject_pki)?.to_bytes();
    check_signature(&certificate, authority)?;
    let (not_before, not_after) = (
        body.validity.not_before.timestamp(),
        body.validity.not_after.timestamp(),
    );
    let enrolled = Enrolled {
        key,
        role,
        not_before,
        not_after,
        serial: trimmed(body.raw_serial()),
    };
    enrolled.check_time(now)?;
    Ok(enrolled)
}

/// The key of an authority's own, self-signed certificate.
pub(super) fn authority_key(der: &[u8]) -> Result<VerifyingKey, CertificateError> {
    let certificate = parse(der)?;
    let body = &certificate.tbs_certificate;
    let key = public_key(&body.subject_pki)?;
    check_signature(&certificate, &key)?;
    let mut signs = false;
    let mut is_authority = false;
    for extension in body.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => is_authority = constraints.ca,
            ParsedExtension::KeyUsage(usage) => signs = usage.flags & SIGN_CERTIFICATES != 0,
            _ => {}
        }
    }
    if signs && is_authority {
        Ok(key)
    } else {
        Err(CertificateError::Profile(
            "expected the certificate of an authority, one that may sign certificates",
        ))
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(CertificateError::Profile("it is longer than 4096 bytes"));
    }
    let (rest, certificate) = X509Certificate::from_der(der)
        .map_err(|_| CertificateError::Profile("it is not X.509 in DER"))?;
    if !rest.is_empty() {
        return Err(CertificateError::Profile("there are bytes behind its end"));
    }
    let body = &certificate.tbs_certificate;
    if body.version != X509Version::V3 {
        return Err(CertificateError::Profile("expected version 3"));
    }
    if body.raw_serial().is_empty() || body.raw_serial().len() > 21 {
        return Err(CertificateError::Profile(
            "expected a serial number of 1 to 20 bytes",
        ));
    }
    if !is_ed25519(&body.signature) || !is_ed25519(&certificate.signature_algorithm) {
        return Err(CertificateError::Profile("expected an Ed25519 signature"));
    }
    Ok(certificate)
}

/// RFC 8410, section 3: the parameters must be absent.
pub(super) fn is_ed25519(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm == OID_SIG_ED25519 && algorithm.parameters.is_none()
}

pub(super) fn public_key(
    info: &SubjectPublicKeyInfo<'_>,
) -> Result<VerifyingKey, CertificateError> {
    let bits = &info.subject_public_key;
    let bytes: Option<&[u8; 32]> = bits.data.as_ref().try_into().ok();
    match bytes {
        Some(bytes) if is_ed25519(&info.algorithm) && bits.unused_bits == 0 => {
            let key = VerifyingKey::from_bytes(bytes)
                .ok()
                .filter(|key| !key.is_weak());
            key.ok_or(CertificateError::Profile(
                "its public key is no sound Ed25519 key",
            ))
        }
        _ => Err(CertificateError::Profile("expected an Ed25519 public key")),
    }
}

fn check_signature(
    certificate: &X509Certificate<'_>,
    key: &VerifyingKey,
) -> Result<(), CertificateError> {
    let bits = &certificate.signature_value;
    let signature = Signature::from_slice(&bits.data).map_err(|_| CertificateError::Foreign)?;
    if bits.unused_bits != 0 {
        return Err(CertificateError::Foreign);
    }
    key.verify_strict(certificate.tbs_certificate.as_ref(), &signature)
        .map_err(|_| CertificateError::Foreign)
}

fn role(subject: &X509Name<'_>) -> Result<Role, CertificateError> {
    let mut attributes = subject.iter_attributes();
    let (first, second) = (attributes.next(), attributes.next());
    first
        .filter(|attribute| {
            second.is_none() && *attribute.attr_type() == OID_X509_ORGANIZATION_NAME
        })
        .and_then(|attribute| attribute.as_str().ok())
        .and_then(Role::of_name)
        .ok_or(CertificateError::Profile(
            "expected the subject `O = client`, `O = coordinator`, `O = witness` or `O = authority`",
        ))
}

fn check_leaf(body: &TbsCertificate<'_>, role: Role) -> Result<(), CertificateError> {
    let (mut usage, mut purpose, mut basic, mut names) = (0, 0, 0, 0);
    for extension in body.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::KeyUsage(found) => {
                usage += 1;
                if found.flags != DIGITAL_SIGNATURE || !extension.critical {
                    return Err(CertificateError::Profile(
                        "expected the key usage `digitalSignature` alone, critical",
                    ));
                }
            }
            ParsedExtension::ExtendedKeyUsage(found) => {
                purpose += 1;
                if !is_purpose(found, role) {
                    return Err(CertificateError::Profile(
                        "its extended key usage does not fit its role",
                    ));
                }
            }
            ParsedExtension::BasicConstraints(found) => {
                basic += 1;
                if found.ca {
                    return Err(CertificateError::Profile(
                        "it claims to be an authority itself",
                    ));
                }
            }
            ParsedExtension::SubjectAlternativeName(_) => names += 1,
            _ if extension.critical => {
                return Err(CertificateError::Profile(
                    "it has a critical extension that is not known here",
                ));
            }
            _ => {}
        }
    }
    match (usage, purpose, basic, names) {
        (1, 1, 0 | 1, names) if names == usize::from(role.answers()) => Ok(()),
        _ => Err(CertificateError::Profile(
            "an extension is missing, doubled or too many",
        )),
    }
}

fn is_purpose(found: &ExtendedKeyUsage<'_>, role: Role) -> bool {
    let others = found.any
        || found.code_signing
        || found.email_protection
        || found.time_stamping
        || found.ocsp_signing
        || !found.other.is_empty();
    !others && found.client_auth == role.calls() && found.server_auth == role.answers()
}

/// A positive DER integer without the zero byte that keeps it positive.
fn trimmed(serial: &[u8]) -> Vec<u8> {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default().to_vec()
}
