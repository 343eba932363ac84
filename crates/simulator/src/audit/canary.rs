//! What canaries send, and who plays what part beside them.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::draw::{Stream, stream};

/// A uniformly random direction of norm 1: normal coordinates (Box and Muller 1958), normalised.
pub(crate) fn direction(length: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut values = Vec::with_capacity(length + 1);
    while values.len() < length {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        values.extend([radius * sine, radius * cosine]);
    }
    values.truncate(length);
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let values = values.into_iter();
    values.map(|value| (value / norm) as f32).collect()
}

/// Who is in the sums of an audit: people with their histories, and canaries that are nobody.
pub(crate) struct Cast {
    /// Which canaries are included, by a fair coin. The others are participants that send zeros.
    pub included: Vec<bool>,
    seed: u64,
    people: usize,
}

/// What one participant does in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Sends what the history gives, and adds noise.
    Honest(usize),
    /// Sends the same, but the adversary knows its noise: it might as well leave it out.
    Colluding(usize),
    /// A canary, by its number: adds noise like anyone.
    Canary(usize),
}

impl Cast {
    pub fn new(people: usize, canaries: usize, seed: u64) -> Self {
        let mut rng = stream(seed, 0, Stream::Audit);
        Self {
            included: (0..canaries).map(|_| rng.random_bool(0.5)).collect(),
            seed,
            people,
        }
    }

    /// The worst round that its plan allows: as many people vanish as may vanish, and of those that stay as many
    /// collude as may collude. Canaries stay and are honest.
    ///
    /// `minimum`, `honest`: participants in the sum, and those of them that add noise.
    pub fn worst(&self, round: u64, minimum: usize, honest: usize) -> Vec<Part> {
        let canaries = self.included.len();
        let mut people: Vec<usize> = (0..self.people).collect();
        people.shuffle(&mut stream(self.seed, round, Stream::Audit));
        let honest = honest.saturating_sub(canaries);
        let stay = minimum.saturating_sub(canaries);
        let people = people.into_iter().take(stay).enumerate();
        let people = people.map(|(place, person)| match place < honest {
            true => Part::Honest(person),
            false => Part::Colluding(person),
        });
        people.chain((0..canaries).map(Part::Canary)).collect()
    }

    /// The direction of one canary in one sum.
    pub fn direction(&self, round: u64, canary: usize, length: usize) -> Vec<f32> {
        direction(
            length,
            &mut stream(self.seed, round, Stream::Canary(canary)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_have_norm_one_and_little_in_common() {
        let cast = Cast::new(10, 4, 1);
        let first = cast.direction(1, 0, 1001);
        for (round, canary) in [(1, 1), (2, 0), (2, 1)] {
            let other = cast.direction(round, canary, 1001);
            let dot: f32 = first.iter().zip(&other).map(|(a, b)| a * b).sum();
            assert!(dot.abs() < 0.15, "{dot}");
        }
        let norm: f32 = first.iter().map(|value| value * value).sum();
        assert!((norm - 1.0).abs() < 1e-5);
        assert_eq!(first, cast.direction(1, 0, 1001));
    }

    #[test]
    fn the_worst_round_has_exactly_as_many_as_the_plan_allows() {
        let cast = Cast::new(90, 10, 3);
        let parts = cast.worst(1, 80, 70);
        let count = |want: fn(&Part) -> bool| parts.iter().filter(|part| want(part)).count();
        assert_eq!(parts.len(), 80);
        assert_eq!(count(|part| matches!(part, Part::Canary(_))), 10);
        assert_eq!(count(|part| matches!(part, Part::Honest(_))), 60);
        assert_eq!(count(|part| matches!(part, Part::Colluding(_))), 10);
        assert_ne!(parts, cast.worst(2, 80, 70));
    }
}
