use std::sync::Arc;
use std::time::Instant;

use chorus_protocol::Millis;

/// The time of day, and a time that only moves forward: both arguments, so that a test can stand anywhere in time.
#[derive(Clone)]
pub struct Clock {
    wall: chorus_wire::Clock,
    elapsed: Arc<dyn Fn() -> Millis + Send + Sync>,
}

impl Clock {
    /// `wall` says the time of day, `elapsed` the milliseconds since any fixed moment.
    pub fn new(
        wall: chorus_wire::Clock,
        elapsed: impl Fn() -> Millis + Send + Sync + 'static,
    ) -> Self {
        Self {
            wall,
            elapsed: Arc::new(elapsed),
        }
    }

    /// The machine's clocks.
    pub fn system() -> Self {
        let start = Instant::now();
        let elapsed = move || Millis::try_from(start.elapsed().as_millis()).unwrap_or(Millis::MAX);
        Self::new(chorus_wire::Clock::system(), elapsed)
    }

    /// The time of day as certificates need it.
    pub fn wall(&self) -> &chorus_wire::Clock {
        &self.wall
    }

    /// Milliseconds since a fixed moment; never goes back.
    pub fn elapsed(&self) -> Millis {
        (self.elapsed)()
    }

    /// Seconds since 1970 UTC.
    pub fn unix(&self) -> u64 {
        u64::try_from(self.wall.now()).unwrap_or(0)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock(..)")
    }
}
