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

/// What two runs of `side` places have together, tried for every pair.
fn weakest_by_trying(graph: &Graph, survived: &[bool]) -> usize {
    let Shape::Ring { order, side, .. } = &graph.0 else {
        panic!("not a ring");
    };
    let n = order.len();
    let runs: Vec<Vec<usize>> = (0..n)
        .map(|first| (first..first + side).map(|place| place % n).collect())
        .collect();
    let mut weakest = usize::MAX;
    for one in &runs {
        for other in &runs {
            if one.iter().all(|place| !other.contains(place)) {
                let places = one.iter().chain(other);
                let count = places
                    .filter(|place| survived[order[**place] as usize])
                    .count();
                weakest = weakest.min(count);
            }
        }
    }
    weakest
}

/// Parts into which the graph of the clients in `kept` falls.
fn parts(graph: &Graph, kept: &[bool]) -> usize {
    let mut left: std::collections::BTreeSet<u32> = (0..kept.len() as u32)
        .filter(|client| kept[*client as usize])
        .collect();
    let mut parts = 0;
    while let Some(first) = left.pop_first() {
        parts += 1;
        let mut reached = vec![first];
        while let Some(client) = reached.pop() {
            reached.extend(
                graph
                    .neighbours(client)
                    .into_iter()
                    .filter(|other| left.remove(other)),
            );
        }
    }
    parts
}

#[test]
fn the_weakest_cut_is_the_one_found_by_trying_all() {
    let mut words = Words::new(&[9; 32]);
    for clients in [4, 5, 8, 13, 30, 41] {
        for degree in (2..clients - 1).step_by(2) {
            for alive in [0, 1, 5, 9, 10] {
                let graph = Graph::new(&[words.next() as u8; 32], &sparse(clients, degree));
                let survived: Vec<bool> = (0..clients).map(|_| words.below(10) < alive).collect();
                assert_eq!(
                    graph.weakest_cut(|client| survived[client as usize]),
                    Some(weakest_by_trying(&graph, &survived)),
                    "{clients} {degree}"
                );
            }
        }
    }
    let complete = Graph::new(&[0; 32], &sparse(5, 4));
    assert_eq!(complete.weakest_cut(|_| false), None);
}

/// The claim that the rule stands on: with fewer corrupt clients in any two runs than survivors in the weakest pair, the
/// honest survivors hang together. Corrupt clients are put where they do most harm.
#[test]
fn survivors_that_no_two_runs_of_corrupt_clients_can_replace_hang_together() {
    let mut words = Words::new(&[4; 32]);
    let (mut divided, mut whole) = (0, 0);
    for _ in 0..3_000 {
        let (clients, degree) = (24, 6);
        let graph = Graph::new(&[words.next() as u8; 32], &sparse(clients, degree));
        let survived: Vec<bool> = (0..clients).map(|_| words.below(10) < 6).collect();
        let corrupt: Vec<bool> = (0..clients).map(|_| words.below(10) < 2).collect();
        let honest: Vec<bool> = survived
            .iter()
            .zip(&corrupt)
            .map(|(s, c)| *s && !*c)
            .collect();
        if honest.iter().filter(|kept| **kept).count() < 2 {
            continue;
        }
        // Some two runs hold no honest survivor exactly when their weakest pair, counting these alone, is empty.
        let cut = graph.weakest_cut(|client| honest[client as usize]) == Some(0);
        if parts(&graph, &honest) > 1 {
            assert!(cut);
            divided += 1;
        } else if !cut {
            whole += 1;
        }
    }
    assert!(divided > 20 && whole > 20, "{divided} {whole}");
}

/// A coordinator that has seen the graph calls the clients of two runs lost: 114 of 1,000, far fewer than may vanish.
/// Every survivor keeps more neighbours than the threshold, yet the sum falls into two. The guard notices.
#[test]
fn chosen_losses_are_noticed() {
    let assumptions = Assumptions::DEFAULT;
    let plan = plan(1_000, &assumptions).unwrap();
    let graph = Graph::new(&[5; 32], &plan);
    let Shape::Ring { order, side, .. } = &graph.0 else {
        panic!("not a ring");
    };
    let mut survived = vec![true; 1_000];
    for place in (0..*side).chain(500..500 + side) {
        survived[order[place] as usize] = false;
    }
    assert_eq!(parts(&graph, &survived), 2);
    let near = |client: &u32| {
        let neighbours = graph.neighbours(*client);
        neighbours
            .iter()
            .filter(|other| survived[**other as usize])
            .count()
    };
    let fewest = (0..1_000)
        .filter(|client| survived[*client as usize])
        .map(|client| near(&client));
    assert!(fewest.min().unwrap() >= plan.threshold);
    assert_eq!(
        graph.weakest_cut(|client| survived[client as usize]),
        Some(0)
    );

    // The same number of losses, and even three times as many, that nobody chose.
    let guard = plan.guard(&assumptions);
    for lost in [114, 300] {
        let seed = [u8::try_from(lost % 251).unwrap(); 32];
        let vanished = permutation(&seed, 1_000);
        let mut survived = vec![true; 1_000];
        vanished
            .iter()
            .take(lost)
            .for_each(|client| survived[*client as usize] = false);
        assert!(graph.weakest_cut(|client| survived[client as usize]) >= Some(guard));
    }
}

/// Words and choices as they are described, without batches and shortcuts.
#[test]
fn the_permutation_is_the_one_described() {
    let key = derive::<16>(&[], &[6; 32], &[b"chorus/v1/graph"]);
    let cipher = Aes128::new((&*key).into());
    let mut stream = (0_u128..).flat_map(|number| {
        let mut block: Block<Aes128> = number.to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        let words: Vec<u32> = block
            .chunks(4)
            .map(|lane| u32::from_le_bytes(lane.try_into().unwrap()))
            .collect();
        words
    });
    let mut expected: Vec<u32> = (0..700).collect();
    for last in (1..700_u32).rev() {
        let bound = u64::from(last) + 1;
        let product = loop {
            let product = u64::from(stream.next().unwrap()) * bound;
            if product % (1 << 32) >= (1 << 32) % bound {
                break product;
            }
        };
        expected.swap(last as usize, (product >> 32) as usize);
    }
    assert_eq!(permutation(&[6; 32], 700), expected);
}

/// Bounds so large that many words are turned away, against the rule as it is described.
#[test]
fn words_that_would_favour_some_numbers_are_turned_away() {
    for bound in [3 << 30, (1 << 31) + 1, u32::MAX, 1 << 31, 6, 1] {
        let (mut words, mut described) = (Words::new(&[2; 32]), Words::new(&[2; 32]));
        let mut turned_away = 0;
        for _ in 0..1_000 {
            let expected = loop {
                let product = u64::from(described.next()) * u64::from(bound);
                if product % (1 << 32) >= (1 << 32) % u64::from(bound) {
                    break product >> 32;
                }
                turned_away += 1;
            };
            assert_eq!(u64::from(words.below(bound)), expected);
        }
        assert_eq!(
            turned_away > 100,
            bound == 3 << 30 || bound == (1 << 31) + 1,
            "{bound}"
        );
    }
}
