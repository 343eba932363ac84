use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chorus_protocol::Digest;

use super::Enrolled;

/// Certificates that were checked before. The same ones come in every round, from hundreds of clients of a cohort; what
/// is signed does not change, so only the time is looked at again.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<HashMap<Digest, Enrolled>>>);

/// Most certificates that are kept: those of one cohort that vouches for itself, and as many again.
const MOST: usize = 10_000;

impl Seen {
    /// What a certificate says, if it was checked before.
    pub fn get(&self, certificate: &Digest) -> Option<Enrolled> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(certificate).cloned()
    }

    /// Keeps what a certificate says.
    pub fn keep(&self, certificate: Digest, enrolled: Enrolled) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(certificate, enrolled);
    }
}
