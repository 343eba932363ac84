//! What numbers flags take. A number out of range is refused where it is read, so that the flag is named.

use std::ops::RangeInclusive;

/// Steps that are accounted for, at most.
pub const MOST_STEPS: u64 = 1_000_000_000_000;

/// A whole number that is large enough.
pub fn at_least(least: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("expected a whole number, at least {least}")),
    }
}

/// A whole number within limits.
pub fn within(least: usize, most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number, {least} to {most}")),
    }
}

/// A share between 0 and 1.
pub fn share(text: &str) -> Result<f64, String> {
    in_range(text, 0.0..=1.0, "a share between 0 and 1, such as 0.1")
}

/// A share above 0.
pub fn some_share(text: &str) -> Result<f64, String> {
    above_zero(text, 1.0, "a share above 0 and up to 1, such as 0.1")
}

/// The largest share of a round that may be lost.
pub fn bearable(text: &str) -> Result<f64, String> {
    let words =
        "a share between 0 and 0.3: the graph of secure aggregation is planned for 30 % at most";
    in_range(text, 0.0..=0.3, words)
}

/// An epsilon.
pub fn epsilon(text: &str) -> Result<f64, String> {
    above_zero(text, 1e6, "a number above 0 and up to 1000000, such as 8")
}

/// A delta that is a probability.
pub fn delta(text: &str) -> Result<f64, String> {
    let words = "a probability above 0 and below 1, such as 1e-5";
    above_zero(text, 1.0_f64.next_down(), words)
}

/// A threshold of counts.
pub fn threshold(text: &str) -> Result<f64, String> {
    in_range(text, 0.0..=1e9, "a number between 0 and 1000000000")
}

/// How long something waits.
pub fn seconds(text: &str) -> Result<f64, String> {
    in_range(text, 0.01..=86_400.0, "seconds, 0.01 to 86400")
}

/// What a person thinks of an item: -1 to 1, or 1 to 5 stars.
pub fn opinion(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (-1.0..=5.0).contains(&value) => Ok(value),
        _ => Err("expected a number from -1 to 5".to_owned()),
    }
}

/// A number above 0: a clip, a grid, a deviation.
pub fn positive(text: &str) -> Result<f64, String> {
    above_zero(text, 1e12, "a number above 0 and up to 1e12")
}

/// How unequally popular items are.
pub fn skew(text: &str) -> Result<f64, String> {
    in_range(text, 0.0..=4.0, "a number between 0 and 4")
}

/// The bits of a ring that updates are summed in.
pub fn ring_bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (16 | 20 | 24 | 32)) => Ok(bits),
        _ => Err("expected 16, 20, 24 or 32".to_owned()),
    }
}

fn in_range(text: &str, range: RangeInclusive<f64>, words: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected {words}"))
}

fn above_zero(text: &str, most: f64, words: &str) -> Result<f64, String> {
    in_range(text, f64::MIN_POSITIVE..=most, words)
}
