//! Everything that chance decides in a simulation, from one seed.

use chorus_protocol::{Phase, Task, Turns};
use rand::RngExt;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// What a stream of randomness is for: no two uses share one.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// One client in one round.
    Client(usize),
    /// Who is invited.
    Cohort,
    /// Who vanishes, and when.
    Vanishing,
    /// Whom quality is measured on between rounds.
    Sample,
    /// A client's long-term key, or the coordinator's.
    Identity(usize),
    /// The coordinator's long-term key.
    Coordinator,
    /// The direction that one canary of an audit sends.
    Canary(usize),
    /// Which canaries are included, and who plays what part in an audit.
    Audit,
    /// One person that an attack is aimed at.
    Target(usize),
    /// One run of a control.
    Control(usize),
    /// The noise of a sum, where it is drawn in one piece.
    Noise,
    /// The people of a group, drawn anew.
    Bootstrap,
}

/// The randomness of one use in one round: a function of its arguments, whatever the number of threads.
pub(crate) fn stream(seed: u64, round: u64, stream: Stream) -> ChaCha20Rng {
    let (kind, number) = match stream {
        Stream::Client(client) => (0u64, client),
        Stream::Cohort => (1, 0),
        Stream::Vanishing => (2, 0),
        Stream::Sample => (3, 0),
        Stream::Identity(client) => (4, client),
        Stream::Coordinator => (5, 0),
        Stream::Canary(canary) => (6, canary),
        Stream::Audit => (7, 0),
        Stream::Target(target) => (8, target),
        Stream::Control(run) => (9, run),
        Stream::Noise => (10, 0),
        Stream::Bootstrap => (11, 0),
    };
    let mut bytes = [0; 32];
    let parts = [seed, round, kind, number as u64];
    for (place, part) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(parts) {
        *place = part.to_le_bytes();
    }
    ChaCha20Rng::from_seed(bytes)
}

/// The cohorts of one sum, each ascending: everyone in one cohort, a draw of those whose turn it is, or disjoint cohorts of
/// everyone.
pub(crate) fn cohorts(
    task: &Task,
    seed: u64,
    sum_index: usize,
    turns: &mut Turns<usize>,
) -> Vec<Vec<usize>> {
    let mut rng = stream(seed, sum_index as u64, Stream::Cohort);
    let population = task.population;
    if task.split > 1 {
        let mut everyone: Vec<usize> = (0..population).collect();
        everyone.shuffle(&mut rng);
        // Not chunks of one size: the clients that are left over join the first cohorts.
        let mut cohorts = vec![Vec::with_capacity(population / task.split + 1); task.split];
        for (place, client) in everyone.into_iter().enumerate() {
            if let Some(cohort) = cohorts.get_mut(place % task.split) {
                cohort.push(client);
            }
        }
        cohorts.iter_mut().for_each(|cohort| cohort.sort_unstable());
        return cohorts;
    }
    let size = task.cohort_size().min(population);
    if size == population {
        return vec![(0..population).collect()];
    }
    let draw = turns.draw(0..population, size, size);
    let drawn = index::sample(&mut rng, draw.others.len(), draw.amount);
    let drawn = drawn.into_iter().filter_map(|place| draw.others.get(place));
    let mut cohort: Vec<usize> = draw.first.iter().chain(drawn).copied().collect();
    cohort.sort_unstable();
    vec![cohort]
}

/// Which of `invited` clients vanish in a round, and before which phase's message.
///
/// Exactly the share, rounded down, so that a share that the plan bears never ends the round. All go before
/// their update arrives: whoever goes later is in the sum and is no dropout.
pub(crate) fn vanishing(invited: usize, share: f64, seed: u64, round: u64) -> Vec<Option<Phase>> {
    const PHASES: [Phase; 4] = [
        Phase::Advertising,
        Phase::Sharing,
        Phase::Confirming,
        Phase::Uploading,
    ];
    let mut rng = stream(seed, round, Stream::Vanishing);
    // The small addend keeps 0.3 * 10 from becoming 2.9999999999999996 and then 2.
    let count = ((share * invited as f64 + 1e-9).floor() as usize).min(invited);
    let mut phases = vec![None; invited];
    for client in index::sample(&mut rng, invited, count) {
        let phase = PHASES.get(rng.random_range(0..PHASES.len())).copied();
        if let Some(place) = phases.get_mut(client) {
            *place = phase;
        }
    }
    phases
}

/// At most `most` of the `candidates`, ascending and always the same for a seed.
pub(crate) fn sample(mut candidates: Vec<usize>, most: usize, seed: u64) -> Vec<usize> {
    if candidates.len() > most {
        let mut rng = stream(seed, 0, Stream::Sample);
        let (chosen, _) = candidates.partial_shuffle(&mut rng, most);
        let mut chosen = chosen.to_vec();
        chosen.sort_unstable();
        return chosen;
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use chorus_model::{IalsPrivateRecipe, IalsRecipe, Recipe};
    use chorus_protocol::Privacy;

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
    fn exactly_the_share_vanishes_spread_over_the_phases() {
        for (invited, share, count) in [(943, 0.1, 94), (10, 0.3, 3), (94, 0.1, 9), (20, 0.0, 0)] {
            let phases = vanishing(invited, share, 7, 3);
            assert_eq!(phases.iter().flatten().count(), count);
        }
        let phases = vanishing(4000, 0.1, 7, 3);
        for phase in [
            Phase::Advertising,
            Phase::Sharing,
            Phase::Confirming,
            Phase::Uploading,
        ] {
            let count = phases
                .iter()
                .flatten()
                .filter(|other| **other == phase)
                .count();
            assert!((60..140).contains(&count), "{phase:?}: {count}");
        }
        assert_ne!(phases, vanishing(4000, 0.1, 7, 4));
        assert_eq!(phases, vanishing(4000, 0.1, 7, 3));
    }

    #[test]
    fn a_sample_is_small_and_always_the_same() {
        assert_eq!(sample(vec![3, 5], 2, 1), [3, 5]);
        let chosen = sample((0..5000).collect(), 1000, 1);
        assert_eq!(chosen.len(), 1000);
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert_eq!(chosen, sample((0..5000).collect(), 1000, 1));
    }
}
