use std::collections::{BTreeMap, BTreeSet};

use chorus_secagg::{Graph, PlanError, RoundDigest};
use serde::{Deserialize, Serialize};

use crate::consistency::{cohort_digest, cohort_tree, graph_seed};
use crate::merkle::Tree;
use crate::{
    Beacon, ClientId, Digest, Neighbour, Neighbourhood, PublicKeys, Reject, RoundPlan, commitment,
};

/// A client's keys of the round, with what proves whose they are.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Advertisement {
    pub key: [u8; 32],
    pub certificate: Vec<u8>,
    pub keys: PublicKeys,
    #[serde(with = "crate::participation::array")]
    pub signature: [u8; 64],
}

/// The clients that advertised, numbered in the order of their ids.
#[derive(Clone, PartialEq)]
pub(super) struct Members {
    numbers: BTreeMap<ClientId, u32>,
    advertised: Vec<Advertisement>,
    keys: Tree,
    pub cohort_root: Digest,
}

impl Members {
    pub fn new(advertised: BTreeMap<ClientId, Advertisement>) -> Self {
        let numbers = advertised.keys().copied().zip(0..).collect();
        let advertised: Vec<Advertisement> = advertised.into_values().collect();
        let leaves = advertised
            .iter()
            .map(|member| key_leaf(&member.key, &member.keys));
        let enrolled: Vec<[u8; 32]> = advertised.iter().map(|member| member.key).collect();
        Self {
            keys: Tree::new(leaves),
            cohort_root: cohort_tree(&enrolled).root(),
            numbers,
            advertised,
        }
    }

    pub fn len(&self) -> usize {
        self.advertised.len()
    }

    pub fn key_root(&self) -> Digest {
        self.keys.root()
    }

    /// What the witness draws for.
    pub fn commitment(&self, round: &RoundDigest) -> Digest {
        commitment(
            round,
            self.len() as u32,
            &self.cohort_root,
            &self.key_root(),
        )
    }

    /// The advertisements by their senders, as [`Members::new`] takes them.
    pub fn advertised(&self) -> impl Iterator<Item = (&ClientId, &Advertisement)> {
        self.numbers.keys().zip(&self.advertised)
    }
}

/// The cohort once its graph is drawn: who is whose neighbour.
#[derive(Clone, PartialEq)]
pub(super) struct Cohort {
    members: Members,
    graph: Graph,
    guard: usize,
    pub beacon: Option<Beacon>,
    pub seed: [u8; 32],
    /// What the clients derive their masks from.
    pub digest: RoundDigest,
    pub threshold: usize,
}

impl Cohort {
    /// Draws the graph. `round` is the digest of the plan and the model.
    ///
    /// # Errors
    /// When there is no safe graph for so many.
    pub fn new(
        members: Members,
        beacon: Option<Beacon>,
        plan: &RoundPlan,
        round: &RoundDigest,
    ) -> Result<Self, PlanError> {
        let (graph_plan, guard) = plan.graph(members.len())?;
        let drawn = beacon.as_ref().map(|beacon| &beacon.randomness);
        let key_root = members.key_root();
        let seed = graph_seed(&key_root, drawn);
        let (size, cohort_root) = (members.len() as u32, &members.cohort_root);
        Ok(Self {
            graph: Graph::new(&seed, &graph_plan),
            guard,
            digest: cohort_digest(round, size, cohort_root, &key_root, beacon.as_ref()),
            members,
            beacon,
            seed,
            threshold: graph_plan.threshold,
        })
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The client's number.
    pub fn number(&self, client: &ClientId) -> Result<u32, Reject> {
        let number = self.members.numbers.get(client).copied();
        number.ok_or(Reject::LeftOut)
    }

    /// The clients with these numbers.
    pub fn named(&self, numbers: &BTreeSet<u32>) -> BTreeSet<ClientId> {
        let members = self.members.numbers.iter();
        members
            .filter(|(_, number)| numbers.contains(number))
            .map(|(client, _)| *client)
            .collect()
    }

    /// Ascending.
    pub fn neighbours(&self, number: u32) -> Vec<u32> {
        self.graph.neighbours(number)
    }

    /// False when so many that are close together in the graph are lost that the corrupt among the `survivors` could
    /// divide the others. Clients give back no shares then.
    pub fn holds_together(&self, survivors: &BTreeSet<u32>) -> bool {
        let weakest = self.graph.weakest_cut(|number| survivors.contains(&number));
        weakest.is_none_or(|weakest| weakest >= self.guard)
    }

    pub fn member(&self, number: u32) -> Option<&Advertisement> {
        self.members.advertised.get(number as usize)
    }

    /// Every enrolled key, in the order of the numbers.
    pub fn enrolled(&self) -> Vec<[u8; 32]> {
        let advertised = self.members.advertised.iter();
        advertised.map(|member| member.key).collect()
    }

    pub fn neighbourhood(&self, client: &ClientId) -> Result<Neighbourhood, Reject> {
        let index = self.number(client)?;
        let neighbours = self
            .neighbours(index)
            .into_iter()
            .filter_map(|number| {
                self.member(number).map(|member| Neighbour {
                    index: number,
                    certificate: member.certificate.clone(),
                    keys: member.keys,
                    signature: member.signature,
                    path: self.members.keys.path(number),
                })
            })
            .collect();
        Ok(Neighbourhood {
            index,
            cohort: self.members.len() as u32,
            cohort_root: self.members.cohort_root,
            key_root: self.members.key_root(),
            path: self.members.keys.path(index),
            beacon: self.beacon.clone(),
            members: match self.beacon {
                Some(_) => self.enrolled(),
                None => Vec::new(),
            },
            neighbours,
        })
    }
}

/// What the tree over the keys of a round holds of one client. Every part has a fixed length.
pub(crate) fn key_leaf(enrolled: &[u8; 32], keys: &PublicKeys) -> [u8; 97] {
    let mut leaf = [0; 97];
    let generator = [keys.generator.number()];
    let parts = enrolled
        .iter()
        .chain(&keys.cipher)
        .chain(&keys.mask)
        .chain(&generator);
    for (place, byte) in leaf.iter_mut().zip(parts) {
        *place = *byte;
    }
    leaf
}
