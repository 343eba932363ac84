//! What a client does with its neighbours: check them, share with them, mask with them, unmask with them.

use std::collections::BTreeSet;

use chorus_secagg::{Graph, MaskKey, MaskedUpdate, SharePair, Sign, mask, open, plan, seal, split};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Certificates, Own};
use crate::{
    Addressed, Neighbourhood, PublicKeys, Refusal, Revealed, Roster, RoundPlan, Secret,
    verify_advertisement,
};

/// The neighbours of a client, once they have proven who they are.
#[derive(Serialize, Deserialize)]
pub(super) struct Circle {
    index: u32,
    cohort: u32,
    threshold: usize,
    /// Ascending.
    neighbours: Vec<(u32, PublicKeys)>,
    self_seed: Zeroizing<[u8; 32]>,
    /// With whom the update was masked; bit for bit what the coordinator said.
    sharers: Option<Vec<u8>>,
}

/// The shares that neighbours entrusted to this client.
#[derive(Serialize, Deserialize)]
pub(super) struct Held {
    /// Senders whose shares could not be opened, ascending.
    pub unopenable: Vec<u32>,
    shares: Vec<Entrusted>,
}

/// The shares of one neighbour's two secrets.
#[derive(Serialize, Deserialize)]
struct Entrusted {
    owner: u32,
    mask_key: Zeroizing<[u8; 32]>,
    self_seed: Zeroizing<[u8; 32]>,
}

impl Circle {
    /// Checks what the coordinator says of this client's place: the cohort's size, the graph, and
    /// that every neighbour is an enrolled client that signed its keys for this very round and model.
    pub fn new(
        place: Neighbourhood,
        round: &RoundPlan,
        own: &Own,
        certificates: &impl Certificates,
    ) -> Result<Self, Refusal> {
        let cohort = place.cohort as usize;
        if cohort < round.survivors.minimum || cohort > round.invited || place.index >= place.cohort
        {
            return Err(Refusal::Roster {
                list: "neighbours",
                reason: "is of a cohort whose size the plan does not allow",
            });
        }
        let graph_plan =
            plan(cohort, &round.assumptions).map_err(|error| Refusal::Crypto(error.to_string()))?;
        let graph = Graph::new(&place.key_root.0, &graph_plan);
        let numbers = place.neighbours.iter().map(|neighbour| neighbour.index);
        if !numbers.eq(graph.neighbours(place.index)) {
            return Err(Refusal::Roster {
                list: "neighbours",
                reason: "is not what the graph of this round gives",
            });
        }
        let mut neighbours: Vec<(u32, PublicKeys)> = Vec::with_capacity(place.neighbours.len());
        let mut enrolled = BTreeSet::new();
        let mut used = BTreeSet::from([own.keys.public().cipher, own.keys.public().mask]);
        for neighbour in place.neighbours {
            let fault = |reason: String| Refusal::Neighbour {
                number: neighbour.index,
                reason,
            };
            let key = certificates
                .enrolled_key(&neighbour.certificate)
                .map_err(fault)?;
            verify_advertisement(&key, &own.digest, &neighbour.keys, &neighbour.signature)
                .map_err(|error| fault(format!("its keys: {error}")))?;
            // One client in many places would be given as many shares, and open what only many may open.
            if !enrolled.insert(key)
                || !used.insert(neighbour.keys.cipher)
                || !used.insert(neighbour.keys.mask)
            {
                return Err(fault("it is in the cohort a second time".to_owned()));
            }
            neighbours.push((neighbour.index, neighbour.keys));
        }
        Ok(Self {
            index: place.index,
            cohort: place.cohort,
            threshold: graph_plan.threshold,
            neighbours,
            self_seed: Zeroizing::new([0; 32]),
            sharers: None,
        })
    }

    fn numbers(&self) -> Vec<u32> {
        self.neighbours.iter().map(|(number, _)| *number).collect()
    }

    /// Draws the seed of the self mask, and splits it and the mask key among the neighbours.
    pub fn share(
        &mut self,
        own: &Own,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Addressed>, Refusal> {
        rng.fill_bytes(self.self_seed.as_mut());
        let count = self.neighbours.len();
        let fault = |error: &dyn std::fmt::Display| Refusal::Crypto(error.to_string());
        let mask_key = own.keys.mask_secret();
        let mask_keys = split(&mask_key, self.threshold, count, rng).map_err(|e| fault(&e))?;
        let seeds = split(&self.self_seed, self.threshold, count, rng).map_err(|e| fault(&e))?;
        let mut sealed = Vec::with_capacity(count);
        for (((peer, keys), mask_key), seed) in self.neighbours.iter().zip(&mask_keys).zip(&seeds) {
            let pair = SharePair {
                mask_key: mask_key.y,
                self_seed: seed.y,
            };
            let sealed_pair = seal(&own.keys, keys, &own.digest, self.index, *peer, &pair)
                .map_err(|e| fault(&e))?;
            sealed.push(Addressed {
                peer: *peer,
                sealed: sealed_pair,
            });
        }
        Ok(sealed)
    }

    /// Opens what neighbours sealed. What cannot be opened is named, so that it costs its sender.
    pub fn open(&self, own: &Own, sealed: &[Addressed]) -> Result<Held, Refusal> {
        let numbers = self.numbers();
        let known = sealed
            .iter()
            .all(|one| numbers.binary_search(&one.peer).is_ok());
        if !known || !sealed.is_sorted_by(|a, b| a.peer < b.peer) {
            return Err(Refusal::Roster {
                list: "shares",
                reason: "names clients that are not neighbours, or one of them twice",
            });
        }
        let mut held = Held {
            unopenable: Vec::new(),
            // A vector that grows leaves secrets behind in the memory that it grew out of.
            shares: Vec::with_capacity(sealed.len()),
        };
        for one in sealed {
            let keys = self
                .neighbours
                .iter()
                .find(|(number, _)| *number == one.peer);
            let opened = keys.and_then(|(_, keys)| {
                open(
                    &own.keys,
                    keys,
                    &own.digest,
                    one.peer,
                    self.index,
                    &one.sealed,
                )
                .ok()
            });
            match opened {
                Some(pair) => held.shares.push(Entrusted {
                    owner: one.peer,
                    mask_key: Zeroizing::new(pair.mask_key),
                    self_seed: Zeroizing::new(pair.self_seed),
                }),
                None => held.unopenable.push(one.peer),
            }
        }
        Ok(held)
    }

    /// Masks the update with the neighbours that are left. `None` when this client itself is not among them.
    pub fn mask(
        &mut self,
        own: &Own,
        roster: &Roster,
        round: &RoundPlan,
    ) -> Result<Option<MaskedUpdate>, Refusal> {
        self.check(roster, "sharers", round)?;
        if !roster.contains(self.index) {
            return Ok(None);
        }
        let mut keys = Vec::with_capacity(self.neighbours.len());
        for (peer, theirs) in &self.neighbours {
            if roster.contains(*peer) {
                let key = MaskKey::pair(&own.keys, theirs, &own.digest, self.index, *peer)
                    .map_err(|error| Refusal::Crypto(error.to_string()))?;
                keys.push((key, Sign::of(self.index, *peer)));
            }
        }
        let own_key = MaskKey::own(&self.self_seed, &own.digest, self.index);
        self.sharers = Some(roster.bits().to_vec());
        let words = own.words.to_vec();
        Ok(Some(mask(words, &own_key, keys)))
    }

    /// Picks one share for each neighbour that was masked with, and forgets the rest. It is the only answer
    /// that this client ever gives in the round: `held` is consumed.
    pub fn reveal(
        &self,
        held: Held,
        survivors: &Roster,
        round: &RoundPlan,
    ) -> Result<Vec<Revealed>, Refusal> {
        self.check(survivors, "survivors", round)?;
        // Its neighbours would be asked for the key of its pairwise masks, though its update is in the sum.
        if !survivors.contains(self.index) {
            return Err(Refusal::Roster {
                list: "survivors",
                reason: "leaves out this client, whose update was accepted",
            });
        }
        let sharers = self
            .sharers
            .as_deref()
            .and_then(|bits| Roster::from_bits(self.cohort, bits))
            .ok_or(Refusal::Unexpected)?;
        if !survivors.iter().all(|survivor| sharers.contains(survivor)) {
            return Err(Refusal::Roster {
                list: "survivors",
                reason: "names a client that nobody masked with",
            });
        }
        let one_of_each = |share: Entrusted| match survivors.contains(share.owner) {
            true => Revealed {
                owner: share.owner,
                kind: Secret::SelfSeed,
                share: *share.self_seed,
            },
            false => Revealed {
                owner: share.owner,
                kind: Secret::MaskKey,
                share: *share.mask_key,
            },
        };
        let shares = held.shares.into_iter();
        let masked = shares.filter(|share| sharers.contains(share.owner));
        Ok(masked.map(one_of_each).collect())
    }

    /// The rules for every list of clients: of this cohort, no fewer than the plan allows, and enough neighbours.
    fn check(&self, roster: &Roster, list: &'static str, round: &RoundPlan) -> Result<(), Refusal> {
        let fault = |reason| Err(Refusal::Roster { list, reason });
        if roster.size() != self.cohort {
            return fault("is of another cohort");
        }
        if roster.count() < round.survivors.minimum {
            return fault("has fewer clients than the plan allows");
        }
        let near = self
            .neighbours
            .iter()
            .filter(|(number, _)| roster.contains(*number))
            .count();
        if near < self.threshold {
            return fault("leaves fewer neighbours than the threshold");
        }
        Ok(())
    }
}
