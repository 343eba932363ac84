use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::{Aggregate, Sealed};

use super::agreeing::{Endorsing, Settled};
use super::cohort::{Advertisement, Cohort, Members};
use super::{Frame, Millis, State, Turn};
use crate::consistency::masked_with;
use crate::{
    Addressed, Beacon, ClientId, Consistency, Digest, PublicKeys, Purpose, Reject, Response,
    Roster, SignedUpdate, signing, verify_advertisement,
};

/// Waits for the keys of the invited.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Advertising {
    advertised: BTreeMap<ClientId, Advertisement>,
    /// Every public key that came, of either kind.
    keys: BTreeSet<[u8; 32]>,
}

impl Advertising {
    pub fn take(
        &mut self,
        frame: &Frame,
        client: ClientId,
        advertisement: Advertisement,
    ) -> Result<(), Reject> {
        let Advertisement {
            key,
            keys,
            signature,
            ..
        } = &advertisement;
        // Keys with which nobody can agree would cost the neighbours, not their sender.
        keys.check().map_err(|_| Reject::Content {
            field: "keys",
            expected: "public keys of full order",
        })?;
        if ClientId::of_key(key) != client {
            return Err(Reject::Signature);
        }
        verify_advertisement(key, &frame.digest, keys, signature).map_err(|_| Reject::Signature)?;
        // Clients refuse neighbours with the same keys: two that agreed on theirs would empty the cohort.
        let PublicKeys { cipher, mask, .. } = *keys;
        if cipher == mask || self.keys.contains(&cipher) || self.keys.contains(&mask) {
            return Err(Reject::Content {
                field: "keys",
                expected: "keys that no one else uses, drawn for this round",
            });
        }
        self.keys.extend([cipher, mask]);
        self.advertised.insert(client, advertisement);
        Ok(())
    }

    pub fn turn(self, frame: &mut Frame, now: Millis) -> Turn {
        let answered = self.advertised.len();
        if !frame.is_over(now, answered, frame.invited.len()) {
            return Turn::Stay(State::Advertising(self));
        }
        frame.funnel.advertised = answered;
        if answered < frame.plan.survivors.minimum {
            return frame.too_few(answered, "sent keys");
        }
        let members = Members::new(self.advertised);
        match frame.plan.consistency {
            Consistency::Cohort => Sharing::begin(frame, members, None),
            Consistency::Witness => Turn::Next(State::Drawing(Drawing { members })),
        }
    }
}

/// Waits for the witness to draw what the graph is made from, now that the keys are fixed.
#[derive(Clone, PartialEq)]
pub(super) struct Drawing {
    members: Members,
}

impl Drawing {
    pub fn commitment(&self, frame: &Frame) -> Digest {
        self.members.commitment(&frame.digest)
    }

    pub fn take(self, frame: &mut Frame, beacon: Beacon) -> Turn {
        Sharing::begin(frame, self.members, Some(beacon))
    }

    pub fn turn(self, frame: &Frame, now: Millis) -> Turn {
        match frame.is_late(now) {
            false => Turn::Stay(State::Drawing(self)),
            true => Turn::Abort(
                "the witness did not answer in time, and the plan needs one; nothing was revealed"
                    .to_owned(),
            ),
        }
    }
}

/// Waits for the shares that each client seals for its neighbours.
#[derive(Clone, PartialEq)]
pub(super) struct Sharing {
    cohort: Cohort,
    shared: BTreeMap<u32, Vec<Sealed>>,
}

impl Sharing {
    fn begin(frame: &Frame, members: Members, beacon: Option<Beacon>) -> Turn {
        match Cohort::new(members, beacon, &frame.plan, &frame.digest) {
            Ok(cohort) => Turn::Next(State::Sharing(Self {
                cohort,
                shared: BTreeMap::new(),
            })),
            Err(error) => Turn::Abort(error.to_string()),
        }
    }

    pub fn neighbours(&self, client: &ClientId) -> Result<Response, Reject> {
        self.cohort.neighbourhood(client).map(Response::Neighbours)
    }

    pub fn take(&mut self, client: ClientId, sealed: Vec<Addressed>) -> Result<(), Reject> {
        let number = self.cohort.number(&client)?;
        let receivers = sealed.iter().map(|one| one.peer);
        if !receivers.eq(self.cohort.neighbours(number)) {
            return Err(Reject::Content {
                field: "sealed",
                expected: "one for each neighbour, ascending",
            });
        }
        self.shared
            .insert(number, sealed.into_iter().map(|one| one.sealed).collect());
        Ok(())
    }

    pub fn turn(self, frame: &mut Frame, now: Millis) -> Turn {
        let answered = self.shared.len();
        if !frame.is_over(now, answered, self.cohort.len()) {
            return Turn::Stay(State::Sharing(self));
        }
        frame.funnel.shared = answered;
        if answered < frame.plan.survivors.minimum {
            return frame.too_few(answered, "sent shares");
        }
        Turn::Next(State::Confirming(Confirming {
            cohort: self.cohort,
            shared: self.shared,
            confirmed: BTreeMap::new(),
        }))
    }
}

/// Waits for each receiver to say which shares it could not open.
#[derive(Clone, PartialEq)]
pub(super) struct Confirming {
    cohort: Cohort,
    shared: BTreeMap<u32, Vec<Sealed>>,
    confirmed: BTreeMap<u32, Vec<u32>>,
}

impl Confirming {
    pub fn shares(&self, client: &ClientId) -> Result<Response, Reject> {
        let receiver = self.cohort.number(client)?;
        let sealed = self
            .cohort
            .neighbours(receiver)
            .into_iter()
            .filter_map(|sender| {
                let place = self
                    .cohort
                    .neighbours(sender)
                    .binary_search(&receiver)
                    .ok()?;
                let sealed = *self.shared.get(&sender)?.get(place)?;
                Some(Addressed {
                    peer: sender,
                    sealed,
                })
            })
            .collect();
        Ok(Response::Shares(sealed))
    }

    pub fn take(&mut self, client: ClientId, unopenable: Vec<u32>) -> Result<(), Reject> {
        let number = self.cohort.number(&client)?;
        if !self.shared.contains_key(&number) {
            return Err(Reject::LeftOut);
        }
        let neighbours = self.cohort.neighbours(number);
        let sent = |sender: &u32| {
            self.shared.contains_key(sender) && neighbours.binary_search(sender).is_ok()
        };
        if !unopenable.is_sorted_by(|a, b| a < b) || !unopenable.iter().all(sent) {
            return Err(Reject::Content {
                field: "unopenable",
                expected: "numbers of neighbours that sent shares, ascending",
            });
        }
        self.confirmed.insert(number, unopenable);
        Ok(())
    }

    pub fn turn(self, frame: &mut Frame, now: Millis) -> Turn {
        if !frame.is_over(now, self.confirmed.len(), self.shared.len()) {
            return Turn::Stay(State::Confirming(self));
        }
        let sharers = self.usable(frame.plan.corrupt());
        frame.funnel.confirmed = sharers.len();
        if sharers.len() < frame.plan.survivors.minimum {
            return frame.too_few(sharers.len(), "can be masked with");
        }
        Turn::Next(State::Uploading(Uploading {
            aggregate: Aggregate::new(frame.plan.ring(), frame.plan.encoding.words()),
            cohort: self.cohort,
            sharers,
            uploaded: BTreeMap::new(),
        }))
    }

    /// The confirmed clients whose own shares could be opened. A client that more neighbours complain of than
    /// can be corrupt has sent rubbish and is left out before anyone masks with it; fewer complaints could
    /// come from the corrupt alone, and are survived. Corrupt are at most as many as the plan assumes, and fewer than the threshold of any one neighbourhood: that is how the graph was planned.
    fn usable(&self, corrupt: usize) -> BTreeSet<u32> {
        let mut complaints: BTreeMap<u32, usize> = BTreeMap::new();
        for sender in self.confirmed.values().flatten() {
            *complaints.entry(*sender).or_default() += 1;
        }
        let bearable = corrupt.min(self.cohort.threshold.saturating_sub(1));
        let is_bearable = |number: &u32| {
            complaints
                .get(number)
                .is_none_or(|count| *count <= bearable)
        };
        self.confirmed.keys().copied().filter(is_bearable).collect()
    }
}

/// Waits for masked updates, adding each to the sum as it comes.
#[derive(Clone, PartialEq)]
pub(super) struct Uploading {
    aggregate: Aggregate,
    cohort: Cohort,
    sharers: BTreeSet<u32>,
    /// Their signatures under the list of sharers.
    uploaded: BTreeMap<u32, [u8; 64]>,
}

impl Uploading {
    pub fn sharers(&self, client: &ClientId) -> Result<Response, Reject> {
        self.cohort.number(client)?;
        Ok(Response::Sharers(Roster::of(
            self.cohort.len() as u32,
            self.sharers.iter().copied(),
        )))
    }

    pub fn take(
        &mut self,
        frame: &Frame,
        client: ClientId,
        update: SignedUpdate,
    ) -> Result<(), Reject> {
        let number = self.cohort.number(&client)?;
        if !self.sharers.contains(&number) {
            return Err(Reject::LeftOut);
        }
        let length = Reject::Length {
            expected: frame.upload_bytes(),
            found: update.masked.bytes().len(),
        };
        let SignedUpdate { masked, signature } = update;
        let plan = &frame.plan;
        if masked.ring() != plan.ring() || masked.length() != plan.encoding.words() {
            return Err(length);
        }
        let member = self.cohort.member(number).ok_or(Reject::LeftOut)?;
        let roster = Roster::of(self.cohort.len() as u32, self.sharers.iter().copied());
        let statement = masked_with(&self.cohort.digest, number, &roster);
        signing::verify(&member.key, Purpose::Masked, &[&statement.0], &signature)
            .map_err(|_| Reject::Signature)?;
        self.aggregate.add(masked).map_err(|_| length)?;
        self.uploaded.insert(number, signature);
        Ok(())
    }

    pub fn turn(self, frame: &mut Frame, now: Millis) -> Turn {
        let answered = self.uploaded.len();
        if !frame.is_over(now, answered, self.sharers.len()) {
            return Turn::Stay(State::Uploading(self));
        }
        frame.funnel.uploaded = answered;
        if answered < frame.plan.survivors.minimum {
            return frame.too_few(answered, "sent an update");
        }
        let survivors: BTreeSet<u32> = self.uploaded.keys().copied().collect();
        if !self.cohort.holds_together(&survivors) {
            return Turn::Abort(
                "too many clients were lost that are close together in the graph: the others could be divided; \
                 nothing was revealed"
                    .to_owned(),
            );
        }
        Turn::Next(State::Endorsing(Endorsing::new(Settled {
            aggregate: self.aggregate,
            cohort: self.cohort,
            sharers: self.sharers,
            survivors,
            masked: self.uploaded,
        })))
    }
}
