use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

/// What one call of [`Client::run`](crate::Client::run) may use. Whatever ends it loses nothing: the next call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Milliseconds from the beginning to the end, waiting included: what the schedulers of phones grant. Learning one
    /// contribution is one step, which is not interrupted.
    pub max_ms: u64,
    /// Bytes that are sent. The message that passes it is the last one.
    pub max_bytes: u64,
    /// Threads that an engine may learn with. The client itself uses the one that calls it.
    pub max_threads: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_ms: u64::MAX,
            max_bytes: u64::MAX,
            max_threads: 1,
        }
    }
}

/// One call, and what is left of its budget.
pub(crate) struct Session {
    budget: Budget,
    began: Instant,
    /// Bytes that the client had sent at the beginning.
    sent: u64,
}

impl Session {
    /// Begins now; `sent`: bytes that the client sent so far.
    pub fn begin(budget: Budget, sent: u64) -> Self {
        Self {
            budget,
            began: Instant::now(),
            sent,
        }
    }

    /// Whether nothing is left.
    pub fn is_over(&self, sent: u64) -> bool {
        self.left().is_zero() || sent.saturating_sub(self.sent) >= self.budget.max_bytes
    }

    /// Time that is left.
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.budget.max_ms).saturating_sub(self.began.elapsed())
    }
}
