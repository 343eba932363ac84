//! A whole federation in one process, over real TCP and TLS: an authority, a coordinator, and clients with stores
//! of their own. Every port is one that the system chose.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses a part of it"
)]

mod fate;
mod person;
mod town;

pub use fate::{Fate, Point, fate};
pub use person::{Notes, Person, Work, allow};
pub use town::{Running, Town};

use std::time::{Duration, Instant};

/// Waits until something holds, and fails when it takes longer than half a minute.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "waited too long until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
