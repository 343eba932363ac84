//! What sums of clients that keep to the protocol can be: one that does not can make a modular sum anything.

use crate::LearnError;
use crate::algebra::norm;

/// Deviations that are chance.
pub(crate) const CHANCE: f64 = 6.0;
/// Rounding to a coarse grid can lengthen a sum a little.
const ROUNDING: f64 = 1.1;

/// Whether vectors whose lengths add up to at most `longest` could have this sum. `noise`: its deviation in each word.
pub(crate) fn is_within(sum: &[f64], longest: f64, noise: f64) -> bool {
    norm(sum) <= longest + noise * ((sum.len() as f64).sqrt() + CHANCE)
}

/// Refuses a sum that is longer than so many clients of norm 1 could make it.
///
/// # Errors
/// When it is.
pub(crate) fn check_units(sum: &[f64], clients: usize, noise: f64) -> Result<(), LearnError> {
    match is_within(sum, ROUNDING * clients as f64, noise) {
        true => Ok(()),
        false => Err(LearnError::Impossible),
    }
}

/// Refuses owners that so many clients cannot be.
///
/// # Errors
/// When they cannot.
pub(crate) fn check_owners(owners: &[f64], clients: usize) -> Result<(), LearnError> {
    match are_owners(owners, clients) {
        true => Ok(()),
        false => Err(LearnError::Impossible),
    }
}

/// Whether so many clients could be the owners of the items.
pub(crate) fn are_owners(owners: &[f64], clients: usize) -> bool {
    let most = clients as f64 + little(clients);
    let mut owners = owners.iter();
    owners.all(|owners| (-little(clients)..=most).contains(owners))
}

/// What rounding to the coarsest grid may add to a word of a sum, with much to spare.
pub(crate) fn little(clients: usize) -> f64 {
    0.5 * clients as f64
}
