use std::collections::{BTreeMap, BTreeSet};

use chorus_privacy::{LayerSeed, LocalNoise};
use chorus_secagg::{Dropped, MaskKey, Sign, recover_pairs, secret_matches, share_position};
use zeroize::Zeroizing;

use super::agreeing::Settled;
use super::secrets::{Given, Opened, Secrets};
use super::{Frame, Millis, Recovered, State, Turn};
use crate::{ClientId, Proof, Reject, Response, Revealed, RoundPlan, Secret};

/// Waits for the shares that take the masks off the sum: of the self mask of every client whose
/// update is in it, of the mask key of every client that was masked with but sent no update.
#[derive(Clone, PartialEq)]
pub(super) struct Unmasking {
    settled: Settled,
    proof: Proof,
    shares: Shares,
    /// Whose secret is needed: of every survivor, and of every lost client that a survivor masked with.
    needed: BTreeSet<u32>,
    /// How often the masks did not come off.
    tries: u32,
    /// So many answers are waited for before that is tried again.
    wanted: usize,
}

/// The shares that were given back.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Shares {
    /// By their owner.
    given: BTreeMap<u32, Vec<Given>>,
    /// Of the layers of a survivor's noise that come off, by survivor.
    layers: BTreeMap<u32, Vec<Zeroizing<[u8; 32]>>>,
    answered: BTreeSet<u32>,
}

impl Unmasking {
    pub fn new(settled: Settled, proof: Proof, shares: Shares) -> Self {
        let Settled {
            cohort,
            sharers,
            survivors,
            ..
        } = &settled;
        let masked = |owner: &u32| {
            let neighbours = cohort.neighbours(*owner);
            survivors.contains(owner) || neighbours.iter().any(|peer| survivors.contains(peer))
        };
        Self {
            needed: sharers.iter().copied().filter(masked).collect(),
            settled,
            proof,
            shares,
            tries: 0,
            wanted: 0,
        }
    }

    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    pub fn proof(&self, client: &ClientId) -> Result<Response, Reject> {
        let number = self.settled.survivor(client)?;
        let masked = self.settled.masked(number);
        Ok(Response::Proof(self.proof.clone(), masked))
    }

    pub fn take(
        &mut self,
        client: &ClientId,
        revealed: Vec<Revealed>,
        plan: &RoundPlan,
    ) -> Result<(), Reject> {
        self.shares.take(&self.settled, client, revealed, plan)
    }

    pub fn turn(mut self, frame: &mut Frame, now: Millis) -> Turn {
        // Not `is_over`: the round needs no particular number of answers, but every secret's threshold.
        let complete = self.needed.iter().all(|owner| self.has_enough(*owner));
        let (answered, clients) = (self.shares.answered.len(), self.settled.survivors.len());
        let last = frame.is_late(now) || answered == clients;
        // Whoever is not waited for leaves its surplus noise on.
        let is_layered = matches!(frame.plan.noise, LocalNoise::Layered(_));
        // What did not fit together may do so with more answers.
        if !last && (!complete || is_layered || answered < self.wanted) {
            return Turn::Stay(State::Unmasking(self));
        }
        frame.funnel.unmasked = answered;
        if !complete {
            return Turn::Abort(format!(
                "{answered} of {clients} survivors answered, too few to unmask the sum; nothing was revealed"
            ));
        }
        match self.unmask(false).or_else(|_| self.unmask(true)) {
            Ok(mut sum) => {
                let surplus = self.take_off(&mut sum, &frame.plan);
                Turn::Complete(Recovered {
                    sum,
                    clients,
                    survivors: self.settled.who(),
                    surplus,
                })
            }
            Err(reason) if last => Turn::Abort(reason),
            Err(_) => {
                // Each try costs as much as the first: one client's rubbish must not cost one for every answer.
                self.tries += 1;
                self.wanted = answered.saturating_add(1 << self.tries.min(16));
                Turn::Stay(State::Unmasking(self))
            }
        }
    }

    /// Takes the layers of noise off the sum that its survivors do not need, and says what is left of them: the standard
    /// deviation in each coordinate, grid units.
    fn take_off(&self, sum: &mut [u32], plan: &RoundPlan) -> f64 {
        let LocalNoise::Layered(noise) = plan.noise else {
            return 0.0;
        };
        let survivors = &self.settled.survivors;
        let vanished = plan.vanished(survivors.len());
        let mut left = 0;
        for survivor in survivors {
            let seeds = self.shares.layers.get(survivor);
            let seeds = seeds.map_or(&[][..], Vec::as_slice).iter();
            let opened: Vec<LayerSeed> = seeds.map(|seed| LayerSeed::from_bytes(**seed)).collect();
            match noise.removal(vanished, &opened, sum.len()) {
                Ok(removal) => {
                    let ring = plan.ring();
                    for (word, noise) in sum.iter_mut().zip(removal) {
                        *word = ring.reduce(word.wrapping_sub(noise));
                    }
                }
                Err(_) => left += 1,
            }
        }
        (noise.removed(vanished) as f64 * f64::from(left)).sqrt()
    }

    fn has_enough(&self, owner: u32) -> bool {
        let given = self.shares.given.get(&owner);
        given.is_some_and(|shares| shares.len() >= self.settled.cohort.threshold)
    }

    /// Takes the masks off. `careful`: no share is believed that others do not bear out.
    fn unmask(&self, careful: bool) -> Result<Vec<u32>, String> {
        let digest = &self.settled.cohort.digest;
        let mut lost: BTreeMap<u32, Opened> = BTreeMap::new();
        let mut masks: Vec<(MaskKey, Sign)> = Vec::new();
        for owner in self.needed.iter().copied() {
            let public = self.public(owner)?;
            let shares = self.shares.given.get(&owner).map_or(&[][..], Vec::as_slice);
            let secrets = Secrets::new(shares, self.settled.cohort.threshold);
            if self.settled.survivors.contains(&owner) {
                let seed = match careful {
                    false => secrets.first(),
                    true => secrets.agreed(),
                };
                let seed = seed.ok_or_else(|| unreadable(owner))?;
                let key = MaskKey::own(&seed, digest, owner, public.generator);
                masks.push((key, Sign::Add));
            } else {
                let secret = secrets.find(|secret| secret_matches(secret, &public.mask));
                lost.insert(owner, secret.ok_or_else(|| unreadable(owner))?);
            }
        }
        for survivor in &self.settled.survivors {
            masks.append(&mut self.pairs(*survivor, &lost)?);
        }
        let mut aggregate = self.settled.aggregate.clone();
        aggregate.remove(&masks);
        aggregate.finish().map_err(|error| error.to_string())
    }

    fn public(&self, number: u32) -> Result<&chorus_secagg::PublicKeys, String> {
        let member = self.settled.cohort.member(number);
        let keys = member.map(|member| &member.keys);
        keys.ok_or_else(|| unreadable(number))
    }

    /// The masks that a survivor added for clients that were lost.
    fn pairs(
        &self,
        survivor: u32,
        lost: &BTreeMap<u32, Opened>,
    ) -> Result<Vec<(MaskKey, Sign)>, String> {
        let mut dropped = Vec::new();
        for index in self.settled.cohort.neighbours(survivor) {
            if let Some(mask_secret) = lost.get(&index) {
                dropped.push(Dropped {
                    index,
                    mask_secret,
                    public: self.public(index)?,
                });
            }
        }
        let digest = &self.settled.cohort.digest;
        recover_pairs(survivor, self.public(survivor)?, &dropped, digest)
            .map_err(|error| error.to_string())
    }
}

impl Shares {
    /// Takes what a survivor gives back.
    pub fn take(
        &mut self,
        settled: &Settled,
        client: &ClientId,
        mut revealed: Vec<Revealed>,
        plan: &RoundPlan,
    ) -> Result<(), Reject> {
        let number = settled.survivor(client)?;
        let neighbours = settled.cohort.neighbours(number);
        let is_layer = |one: &Revealed| one.kind == Secret::LayerSeed;
        let first = revealed.iter().position(is_layer);
        let layers = revealed.split_off(first.unwrap_or(revealed.len()));
        let surplus = match plan.noise {
            LocalNoise::Layered(noise) => {
                let vanished = plan.vanished(settled.survivors.len());
                noise.dropouts().saturating_sub(vanished)
            }
            _ => 0,
        };
        let own = |one: &Revealed| is_layer(one) && one.owner == number;
        if layers.len() != surplus || !layers.iter().all(own) {
            return Err(Reject::Content {
                field: "revealed",
                expected: "after the shares, the client's own seeds of the layers of noise that come off",
            });
        }
        let is_asked = |one: &Revealed| {
            let kind = match settled.survivors.contains(&one.owner) {
                true => Secret::SelfSeed,
                false => Secret::MaskKey,
            };
            one.kind == kind
                && settled.sharers.contains(&one.owner)
                && neighbours.binary_search(&one.owner).is_ok()
        };
        let ascending = revealed.is_sorted_by(|a, b| a.owner < b.owner);
        if !ascending || !revealed.iter().all(is_asked) {
            return Err(Reject::Content {
                field: "revealed",
                expected: "for each neighbour that was masked with, ascending, the share of its \
                           self mask if it survived and of its mask key if not",
            });
        }
        for one in revealed {
            let owners = settled.cohort.neighbours(one.owner);
            if let Some(place) = share_position(&owners, number) {
                let share = (place, Zeroizing::new(one.share));
                self.given.entry(one.owner).or_default().push(share);
            }
        }
        let seeds = layers.iter().map(|one| Zeroizing::new(one.share));
        self.layers.insert(number, seeds.collect());
        self.answered.insert(number);
        Ok(())
    }
}

fn unreadable(owner: u32) -> String {
    format!(
        "the shares of client {owner} of the cohort do not fit together: a client gave back a wrong share"
    )
}
