//! Who masks with whom.

use crate::derive::derive;
use crate::keystream::{Keystream, Sign, TILE_WORDS, Tile};
use crate::plan::GraphPlan;

/// The undirected graph of one round: client indices `0..clients`, an edge for every pair that shares a mask.
///
/// A randomly relabelled ring in which each node is joined to the `degree / 2` nearest on either side (secagg.md
/// 4.1; Bell et al., CCS 2020, section 3), or the complete graph when `degree = clients - 1`. The same seed and
/// plan give the same graph on every machine.
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
    /// Builds the graph. `plan` should come from [`plan`](crate::plan()); an odd degree loses one neighbour, and a
    /// degree of `clients - 1` or more gives the complete graph.
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

    /// The neighbours of a client, in ascending order; empty when there is no client with this index.
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
                // Walk the window [place - side, place + side] around the ring and leave out its middle.
                let mut neighbours: Vec<u32> = order
                    .iter()
                    .cycle()
                    .skip((*place as usize + clients - side) % clients)
                    .take(2 * side + 1)
                    .copied()
                    .filter(|other| *other != index)
                    .collect();
                neighbours.sort_unstable();
                neighbours
            }
        }
    }
}

/// The `x` of the share that `receiver` holds of an owner's secrets: one plus the receiver's position among the
/// owner's neighbours. `neighbours` is the owner's list in ascending order, as [`Graph::neighbours`] returns it.
///
/// `None` when `receiver` is not in the list, or stands beyond position 254 (shares are numbered by one byte).
pub fn share_position(neighbours: &[u32], receiver: u32) -> Option<u8> {
    let position = neighbours.binary_search(&receiver).ok()?;
    u8::try_from(position + 1).ok()
}

/// A uniform permutation of `0..count` by Fisher-Yates (Knuth, TAOCP 2, algorithm 3.4.2P).
fn permutation(seed: &[u8; 32], count: u32) -> Vec<u32> {
    let mut words = Words::new(seed);
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last as usize, words.below(last + 1) as usize);
    }
    order
}

/// Uniform words from the keystream of a key derived from the graph seed.
struct Words {
    stream: Keystream,
    words: Vec<u32>,
}

impl Words {
    fn new(seed: &[u8; 32]) -> Self {
        Self {
            stream: Keystream::new(&derive(&[], seed, &[b"chorus/v1/graph"])),
            words: Vec::new(),
        }
    }

    fn next(&mut self) -> u32 {
        loop {
            if let Some(word) = self.words.pop() {
                return word;
            }
            self.words.resize(TILE_WORDS, 0);
            self.stream
                .apply(&mut Tile::new(), Sign::Add, &mut self.words);
            // `pop` takes from the end; reversing keeps the order of the stream, so the graph can be described
            // without mentioning tiles.
            self.words.reverse();
        }
    }

    /// Uniform in `0..bound`, without bias (Lemire 2019, *Fast Random Integer Generation in an Interval*).
    /// `bound` must not be zero.
    fn below(&mut self, bound: u32) -> u32 {
        let reject_below = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.next()) * u64::from(bound);
            if product as u32 >= reject_below {
                return (product >> 32) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Assumptions, plan};

    fn sparse(clients: usize, degree: usize) -> GraphPlan {
        GraphPlan {
            clients,
            degree,
            threshold: 2,
        }
    }

    #[test]
    fn symmetric_with_exact_degree() {
        for clients in [10, 57, 99, 100, 300, 1_000] {
            let plan = plan(clients, &Assumptions::DEFAULT).unwrap();
            let graph = Graph::new(&[3; 32], &plan);
            for index in 0..clients as u32 {
                let neighbours = graph.neighbours(index);
                assert_eq!(neighbours.len(), plan.degree);
                assert!(neighbours.is_sorted_by(|a, b| a < b));
                assert!(!neighbours.contains(&index));
                for other in neighbours {
                    assert!((other as usize) < clients);
                    assert!(graph.neighbours(other).binary_search(&index).is_ok());
                }
            }
        }
    }

    #[test]
    fn the_seed_decides() {
        let plan = plan(300, &Assumptions::DEFAULT).unwrap();
        assert_eq!(Graph::new(&[1; 32], &plan), Graph::new(&[1; 32], &plan));
        assert_ne!(
            Graph::new(&[1; 32], &plan).neighbours(0),
            Graph::new(&[2; 32], &plan).neighbours(0)
        );
    }

    #[test]
    fn odd_requests_do_not_panic() {
        for (clients, degree) in [
            (0, 0),
            (1, 0),
            (1, 9),
            (2, 1),
            (5, 3),
            (5, 4),
            (5, 99),
            (6, 0),
        ] {
            let graph = Graph::new(&[0; 32], &sparse(clients, degree));
            for index in 0..10 {
                let neighbours = graph.neighbours(index);
                assert!(neighbours.iter().all(|other| (*other as usize) < clients));
                assert!(neighbours.len() <= degree);
            }
        }
    }

    /// Every pair should be joined equally often: 20 nodes, degree 4, so with probability 4/19.
    #[test]
    fn no_pair_is_favoured() {
        let rounds = 4_000_u32;
        let mut joined = [0_u32; 400];
        for round in 0..rounds {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&round.to_le_bytes());
            let graph = Graph::new(&seed, &sparse(20, 4));
            for a in 0..20 {
                for b in graph.neighbours(a) {
                    joined[(a * 20 + b) as usize] += 1;
                }
            }
        }
        let expected = f64::from(rounds) * 4.0 / 19.0;
        let deviation = (expected * 15.0 / 19.0).sqrt();
        for a in 0..20 {
            for b in (0..20).filter(|b| *b != a) {
                let found = f64::from(joined[a * 20 + b]);
                assert!(
                    (found - expected).abs() < 5.0 * deviation,
                    "{a} {b} {found}"
                );
            }
        }
    }

    #[test]
    fn positions_start_at_one() {
        let neighbours = [2, 5, 9];
        assert_eq!(share_position(&neighbours, 2), Some(1));
        assert_eq!(share_position(&neighbours, 9), Some(3));
        assert_eq!(share_position(&neighbours, 4), None);
        let many: Vec<u32> = (0..300).collect();
        assert_eq!(share_position(&many, 254), Some(255));
        assert_eq!(share_position(&many, 255), None);
    }
}
