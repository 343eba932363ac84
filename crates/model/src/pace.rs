//! Steps that are far longer than the ones before them.

use crate::recipe::{tensor, values_of};
use crate::{Parameters, ParametersError};

/// Steps of which the median is taken, at most, and at least.
const REMEMBERED: usize = 9;
const FEWEST: usize = 3;

/// The lengths of the last server steps, one a part of the model that is stepped by itself, in the tensor `name` of the state.
pub(crate) struct Pace {
    parts: usize,
    /// `[steps, parts]`, the newest last.
    lengths: Vec<f32>,
}

impl Pace {
    pub fn of(state: &Parameters, name: &str, parts: usize) -> Result<Self, ParametersError> {
        let lengths = match state.get(name) {
            Some(known) => values_of(state, name, &known.shape)?.to_vec(),
            None => Vec::new(),
        };
        Ok(Self { parts, lengths })
    }

    /// What a step of `length` must be multiplied by where it is longer than `most` times the median of the last nine of
    /// `part`: that makes it as long as the median. Nothing for a step that is not, or before the fourth.
    pub fn cut(&self, part: usize, length: f64, most: f64) -> Option<f64> {
        let before = self.lengths.iter().skip(part).step_by(self.parts);
        let mut before: Vec<f32> = before.copied().collect();
        if before.len() < FEWEST {
            return None;
        }
        before.sort_unstable_by(f32::total_cmp);
        let median = before.get(before.len() / 2).copied().map(f64::from)?;
        // Of a part that has rested so far nothing says how far it may go.
        (median > 0.0 && length > most * median).then(|| median / length)
    }

    /// Remembers the lengths of one more step, `[parts]`: of one that was cut, the longest that would not have been, so that a
    /// change that stays is followed within a few steps.
    pub fn keep(mut self, newest: &[f64], state: &mut Parameters, name: &str) {
        self.lengths
            .extend(newest.iter().map(|length| *length as f32));
        let oldest = self.lengths.len().saturating_sub(REMEMBERED * self.parts);
        let lengths = self.lengths.into_iter().skip(oldest).map(f64::from);
        let lengths: Vec<f64> = lengths.collect();
        state.set(name, tensor(&[lengths.len()], lengths));
    }
}
