//! The three bounds of a graph, as natural logarithms of probabilities.

use super::Assumptions;
use crate::hypergeometric::{Hypergeometric, ln_choose};

/// What the bounds need to know of a cohort.
pub(super) struct Bounds {
    clients: u64,
    corrupt: u64,
    dropped: u64,
}

impl Bounds {
    /// `clients` must not be zero, `assumptions` in range.
    pub(super) fn new(clients: usize, assumptions: &Assumptions) -> Self {
        Self {
            clients: clients as u64,
            corrupt: assumptions.corrupt_of(clients) as u64,
            dropped: assumptions.dropped_of(clients) as u64,
        }
    }

    /// Some honest client has `threshold` corrupt neighbours or more: `n P[Hyp(n-1, corrupt, k) >= t]`.
    pub(super) fn secrecy(&self, degree: usize, threshold: usize) -> f64 {
        let corrupt = Hypergeometric::new(self.clients - 1, self.corrupt, degree as u64);
        let tail = corrupt.ln_at_least(threshold as u64);
        ((self.clients as f64).ln() + tail).min(0.0)
    }

    /// Two disjoint runs of `k/2` places of the ring hold corrupt and lost clients only: `C(n,2) C(removed,k) / C(n,k)`.
    pub(super) fn connectivity(&self, degree: usize) -> f64 {
        let (n, k) = (self.clients, degree as u64);
        let removed = (self.corrupt + self.dropped).min(n);
        (ln_choose(n, 2) + ln_choose(removed, k) - ln_choose(n, k)).min(0.0)
    }

    /// Some client has fewer than `threshold` living neighbours. A survivor's are drawn from the other `n-d-1`
    /// survivors, a lost client's from all `n-d`: `(n-d) P[Hyp(n-1, n-d-1, k) < t] + d P[Hyp(n-1, n-d, k) < t]`.
    pub(super) fn correctness(&self, degree: usize, threshold: usize) -> f64 {
        let alive = self.clients.saturating_sub(self.dropped);
        let tail = |others| {
            Hypergeometric::new(self.clients - 1, others, degree as u64).ln_below(threshold as u64)
        };
        let of_survivors = (alive as f64).ln() + tail(alive.saturating_sub(1));
        let of_lost = (self.dropped as f64).ln() + tail(alive);
        ln_sum(of_survivors, of_lost).min(0.0)
    }

    /// Some two disjoint runs of `k/2` places hold `guard` corrupt clients or more: `C(n,2) P[Hyp(n, corrupt, k) >= s]`.
    pub(super) fn cut(&self, degree: usize, guard: usize) -> f64 {
        let corrupt = Hypergeometric::new(self.clients, self.corrupt, degree as u64);
        (ln_choose(self.clients, 2) + corrupt.ln_at_least(guard as u64)).min(0.0)
    }

    /// Some two disjoint runs of `k/2` places hold fewer than `guard` survivors, though nobody chose who vanished:
    /// `C(n,2) P[Hyp(n, n-d, k) < s]`.
    pub(super) fn guarded(&self, degree: usize, guard: usize) -> f64 {
        let alive = self.clients.saturating_sub(self.dropped);
        let survivors = Hypergeometric::new(self.clients, alive, degree as u64);
        (ln_choose(self.clients, 2) + survivors.ln_below(guard as u64)).min(0.0)
    }
}

/// `ln(e^a + e^b)`, also when one of them is minus infinity.
pub(super) fn ln_sum(a: f64, b: f64) -> f64 {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if more == f64::NEG_INFINITY {
        return more;
    }
    more + (less - more).exp().ln_1p()
}
