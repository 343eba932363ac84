//! What a client does with its neighbours: check them, share with them, mask with them, unmask with them.

use std::collections::BTreeSet;

use chorus_secagg::{Graph, MaskKey, RoundDigest, SharePair, Sign, mask, open, seal, split};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Certificates, Frame, Layers, Own};
use crate::consistency::{check_cohort, cohort_digest, cohort_tree, graph_seed, masked_with};
use crate::merkle::is_included;
use crate::round::key_leaf;
use crate::{
    Addressed, Consistency, Digest, Identity, MaskedWith, Neighbour, Neighbourhood, Proof,
    PublicKeys, Purpose, Refusal, Revealed, Roster, RoundPlan, Secret, SignedUpdate, Statement,
    Unproven, commitment, signing, verify_advertisement,
};

/// The neighbours of a client, once they have proven who they are.
#[derive(Serialize, Deserialize)]
pub(super) struct Circle {
    index: u32,
    cohort: u32,
    cohort_root: Digest,
    key_root: Digest,
    graph_seed: [u8; 32],
    /// What shares are sealed under and masks derived from.
    #[serde(with = "super::saved::digest")]
    digest: RoundDigest,
    /// The witness that drew the graph's seed.
    witness: Option<[u8; 32]>,
    threshold: usize,
    /// This client's own enrolled key.
    enrolled: [u8; 32],
    /// Ascending.
    neighbours: Vec<Near>,
    self_seed: Zeroizing<[u8; 32]>,
    /// With whom the update was masked; bit for bit what the coordinator said.
    sharers: Option<Vec<u8>>,
    /// Of the noise in the update that was masked.
    layers: Layers,
}

/// A neighbour that has proven who it is.
#[derive(Serialize, Deserialize)]
struct Near {
    number: u32,
    enrolled: [u8; 32],
    keys: PublicKeys,
}

/// What this client was told of the round's end, and has checked; it gives back shares for nothing else.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    pub statement: Digest,
    survivors: Vec<u8>,
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
    /// Checks what the coordinator says of this client's place: the cohort's size, who drew the graph and from what,
    /// and that every neighbour is an enrolled client that signed its keys for this very round and model, and that
    /// these keys, like its own, are among those that were fixed before the graph was drawn.
    pub fn new(
        place: Neighbourhood,
        frame: &Frame,
        own: &Own,
        enrolled: [u8; 32],
        certificates: &impl Certificates,
    ) -> Result<Self, Refusal> {
        let round = &frame.plan;
        let cohort = place.cohort as usize;
        let fault = |reason| Refusal::Roster {
            list: "neighbours",
            reason,
        };
        if cohort < round.survivors.minimum || cohort > round.invited || place.index >= place.cohort
        {
            return Err(fault("is of a cohort whose size the plan does not allow"));
        }
        let witness = Self::witness(&place, frame, own, certificates)?;
        if witness.is_some() {
            Self::check_all(&place)?;
        }
        let drawn = place.beacon.as_ref().map(|beacon| &beacon.randomness);
        let graph_seed = graph_seed(&place.key_root, drawn);
        let (graph_plan, _) = round
            .graph(cohort)
            .map_err(|error| Refusal::Crypto(error.to_string()))?;
        let graph = Graph::new(&graph_seed, &graph_plan);
        let numbers = place.neighbours.iter().map(|neighbour| neighbour.index);
        if !numbers.eq(graph.neighbours(place.index)) {
            return Err(fault("is not what the graph of this round gives"));
        }
        let included = |number: u32, enrolled: &[u8; 32], keys: &PublicKeys, path: &[Digest]| {
            let leaf = key_leaf(enrolled, keys);
            is_included(&leaf, number, place.cohort, path, &place.key_root)
        };
        if !included(place.index, &enrolled, &own.keys.public(), &place.path) {
            return Err(fault(
                "comes with a key root that leaves out this client's own keys",
            ));
        }
        let mut neighbours: Vec<Near> = Vec::with_capacity(place.neighbours.len());
        let mut seen = BTreeSet::from([enrolled]);
        let mut used = BTreeSet::from([own.keys.public().cipher, own.keys.public().mask]);
        for neighbour in &place.neighbours {
            let (number, keys) = (neighbour.index, neighbour.keys);
            let fault = |reason: &str| Refusal::Neighbour {
                number,
                reason: reason.to_owned(),
            };
            let key = Self::prove(neighbour, own, certificates)?;
            // One client in many places would be given as many shares, and open what only many may open.
            if !seen.insert(key) || !used.insert(keys.cipher) || !used.insert(keys.mask) {
                return Err(fault("it is in the cohort a second time"));
            }
            let named = place.members.get(number as usize);
            if named.is_some_and(|named| *named != key)
                || !included(number, &key, &keys, &neighbour.path)
            {
                return Err(fault(
                    "its keys are not among those that were fixed before the graph",
                ));
            }
            neighbours.push(Near {
                number,
                enrolled: key,
                keys,
            });
        }
        Ok(Self {
            index: place.index,
            cohort: place.cohort,
            cohort_root: place.cohort_root,
            key_root: place.key_root,
            graph_seed,
            digest: cohort_digest(
                &own.digest,
                place.cohort,
                &place.cohort_root,
                &place.key_root,
                place.beacon.as_ref(),
            ),
            witness,
            threshold: graph_plan.threshold,
            enrolled,
            neighbours,
            self_seed: Zeroizing::new([0; 32]),
            sharers: None,
            layers: Layers::new(),
        })
    }

    /// Every member is there once. One that works for the coordinator and stood in many places, far apart, would be given
    /// more shares of a client than it can be planned for, and hardly anyone would see it twice.
    fn check_all(place: &Neighbourhood) -> Result<(), Refusal> {
        let fault = |reason| Refusal::Roster {
            list: "members",
            reason,
        };
        let members = &place.members;
        if members.len() != place.cohort as usize
            || cohort_tree(members).root() != place.cohort_root
        {
            return Err(fault("is not the one that the witness was told of"));
        }
        let distinct: BTreeSet<&[u8; 32]> = members.iter().collect();
        match distinct.len() == members.len() {
            true => Ok(()),
            false => Err(fault("names a client in two places")),
        }
    }

    /// The neighbour's enrolled key, with which it signed its keys for this round.
    fn prove(
        neighbour: &Neighbour,
        own: &Own,
        certificates: &impl Certificates,
    ) -> Result<[u8; 32], Refusal> {
        let number = neighbour.index;
        let fault = |reason: String| Refusal::Neighbour { number, reason };
        let key = certificates
            .enrolled_key(&neighbour.certificate)
            .map_err(fault)?;
        verify_advertisement(&key, &own.digest, &neighbour.keys, &neighbour.signature)
            .map_err(|error| fault(format!("its keys: {error}")))?;
        Ok(key)
    }

    /// The witness's key, where the plan needs one: it must have drawn its randomness for these very keys.
    fn witness(
        place: &Neighbourhood,
        frame: &Frame,
        own: &Own,
        certificates: &impl Certificates,
    ) -> Result<Option<[u8; 32]>, Refusal> {
        let unproven = |reason: String| Refusal::Unproven(Unproven::Witness(reason));
        let beacon = match (frame.plan.consistency, &place.beacon) {
            (Consistency::Cohort, None) => return Ok(None),
            (Consistency::Witness, Some(beacon)) => beacon,
            (Consistency::Cohort, Some(_)) | (Consistency::Witness, None) => {
                return Err(Refusal::Unproven(Unproven::Kind));
            }
        };
        let key = certificates
            .witness_key(&beacon.certificate)
            .map_err(unproven)?;
        let (cohort_root, key_root) = (&place.cohort_root, &place.key_root);
        let commitment = commitment(&own.digest, place.cohort, cohort_root, key_root);
        beacon
            .verify(&key, &frame.coordinator, frame.plan.round, &commitment)
            .map_err(|error| unproven(format!("its randomness: {error}")))?;
        Ok(Some(key))
    }

    fn numbers(&self) -> Vec<u32> {
        self.neighbours.iter().map(|near| near.number).collect()
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
        for ((near, mask_key), seed) in self.neighbours.iter().zip(&mask_keys).zip(&seeds) {
            let pair = SharePair {
                mask_key: mask_key.y,
                self_seed: seed.y,
            };
            let (peer, keys) = (near.number, &near.keys);
            let sealed_pair = seal(&own.keys, keys, &self.digest, self.index, peer, &pair)
                .map_err(|e| fault(&e))?;
            sealed.push(Addressed {
                peer,
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
            let sender = numbers.binary_search(&one.peer).ok();
            let sender = sender.and_then(|place| self.neighbours.get(place));
            let opened = sender.and_then(|near| {
                open(
                    &own.keys,
                    &near.keys,
                    &self.digest,
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
        own: &mut Own,
        roster: &Roster,
        round: &RoundPlan,
        identity: &Identity,
    ) -> Result<Option<SignedUpdate>, Refusal> {
        self.check(roster, "sharers", round)?;
        if !roster.contains(self.index) {
            return Ok(None);
        }
        let mut keys = Vec::with_capacity(self.neighbours.len());
        for near in &self.neighbours {
            if roster.contains(near.number) {
                let key =
                    MaskKey::pair(&own.keys, &near.keys, &self.digest, self.index, near.number)
                        .map_err(|error| Refusal::Crypto(error.to_string()))?;
                keys.push((key, Sign::of(self.index, near.number)));
            }
        }
        let generator = own.keys.public().generator;
        let own_key = MaskKey::own(&self.self_seed, &self.digest, self.index, generator);
        self.sharers = Some(roster.bits().to_vec());
        self.layers = std::mem::take(&mut own.layers);
        let words = own.words.to_vec();
        let statement = masked_with(&self.digest, self.index, roster);
        Ok(Some(SignedUpdate {
            masked: mask(words, round.ring(), &own_key, keys),
            signature: identity.sign(Purpose::Masked, &[&statement.0]),
        }))
    }

    /// Checks who is said to have survived, and puts what this client was told in the round into one digest.
    pub fn told(
        &self,
        digest: &RoundDigest,
        survivors: &Roster,
        round: &RoundPlan,
    ) -> Result<Told, Refusal> {
        self.check(survivors, "survivors", round)?;
        let fault = |reason| Refusal::Roster {
            list: "survivors",
            reason,
        };
        // Its neighbours would be asked for the key of its pairwise masks, though its update is in the sum.
        if !survivors.contains(self.index) {
            return Err(fault("leaves out this client, whose update was accepted"));
        }
        let sharers = self.sharers()?;
        if !survivors.iter().all(|survivor| sharers.contains(survivor)) {
            return Err(fault("names a client that nobody masked with"));
        }
        if !self.holds_together(survivors, round) {
            return Err(fault(
                "loses so many that are close together in the graph that the others could be divided",
            ));
        }
        let statement = Statement {
            round: digest,
            cohort_root: &self.cohort_root,
            key_root: &self.key_root,
            graph_seed: &self.graph_seed,
            sharers: &sharers,
            survivors,
        };
        Ok(Told {
            statement: statement.digest(),
            survivors: survivors.bits().to_vec(),
        })
    }

    /// False when the corrupt among the survivors could divide the others, whose sums would be revealed apart. Whoever
    /// calls clients lost can choose them by the graph, which is known by then.
    fn holds_together(&self, survivors: &Roster, round: &RoundPlan) -> bool {
        let Ok((graph_plan, guard)) = round.graph(self.cohort as usize) else {
            return false;
        };
        let graph = Graph::new(&self.graph_seed, &graph_plan);
        let weakest = graph.weakest_cut(|number| survivors.contains(number));
        weakest.is_none_or(|weakest| weakest >= guard)
    }

    /// Checks that every neighbour whose update is in the sum masked it with those that this client masked with.
    pub fn check_masked(&self, masked: &[MaskedWith], told: &Told) -> Result<(), Refusal> {
        let sharers = self.sharers()?;
        let survivors =
            Roster::from_bits(self.cohort, &told.survivors).ok_or(Refusal::Unexpected)?;
        let survived = |near: &&Near| survivors.contains(near.number);
        let mut signatures = masked.iter();
        for near in self.neighbours.iter().filter(survived) {
            let number = near.number;
            let statement = masked_with(&self.digest, number, &sharers);
            let is_signed = signatures
                .next()
                .filter(|signed| signed.index == number)
                .is_some_and(|signed| {
                    let content: [&[u8]; 1] = [&statement.0];
                    signing::verify(&near.enrolled, Purpose::Masked, &content, &signed.signature)
                        .is_ok()
                });
            if !is_signed {
                return Err(Refusal::Unproven(Unproven::Masked(number)));
            }
        }
        match signatures.next() {
            None => Ok(()),
            Some(signed) => Err(Refusal::Unproven(Unproven::Masked(signed.index))),
        }
    }

    /// Checks that others were told the same.
    pub fn check_proof(
        &self,
        proof: &Proof,
        told: &Told,
        frame: &Frame,
        certificates: &impl Certificates,
    ) -> Result<(), Refusal> {
        let statement = &told.statement;
        match (frame.plan.consistency, proof) {
            (
                Consistency::Cohort,
                Proof::Cohort {
                    members,
                    endorsements,
                },
            ) => {
                self.check_members(members)?;
                let corrupt = frame.plan.corrupt();
                let enrolled = |certificate: &[u8]| certificates.enrolled_key(certificate);
                let root = &self.cohort_root;
                check_cohort(members, root, endorsements, statement, corrupt, enrolled)?;
            }
            (Consistency::Witness, Proof::Witness(seal)) => {
                let fault = |reason: String| Refusal::Unproven(Unproven::Witness(reason));
                let key = certificates.witness_key(&seal.certificate).map_err(fault)?;
                if self.witness != Some(key) {
                    return Err(fault("it is not the one that drew the graph".to_owned()));
                }
                seal.verify(&key, &frame.coordinator, frame.plan.round, statement)
                    .map_err(|error| fault(format!("its statement: {error}")))?;
            }
            _ => return Err(Refusal::Unproven(Unproven::Kind)),
        }
        Ok(())
    }

    /// The list of the cohort must hold this client and its neighbours where it knows them to be.
    fn check_members(&self, members: &[[u8; 32]]) -> Result<(), Refusal> {
        let own = (self.index, &self.enrolled);
        let near = self
            .neighbours
            .iter()
            .map(|near| (near.number, &near.enrolled));
        let mut known = near.chain([own]);
        let fits = members.len() == self.cohort as usize
            && known.all(|(number, key)| members.get(number as usize) == Some(key));
        match fits {
            true => Ok(()),
            false => Err(Refusal::Unproven(Unproven::Members)),
        }
    }

    /// Picks one share for each neighbour that was masked with, and forgets the rest. It is the only answer
    /// that this client ever gives in the round: `held` is consumed.
    pub fn reveal(
        &self,
        held: Held,
        told: &Told,
        round: &RoundPlan,
    ) -> Result<Vec<Revealed>, Refusal> {
        let sharers = self.sharers()?;
        let survivors =
            Roster::from_bits(self.cohort, &told.survivors).ok_or(Refusal::Unexpected)?;
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
        // Layers up to the number of the vanished protect the sum, and stay.
        let surplus = self.layers.iter().skip(round.vanished(survivors.count()));
        let seeds = surplus.map(|seed| Revealed {
            owner: self.index,
            kind: Secret::LayerSeed,
            share: **seed,
        });
        let shares = held.shares.into_iter();
        let masked = shares.filter(|share| sharers.contains(share.owner));
        Ok(masked.map(one_of_each).chain(seeds).collect())
    }

    /// With whom the update was masked.
    fn sharers(&self) -> Result<Roster, Refusal> {
        self.sharers
            .as_deref()
            .and_then(|bits| Roster::from_bits(self.cohort, bits))
            .ok_or(Refusal::Unexpected)
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
            .filter(|near| roster.contains(near.number))
            .count();
        if near < self.threshold {
            return fault("leaves fewer neighbours than the threshold");
        }
        Ok(())
    }
}
