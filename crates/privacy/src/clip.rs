use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Update;
use crate::update::Places;

/// An update whose L2 norm is at most the clip norm.
///
/// Neither `Clone` nor serialisable: its one way on is [`quantise`](crate::quantise).
///
/// ```compile_fail
/// fn twice(update: chorus_privacy::ClippedUpdate) { let _copy = update.clone(); }
/// ```
///
/// # Privacy
/// Says much about a person. It stays on the client; its memory is wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ClippedUpdate {
    values: Vec<f32>,
    places: Places,
    /// Neighbouring values and what their own group was cut by; no groups, nothing is cut but the whole.
    groups: Vec<(usize, f64)>,
    norm: f64,
    factor: f64,
    clipped: bool,
}

/// Relative excess of a norm that is rounding of f32 and not a long update.
const ROUNDING: f64 = 1e-6;

/// Scales an update down to L2 norm `bound`, if it is longer (`privacy.md` 1.2 steps 1 and 2).
///
/// `update`: parameter units; from a vector, one value a coordinate. `bound`: L2 norm in parameter units. Norm and factor are f64, and the factor is
/// applied only when the values are put on the grid, so no second rounding to f32 can lift the norm again.
///
/// A NaN or an infinity anywhere (a training that failed), and a bound that is not a positive finite number, make the
/// whole update zero: the client then still sends noise, so that nobody learns that its training failed.
pub fn clip(update: impl Into<Update>, bound: f64) -> ClippedUpdate {
    let (values, places) = parts(update.into());
    let norm = norm(&values);
    if !(is_bound(bound) && norm.is_finite()) {
        return ClippedUpdate::nothing(values, places);
    }
    let factor = if norm > bound { bound / norm } else { 1.0 };
    ClippedUpdate {
        values,
        places,
        groups: Vec::new(),
        norm,
        factor,
        clipped: is_cut(norm, bound),
    }
}

/// Scales each group of neighbouring values down to its own bound, if it is longer: per-layer clipping (McMahan et al. 2018,
/// "Learning differentially private recurrent language models", section 3). The norm of the whole is then at most the
/// root of the sum of the squared bounds.
///
/// `groups`: how many coordinates, and their L2 norm at most, in parameter units; one group after the other over the whole
/// layout. Groups that cover another length, and a bound that is none, make the whole update zero, as in [`clip`].
pub fn clip_groups(update: impl Into<Update>, groups: &[(usize, f64)]) -> ClippedUpdate {
    let (values, places) = parts(update.into());
    let counts = places.counts(groups.iter().map(|(length, _)| *length));
    let bounds = groups.iter().map(|(_, bound)| *bound);
    let groups: Vec<(usize, f64)> = counts.into_iter().zip(bounds).collect();
    let covered = groups
        .iter()
        .try_fold(0usize, |sum, (length, _)| sum.checked_add(*length));
    let usable = covered == Some(values.len()) && groups.iter().all(|(_, bound)| is_bound(*bound));
    if !usable {
        return ClippedUpdate::nothing(values, places);
    }
    let (mut cut, mut squares, mut clipped) = (Vec::with_capacity(groups.len()), 0.0, false);
    let mut rest = values.as_slice();
    for (length, bound) in &groups {
        let (own, later) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
        rest = later;
        let norm = norm(own);
        let factor = if norm > *bound { bound / norm } else { 1.0 };
        squares += (norm * factor).powi(2);
        clipped |= is_cut(norm, *bound);
        cut.push((*length, factor));
    }
    if !squares.is_finite() {
        return ClippedUpdate::nothing(values, places);
    }
    ClippedUpdate {
        values,
        places,
        groups: cut,
        norm: squares.sqrt(),
        factor: 1.0,
        clipped,
    }
}

fn parts(mut update: Update) -> (Vec<f32>, Places) {
    let nowhere = Places::all(0);
    let places = std::mem::replace(&mut update.places, nowhere);
    (std::mem::take(&mut update.values), places)
}

fn is_bound(bound: f64) -> bool {
    bound.is_finite() && bound > 0.0
}

/// Neither finite nor a number where one of the values is not: the square of the largest f32 is far from the largest f64. The
/// squares are added in one order on every machine, in lanes, so that none waits for the one before it.
fn norm(values: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value) * f64::from(*value);
    }
    sums.iter().sum::<f64>().sqrt()
}

/// A vector of norm `bound` by construction is a little longer in f32: scaled all the same, but nothing of it is lost.
fn is_cut(norm: f64, bound: f64) -> bool {
    norm > bound * (1.0 + ROUNDING)
}

impl ClippedUpdate {
    /// What cannot be clipped: zeros, counted as clipped.
    fn nothing(mut values: Vec<f32>, places: Places) -> Self {
        values.fill(0.0);
        Self {
            values,
            places,
            groups: Vec::new(),
            norm: 0.0,
            factor: 1.0,
            clipped: true,
        }
    }

    /// Whether the update was too long or not finite, and so is not what the training gave.
    ///
    /// # Privacy
    /// One bit about a person: it may be shown on the client, and leaves it only inside a sum with noise.
    pub fn was_clipped(&self) -> bool {
        self.clipped
    }

    /// Coordinates of the layout.
    pub(crate) fn length(&self) -> usize {
        self.places.length()
    }

    /// How many values stand in them.
    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    /// Where the values stand; from now on nobody else knows.
    pub(crate) fn take_places(&mut self) -> Places {
        std::mem::replace(&mut self.places, Places::all(0))
    }

    /// The values before the factor of the whole, in parameter units: neighbouring ones beside the factor of their group.
    pub(crate) fn cut(&self) -> impl Iterator<Item = (&[f32], f64)> {
        let mut rest = self.values.as_slice();
        let whole = self.groups.is_empty().then_some((rest.len(), 1.0));
        let groups = self.groups.iter().copied().chain(whole);
        groups.map(move |(length, factor)| {
            let (own, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = later;
            (own, factor)
        })
    }

    /// The values before the factor of the whole, each times that of its group, in parameter units.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.cut()
            .flat_map(|(values, factor)| values.iter().map(move |value| f64::from(*value) * factor))
    }

    /// What to multiply the values by so that their norm is at most `bound` and at most the norm they were clipped to.
    pub(crate) fn factor_for(&self, bound: f64) -> f64 {
        if self.norm * self.factor > bound {
            bound / self.norm
        } else {
            self.factor
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn norm_after(update: &ClippedUpdate, bound: f64) -> f64 {
        let factor = update.factor_for(bound);
        update
            .values()
            .map(|value| (value * factor).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    #[test]
    fn short_updates_stay_and_long_ones_keep_their_direction() {
        let short = clip(vec![0.3, -0.4], 1.0);
        assert!(!short.was_clipped());
        assert_eq!(short.factor_for(1.0), 1.0);
        let long = clip(vec![3.0, -4.0], 1.0);
        assert!(long.was_clipped());
        assert!((long.factor_for(1.0) - 0.2).abs() < 1e-15);
        assert!((norm_after(&long, 0.5) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn a_failed_training_becomes_zeros() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let update = clip(vec![1.0, bad, 2.0], 1.0);
            assert!(update.was_clipped());
            assert!(update.values().eq([0.0; 3]));
        }
        for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(clip(vec![1.0], bound).values().eq([0.0]));
            assert!(clip_groups(vec![1.0], &[(1, bound)]).values().eq([0.0]));
        }
    }

    #[test]
    fn a_group_over_its_bound_is_cut_and_the_others_stay_bit_for_bit() {
        let values = vec![0.3, -0.4, 3.0, -4.0, 0.1];
        let update = clip_groups(values, &[(2, 1.0), (2, 0.5), (1, 0.2)]);
        assert!(update.was_clipped());
        let joint = f64::sqrt(1.0 + 0.25 + 0.04);
        let factor = update.factor_for(joint);
        assert_eq!(factor, 1.0);
        let found: Vec<f64> = update.values().map(|value| value * factor).collect();
        let kept = [0.3f32, -0.4].map(f64::from);
        assert_eq!(found[..2], kept);
        assert_eq!(found[4], f64::from(0.1f32));
        assert!((found[2] - 0.3).abs() < 1e-15 && (found[3] + 0.4).abs() < 1e-15);
        // One clip of the whole would have cut every value.
        assert!(clip(vec![0.3, -0.4, 3.0, -4.0, 0.1], joint).factor_for(joint) < 1.0);
    }

    #[test]
    fn groups_that_do_not_cover_the_update_make_it_zeros() {
        for groups in [
            &[(2, 1.0)][..],
            &[(2, 1.0), (2, 1.0)],
            &[],
            &[(usize::MAX, 1.0), (4, 1.0)],
        ] {
            let update = clip_groups(vec![0.1; 3], groups);
            assert!(
                update.was_clipped() && update.values().eq([0.0; 3]),
                "{groups:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_group_is_longer_than_its_bound(
            values in proptest::collection::vec(any::<f32>(), 6),
            bounds in proptest::array::uniform3(1e-6f64..1e6),
        ) {
            let groups: Vec<(usize, f64)> = [1, 3, 2].into_iter().zip(bounds).collect();
            let joint = bounds.iter().map(|bound| bound * bound).sum::<f64>().sqrt();
            let update = clip_groups(values, &groups);
            let factor = update.factor_for(joint);
            let found: Vec<f64> = update.values().map(|value| value * factor).collect();
            let mut rest = found.as_slice();
            for (length, bound) in groups {
                let (own, later) = rest.split_at(length);
                rest = later;
                let norm = own.iter().map(|value| value * value).sum::<f64>().sqrt();
                prop_assert!(norm <= bound * (1.0 + 1e-12));
            }
        }

        #[test]
        fn clipping_never_lengthens(values in proptest::collection::vec(any::<f32>(), 0..50), bound in 1e-6f64..1e6, later in 1e-6f64..1e6) {
            let finite = values.iter().all(|value| value.is_finite());
            let before = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            let update = clip(values, bound);
            let after = norm_after(&update, later);
            prop_assert!(after <= bound.min(later) * (1.0 + 1e-12));
            prop_assert!(!finite || after <= before * (1.0 + 1e-12));
        }
    }
}
