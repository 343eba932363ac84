//! Everything that chance decides in a simulation, from one seed.

use chorus_protocol::Phase;
use rand::RngExt;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::Options;

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
    /// Who of the population attacks.
    Malice,
    /// What one attacker sends in a round.
    Attacker(usize),
    /// Who begins next where updates come one by one, and how long it takes.
    Flight,
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
        Stream::Malice => (12, 0),
        Stream::Attacker(client) => (13, client),
        Stream::Flight => (14, 0),
    };
    let mut bytes = [0; 32];
    let parts = [seed, round, kind, number as u64];
    for (place, part) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(parts) {
        *place = part.to_le_bytes();
    }
    ChaCha20Rng::from_seed(bytes)
}

/// How a client leaves a round that it was invited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It vanishes before the message of this phase.
    Before(Phase),
    /// Its update comes after the phase is over.
    Late,
}

/// Before which phase's message clients vanish.
const PHASES: [Phase; 5] = [
    Phase::Advertising,
    Phase::Sharing,
    Phase::Confirming,
    Phase::Uploading,
    // Whoever goes here is in the sum.
    Phase::Endorsing,
];

/// Which of `invited` clients leave a round, and how.
///
/// Exactly the shares, rounded down, so that a share that the plan bears never ends the round.
pub(crate) fn leaving(invited: usize, options: &Options, round: u64) -> Vec<Option<Leaving>> {
    let mut rng = stream(options.seed, round, Stream::Vanishing);
    // The small addend keeps 0.3 * 10 from becoming 2.9999999999999996 and then 2.
    let count = |share: f64| (share * invited as f64 + 1e-9).floor() as usize;
    let vanishing = count(options.dropout).min(invited);
    let late = count(options.stragglers).min(invited - vanishing);
    let parts = options.dropout_phases;
    let all: u32 = parts.iter().map(|part| u32::from(*part)).sum();
    let mut chosen = vec![None; invited];
    for (place, client) in index::sample(&mut rng, invited, vanishing + late)
        .into_iter()
        .enumerate()
    {
        let how = match place < vanishing {
            true => Leaving::Before(phase(&parts, rng.random_range(0..all.max(1)))),
            false => Leaving::Late,
        };
        if let Some(client) = chosen.get_mut(client) {
            *client = Some(how);
        }
    }
    chosen
}

/// The phase in whose part of all parts a number lies.
fn phase(parts: &[u8; PHASES.len()], number: u32) -> Phase {
    let mut end = 0;
    for (phase, part) in PHASES.iter().zip(parts) {
        end += u32::from(*part);
        if number < end {
            return *phase;
        }
    }
    Phase::Uploading
}

/// At most `most` of the `candidates`, ascending and always the same for a seed and what they are for.
pub(crate) fn sample(
    mut candidates: Vec<usize>,
    most: usize,
    seed: u64,
    purpose: Stream,
) -> Vec<usize> {
    if candidates.len() > most {
        let mut rng = stream(seed, 0, purpose);
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

    fn options(dropout: f64) -> Options {
        Options {
            seed: 7,
            dropout,
            ..Options::default()
        }
    }

    #[test]
    fn exactly_the_share_vanishes_spread_over_the_phases() {
        for (invited, share, count) in [(943, 0.1, 94), (10, 0.3, 3), (94, 0.1, 9), (20, 0.0, 0)] {
            let gone = leaving(invited, &options(share), 3);
            assert_eq!(gone.iter().flatten().count(), count);
        }
        let gone = leaving(4000, &options(0.1), 3);
        let count = |gone: &[Option<Leaving>], how| {
            gone.iter().filter(|found| **found == Some(how)).count()
        };
        for phase in &PHASES[..4] {
            let count = count(&gone, Leaving::Before(*phase));
            assert!((60..140).contains(&count), "{phase:?}: {count}");
        }
        assert_eq!(count(&gone, Leaving::Before(Phase::Endorsing)), 0);
        assert_ne!(gone, leaving(4000, &options(0.1), 4));
        assert_eq!(gone, leaving(4000, &options(0.1), 3));
        let parts = Options {
            dropout_phases: [0, 0, 1, 0, 3],
            stragglers: 0.05,
            ..options(0.1)
        };
        let gone = leaving(4000, &parts, 3);
        assert_eq!(count(&gone, Leaving::Late), 200);
        let confirming = count(&gone, Leaving::Before(Phase::Confirming));
        assert!((70..130).contains(&confirming), "{confirming}");
        assert_eq!(
            count(&gone, Leaving::Before(Phase::Endorsing)),
            400 - confirming
        );
    }

    #[test]
    fn a_sample_is_small_and_always_the_same() {
        assert_eq!(sample(vec![3, 5], 2, 1, Stream::Sample), [3, 5]);
        let chosen = sample((0..5000).collect(), 1000, 1, Stream::Sample);
        assert_eq!(chosen.len(), 1000);
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert_eq!(chosen, sample((0..5000).collect(), 1000, 1, Stream::Sample));
    }
}
