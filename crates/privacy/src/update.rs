use std::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::PrivacyError;

/// What a client learned, before it is clipped: its values, and where they stand among the coordinates of the layout.
///
/// A person touches few of a catalogue's items. What is zero is neither held nor rounded, which makes large catalogues cheap;
/// noise and masks fill every coordinate, so what leaves a client has the full length whatever it touched.
///
/// # Privacy
/// The places alone say which items a person touched. It stays on the client; its memory is wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Update {
    pub(crate) values: Vec<f32>,
    pub(crate) places: Places,
}

impl Update {
    /// `values`: those of all `spans`, one after the other. `length`: coordinates of the layout. `spans`: ascending, without
    /// overlap, within the layout.
    ///
    /// # Errors
    /// Spans that are not so, or hold another number of values.
    pub fn sparse(
        length: usize,
        spans: impl IntoIterator<Item = Range<usize>>,
        values: Vec<f32>,
    ) -> Result<Self, PrivacyError> {
        let spans = spans.into_iter().map(|span| (span.start, span.end));
        let places = Places {
            length,
            spans: spans.collect(),
        };
        let (mut end, mut count) = (0, 0);
        for (first, past) in &places.spans {
            if *first < end || past < first || *past > length {
                return Err(PrivacyError::Spans);
            }
            end = *past;
            count += past - first;
        }
        match count == values.len() {
            true => Ok(Self { values, places }),
            false => Err(PrivacyError::Spans),
        }
    }
}

impl From<Vec<f32>> for Update {
    fn from(values: Vec<f32>) -> Self {
        let places = Places::all(values.len());
        Self { values, places }
    }
}

/// Which coordinates of a layout hold values; all others are zero.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Places {
    length: usize,
    /// The first coordinate of each span, and the first one past it.
    spans: Vec<(usize, usize)>,
}

impl Places {
    /// Every coordinate.
    pub(crate) fn all(length: usize) -> Self {
        Self {
            length,
            spans: vec![(0, length)],
        }
    }

    /// Coordinates of the layout.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// How many values stand in each of these stretches of the layout: so many coordinates each, one after the other.
    /// Stretches that cover another length than the layout's are given back as they are.
    pub(crate) fn counts(&self, stretches: impl Iterator<Item = usize> + Clone) -> Vec<usize> {
        let covered = stretches
            .clone()
            .try_fold(0usize, |sum, length| sum.checked_add(length));
        if covered != Some(self.length) {
            return stretches.collect();
        }
        let mut first = 0;
        stretches
            .map(|length| {
                let (start, end) = (first, first + length);
                first = end;
                let common = |(first, past): &(usize, usize)| {
                    let (first, past) = ((*first).max(start), (*past).min(end));
                    past.saturating_sub(first)
                };
                self.spans.iter().map(common).sum()
            })
            .collect()
    }

    /// The values of each span beside its first coordinate.
    pub(crate) fn over<'a, T>(&'a self, values: &'a [T]) -> impl Iterator<Item = (usize, &'a [T])> {
        let mut rest = values;
        self.spans.iter().map(move |(first, past)| {
            let (own, later) = rest.split_at_checked(past - first).unwrap_or((rest, &[]));
            rest = later;
            (*first, own)
        })
    }

    /// `[length]`: the values where they stand, and zeros.
    pub(crate) fn spread<T: Copy + Default>(&self, values: &[T], length: usize) -> Vec<T> {
        let mut dense = vec![T::default(); length];
        for (first, own) in self.over(values) {
            let cells = dense.get_mut(first..first + own.len());
            cells
                .into_iter()
                .for_each(|cells| cells.copy_from_slice(own));
        }
        dense
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_their_spans_say() {
        let update = Update::sparse(6, [1..3, 3..3, 5..6], vec![1.0, 2.0, 3.0]).unwrap();
        let places = &update.places;
        assert_eq!(
            places.spread(&update.values, places.length()),
            [0.0, 1.0, 2.0, 0.0, 0.0, 3.0]
        );
        assert_eq!(places.counts([2, 2, 2].into_iter()), [1, 1, 1]);
        assert_eq!(places.counts([2, 2].into_iter()), [2, 2]);
    }

    #[test]
    fn spans_that_overlap_or_do_not_fit_are_refused() {
        for spans in [
            vec![0..2, 1..2],
            vec![2..3, 0..2],
            vec![3..4, 5..7],
            vec![0..1, 1..2],
        ] {
            assert!(Update::sparse(6, spans, vec![1.0; 3]).is_err());
        }
    }
}
