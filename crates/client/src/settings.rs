use std::time::Duration;

use chorus_protocol::Floor;
use serde::{Deserialize, Serialize};

use crate::{Budget, Controller, Durability, Guards, Keeping, Requirements, Weights};

/// What the app decides for its client. The default is the careful choice in every field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The least that this client insists on, whatever a coordinator proposes.
    pub floor: Floor,
    /// Who is responsible for what the app does, as it stands in consent receipts.
    pub controller: Controller,
    /// What a write must survive before the client goes on.
    pub durability: Durability,
    /// How [`Client::run`](crate::Client::run) waits.
    pub pace: Pace,
    /// How much each kind of event says for an item.
    pub weights: Weights,
    /// How long events are kept; never longer than the data map says.
    pub keeping: Keeping,
    /// What keeps lists from being uncanny, narrow or tiring.
    pub guards: Guards,
    /// The person's own time minus UTC, seconds: what parts of the day events are counted in.
    pub utc_offset: i64,
    /// What one call of [`Client::run`](crate::Client::run) may use.
    pub budget: Budget,
    /// What must hold on the device before the client works for the shared model.
    pub requirements: Requirements,
}

/// How long the ordinary loop waits when there is nothing to do or nobody to talk to, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// First wait after a failure; each further failure doubles it.
    pub first: u64,
    /// No wait is longer, whether the client or the coordinator chose it.
    pub longest: u64,
    /// Between two questions that were answered with "not yet".
    pub between: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: 1_000,
            longest: 300_000,
            between: 50,
        }
    }
}

impl Pace {
    /// The wait after `failures` failures in a row: doubled each time, and spread over its upper half by
    /// `luck` (any number), so that the clients of a coordinator that comes back do not come back as one.
    pub(crate) fn after(&self, failures: u32, luck: u32) -> Duration {
        let doubled = self.first.saturating_mul(
            1u64.checked_shl(failures.saturating_sub(1))
                .unwrap_or(u64::MAX),
        );
        let wait = doubled.min(self.longest);
        let spread = (wait / 2) * u64::from(luck) / u64::from(u32::MAX);
        Duration::from_millis(wait - wait / 2 + spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_are_spread_and_end_at_the_longest() {
        let pace = Pace {
            first: 1_000,
            longest: 5_000,
            between: 0,
        };
        assert_eq!(pace.after(1, 0), Duration::from_millis(500));
        assert_eq!(pace.after(1, u32::MAX), Duration::from_millis(1_000));
        assert_eq!(pace.after(3, u32::MAX), Duration::from_millis(4_000));
        assert_eq!(pace.after(4, u32::MAX), Duration::from_millis(5_000));
        assert_eq!(pace.after(200, u32::MAX), Duration::from_millis(5_000));
    }
}
