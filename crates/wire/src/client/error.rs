use std::io;

use rustls::AlertDescription;
use thiserror::Error;
use tonic::{Code, Status};

use crate::{WireError, certificate::CertificateError, rejection::LABEL};

/// Why a call led to no answer, by what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// The other side understood and said no: sending the same again cannot help.
    #[error("refused ({label}): {message}")]
    Refused {
        /// Stable, for machines: the label of the [`crate::Rejection`], or `tls` or `server-certificate`.
        label: String,
        /// For people.
        message: String,
    },
    /// No answer, or "not now": send the same again after a while, and for longer each time.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The other side speaks something else.
    #[error("the other side does not keep to the protocol: {0}")]
    Protocol(String),
}

impl SendError {
    pub(crate) fn refused(label: &str, message: impl Into<String>) -> Self {
        SendError::Refused {
            label: label.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn deadline() -> Self {
        SendError::Unreachable("the deadline of the call passed".to_owned())
    }
}

impl From<WireError> for SendError {
    fn from(error: WireError) -> Self {
        SendError::Protocol(error.to_string())
    }
}

impl From<CertificateError> for SendError {
    fn from(error: CertificateError) -> Self {
        SendError::refused("server-certificate", error.to_string())
    }
}

impl From<Status> for SendError {
    fn from(status: Status) -> Self {
        let message = status.message().to_owned();
        let label = status
            .metadata()
            .get(LABEL)
            .and_then(|label| label.to_str().ok());
        match (label, status.code()) {
            (_, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                SendError::Unreachable(message)
            }
            (Some(_), Code::Internal) => SendError::Unreachable(message),
            (_, Code::Unimplemented) => {
                SendError::Protocol("it does not know this call".to_owned())
            }
            (Some(label), _) => SendError::refused(label, message),
            (None, Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument) => {
                SendError::refused("message", message)
            }
            // A connection that breaks in the middle of a call ends it with any of the other codes; only a message
            // that could not be decoded has no cause below it.
            (None, Code::Internal) if std::error::Error::source(&status).is_none() => {
                SendError::Protocol(message)
            }
            (None, _) => SendError::Unreachable(message),
        }
    }
}

/// What a failed handshake, or a connection that TLS ended, means.
pub(super) fn from_io(error: &io::Error) -> SendError {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(alert)) if is_final(*alert) => {
            let message = format!(
                "the server ended the TLS connection with the alert {alert:?}: it does not accept this certificate \
                 (revoked, expired, of another federation, or missing)"
            );
            SendError::refused("tls", message)
        }
        Some(rustls::Error::InvalidCertificate(reason)) => {
            let message = format!(
                "the server's certificate is not acceptable ({reason:?}): it must be issued by the pinned enrolment \
                 authority for the name that was asked for, and be valid now"
            );
            SendError::refused("server-certificate", message)
        }
        Some(rustls::Error::PeerIncompatible(reason)) => SendError::refused(
            "tls",
            format!("the server does not speak TLS 1.3 as it must: {reason:?}"),
        ),
        _ => SendError::Unreachable(error.to_string()),
    }
}

fn is_final(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
            | AlertDescription::DecryptError
            | AlertDescription::ProtocolVersion
            | AlertDescription::NoApplicationProtocol
    )
}
