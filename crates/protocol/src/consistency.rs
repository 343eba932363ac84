//! Proof that everyone in a round was told the same, before anyone gives back a share.
//!
//! A coordinator that tells one half of a client's neighbours "it survived" and the other half "it was lost" would
//! be given shares of both of its secrets. So what a client was told is put into one [`Statement`], and a client gives
//! back shares only for a statement with a [`Proof`] (secagg.md 4.1 and 4.2).

use std::collections::BTreeSet;
use std::fmt;

use chorus_secagg::RoundDigest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::merkle::Tree;
use crate::{BadSignature, Digest, Identity, Purpose, Roster, RoundId, signing};

/// Who vouches that all clients of a round were told the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// The cohort itself: a [`quorum`] of its members sign the statement. For at most [`COHORT_MOST`] clients.
    #[default]
    Cohort,
    /// A witness outside the coordinator signs one statement a round. It also draws the randomness of the graph.
    Witness,
}

/// Above so many clients, collecting signatures of the cohort costs each of them too much: a witness is needed.
pub const COHORT_MOST: usize = 5_000;

/// Most clients of one round: with a witness, each is shown the enrolled keys of all. More are split into several rounds.
pub const WITNESS_MOST: usize = 100_000;

/// How many distinct members of a cohort of `n`, of whom at most `corrupt` ([`RoundPlan::corrupt`](crate::RoundPlan::corrupt))
/// sign anything, must sign: floor((n + corrupt) / 2) + 1.
///
/// Two sets of that size have more than `corrupt` members in common, so one of them is honest, and an honest client
/// signs once a round: no two statements of a cohort can both have a quorum.
pub fn quorum(cohort: usize, corrupt: usize) -> usize {
    cohort.saturating_add(corrupt) / 2 + 1
}

/// The tree over the enrolled keys of a cohort, in the order of its numbers.
pub(crate) fn cohort_tree(enrolled: &[[u8; 32]]) -> Tree {
    Tree::new(enrolled)
}

/// The seed of the round's graph. With a `beacon`, nobody could know it when the keys were fixed.
pub(crate) fn graph_seed(key_root: &Digest, beacon: Option<&[u8; 32]>) -> [u8; 32] {
    let drawn = beacon.map_or(&[][..], |randomness| &randomness[..]);
    Digest::of_parts("chorus/v2/graph-seed", &[&key_root.0, drawn]).0
}

/// Everything that every client of a round must have been told alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Covers the protocol, the task, the round, the plan, and the model as the client received it.
    pub round: &'a RoundDigest,
    /// Root over the enrolled keys of the cohort.
    pub cohort_root: &'a Digest,
    /// Root over the keys of the round.
    pub key_root: &'a Digest,
    /// What the graph was drawn from.
    pub graph_seed: &'a [u8; 32],
    /// With whom everyone masked.
    pub sharers: &'a Roster,
    /// Whose update is in the sum.
    pub survivors: &'a Roster,
}

/// The digest of a list of clients.
fn root(roster: &Roster) -> Digest {
    Digest::of_parts(
        "chorus/v2/roster",
        &[&roster.size().to_be_bytes(), roster.bits()],
    )
}

/// What a client signs together with its update: that it masked it with the `sharers`.
///
/// A coordinator that told one client of a few sharers, and all others of many, could call those few lost, and take that
/// client's masks off one by one. So a client gives back a share of a neighbour's seed only if that neighbour masked with
/// the sharers that it knows itself.
pub(crate) fn masked_with(cohort: &RoundDigest, index: u32, sharers: &Roster) -> Digest {
    Digest::of_parts(
        "chorus/v2/masked",
        &[&cohort.0, &index.to_be_bytes(), &root(sharers).0],
    )
}

impl Statement<'_> {
    /// The one digest that is signed.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(
            "chorus/v2/statement",
            &[
                &self.round.0,
                &self.cohort_root.0,
                &self.key_root.0,
                self.graph_seed,
                &root(self.sharers).0,
                &root(self.survivors).0,
            ],
        )
    }
}

/// What the witness is asked in a round, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Randomness for the graph, now that the keys are fixed.
    Draw {
        /// The round.
        round: RoundId,
        /// What fixes the keys: see [`commitment`].
        commitment: Digest,
    },
    /// A signature under the statement.
    Seal {
        /// The round.
        round: RoundId,
        /// The statement's digest.
        statement: Digest,
    },
}

/// What the witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Testimony {
    /// To [`Question::Draw`].
    Beacon(Beacon),
    /// To [`Question::Seal`].
    Seal(Seal),
}

/// Randomness that the witness drew after the keys of a round were fixed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// The witness's enrolment certificate, DER.
    pub certificate: Vec<u8>,
    /// Uniform.
    pub randomness: [u8; 32],
    /// Ed25519 by the witness.
    #[serde(with = "crate::participation::array")]
    pub signature: [u8; 64],
}

/// The witness's signature under a statement.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The witness's enrolment certificate, DER.
    pub certificate: Vec<u8>,
    /// Ed25519 by the witness.
    #[serde(with = "crate::participation::array")]
    pub signature: [u8; 64],
}

/// What fixes the keys of a round: its digest, how many clients are in the cohort, and both roots. Without the number,
/// which a root does not tell, there would be several graphs to choose from.
pub fn commitment(
    round: &RoundDigest,
    cohort: u32,
    cohort_root: &Digest,
    key_root: &Digest,
) -> Digest {
    Digest::of_parts(
        "chorus/v2/commitment",
        &[&round.0, &cohort.to_be_bytes(), &cohort_root.0, &key_root.0],
    )
}

/// What shares are sealed under and masks derived from: the round's digest, and all that a client was told of its
/// cohort. One that was told of another cohort, other keys, another graph or another witness opens nothing that this
/// client sealed, and its masks do not cancel. So whoever holds a share of this client's secrets also counts the same
/// signatures of the same members.
pub(crate) fn cohort_digest(
    round: &RoundDigest,
    cohort: u32,
    cohort_root: &Digest,
    key_root: &Digest,
    beacon: Option<&Beacon>,
) -> RoundDigest {
    let commitment = commitment(round, cohort, cohort_root, key_root);
    let (witness, drawn) = match beacon {
        Some(beacon) => (&beacon.certificate[..], &beacon.randomness[..]),
        None => (&[][..], &[][..]),
    };
    let digest = Digest::of_parts("chorus/v2/cohort", &[&commitment.0, witness, drawn]);
    RoundDigest(digest.0)
}

impl Beacon {
    /// Signs `randomness` for the keys of one round of one coordinator.
    pub fn sign(
        identity: &Identity,
        certificate: Vec<u8>,
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: &Digest,
        randomness: [u8; 32],
    ) -> Self {
        let number = round.0.to_be_bytes();
        let content: [&[u8]; 4] = [coordinator, &number, &commitment.0, &randomness];
        Self {
            certificate,
            randomness,
            signature: identity.sign(Purpose::Beacon, &content),
        }
    }

    /// Checks the signature of the witness with this `key`.
    ///
    /// # Errors
    /// When it is for another coordinator, round, set of keys or randomness, or by another key.
    pub fn verify(
        &self,
        key: &[u8; 32],
        coordinator: &[u8; 32],
        round: RoundId,
        commitment: &Digest,
    ) -> Result<(), BadSignature> {
        let number = round.0.to_be_bytes();
        let content: [&[u8]; 4] = [coordinator, &number, &commitment.0, &self.randomness];
        signing::verify(key, Purpose::Beacon, &content, &self.signature)
    }
}

impl Seal {
    /// Signs one statement of one round of one coordinator.
    pub fn sign(
        identity: &Identity,
        certificate: Vec<u8>,
        coordinator: &[u8; 32],
        round: RoundId,
        statement: &Digest,
    ) -> Self {
        let number = round.0.to_be_bytes();
        let content: [&[u8]; 3] = [coordinator, &number, &statement.0];
        Self {
            certificate,
            signature: identity.sign(Purpose::Seal, &content),
        }
    }

    /// Checks the signature of the witness with this `key`.
    ///
    /// # Errors
    /// When it is for another coordinator, round or statement, or by another key.
    pub fn verify(
        &self,
        key: &[u8; 32],
        coordinator: &[u8; 32],
        round: RoundId,
        statement: &Digest,
    ) -> Result<(), BadSignature> {
        let number = round.0.to_be_bytes();
        let content: [&[u8]; 3] = [coordinator, &number, &statement.0];
        signing::verify(key, Purpose::Seal, &content, &self.signature)
    }
}

/// Shows a client that others were told the same.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// Signatures of the cohort.
    Cohort {
        /// The enrolled key of every member, in the order of the numbers.
        members: Vec<[u8; 32]>,
        /// Ascending by number.
        endorsements: Vec<Endorsement>,
    },
    /// The signature of the witness.
    Witness(Seal),
}

/// A neighbour's signature under the list of those with whom it masked its update.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedWith {
    /// Its number in the cohort.
    pub index: u32,
    /// Ed25519 by its enrolled key.
    pub signature: [u8; 64],
}

/// One member's signature under the statement, and what proves that it is enrolled.
#[derive(Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// Its number in the cohort.
    pub index: u32,
    /// Its enrolment certificate, DER.
    pub certificate: Vec<u8>,
    /// Ed25519 by its enrolled key.
    pub signature: [u8; 64],
}

// A certificate or an enrolled key says for long who a client is: none is printed.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Cohort {
                members,
                endorsements,
            } => write!(f, "Proof({} of {})", endorsements.len(), members.len()),
            Proof::Witness(_) => f.write_str("Proof(Seal(..))"),
        }
    }
}

impl fmt::Debug for Beacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beacon(..)")
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl fmt::Debug for MaskedWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedWith({})", self.index)
    }
}

impl fmt::Debug for Endorsement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endorsement({})", self.index)
    }
}

/// Why a proof does not convince.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unproven {
    /// The list of members is not the one that was committed to.
    #[error("its list of members is not the one this client was shown when the keys were fixed")]
    Members,
    /// An endorsement that proves nothing.
    #[error("the endorsement of member {index}: {reason}")]
    Endorsement {
        /// The member's number.
        index: u32,
        /// Why.
        reason: String,
    },
    /// A list that is not one of distinct members.
    #[error("its endorsements are not in ascending order, one for each member")]
    Order,
    /// A neighbour whose update is in the sum, and that did not sign for the same sharers.
    #[error("neighbour {0} did not sign that it masked with those that this client masked with")]
    Masked(u32),
    /// Too few.
    #[error(
        "{found} distinct members of the cohort signed what this client was told; {needed} are needed"
    )]
    TooFew {
        /// Valid signatures of distinct members.
        found: usize,
        /// The quorum.
        needed: usize,
    },
    /// The witness.
    #[error("the witness: {0}")]
    Witness(String),
    /// A proof of the other kind than the plan's.
    #[error("it is not of the kind that the plan names")]
    Kind,
}

/// Counts the valid signatures under `statement` and compares them with the quorum.
///
/// `enrolled_key` checks a certificate and gives its key.
pub(crate) fn check_cohort(
    members: &[[u8; 32]],
    cohort_root: &Digest,
    endorsements: &[Endorsement],
    statement: &Digest,
    corrupt: usize,
    enrolled_key: impl Fn(&[u8]) -> Result<[u8; 32], String>,
) -> Result<(), Unproven> {
    if members.len() > COHORT_MOST || cohort_tree(members).root() != *cohort_root {
        return Err(Unproven::Members);
    }
    let needed = quorum(members.len(), corrupt);
    // Both before any signature is checked: a client's time is not the coordinator's to spend.
    if !endorsements.is_sorted_by(|a, b| a.index < b.index) {
        return Err(Unproven::Order);
    }
    if endorsements.len() < needed {
        let found = endorsements.len();
        return Err(Unproven::TooFew { found, needed });
    }
    // One key in two places signs once.
    let mut signers: BTreeSet<[u8; 32]> = BTreeSet::new();
    for endorsement in endorsements {
        let index = endorsement.index;
        let fault = |reason: String| Unproven::Endorsement { index, reason };
        let key = enrolled_key(&endorsement.certificate).map_err(fault)?;
        if members.get(index as usize) != Some(&key) {
            return Err(fault("its certificate is of another client".to_owned()));
        }
        signing::verify(
            &key,
            Purpose::Endorse,
            &[&statement.0],
            &endorsement.signature,
        )
        .map_err(|error| fault(error.to_string()))?;
        signers.insert(key);
    }
    let found = signers.len();
    match found >= needed {
        true => Ok(()),
        false => Err(Unproven::TooFew { found, needed }),
    }
}
