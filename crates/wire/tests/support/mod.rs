//! A federation in a test: an authority that issues, and a coordinator that answers anything.

#![allow(dead_code, unused_imports)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use chorus_protocol::{ClientId, Digest, Request, Response, RoundId, TaskName};
use chorus_secagg::Ring;
use chorus_wire::{
    Kind, Rejection, Shape,
    certificate::Role,
    client::{Connection, Open, SendError},
    server::{Limits, Peer, ServeError, ServerTls, Service, serve_training},
};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};

pub mod root;
pub mod rude;

pub use root::{NOW, Root, clock, target};

impl Root {
    pub fn connect(&self, address: SocketAddr, seed: u8) -> Connection {
        let credentials = self.credentials(seed, Role::Client);
        Connection::new(
            target(address),
            &self.authority,
            &credentials,
            &clock(),
            Arc::new(Open),
        )
        .unwrap()
    }
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
    /// The label of every refusal that it was told of.
    pub refused: Mutex<Vec<String>>,
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
            upload: Shape {
                ring: Ring::Bits32,
                length: 8,
            },
            round_is_on: AtomicBool::new(true),
            admits: AtomicBool::new(true),
            gate: watch::Sender::new(true),
            dropped: AtomicUsize::new(0),
            refused: Mutex::default(),
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
        let answer = (self.answer)(&request);
        if let Request::Upload { update, .. } = request {
            self.uploads
                .lock()
                .unwrap()
                .push(update.masked.into_bytes());
        }
        answer
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

    fn refused(&self, label: &str) {
        self.refused.lock().unwrap().push(label.to_owned());
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

/// The most memory that this process ever had.
pub fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes.map_or(0, |kilobytes| 1024 * kilobytes.parse::<u64>().unwrap())
}
