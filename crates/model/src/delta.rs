use std::ops::Range;

/// What one client learned in one step: a vector of the same length for everyone, of which only what is not zero is held.
///
/// Neither `Clone` nor serialisable, so that it has one way to go: through clip, noise and mask.
///
/// ```compile_fail
/// fn twice(delta: chorus_model::Delta) { let _copy = delta.clone(); }
/// ```
///
/// # Privacy
/// Says much about a person. It must not leave the client in this form.
pub struct Delta {
    length: usize,
    /// Where the values stand, ascending.
    spans: Vec<Range<usize>>,
    values: Vec<f32>,
}

impl Delta {
    /// `values`: the layout of the step it belongs to (see [`crate::Sum`]).
    pub fn new(values: Vec<f32>) -> Self {
        let mut delta = Self::zeros(values.len());
        delta.spans.push(0..values.len());
        delta.values = values;
        delta
    }

    /// Nothing yet, in a layout of `length` coordinates.
    pub fn zeros(length: usize) -> Self {
        Self {
            length,
            spans: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Makes room for so many values: of few sizes, so that the next client finds memory that fits.
    pub(crate) fn reserve(&mut self, values: usize) {
        self.values.reserve_exact(values.next_power_of_two());
    }

    /// Writes values from coordinate `first` on. The caller goes up the layout: what is written must lie after what was, and
    /// within the length, or the road refuses the whole.
    pub fn write(&mut self, first: usize, values: impl IntoIterator<Item = f32>) {
        let before = self.values.len();
        self.values.extend(values);
        let end = first.saturating_add(self.values.len() - before);
        match self.spans.last_mut() {
            Some(last) if last.end == first => last.end = end,
            _ => self.spans.push(first..end),
        }
    }

    /// Coordinates of the layout.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The same with zeros behind it, in a layout of `length` coordinates.
    pub(crate) fn lengthened(mut self, length: usize) -> Self {
        self.length = length;
        self
    }

    /// The values that stand within these coordinates.
    pub(crate) fn within(&mut self, coordinates: &Range<usize>) -> &mut [f32] {
        let before = |end: usize| {
            let lengths = self.spans.iter();
            let lengths = lengths.map(|span| span.end.min(end).saturating_sub(span.start));
            lengths.sum::<usize>()
        };
        let places = before(coordinates.start)..before(coordinates.end);
        self.values.get_mut(places).unwrap_or_default()
    }

    /// Gives the values to the next step of the road, one a coordinate, and ends this form of them.
    pub fn into_values(self) -> Vec<f32> {
        if self.values.len() == self.length {
            return self.values;
        }
        let mut dense = vec![0.0; self.length];
        let mut rest = self.values.as_slice();
        for span in self.spans {
            let (own, later) = rest.split_at_checked(span.len()).unwrap_or((rest, &[]));
            rest = later;
            let cells = dense.get_mut(span).into_iter().flatten();
            cells.zip(own).for_each(|(cell, value)| *cell = *value);
        }
        dense
    }

    /// The same without the zeros: the length, where the values stand, and the values.
    pub fn into_parts(self) -> (usize, Vec<Range<usize>>, Vec<f32>) {
        (self.length, self.spans, self.values)
    }
}

/// What the coordinator learned in one round: the sum over `clients` clients, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanDelta {
    /// The sum, in parameter units, in the layout of the step.
    pub sum: Vec<f64>,
    /// How many clients are in it.
    pub clients: usize,
    /// Standard deviation of the privacy noise in each coordinate of `sum`, in parameter units; 0 without noise.
    pub noise: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stands_where_it_was_written() {
        let mut delta = Delta::zeros(7);
        delta.write(1, [1.0, 2.0]);
        delta.write(3, [3.0]);
        delta.write(6, [4.0]);
        assert_eq!(delta.spans, [1..4, 6..7]);
        assert_eq!(delta.within(&(2..7)), [2.0, 3.0, 4.0]);
        assert_eq!(delta.within(&(4..6)), [0.0; 0]);
        assert_eq!(delta.into_values(), [0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 4.0]);
        let whole = Delta::new(vec![1.0, 2.0]).into_parts();
        assert_eq!((whole.0, whole.1.len()), (2, 1));
    }
}
