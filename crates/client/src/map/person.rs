use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How old a person is, as exactly as this library ever knows it. There is no date of birth anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AgeBand {
    /// Under 13.
    #[serde(rename = "under-13")]
    Under13,
    /// 13 to 15.
    #[serde(rename = "13-15")]
    From13,
    /// 16 and 17.
    #[serde(rename = "16-17")]
    From16,
    /// 18 to 29.
    #[serde(rename = "18-29")]
    From18,
    /// 30 to 44.
    #[serde(rename = "30-44")]
    From30,
    /// 45 to 59.
    #[serde(rename = "45-59")]
    From45,
    /// 60 and over.
    #[serde(rename = "60-plus")]
    From60,
}

/// A large area: a country or a part of one by its code, or a cell of two degrees.
///
/// # Privacy
/// Never finer than that: an exact place is made coarse before it can be held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

/// A text that is no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a region is a country like `DE`, a part of one like `DE-BY` (ISO 3166), or a cell like `cell:48:10`"
)]
pub struct NotARegion;

/// Side of a cell, degrees.
const CELL: f64 = 2.0;

impl Region {
    /// A country by two capital letters (ISO 3166-1), or a part of one by up to three letters or digits more (ISO 3166-2).
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn code(text: &str) -> Result<Self, NotARegion> {
        let (country, part) = text.split_once('-').unwrap_or((text, "A"));
        let capital = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let is_region = country.len() == 2
            && capital(country)
            && (1..=3).contains(&part.len())
            && part.bytes().all(known);
        match is_region {
            true => Ok(Self(text.to_owned())),
            false => Err(NotARegion),
        }
    }

    /// The cell of two degrees (some 220 km from south to north) that a place lies in. `latitude`, `longitude`: degrees.
    ///
    /// # Errors
    /// When they are not on the globe.
    pub fn near(latitude: f64, longitude: f64) -> Result<Self, NotARegion> {
        if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
            return Err(NotARegion);
        }
        let cell = |degrees: f64| (degrees / CELL).floor() * CELL;
        Ok(Self(format!("cell:{}:{}", cell(latitude), cell(longitude))))
    }

    /// The region as it is written.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// True when this region is `other` or a part of it: `DE-BY` lies in `DE`.
    pub fn lies_in(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(&other.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

impl TryFrom<String> for Region {
    type Error = NotARegion;

    fn try_from(text: String) -> Result<Self, NotARegion> {
        let Some(cell) = text.strip_prefix("cell:") else {
            return Self::code(&text);
        };
        let (latitude, longitude) = cell.split_once(':').ok_or(NotARegion)?;
        let degrees = |text: &str| text.parse::<f64>().map_err(|_| NotARegion);
        // Whatever was written, what is held is coarse.
        Self::near(degrees(latitude)?, degrees(longitude)?)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn a_place_is_never_held_finer_than_a_cell() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut share = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        for _ in 0..10_000 {
            let (latitude, longitude) = (share() * 180.0 - 90.0, share() * 360.0 - 180.0);
            let near = Region::near(latitude, longitude).unwrap();
            let exact = format!("cell:{latitude}:{longitude}");
            assert_eq!(Region::try_from(exact).unwrap(), near);
            let cell = near.name().strip_prefix("cell:").unwrap();
            for (held, given) in cell.split(':').zip([latitude, longitude]) {
                let held: f64 = held.parse().unwrap();
                assert_eq!(held % CELL, 0.0, "{near}");
                assert!((0.0..CELL).contains(&(given - held)), "{near}");
            }
        }
        for (latitude, longitude) in [(91.0, 0.0), (0.0, 181.0), (f64::NAN, 0.0)] {
            assert_eq!(Region::near(latitude, longitude), Err(NotARegion));
        }
    }

    #[test]
    fn regions_are_codes_and_parts_lie_in_countries() {
        let region = |text: &str| Region::try_from(text.to_owned());
        for bad in [
            "",
            "de",
            "D",
            "DEU",
            "DE-",
            "DE-BAYE",
            "DE BY",
            "cell:1",
            "Hauptstr. 5",
        ] {
            assert_eq!(region(bad), Err(NotARegion), "{bad}");
        }
        let [bavaria, germany, denmark] = ["DE-BY", "DE", "DK"].map(|code| region(code).unwrap());
        assert!(bavaria.lies_in(&germany) && germany.lies_in(&germany));
        assert!(!germany.lies_in(&bavaria) && !bavaria.lies_in(&denmark));
    }
}
