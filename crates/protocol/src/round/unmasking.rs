use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::{
    Aggregate, MaskKey, RoundDigest, Share, Sign, combine, secret_matches, share_position,
};
use zeroize::Zeroizing;

use super::cohort::Cohort;
use super::{Frame, Millis, Recovered, State, Turn};
use crate::{ClientId, Reject, Response, Revealed, Roster, Secret};

/// Waits for the shares that take the masks off the sum: of the self mask of every client whose
/// update is in it, of the mask key of every client that was masked with but sent no update.
#[derive(Clone, PartialEq)]
pub(super) struct Unmasking {
    aggregate: Aggregate,
    cohort: Cohort,
    sharers: BTreeSet<u32>,
    survivors: BTreeSet<u32>,
    /// Shares by their owner.
    shares: BTreeMap<u32, Vec<Given>>,
    answered: BTreeSet<u32>,
}

/// The receiver's place among the owner's neighbours, and the share's value.
type Given = (u8, Zeroizing<[u8; 32]>);

impl Unmasking {
    pub fn new(
        aggregate: Aggregate,
        cohort: Cohort,
        sharers: BTreeSet<u32>,
        survivors: BTreeSet<u32>,
    ) -> Self {
        let (shares, answered) = (BTreeMap::new(), BTreeSet::new());
        Self {
            aggregate,
            cohort,
            sharers,
            survivors,
            shares,
            answered,
        }
    }

    pub fn survivors(&self, client: &ClientId) -> Result<Response, Reject> {
        let number = self.cohort.number(client)?;
        if !self.survivors.contains(&number) {
            return Err(Reject::LeftOut);
        }
        let size = self.cohort.len() as u32;
        Ok(Response::Survivors(Roster::of(
            size,
            self.survivors.iter().copied(),
        )))
    }

    pub fn take(&mut self, client: ClientId, revealed: Vec<Revealed>) -> Result<(), Reject> {
        let number = self.cohort.number(&client)?;
        if !self.survivors.contains(&number) {
            return Err(Reject::LeftOut);
        }
        let ascending = revealed.is_sorted_by(|a, b| a.owner < b.owner);
        if !ascending || !revealed.iter().all(|one| self.is_asked(number, one)) {
            return Err(Reject::Content {
                field: "revealed",
                expected: "for each neighbour that was masked with, ascending, the share of its \
                           self mask if it survived and of its mask key if not",
            });
        }
        for one in revealed {
            if let Some(place) = share_position(self.cohort.neighbours(one.owner), number) {
                let share = (place, Zeroizing::new(one.share));
                self.shares.entry(one.owner).or_default().push(share);
            }
        }
        self.answered.insert(number);
        Ok(())
    }

    fn is_asked(&self, responder: u32, one: &Revealed) -> bool {
        let kind = match self.survivors.contains(&one.owner) {
            true => Secret::SelfSeed,
            false => Secret::MaskKey,
        };
        one.kind == kind
            && self.sharers.contains(&one.owner)
            && self
                .cohort
                .neighbours(responder)
                .binary_search(&one.owner)
                .is_ok()
    }

    pub fn turn(self, frame: &mut Frame, now: Millis) -> Turn {
        // Not `is_over`: the round needs no particular number of answers, but every secret's threshold.
        let complete = self.needed().all(|owner| self.has_enough(owner));
        let late = now.saturating_sub(frame.began) >= frame.timing.phase;
        if !complete && !late && self.answered.len() < self.survivors.len() {
            return Turn::Stay(State::Unmasking(self));
        }
        frame.funnel.unmasked = self.answered.len();
        if !complete {
            return Turn::Abort(format!(
                "{} of {} survivors answered, too few to unmask the sum; nothing was revealed",
                self.answered.len(),
                self.survivors.len()
            ));
        }
        let clients = self.survivors.len();
        match self.unmask(&frame.digest) {
            Ok(sum) => Turn::Complete(Recovered { sum, clients }),
            Err(reason) => Turn::Abort(reason),
        }
    }

    /// Whose secret is needed: of every survivor, and of every lost client that a survivor masked with.
    fn needed(&self) -> impl Iterator<Item = u32> + '_ {
        self.sharers.iter().copied().filter(|owner| {
            let masked = |peer: &u32| self.survivors.contains(peer);
            self.survivors.contains(owner) || self.cohort.neighbours(*owner).iter().any(masked)
        })
    }

    fn has_enough(&self, owner: u32) -> bool {
        self.shares
            .get(&owner)
            .is_some_and(|shares| shares.len() >= self.cohort.threshold)
    }

    fn unmask(self, digest: &RoundDigest) -> Result<Vec<u32>, String> {
        let needed: Vec<u32> = self.needed().collect();
        let mut aggregate = self.aggregate.clone();
        for owner in needed {
            if self.survivors.contains(&owner) {
                let seed = self
                    .secrets(owner)
                    .next()
                    .ok_or_else(|| unreadable(owner))?;
                aggregate.remove_own(&MaskKey::own(&seed, digest, owner));
            } else {
                self.remove_pairs(&mut aggregate, owner, digest)?;
            }
        }
        aggregate.finish().map_err(|error| error.to_string())
    }

    /// Takes off what the survivors added for a client that was lost.
    fn remove_pairs(
        &self,
        aggregate: &mut Aggregate,
        owner: u32,
        digest: &RoundDigest,
    ) -> Result<(), String> {
        let public = self.cohort.keys(owner).ok_or_else(|| unreadable(owner))?;
        let secret = self
            .secrets(owner)
            .find(|secret| secret_matches(secret, &public.mask))
            .ok_or_else(|| unreadable(owner))?;
        for peer in self.cohort.neighbours(owner) {
            if let (true, Some(theirs)) = (self.survivors.contains(peer), self.cohort.keys(*peer)) {
                let key = MaskKey::recovered(&secret, public, theirs, digest, owner, *peer)
                    .map_err(|error| error.to_string())?;
                // The survivor added the mask with its own sign.
                aggregate.remove_pair(&key, Sign::of(*peer, owner));
            }
        }
        Ok(())
    }

    /// Candidates for the owner's secret, each from another run of shares: where one client gave back a
    /// wrong share, a run without it still finds the right secret.
    fn secrets(&self, owner: u32) -> impl Iterator<Item = Zeroizing<[u8; 32]>> + '_ {
        let threshold = self.cohort.threshold;
        let shares = self.shares.get(&owner).map_or(&[][..], Vec::as_slice);
        shares.windows(threshold).filter_map(move |run| {
            let run: Vec<Share> = run.iter().map(|(x, y)| Share { x: *x, y: **y }).collect();
            combine(threshold, &run).ok()
        })
    }
}

fn unreadable(owner: u32) -> String {
    format!(
        "the shares of client {owner} of the cohort do not fit together: a client gave back a wrong share"
    )
}
