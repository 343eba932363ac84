//! What the coordinator saw of one client, beside what it learned from all of them.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::text::{count, escape, place};

/// One upload and one recovered sum of the same round, as words of Z_2^32.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The named sum.
    pub round: String,
    /// One client's masked update, check words included.
    pub upload: Vec<u32>,
    /// The sum that was recovered from every client's.
    pub sum: Vec<u32>,
}

pub(super) const COLUMNS: usize = 64;
const ROWS: usize = 24;
/// Shades on either side of zero.
const SHADES: i32 = 4;
const BINS: usize = 64;

/// The first words as a grid of cells: blue above zero, orange below, the darker the larger.
pub(super) fn grid(words: &[u32], name: &str, description: &str) -> String {
    let values: Vec<i32> = words
        .iter()
        .take(COLUMNS * ROWS)
        .map(|word| word.cast_signed())
        .collect();
    let largest = scale(&values);
    // One path a shade, of all its cells: a rectangle a cell would be ten times as long.
    let mut shades = vec![String::new(); (2 * SHADES + 1) as usize];
    for (number, value) in values.iter().enumerate() {
        let share = (f64::from(*value) / largest).clamp(-1.0, 1.0);
        let shade = (share * f64::from(SHADES)).round() as i32 + SHADES;
        if let Some(path) = shades.get_mut(shade as usize) {
            let _ = write!(path, "M{} {}h1v1h-1z", number % COLUMNS, number / COLUMNS);
        }
    }
    let rows = values.len().div_ceil(COLUMNS).max(1);
    let mut out = format!(
        "<svg class=\"cells\" viewBox=\"0 0 {COLUMNS} {rows}\" role=\"img\" aria-label=\"{}\" \
         shape-rendering=\"crispEdges\"><desc>{}</desc>",
        escape(name),
        escape(description)
    );
    for (shade, path) in (-SHADES..).zip(&shades) {
        if shade != 0 && !path.is_empty() {
            let side = if shade > 0 { "above" } else { "below" };
            let _ = write!(
                out,
                "<path class=\"{side} s{}\" d=\"{path}\"/>",
                shade.abs()
            );
        }
    }
    out.push_str("</svg>");
    out
}

/// What counts as the darkest: the magnitude that one value in fifty exceeds, so that a single one cannot pale the rest.
fn scale(values: &[i32]) -> f64 {
    let mut sizes: Vec<u32> = values.iter().map(|value| value.unsigned_abs()).collect();
    sizes.sort_unstable();
    let at = sizes.len().saturating_sub(1) * 49 / 50;
    let common = sizes.get(at).copied().unwrap_or(0);
    let largest = sizes.last().copied().unwrap_or(0);
    f64::from(if common > 0 { common } else { largest }).max(1.0)
}

/// How often each value of a byte occurs, in 64 bins of four values, with the band in which uniform bytes would lie.
pub(super) struct Histogram {
    bins: Vec<usize>,
    bytes: usize,
}

impl Histogram {
    pub fn of(words: &[u32]) -> Self {
        let mut bins = vec![0; BINS];
        for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
            if let Some(bin) = bins.get_mut(usize::from(byte) * BINS / 256) {
                *bin += 1;
            }
        }
        Self {
            bins,
            bytes: 4 * words.len(),
        }
    }

    /// The expected count of a bin, and 3.5 standard deviations of it: with 64 bins, uniform bytes
    /// stay inside in 97 of 100 pictures.
    fn band(&self) -> (f64, f64) {
        let expected = self.bytes as f64 / BINS as f64;
        (
            expected,
            3.5 * (expected * (1.0 - 1.0 / BINS as f64)).sqrt(),
        )
    }

    /// How many of the bins lie outside the band.
    pub fn outside(&self) -> usize {
        let (expected, half) = self.band();
        self.bins
            .iter()
            .filter(|bin| (**bin as f64 - expected).abs() > half)
            .count()
    }

    /// `61 of 64`
    pub fn inside_of_all(&self) -> String {
        format!("{} of {BINS}", BINS - self.outside())
    }

    /// The drawing: the bins, and the band as a box across them.
    pub fn draw(&self, name: &str) -> String {
        let (width, height, left, bottom, top) = (400.0, 132.0, 4.0, 22.0, 16.0);
        let (expected, half) = self.band();
        let largest = self.bins.iter().copied().max().unwrap_or(0) as f64;
        let (floor, ceiling) = (height - bottom, largest.max(expected + half) * 1.04);
        let y =
            |value: f64| top + (floor - top) * (1.0 - (value / ceiling.max(1.0)).clamp(0.0, 1.0));
        let step = (width - 2.0 * left) / BINS as f64;
        let mut bars = String::new();
        for (number, bin) in self.bins.iter().enumerate() {
            let (x, head) = (left + step * number as f64, y(*bin as f64));
            let _ = write!(
                bars,
                "M{} {}h{}V{}h-{}z",
                place(x + 0.4),
                place(floor),
                place(step - 0.8),
                place(head),
                place(step - 0.8)
            );
        }
        let (high, low) = (y(expected + half), y((expected - half).max(0.0)));
        format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\
             <desc>{} of {BINS} bins lie in the band in which uniformly random bytes would.</desc>\
             <path class=\"bars\" d=\"{bars}\"/>\
             <rect class=\"expected\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\
             <path class=\"rule\" d=\"M{left} {floor}H{}\"/>\
             <text class=\"tick\" x=\"{left}\" y=\"{}\">byte 0</text>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{}\">255</text>\
             <text class=\"tick\" x=\"{left}\" y=\"10\">up to {} of {} bytes in four values</text></svg>",
            escape(name),
            BINS - self.outside(),
            place(high),
            width - 2.0 * left,
            place((low - high).max(2.0)),
            width - left,
            height - 6.0,
            width - left,
            height - 6.0,
            count(largest as usize),
            count(self.bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    #[test]
    fn random_words_look_uniform_and_small_ones_do_not() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let random: Vec<u32> = (0..20_000).map(|_| rng.next_u32()).collect();
        assert!(Histogram::of(&random).outside() <= 1);
        let small: Vec<u32> = (0..20_000).map(|word| word % 100).collect();
        assert!(Histogram::of(&small).outside() > 50);
        assert_eq!(Histogram::of(&[]).outside(), 0);
    }

    #[test]
    fn a_grid_draws_every_cell_that_is_not_near_zero() {
        let drawn = grid(&[0, 1, u32::MAX, 5], "n", "d");
        assert_eq!(drawn.matches("h1v1h-1z").count(), 3, "{drawn}");
        assert!(
            drawn.contains("class=\"above s4\" d=\"M1 0h1v1h-1zM3 0"),
            "{drawn}"
        );
        assert!(grid(&[], "n", "d").contains("viewBox=\"0 0 64 1\""));
        assert_eq!(scale(&[]), 1.0);
        assert_eq!(scale(&[i32::MIN, 0, 0, 0]), 2_147_483_648.0);
    }
}
