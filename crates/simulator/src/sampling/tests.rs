#![allow(clippy::unwrap_used)]

use chorus_model::{IalsPrivateRecipe, IalsRecipe, Recipe};
use chorus_protocol::Privacy;

use super::*;

fn sampler(task: &Task, sampling: Sampling, seed: u64) -> Sampler<'_> {
    Sampler {
        task,
        sampling,
        availability: None,
        seed,
    }
}

fn cohorts(task: &Task, seed: u64, slot: u64, turns: &mut Turns<usize>) -> Vec<Vec<usize>> {
    let found = sampler(task, Sampling::Turns, seed).cohorts(slot, turns);
    found.unwrap().0
}

fn task(population: usize, cohort: f64, split: usize) -> Task {
    let (privacy, recipe) = if split > 1 {
        let privacy = Privacy::Distributed {
            epsilon: 8.0,
            delta: 1e-5,
        };
        (
            privacy,
            Recipe::IalsPrivate(IalsPrivateRecipe::new(30, 2, 1)),
        )
    } else {
        (Privacy::Off, Recipe::Ials(IalsRecipe::new(30, 2, 3)))
    };
    let name = "films".to_owned().try_into().unwrap();
    Task {
        name,
        population,
        cohort,
        split,
        dropout: 0.2,
        corrupt: 0.1,
        bits: 32,
        consistency: chorus_protocol::Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe,
    }
}

#[test]
fn a_pass_hears_everyone_once_and_who_drops_out_waits_no_longer() {
    let everyone: Vec<usize> = (0..50).collect();
    let mut turns = Turns::default();
    assert_eq!(
        cohorts(&task(50, 1.0, 1), 1, 0, &mut turns),
        std::slice::from_ref(&everyone)
    );
    let mut firsts = vec![0; 50];
    for pass in 0..200 {
        let mut seen = Vec::new();
        for round in 0..5 {
            let drawn = cohorts(&task(50, 0.2, 1), 1, pass * 5 + round, &mut turns);
            assert_eq!((drawn.len(), drawn[0].len()), (1, 10));
            assert!(drawn[0].is_sorted_by(|a, b| a < b));
            turns.heard(drawn[0].iter().copied());
            if round == 0 {
                drawn[0].iter().for_each(|client| firsts[*client] += 1);
            }
            seen.extend_from_slice(&drawn[0]);
        }
        seen.sort_unstable();
        assert_eq!(seen, everyone, "pass {pass}");
    }
    // 40 expected, standard deviation 5.7.
    assert!(
        firsts.iter().all(|times| (12..68).contains(times)),
        "{firsts:?}"
    );
    // The first of each cohort drops out: the five that were not heard then lead the sixth cohort.
    let mut left = everyone;
    for round in 0..5 {
        let drawn = cohorts(&task(50, 0.2, 1), 2, round, &mut turns).concat();
        assert!(drawn.iter().all(|client| left.contains(client)));
        turns.heard(drawn[1..].iter().copied());
        left.retain(|client| !drawn[1..].contains(client));
    }
    let sixth = cohorts(&task(50, 0.2, 1), 2, 5, &mut turns).concat();
    assert_eq!((left.len(), sixth.len()), (5, 10));
    assert!(left.iter().all(|client| sixth.contains(client)));
}

#[test]
fn splits_hold_everyone_once() {
    let split = cohorts(&task(103, 1.0, 4), 1, 0, &mut Turns::default());
    assert_eq!(
        split.iter().map(Vec::len).collect::<Vec<_>>(),
        [26, 26, 26, 25]
    );
    let mut all: Vec<usize> = split.concat();
    all.sort_unstable();
    assert_eq!(all, (0..103).collect::<Vec<_>>());
}

#[test]
fn uniform_and_poisson_cohorts_are_of_everyone_alike() {
    let task = task(1_000, 0.2, 1);
    let mut turns = Turns::default();
    for (sampling, deviation) in [(Sampling::Uniform, 0.0), (Sampling::Poisson, 12.6)] {
        let sampler = sampler(&task, sampling, 3);
        let (mut times, mut sizes) = (vec![0.0; 1_000], Vec::new());
        for slot in 0..1_000 {
            let cohort = sampler.cohorts(slot, &mut turns).unwrap().0.concat();
            assert!(cohort.is_sorted_by(|a, b| a < b));
            cohort.iter().for_each(|client| times[*client] += 1.0);
            sizes.push(cohort.len() as f64);
        }
        // 200 times each, standard deviation 12.6.
        assert!(times.iter().all(|times| (140.0..260.0).contains(times)));
        let mean = sizes.iter().sum::<f64>() / 1_000.0;
        let squares = sizes.iter().map(|size| (size - mean).powi(2));
        let found = (squares.sum::<f64>() / 1_000.0).sqrt();
        assert!((mean - 200.0).abs() < 2.0, "{mean}");
        assert!((found - deviation).abs() < 1.2, "{found}");
    }
}

/// Of 100 clients the even ones are there in slots 0 and 1, number 1 in slot 2, and the first fifty in slot 3.
#[test]
fn a_round_waits_until_enough_are_there() {
    let mut trace = String::from("client,from,until\n1,2,3\n");
    (0..100)
        .step_by(2)
        .for_each(|client| trace += &format!("{client}, 0,2\n"));
    (0..50).for_each(|client| trace += &format!("{client},3,4\n"));
    let trace = Availability::parse(&trace).unwrap();
    assert_eq!((trace.clients(), trace.slots()), (99, 4));
    let task = task(100, 0.2, 1);
    for sampling in [Sampling::Turns, Sampling::Uniform] {
        let mut turns = Turns::default();
        let sampler = Sampler {
            availability: Some(&trace),
            ..sampler(&task, sampling, 1)
        };
        let mut drawn = |slot| sampler.cohorts(slot, &mut turns).unwrap();
        let (first, waited) = drawn(4);
        assert_eq!((first[0].len(), waited), (20, 0));
        assert!(first[0].iter().all(|client| client % 2 == 0));
        let (third, waited) = drawn(2);
        assert_eq!((third[0].len(), waited), (20, 1));
        assert!(third[0].iter().all(|client| *client < 50));
    }
    let mut turns = Turns::default();
    let rare = Availability::parse("client,from,until\n1,0,1\n2,0,2\n").unwrap();
    let sampler = Sampler {
        availability: Some(&rare),
        ..sampler(&task, Sampling::Turns, 1)
    };
    let error = sampler.cohorts(0, &mut turns).unwrap_err().to_string();
    assert!(error.contains("at most 2"), "{error}");
}

#[test]
fn a_bad_trace_is_refused_with_its_line() {
    for (trace, named) in [
        ("", "line 1"),
        ("client,start,end\n1,2,3", "line 1"),
        ("client,from,until\n", "nobody"),
        ("client,from,until\n1,2,3\n1,3", "line 3"),
        ("client,from,until\n1,2,-3", "line 2"),
        ("client,from,until\n1,3,3", "line 2"),
    ] {
        let error = Availability::parse(trace).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
