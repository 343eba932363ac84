use serde::{Deserialize, Serialize};

use super::event::DAY;
use crate::map::Region;

/// What the app knows of the moment a list is for. Everything can be left out.
///
/// # Privacy
/// Compared with the person's own counts on the device, and dropped. No message can carry one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// When, in the person's own time: seconds since 1970, their offset from UTC added.
    pub local_time: Option<i64>,
    /// Where, coarsely.
    pub region: Option<Region>,
    /// On what.
    pub device: Option<Device>,
    /// What the person said they are in the mood for.
    pub mood: Option<Mood>,
}

/// One value of one dimension of context: what events and lists are compared by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Band {
    /// 0 to 6 o'clock.
    Night,
    /// 6 to 12.
    Morning,
    /// 12 to 18.
    Afternoon,
    /// 18 to 24.
    Evening,
    /// Monday to Friday.
    Workday,
    /// Saturday and Sunday.
    Weekend,
    /// December to February; the quarters of the year, whatever the weather of the hemisphere.
    Winter,
    /// March to May.
    Spring,
    /// June to August.
    Summer,
    /// September to November.
    Autumn,
    /// A class of device.
    #[serde(untagged)]
    Device(Device),
    /// A mood.
    #[serde(untagged)]
    Mood(Mood),
    /// A region.
    #[serde(untagged)]
    Region(Region),
}

/// A class of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// In the hand.
    Phone,
    /// On the knees.
    Tablet,
    /// On a desk.
    Computer,
    /// Across the room.
    Television,
    /// Heard alone.
    Speaker,
    /// On the road.
    Car,
}

/// What a person says they are in the mood for. Never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// Quiet things.
    Calm,
    /// Light things.
    Cheerful,
    /// Lively things.
    Energetic,
    /// Things to work or learn by.
    Focused,
    /// Something else than always.
    Curious,
}

impl Context {
    /// The bands it is in, at most one of each dimension.
    pub(crate) fn bands(&self) -> Vec<Band> {
        let mut bands = self.local_time.map(of_time).unwrap_or_default();
        bands.extend(self.device.map(Band::Device));
        bands.extend(self.mood.map(Band::Mood));
        bands.extend(self.region.clone().map(Band::Region));
        bands
    }
}

impl Band {
    /// Which dimension it is of, and how many values that has.
    pub(crate) fn dimension(&self) -> (u8, u32) {
        match self {
            Self::Night | Self::Morning | Self::Afternoon | Self::Evening => (0, 4),
            Self::Workday | Self::Weekend => (1, 2),
            Self::Winter | Self::Spring | Self::Summer | Self::Autumn => (2, 4),
            Self::Device(_) => (3, 6),
            Self::Mood(_) => (4, 5),
            // Nobody knows how many; few are of one person's life.
            Self::Region(_) => (5, 4),
        }
    }
}

/// Part of the day, of the week and of the year.
fn of_time(local: i64) -> Vec<Band> {
    let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    let hours = match second / (6 * 60 * 60) {
        0 => Band::Night,
        1 => Band::Morning,
        2 => Band::Afternoon,
        _ => Band::Evening,
    };
    // Day 0 was a Thursday.
    let week = match (day + 3).rem_euclid(7) {
        0..=4 => Band::Workday,
        _ => Band::Weekend,
    };
    let season = match month(day) {
        12 | 1 | 2 => Band::Winter,
        3..=5 => Band::Spring,
        6..=8 => Band::Summer,
        _ => Band::Autumn,
    };
    vec![hours, week, season]
}

/// Month of a day since 1970, 1 to 12, by the Gregorian calendar: days from the 1st of March of year 0 in eras of 400 years.
fn month(day: i64) -> i64 {
    let of_era = day.saturating_add(719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_their_bands() {
        // 1970-01-01 00:00, a Thursday; 2000-02-29 13:00, a Tuesday; 2027-08-01 23:59:59, a Sunday; 1969-12-31 23:00.
        let cases = [
            (0, [Band::Night, Band::Workday, Band::Winter]),
            (951_829_200, [Band::Afternoon, Band::Workday, Band::Winter]),
            (1_817_164_799, [Band::Evening, Band::Weekend, Band::Summer]),
            (-3_600, [Band::Evening, Band::Workday, Band::Winter]),
        ];
        for (local, expected) in cases {
            assert_eq!(of_time(local), expected, "{local}");
        }
        // Every day of a leap cycle counts each month as often as the calendar does.
        let mut days = [0; 12];
        for day in 0..146_097 {
            days[month(day) as usize - 1] += 1;
        }
        assert_eq!(days[1], 400 * 28 + 97);
        assert_eq!((days[0], days[3]), (400 * 31, 400 * 30));
        of_time(i64::MAX);
        of_time(i64::MIN);
    }

    #[test]
    fn every_band_is_one_word_in_the_store() {
        let bands = [
            Band::Night,
            Band::Device(Device::Phone),
            Band::Mood(Mood::Calm),
            Band::Region(Region::code("DE-BY").unwrap()),
            Band::Region(Region::near(48.1, 11.6).unwrap()),
        ];
        for band in bands {
            let written = serde_json::to_string(&band).unwrap();
            assert!(written.starts_with('"'), "{written}");
            assert_eq!(serde_json::from_str::<Band>(&written).unwrap(), band);
        }
    }
}
