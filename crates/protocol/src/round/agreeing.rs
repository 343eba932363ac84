use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::Aggregate;

use super::cohort::Cohort;
use super::unmasking::{Shares, Unmasking};
use super::{Frame, Millis, State, Turn};
use crate::consistency::quorum;
use crate::{
    ClientId, Consistency, Digest, Endorsement, MaskedWith, Proof, Purpose, Reject, Response,
    Revealed, Roster, RoundPlan, Seal, Statement, signing,
};

/// A round whose sum is settled: no update comes in any more, and who is in it never changes again.
#[derive(Clone, PartialEq)]
pub(super) struct Settled {
    pub aggregate: Aggregate,
    pub cohort: Cohort,
    pub sharers: BTreeSet<u32>,
    pub survivors: BTreeSet<u32>,
    /// Each survivor's signature under the list of sharers.
    pub masked: BTreeMap<u32, [u8; 64]>,
}

impl Settled {
    fn roster(&self, members: &BTreeSet<u32>) -> Roster {
        Roster::of(self.cohort.len() as u32, members.iter().copied())
    }

    /// The number of a client whose update is in the sum.
    pub fn survivor(&self, client: &ClientId) -> Result<u32, Reject> {
        let number = self.cohort.number(client)?;
        let survived = self.survivors.contains(&number);
        survived.then_some(number).ok_or(Reject::LeftOut)
    }

    /// The clients whose updates are in the sum.
    pub fn who(&self) -> BTreeSet<ClientId> {
        self.cohort.named(&self.survivors)
    }

    /// Who survived, for a client that did.
    pub fn told(&self, client: &ClientId) -> Result<Response, Reject> {
        self.survivor(client)?;
        Ok(Response::Survivors(self.roster(&self.survivors)))
    }

    /// The signatures of a client's neighbours that survived.
    pub fn masked(&self, number: u32) -> Vec<MaskedWith> {
        let near = self.cohort.neighbours(number).into_iter();
        near.filter_map(|index| {
            let signature = *self.masked.get(&index)?;
            Some(MaskedWith { index, signature })
        })
        .collect()
    }

    /// The digest of what every client of the round is told.
    pub fn statement(&self, frame: &Frame) -> Digest {
        Statement {
            round: &frame.digest,
            cohort_root: &self.cohort.members().cohort_root,
            key_root: &self.cohort.members().key_root(),
            graph_seed: &self.cohort.seed,
            sharers: &self.roster(&self.sharers),
            survivors: &self.roster(&self.survivors),
        }
        .digest()
    }
}

/// Waits for proof that everyone was told the same: signatures of a quorum of the cohort, or the witness's.
#[derive(Clone, PartialEq)]
pub(super) struct Endorsing {
    settled: Settled,
    endorsed: BTreeMap<u32, [u8; 64]>,
    /// In a round that was taken up again: shares that were given back before, until the proof is there again.
    early: Option<Shares>,
}

impl Endorsing {
    pub fn new(settled: Settled) -> Self {
        Self {
            settled,
            endorsed: BTreeMap::new(),
            early: None,
        }
    }

    /// In a round that is taken up again.
    pub fn again(settled: Settled) -> Self {
        Self {
            early: Some(Shares::default()),
            ..Self::new(settled)
        }
    }

    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    pub fn take(
        &mut self,
        frame: &Frame,
        client: ClientId,
        signature: [u8; 64],
    ) -> Result<(), Reject> {
        let number = self.settled.survivor(&client)?;
        let member = self.settled.cohort.member(number).ok_or(Reject::LeftOut)?;
        let statement = self.settled.statement(frame);
        signing::verify(&member.key, Purpose::Endorse, &[&statement.0], &signature)
            .map_err(|_| Reject::Signature)?;
        self.endorsed.insert(number, signature);
        Ok(())
    }

    pub fn is_again(&self) -> bool {
        self.early.is_some()
    }

    /// Takes shares that were given back before the round was taken up again.
    pub fn take_early(
        &mut self,
        client: &ClientId,
        revealed: Vec<Revealed>,
        plan: &RoundPlan,
    ) -> Result<(), Reject> {
        let early = self.early.get_or_insert_default();
        early.take(&self.settled, client, revealed, plan)
    }

    /// The witness signed.
    pub fn seal(self, seal: Seal) -> Turn {
        self.proven(Proof::Witness(seal))
    }

    fn proven(self, proof: Proof) -> Turn {
        let shares = self.early.unwrap_or_default();
        Turn::Next(State::Unmasking(Unmasking::new(
            self.settled,
            proof,
            shares,
        )))
    }

    pub fn turn(self, frame: &mut Frame, now: Millis) -> Turn {
        let late = frame.is_late(now);
        if frame.plan.consistency == Consistency::Witness {
            return match late {
                false => Turn::Stay(State::Endorsing(self)),
                true => Turn::Abort(
                    "the witness did not sign the list of survivors in time; nothing was revealed"
                        .to_owned(),
                ),
            };
        }
        let cohort = self.settled.cohort.len();
        let needed = quorum(cohort, frame.plan.corrupt());
        if self.endorsed.len() >= needed {
            let proof = self.proof(needed);
            return self.proven(proof);
        }
        let found = self.endorsed.len();
        if !late && self.settled.survivors.len() >= needed && found < self.settled.survivors.len() {
            return Turn::Stay(State::Endorsing(self));
        }
        Turn::Abort(format!(
            "{found} of the {cohort} clients in the cohort signed the list of survivors; {needed} are needed before \
             anyone gives back a share; nothing was revealed"
        ))
    }

    /// Exactly as many signatures as are needed: every client gets them all.
    fn proof(&self, needed: usize) -> Proof {
        let cohort = &self.settled.cohort;
        let endorsement = |(index, signature): (&u32, &[u8; 64])| {
            cohort.member(*index).map(|member| Endorsement {
                index: *index,
                certificate: member.certificate.clone(),
                signature: *signature,
            })
        };
        Proof::Cohort {
            members: cohort.enrolled(),
            endorsements: self
                .endorsed
                .iter()
                .take(needed)
                .filter_map(endorsement)
                .collect(),
        }
    }
}
