use zeroize::{Zeroize, ZeroizeOnDrop};

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
    norm: f64,
    factor: f64,
    clipped: bool,
}

/// Relative excess of a norm that is rounding of f32 and not a long update.
const ROUNDING: f64 = 1e-6;

/// Scales an update down to L2 norm `bound`, if it is longer (`privacy.md` 1.2 steps 1 and 2).
///
/// `values`: `[length]`, parameter units. `bound`: L2 norm in parameter units. Norm and factor are f64, and the factor is
/// applied only when the values are put on the grid, so no second rounding to f32 can lift the norm again.
///
/// A NaN or an infinity anywhere (a training that failed), and a bound that is not a positive finite number, make the
/// whole update zero: the client then still sends noise, so that nobody learns that its training failed.
pub fn clip(mut values: Vec<f32>, bound: f64) -> ClippedUpdate {
    let usable = bound.is_finite() && bound > 0.0 && values.iter().all(|value| value.is_finite());
    if !usable {
        values.fill(0.0);
        return ClippedUpdate {
            values,
            norm: 0.0,
            factor: 1.0,
            clipped: true,
        };
    }
    let norm = values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt();
    let factor = if norm > bound { bound / norm } else { 1.0 };
    // A vector of norm `bound` by construction is a little longer in f32: scaled all the same, but nothing of it is lost.
    let clipped = norm > bound * (1.0 + ROUNDING);
    ClippedUpdate {
        values,
        norm,
        factor,
        clipped,
    }
}

impl ClippedUpdate {
    /// Whether the update was too long or not finite, and so is not what the training gave.
    ///
    /// # Privacy
    /// One bit about a person: it may be shown on the client, and leaves it only inside a sum with noise.
    pub fn was_clipped(&self) -> bool {
        self.clipped
    }

    /// Coordinates.
    pub(crate) fn length(&self) -> usize {
        self.values.len()
    }

    /// The values before the factor, in parameter units.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
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
            .iter()
            .map(|value| (f64::from(*value) * factor).powi(2))
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
            assert_eq!(update.values(), [0.0; 3]);
        }
        for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(clip(vec![1.0], bound).values(), [0.0]);
        }
    }

    proptest! {
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
