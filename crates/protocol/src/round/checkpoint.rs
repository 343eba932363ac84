//! A round at rest. Once its survivors are settled it can be taken up again by another process, and ends with the
//! same sum: who survived is written once, before anyone is told, and never decided a second time (secagg.md 4.7).

use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::Aggregate;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::agreeing::{Endorsing, Settled};
use super::cohort::{Advertisement, Cohort, Members};
use super::input::Kind;
use super::{Frame, Funnel, Message, Millis, Round, State, Timing};
use crate::at_rest::Form;
use crate::{Beacon, ClientId, Digest, Revealed, RoundPlan};

const CHECKPOINT: Form = Form {
    version: 2,
    domain: "chorus/v2/checkpoint",
};

const RECORD: Form = Form {
    version: 1,
    domain: "chorus/v2/record",
};

/// A checkpoint that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the round's checkpoint cannot be read: {0}")]
pub struct Unreadable(String);

/// What is kept of a round whose survivors are settled.
///
/// # Privacy
/// Holds what the coordinator holds anyway: the public keys, who survived, and the sum with its masks on.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    plan: Vec<u8>,
    invited: Vec<[u8; 16]>,
    accepted: Vec<([u8; 16], Kind, [u8; 32])>,
    funnel: Funnel,
    members: Vec<([u8; 16], Advertisement)>,
    beacon: Option<Beacon>,
    sharers: BTreeSet<u32>,
    survivors: Vec<Survived>,
    sum: Vec<u8>,
}

/// A client whose update is in the sum.
#[derive(Serialize, Deserialize)]
struct Survived {
    number: u32,
    /// Under the list of sharers.
    #[serde(with = "crate::participation::array")]
    signature: [u8; 64],
}

/// A client's message after the checkpoint, to be kept before it is answered. Given again in any order, such messages
/// bring a restored round to where it was; where a witness vouches, it is asked for its seal again, and gives the same.
/// Wiped when dropped.
pub struct Record(Zeroizing<Vec<u8>>);

#[derive(Serialize, Deserialize)]
enum Kept {
    Endorse(#[serde(with = "crate::participation::array")] [u8; 64]),
    Unmask(Vec<Revealed>),
}

impl Record {
    /// What must be kept of `message`; nothing for the kinds that come before the checkpoint.
    pub fn of(message: &Message) -> Option<Self> {
        let kept = match message {
            Message::Endorse(signature) => Kept::Endorse(*signature),
            Message::Unmask(revealed) => Kept::Unmask(revealed.clone()),
            _ => return None,
        };
        RECORD.write(&kept).ok().map(Self)
    }

    /// Tells a client's messages apart: it sends one of each kind.
    pub fn kind(&self) -> u8 {
        // After the version comes the number of the kind.
        self.0.get(1).copied().unwrap_or_default()
    }

    /// The bytes, to store.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The message again.
    ///
    /// # Errors
    /// When the bytes are not those of a record.
    pub fn read(bytes: &[u8]) -> Result<Message, Unreadable> {
        match RECORD.read(bytes).map_err(Unreadable)? {
            Kept::Endorse(signature) => Ok(Message::Endorse(signature)),
            Kept::Unmask(revealed) => Ok(Message::Unmask(revealed)),
        }
    }
}

impl Round {
    /// The round as bytes while it waits for proof; nothing before and after. What clients said in that phase is not in
    /// them: that is in the [`Record`]s.
    pub fn checkpoint(&self) -> Option<Vec<u8>> {
        let State::Endorsing(phase) = &self.state else {
            return None;
        };
        let Settled {
            aggregate,
            cohort,
            sharers,
            masked,
            ..
        } = phase.settled();
        let Frame {
            plan_bytes,
            invited,
            accepted,
            funnel,
            ..
        } = &self.frame;
        let members = cohort.members().advertised();
        let before = |kind: Kind| !matches!(kind, Kind::Endorse | Kind::Unmask);
        let checkpoint = Checkpoint {
            plan: plan_bytes.clone(),
            invited: invited.iter().map(|client| client.0).collect(),
            accepted: accepted
                .iter()
                .filter(|((_, kind), _)| before(*kind))
                .map(|((client, kind), digest)| (client.0, *kind, digest.0))
                .collect(),
            funnel: *funnel,
            members: members.map(|(id, one)| (id.0, one.clone())).collect(),
            beacon: cohort.beacon.clone(),
            sharers: sharers.clone(),
            survivors: masked
                .iter()
                .map(|(number, signature)| Survived {
                    number: *number,
                    signature: *signature,
                })
                .collect(),
            sum: aggregate.clone().to_bytes(),
        };
        let mut bytes = CHECKPOINT.write(&checkpoint).ok()?;
        Some(std::mem::take(&mut *bytes))
    }

    /// Takes up a round from its checkpoint. The messages that were recorded since must be given to it again.
    ///
    /// # Errors
    /// When the bytes are damaged or of another version.
    pub fn restore(bytes: &[u8], timing: Timing, now: Millis) -> Result<Self, Unreadable> {
        let kept: Checkpoint = CHECKPOINT.read(bytes).map_err(Unreadable)?;
        let plan: RoundPlan = serde_json::from_slice(&kept.plan).map_err(fault)?;
        let advertised: BTreeMap<ClientId, Advertisement> = kept
            .members
            .into_iter()
            .map(|(id, advertisement)| (ClientId(id), advertisement))
            .collect();
        let size = u32::try_from(advertised.len()).map_err(fault)?;
        let known = |members: &BTreeSet<u32>| members.iter().all(|member| *member < size);
        let masked: BTreeMap<u32, [u8; 64]> = kept
            .survivors
            .into_iter()
            .map(|one| (one.number, one.signature))
            .collect();
        let survivors: BTreeSet<u32> = masked.keys().copied().collect();
        if !known(&kept.sharers) || !survivors.is_subset(&kept.sharers) {
            return Err(fault("its survivors are not of its cohort"));
        }
        let aggregate =
            Aggregate::from_bytes(&kept.sum, plan.ring(), plan.encoding.words()).map_err(fault)?;
        let invited = kept.invited.into_iter().map(ClientId).collect();
        let mut round = Self::open(plan, &kept.plan, invited, timing, now);
        let Frame { plan, digest, .. } = &round.frame;
        let members = Members::new(advertised);
        let settled = Settled {
            aggregate,
            cohort: Cohort::new(members, kept.beacon, plan, digest).map_err(fault)?,
            sharers: kept.sharers,
            survivors,
            masked,
        };
        round.frame.funnel = kept.funnel;
        round.frame.accepted = kept
            .accepted
            .into_iter()
            .map(|(client, kind, digest)| ((ClientId(client), kind), Digest(digest)))
            .collect();
        round.state = State::Endorsing(Endorsing::again(settled));
        Ok(round)
    }
}

fn fault(error: impl std::fmt::Display) -> Unreadable {
    Unreadable(error.to_string())
}
