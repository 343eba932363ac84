//! What numbers are taken: of a flag of the command and of a key in a file alike, so both refuse the same with the same words.

use std::ops::RangeInclusive;

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

/// A number that decides what is drawn.
pub fn seed(text: &str) -> Result<u64, String> {
    let words = || format!("expected a whole number, 0 to {}", u64::MAX);
    text.parse().map_err(|_| words())
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

/// Parts of five phases.
pub fn phases(text: &str) -> Result<[u8; 5], String> {
    let parts: Option<Vec<u8>> = text.split(':').map(|part| part.parse().ok()).collect();
    let parts = parts.and_then(|parts| <[u8; 5]>::try_from(parts).ok());
    parts.ok_or_else(|| {
        "expected five whole numbers up to 255, such as 1:1:1:1:0 for keys, shares, confirmations, updates, unmasking"
            .to_owned()
    })
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

/// The bits of a ring that updates are summed in.
pub fn ring_bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (16 | 20 | 24 | 32)) => Ok(bits),
        _ => Err("expected 16, 20, 24 or 32".to_owned()),
    }
}

/// A number in a range that `words` are for.
pub fn in_range(text: &str, range: RangeInclusive<f64>, words: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected {words}"))
}

/// A number above 0, and `most` at most.
pub fn above_zero(text: &str, most: f64, words: &str) -> Result<f64, String> {
    in_range(text, f64::MIN_POSITIVE..=most, words)
}
