use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a person can say yes or no to, each on its own. Everything is off until it is granted.
///
/// The text form is the name: `contribute-training`, `sensitive:health`. The order is that of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Purpose {
    /// Taking part in sums that tell how well a model does, or how many do something.
    AggregateStatistics,
    /// Handing a list made for this person to another channel of the app's company, such as mail or a shop window.
    ChannelSlate,
    /// Learning on this device for everybody's model, and sending what was learned, masked.
    ContributeTraining,
    /// Using the same history on another device of the same person.
    CrossDeviceSync,
    /// Keeping what the person does on this device, and ranking by it here.
    LocalPersonalisation,
    /// Offers chosen by the history.
    PersonalisedOffers,
    /// Using items of one sensitive category.
    Sensitive(Category),
    /// Giving anything to another company.
    ThirdPartyShare,
    /// Using what another company says about the person.
    ThirdPartySource,
}

/// Subjects that say something about a person which can hurt them. Each needs a yes of its own, and is never inferred.
///
/// Art. 9(1) and Art. 10 of Regulation (EU) 2016/679 (GDPR), and finance, precise place and family beside them, as the
/// privacy laws of US states have it (Cal. Civ. Code 1798.140(ae)). Items carry one where the app's catalogue says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Crimes, convictions, being the victim of one (Art. 10).
    Crime,
    /// Racial or ethnic origin, citizenship, migration (Art. 9).
    Ethnicity,
    /// Debts, income, gambling.
    Finance,
    /// Health of body and mind, addiction, disability, genetic and biometric data (Art. 9).
    Health,
    /// Where the person is or was, finer than a region.
    Location,
    /// Political opinions, elections (Art. 9).
    Politics,
    /// Wanting, expecting, losing or having a child; separation.
    PregnancyAndFamily,
    /// Religious or philosophical beliefs (Art. 9).
    ReligionAndBelief,
    /// Sex life, orientation, gender (Art. 9).
    Sexuality,
    /// Trade union membership (Art. 9).
    Union,
}

/// A text that names no purpose.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no purpose: expected {expected}", expected = expected())]
pub struct PurposeError(String);

impl Category {
    /// Every category, in order.
    pub const ALL: [Self; 10] = [
        Self::Crime,
        Self::Ethnicity,
        Self::Finance,
        Self::Health,
        Self::Location,
        Self::Politics,
        Self::PregnancyAndFamily,
        Self::ReligionAndBelief,
        Self::Sexuality,
        Self::Union,
    ];

    /// Its text form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crime => "crime",
            Self::Ethnicity => "ethnicity",
            Self::Finance => "finance",
            Self::Health => "health",
            Self::Location => "location",
            Self::Politics => "politics",
            Self::PregnancyAndFamily => "pregnancy-and-family",
            Self::ReligionAndBelief => "religion-and-belief",
            Self::Sexuality => "sexuality",
            Self::Union => "union",
        }
    }
}

/// What stands before the category in the text form.
const SENSITIVE: &str = "sensitive:";

impl Purpose {
    /// Every purpose, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        let before = [
            Self::AggregateStatistics,
            Self::ChannelSlate,
            Self::ContributeTraining,
            Self::CrossDeviceSync,
            Self::LocalPersonalisation,
            Self::PersonalisedOffers,
        ];
        let sensitive = Category::ALL.into_iter().map(Self::Sensitive);
        let after = [Self::ThirdPartyShare, Self::ThirdPartySource];
        before.into_iter().chain(sensitive).chain(after)
    }

    /// Whether this library does nothing with a yes by itself: only an app that has built it and asks
    /// [`Client::granted`](crate::Client::granted) does. Any other app does not offer it.
    pub fn needs_the_app(self) -> bool {
        matches!(
            self,
            Self::ChannelSlate | Self::CrossDeviceSync | Self::ThirdPartyShare
        )
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AggregateStatistics => "aggregate-statistics",
            Self::ChannelSlate => "channel-slate",
            Self::ContributeTraining => "contribute-training",
            Self::CrossDeviceSync => "cross-device-sync",
            Self::LocalPersonalisation => "local-personalisation",
            Self::PersonalisedOffers => "personalised-offers",
            Self::Sensitive(category) => return write!(f, "{SENSITIVE}{}", category.name()),
            Self::ThirdPartyShare => "third-party-share",
            Self::ThirdPartySource => "third-party-source",
        })
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        Self::all()
            .find(|purpose| purpose.to_string() == text)
            .ok_or_else(|| PurposeError(text.escape_debug().to_string()))
    }
}

impl TryFrom<String> for Purpose {
    type Error = PurposeError;

    fn try_from(text: String) -> Result<Self, PurposeError> {
        text.parse()
    }
}

impl From<Purpose> for String {
    fn from(purpose: Purpose) -> Self {
        purpose.to_string()
    }
}

/// The purposes, for the sentence of the error.
fn expected() -> String {
    let names: Vec<String> = Purpose::all().map(String::from).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_has_one_name_and_the_order_is_that_of_the_names() {
        let all: Vec<Purpose> = Purpose::all().collect();
        let names: Vec<String> = all.iter().map(Purpose::to_string).collect();
        assert_eq!(all.len(), 18);
        assert!(all.is_sorted() && names.is_sorted());
        for (purpose, name) in all.iter().zip(&names) {
            assert_eq!(name.parse(), Ok(*purpose));
            let json = serde_json::to_string(purpose).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Purpose>(&json).unwrap(), *purpose);
        }
        for category in Category::ALL {
            assert_eq!(
                serde_json::to_string(&category).unwrap(),
                format!("\"{}\"", category.name())
            );
        }
        let error = "sensitive:hair".parse::<Purpose>().unwrap_err().to_string();
        assert!(
            error.starts_with("`sensitive:hair` is no purpose: expected aggregate-statistics, ")
        );
    }
}
