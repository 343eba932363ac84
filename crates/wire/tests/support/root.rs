//! An authority that issues what a test wants.

#![allow(dead_code)]

use std::net::SocketAddr;

use chorus_protocol::Identity;
use chorus_wire::{
    Clock,
    certificate::{Authority, Role},
    client::Target,
    tls::{Credentials, pkcs8},
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

/// When every test happens, seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

pub fn clock() -> Clock {
    Clock::new(|| NOW)
}

/// An authority as the test needs one: see `chorus-authority` for the real one.
pub struct Root {
    pub authority: Authority,
    issuer: Issuer<'static, KeyPair>,
}

impl Root {
    pub fn new(seed: u8) -> Self {
        let key = pkcs8(&Identity::from_seed(&[seed; 32]));
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&key.as_slice().into(), &PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority =
            Authority::from_der(params.self_signed(&key).unwrap().der().to_vec()).unwrap();
        Self {
            authority,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `role`, valid from `NOW` for `seconds`.
    pub fn issue(&self, identity: &Identity, role: Role, seconds: i64) -> Vec<u8> {
        let names = if role == Role::Client {
            vec![]
        } else {
            vec!["localhost".to_owned()]
        };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, role.name());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let (answers, calls) = (
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        params.extended_key_usages = match role {
            Role::Client => vec![calls],
            Role::Coordinator => vec![answers, calls],
            Role::Witness | Role::Authority => vec![answers],
        };
        params.not_before = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(NOW + seconds).unwrap();
        let info = [
            &[
                0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
            ][..],
            &identity.public(),
        ]
        .concat();
        let holder = SubjectPublicKeyInfo::from_der(&info).unwrap();
        params
            .signed_by(&holder, &self.issuer)
            .unwrap()
            .der()
            .to_vec()
    }

    pub fn credentials(&self, seed: u8, role: Role) -> Credentials {
        let identity = Identity::from_seed(&[seed; 32]);
        Credentials::new(&identity, self.issue(&identity, role, 3600))
    }
}

pub fn target(address: SocketAddr) -> Target {
    Target::with_name(&address.to_string(), "localhost").unwrap()
}
