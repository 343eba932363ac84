use std::fmt;

use chorus_secagg::{MaskedUpdate, PublicKeys, Sealed};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Beacon, Digest, Invitation, MaskedWith, Proof, RoundId, SignedEntry, TaskName};

/// What a client says to the coordinator. The list is the whole of what can leave a client.
///
/// The one vector in it is masked:
///
/// ```
/// use chorus_protocol::{Request, RoundId};
/// fn upload(masked: chorus_secagg::MaskedUpdate, signature: [u8; 64]) -> Request {
///     let update = chorus_protocol::SignedUpdate { masked, signature };
///     Request::Upload { round: RoundId(1), update }
/// }
/// ```
///
/// What a client learned cannot take its place, nor can its noised encoding, whose noise alone protects nobody,
/// nor plain words:
///
/// ```compile_fail,E0308
/// use chorus_protocol::{Request, RoundId};
/// fn upload(update: chorus_model::Delta) -> Request {
///     Request::Upload { round: RoundId(1), update }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use chorus_protocol::{Request, RoundId};
/// fn upload(update: chorus_privacy::NoisedUpdate) -> Request {
///     Request::Upload { round: RoundId(1), update }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use chorus_protocol::{Request, RoundId};
/// fn upload(update: Vec<u32>) -> Request {
///     Request::Upload { round: RoundId(1), update }
/// }
/// ```
///
/// There is no conversion either:
///
/// ```compile_fail,E0277
/// fn masked(update: chorus_privacy::NoisedUpdate) -> chorus_secagg::MaskedUpdate { update.into() }
/// ```
///
/// ```compile_fail,E0277
/// fn masked(update: chorus_model::Delta) -> chorus_secagg::MaskedUpdate { update.into() }
/// ```
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
        update: SignedUpdate,
    },
    /// "This is what I was told": signed by the enrolled key, where the cohort itself vouches for consistency.
    Endorse {
        /// The round.
        round: RoundId,
        /// Ed25519 over the digest of the [`Statement`](crate::Statement).
        signature: [u8; 64],
    },
    /// One share for each neighbour that sent shares: of its self mask if it survived, of its mask key if not. Then, where the
    /// plan's noise has layers, the client's own seeds of those that the survivors do not need.
    Unmask {
        /// The round.
        round: RoundId,
        /// The shares, ascending by owner; then the seeds, in the order of their layers.
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

/// A masked update, and the client's signature under the list of those with whom it is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedUpdate {
    /// The update.
    pub masked: MaskedUpdate,
    /// Ed25519 by the enrolled key.
    pub signature: [u8; 64],
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
    /// That others were told the same.
    Proof,
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
    /// Others were told the same; and of each neighbour whose update is in the sum, ascending, that it masked with the
    /// same clients.
    Proof(Proof, Vec<MaskedWith>),
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
    /// Root of the Merkle tree over the enrolled keys of the cohort, in the order of the numbers.
    pub cohort_root: Digest,
    /// Root of the Merkle tree over every advertisement of the cohort; the graph is drawn from it.
    pub key_root: Digest,
    /// From its own advertisement to the key root.
    pub path: Vec<Digest>,
    /// What the witness drew once the key root was fixed; nothing without a witness.
    pub beacon: Option<Beacon>,
    /// With a witness: the enrolled key of every member, in the order of the numbers, so that each can be seen to be there
    /// once. Where the cohort vouches, the proof has them.
    pub members: Vec<[u8; 32]>,
    /// Its neighbours, ascending.
    pub neighbours: Vec<Neighbour>,
}

/// A neighbour's advertisement. Printed as its number only: a certificate says for long who a client is.
#[derive(Clone, PartialEq)]
pub struct Neighbour {
    /// Its number in the cohort.
    pub index: u32,
    /// Its enrolment certificate, DER.
    pub certificate: Vec<u8>,
    /// Its keys of this round.
    pub keys: PublicKeys,
    /// Its signature over the round digest and the keys.
    pub signature: [u8; 64],
    /// From its advertisement to the key root.
    pub path: Vec<Digest>,
}

impl fmt::Debug for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Neighbour({})", self.index)
    }
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

/// A share, or a seed, given back to unmask the sum. Wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Revealed {
    /// Whose secret it is, or is a share of.
    pub owner: u32,
    /// Which of the owner's secrets.
    #[zeroize(skip)]
    pub kind: Secret,
    /// The share's value, or the seed.
    pub share: [u8; 32],
}

/// The secrets of a client in a round. Shares of its self seed and of its mask key are never both given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secret {
    /// The seed of its own mask, given back when its update is in the sum.
    SelfSeed,
    /// The key of its pairwise masks, given back when its update is not.
    MaskKey,
    /// What one layer of its noise was drawn from: the survivor's own, and whole.
    LayerSeed,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_sizes_do_not_overflow() {
        for size in [0, 1, 7, 8, 9, u32::MAX - 7, u32::MAX - 1, u32::MAX] {
            for bits in [&[][..], &[0], &[0xff], &[0; 2]] {
                let fits = bits.len() == (size as usize).div_ceil(8);
                let roster = Roster::from_bits(size, bits);
                assert!(fits || roster.is_none(), "{size} {bits:?}");
            }
        }
        let empty = Roster::from_bits(0, &[]).unwrap();
        assert_eq!((empty.count(), empty.contains(0)), (0, false));
        assert!(!empty.contains(u32::MAX));
    }

    proptest! {
        /// Bits are read only if they are the one way to write their set.
        #[test]
        fn a_set_has_one_form(
            size in 0u32..70,
            bits in proptest::collection::vec(any::<u8>(), 0..10),
        ) {
            let spare = |roster: &Roster| roster.iter().all(|member| member < size);
            match Roster::from_bits(size, &bits) {
                Some(roster) => {
                    prop_assert_eq!(roster.bits(), &bits[..]);
                    prop_assert_eq!(roster.size(), size);
                    prop_assert_eq!(roster.count(), roster.iter().count());
                    prop_assert!(spare(&roster));
                    prop_assert_eq!(&Roster::of(size, roster.iter()), &roster);
                }
                None => {
                    let beyond = (size as usize..8 * bits.len())
                        .any(|place| bits[place / 8] >> (place % 8) & 1 == 1);
                    prop_assert!(beyond || bits.len() != (size as usize).div_ceil(8));
                }
            }
        }

        #[test]
        fn members_are_who_was_named(
            size in 0u32..70,
            members in proptest::collection::btree_set(0u32..80, 0..40),
        ) {
            let roster = Roster::of(size, members.iter().copied());
            let inside: Vec<u32> = members.into_iter().filter(|member| *member < size).collect();
            prop_assert_eq!(roster.iter().collect::<Vec<_>>(), inside);
            prop_assert_eq!(Roster::from_bits(size, roster.bits()), Some(roster));
        }
    }
}
