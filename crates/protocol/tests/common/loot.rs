//! What a coordinator can compute from all that it was given: whose secrets, and the sums of whom.

use std::collections::{BTreeMap, BTreeSet};

use chorus_protocol::Secret;
use chorus_secagg::{
    Aggregate, Dropped, MaskKey, Share, Sign, combine, open, recover_pairs, secret_matches,
    share_position,
};

use super::world::{Client, World};

type Shares = BTreeMap<u8, [u8; 32]>;

/// All that follows from what clients gave out, and from what the corrupt ones hold.
pub struct Loot<'a> {
    world: &'a World,
    seeds: BTreeMap<usize, [u8; 32]>,
    mask_keys: BTreeMap<usize, [u8; 32]>,
    /// Secret mask keys by their public ones.
    known: BTreeMap<[u8; 32], [u8; 32]>,
}

impl<'a> Loot<'a> {
    pub fn of(world: &'a World) -> Self {
        let mut loot = Self {
            world,
            seeds: BTreeMap::new(),
            mask_keys: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        for client in &world.clients {
            if let Some(keys) = &client.corrupt {
                loot.known.insert(keys.public().mask, *keys.mask_secret());
            }
        }
        for (owner, kinds) in loot.shares() {
            let client = &world.clients[owner];
            let (Some(view), Some(said)) = (&client.view, &client.advertised) else {
                continue;
            };
            let threshold = view.plan.threshold;
            let [seeds, mask_keys] = kinds;
            if let Some(seed) = together(threshold, &seeds) {
                loot.seeds.insert(owner, seed);
            }
            if let Some(secret) = together(threshold, &mask_keys) {
                assert!(secret_matches(&secret, &said.keys.mask));
                loot.mask_keys.insert(owner, secret);
                loot.known.insert(said.keys.mask, secret);
            }
        }
        loot
    }

    /// The shares of each honest client's two secrets, by their places: of its seed, and of its mask key.
    fn shares(&self) -> BTreeMap<usize, [Shares; 2]> {
        let mut shares: BTreeMap<usize, [Shares; 2]> = BTreeMap::new();
        for (holder, client) in self.world.clients.iter().enumerate() {
            for revealed in &client.revealed {
                let view = client.view.as_ref().unwrap();
                let owner = view.members[revealed.owner as usize];
                if let Some((_, place)) = self.place(owner, holder) {
                    let kind = usize::from(revealed.kind == Secret::MaskKey);
                    let of = shares.entry(owner).or_default();
                    of[kind].insert(place, revealed.share);
                }
            }
            let Some(keys) = &client.corrupt else {
                continue;
            };
            for owner in self.world.honest() {
                let Some((number, place)) = self.place(owner, holder) else {
                    continue;
                };
                let client = &self.world.clients[owner];
                let view = client.view.as_ref().unwrap();
                let own = view.number(owner);
                let theirs = &client.advertised.as_ref().unwrap().keys;
                let sealed = client.sealed.iter().find(|one| one.peer == number);
                let sealed = &sealed.unwrap().sealed;
                if let Ok(pair) = open(keys, theirs, &view.digest, own, number, sealed) {
                    let [seeds, mask_keys] = shares.entry(owner).or_default();
                    seeds.insert(place, pair.self_seed);
                    mask_keys.insert(place, pair.mask_key);
                }
            }
        }
        shares
    }

    /// The holder's number in the owner's view, and the place of its share.
    fn place(&self, owner: usize, holder: usize) -> Option<(u32, u8)> {
        let view = self.world.clients[owner].view.as_ref()?;
        let number = view.members.iter().position(|member| *member == holder)? as u32;
        let neighbours = view.graph.neighbours(view.number(owner));
        Some((number, share_position(&neighbours, number)?))
    }

    /// Honest clients both of whose secrets can be put together.
    pub fn both(&self) -> Vec<usize> {
        let seeds = self.seeds.keys().copied();
        seeds
            .filter(|owner| self.mask_keys.contains_key(owner))
            .collect()
    }

    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    /// The neighbours that a client masked with: their numbers, and whether the coordinator knows the mask.
    fn masked_with(&self, client: &Client, index: usize) -> Vec<(u32, bool)> {
        let view = client.view.as_ref().unwrap();
        let sharers = client.sharers.as_ref().unwrap();
        let neighbours = view.graph.neighbours(view.number(index)).into_iter();
        let known = |number: &u32| {
            let keys = &view.advertised[*number as usize].keys;
            self.known.contains_key(&keys.mask) || self.mask_keys.contains_key(&index)
        };
        neighbours
            .filter(|number| sharers.contains(*number))
            .map(|number| (number, known(&number)))
            .collect()
    }

    /// The sets of honest clients whose sums the coordinator can compute: those that hold together by masks that it
    /// does not know.
    pub fn sums(&self) -> Vec<BTreeSet<usize>> {
        let clients = &self.world.clients;
        let uploaded = |index: &usize| clients[*index].upload.is_some();
        let mut left: BTreeSet<usize> = self.world.honest().into_iter().filter(uploaded).collect();
        let mut sums = Vec::new();
        while let Some(first) = left.pop_first() {
            let (mut part, mut open) = (BTreeSet::from([first]), vec![first]);
            let mut whole = true;
            while let Some(index) = open.pop() {
                let client = &clients[index];
                let view = client.view.as_ref().unwrap();
                whole &= self.seeds.contains_key(&index);
                for (number, known) in self.masked_with(client, index) {
                    if known {
                        continue;
                    }
                    let peer = view.members[number as usize];
                    let other = &clients[peer];
                    // Another mask on the other side, or none, never goes away.
                    let cancels = other.upload.is_some()
                        && other.view.as_ref().is_some_and(|of| {
                            of.digest.0 == view.digest.0
                                && other
                                    .sharers
                                    .as_ref()
                                    .is_some_and(|list| list.contains(view.number(index)))
                        });
                    whole &= cancels;
                    if cancels && part.insert(peer) {
                        left.remove(&peer);
                        open.push(peer);
                    }
                }
            }
            if whole {
                sums.push(part);
            }
        }
        sums
    }

    /// The sum of one of those sets, computed.
    pub fn sum(&self, part: &BTreeSet<usize>) -> Vec<u32> {
        let plan = &self.world.plan;
        let mut sum = Aggregate::new(plan.ring(), plan.encoding.words());
        for index in part {
            let client = &self.world.clients[*index];
            let view = client.view.as_ref().unwrap();
            let number = view.number(*index);
            let public = &client.advertised.as_ref().unwrap().keys;
            sum.add(client.upload.clone().unwrap().masked).unwrap();
            let own = MaskKey::own(&self.seeds[index], &view.digest, number, public.generator);
            let mut masks = vec![(own, Sign::Add)];
            for (peer, known) in self.masked_with(client, *index) {
                if !known {
                    continue;
                }
                let keys = &view.advertised[peer as usize].keys;
                let mut pair = |survivor, theirs, index, mask_secret, public| {
                    let dropped = Dropped {
                        index,
                        mask_secret,
                        public,
                    };
                    let found = recover_pairs(survivor, theirs, &[dropped], &view.digest).unwrap();
                    for (key, _) in found {
                        masks.push((key, Sign::of(number, peer)));
                    }
                };
                match (self.known.get(&keys.mask), self.mask_keys.get(index)) {
                    (Some(secret), _) => pair(number, public, peer, secret, keys),
                    (None, Some(secret)) => pair(peer, keys, number, secret, public),
                    (None, None) => {}
                }
            }
            sum.remove(&masks);
        }
        sum.finish().unwrap()
    }

    /// What the clients of a set put in.
    pub fn plain(&self, part: &BTreeSet<usize>) -> Vec<u32> {
        let ring = self.world.plan.ring();
        let mut sum = vec![0u32; self.world.plan.encoding.words()];
        for index in part {
            for (total, word) in sum.iter_mut().zip(&self.world.clients[*index].words) {
                *total = ring.reduce(total.wrapping_add(*word));
            }
        }
        sum
    }

    /// The attack failed: nobody's two secrets are known, and no sum of fewer honest clients than the plan promises.
    pub fn is_nothing(&self) -> bool {
        let promised = self.world.plan.survivors.minimum - self.world.plan.corrupt();
        self.both().is_empty() && self.sums().iter().all(|part| part.len() >= promised)
    }

    /// The attack worked: it has the update of this very client, and of nobody else in the same sum.
    pub fn has(&self, victim: usize) -> bool {
        let alone = BTreeSet::from([victim]);
        let found = self.sums().contains(&alone);
        assert!(!found || self.sum(&alone) == self.plain(&alone));
        found
    }
}

/// The secret, if there are enough shares of it.
fn together(threshold: usize, shares: &Shares) -> Option<[u8; 32]> {
    if shares.len() < threshold {
        return None;
    }
    let shares: Vec<Share> = shares
        .iter()
        .take(threshold)
        .map(|(x, y)| Share { x: *x, y: *y })
        .collect();
    combine(threshold, &shares).ok().map(|secret| *secret)
}
