use std::sync::Arc;

use chorus_protocol::{Request, Response};
use chorus_wire::client::{Connection, SendError, Traffic};

use crate::Pass;
use crate::door::Entrance;

/// The way to one coordinator: in an app a [`Way`], in a test anything that answers.
pub trait Transport: Send {
    /// Asks, and waits for the answer. Only a client can call this: it gives out a pass for each request, after it has asked
    /// what the person allows.
    fn send(
        &mut self,
        pass: Pass,
        request: &Request,
    ) -> impl Future<Output = Result<Response, SendError>> + Send;

    /// The Ed25519 public key that the coordinator proved to hold when it answered last.
    fn coordinator(&self) -> Option<[u8; 32]>;
}

/// A connection to a coordinator, all of whose bytes pass the client's door. It stands with the first request, and again
/// after each break.
pub struct Way {
    connection: Connection,
    entrance: Arc<Entrance>,
}

impl Way {
    pub(crate) fn new(connection: Connection, entrance: Arc<Entrance>) -> Self {
        Self {
            connection,
            entrance,
        }
    }

    /// Bytes that this way cost so far.
    pub fn traffic(&self) -> Traffic {
        self.connection.traffic()
    }

    /// Lets go of the connection. The next request makes a new one.
    pub fn disconnect(&self) {
        self.connection.disconnect();
    }
}

impl Transport for Way {
    async fn send(&mut self, pass: Pass, request: &Request) -> Result<Response, SendError> {
        self.entrance.show(pass);
        self.connection.send(request).await
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        self.connection.coordinator()
    }
}
