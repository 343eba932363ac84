//! Who masks with whom.

use std::collections::VecDeque;

use aes::Aes128;
use aes::cipher::{Array, Block, BlockCipherEncrypt, KeyInit};

use crate::derive::derive;
use crate::plan::GraphPlan;

/// The undirected graph of one round: client indices `0..clients`, an edge for every pair that shares a mask.
///
/// A randomly relabelled ring in which each node is joined to the `degree / 2` nearest on either side (secagg.md
/// 4.1; Bell et al., CCS 2020, section 3), or the complete graph when `degree = clients - 1`. The same seed and
/// plan give the same graph on every machine.
///
/// The order of the ring is a permutation of `0..clients` by Fisher-Yates (Knuth, TAOCP 2, algorithm 3.4.2P): from
/// `0, 1, 2, ...`, for `last` from `clients - 1` down to 1, the entries `last` and `j` are exchanged, `j` uniform in
/// `0..=last`. Random words are the 32-bit little-endian words of the AES-128-CTR keystream (initial counter 0, no
/// nonce) under the key HKDF-SHA256(no salt, seed, `"chorus/v1/graph"`). From a word `w`, `j` is the upper half of
/// the 64-bit product `w * (last + 1)`; when its lower half is below `2^32 mod (last + 1)`, the next word is taken
/// instead (Lemire 2019, *Fast Random Integer Generation in an Interval*).
///
/// # Privacy
/// The graph is public. Whoever can choose the seed after seeing the clients' keys can put a victim among corrupt
/// neighbours; while the coordinator chooses it, the coordinator is trusted not to (secagg.md 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Complete {
        clients: u32,
    },
    Ring {
        /// The client at each place of the ring.
        order: Vec<u32>,
        /// The place of each client on the ring.
        place: Vec<u32>,
        /// Neighbours on each side; `2 * side < order.len() - 1`.
        side: usize,
    },
}

impl Graph {
    /// Builds the graph in time linear in the number of clients. `plan` should come from [`plan`](crate::plan()); an
    /// odd degree loses one neighbour, and a degree of `clients - 1` or more gives the complete graph.
    pub fn new(seed: &[u8; 32], plan: &GraphPlan) -> Self {
        let clients = u32::try_from(plan.clients).unwrap_or(u32::MAX);
        let side = plan.degree / 2;
        if plan.degree.saturating_add(1) >= plan.clients {
            return Self(Shape::Complete { clients });
        }
        let order = permutation(seed, clients);
        let mut place = vec![0; order.len()];
        for (position, client) in (0..).zip(&order) {
            if let Some(slot) = place.get_mut(*client as usize) {
                *slot = position;
            }
        }
        Self(Shape::Ring { order, place, side })
    }

    /// The neighbours of a client, in ascending order; empty when there is no client with this index. Takes time in
    /// proportion to the degree, however many clients there are.
    pub fn neighbours(&self, index: u32) -> Vec<u32> {
        match &self.0 {
            Shape::Complete { clients } if index < *clients => {
                (0..*clients).filter(|other| *other != index).collect()
            }
            Shape::Complete { .. } => Vec::new(),
            Shape::Ring { order, place, side } => {
                let Some(place) = place.get(index as usize) else {
                    return Vec::new();
                };
                let clients = order.len();
                // The window [place - side, place + side] around the ring, without its middle. It is shorter than
                // the ring, so it passes the end of the order at most once.
                let first = (*place as usize + clients - side) % clients;
                let (before, from) = order.split_at(first);
                let window = from.iter().chain(before).take(2 * side + 1);
                let mut neighbours: Vec<u32> =
                    window.copied().filter(|other| *other != index).collect();
                neighbours.sort_unstable();
                neighbours
            }
        }
    }

    /// How hard the survivors are to divide: the fewest of them that two disjoint runs of `degree / 2` places of the
    /// ring have together. `None` for the complete graph, which nothing divides.
    ///
    /// The graph of the *honest* survivors falls into parts, whose sums would be revealed one by one, only if two such
    /// runs contain corrupt clients and lost ones alone. Corrupt clients are few in any two runs, because nobody chose
    /// where they are. A coordinator that cheats does choose whom to call lost, after it has seen the graph; so a
    /// client gives back no share unless this number is at least [`GraphPlan::guard`].
    ///
    /// Takes time linear in the number of clients.
    pub fn weakest_cut(&self, survived: impl Fn(u32) -> bool) -> Option<usize> {
        let Shape::Ring { order, side, .. } = &self.0 else {
            return None;
        };
        let runs = survivors_of_runs(order, *side, survived);
        // Two runs that begin at places i < j are disjoint when side <= j - i <= clients - side. Of the places at the
        // right distance from j, `window` keeps those that no later place with fewer survivors has made useless.
        let mut window: VecDeque<(usize, usize)> = VecDeque::new();
        let mut weakest = usize::MAX;
        let mut entering = runs.iter().enumerate();
        for (j, here) in runs.iter().enumerate().skip(*side) {
            if let Some((i, count)) = entering.next() {
                while window.back().is_some_and(|(_, kept)| *kept >= *count) {
                    window.pop_back();
                }
                window.push_back((i, *count));
            }
            while window
                .front()
                .is_some_and(|(i, _)| j - i > runs.len() - side)
            {
                window.pop_front();
            }
            if let Some((_, fewest)) = window.front() {
                weakest = weakest.min(fewest + here);
            }
        }
        Some(weakest)
    }
}

/// For each place of the ring, how many clients of the run of `side` places that begins there have survived.
fn survivors_of_runs(order: &[u32], side: usize, survived: impl Fn(u32) -> bool) -> Vec<usize> {
    let alive: Vec<usize> = order
        .iter()
        .map(|client| usize::from(survived(*client)))
        .collect();
    let mut count: usize = alive.iter().take(side).sum();
    let leaving = alive.iter();
    let entering = alive.iter().cycle().skip(side);
    leaving
        .zip(entering)
        .map(|(leaves, enters)| {
            let run = count;
            count = count + enters - leaves;
            run
        })
        .collect()
}

/// The `x` of the share that `receiver` holds of an owner's secrets: one plus the receiver's position among the
/// owner's neighbours. `neighbours` is the owner's list in ascending order, as [`Graph::neighbours`] returns it.
///
/// `None` when `receiver` is not in the list, or stands beyond position 254 (shares are numbered by one byte).
pub fn share_position(neighbours: &[u32], receiver: u32) -> Option<u8> {
    let position = neighbours.binary_search(&receiver).ok()?;
    u8::try_from(position + 1).ok()
}

/// A uniform permutation of `0..count`, as described at [`Graph`].
fn permutation(seed: &[u8; 32], count: u32) -> Vec<u32> {
    let mut words = Words::new(seed);
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last as usize, words.below(last + 1) as usize);
    }
    order
}

/// Blocks that are encrypted together, for the sake of speed alone.
const BATCH: usize = 64;

/// Uniform words from the keystream of a key derived from the graph seed. Nothing here is secret.
struct Words {
    cipher: Aes128,
    /// The number of the next block to encrypt.
    counter: u128,
    /// Words of the last blocks that were not given out yet.
    words: std::vec::IntoIter<u32>,
}

impl Words {
    fn new(seed: &[u8; 32]) -> Self {
        let key = derive::<16>(&[], seed, &[b"chorus/v1/graph"]);
        Self {
            cipher: Aes128::new((&*key).into()),
            counter: 0,
            words: Vec::new().into_iter(),
        }
    }

    fn next(&mut self) -> u32 {
        loop {
            if let Some(word) = self.words.next() {
                return word;
            }
            let mut blocks = [Block::<Aes128>::default(); BATCH];
            for block in &mut blocks {
                *block = self.counter.to_be_bytes().into();
                self.counter += 1;
            }
            self.cipher.encrypt_blocks(&mut blocks);
            let (lanes, _) = Array::slice_as_flattened(&blocks).as_chunks::<4>();
            let words: Vec<u32> = lanes.iter().map(|lane| u32::from_le_bytes(*lane)).collect();
            self.words = words.into_iter();
        }
    }

    /// Uniform in `0..bound`, without bias. `bound` must not be zero.
    fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.next()) * u64::from(bound);
        // The division is needed only when the lower half is below the bound, so next to never.
        if (product as u32) < bound {
            let reject_below = bound.wrapping_neg() % bound;
            while (product as u32) < reject_below {
                product = u64::from(self.next()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }
}

#[cfg(test)]
mod tests;
