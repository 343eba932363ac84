use rand_core::CryptoRng;

use super::natural::Natural;
use crate::PrivacyError;
use crate::words::Words;

/// Fixed point of the heights that a table is made from: 1 is 2^64.
pub(super) const ONE: u128 = 1 << 64;
/// Bars lower than 2^-35 of the highest belong to the tail.
pub(super) const LOWEST: u128 = 1 << 29;
/// Slots that a word chooses between.
const SLOTS: u64 = 1 << 32;
/// Halvings after which a draw in the tail starts over. That it comes so far has a probability below 2^-4096.
const DEEPEST: u32 = 1 << 12;

/// A real number between `top / high` and `top / low`.
pub(super) struct Height {
    pub(super) top: Natural,
    pub(super) low: Natural,
    pub(super) high: Natural,
}

/// The exact heights of the bars 0, 1, 2 … of a histogram that falls: the first is 1, and from the tail on each is at most
/// half of the fourth before.
pub(super) trait Profile {
    /// Bounds of the height of `bar`, to about 2^-`bits` of it.
    fn height(&self, bar: u64, bits: usize) -> Height;
}

/// A table to draw from the bars of a [`Profile`], each with a probability of exactly `scale` / 2^32 x its height.
///
/// Rejection from a histogram (Devroye 1986, *Non-uniform random variate generation*, II.3) whose bars are as high as the real
/// numbers say: a word chooses one of 2^32 slots. Nearly all slots lie wholly under one bar, or under none. One that a bar
/// covers in part is decided by comparing further uniform bits with the height, bounded as finely as that takes
/// (Karney 2016, arXiv 1303.6257; Devroye, Gravel 2015, arXiv 1502.02539). So the table is finite, and the law exact.
pub(super) struct Bars {
    scale: u32,
    bars: Vec<Bar>,
    tail: u32,
    /// For each highest byte of a word, the first bar that can reach it.
    guide: Vec<u16>,
}

struct Bar {
    first: u32,
    /// Slots from `first` that lie wholly under the bar.
    sure: u32,
    last: u32,
}

/// What a word falls on.
enum Slot {
    Under(u64),
    Edge { bar: u64, below: u32 },
    Tail,
    Nothing,
}

/// The largest scale with which the bars of all given tables fit into the slots. `tops`: bounds of the heights, below `ONE`.
pub(super) fn scale_for(tables: &[&[(u128, u128)]]) -> u32 {
    let scale = |tops: &&[(u128, u128)]| {
        let sum: u128 = tops.iter().map(|(_, high)| high).sum();
        let slots = SLOTS - tops.len() as u64 - 2;
        (u128::from(slots) << 64) / sum.max(ONE)
    };
    // Below 2^32, because the sum of the heights is at least 1.
    tables.iter().map(scale).min().unwrap_or_default() as u32
}

impl Bars {
    /// `tops`: bounds of the heights down to [`LOWEST`], in units of 1 / [`ONE`]. `scale`: of [`scale_for`].
    pub(super) fn new(tops: &[(u128, u128)], scale: u32) -> Self {
        let mut first = 0u32;
        let mut bars = Vec::with_capacity(tops.len());
        for (low, high) in tops {
            // Below 2^32 by the choice of the scale.
            let sure = ((u128::from(scale) * low) >> 64) as u32;
            let covered = ((u128::from(scale) * high) >> 64) as u32;
            let last = first.saturating_add(covered);
            bars.push(Bar { first, sure, last });
            first = last.saturating_add(1);
        }
        let guide = (0..=255u32)
            .map(|byte| bars.iter().filter(|bar| bar.last < byte << 24).count() as u16)
            .collect();
        Self {
            scale,
            bars,
            tail: first,
            guide,
        }
    }

    /// How many bars are not in the tail.
    pub(super) fn count(&self) -> u64 {
        self.bars.len() as u64
    }

    /// The probability of a bar of height 1, in units of 2^-32.
    #[cfg(test)]
    pub(super) fn scale(&self) -> u32 {
        self.scale
    }

    #[inline]
    fn slot(&self, word: u32) -> Slot {
        let byte = (word >> 24) as usize;
        let from = usize::from(self.guide.get(byte).copied().unwrap_or_default());
        for (bar, at) in self.bars.iter().enumerate().skip(from) {
            if word <= at.last {
                let (bar, below) = (bar as u64, word - at.first);
                return if below < at.sure {
                    Slot::Under(bar)
                } else {
                    Slot::Edge { bar, below }
                };
            }
        }
        if word == self.tail {
            Slot::Tail
        } else {
            Slot::Nothing
        }
    }

    /// A bar, or nothing with the probability that is left.
    #[inline]
    pub(super) fn draw<R: CryptoRng + ?Sized, const N: usize>(
        &self,
        profile: &impl Profile,
        words: &mut Words<'_, R, N>,
    ) -> Result<Option<u64>, PrivacyError> {
        match self.slot(words.word()?) {
            Slot::Under(bar) => Ok(Some(bar)),
            Slot::Nothing => Ok(None),
            Slot::Edge { bar, below } => self.edge(profile, bar, below, words),
            Slot::Tail => self.tail(profile, words),
        }
    }

    #[cold]
    fn edge<R: CryptoRng + ?Sized, const N: usize>(
        &self,
        profile: &impl Profile,
        bar: u64,
        below: u32,
        words: &mut Words<'_, R, N>,
    ) -> Result<Option<u64>, PrivacyError> {
        let scale = Natural::new(u64::from(self.scale));
        Ok(under(profile, bar, &scale, below, words)?.then_some(bar))
    }

    /// All bars of the tail share one slot: halved, and halved again, with four bars in each part.
    #[cold]
    fn tail<R: CryptoRng + ?Sized, const N: usize>(
        &self,
        profile: &impl Profile,
        words: &mut Words<'_, R, N>,
    ) -> Result<Option<u64>, PrivacyError> {
        let mut halvings = 0;
        while halvings < DEEPEST {
            let zeros = words.word()?.leading_zeros();
            halvings += zeros;
            if zeros < u32::BITS {
                let bar = self.count() + 4 * u64::from(halvings) + u64::from(words.word()? >> 30);
                let scale = Natural::new(u64::from(self.scale)).shifted(halvings as usize + 3);
                return Ok(under(profile, bar, &scale, 0, words)?.then_some(bar));
            }
        }
        Ok(None)
    }
}

/// Whether `below` + U < `scale` x height, for U uniform in [0, 1): read 32 bits at a time until the bounds of the height decide.
fn under<R: CryptoRng + ?Sized, const N: usize>(
    profile: &impl Profile,
    bar: u64,
    scale: &Natural,
    below: u32,
    words: &mut Words<'_, R, N>,
) -> Result<bool, PrivacyError> {
    let mut left = Natural::new(u64::from(below));
    let mut bits = 0;
    loop {
        bits += 32;
        let word = Natural::new(u64::from(words.word()?));
        left = left.shifted(32).plus(&word);
        let height = profile.height(bar, bits + 64);
        let right = height.top.by(scale).shifted(bits);
        let next = left.clone().plus(&Natural::new(1));
        if !right.is_zero() && next.by(&height.high) <= right {
            return Ok(true);
        }
        if left.by(&height.low) >= right {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Given;
    use super::*;
    use crate::words::SINGLE;

    /// Bar j is 3^-j high.
    struct Thirds;

    fn power(bar: u64) -> u128 {
        3u128.pow(bar as u32)
    }

    impl Profile for Thirds {
        fn height(&self, bar: u64, bits: usize) -> Height {
            // Bounds only as good as asked for: 2^bits x 3^bar, and a little more.
            let exact = (0..bar).fold(Natural::new(1).shifted(bits), |power, _| power.times(3));
            Height {
                top: Natural::new(1).shifted(bits),
                high: exact.clone().plus(&Natural::new(1)),
                low: exact,
            }
        }
    }

    fn table() -> Bars {
        let tops: Vec<(u128, u128)> = (0..)
            .map(|bar| (ONE / power(bar), ONE / power(bar) + 1))
            .take_while(|(_, high)| *high >= LOWEST)
            .collect();
        Bars::new(&tops, scale_for(&[&tops]))
    }

    fn drawn(bars: &Bars, words: &[u32]) -> Option<u64> {
        let mut given = Given(words.to_vec(), 0);
        bars.draw(&Thirds, &mut Words::<_, SINGLE>::new(&mut given))
            .unwrap()
    }

    /// The words around where c 3^-j 2^32 ends, its whole part and `count` further digits to base 2^32.
    fn digits(scale: u128, bar: u64, count: usize) -> (u32, Vec<u32>) {
        let mut rest = scale % power(bar);
        let digits = (0..count).map(|_| {
            let digit = (rest << 32) / power(bar);
            rest = (rest << 32) % power(bar);
            digit as u32
        });
        ((scale / power(bar)) as u32, digits.collect())
    }

    #[test]
    fn every_bar_is_exactly_as_high_as_it_should_be() {
        let bars = table();
        let scale = u128::from(bars.scale());
        assert!(scale > 2_863_000_000, "the table wastes slots: {scale}");
        let mut start = 0u32;
        for (bar, place) in (0u64..).zip(&bars.bars) {
            assert_eq!(place.first, start);
            let (whole, rest) = digits(scale, bar, 3);
            for below in [0, whole / 2, whole.saturating_sub(1)] {
                if below < whole {
                    assert_eq!(drawn(&bars, &[start + below, u32::MAX]), Some(bar));
                }
            }
            // The slot that is covered in part: decided at the first, second and third word.
            for depth in 0..rest.len() {
                let mut words = vec![start + whole];
                words.extend(&rest[..depth]);
                for (digit, expected) in [
                    (rest[depth].checked_sub(1), Some(bar)),
                    (rest[depth].checked_add(1), None),
                ] {
                    let Some(digit) = digit else { continue };
                    let mut words = words.clone();
                    words.push(digit);
                    assert_eq!(drawn(&bars, &words), expected, "bar {bar}, depth {depth}");
                }
            }
            start = place.last + 1;
        }
        assert_eq!(bars.tail, start);
        assert_eq!(drawn(&bars, &[start + 1]), None);
        assert_eq!(drawn(&bars, &[u32::MAX]), None);
    }

    #[test]
    fn every_bar_of_the_tail_is_exactly_as_high_as_it_should_be() {
        let bars = table();
        for (halvings, quarter) in [(0u32, 0u32), (0, 3), (1, 2), (7, 1)] {
            let bar = bars.count() + 4 * u64::from(halvings) + u64::from(quarter);
            let scale = u128::from(bars.scale()) << (halvings + 3);
            let (whole, rest) = digits(scale, bar, 3);
            assert_eq!(whole, 0, "at most the part of the slot that is this bar's");
            // The first digit that can be one less: deep in the tail the height begins with zeros.
            let at = rest.iter().position(|digit| *digit > 0).unwrap();
            let to = |digit: u32| {
                let mut words = vec![bars.tail, 1 << (31 - halvings), quarter << 30];
                words.extend(&rest[..at]);
                words.push(digit);
                drawn(&bars, &words)
            };
            assert_eq!(to(rest[at] - 1), Some(bar));
            assert_eq!(to(rest[at] + 1), None);
        }
        // A word of zeros halves 32 times. That bar is lower than 2^-160 of the slot's part, and higher than 2^-192 of it.
        let deep = |zeros: usize| {
            let mut words = vec![bars.tail, 0, 1 << 31, 0];
            words.resize(4 + zeros, 0);
            words.push(u32::MAX);
            drawn(&bars, &words)
        };
        assert_eq!(deep(6), Some(bars.count() + 4 * 32));
        assert_eq!(deep(5), None);
    }
}
