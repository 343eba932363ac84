use std::{future::Future, sync::Arc};

use tokio::net::TcpListener;
use tonic::{Request as Incoming, Response as Outgoing, Status};

use super::{Calls, ServeError, ServerTls, refusals::Door, run::run};
use crate::{
    InvitationCode, Rejection,
    certificate::verify_request,
    error::{at_most, fixed, version},
    limits::MAX_CERTIFICATE_BYTES,
    proto::{
        self,
        enrolment_server::{Enrolment as Served, EnrolmentServer},
    },
    revocation::SignedRevocations,
};

/// A certificate and that of the authority which issued it, both DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The holder's.
    pub certificate: Vec<u8>,
    /// The authority's own.
    pub authority: Vec<u8>,
}

/// What an enrolment authority does for whoever asks.
pub trait EnrolmentService: Send + Sync + 'static {
    /// Exchanges an invitation for a certificate for `key`, of which the caller has proved that it holds the private
    /// half. Asked again with both, it gives the same certificate.
    ///
    /// # Errors
    /// When the invitation is unknown, used by another key, or expired.
    fn enrol(
        &self,
        invitation: InvitationCode,
        key: [u8; 32],
    ) -> impl Future<Output = Result<Certificates, Rejection>> + Send;

    /// The signed list of what was revoked.
    ///
    /// # Errors
    /// When it cannot be had.
    fn revocations(&self) -> impl Future<Output = Result<SignedRevocations, Rejection>> + Send;
}

/// A request is an invitation and a certificate request; anything longer is not read.
const MAX_REQUEST_BYTES: usize = MAX_CERTIFICATE_BYTES + 256;

/// Serves the enrolment service on `listener` until `shutdown`.
///
/// # Errors
/// When the transport fails.
pub async fn serve_enrolment<S: EnrolmentService>(
    listener: TcpListener,
    tls: ServerTls,
    service: Arc<S>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let ServerTls { config, limits, .. } = tls;
    let gate =
        Arc::new(|_: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>| Some(((), None)));
    let calls = enrolment_calls(service);
    run(listener, config, limits, gate, calls, shutdown).await
}

/// The calls of [`serve_enrolment`], for whoever brings a transport of their own. Needs a tokio runtime.
pub fn enrolment_calls<S: EnrolmentService>(service: Arc<S>) -> impl Calls {
    Door::silent(
        EnrolmentServer::new(Enrolment { service }).max_decoding_message_size(MAX_REQUEST_BYTES),
    )
}

struct Enrolment<S> {
    service: Arc<S>,
}

#[tonic::async_trait]
impl<S: EnrolmentService> Served for Enrolment<S> {
    async fn enrol(
        &self,
        request: Incoming<proto::EnrolRequest>,
    ) -> Result<Outgoing<proto::EnrolReply>, Status> {
        let (invitation, key) = read(&request.into_inner())?;
        let service = self.service.clone();
        // In a task of its own: when the caller goes away, the invitation is used and the certificate kept, or neither.
        let task = tokio::spawn(async move { service.enrol(invitation, key).await });
        let Certificates {
            certificate,
            authority,
        } = task.await.unwrap_or_else(|_| Err(Rejection::broken()))?;
        Ok(Outgoing::new(proto::EnrolReply {
            certificate,
            authority,
        }))
    }

    async fn revocations(
        &self,
        request: Incoming<proto::RevocationsRequest>,
    ) -> Result<Outgoing<proto::RevocationsReply>, Status> {
        let found = request.into_inner().protocol_version;
        version("RevocationsRequest.protocol_version", found).map_err(Rejection::from)?;
        let SignedRevocations { bytes, signature } = self.service.revocations().await?;
        Ok(Outgoing::new(proto::RevocationsReply {
            list: bytes,
            signature: signature.to_vec(),
        }))
    }
}

fn read(message: &proto::EnrolRequest) -> Result<(InvitationCode, [u8; 32]), Rejection> {
    version("EnrolRequest.protocol_version", message.protocol_version)?;
    let invitation = fixed("EnrolRequest.invitation", &message.invitation)?;
    let request = &message.certificate_request;
    at_most(
        "EnrolRequest.certificate_request",
        "bytes",
        request.len(),
        MAX_CERTIFICATE_BYTES,
    )?;
    let key = verify_request(request).map_err(|error| {
        Rejection::new(
            crate::Kind::Malformed,
            "certificate-request",
            error.to_string(),
        )
    })?;
    Ok((InvitationCode::from_bytes(invitation), key))
}
