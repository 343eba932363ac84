use std::collections::BTreeSet;

use chorus_model::ItemId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Category, Purpose};

/// Seconds.
pub(crate) const DAY: i64 = 24 * 60 * 60;

/// Values and weights are counted in thousandths, as whole numbers: their sums are the same in any order.
pub(crate) const UNIT: i64 = 1_000;

/// Something a person did with an item.
///
/// # Privacy
/// Stays on the device. It has no `Debug`: no log can hold one.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The item.
    pub item: ItemId,
    /// What was done.
    #[serde(default)]
    pub kind: EventKind,
    /// When, in seconds since 1970 UTC.
    pub at: i64,
    /// For a rating 1 to 5 stars, for a survey -1 (no) to 1 (yes), for everything else nothing.
    #[serde(default)]
    pub value: Option<f32>,
    /// Where it comes from.
    #[serde(default)]
    pub source: Source,
}

impl Event {
    /// The person opened the item in this app at `at`, seconds since 1970 UTC.
    pub fn click(item: ItemId, at: i64) -> Self {
        Self {
            item,
            kind: EventKind::Click,
            at,
            value: None,
            source: Source::FirstParty,
        }
    }

    /// The first purpose that it needs and that is not granted. `category`: the sensitive one that its item is of.
    pub(crate) fn missing(
        &self,
        category: Option<Category>,
        granted: &BTreeSet<Purpose>,
    ) -> Option<Purpose> {
        let third_party = self.source == Source::ThirdParty;
        let needed = [
            Some(Purpose::LocalPersonalisation),
            third_party.then_some(Purpose::ThirdPartySource),
            category.map(Purpose::Sensitive),
        ];
        let mut needed = needed.into_iter().flatten();
        needed.find(|purpose| !granted.contains(purpose))
    }

    /// The value in thousandths, once it and the time make sense at `now`.
    pub(crate) fn check(&self, now: i64) -> Result<Option<i64>, Flaw> {
        if self.at < 0 {
            return Err(Flaw::Before1970);
        }
        if self.at > now.saturating_add(DAY) {
            return Err(Flaw::Future);
        }
        let range = match self.kind {
            EventKind::Rating => 1.0..=5.0,
            EventKind::Survey => -1.0..=1.0,
            kind => {
                return match self.value {
                    None => Ok(None),
                    Some(_) => Err(Flaw::NoValue(kind)),
                };
            }
        };
        match self.value {
            Some(value) if range.contains(&value) => {
                Ok(Some((f64::from(value) * UNIT as f64).round() as i64))
            }
            _ => Err(Flaw::Value {
                kind: self.kind,
                least: *range.start(),
                most: *range.end(),
            }),
        }
    }
}

/// What a person did.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// It was on the screen long enough to be seen.
    View,
    /// It was opened or played.
    #[default]
    Click,
    /// The person stayed with it: stopped at it, or stopped playing it in order to come back.
    Pause,
    /// It was bought.
    Purchase,
    /// It was rated, 1 to 5.
    Rating,
    /// A question about it was answered, -1 to 1.
    Survey,
    /// It was waved away. It is in no training set any more, whatever else was done with it.
    Dismiss,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::View,
        Self::Click,
        Self::Pause,
        Self::Purchase,
        Self::Rating,
        Self::Survey,
        Self::Dismiss,
    ];

    /// As it is written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Click => "click",
            Self::Pause => "pause",
            Self::Purchase => "purchase",
            Self::Rating => "rating",
            Self::Survey => "survey",
            Self::Dismiss => "dismiss",
        }
    }
}

/// Where an event comes from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The person's use of this app.
    #[default]
    FirstParty,
    /// Anybody else; needs the purpose `third-party-source`.
    ThirdParty,
}

impl Source {
    /// As it is written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstParty => "first-party",
            Self::ThirdParty => "third-party",
        }
    }
}

/// How much each kind of event says for an item, in thousandths of a click. An item is learned from when what was done with it
/// adds up to a click or more, and it was never dismissed.
///
/// The defaults follow the custom of implicit feedback (Hu, Koren and Volinsky 2008): the more an act costs, the more it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Of a view: 250.
    pub view: u32,
    /// Of a click: 1,000.
    pub click: u32,
    /// Of a pause: 500.
    pub pause: u32,
    /// Of a purchase: 3,000.
    pub purchase: u32,
    /// Of the best rating: 2,000. Three of five stars say nothing, one says as much against.
    pub rating: u32,
    /// Of a full yes: 1,000. A full no says as much against.
    pub survey: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            view: 250,
            click: 1_000,
            pause: 500,
            purchase: 3_000,
            rating: 2_000,
            survey: 1_000,
        }
    }
}

impl Weights {
    /// What `count` events of a kind whose values sum up to `sum` say, in thousandths.
    pub(crate) fn of(&self, kind: EventKind, count: u32, sum: i64) -> i64 {
        let count = i64::from(count);
        let times = |weight: u32| count.saturating_mul(i64::from(weight));
        let middle = 3 * UNIT;
        let valued = |weight: u32, sum: i64, range: i64| {
            sum.saturating_mul(i64::from(weight)).div_euclid(range)
        };
        match kind {
            EventKind::View => times(self.view),
            EventKind::Click => times(self.click),
            EventKind::Pause => times(self.pause),
            EventKind::Purchase => times(self.purchase),
            EventKind::Rating => {
                let above = sum.saturating_sub(count.saturating_mul(middle));
                valued(self.rating, above, 2 * UNIT)
            }
            EventKind::Survey => valued(self.survey, sum, UNIT),
            EventKind::Dismiss => 0,
        }
    }
}

/// Why an event was not taken. It does not repeat what the event held.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum Flaw {
    /// The clock of whoever made the event is wrong.
    #[error("the field `at` is before 1970: check the clock; times are seconds since 1970 UTC")]
    Before1970,
    /// The same.
    #[error(
        "the field `at` is more than a day ahead of this device's clock: check both clocks; times are seconds, not \
         milliseconds"
    )]
    Future,
    /// A value where there is none.
    #[error("the field `value` does not go with a {}: leave it out", .0.name())]
    NoValue(EventKind),
    /// No value, or another than there can be.
    #[error("the field `value` of a {} is a number from {least} to {most}", kind.name())]
    Value {
        /// Of what.
        kind: EventKind,
        /// Least value.
        least: f32,
        /// Greatest value.
        most: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, at: i64, value: Option<f32>) -> Event {
        Event {
            kind,
            value,
            ..Event::click(ItemId(1), at)
        }
    }

    #[test]
    fn clock_nonsense_is_refused_and_a_day_of_drift_is_not() {
        let now = 1_800_000_000;
        let of = |at| event(EventKind::Click, at, None).check(now);
        for at in [i64::MIN, i64::MIN + 1, -1] {
            assert_eq!(of(at), Err(Flaw::Before1970));
        }
        for at in [i64::MAX, now * 1_000, now + DAY + 1] {
            assert_eq!(of(at), Err(Flaw::Future));
        }
        for at in [0, now, now + DAY] {
            assert_eq!(of(at), Ok(None));
        }
        assert_eq!(event(EventKind::Click, 0, None).check(i64::MAX), Ok(None));
        assert_eq!(
            event(EventKind::Click, 0, None).check(i64::MIN),
            Err(Flaw::Future)
        );
    }

    #[test]
    fn values_go_with_ratings_and_surveys_alone() {
        let of = |kind, value| event(kind, 0, value).check(0);
        assert_eq!(of(EventKind::Rating, Some(4.5)), Ok(Some(4_500)));
        assert_eq!(of(EventKind::Survey, Some(-0.5)), Ok(Some(-500)));
        let bad = [
            (EventKind::Rating, None),
            (EventKind::Rating, Some(5.1)),
            (EventKind::Rating, Some(f32::NAN)),
            (EventKind::Survey, Some(f32::INFINITY)),
        ];
        for (kind, value) in bad {
            let flaw = of(kind, value).unwrap_err().to_string();
            assert!(flaw.starts_with("the field `value` of a "), "{flaw}");
        }
        assert_eq!(
            of(EventKind::View, Some(1.0)),
            Err(Flaw::NoValue(EventKind::View))
        );
    }

    #[test]
    fn what_costs_more_says_more() {
        let weights = Weights::default();
        assert_eq!(weights.of(EventKind::View, 4, 0), 1_000);
        assert_eq!(weights.of(EventKind::Rating, 1, 4_000), 1_000);
        assert_eq!(weights.of(EventKind::Rating, 2, 6_000), 0);
        assert_eq!(weights.of(EventKind::Rating, 1, 1_000), -2_000);
        assert_eq!(weights.of(EventKind::Survey, 1, -1_000), -1_000);
        assert_eq!(weights.of(EventKind::Dismiss, 9, 0), 0);
        assert!(weights.of(EventKind::Purchase, u32::MAX, i64::MAX) > 0);
    }

    #[test]
    fn names_are_those_of_the_files() {
        for kind in EventKind::ALL {
            let name = serde_json::to_string(&kind).unwrap();
            assert_eq!(name, format!("\"{}\"", kind.name()));
        }
        for source in [Source::FirstParty, Source::ThirdParty] {
            let name = serde_json::to_string(&source).unwrap();
            assert_eq!(name, format!("\"{}\"", source.name()));
        }
    }
}
