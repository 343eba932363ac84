//! Time that this thread computed. What other programs do meanwhile does not count, though it shares the caches.

use rustix::time::{ClockId, clock_gettime};

/// A moment on this thread's own clock.
#[derive(Clone, Copy)]
pub struct Began(f64);

impl Began {
    pub fn now() -> Self {
        Self(seconds())
    }

    /// Seconds that this thread computed since.
    pub fn seconds(self) -> f64 {
        seconds() - self.0
    }
}

fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
