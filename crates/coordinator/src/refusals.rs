//! How often calls were refused, by reason. Whoever speaks nonsense must not make the store work for each word: counts
//! are gathered here, and written now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<String, u64>>);

/// Reasons that are told apart. They are constants of this build; the bound is against a mistake.
const REASONS: usize = 256;

impl Refusals {
    /// Counts one.
    pub fn count(&self, label: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < REASONS || counts.contains_key(label) {
            *counts.entry(label.to_owned()).or_default() += 1;
        }
    }

    /// What was counted since it was last taken.
    pub fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
