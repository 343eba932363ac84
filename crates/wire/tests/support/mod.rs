//! A federation in a test: an authority that issues, and a coordinator that answers anything.

#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use chorus_protocol::{ClientId, Digest, Identity, Request, Response, RoundId, TaskName};
use chorus_wire::{
    Clock, Kind, Rejection,
    certificate::{Authority, Role},
    client::{Connection, SendError, Target},
    server::{Limits, Peer, ServeError, ServerTls, Service, serve_training},
    tls::{Credentials, pkcs8},
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};

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
        params.extended_key_usages = vec![match role {
            Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
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

    pub fn connect(&self, address: SocketAddr, seed: u8) -> Connection {
        let credentials = self.credentials(seed, Role::Client);
        Connection::new(target(address), &self.authority, &credentials, &clock()).unwrap()
    }
}

/// The shape of an upload of so many values of 32 bits, and the check values after them.
pub fn words(length: usize) -> Shape {
    let ring = Ring::Bits32;
    Shape { ring, length }
}

pub fn target(address: SocketAddr) -> Target {
    Target::with_name(&address.to_string(), "localhost").unwrap()
}

type Answer = Box<dyn Fn(&Request) -> Result<Response, Rejection> + Send + Sync>;

/// A coordinator that answers as it is told and remembers what it heard.
pub struct Dummy {
    pub answer: Answer,
    pub heard: Mutex<Vec<(ClientId, String)>>,
    pub uploads: Mutex<Vec<Vec<u8>>>,
    pub model: Arc<[u8]>,
    pub upload: Shape,
    pub round_is_on: AtomicBool,
    pub admits: AtomicBool,
    /// Calls wait for this to become true.
    pub gate: watch::Sender<bool>,
    /// Calls that were dropped before they ended.
    pub dropped: AtomicUsize,
}

impl Dummy {
    pub fn new(
        answer: impl Fn(&Request) -> Result<Response, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Box::new(answer),
            heard: Mutex::default(),
            uploads: Mutex::default(),
            model: Arc::from([]),
            upload: words(8),
            round_is_on: AtomicBool::new(true),
            admits: AtomicBool::new(true),
            gate: watch::Sender::new(true),
            dropped: AtomicUsize::new(0),
        }
    }
}

pub fn kind(request: &Request) -> &'static str {
    match request {
        Request::CheckIn { .. } => "check-in",
        Request::FetchLog { .. } => "fetch-log",
        Request::FetchModel { .. } => "fetch-model",
        Request::AdvertiseKeys { .. } => "advertise-keys",
        Request::ShareKeys { .. } => "share-keys",
        Request::ConfirmShares { .. } => "confirm-shares",
        Request::Upload { .. } => "upload",
        Request::Endorse { .. } => "endorse",
        Request::Unmask { .. } => "unmask",
        Request::Await { .. } => "await",
    }
}

/// Counts itself when it is dropped before its end.
struct Unfinished<'a>(Option<&'a AtomicUsize>);

impl Unfinished<'_> {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(dropped) = self.0 {
            dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Service for Dummy {
    fn admit(&self, _: &Peer) -> Result<(), Rejection> {
        if self.admits.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err(Rejection::new(
                Kind::Forbidden,
                "revoked",
                "this certificate was revoked",
            ))
        }
    }

    async fn handle(&self, peer: &Peer, request: Request) -> Result<Response, Rejection> {
        self.heard
            .lock()
            .unwrap()
            .push((peer.id, kind(&request).to_owned()));
        let unfinished = Unfinished(Some(&self.dropped));
        let _ = self.gate.subscribe().wait_for(|open| *open).await;
        unfinished.end();
        if let Request::Upload { update, .. } = &request {
            self.uploads.lock().unwrap().push(update.bytes().to_vec());
        }
        (self.answer)(&request)
    }

    async fn model(&self, _: &Peer, digest: Digest) -> Result<Arc<[u8]>, Rejection> {
        if digest == Digest::of(&self.model) {
            Ok(self.model.clone())
        } else {
            Err(Rejection::new(
                Kind::Unknown,
                "unknown-model",
                "there is no model with this digest",
            ))
        }
    }

    async fn upload_shape(&self, _: &Peer, round: RoundId) -> Result<Shape, Rejection> {
        if round == RoundId(5) && self.round_is_on.load(Ordering::SeqCst) {
            Ok(self.upload)
        } else {
            Err(Rejection::new(
                Kind::OutOfPlace,
                "unknown-round",
                "this round is not running",
            ))
        }
    }
}

/// A training server on a port of its own.
pub struct Running {
    pub address: SocketAddr,
    pub service: Arc<Dummy>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub async fn start(root: &Root, service: Dummy) -> Self {
        Self::start_with(root, service, Limits::default()).await
    }

    pub async fn start_with(root: &Root, service: Dummy, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let credentials = root.credentials(200, Role::Coordinator);
        let tls = ServerTls::mutual(&credentials, &root.authority, &clock())
            .unwrap()
            .with_limits(limits);
        let service = Arc::new(service);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve_training(listener, tls, service.clone(), until(stopped));
        Self {
            address,
            service,
            stop,
            task: tokio::spawn(serving),
        }
    }

    /// Stops the server, which must end without an error.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }
}

async fn until(stopped: oneshot::Receiver<()>) {
    let _ = stopped.await;
}

/// What was heard, without who said it.
pub fn kinds(service: &Dummy) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for (_, kind) in service.heard.lock().unwrap().iter() {
        *kinds.entry(kind.clone()).or_default() += 1;
    }
    kinds
}

pub fn accepting() -> Dummy {
    Dummy::new(|_| Ok(Response::Accepted))
}

pub fn check_in() -> Request {
    Request::CheckIn {
        task: TaskName::try_from("movies".to_owned()).unwrap(),
    }
}

pub fn label(result: Result<Response, SendError>) -> String {
    match result {
        Err(SendError::Refused { label, .. }) => label,
        other => panic!("expected a refusal, found {other:?}"),
    }
}
