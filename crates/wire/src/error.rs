use chorus_protocol::PROTOCOL_VERSION;
use thiserror::Error;

/// What is wrong with a message of the peer: always its fault, always one named field.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// Another version of the protocol.
    #[error(
        "field `{field}`: version {found} is not spoken here, expected {PROTOCOL_VERSION}; update the older side"
    )]
    Version {
        /// The field.
        field: &'static str,
        /// Version found.
        found: u32,
    },
    /// A field of fixed length.
    #[error("field `{field}`: expected {expected} bytes, found {found}")]
    Length {
        /// The field.
        field: &'static str,
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A field that is too long.
    #[error("field `{field}`: at most {limit} {unit}, found {found}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: u64,
        /// Found.
        found: u64,
        /// Of what: `bytes`, `entries`.
        unit: &'static str,
    },
    /// An enum that says nothing, or nothing this side knows.
    #[error("field `{field}`: {found} is no value that is known here; 0 means unspecified")]
    Unspecified {
        /// The field.
        field: &'static str,
        /// Found.
        found: i32,
    },
    /// A message without its content.
    #[error("field `{field}` is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// Anything else that a field must not be.
    #[error("field `{field}`: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it must be, and what it is.
        reason: String,
    },
}

impl WireError {
    /// A stable label for metrics and for machines.
    pub fn label(&self) -> &'static str {
        match self {
            WireError::Version { .. } => "protocol-version",
            WireError::Length { .. } => "field-length",
            WireError::TooLong { .. } => "field-too-long",
            WireError::Unspecified { .. } => "field-unspecified",
            WireError::Missing { .. } => "field-missing",
            WireError::Value { .. } => "field-value",
        }
    }
}

pub(crate) fn version(field: &'static str, found: u32) -> Result<(), WireError> {
    if found == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(WireError::Version { field, found })
    }
}

pub(crate) fn fixed<const N: usize>(
    field: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length {
        field,
        expected: N as u64,
        found: bytes.len() as u64,
    })
}

pub(crate) fn at_most(
    field: &'static str,
    unit: &'static str,
    found: usize,
    limit: usize,
) -> Result<(), WireError> {
    if found <= limit {
        return Ok(());
    }
    Err(WireError::TooLong {
        field,
        limit: limit as u64,
        found: found as u64,
        unit,
    })
}
