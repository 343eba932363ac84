use chorus_client::{Error, StoreError};

/// All is well.
pub const CHORUS_OK: i32 = 0;
/// Correct the call: an argument is missing, is no UTF-8, or is not the JSON that it should be.
pub const CHORUS_MISUSE: i32 = 1;
/// A fault of this library, caught before it could cross. Close the client and open it again, and report the fault.
pub const CHORUS_FAULT: i32 = 2;
/// See to the folder, the disk, or the key.
pub const CHORUS_STORE: i32 = 3;
/// Enrol first.
pub const CHORUS_NOT_ENROLLED: i32 = 4;
/// Ask the enrolment authority for a new invitation, and enrol with it.
pub const CHORUS_ENROL_AGAIN: i32 = 5;
/// Use another folder: this one belongs to another federation, or its consent ledger does not hold together.
pub const CHORUS_OTHER_FOLDER: i32 = 6;
/// Do not go on with this server: it is not the one that it should be, or it showed two histories of its models.
pub const CHORUS_DISTRUST: i32 = 7;
/// Try again later.
pub const CHORUS_LATER: i32 = 8;
/// Update the older side: the other one does not speak the same protocol.
pub const CHORUS_UPDATE: i32 = 9;
/// There is no model yet: contribute first, or hand in a catalogue.
pub const CHORUS_NO_MODEL: i32 = 10;
/// The model is of no use here; the one before stays. Wait for another one.
pub const CHORUS_MODEL: i32 = 11;
/// Ask the person: it was not granted, or was withdrawn.
pub const CHORUS_NOT_GRANTED: i32 = 12;
/// Wait for the contribution that is under way, or stop it.
pub const CHORUS_BUSY: i32 = 13;
/// The client is closed, or was erased: open one.
pub const CHORUS_CLOSED: i32 = 14;

/// Show the person the current notice, and ask again.
pub const CHORUS_NOTICE: i32 = 15;
/// Do not rely on the receipt: its signature does not fit what it says.
pub const CHORUS_FORGED: i32 = 16;

/// What the app is told: a number to act on, and a sentence to show or log.
#[derive(Debug)]
pub(crate) struct Failure {
    pub code: i32,
    pub sentence: String,
}

impl Failure {
    pub fn new(code: i32, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
        }
    }

    pub fn misuse(sentence: impl Into<String>) -> Self {
        Self::new(CHORUS_MISUSE, sentence)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Store(StoreError::Closed { .. }) => CHORUS_CLOSED,
            Error::Store(_) => CHORUS_STORE,
            Error::NotEnrolled => CHORUS_NOT_ENROLLED,
            Error::Enrol { .. } => CHORUS_ENROL_AGAIN,
            Error::OtherAuthority | Error::Ledger { .. } => CHORUS_OTHER_FOLDER,
            Error::OtherCoordinator | Error::Untrusted { .. } | Error::Log(_) => CHORUS_DISTRUST,
            Error::Unreachable { .. }
            | Error::Rejected { .. }
            | Error::Refused(_)
            | Error::Save(_)
            | Error::Stranger => CHORUS_LATER,
            Error::Answer { .. } => CHORUS_UPDATE,
            Error::NoModel { .. } | Error::NoCandidates => CHORUS_NO_MODEL,
            Error::Model { .. } | Error::Recommend { .. } => CHORUS_MODEL,
            Error::NotGranted { .. } => CHORUS_NOT_GRANTED,
            Error::Decision(_) => CHORUS_NOTICE,
            Error::Import { .. }
            | Error::Rules { .. }
            | Error::Personal { .. }
            | Error::UnknownTopic { .. } => CHORUS_MISUSE,
        };
        Self::new(code, error.to_string())
    }
}
