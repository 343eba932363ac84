//! Where the bytes of a client's connection leave this process, and who may stop them.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
};

/// What lets connections be made. A client's gate opens for what the person allowed.
pub trait Gate: Send + Sync + 'static {
    /// The lease under which a connection that is made now stands.
    ///
    /// # Errors
    /// When no connection may be made.
    fn lease(&self) -> io::Result<Box<dyn Lease>>;
}

/// The permission under which one connection stands. It ends once and for all.
///
/// Everything that a connection asks of the operating system happens inside [`hold`](Self::hold), so that whoever ends a
/// lease and waits for those who hold it knows that no byte is handed over any more.
pub trait Lease: Send {
    /// Does `act` while the lease lasts: it cannot end before `act` is done. `act` never waits.
    ///
    /// # Errors
    /// When the lease has ended, or whether it has cannot be told; `act` is not done then.
    fn hold(&mut self, act: &mut dyn FnMut()) -> io::Result<()>;

    /// Counts bytes that were handed to the operating system.
    fn wrote(&self, bytes: usize);

    /// Asks to be told when the lease ends, if that happens in this process.
    fn watch(&self, connection: Weak<dyn Reset>);
}

/// A connection that can be ended from any thread.
pub trait Reset: Send + Sync {
    /// Closes the connection at once: what the operating system still holds of it is dropped, and the other side sees a
    /// reset.
    fn reset(&self);
}

/// The gate of who needs nobody's leave: a server's own connections, and tests.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl Gate for Open {
    fn lease(&self) -> io::Result<Box<dyn Lease>> {
        Ok(Box::new(Open))
    }
}

impl Lease for Open {
    fn hold(&mut self, act: &mut dyn FnMut()) -> io::Result<()> {
        act();
        Ok(())
    }

    fn wrote(&self, _bytes: usize) {}

    fn watch(&self, _connection: Weak<dyn Reset>) {}
}

/// A TCP connection, all of whose bytes pass a lease.
pub(super) struct Gated {
    lease: Box<dyn Lease>,
    socket: Arc<Socket>,
}

/// The socket, where whoever ends the lease can reach it.
#[derive(Default)]
struct Socket(Mutex<State>);

#[derive(Default)]
struct State {
    /// Nothing once it was reset.
    tcp: Option<TcpStream>,
    /// Who waits for it, to learn that it was reset.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Socket {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reset for Socket {
    fn reset(&self) {
        let State {
            tcp,
            reader,
            writer,
        } = std::mem::take(&mut *self.state());
        if let Some(tcp) = tcp {
            // Where this fails the socket is closed all the same, only more politely.
            let _ = tcp.set_zero_linger();
        }
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }
}

impl Gated {
    /// Connects to `address`, `HOST:PORT`. A name is not looked up under a lease that has ended; a look-up that has begun is
    /// the operating system's and ends by itself.
    pub async fn connect(address: &str, mut lease: Box<dyn Lease>) -> io::Result<Self> {
        lease.hold(&mut || {})?;
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host(address).await? {
            let mut connecting = pin!(TcpStream::connect(address));
            let connected = poll_fn(|context| {
                let mut polled = Poll::Pending;
                let held = lease.hold(&mut || polled = connecting.as_mut().poll(context));
                held.map_or_else(|error| Poll::Ready(Err(error)), |()| polled)
            });
            match connected.await {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    return Ok(Self::new(tcp, lease));
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn new(tcp: TcpStream, lease: Box<dyn Lease>) -> Self {
        let socket = Arc::new(Socket(Mutex::new(State {
            tcp: Some(tcp),
            ..State::default()
        })));
        let watched: Weak<Socket> = Arc::downgrade(&socket);
        lease.watch(watched);
        Self { lease, socket }
    }

    /// Does something with the socket while the lease lasts; resets it once the lease has ended.
    fn through<T>(
        &mut self,
        mut act: impl FnMut(&mut State, Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut polled = Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        let held = self.lease.hold(&mut || {
            let mut state = self.socket.state();
            if let Some(mut tcp) = state.tcp.take() {
                polled = act(&mut state, Pin::new(&mut tcp));
                state.tcp = Some(tcp);
            }
        });
        match held {
            Ok(()) => polled,
            Err(_) => {
                self.socket.reset();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.through(|state, tcp| {
            state.reader = Some(cx.waker().clone());
            tcp.poll_read(cx, buffer)
        })
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.through(|state, tcp| {
            state.writer = Some(cx.waker().clone());
            tcp.poll_write(cx, bytes)
        });
        if let Poll::Ready(Ok(count)) = written {
            self.lease.wrote(count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.through(|_, tcp| tcp.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.through(|_, tcp| tcp.poll_shutdown(cx))
    }
}
