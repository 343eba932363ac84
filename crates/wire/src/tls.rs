//! TLS 1.3 and nothing older, with the enrolment authority as the only root of trust.

use std::{fmt, sync::Arc};

use chorus_protocol::Identity;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{Resumption, danger::HandshakeSignatureValid},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};
use zeroize::Zeroizing;

use crate::{
    Clock,
    certificate::{Authority, Role},
};

/// A key and the certificate that was issued for it.
pub struct Credentials {
    certificate: Vec<u8>,
    public: [u8; 32],
    key: Zeroizing<Vec<u8>>,
}

/// Credentials or roots that TLS cannot work with.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("TLS cannot be set up: {0}; does the certificate belong to this key and this authority?")]
pub struct TlsError(String);

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// PKCS#8 (RFC 8410, section 7) of an Ed25519 seed, up to the seed.
const BEFORE_SEED: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The key of `identity` as PKCS#8, DER, 48 bytes.
pub fn pkcs8(identity: &Identity) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BEFORE_SEED.len() + 32));
    bytes.extend_from_slice(&BEFORE_SEED);
    bytes.extend_from_slice(identity.seed().as_ref());
    bytes
}

impl Credentials {
    /// The key of `identity` and its certificate (DER).
    pub fn new(identity: &Identity, certificate: Vec<u8>) -> Self {
        Self {
            certificate,
            public: identity.public(),
            key: pkcs8(identity),
        }
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.certificate.clone())]
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority: &Authority) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec()))?;
    Ok(roots)
}

/// The client side. Without credentials, only a server that asks for none will talk.
///
/// Sessions are never resumed: each connection shows its certificates anew, so that an expired one is noticed.
///
/// # Errors
/// When the key does not fit the certificate, or either cannot be read.
pub fn client(
    authority: &Authority,
    credentials: Option<&Credentials>,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(authority)?);
    let mut config = match credentials {
        Some(credentials) => {
            builder.with_client_auth_cert(credentials.chain(), credentials.private_key())?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The server side. With `callers`, only holders of a valid certificate of that authority for that role are let in;
/// without, anyone is.
///
/// # Errors
/// When the key does not fit the certificate, or either cannot be read.
pub fn server(
    credentials: &Credentials,
    callers: Option<(&Authority, Role)>,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?;
    let builder = match callers {
        Some((authority, role)) => {
            builder.with_client_cert_verifier(Arc::new(Callers::new(authority, role)?))
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(credentials.chain(), credentials.private_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What TLS checks of a caller's certificate, and its role besides: a caller of another role is told by an alert that
/// it will never be let in, not by a connection that closes, which it would try again.
#[derive(Debug)]
struct Callers {
    chain: Arc<dyn ClientCertVerifier>,
    authority: Authority,
    role: Role,
}

impl Callers {
    fn new(authority: &Authority, role: Role) -> Result<Self, TlsError> {
        let roots = Arc::new(roots(authority)?);
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| TlsError(error.to_string()))?;
        Ok(Self {
            chain,
            authority: authority.clone(),
            role,
        })
    }
}

impl ClientCertVerifier for Callers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(certificate, between, now)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match self.authority.verify_role(certificate, self.role, now) {
            Ok(_) => Ok(verified),
            Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
