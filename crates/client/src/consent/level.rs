use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Purpose;

/// How much personalisation, from nothing to all devices: five presets over the purposes, for a first and short screen.
///
/// A preset grants no sensitive category, no share with anybody and no offers: those are asked each on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// 0: nothing new is kept, and lists are the same for everybody. What was kept before stays until it is removed.
    Off,
    /// 1: lists follow what happens in a private session, and nothing of it is written.
    Session,
    /// 2: this device alone keeps and uses a history.
    Device,
    /// 3: this device also learns for everybody's model.
    Contribute,
    /// 4: the person's other devices share the history.
    Devices,
}

impl Level {
    /// Every level, from the least.
    pub const ALL: [Self; 5] = [
        Self::Off,
        Self::Session,
        Self::Device,
        Self::Contribute,
        Self::Devices,
    ];

    /// The purposes that are granted at this level; every other one of a preset is not.
    pub fn purposes(self) -> BTreeSet<Purpose> {
        [
            (Self::Device, Purpose::LocalPersonalisation),
            (Self::Contribute, Purpose::ContributeTraining),
            (Self::Devices, Purpose::CrossDeviceSync),
        ]
        .into_iter()
        .filter(|(from, _)| self >= *from)
        .map(|(_, purpose)| purpose)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_these() {
        let names = |level: Level| {
            let names: Vec<String> = level.purposes().into_iter().map(String::from).collect();
            names.join(" ")
        };
        assert_eq!(
            Level::ALL.map(names),
            [
                "",
                "",
                "local-personalisation",
                "contribute-training local-personalisation",
                "contribute-training cross-device-sync local-personalisation",
            ]
        );
    }
}
