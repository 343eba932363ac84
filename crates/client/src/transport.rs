use chorus_protocol::{Request, Response};
use chorus_wire::client::{Connection, SendError};

/// The way to one coordinator: in an app a [`Connection`], in a test anything that answers.
pub trait Transport: Send {
    /// Asks, and waits for the answer.
    fn send(
        &mut self,
        request: &Request,
    ) -> impl Future<Output = Result<Response, SendError>> + Send;

    /// The Ed25519 public key that the coordinator proved to hold when it answered last.
    fn coordinator(&self) -> Option<[u8; 32]>;
}

impl Transport for Connection {
    async fn send(&mut self, request: &Request) -> Result<Response, SendError> {
        Connection::send(self, request).await
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        Connection::coordinator(self)
    }
}
