use std::{future::Future, sync::Arc, time::Duration};

use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    select,
    sync::{oneshot, watch},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::{
    Calls, Limits,
    accept::{Gate, accept, channel},
};
use crate::{
    Clock,
    certificate::{Authority, Role},
    limits::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES},
    tls::{self, Credentials, TlsError},
};

/// A server's side of TLS.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) authority: Option<Authority>,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
}

impl ServerTls {
    /// For a training server: only clients that the authority enrolled are let in.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub fn mutual(
        credentials: &Credentials,
        authority: &Authority,
        clock: &Clock,
    ) -> Result<Self, TlsError> {
        Self::of_role(credentials, authority, Role::Client, clock)
    }

    /// For a witness: only coordinators that the authority enrolled are let in.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub fn for_coordinators(
        credentials: &Credentials,
        authority: &Authority,
        clock: &Clock,
    ) -> Result<Self, TlsError> {
        Self::of_role(credentials, authority, Role::Coordinator, clock)
    }

    fn of_role(
        credentials: &Credentials,
        authority: &Authority,
        role: Role,
        clock: &Clock,
    ) -> Result<Self, TlsError> {
        let config = tls::server(credentials, Some((authority, role)), clock)?;
        Ok(Self {
            config,
            authority: Some(authority.clone()),
            clock: clock.clone(),
            limits: Limits::default(),
        })
    }

    /// For the enrolment authority: whoever comes has no certificate yet.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub fn open(credentials: &Credentials, clock: &Clock) -> Result<Self, TlsError> {
        let config = tls::server(credentials, None, clock)?;
        Ok(Self {
            config,
            authority: None,
            clock: clock.clone(),
            limits: Limits::default(),
        })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// A server that could not go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A server that must know who calls.
    #[error(
        "this server needs TLS that asks callers for certificates: use `ServerTls::mutual` for training, \
         `ServerTls::for_coordinators` for a witness"
    )]
    Open,
    /// The transport failed.
    #[error("the server stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Calls of one connection at once.
const STREAMS: u32 = 16;

/// A connection that says nothing for this long is asked whether it is still there.
const ALIVE: Duration = Duration::from_secs(60);

/// Longer than any call may take, so that one that never sends its message ends too. An upload goes on with the next.
pub(super) const CALL: Duration = Duration::from_secs(120);

/// For calls that nobody ended by name.
const LATEST: Duration = Duration::from_secs(125);

/// Serves `calls` until `shutdown`; then lets calls end for `limits.grace`, and ends every connection.
pub(super) async fn run<P>(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    limits: Limits,
    gate: Gate<P>,
    calls: impl Calls,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    P: Clone + Send + Sync + Unpin + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let (ready, incoming) = channel();
    let acceptor = TlsAcceptor::from(config);
    let accepting = tokio::spawn(accept(
        listener,
        acceptor,
        gate,
        limits.connections,
        stopping,
        ready,
    ));
    let (told, tell) = oneshot::channel::<()>();
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(16 << 10)
        .http2_keepalive_interval(Some(ALIVE))
        .timeout(LATEST)
        .serve_with_incoming_shutdown(calls, ReceiverStream::new(incoming), async move {
            let _ = tell.await;
        });
    let mut serving = std::pin::pin!(serving);
    let served = select! {
        served = &mut serving => served,
        () = shutdown => {
            drop(told);
            select! {
                served = &mut serving => served,
                () = sleep(limits.grace) => {
                    stop.send_replace(true);
                    serving.await
                }
            }
        }
    };
    // The port is free again only when the acceptor has let go of it.
    let _ = accepting.await;
    Ok(served?)
}
