//! What comes into a round.

use serde::{Deserialize, Serialize};

use crate::{Addressed, ClientId, Digest, PublicKeys, Revealed, SignedUpdate, Testimony};

/// What comes into a round.
pub enum Input {
    /// A message of a client whose certificate the caller has checked.
    From {
        /// Who.
        client: ClientId,
        /// What.
        message: Message,
    },
    /// What the witness answered to the round's [`question`](crate::Round::question). The caller has checked that it is
    /// signed, by a witness: if it is not, every client leaves the round.
    Witness(Testimony),
    /// Time passes.
    Tick,
}

/// A client's message, one kind for each phase.
pub enum Message {
    /// This round's keys.
    Advertise {
        /// The client's enrolled key, from its certificate; its id must be that of the sender.
        key: [u8; 32],
        /// The certificate, DER, for its neighbours to check.
        certificate: Vec<u8>,
        /// X25519 keys.
        keys: PublicKeys,
        /// Over the round digest and the keys.
        signature: [u8; 64],
    },
    /// Sealed shares, one for each neighbour, ascending.
    Share(Vec<Addressed>),
    /// Senders whose shares could not be opened, ascending.
    Confirm(Vec<u32>),
    /// The masked update.
    Upload(SignedUpdate),
    /// A signature under what the client was told.
    Endorse([u8; 64]),
    /// Shares that unmask the sum, ascending by owner.
    Unmask(Vec<Revealed>),
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    Advertise,
    Share,
    Confirm,
    Upload,
    Endorse,
    Unmask,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Advertise => "advertise",
            Kind::Share => "share",
            Kind::Confirm => "confirm",
            Kind::Upload => "upload",
            Kind::Endorse => "endorse",
            Kind::Unmask => "unmask",
        }
    }
}

impl Message {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Message::Advertise { .. } => Kind::Advertise,
            Message::Share(_) => Kind::Share,
            Message::Confirm(_) => Kind::Confirm,
            Message::Upload(_) => Kind::Upload,
            Message::Endorse(_) => Kind::Endorse,
            Message::Unmask(_) => Kind::Unmask,
        }
    }

    /// Tells a repeated message from a different one.
    pub(super) fn digest(&self) -> Digest {
        let name = self.kind().name();
        match self {
            Message::Advertise {
                keys, signature, ..
            } => Digest::of_parts(name, &[&keys.cipher, &keys.mask, signature]),
            Message::Share(sealed) => {
                let bytes = sealed
                    .iter()
                    .flat_map(|one| one.peer.to_be_bytes().into_iter().chain(one.sealed));
                Digest::of_parts(name, &[&bytes.collect::<Vec<u8>>()])
            }
            Message::Confirm(unopenable) => {
                let bytes = unopenable.iter().flat_map(|number| number.to_be_bytes());
                Digest::of_parts(name, &[&bytes.collect::<Vec<u8>>()])
            }
            Message::Upload(update) => {
                Digest::of_parts(name, &[update.masked.bytes(), &update.signature])
            }
            Message::Endorse(signature) => Digest::of_parts(name, &[signature]),
            Message::Unmask(revealed) => {
                let bytes = revealed.iter().flat_map(|one| {
                    let kind = [one.kind as u8];
                    let owner = one.owner.to_be_bytes().into_iter();
                    owner.chain(kind).chain(one.share)
                });
                Digest::of_parts(
                    name,
                    &[&zeroize::Zeroizing::new(bytes.collect::<Vec<u8>>())],
                )
            }
        }
    }
}
