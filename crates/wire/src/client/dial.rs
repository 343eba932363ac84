use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{Gate, SendError, error::from_io, gate::Gated};
use crate::{
    Clock,
    certificate::{Authority, Role},
    limits::HANDSHAKE_DEADLINE,
};

/// Where a server is, and the name that its certificate must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: Arc<str>,
    name: ServerName<'static>,
}

/// An address that leads nowhere.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no address: expected HOST:PORT, as in `localhost:7440`")]
pub struct TargetError(String);

impl Target {
    /// `address` is `HOST:PORT`; the certificate must be for the host.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn new(address: &str) -> Result<Self, TargetError> {
        let host = address
            .rsplit_once(':')
            .map(|(host, _)| host.trim_matches(['[', ']']));
        Self::with_name(address, host.unwrap_or_default())
    }

    /// As [`Target::new`], where the certificate must be for another name than the host.
    ///
    /// # Errors
    /// When the address is not `HOST:PORT`, or the name is neither a DNS name nor an IP address.
    pub fn with_name(address: &str, name: &str) -> Result<Self, TargetError> {
        let port = address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        let name = ServerName::try_from(name.to_owned());
        match (port, name) {
            (Some(_), Ok(name)) => Ok(Self {
                address: address.into(),
                name,
            }),
            _ => Err(TargetError(address.escape_debug().to_string())),
        }
    }
}

/// Bytes that went over TCP, TLS and all, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// What connections leave behind for their owner.
#[derive(Default)]
struct Notes {
    sent: AtomicU64,
    received: AtomicU64,
    fault: Mutex<Option<SendError>>,
    peer: Mutex<Option<[u8; 32]>>,
}

/// How to reach one server.
#[derive(Clone)]
pub(super) struct Dialler {
    target: Target,
    tls: TlsConnector,
    authority: Arc<Authority>,
    role: Role,
    clock: Clock,
    gate: Arc<dyn Gate>,
    notes: Arc<Notes>,
}

/// Bytes that may be on their way in one stream. A long poll needs few; a thousand clients in one process need them few.
const WINDOW: u32 = 256 << 10;

impl Dialler {
    pub fn new(
        target: Target,
        tls: Arc<ClientConfig>,
        authority: Arc<Authority>,
        role: Role,
        clock: Clock,
        gate: Arc<dyn Gate>,
    ) -> Self {
        Self {
            target,
            tls: TlsConnector::from(tls),
            authority,
            role,
            clock,
            gate,
            notes: Arc::default(),
        }
    }

    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.notes.sent.load(Ordering::Relaxed),
            received: self.notes.received.load(Ordering::Relaxed),
        }
    }

    /// What TLS said about the last connection that broke.
    pub fn take_fault(&self) -> Option<SendError> {
        self.notes
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The key that the server of the last connection proved to hold.
    pub fn peer(&self) -> Option<[u8; 32]> {
        *self
            .notes
            .peer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, fault: Option<SendError>) {
        *self
            .notes
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// A channel that connects with its first call, and again when the connection broke.
    pub fn channel(&self) -> Channel {
        let dialler = self.clone();
        // The name only fills the `:authority` of the calls: where to connect and whom to trust is the dialler's.
        Endpoint::from_static("http://chorus")
            .buffer_size(8)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .connect_with_connector_lazy(service_fn(move |_| dialler.clone().dial()))
    }

    async fn dial(self) -> Result<TokioIo<Connected>, SendError> {
        self.note(None);
        let connected = match timeout(HANDSHAKE_DEADLINE, self.handshake()).await {
            Ok(connected) => connected,
            Err(_) => Err(SendError::Unreachable(
                "the connection did not stand in time".to_owned(),
            )),
        };
        connected
            .map(TokioIo::new)
            .inspect_err(|error| self.note(Some(error.clone())))
    }

    async fn handshake(&self) -> Result<Connected, SendError> {
        let unreachable = |error: io::Error| SendError::Unreachable(error.to_string());
        let lease = self.gate.lease().map_err(unreachable)?;
        let tcp = Gated::connect(&self.target.address, lease)
            .await
            .map_err(unreachable)?;
        let counted = Counted {
            tcp,
            notes: self.notes.clone(),
        };
        let tls = self
            .tls
            .connect(self.target.name.clone(), counted)
            .await
            .map_err(|error| from_io(&error))?;
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown
            .map(|certificate| certificate.as_ref())
            .unwrap_or_default();
        let enrolled = self
            .authority
            .verify_role(certificate, self.role, self.clock.now())?;
        *self
            .notes
            .peer
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(enrolled.key);
        Ok(Connected {
            tls,
            dialler: self.clone(),
        })
    }
}

/// TCP that counts.
struct Counted {
    tcp: Gated,
    notes: Arc<Notes>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let count = buffer.filled().len().saturating_sub(before);
        self.notes
            .received
            .fetch_add(count as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            self.notes.sent.fetch_add(count as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// TLS that remembers why it broke. In TLS 1.3 a server refuses a client's certificate after the client's handshake is
/// done, so the alert arrives with the first read, and HTTP/2 would lose what it says.
struct Connected {
    tls: TlsStream<Counted>,
    dialler: Dialler,
}

impl AsyncRead for Connected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.tls).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &polled {
            self.dialler.note(Some(from_io(error)));
        }
        polled
    }
}

impl AsyncWrite for Connected {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
