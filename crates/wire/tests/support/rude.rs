//! A client without any manners: no limits, no checks of its own.

use chorus_wire::{certificate::Role, proto::training_client::TrainingClient, tls};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{Root, Running, clock};

/// A connection over which anything can be sent.
pub async fn channel(root: &Root, running: &Running, seed: u8) -> Channel {
    let credentials = root.credentials(seed, Role::Client);
    let config = tls::client(&root.authority, Some(&credentials), &clock()).unwrap();
    let address = running.address;
    let connector = tower::service_fn(move |_| {
        let connector = TlsConnector::from(config.clone());
        async move {
            let tcp = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            std::io::Result::Ok(TokioIo::new(connector.connect(name, tcp).await?))
        }
    });
    Endpoint::from_static("http://chorus")
        .connect_with_connector(connector)
        .await
        .unwrap()
}

pub async fn client(root: &Root, running: &Running) -> TrainingClient<Channel> {
    TrainingClient::new(channel(root, running, 9).await)
        .max_encoding_message_size(usize::MAX)
        .max_decoding_message_size(usize::MAX)
}

pub fn label(status: &Status) -> &str {
    status
        .metadata()
        .get("chorus-reject")
        .map_or("", |label| label.to_str().unwrap())
}
