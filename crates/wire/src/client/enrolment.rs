use std::{future::Future, sync::Arc};

use chorus_protocol::{Identity, PROTOCOL_VERSION};
use tokio::time::timeout;
use tonic::{Response, Status, transport::Channel};

use super::{Gate, Open, SendError, Target, dial::Dialler};
use crate::{
    Clock, InvitationCode,
    certificate::{Authority, Enrolled, Role, certificate_request},
    error::fixed,
    limits::{CALL_DEADLINE, MAX_MESSAGE_BYTES},
    proto::{self, enrolment_client::EnrolmentClient},
    revocation::{Revocations, SignedRevocations},
    tls,
};

/// A certificate as it was issued, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// What it says, checked.
    pub enrolled: Enrolled,
}

/// Exchanges an invitation for a certificate for the key of `identity`. `authority` is the certificate that the
/// caller got together with the invitation: it is what makes the connection trustworthy.
///
/// Every byte passes `gate`. Asking again with the same invitation and key gives the same certificate, so a lost answer loses nothing.
///
/// # Errors
/// When the invitation is unknown, used by another key or expired, or the authority cannot be reached or trusted.
///
/// # Privacy
/// The authority learns the public key and the network address; the private key does not leave this process.
pub async fn enrol(
    target: &Target,
    authority: &Authority,
    invitation: &InvitationCode,
    identity: &Identity,
    clock: &Clock,
    gate: Arc<dyn Gate>,
) -> Result<Issued, SendError> {
    let message = proto::EnrolRequest {
        protocol_version: PROTOCOL_VERSION,
        invitation: invitation.as_bytes().to_vec(),
        certificate_request: certificate_request(identity),
    };
    let reply = call(target, authority, clock, gate, async |mut client| {
        client.enrol(message).await
    })
    .await?;
    if reply.authority != authority.der() {
        let message =
            "the authority shows another certificate of its own than the one that is pinned";
        return Err(SendError::refused("server-certificate", message));
    }
    let enrolled = authority
        .verify(&reply.certificate, clock.now())
        .map_err(|error| SendError::Protocol(error.to_string()))?;
    if enrolled.key != identity.public() {
        return Err(SendError::Protocol(
            "the certificate is for another key".to_owned(),
        ));
    }
    Ok(Issued {
        certificate: reply.certificate,
        enrolled,
    })
}

/// The authority's list of what was revoked, checked; `seen` is the number of the last list that was followed.
///
/// # Errors
/// When the authority cannot be reached or trusted, or its list is older than `seen`.
pub async fn revocations(
    target: &Target,
    authority: &Authority,
    seen: u64,
    clock: &Clock,
) -> Result<(Revocations, SignedRevocations), SendError> {
    let message = proto::RevocationsRequest {
        protocol_version: PROTOCOL_VERSION,
    };
    let reply = call(
        target,
        authority,
        clock,
        Arc::new(Open),
        async |mut client| client.revocations(message).await,
    )
    .await?;
    let signature = fixed("RevocationsReply.signature", &reply.signature)?;
    let signed = SignedRevocations {
        bytes: reply.list,
        signature,
    };
    let list = signed
        .verify(&authority.key(), seen)
        .map_err(|error| SendError::Protocol(error.to_string()))?;
    Ok((list, signed))
}

async fn call<T, F>(
    target: &Target,
    authority: &Authority,
    clock: &Clock,
    gate: Arc<dyn Gate>,
    call: impl FnOnce(EnrolmentClient<Channel>) -> F,
) -> Result<T, SendError>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let config = tls::client(authority, None, clock)
        .map_err(|error| SendError::refused("server-certificate", error.to_string()))?;
    let authority = Arc::new(authority.clone());
    let dialler = Dialler::new(
        target.clone(),
        config,
        authority,
        Role::Authority,
        clock.clone(),
        gate,
    );
    let client = EnrolmentClient::new(dialler.channel())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    match timeout(CALL_DEADLINE, call(client)).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => match SendError::from(status) {
            error @ SendError::Unreachable(_) => Err(dialler.take_fault().unwrap_or(error)),
            error => Err(error),
        },
        Err(_) => Err(dialler.take_fault().unwrap_or_else(SendError::deadline)),
    }
}
