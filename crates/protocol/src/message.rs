use chorus_secagg::{MaskedUpdate, PublicKeys, Sealed};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Digest, Invitation, RoundId, SignedEntry, TaskName};

/// What a client says to the coordinator. The list is the whole of what can leave a client.
pub enum Request {
    /// "I am here for this task." Answered by `Wait` or `Invited`.
    CheckIn {
        /// The task.
        task: TaskName,
    },
    /// Entries of the model log from `from` on. Answered by `Log`.
    FetchLog {
        /// Index of the first entry wanted.
        from: u64,
    },
    /// The rest of a model file. Answered by `Model` chunks.
    FetchModel {
        /// SHA-256 of the file.
        digest: Digest,
        /// Bytes that are already here.
        offset: u64,
    },
    /// This round's public keys, signed by the enrolled key.
    AdvertiseKeys {
        /// The round.
        round: RoundId,
        /// X25519 keys, fresh for this round.
        keys: PublicKeys,
        /// Ed25519 over the round digest and the keys.
        signature: [u8; 64],
    },
    /// Shares of this client's two secrets, sealed for each neighbour, in ascending order of the receiver.
    ShareKeys {
        /// The round.
        round: RoundId,
        /// One for each neighbour.
        sealed: Vec<Addressed>,
    },
    /// "I could open everything but these."
    ConfirmShares {
        /// The round.
        round: RoundId,
        /// Senders whose shares could not be opened, ascending.
        unopenable: Vec<u32>,
    },
    /// The masked update.
    Upload {
        /// The round.
        round: RoundId,
        /// Uniformly random to anyone but the sum.
        update: MaskedUpdate,
    },
    /// One share for each neighbour that sent shares: of its self mask if it survived, of its mask key if not.
    Unmask {
        /// The round.
        round: RoundId,
        /// The shares, ascending by owner.
        revealed: Vec<Revealed>,
    },
    /// Long poll: wait until the coordinator has what comes next.
    Await {
        /// The round.
        round: RoundId,
        /// What is waited for.
        awaited: Awaited,
    },
}

/// What a long poll waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The cohort is fixed: who are my neighbours?
    Neighbours,
    /// The shares that neighbours sealed for me.
    Shares,
    /// Who sent shares that can be used: with whom do I mask?
    Sharers,
    /// Whose update arrived.
    Survivors,
    /// How the round ended.
    Outcome,
}

/// What the coordinator answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// No round for you yet: check in again after so many milliseconds.
    Wait {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// You are in this round.
    Invited(Invitation),
    /// The task is over: nothing to contribute any more.
    Finished,
    /// Entries of the model log.
    Log(Vec<SignedEntry>),
    /// Bytes of a model file, from `offset` on.
    Model {
        /// Where these bytes begin.
        offset: u64,
        /// Length of the whole file.
        total: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Received.
    Accepted,
    /// Not yet: ask again.
    Pending,
    /// The cohort is fixed.
    Neighbours(Neighbourhood),
    /// What neighbours sealed for this client, ascending by sender.
    Shares(Vec<Addressed>),
    /// Who is masked with.
    Sharers(Roster),
    /// Whose update is in the sum.
    Survivors(Roster),
    /// The sum was recovered and a new model version published.
    Completed {
        /// The version.
        version: u64,
    },
    /// The round ended without a sum.
    Aborted {
        /// Why, in a sentence.
        reason: String,
    },
}

/// A client's place in the cohort.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbourhood {
    /// Its own number in the cohort.
    pub index: u32,
    /// Clients in the cohort.
    pub cohort: u32,
    /// Digest of every advertisement of the cohort in the order of the numbers; the graph is drawn from it.
    pub key_root: Digest,
    /// Its neighbours, ascending.
    pub neighbours: Vec<Neighbour>,
}

/// A neighbour's advertisement.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number in the cohort.
    pub index: u32,
    /// Its enrolment certificate, DER.
    pub certificate: Vec<u8>,
    /// Its keys of this round.
    pub keys: PublicKeys,
    /// Its signature over the round digest and the keys.
    pub signature: [u8; 64],
}

/// A sealed pair of shares and the other end of its way: the receiver on the way up, the sender on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed {
    /// The other client's number in the cohort.
    pub peer: u32,
    /// The sealed shares.
    #[serde(with = "crate::participation::array")]
    pub sealed: Sealed,
}

/// A share given back to unmask the sum. Wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Revealed {
    /// Whose secret it is a share of.
    pub owner: u32,
    /// Which of the owner's two secrets.
    #[zeroize(skip)]
    pub kind: Secret,
    /// The share's value.
    pub share: [u8; 32],
}

/// The two secrets of a client in a round. Never both are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secret {
    /// The seed of its own mask, given back when its update is in the sum.
    SelfSeed,
    /// The key of its pairwise masks, given back when its update is not.
    MaskKey,
}

/// A set of clients of a cohort: one bit for each number, lowest bit first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    size: u32,
    bits: Vec<u8>,
}

impl Roster {
    /// The set of the `members`, each below `size`; larger numbers are left out.
    pub fn of(size: u32, members: impl IntoIterator<Item = u32>) -> Self {
        let mut bits = vec![0; (size as usize).div_ceil(8)];
        for member in members.into_iter().filter(|member| *member < size) {
            if let Some(byte) = bits.get_mut(member as usize / 8) {
                *byte |= 1 << (member % 8);
            }
        }
        Self { size, bits }
    }

    /// The set that `bits` describes.
    ///
    /// Returns nothing when the length does not fit `size`, or a bit beyond it is set.
    pub fn from_bits(size: u32, bits: &[u8]) -> Option<Self> {
        if bits.len() != (size as usize).div_ceil(8) {
            return None;
        }
        let used = size % 8;
        let clean = used == 0 || bits.last().is_none_or(|last| last >> used == 0);
        clean.then(|| Self {
            size,
            bits: bits.to_vec(),
        })
    }

    /// The bits as they travel.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Size of the cohort.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// True when `member` is in the set.
    pub fn contains(&self, member: u32) -> bool {
        self.bits
            .get(member as usize / 8)
            .is_some_and(|byte| byte >> (member % 8) & 1 == 1)
    }

    /// How many are in the set.
    pub fn count(&self) -> usize {
        self.bits
            .iter()
            .map(|byte| byte.count_ones() as usize)
            .sum()
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.size).filter(|member| self.contains(*member))
    }
}
