//! A whole round as clients and coordinator walk it, without the network: keys, shares, masks, dropouts, unmasking.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use chorus_secagg::*;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const DIGEST: RoundDigest = RoundDigest([0x42; 32]);

/// How far a client comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    NeverShared,
    SharedOnly,
    Uploaded,
    /// Uploads what it masked under another model's digest.
    UploadedOtherModel,
}

struct Client {
    keys: RoundKeys,
    self_seed: [u8; 32],
    values: Vec<u32>,
    /// What it holds for others: (owner, x, shares).
    held: Vec<(u32, u8, SharePair)>,
    fate: Fate,
}

#[derive(Debug, PartialEq)]
enum Failed {
    Shares(ShareError),
    Sum(SpoiledSum),
}

struct Round {
    graph: Graph,
    plan: GraphPlan,
    ring: Ring,
    clients: Vec<Client>,
    uploads: Vec<Option<MaskedUpdate>>,
}

impl Round {
    fn new(plan: GraphPlan, fates: &[Fate], length: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut graph_seed = [0; 32];
        rng.fill_bytes(&mut graph_seed);
        let clients = fates
            .iter()
            .map(|fate| {
                let mut self_seed = [0; 32];
                rng.fill_bytes(&mut self_seed);
                Client {
                    keys: RoundKeys::generate(
                        Generator::ALL[usize::from(rng.next_u32() % 4 == 0)],
                        &mut rng,
                    ),
                    self_seed,
                    values: (0..length).map(|_| rng.next_u32()).collect(),
                    held: Vec::new(),
                    fate: *fate,
                }
            })
            .collect();
        let mut round = Self {
            graph: Graph::new(&graph_seed, &plan),
            plan,
            // Every ring in turn, with every test that draws its seed.
            ring: Ring::ALL[(seed % 4) as usize],
            clients,
            uploads: Vec::new(),
        };
        round.share(&mut rng);
        round.uploads = (0..fates.len() as u32)
            .map(|index| round.upload(index))
            .collect();
        round
    }

    fn share(&mut self, rng: &mut ChaCha20Rng) {
        for owner in 0..self.clients.len() as u32 {
            let client = &self.clients[owner as usize];
            if client.fate == Fate::NeverShared {
                continue;
            }
            let neighbours = self.graph.neighbours(owner);
            let threshold = self.plan.threshold;
            let of_key = split(&client.keys.mask_secret(), threshold, neighbours.len(), rng)
                .ok()
                .unwrap();
            let of_seed = split(&client.self_seed, threshold, neighbours.len(), rng)
                .ok()
                .unwrap();
            let (public, mut envelopes) = (client.keys.public(), Vec::new());
            for (receiver, (key, seed)) in neighbours.iter().zip(of_key.iter().zip(&of_seed)) {
                let x = share_position(&neighbours, *receiver).unwrap();
                assert!(x == key.x && x == seed.x);
                let pair = SharePair {
                    mask_key: key.y,
                    self_seed: seed.y,
                };
                let theirs = self.clients[*receiver as usize].keys.public();
                let sealed = seal(&client.keys, &theirs, &DIGEST, owner, *receiver, &pair).unwrap();
                envelopes.push((*receiver, x, sealed));
            }
            for (receiver, x, sealed) in envelopes {
                let receiver_client = &mut self.clients[receiver as usize];
                let pair = open(
                    &receiver_client.keys,
                    &public,
                    &DIGEST,
                    owner,
                    receiver,
                    &sealed,
                );
                receiver_client.held.push((owner, x, pair.ok().unwrap()));
            }
        }
    }

    /// The neighbours of `index` whose shares arrived: the ones it masks with.
    fn partners(&self, index: u32) -> Vec<u32> {
        let mut neighbours = self.graph.neighbours(index);
        neighbours.retain(|other| self.clients[*other as usize].fate != Fate::NeverShared);
        neighbours
    }

    fn upload(&self, index: u32) -> Option<MaskedUpdate> {
        let client = &self.clients[index as usize];
        let digest = match client.fate {
            Fate::NeverShared | Fate::SharedOnly => return None,
            Fate::Uploaded => DIGEST,
            Fate::UploadedOtherModel => RoundDigest([0x43; 32]),
        };
        let pairs: Vec<(MaskKey, Sign)> = self
            .partners(index)
            .into_iter()
            .map(|other| {
                let theirs = self.clients[other as usize].keys.public();
                let key = MaskKey::pair(&client.keys, &theirs, &digest, index, other)
                    .ok()
                    .unwrap();
                (key, Sign::of(index, other))
            })
            .collect();
        let generator = client.keys.public().generator;
        let own = MaskKey::own(&client.self_seed, &digest, index, generator);
        let masked = mask(client.values.clone(), self.ring, &own, pairs);
        let length = client.values.len();
        Some(MaskedUpdate::from_bytes(masked.into_bytes(), self.ring, length).unwrap())
    }

    fn survived(&self, index: u32) -> bool {
        self.uploads[index as usize].is_some()
    }

    /// The shares of `owner` that its surviving neighbours give out, of its mask key or of its self seed.
    fn shares(&self, owner: u32, of_key: bool) -> Vec<Share> {
        let mut shares = Vec::new();
        for holder in self
            .graph
            .neighbours(owner)
            .into_iter()
            .filter(|i| self.survived(*i))
        {
            for (of, x, pair) in &self.clients[holder as usize].held {
                if *of == owner {
                    let y = if of_key {
                        pair.mask_key
                    } else {
                        pair.self_seed
                    };
                    shares.push(Share { x: *x, y });
                }
            }
        }
        shares
    }

    fn unmask(&self, length: usize) -> Result<Vec<u32>, Failed> {
        let mut sum = Aggregate::new(self.ring, length);
        for upload in self.uploads.iter().flatten() {
            sum.add(upload.clone()).unwrap();
        }
        let secrets = self.mask_secrets()?;
        for index in (0..self.clients.len() as u32).filter(|index| self.survived(*index)) {
            let client = &self.clients[index as usize];
            let seed = combine(self.plan.threshold, &self.shares(index, false));
            let seed = seed.map_err(Failed::Shares)?;
            assert_eq!(*seed, client.self_seed);
            let generator = client.keys.public().generator;
            let own = MaskKey::own(&seed, &DIGEST, index, generator);
            sum.remove(&[(own, Sign::Add)]);
            sum.remove(&self.recovered(index, &secrets));
        }
        sum.finish().map_err(Failed::Sum)
    }

    /// The mask keys of the clients that vanished after sharing, put together from what their neighbours hold.
    fn mask_secrets(&self) -> Result<Vec<(u32, [u8; 32])>, Failed> {
        (0..self.clients.len() as u32)
            .filter(|index| self.clients[*index as usize].fate == Fate::SharedOnly)
            .map(|index| {
                let secret = combine(self.plan.threshold, &self.shares(index, true));
                let secret = secret.map_err(Failed::Shares)?;
                let public = self.clients[index as usize].keys.public();
                assert!(secret_matches(&secret, &public.mask));
                Ok((index, *secret))
            })
            .collect()
    }

    /// The masks that `survivor` shares with those clients.
    fn recovered(&self, survivor: u32, secrets: &[(u32, [u8; 32])]) -> Vec<(MaskKey, Sign)> {
        let theirs = self.clients[survivor as usize].keys.public();
        let public: Vec<PublicKeys> = self.clients.iter().map(|c| c.keys.public()).collect();
        let neighbours = self.graph.neighbours(survivor);
        let dropped: Vec<Dropped<'_>> = secrets
            .iter()
            .filter(|(index, _)| neighbours.contains(index))
            .map(|(index, mask_secret)| Dropped {
                index: *index,
                mask_secret,
                public: &public[*index as usize],
            })
            .collect();
        let recovered = recover_pairs(survivor, &theirs, &dropped, &DIGEST);
        recovered.ok().unwrap()
    }

    fn plain_sum(&self, length: usize) -> Vec<u32> {
        let mut sum = vec![0_u32; length];
        for client in self
            .clients
            .iter()
            .filter(|client| client.fate == Fate::Uploaded)
        {
            for (sum, value) in sum.iter_mut().zip(&client.values) {
                *sum = self.ring.reduce(sum.wrapping_add(*value));
            }
        }
        sum
    }

    /// Whether every secret that unmasking needs has `threshold` living holders.
    fn enough_shares(&self) -> bool {
        (0..self.clients.len() as u32)
            .filter(|index| self.clients[*index as usize].fate != Fate::NeverShared)
            .all(|index| {
                let neighbours = self.graph.neighbours(index);
                let living = neighbours.into_iter().filter(|i| self.survived(*i)).count();
                living >= self.plan.threshold
            })
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        1 => Just(Fate::NeverShared),
        2 => Just(Fate::SharedOnly),
        17 => Just(Fate::Uploaded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Complete graphs as planned: exact whenever enough shares are left, refused whenever not.
    #[test]
    fn masked_sum_is_the_plain_sum_in_complete_graphs(
        fates in prop::collection::vec(fate(), 10..26),
        length in 0..1_100_usize,
        seed in any::<u64>(),
    ) {
        let plan = plan(fates.len(), &Assumptions::DEFAULT).unwrap();
        let round = Round::new(plan, &fates, length, seed);
        match round.unmask(length) {
            Ok(sum) => prop_assert_eq!(sum, round.plain_sum(length)),
            Err(error) => {
                prop_assert!(!round.enough_shares());
                prop_assert!(matches!(error, Failed::Shares(ShareError::TooFew { .. })), "{error:?}");
            }
        }
    }

    /// Sparse graphs of every shape, planned or not.
    #[test]
    fn masked_sum_is_the_plain_sum_in_sparse_graphs(
        fates in prop::collection::vec(fate(), 12..40),
        half in 2..6_usize,
        threshold in 2..6_usize,
        length in 0..40_usize,
        seed in any::<u64>(),
    ) {
        let plan = GraphPlan { clients: fates.len(), degree: 2 * half, threshold: threshold.min(2 * half) };
        let round = Round::new(plan, &fates, length, seed);
        match round.unmask(length) {
            Ok(sum) => prop_assert_eq!(sum, round.plain_sum(length)),
            Err(error) => {
                prop_assert!(!round.enough_shares());
                prop_assert!(matches!(error, Failed::Shares(ShareError::TooFew { .. })), "{error:?}");
            }
        }
    }

    /// Another model for one client: the round is void, whoever it is and whoever drops out.
    #[test]
    fn another_model_spoils_the_round(victim in 0..12_usize, dropped in 0..12_usize, seed in any::<u64>()) {
        let mut fates = [Fate::Uploaded; 12];
        fates[dropped] = Fate::SharedOnly;
        fates[victim] = Fate::UploadedOtherModel;
        let plan = plan(12, &Assumptions::DEFAULT).unwrap();
        prop_assert_eq!(Round::new(plan, &fates, 20, seed).unmask(20), Err(Failed::Sum(SpoiledSum)));
    }
}

/// A planned sparse graph with three in ten clients gone, half before and half after sharing.
#[test]
fn a_planned_cohort_survives_the_assumed_dropout() {
    let clients = 120;
    let plan = plan(clients, &Assumptions::DEFAULT).unwrap();
    assert!(plan.degree < clients - 1);
    let fates: Vec<Fate> = (0..clients)
        .map(|index| match index % 20 {
            0..3 => Fate::NeverShared,
            3..6 => Fate::SharedOnly,
            _ => Fate::Uploaded,
        })
        .collect();
    let round = Round::new(plan, &fates, 50, 1);
    assert_eq!(round.unmask(50), Ok(round.plain_sum(50)));
}

/// Six of ten may hold the shares of a survivor, but only five of its neighbours live: no secret can be opened.
#[test]
fn below_the_threshold_nothing_opens() {
    let plan = plan(10, &Assumptions::DEFAULT).unwrap();
    let mut fates = [Fate::Uploaded; 10];
    fates[..4].fill(Fate::SharedOnly);
    let round = Round::new(plan, &fates, 8, 7);
    let few = ShareError::TooFew {
        needed: 6,
        given: 5,
    };
    assert_eq!(round.unmask(8), Err(Failed::Shares(few)));
    for owner in 4..10 {
        let shares = round.shares(owner, false);
        assert_eq!(combine(plan.threshold, &shares).err(), Some(few));
        // Pretending a lower threshold opens something else than the secret.
        let guess = combine(shares.len(), &shares).unwrap();
        assert_ne!(*guess, round.clients[owner as usize].self_seed);
    }
}

/// A late upload of a client declared dropped: its mask key was rebuilt, its own mask still hides it.
#[test]
fn a_late_upload_stays_masked() {
    let plan = plan(10, &Assumptions::DEFAULT).unwrap();
    let round = Round::new(plan, &[Fate::Uploaded; 10], 8, 3);
    let late = &round.clients[0];
    let mut sum = Aggregate::new(round.ring, 8);
    sum.add(round.uploads[0].clone().unwrap()).unwrap();
    let secrets = [(0, *late.keys.mask_secret())];
    for other in 1..10 {
        // The other's masks are not on this sum, but they are the late client's with the opposite sign.
        let [(key, sign)] = round.recovered(other, &secrets).try_into().ok().unwrap();
        sum.remove(&[(key, sign.opposite())]);
    }
    assert_eq!(sum.clone().finish(), Err(SpoiledSum));
    let generator = late.keys.public().generator;
    let own = MaskKey::own(&late.self_seed, &DIGEST, 0, generator);
    sum.remove(&[(own, Sign::Add)]);
    let values = late.values.iter().map(|value| round.ring.reduce(*value));
    assert_eq!(sum.finish(), Ok(values.collect()));
}

/// Each client contributes its own power of two: a lost or doubled one would show in the sum.
#[test]
fn nobody_is_lost_or_counted_twice() {
    let plan = plan(20, &Assumptions::DEFAULT).unwrap();
    let fates: Vec<Fate> = (0..20)
        .map(|i| {
            if i % 7 == 3 {
                Fate::SharedOnly
            } else {
                Fate::Uploaded
            }
        })
        .collect();
    let mut round = Round::new(plan, &fates, 1, 9);
    for (index, client) in round.clients.iter_mut().enumerate() {
        client.values = vec![1 << index];
    }
    round.uploads = (0..20).map(|index| round.upload(index)).collect();
    let expected: u32 = (0..20).filter(|i| i % 7 != 3).map(|i| 1 << i).sum();
    assert_eq!(round.unmask(1), Ok(vec![round.ring.reduce(expected)]));
}
