//! What a client says, as it travels.

use chorus_protocol::{
    Addressed, Awaited, Digest, PROTOCOL_VERSION, PublicKeys, Request, Revealed, RoundId, Secret,
    SignedUpdate, TaskName,
};
use chorus_secagg::{Generator, MaskedUpdate, Ring};

use crate::{
    WireError,
    error::{at_most, fixed, version},
    limits::{MAX_LAYERS, MAX_NEIGHBOURS, MAX_UPLOAD_BYTES},
    proto,
};

/// A [`Request`] as the message of its call.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `CheckIn`.
    CheckIn(proto::CheckInRequest),
    /// `FetchLog`.
    FetchLog(proto::FetchLogRequest),
    /// `FetchModel`.
    FetchModel(proto::FetchModelRequest),
    /// `AdvertiseKeys`.
    AdvertiseKeys(proto::AdvertiseKeysRequest),
    /// `ShareKeys`.
    ShareKeys(proto::ShareKeysRequest),
    /// `ConfirmShares`.
    ConfirmShares(proto::ConfirmSharesRequest),
    /// `Upload`: a start and the bytes of the whole. A [`Connection`](crate::client::Connection) sends the bytes from
    /// where they are; only here they are copied.
    Upload(proto::UploadStart, Vec<u8>),
    /// `Endorse`.
    Endorse(proto::EndorseRequest),
    /// `Unmask`.
    Unmask(proto::UnmaskRequest),
    /// `Await`.
    Await(proto::AwaitRequest),
}

impl From<&Request> for Call {
    fn from(request: &Request) -> Self {
        let protocol_version = PROTOCOL_VERSION;
        match request {
            Request::CheckIn { task } => Call::CheckIn(proto::CheckInRequest {
                protocol_version,
                task: task.as_str().to_owned(),
            }),
            Request::FetchLog { from } => Call::FetchLog(proto::FetchLogRequest {
                protocol_version,
                from: *from,
            }),
            Request::FetchModel { digest, offset } => Call::FetchModel(proto::FetchModelRequest {
                protocol_version,
                digest: digest.0.to_vec(),
                offset: *offset,
            }),
            Request::AdvertiseKeys {
                round,
                keys,
                signature,
            } => Call::AdvertiseKeys(proto::AdvertiseKeysRequest {
                protocol_version,
                round: round.0,
                cipher_key: keys.cipher.to_vec(),
                mask_key: keys.mask.to_vec(),
                signature: signature.to_vec(),
                generator: proto::Generator::from(keys.generator).into(),
            }),
            Request::ShareKeys { round, sealed } => Call::ShareKeys(proto::ShareKeysRequest {
                protocol_version,
                round: round.0,
                sealed: sealed.iter().map(Into::into).collect(),
            }),
            Request::ConfirmShares { round, unopenable } => {
                Call::ConfirmShares(proto::ConfirmSharesRequest {
                    protocol_version,
                    round: round.0,
                    unopenable: unopenable.clone(),
                })
            }
            Request::Upload { round, update } => {
                Call::Upload(upload_start(*round, update), update.masked.bytes().to_vec())
            }
            Request::Endorse { round, signature } => Call::Endorse(proto::EndorseRequest {
                protocol_version,
                round: round.0,
                signature: signature.to_vec(),
            }),
            Request::Unmask { round, revealed } => Call::Unmask(proto::UnmaskRequest {
                protocol_version,
                round: round.0,
                revealed: revealed.iter().map(Into::into).collect(),
            }),
            Request::Await { round, awaited } => {
                let awaited: proto::Awaited = (*awaited).into();
                Call::Await(proto::AwaitRequest {
                    protocol_version,
                    round: round.0,
                    awaited: awaited.into(),
                })
            }
        }
    }
}

impl Call {
    /// What was said. `shape`: of the round's uploads; only an upload is read by it.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn read(self, shape: Shape) -> Result<Request, WireError> {
        match self {
            Call::CheckIn(message) => message.try_into(),
            Call::FetchLog(message) => message.try_into(),
            Call::FetchModel(message) => message.try_into(),
            Call::AdvertiseKeys(message) => message.try_into(),
            Call::ShareKeys(message) => message.try_into(),
            Call::ConfirmShares(message) => message.try_into(),
            Call::Upload(start, bytes) => upload(&Start::try_from(start)?, shape, bytes),
            Call::Endorse(message) => message.try_into(),
            Call::Unmask(message) => message.try_into(),
            Call::Await(message) => message.try_into(),
        }
    }
}

impl TryFrom<proto::CheckInRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::CheckInRequest) -> Result<Self, WireError> {
        version("CheckInRequest.protocol_version", message.protocol_version)?;
        let task = TaskName::try_from(message.task).map_err(|reason| WireError::Value {
            field: "CheckInRequest.task",
            reason,
        })?;
        Ok(Request::CheckIn { task })
    }
}

impl TryFrom<proto::FetchLogRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::FetchLogRequest) -> Result<Self, WireError> {
        version("FetchLogRequest.protocol_version", message.protocol_version)?;
        Ok(Request::FetchLog { from: message.from })
    }
}

impl TryFrom<proto::FetchModelRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::FetchModelRequest) -> Result<Self, WireError> {
        version(
            "FetchModelRequest.protocol_version",
            message.protocol_version,
        )?;
        let digest = Digest(fixed("FetchModelRequest.digest", &message.digest)?);
        Ok(Request::FetchModel {
            digest,
            offset: message.offset,
        })
    }
}

impl TryFrom<proto::AdvertiseKeysRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::AdvertiseKeysRequest) -> Result<Self, WireError> {
        version(
            "AdvertiseKeysRequest.protocol_version",
            message.protocol_version,
        )?;
        Ok(Request::AdvertiseKeys {
            round: RoundId(message.round),
            keys: PublicKeys {
                cipher: fixed("AdvertiseKeysRequest.cipher_key", &message.cipher_key)?,
                mask: fixed("AdvertiseKeysRequest.mask_key", &message.mask_key)?,
                generator: generator("AdvertiseKeysRequest.generator", message.generator)?,
            },
            signature: fixed("AdvertiseKeysRequest.signature", &message.signature)?,
        })
    }
}

impl TryFrom<proto::ShareKeysRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::ShareKeysRequest) -> Result<Self, WireError> {
        version(
            "ShareKeysRequest.protocol_version",
            message.protocol_version,
        )?;
        let sealed = addressed("ShareKeysRequest.sealed", message.sealed)?;
        Ok(Request::ShareKeys {
            round: RoundId(message.round),
            sealed,
        })
    }
}

impl TryFrom<proto::ConfirmSharesRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::ConfirmSharesRequest) -> Result<Self, WireError> {
        version(
            "ConfirmSharesRequest.protocol_version",
            message.protocol_version,
        )?;
        let unopenable = message.unopenable;
        at_most(
            "ConfirmSharesRequest.unopenable",
            "numbers",
            unopenable.len(),
            MAX_NEIGHBOURS,
        )?;
        Ok(Request::ConfirmShares {
            round: RoundId(message.round),
            unopenable,
        })
    }
}

impl TryFrom<proto::EndorseRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::EndorseRequest) -> Result<Self, WireError> {
        version("EndorseRequest.protocol_version", message.protocol_version)?;
        Ok(Request::Endorse {
            round: RoundId(message.round),
            signature: fixed("EndorseRequest.signature", &message.signature)?,
        })
    }
}

impl TryFrom<proto::UnmaskRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::UnmaskRequest) -> Result<Self, WireError> {
        version("UnmaskRequest.protocol_version", message.protocol_version)?;
        at_most(
            "UnmaskRequest.revealed",
            "shares",
            message.revealed.len(),
            MAX_NEIGHBOURS + MAX_LAYERS,
        )?;
        let revealed = message
            .revealed
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()?;
        Ok(Request::Unmask {
            round: RoundId(message.round),
            revealed,
        })
    }
}

impl TryFrom<proto::AwaitRequest> for Request {
    type Error = WireError;

    fn try_from(message: proto::AwaitRequest) -> Result<Self, WireError> {
        version("AwaitRequest.protocol_version", message.protocol_version)?;
        let awaited = match proto::Awaited::try_from(message.awaited) {
            Ok(proto::Awaited::Neighbours) => Awaited::Neighbours,
            Ok(proto::Awaited::Shares) => Awaited::Shares,
            Ok(proto::Awaited::Sharers) => Awaited::Sharers,
            Ok(proto::Awaited::Survivors) => Awaited::Survivors,
            Ok(proto::Awaited::Proof) => Awaited::Proof,
            Ok(proto::Awaited::Outcome) => Awaited::Outcome,
            Ok(proto::Awaited::Unspecified) | Err(_) => {
                let field = "AwaitRequest.awaited";
                return Err(WireError::Unspecified {
                    field,
                    found: message.awaited,
                });
            }
        };
        Ok(Request::Await {
            round: RoundId(message.round),
            awaited,
        })
    }
}

impl From<Awaited> for proto::Awaited {
    fn from(awaited: Awaited) -> Self {
        match awaited {
            Awaited::Neighbours => proto::Awaited::Neighbours,
            Awaited::Shares => proto::Awaited::Shares,
            Awaited::Sharers => proto::Awaited::Sharers,
            Awaited::Survivors => proto::Awaited::Survivors,
            Awaited::Proof => proto::Awaited::Proof,
            Awaited::Outcome => proto::Awaited::Outcome,
        }
    }
}

impl From<Generator> for proto::Generator {
    fn from(generator: Generator) -> Self {
        match generator {
            Generator::Aes128Ctr => proto::Generator::Aes128Ctr,
            Generator::ChaCha12 => proto::Generator::Chacha12,
        }
    }
}

/// The generator that a client named.
pub(crate) fn generator(field: &'static str, found: i32) -> Result<Generator, WireError> {
    match proto::Generator::try_from(found) {
        Ok(proto::Generator::Aes128Ctr) => Ok(Generator::Aes128Ctr),
        Ok(proto::Generator::Chacha12) => Ok(Generator::ChaCha12),
        Ok(proto::Generator::Unspecified) | Err(_) => Err(WireError::Unspecified { field, found }),
    }
}

impl From<&Revealed> for proto::RevealedShare {
    fn from(revealed: &Revealed) -> Self {
        let kind = match revealed.kind {
            Secret::SelfSeed => proto::Secret::SelfSeed,
            Secret::MaskKey => proto::Secret::MaskKey,
            Secret::LayerSeed => proto::Secret::LayerSeed,
        };
        Self {
            owner: revealed.owner,
            kind: kind.into(),
            share: revealed.share.to_vec(),
        }
    }
}

impl TryFrom<proto::RevealedShare> for Revealed {
    type Error = WireError;

    fn try_from(message: proto::RevealedShare) -> Result<Self, WireError> {
        let kind = match proto::Secret::try_from(message.kind) {
            Ok(proto::Secret::SelfSeed) => Secret::SelfSeed,
            Ok(proto::Secret::MaskKey) => Secret::MaskKey,
            Ok(proto::Secret::LayerSeed) => Secret::LayerSeed,
            Ok(proto::Secret::Unspecified) | Err(_) => {
                return Err(WireError::Unspecified {
                    field: "RevealedShare.kind",
                    found: message.kind,
                });
            }
        };
        Ok(Self {
            owner: message.owner,
            kind,
            share: fixed("RevealedShare.share", &message.share)?,
        })
    }
}

impl From<&Addressed> for proto::AddressedShares {
    fn from(addressed: &Addressed) -> Self {
        Self {
            peer: addressed.peer,
            sealed: addressed.sealed.to_vec(),
        }
    }
}

/// Sealed shares, both ways.
pub(crate) fn addressed(
    field: &'static str,
    messages: Vec<proto::AddressedShares>,
) -> Result<Vec<Addressed>, WireError> {
    at_most(field, "shares", messages.len(), MAX_NEIGHBOURS)?;
    let read = |message: proto::AddressedShares| {
        let sealed = fixed("AddressedShares.sealed", &message.sealed)?;
        Ok(Addressed {
            peer: message.peer,
            sealed,
        })
    };
    messages.into_iter().map(read).collect()
}

/// The start of an upload of these bytes.
pub(crate) fn upload_start(round: RoundId, update: &SignedUpdate) -> proto::UploadStart {
    let bytes = update.masked.bytes();
    proto::UploadStart {
        protocol_version: PROTOCOL_VERSION,
        round: round.0,
        total_bytes: bytes.len() as u64,
        sha256: Digest::of(bytes).0.to_vec(),
        offset: 0,
        signature: update.signature.to_vec(),
    }
}

/// The start of an upload, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub round: RoundId,
    pub total: u64,
    pub sha256: Digest,
    pub offset: u64,
    pub signature: [u8; 64],
}

impl TryFrom<proto::UploadStart> for Start {
    type Error = WireError;

    fn try_from(message: proto::UploadStart) -> Result<Self, WireError> {
        version("UploadStart.protocol_version", message.protocol_version)?;
        let total = message.total_bytes;
        if total > MAX_UPLOAD_BYTES {
            let (field, limit) = ("UploadStart.total_bytes", MAX_UPLOAD_BYTES);
            return Err(WireError::TooLong {
                field,
                limit,
                found: total,
                unit: "bytes",
            });
        }
        if message.offset > total {
            let reason = format!("{} is beyond the end at {total}", message.offset);
            return Err(WireError::Value {
                field: "UploadStart.offset",
                reason,
            });
        }
        Ok(Self {
            round: RoundId(message.round),
            total,
            sha256: Digest(fixed("UploadStart.sha256", &message.sha256)?),
            offset: message.offset,
            signature: fixed("UploadStart.signature", &message.signature)?,
        })
    }
}

/// What an upload to a round must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The ring of the round's sum.
    pub ring: Ring,
    /// Values, check values not counted.
    pub length: usize,
}

impl Shape {
    /// Bytes of the whole upload.
    pub fn bytes(&self) -> u64 {
        self.ring.upload_bytes(self.length) as u64
    }
}

/// An upload of which every byte has arrived.
pub(crate) fn upload(start: &Start, shape: Shape, bytes: Vec<u8>) -> Result<Request, WireError> {
    if bytes.len() as u64 != start.total {
        let (expected, found) = (start.total, bytes.len() as u64);
        return Err(WireError::Length {
            field: "UploadChunk.data",
            expected,
            found,
        });
    }
    if Digest::of(&bytes) != start.sha256 {
        let reason = "the digest of what arrived is another; send the upload again from the start"
            .to_owned();
        return Err(WireError::Value {
            field: "UploadStart.sha256",
            reason,
        });
    }
    let masked = MaskedUpdate::from_bytes(bytes, shape.ring, shape.length).map_err(|error| {
        WireError::Value {
            field: "UploadChunk.data",
            reason: error.to_string(),
        }
    })?;
    let signature = start.signature;
    Ok(Request::Upload {
        round: start.round,
        update: SignedUpdate { masked, signature },
    })
}
