use chorus_protocol::{ClientId, Identity};
use chorus_wire::certificate::{Authority, Role};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};

use super::FakeError;

/// Seconds since 1970 UTC at which every certificate of a made-up authority is valid.
pub(crate) const VALID: i64 = 1_800_000_000;

/// An enrolment authority that nobody runs, in the profile of `chorus-wire`.
pub(crate) struct MadeUp {
    pub authority: Authority,
    issuer: Issuer<'static, KeyPair>,
}

/// Who a client is to the coordinator.
#[derive(Clone)]
pub(crate) struct Card {
    pub id: ClientId,
    pub key: [u8; 32],
    pub certificate: Vec<u8>,
}

impl MadeUp {
    pub fn new(identity: &Identity) -> Result<Self, FakeError> {
        let key = pair(identity)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(DnType::CommonName, "made up for a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let der = params.self_signed(&key)?.der().to_vec();
        Ok(Self {
            authority: Authority::from_der(der)?,
            issuer: Issuer::new(params, key),
        })
    }

    /// The card of whoever holds this key.
    pub fn certify(&self, identity: &Identity) -> Result<Card, FakeError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(DnType::OrganizationName, Role::Client.name());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let certificate = params.signed_by(&pair(identity)?, &self.issuer)?;
        Ok(Card {
            id: identity.id(),
            key: identity.public(),
            certificate: certificate.der().to_vec(),
        })
    }
}

#[cfg(test)]
impl MadeUp {
    /// The certificate of a coordinator at `localhost`.
    pub fn certify_server(&self, identity: &Identity) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = named(DnType::OrganizationName, Role::Coordinator.name());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let certificate = params.signed_by(&pair(identity).unwrap(), &self.issuer);
        certificate.unwrap().der().to_vec()
    }
}

fn named(what: DnType, name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(what, name);
    names
}

fn pair(identity: &Identity) -> Result<KeyPair, FakeError> {
    let pkcs8 = chorus_wire::tls::pkcs8(identity);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(
        &pkcs8.to_vec().into(),
        &PKCS_ED25519,
    )?)
}
