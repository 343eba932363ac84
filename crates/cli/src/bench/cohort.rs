//! The clients of a measured round: their keys, what they share, what they upload.

use chorus_secagg::{
    Generator, Graph, GraphPlan, Kernel, MaskKey, MaskedUpdate, PublicKeys, Ring, RoundDigest,
    RoundKeys, Share, SharePair, Sign, mask_with, open, seal, share_position, split,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::clock::Began;
use crate::exit::{self, OrExit};

/// Every key of a round and who is whose neighbour.
pub struct Cohort {
    pub digest: RoundDigest,
    pub plan: GraphPlan,
    pub graph: Graph,
    pub dropped: Vec<bool>,
    keys: Vec<RoundKeys>,
    seeds: Vec<[u8; 32]>,
    rng: ChaCha20Rng,
}

/// What one client's part of a round cost, in seconds.
pub struct ClientCost {
    pub mask: f64,
    pub total: f64,
}

impl Cohort {
    /// Draws everything that the round needs, from `seed`: which clients vanish, too.
    pub fn draw(plan: GraphPlan, dropout: f64, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let clients = plan.clients;
        let lost = (dropout * clients as f64 + 1e-9).floor() as usize;
        let mut dropped = vec![false; clients];
        for place in rand::seq::index::sample(&mut rng, clients, lost) {
            if let Some(one) = dropped.get_mut(place) {
                *one = true;
            }
        }
        let (mut digest, mut graph_seed) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut digest);
        rng.fill_bytes(&mut graph_seed);
        Self {
            digest: RoundDigest(digest),
            graph: Graph::new(&graph_seed, &plan),
            plan,
            dropped,
            keys: (0..clients)
                .map(|_| RoundKeys::generate(Generator::native(), &mut rng))
                .collect(),
            seeds: (0..clients)
                .map(|_| {
                    let mut seed = [0; 32];
                    rng.fill_bytes(&mut seed);
                    seed
                })
                .collect(),
            rng,
        }
    }

    pub fn is_dropped(&self, client: u32) -> bool {
        self.dropped.get(client as usize).copied().unwrap_or(true)
    }

    pub fn clients(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.plan.clients as u32
    }

    pub fn survivors(&self) -> Vec<u32> {
        self.clients()
            .filter(|client| !self.is_dropped(*client))
            .collect()
    }

    fn keys(&self, client: u32) -> anyhow::Result<&RoundKeys> {
        let keys = self.keys.get(client as usize);
        keys.ok_or_else(|| anyhow::anyhow!("client {client} has no keys"))
    }

    pub fn public(&self, client: u32) -> anyhow::Result<PublicKeys> {
        Ok(self.keys(client)?.public())
    }

    fn seed(&self, client: u32) -> [u8; 32] {
        self.seeds.get(client as usize).copied().unwrap_or_default()
    }

    /// The shares of one of a client's secrets that its first surviving neighbours give back, as many as open it:
    /// of its seed if it survived, of its mask key if not.
    pub fn given_back(&mut self, owner: u32) -> anyhow::Result<Vec<Share>> {
        let neighbours = self.graph.neighbours(owner);
        let secret = match self.is_dropped(owner) {
            true => *self.keys(owner)?.mask_secret(),
            false => self.seed(owner),
        };
        let threshold = self.plan.threshold;
        let shares =
            split(&secret, threshold, neighbours.len(), &mut self.rng).or_exit(exit::FAILED)?;
        let held = neighbours.iter().zip(shares);
        let given = held.filter(|(holder, _)| !self.is_dropped(**holder));
        Ok(given.take(threshold).map(|(_, share)| share).collect())
    }

    /// One client's masked update.
    pub fn upload(
        &self,
        client: u32,
        values: Vec<u32>,
        ring: Ring,
        kernel: Kernel,
    ) -> anyhow::Result<MaskedUpdate> {
        let keys = self.keys(client)?;
        let generator = keys.public().generator;
        let mut pairs = Vec::with_capacity(self.plan.degree);
        for peer in self.graph.neighbours(client) {
            let theirs = self.public(peer)?;
            let key =
                MaskKey::pair(keys, &theirs, &self.digest, client, peer).or_exit(exit::FAILED)?;
            pairs.push((key, Sign::of(client, peer)));
        }
        let own = MaskKey::own(&self.seed(client), &self.digest, client, generator);
        Ok(mask_with(kernel, values, ring, &own, pairs))
    }

    /// Everything that one client computes in a round, timed: fresh keys, shares of two secrets split, sealed for and
    /// opened from every neighbour, pair keys, masks. `mask`: the masks and their keys alone.
    pub fn measure_client(
        &mut self,
        client: u32,
        values: Vec<u32>,
        ring: Ring,
        kernel: Kernel,
    ) -> anyhow::Result<ClientCost> {
        let neighbours = self.graph.neighbours(client);
        let arrived = self.sealed_for(client, &neighbours)?;
        let began = Began::now();
        let fresh = RoundKeys::generate(Generator::native(), &mut self.rng);
        let (threshold, count) = (self.plan.threshold, neighbours.len());
        let mut rng = self.rng.clone();
        let keys = self.keys(client)?;
        let secrets = [*keys.mask_secret(), self.seed(client)];
        let [first, second] = &secrets;
        let mask_keys = split(first, threshold, count, &mut rng).or_exit(exit::FAILED)?;
        let seeds = split(second, threshold, count, &mut rng).or_exit(exit::FAILED)?;
        for ((peer, mask_key), seed) in neighbours.iter().zip(&mask_keys).zip(&seeds) {
            let pair = SharePair {
                mask_key: mask_key.y,
                self_seed: seed.y,
            };
            let theirs = self.public(*peer)?;
            let sealed = seal(keys, &theirs, &self.digest, client, *peer, &pair);
            std::hint::black_box(sealed.or_exit(exit::FAILED)?);
        }
        for (peer, sealed) in neighbours.iter().zip(&arrived) {
            let theirs = self.public(*peer)?;
            let opened = open(keys, &theirs, &self.digest, *peer, client, sealed);
            std::hint::black_box(&opened.or_exit(exit::FAILED)?.mask_key);
        }
        let shared = began.seconds();
        let began = Began::now();
        let update = self.upload(client, values, ring, kernel)?;
        let mask = began.seconds();
        std::hint::black_box((fresh.public(), update.bytes().len()));
        Ok(ClientCost {
            mask,
            total: shared + mask,
        })
    }

    /// What the neighbours sealed for a client.
    fn sealed_for(
        &self,
        client: u32,
        neighbours: &[u32],
    ) -> anyhow::Result<Vec<chorus_secagg::Sealed>> {
        let theirs = self.public(client)?;
        let seal_one = |peer: &u32| {
            let position =
                share_position(&self.graph.neighbours(*peer), client).unwrap_or_default();
            let pair = SharePair {
                mask_key: [position; 32],
                self_seed: [position; 32],
            };
            let sealed = seal(
                self.keys(*peer)?,
                &theirs,
                &self.digest,
                *peer,
                client,
                &pair,
            );
            sealed.or_exit(exit::FAILED)
        };
        neighbours.iter().map(seal_one).collect()
    }
}
