//! Certificates of the profile that `chorus_wire::certificate` accepts.

use chorus_protocol::Identity;
use chorus_wire::certificate::Role;
use ed25519_dalek::{Signer, SigningKey as Key};
use rand_core::CryptoRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use time::OffsetDateTime;

use crate::AuthorityError;

/// What the authority calls itself.
const NAME: &str = "chorus enrolment authority";

/// An authority lives this long: its certificate is pinned everywhere, and changing it means enrolling everyone anew.
const AUTHORITY_SECONDS: i64 = 20 * 365 * 86_400;

/// Certificates are valid from a little earlier on, because clocks differ.
const SKEW_SECONDS: i64 = 300;

/// An Ed25519 key as `rcgen` wants it, kept by `ed25519-dalek`, which wipes it.
struct Signing {
    key: Key,
    public: [u8; 32],
}

impl Signing {
    fn of(identity: &Identity) -> Self {
        Self {
            key: Key::from_bytes(&identity.seed()),
            public: identity.public(),
        }
    }
}

impl PublicKeyData for Signing {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

/// A holder's public key.
struct Holder([u8; 32]);

impl PublicKeyData for Holder {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

/// What a certificate is to say.
pub(crate) struct Wanted<'a> {
    pub key: [u8; 32],
    pub role: Role,
    /// The name of the server, for every role but a client's.
    pub server_name: Option<&'a str>,
    /// Valid from now for so long, in seconds.
    pub seconds: i64,
}

/// A certificate and what the authority keeps of it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub der: Vec<u8>,
    pub serial: Vec<u8>,
    pub not_after: i64,
}

/// The authority's own certificate, self-signed, PEM.
pub(crate) fn authority(
    identity: &Identity,
    now: i64,
    rng: &mut impl CryptoRng,
) -> Result<String, AuthorityError> {
    let mut params = authority_params();
    params.not_before = moment(now - SKEW_SECONDS)?;
    params.not_after = moment(now + AUTHORITY_SECONDS)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial(rng)));
    Ok(params.self_signed(&Signing::of(identity))?.pem())
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Issues a certificate.
pub(crate) fn issue(
    identity: &Identity,
    wanted: &Wanted<'_>,
    now: i64,
    rng: &mut impl CryptoRng,
) -> Result<Issued, AuthorityError> {
    let names: Vec<String> = wanted.server_name.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, wanted.role.name());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let purposes = [
        (wanted.role.answers(), ExtendedKeyUsagePurpose::ServerAuth),
        (wanted.role.calls(), ExtendedKeyUsagePurpose::ClientAuth),
    ];
    params.extended_key_usages = purposes
        .into_iter()
        .filter_map(|(applies, purpose)| applies.then_some(purpose))
        .collect();
    let not_after = now + wanted.seconds;
    params.not_before = moment(now - SKEW_SECONDS)?;
    params.not_after = moment(not_after)?;
    let serial = serial(rng);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let issuer = Issuer::new(authority_params(), Signing::of(identity));
    let certificate = params.signed_by(&Holder(wanted.key), &issuer)?;
    Ok(Issued {
        der: certificate.der().to_vec(),
        serial: serial.to_vec(),
        not_after,
    })
}

/// A server name that a certificate can be for.
pub(crate) fn check_server_name(name: &str) -> Result<(), AuthorityError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| {
        let hyphens = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && label.bytes().all(legal) && !hyphens
    };
    let is_dns = name.len() <= 253 && name.split('.').all(is_label);
    if is_dns || name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err(AuthorityError::ServerName(name.escape_debug().to_string()))
}

/// 16 random bytes as a positive number without leading zeros, so that it has one spelling.
fn serial(rng: &mut impl CryptoRng) -> [u8; 16] {
    let mut serial = [0; 16];
    rng.fill_bytes(&mut serial);
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    serial
}

fn moment(seconds: i64) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| AuthorityError::Lifetime(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use chorus_wire::certificate::{Authority, CertificateError};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn what_is_issued_is_what_is_accepted() {
        let rng = &mut StdRng::seed_from_u64(1);
        let identity = Identity::generate(rng);
        let pem = authority(&identity, NOW, rng).unwrap();
        let authority = Authority::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(authority.key(), identity.public());
        let holder = Identity::generate(rng).public();
        for role in [
            Role::Client,
            Role::Coordinator,
            Role::Witness,
            Role::Authority,
        ] {
            let server_name = (role != Role::Client).then_some("localhost");
            let wanted = Wanted {
                key: holder,
                role,
                server_name,
                seconds: 600,
            };
            let issued = issue(&identity, &wanted, NOW, rng).unwrap();
            let enrolled = authority.verify(&issued.der, NOW).unwrap();
            assert_eq!((enrolled.key, enrolled.role), (holder, role));
            assert_eq!(
                (&enrolled.serial, enrolled.not_after),
                (&issued.serial, issued.not_after)
            );
            assert!(issued.der.len() < 600, "{}", issued.der.len());
            assert!(authority.verify(&issued.der, NOW + 600).is_ok());
            let late = authority.verify(&issued.der, NOW + 601);
            assert!(matches!(late, Err(CertificateError::Expired { .. })));
            let early = authority.verify(&issued.der, NOW - SKEW_SECONDS - 1);
            assert!(matches!(early, Err(CertificateError::Expired { .. })));
        }
        // The authority's certificate is nobody's certificate.
        assert!(authority.verify(authority.der(), NOW).is_err());
    }

    #[test]
    fn a_profile_that_is_nearly_right_is_refused() {
        let rng = &mut StdRng::seed_from_u64(2);
        let identity = Identity::generate(rng);
        let pem = super::authority(&identity, NOW, rng).unwrap();
        let authority = Authority::from_pem(pem.as_bytes()).unwrap();
        let issuer = Issuer::new(authority_params(), Signing::of(&identity));
        let holder = Holder(Identity::generate(rng).public());
        let good = || {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, "client");
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.not_before = moment(NOW).unwrap();
            params.not_after = moment(NOW + 1).unwrap();
            params
        };
        let serves = |role: &str, purposes: Vec<ExtendedKeyUsagePurpose>| {
            let mut params = good();
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, role);
            params.extended_key_usages = purposes;
            params.subject_alt_names = CertificateParams::new(["localhost".to_owned()])
                .unwrap()
                .subject_alt_names;
            params
        };
        let verify = |params: CertificateParams| {
            authority.verify(params.signed_by(&holder, &issuer).unwrap().der(), NOW)
        };
        assert!(verify(good()).is_ok());
        let changes: [fn(&mut CertificateParams); 9] = [
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
            |params| params.key_usages.clear(),
            |params| {
                params
                    .extended_key_usages
                    .push(ExtendedKeyUsagePurpose::ServerAuth)
            },
            |params| params.extended_key_usages.clear(),
            |params| {
                params
                    .distinguished_name
                    .push(DnType::CommonName, "a person")
            },
            |params| {
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, "admin")
            },
            |params| {
                params.subject_alt_names = CertificateParams::new(["localhost".to_owned()])
                    .unwrap()
                    .subject_alt_names
            },
            |params| {
                let mut extension = rcgen::CustomExtension::from_oid_content(
                    &[1, 3, 6, 1, 4, 1, 99999, 1],
                    vec![5, 0],
                );
                extension.set_criticality(true);
                params.custom_extensions = vec![extension];
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut params = good();
            change(&mut params);
            let refused = verify(params);
            assert!(
                matches!(refused, Err(CertificateError::Profile(_))),
                "{number}: {refused:?}"
            );
        }
        // A coordinator answers and calls; a witness and an authority answer.
        let answers = || ExtendedKeyUsagePurpose::ServerAuth;
        let both = || vec![answers(), ExtendedKeyUsagePurpose::ClientAuth];
        assert!(verify(serves("coordinator", both())).is_ok());
        assert!(verify(serves("coordinator", vec![answers()])).is_err());
        for role in ["witness", "authority"] {
            assert!(verify(serves(role, vec![answers()])).is_ok(), "{role}");
            assert!(verify(serves(role, both())).is_err(), "{role}");
        }
        let foreign = Identity::generate(rng);
        let issuer = Issuer::new(authority_params(), Signing::of(&foreign));
        let der = good().signed_by(&holder, &issuer).unwrap();
        assert_eq!(
            authority.verify(der.der(), NOW),
            Err(CertificateError::Foreign)
        );
    }
}
