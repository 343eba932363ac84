use thiserror::Error;

/// What a peer did wrong. The round is unchanged by whatever led to it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reject {
    /// The round is not the current one of any task.
    #[error("round {0} is not running; check in again")]
    UnknownRound(u64),
    /// The client was not invited to this round.
    #[error("this client was not invited to the round")]
    NotInvited,
    /// The client did not take part in an earlier phase of this round.
    #[error("this client left the round in an earlier phase; check in for the next one")]
    LeftOut,
    /// The message belongs to another phase.
    #[error("`{message}` came in phase `{phase}`, where it is not accepted")]
    WrongPhase {
        /// The message.
        message: &'static str,
        /// The phase.
        phase: &'static str,
    },
    /// The same message with other content was accepted before.
    #[error("another `{0}` of this client was accepted in this round")]
    Duplicate(&'static str),
    /// The signature over the round's keys, or over what the client was told, is not valid.
    #[error(
        "field `signature`: not valid for the enrolled key and for this round as its clients were told of it"
    )]
    Signature,
    /// A list that is not what this client was asked for.
    #[error("field `{field}`: {expected}")]
    Content {
        /// The field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A vector of another length than the plan's.
    #[error("field `update`: {found} bytes where the plan has {expected}")]
    Length {
        /// Bytes by the plan, check values included.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

impl Reject {
    /// A stable label for metrics and for machines.
    pub fn label(&self) -> &'static str {
        match self {
            Reject::UnknownRound(_) => "unknown-round",
            Reject::NotInvited => "not-invited",
            Reject::LeftOut => "left-out",
            Reject::WrongPhase { .. } => "wrong-phase",
            Reject::Duplicate(_) => "duplicate",
            Reject::Signature => "signature",
            Reject::Content { .. } => "content",
            Reject::Length { .. } => "length",
        }
    }
}
