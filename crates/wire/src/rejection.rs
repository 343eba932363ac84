use chorus_protocol::Reject;
use thiserror::Error;
use tonic::{Code, Status, metadata::MetadataMap};

use crate::{WireError, limits::MAX_SENTENCE_BYTES};

/// Name of the metadata entry that carries the label of a rejection.
pub(crate) const LABEL: &str = "chorus-reject";

/// Why a call was not carried out, as the answering side says it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct Rejection {
    /// Stable, for metrics and for machines: lower-case words joined by `-`.
    pub label: &'static str,
    /// For people: what is wrong, what was expected, what to do.
    pub message: String,
    /// Whose fault, and whether asking again can help.
    pub kind: Kind,
}

/// Whose fault a rejection is, and whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message itself is wrong, whenever it is sent: `INVALID_ARGUMENT`.
    Malformed,
    /// The message does not fit the state of the round, or the version spoken here: `FAILED_PRECONDITION`.
    OutOfPlace,
    /// This peer may not: revoked, expired, wrong role: `PERMISSION_DENIED`.
    Forbidden,
    /// What is asked for is not here: `NOT_FOUND`.
    Unknown,
    /// More than this peer may have: `RESOURCE_EXHAUSTED`.
    TooMuch,
    /// Not now; the same call can succeed later: `UNAVAILABLE`.
    Busy,
    /// A fault of the answering side; the same call can succeed later: `INTERNAL`.
    Broken,
}

impl Kind {
    fn code(self) -> Code {
        match self {
            Kind::Malformed => Code::InvalidArgument,
            Kind::OutOfPlace => Code::FailedPrecondition,
            Kind::Forbidden => Code::PermissionDenied,
            Kind::Unknown => Code::NotFound,
            Kind::TooMuch => Code::ResourceExhausted,
            Kind::Busy => Code::Unavailable,
            Kind::Broken => Code::Internal,
        }
    }
}

impl Rejection {
    /// A rejection.
    pub fn new(kind: Kind, label: &'static str, message: impl Into<String>) -> Self {
        Self {
            label,
            message: message.into(),
            kind,
        }
    }

    /// A fault of this side. The peer learns nothing but that there is one.
    pub fn broken() -> Self {
        Self::new(
            Kind::Broken,
            "internal",
            "something went wrong on the answering side; try again later",
        )
    }
}

impl From<WireError> for Rejection {
    fn from(error: WireError) -> Self {
        let kind = match error {
            WireError::Version { .. } => Kind::OutOfPlace,
            _ => Kind::Malformed,
        };
        Self::new(kind, error.label(), error.to_string())
    }
}

impl From<Reject> for Rejection {
    fn from(reject: Reject) -> Self {
        let kind = match reject {
            Reject::Signature | Reject::Content { .. } | Reject::Length { .. } => Kind::Malformed,
            _ => Kind::OutOfPlace,
        };
        Self::new(kind, reject.label(), reject.to_string())
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        labelled(rejection.kind.code(), rejection.label, rejection.message)
    }
}

/// A refusal as it travels.
pub(crate) fn labelled(code: Code, label: &'static str, message: impl Into<String>) -> Status {
    let mut metadata = MetadataMap::new();
    if let Ok(label) = label.parse() {
        metadata.insert(LABEL, label);
    }
    Status::with_metadata(code, sentence(message.into()), metadata)
}

/// `text`, cut at a character so that it fits into a header.
pub(crate) fn sentence(mut text: String) -> String {
    if text.len() > MAX_SENTENCE_BYTES {
        let end = (0..=MAX_SENTENCE_BYTES)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    text
}
