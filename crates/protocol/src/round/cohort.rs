use std::collections::BTreeMap;

use chorus_secagg::{Graph, GraphPlan};

use crate::{ClientId, Digest, Neighbour, Neighbourhood, PublicKeys, Reject};

/// A client's keys of the round, with what proves whose they are.
#[derive(Clone, PartialEq)]
pub(super) struct Advertisement {
    pub key: [u8; 32],
    pub certificate: Vec<u8>,
    pub keys: PublicKeys,
    pub signature: [u8; 64],
}

/// The clients that advertised, numbered in the order of their ids, and who is whose neighbour.
#[derive(Clone, PartialEq)]
pub(super) struct Cohort {
    numbers: BTreeMap<ClientId, u32>,
    members: Vec<Advertisement>,
    neighbours: Vec<Vec<u32>>,
    key_root: Digest,
    pub threshold: usize,
}

impl Cohort {
    pub fn new(advertised: BTreeMap<ClientId, Advertisement>, plan: &GraphPlan) -> Self {
        let numbers = advertised.keys().copied().zip(0..).collect();
        let members: Vec<Advertisement> = advertised.into_values().collect();
        let key_root = key_root(&members);
        let graph = Graph::new(&key_root.0, plan);
        let neighbours = (0..members.len() as u32)
            .map(|index| graph.neighbours(index))
            .collect();
        Self {
            numbers,
            members,
            neighbours,
            key_root,
            threshold: plan.threshold,
        }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The client's number.
    pub fn number(&self, client: &ClientId) -> Result<u32, Reject> {
        self.numbers.get(client).copied().ok_or(Reject::LeftOut)
    }

    pub fn neighbours(&self, number: u32) -> &[u32] {
        self.neighbours
            .get(number as usize)
            .map_or(&[], Vec::as_slice)
    }

    pub fn keys(&self, number: u32) -> Option<&PublicKeys> {
        self.members.get(number as usize).map(|member| &member.keys)
    }

    pub fn neighbourhood(&self, client: &ClientId) -> Result<Neighbourhood, Reject> {
        let index = self.number(client)?;
        let neighbours = self
            .neighbours(index)
            .iter()
            .filter_map(|number| {
                self.members.get(*number as usize).map(|member| Neighbour {
                    index: *number,
                    certificate: member.certificate.clone(),
                    keys: member.keys,
                    signature: member.signature,
                })
            })
            .collect();
        Ok(Neighbourhood {
            index,
            cohort: self.members.len() as u32,
            key_root: self.key_root,
            neighbours,
        })
    }
}

/// One digest over all keys of the cohort; the graph is drawn from it, so a coordinator that
/// follows the protocol cannot choose who is whose neighbour.
fn key_root(members: &[Advertisement]) -> Digest {
    let parts: Vec<&[u8]> = members
        .iter()
        .flat_map(|member| {
            [
                &member.key[..],
                &member.keys.cipher[..],
                &member.keys.mask[..],
            ]
        })
        .collect();
    Digest::of_parts("chorus/v1/key-root", &parts)
}
