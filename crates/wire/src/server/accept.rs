use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    select,
    sync::{Semaphore, mpsc, watch},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::limits::HANDSHAKE_DEADLINE;

/// Decides whether a connection that TLS let through may stay, and what is known about its other end.
pub(super) type Gate<P> = Arc<dyn Fn(&TlsStream<TcpStream>) -> Option<(P, Keep)> + Send + Sync>;

/// Anything that must live as long as a connection.
pub(super) type Keep = Option<Box<dyn Send + Sync>>;

/// Connections that are ready and wait to be served.
const READY: usize = 64;

/// Pause after the system could not accept (no file descriptor left): it passes, or an operator acts.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection over which calls can come.
pub(super) struct Accepted<P> {
    tls: TlsStream<TcpStream>,
    peer: P,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    opening: Option<Opening>,
    _keep: (Keep, tokio::sync::OwnedSemaphorePermit),
}

/// Bytes with which every HTTP/2 connection opens. Before them nothing else watches over the connection's time.
const PREFACE: usize = 24;

/// A connection whose opening bytes have not all come.
struct Opening {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<P: Clone + Send + Sync + 'static> Connected for Accepted<P> {
    type ConnectInfo = P;

    fn connect_info(&self) -> P {
        self.peer.clone()
    }
}

/// Accepts and shakes hands, each connection for itself, so that none can hold up or end the others.
/// Returns when nobody wants connections any more; connections end when `stop` says so or its sender is gone.
pub(super) async fn accept<P: Clone + Send + Sync + 'static>(
    listener: TcpListener,
    tls: TlsAcceptor,
    gate: Gate<P>,
    connections: usize,
    stop: watch::Receiver<bool>,
    ready: mpsc::Sender<Ready<P>>,
) {
    let slots = Arc::new(Semaphore::new(connections));
    loop {
        let slot = select! {
            slot = slots.clone().acquire_owned() => slot,
            () = ready.closed() => return,
        };
        let accepted = select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let (Ok((tcp, _)), Ok(slot)) = (accepted, slot) else {
            tracing::warn!("a connection could not be accepted");
            sleep(PAUSE).await;
            continue;
        };
        let (tls, gate, ready, stop) = (tls.clone(), gate.clone(), ready.clone(), stop.clone());
        tokio::spawn(async move {
            let shaken = timeout(HANDSHAKE_DEADLINE, shake(tcp, &tls))
                .await
                .ok()
                .flatten();
            let passed = shaken.and_then(|tls| gate(&tls).map(|(peer, keep)| (tls, peer, keep)));
            let Some((tls, peer, keep)) = passed else {
                tracing::debug!("a connection was not let in");
                return;
            };
            let stop: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(stopped(stop));
            let accepted = Accepted {
                tls,
                peer,
                stop: Some(stop),
                opening: Some(Opening {
                    missing: PREFACE,
                    deadline: Box::pin(sleep(HANDSHAKE_DEADLINE)),
                }),
                _keep: (keep, slot),
            };
            // Fails when the server is stopping: then the connection ends here.
            let _ = ready.send(Ok(accepted)).await;
        });
    }
}

/// What [`accept`] hands on. It never fails; the server wants a `Result`.
pub(super) type Ready<P> = io::Result<Accepted<P>>;

/// The channel between [`accept`] and the server.
pub(super) fn channel<P>() -> (mpsc::Sender<Ready<P>>, mpsc::Receiver<Ready<P>>) {
    mpsc::channel(READY)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the server is gone, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn shake(tcp: TcpStream, tls: &TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    tcp.set_nodelay(true).ok()?;
    match tls.accept(tcp).into_fallible().await {
        Ok(tls) => Some(tls),
        Err((_, tcp)) => {
            linger(tcp).await;
            None
        }
    }
}

/// Closing a socket with unread bytes resets the connection, and the peer may lose the alert that says what is wrong.
async fn linger(mut tcp: TcpStream) {
    let mut sink = [0; 1024];
    let drain = async {
        tcp.shutdown().await?;
        for _ in 0..64 {
            if tcp.read(&mut sink).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(Duration::from_secs(1), drain).await;
}

impl<P: Unpin> AsyncRead for Accepted<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this
            .stop
            .as_mut()
            .is_some_and(|stop| stop.as_mut().poll(cx).is_ready())
        {
            this.stop = None;
        }
        if this.stop.is_none() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.tls).poll_read(cx, buffer);
        if let Some(opening) = &mut this.opening {
            let came = buffer.filled().len() - before;
            opening.missing = opening.missing.saturating_sub(came);
            if opening.missing == 0 {
                this.opening = None;
            } else if opening.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<P: Unpin> AsyncWrite for Accepted<P> {
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
