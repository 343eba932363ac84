//! When a device has nothing better to do: then, and only then, it contributes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Client;

/// What the app sees of its device at this moment. What it cannot see is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Power comes from outside.
    pub charging: Option<bool>,
    /// Nobody uses the device.
    pub idle: Option<bool>,
    /// Bytes cost the person nothing.
    pub unmetered: Option<bool>,
    /// Of the battery or the processor, in degrees Celsius.
    pub celsius: Option<f32>,
    /// Charge of the battery, between 0 and 1.
    pub battery: Option<f32>,
}

/// What must hold before a client works for the shared model. A condition that is required and cannot be seen does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requirements {
    /// Only while power comes from outside.
    pub charging: bool,
    /// Only while nobody uses the device.
    pub idle: bool,
    /// Only where bytes cost nothing.
    pub unmetered: bool,
    /// Not while the device is hotter, in degrees Celsius.
    pub celsius: Option<f32>,
    /// Not with less charge, between 0 and 1.
    pub battery: Option<f32>,
}

impl Default for Requirements {
    fn default() -> Self {
        Self {
            charging: true,
            idle: true,
            unmetered: true,
            celsius: Some(40.0),
            battery: Some(0.5),
        }
    }
}

/// Why a client does not work now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// `charging` does not hold.
    #[error("the device is not charging, or cannot tell: connect it to power")]
    NotCharging,
    /// `idle` does not hold.
    #[error("the device is in use, or cannot tell: wait until it rests")]
    InUse,
    /// `unmetered` does not hold.
    #[error("the network costs money, or cannot tell: wait for another one")]
    Metered,
    /// `celsius` is above its bound.
    #[error("the device is too hot, or cannot tell: let it cool down")]
    Hot,
    /// `battery` is below its bound.
    #[error("the battery is low, or cannot tell: charge it")]
    LowBattery,
}

impl Requirements {
    /// Nothing is required: for servers and demonstrations, which have neither a battery nor a person in front of them.
    pub const NONE: Requirements = Requirements {
        charging: false,
        idle: false,
        unmetered: false,
        celsius: None,
        battery: None,
    };

    /// Whether a client may work under these conditions.
    ///
    /// # Errors
    /// The first requirement that does not hold.
    pub fn check(&self, now: &Conditions) -> Result<(), Hold> {
        let holds = |required: bool, seen: Option<bool>| !required || seen == Some(true);
        // Written so that a number that is not one does not hold.
        let within = |bound: Option<f32>, seen: Option<f32>, fits: fn(f32, f32) -> bool| {
            bound.is_none_or(|bound| seen.is_some_and(|seen| fits(seen, bound)))
        };
        if !holds(self.charging, now.charging) {
            return Err(Hold::NotCharging);
        }
        if !holds(self.idle, now.idle) {
            return Err(Hold::InUse);
        }
        if !holds(self.unmetered, now.unmetered) {
            return Err(Hold::Metered);
        }
        if !within(self.celsius, now.celsius, |seen, bound| seen <= bound) {
            return Err(Hold::Hot);
        }
        if !within(self.battery, now.battery, |seen, bound| seen >= bound) {
            return Err(Hold::LowBattery);
        }
        Ok(())
    }
}

impl Client {
    /// Whether to work for the shared model now: what the app asks before it calls [`run`](Client::run).
    ///
    /// # Errors
    /// The first requirement of the settings that does not hold.
    pub fn should_run(&self, now: &Conditions) -> Result<(), Hold> {
        self.settings.requirements.check(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Conditions = Conditions {
        charging: Some(true),
        idle: Some(true),
        unmetered: Some(true),
        celsius: Some(30.0),
        battery: Some(0.9),
    };

    #[test]
    fn each_condition_alone_holds_a_client_back_also_when_it_cannot_be_seen() {
        let required = Requirements::default();
        assert_eq!(required.check(&GOOD), Ok(()));
        let spoilt: [(Conditions, Hold); 12] = [
            (
                Conditions {
                    charging: Some(false),
                    ..GOOD
                },
                Hold::NotCharging,
            ),
            (
                Conditions {
                    charging: None,
                    ..GOOD
                },
                Hold::NotCharging,
            ),
            (
                Conditions {
                    idle: Some(false),
                    ..GOOD
                },
                Hold::InUse,
            ),
            (Conditions { idle: None, ..GOOD }, Hold::InUse),
            (
                Conditions {
                    unmetered: Some(false),
                    ..GOOD
                },
                Hold::Metered,
            ),
            (
                Conditions {
                    unmetered: None,
                    ..GOOD
                },
                Hold::Metered,
            ),
            (
                Conditions {
                    celsius: Some(40.1),
                    ..GOOD
                },
                Hold::Hot,
            ),
            (
                Conditions {
                    celsius: Some(f32::NAN),
                    ..GOOD
                },
                Hold::Hot,
            ),
            (
                Conditions {
                    celsius: None,
                    ..GOOD
                },
                Hold::Hot,
            ),
            (
                Conditions {
                    battery: Some(0.49),
                    ..GOOD
                },
                Hold::LowBattery,
            ),
            (
                Conditions {
                    battery: Some(f32::NAN),
                    ..GOOD
                },
                Hold::LowBattery,
            ),
            (
                Conditions {
                    battery: None,
                    ..GOOD
                },
                Hold::LowBattery,
            ),
        ];
        for (conditions, hold) in spoilt {
            assert_eq!(required.check(&conditions), Err(hold));
            assert_eq!(Requirements::NONE.check(&conditions), Ok(()));
        }
    }
}
