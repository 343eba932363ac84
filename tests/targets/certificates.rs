//! Certificates and requests for them, DER and PEM.

use chorus_protocol::{Certificates, Identity};
use chorus_wire::{
    certificate::{Authority, Role, certificate_request, verify, verify_request},
    tls::pkcs8,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SubjectPublicKeyInfo,
};
use std::sync::OnceLock;

use super::world::member;

const NOW: i64 = 1_800_000_000;

/// The authority here, its certificate as text, and what it issued: one certificate for each role.
struct Issued {
    authority: Authority,
    text: String,
    certificates: Vec<(Role, Vec<u8>)>,
}

fn issued() -> &'static Issued {
    static ISSUED: OnceLock<Issued> = OnceLock::new();
    ISSUED.get_or_init(|| {
        let key = pkcs8(&Identity::from_seed(&[201; 32]));
        let key = key.as_slice().into();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let own = params.self_signed(&key).expect("it signs itself");
        let authority = Authority::from_der(own.der().to_vec()).expect("an authority");
        let issuer = Issuer::new(params, key);
        let roles = [
            Role::Client,
            Role::Coordinator,
            Role::Witness,
            Role::Authority,
        ];
        let certificates = roles.map(|role| (role, issue(&issuer, role)));
        Issued {
            authority,
            text: own.pem(),
            certificates: certificates.into(),
        }
    })
}

fn issue(issuer: &Issuer<'_, KeyPair>, role: Role) -> Vec<u8> {
    let names = match role.answers() {
        true => vec!["localhost".to_owned()],
        false => Vec::new(),
    };
    let mut params = CertificateParams::new(names).expect("a name");
    params.distinguished_name = DistinguishedName::new();
    let name = (DnType::OrganizationName, role.name());
    params.distinguished_name.push(name.0, name.1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let purposes = [
        (role.answers(), ExtendedKeyUsagePurpose::ServerAuth),
        (role.calls(), ExtendedKeyUsagePurpose::ClientAuth),
    ];
    let purposes = purposes.into_iter().filter(|(has, _)| *has);
    params.extended_key_usages = purposes.map(|(_, purpose)| purpose).collect();
    // The default is from 1975 to 4096.
    let head = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let key = [&head[..], &member(3).public()].concat();
    let key = SubjectPublicKeyInfo::from_der(&key).expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("it is signed");
    certificate.der().to_vec()
}

/// A certificate that should be the authority's, or one of its own.
pub fn certificate(bytes: &[u8]) -> bool {
    let Issued {
        authority,
        certificates,
        ..
    } = issued();
    let verified = authority.verify(bytes, NOW);
    match &verified {
        // Signed means issued: there are no others.
        Ok(enrolled) => {
            assert!(certificates.contains(&(enrolled.role, bytes.to_vec())));
            assert_eq!(enrolled.key, member(3).public());
            let (role, at) = (enrolled.role, authority.at(NOW));
            assert_eq!(at.enrolled_key(bytes).is_ok(), role == Role::Client);
            assert_eq!(at.witness_key(bytes).is_ok(), role == Role::Witness);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _foreign = verify(bytes, &member(3).public(), NOW);
    let own = Authority::from_der(bytes.to_vec());
    if let Ok(own) = &own {
        assert_eq!(own.der(), bytes);
    }
    let text = Authority::from_pem(bytes);
    verified.is_ok() || own.is_ok() || text.is_ok()
}

pub fn certificate_seeds() -> Vec<Vec<u8>> {
    let issued = issued();
    let certificates = issued.certificates.iter();
    certificates
        .map(|(_, der)| der.clone())
        .chain([
            issued.authority.der().to_vec(),
            issued.text.clone().into_bytes(),
        ])
        .collect()
}

/// A certificate request.
pub fn request(bytes: &[u8]) -> bool {
    match verify_request(bytes) {
        // Nobody else holds a key here.
        Ok(key) => assert!(key == member(3).public() || key == member(4).public()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    verify_request(bytes).is_ok()
}

pub fn request_seeds() -> Vec<Vec<u8>> {
    vec![
        certificate_request(&member(3)),
        certificate_request(&member(4)),
    ]
}
