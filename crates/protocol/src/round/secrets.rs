//! A secret out of its shares, though some who hold shares give back wrong ones.

use std::collections::BTreeSet;

use chorus_secagg::{Share, combine};
use zeroize::Zeroizing;

/// The place of a share's holder among the owner's neighbours, and the share's value.
pub(super) type Given = (u8, Zeroizing<[u8; 32]>);

/// A secret that was put together from its shares.
pub(super) type Opened = Zeroizing<[u8; 32]>;

/// The shares of one secret that were given back.
pub(super) struct Secrets<'a> {
    shares: &'a [Given],
    threshold: usize,
}

/// Sets of shares that are tried; one takes microseconds. Where one share in ten is wrong and twice a threshold of 40 came,
/// about one in 500 is clean.
const TRIES: u64 = 4_096;

/// With so many sets that lead to it, a secret is believed at once.
const BELIEVED: usize = 16;

impl<'a> Secrets<'a> {
    pub fn new(shares: &'a [Given], threshold: usize) -> Self {
        Self { shares, threshold }
    }

    /// Out of the first shares that came.
    pub fn first(&self) -> Option<Opened> {
        self.open(0..self.threshold)
    }

    /// The first that `is_right`.
    pub fn find(&self, is_right: impl Fn(&[u8; 32]) -> bool) -> Option<Opened> {
        self.sets()
            .filter_map(|set| self.open(set))
            .find(|secret| is_right(secret))
    }

    /// The one that most sets of shares lead to. All sets without a wrong share lead to the right one; the others are
    /// spread over 255 values at least for each wrong share. Where no more shares came than are needed, the only one.
    pub fn agreed(&self) -> Option<Opened> {
        if self.shares.len() <= self.threshold {
            return self.first();
        }
        let mut tried = BTreeSet::new();
        let mut votes: Vec<(Opened, usize)> = Vec::new();
        for set in self.sets().filter(|set| tried.insert(set.clone())) {
            if let Some(secret) = self.open(set) {
                let count = match votes.iter_mut().find(|(other, _)| *other == secret) {
                    Some((_, count)) => {
                        *count += 1;
                        *count
                    }
                    None => {
                        votes.push((secret, 1));
                        1
                    }
                };
                if count >= BELIEVED && leads(&votes, 4) {
                    break;
                }
            }
        }
        if !leads(&votes, 2) {
            return None;
        }
        let winner = votes.into_iter().max_by_key(|(_, count)| *count)?;
        Some(winner.0)
    }

    /// Sets of shares: runs of neighbours first, then any.
    fn sets(&self) -> impl Iterator<Item = BTreeSet<usize>> + '_ {
        let (count, threshold) = (self.shares.len(), self.threshold);
        let runs = (0..(count + 1).saturating_sub(threshold))
            .map(move |start| (start..start + threshold).collect());
        let any = (0..TRIES).map(move |number| some(count, threshold, number));
        runs.chain(any)
    }

    fn open(&self, set: impl IntoIterator<Item = usize>) -> Option<Opened> {
        let shares: Option<Vec<Share>> = set
            .into_iter()
            .map(|place| {
                let (x, y) = self.shares.get(place)?;
                Some(Share { x: *x, y: **y })
            })
            .collect();
        combine(self.threshold, &shares?).ok()
    }
}

/// True when one secret has at least three votes, and more than `times` as many as any other.
fn leads(votes: &[(Opened, usize)], times: usize) -> bool {
    let mut counts: Vec<usize> = votes.iter().map(|(_, count)| *count).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    match counts[..] {
        [] => false,
        [only] => only >= 3,
        [first, second, ..] => first >= 3 && first > times * second,
    }
}

/// `threshold` of `count` places, others for each `number`: nothing secret depends on which.
fn some(count: usize, threshold: usize, number: u64) -> BTreeSet<usize> {
    let mut state = number;
    let mut next = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut chosen = BTreeSet::new();
    while chosen.len() < threshold.min(count) {
        chosen.insert((next() % count.max(1) as u64) as usize);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use chorus_secagg::split;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Shares of a known secret, of which the ones at `wrong` places are not what was given out.
    fn shares(threshold: usize, count: usize, wrong: &[usize]) -> Vec<Given> {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let shares = split(&[42; 32], threshold, count, &mut rng).unwrap();
        let mut given: Vec<Given> = shares
            .iter()
            .map(|share| (share.x, Zeroizing::new(share.y)))
            .collect();
        for place in wrong {
            given[*place].1[3] ^= 1 + *place as u8;
        }
        given
    }

    #[test]
    fn wrong_shares_are_outvoted() {
        for (threshold, count, wrong) in [
            (8, 9, &[][..]),
            (8, 11, &[0]),
            (8, 14, &[3, 7]),
            (41, 80, &[40]),
            (41, 80, &[5, 20, 39, 40, 60, 79]),
        ] {
            let shares = shares(threshold, count, wrong);
            let secrets = Secrets::new(&shares, threshold);
            assert_eq!(secrets.agreed().map(|secret| *secret), Some([42; 32]));
            let found = secrets.find(|secret| *secret == [42; 32]);
            assert!(found.is_some(), "{threshold} of {count}, wrong {wrong:?}");
        }
    }

    #[test]
    fn without_a_spare_share_there_is_nothing_to_compare() {
        let (sound, spoiled) = (shares(8, 8, &[]), shares(8, 8, &[2]));
        let opened = |shares: &[Given]| Secrets::new(shares, 8).agreed().map(|secret| *secret);
        assert_eq!(opened(&sound), Some([42; 32]));
        assert!(opened(&spoiled).is_some_and(|secret| secret != [42; 32]));
        assert_eq!(opened(&sound[..7]), None);
        assert_eq!(opened(&[]), None);
    }
}
