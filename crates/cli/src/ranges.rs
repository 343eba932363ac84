//! What numbers flags take. A number out of range is refused where it is read, so that the flag is named. Those that a run can be
//! given as a key too stand in the simulator.

use chorus_simulator::ranges::{above_zero, in_range};
pub use chorus_simulator::ranges::{
    at_least, bearable, delta, epsilon, phases, ring_bits, share, some_share, threshold, within,
};

/// Steps that are accounted for, at most.
pub const MOST_STEPS: u64 = 1_000_000_000_000;

/// The number of an item.
pub fn item(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("expected the number of an item, 0 to {}", u32::MAX))
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
