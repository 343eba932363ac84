use chorus_model::TrainError;
use chorus_protocol::{LogError, Refusal, SaveError, TaskName};
use chorus_wire::certificate::CertificateError;
use chorus_wire::client::SendError;
use thiserror::Error;

use crate::consent::LedgerError;
use crate::{DecisionError, Purpose, StoreError};

/// What went wrong, one variant for each thing that an app can do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// See to the folder, the disk or the file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Enrol first.
    #[error("this client is not enrolled: enrol it with an invitation of the enrolment authority")]
    NotEnrolled,
    /// Enrol again: the certificate ran out or was revoked, or the invitation was of no use.
    #[error("{reason}; ask the enrolment authority for a new invitation and enrol with it")]
    Enrol {
        /// Why.
        reason: String,
    },
    /// Use another folder: this one belongs to another federation.
    #[error(
        "this client is enrolled with another authority: use a new folder to join another federation"
    )]
    OtherAuthority,
    /// Do not go on: this is not the coordinator that this client knows.
    #[error(
        "the coordinator is not the one that this client met first: check the address; if the federation moved \
         to a new key, its operator will say so, and only a new folder can join it"
    )]
    OtherCoordinator,
    /// Check the address: the server there is not of this federation.
    #[error(
        "the server is not trusted ({reason}): check the address, and that it belongs to this federation"
    )]
    Untrusted {
        /// Why.
        reason: String,
    },
    /// Meet the coordinator first.
    #[error("this client never met a coordinator: connect and check in before a round is joined")]
    Stranger,
    /// Try again later.
    #[error(
        "the other side cannot be reached ({reason}): check the address and the network, or try again later"
    )]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// Wait for the next round, or change what was asked for.
    #[error("the coordinator refused ({label}): {message}")]
    Rejected {
        /// Stable, for machines.
        label: String,
        /// For people.
        message: String,
    },
    /// Update the older side.
    #[error("the other side does not keep to the protocol ({reason}): update the older side")]
    Answer {
        /// What it did.
        reason: String,
    },
    /// Wait for another round; the floor of the settings says what would do.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Stop trusting this coordinator: it shows a history of its models other than before.
    #[error(
        "{0}. Models of this coordinator are not accepted any more: different clients may be shown different \
         ones. Ask its operator for the model log and compare the heads"
    )]
    Log(LogError),
    /// Do not use this model.
    #[error("the model of task `{task}` was not accepted: {reason}; the one before stays in use")]
    Model {
        /// The task.
        task: TaskName,
        /// Why.
        reason: String,
    },
    /// Fetch a model first.
    #[error(
        "there is no model of task `{task}` here yet: fetch it once the coordinator has published one, or take part in a round; until then \
         there is a list where the catalogue names the items"
    )]
    NoModel {
        /// The task.
        task: TaskName,
    },
    /// Name the items.
    #[error(
        "there is nothing to choose from: name candidates, or hand in a catalogue that names the items, or order by a model"
    )]
    NoCandidates,
    /// Use another engine, or fetch another model.
    #[error("the model of task `{task}` cannot be used for recommending: {reason}")]
    Recommend {
        /// The task.
        task: TaskName,
        /// Why.
        reason: TrainError,
    },
    /// Correct the line.
    #[error("{file}, line {line}: expected {expected}; nothing was imported")]
    Import {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What was expected there.
        expected: String,
    },
    /// Correct the rules.
    #[error("the rules cannot be read: {reason}")]
    Rules {
        /// What was expected where.
        reason: String,
    },
    /// Leave it out, or say it in other words.
    #[error(
        "the field `{field}` looks as if it held a person's {}: leave it out; numbers of items and names of topics are enough",
        what.name()
    )]
    Personal {
        /// Which.
        field: &'static str,
        /// What.
        what: crate::Pii,
    },
    /// Take the nearest topic, or hand in the catalogue first.
    #[error("no item is about the topic `{topic}`, so nothing was chosen: {}", or_rather(nearest.as_deref()))]
    UnknownTopic {
        /// What was named.
        topic: String,
        /// The known one that is written most like it; nothing where the catalogue names no topic.
        nearest: Option<String>,
    },
    /// Ask the person; they allow everything or nothing.
    #[error(
        "the person has not allowed `{purpose}`: show them the notice and ask, and go on only with their yes"
    )]
    NotGranted {
        /// What they would have to allow.
        purpose: Purpose,
    },
    /// Show the current notice, and ask again.
    #[error("{0}: show the person the current notice and ask again")]
    Decision(#[from] DecisionError),
    /// Ask for everything anew in a new folder; nothing is allowed here any more.
    #[error(
        "the consent ledger does not hold together ({reason}), so nothing is allowed any more: use a new folder and ask the \
         person anew"
    )]
    Ledger {
        /// Where it breaks.
        reason: String,
    },
    /// Wait for the next round: this one cannot be kept.
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl Error {
    /// Label of a refusal by this side: the server's certificate is not acceptable.
    pub(crate) const SERVER_CERTIFICATE: &str = "server-certificate";

    /// Labels of a refusal by the other side: this client's certificate is not acceptable.
    const OWN_CERTIFICATE: [&str; 4] = ["tls", "certificate-expired", "expired", "revoked"];

    /// An answer to another question.
    pub(crate) fn answer() -> Self {
        Error::Answer {
            reason: "it answered another question".to_owned(),
        }
    }
}

/// What to choose instead of an unknown topic.
fn or_rather(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("the nearest that the catalogue names is `{nearest}`"),
        None => "no topic is known; hand in the catalogue of items first".to_owned(),
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unreachable(reason) => Error::Unreachable { reason },
            SendError::Protocol(reason) => Error::Answer { reason },
            SendError::Refused { label, message } => match label.as_str() {
                Self::SERVER_CERTIFICATE => Error::Untrusted { reason: message },
                label if Self::OWN_CERTIFICATE.contains(&label) => Error::Enrol { reason: message },
                _ => Error::Rejected { label, message },
            },
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Error::Log(error)
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Error::Ledger {
            reason: error.to_string(),
        }
    }
}

impl From<CertificateError> for Error {
    fn from(error: CertificateError) -> Self {
        Error::Enrol {
            reason: error.to_string(),
        }
    }
}
