use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Purpose;
use super::strings::{TCF_EU, TCF_SECTIONS, gpp, opted_out, tcf};

/// What a browser, an operating system or a consent dialogue says for the person. The app hands it in whenever it learns it.
///
/// A signal can only deny, and never grants anything. One that is missing or cannot be read says no to all that its kind
/// can speak of. What the person decides in this app after a signal came goes before it, and the conflict is shown; a signal
/// that changes after that goes before the decision again.
///
/// | what is said | no to |
/// |---|---|
/// | Global Privacy Control, advertising tracking limited, opted out of sale, sharing or targeted advertising (GPP) | `channel-slate`, `third-party-share` |
/// | TCF: no consent to purpose 1, store and access information on a device | `local-personalisation` |
/// | 3, create profiles for personalised advertising | `personalised-offers`, `third-party-share`, `third-party-source` |
/// | 4, use profiles to select personalised advertising | `channel-slate`, `personalised-offers` |
/// | 5, create profiles to personalise content | `cross-device-sync`, `local-personalisation`, `third-party-source` |
/// | 6, use profiles to select personalised content | `local-personalisation` |
/// | 9, understand audiences through statistics | `aggregate-statistics` |
/// | 10, develop and improve services | `contribute-training` |
///
/// Sources: W3C "Global Privacy Control"; Cal. Code Regs. tit. 11, § 7025; IAB Europe TCF policies, appendix A; IAB Tech Lab
/// GPP 1.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Signal {
    /// Global Privacy Control: the header `Sec-GPC`, or `navigator.globalPrivacyControl`.
    Gpc {
        /// Whether it is set.
        on: bool,
    },
    /// The Global Privacy Platform.
    Gpp {
        /// The numbers of the sections that apply (`IABGPP_GppSID`); where there are none, every one in the string.
        sections: Vec<u16>,
        /// The string (`IABGPP_HDR_GppString`).
        string: String,
    },
    /// The operating system's switch against tracking for advertising.
    LimitAdTracking {
        /// Whether it is set.
        on: bool,
    },
    /// The Transparency and Consent Framework of IAB Europe, version 2.
    Tcf {
        /// Whether the GDPR applies (`IABTCF_gdprApplies`); where it does not, the string says nothing.
        applies: bool,
        /// The string (`IABTCF_TCString`); empty where there is none.
        string: String,
    },
}

/// One thing that a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// The person opted out of sale, sharing or targeted advertising.
    OptOut,
    /// The person did not consent to this purpose of the TCF.
    NoTo(u16),
}

/// What each word denies: the table above.
const DENIED: [(Word, &[Purpose]); 8] = [
    (
        Word::OptOut,
        &[Purpose::ChannelSlate, Purpose::ThirdPartyShare],
    ),
    (Word::NoTo(1), &[Purpose::LocalPersonalisation]),
    (
        Word::NoTo(3),
        &[
            Purpose::PersonalisedOffers,
            Purpose::ThirdPartyShare,
            Purpose::ThirdPartySource,
        ],
    ),
    (
        Word::NoTo(4),
        &[Purpose::ChannelSlate, Purpose::PersonalisedOffers],
    ),
    (
        Word::NoTo(5),
        &[
            Purpose::CrossDeviceSync,
            Purpose::LocalPersonalisation,
            Purpose::ThirdPartySource,
        ],
    ),
    (Word::NoTo(6), &[Purpose::LocalPersonalisation]),
    (Word::NoTo(9), &[Purpose::AggregateStatistics]),
    (Word::NoTo(10), &[Purpose::ContributeTraining]),
];

impl Signal {
    /// Its kind, in words for machines: there is one signal of each.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gpc { .. } => "gpc",
            Self::Gpp { .. } => "gpp",
            Self::LimitAdTracking { .. } => "limit-ad-tracking",
            Self::Tcf { .. } => "tcf",
        }
    }

    /// Whether what it says can be read: a string that cannot says no to all that its kind can speak of.
    pub fn is_readable(&self) -> bool {
        match self {
            Self::Gpc { .. } | Self::LimitAdTracking { .. } => true,
            Self::Tcf { applies, string } => !*applies || tcf(string).is_some(),
            Self::Gpp { sections, string } => {
                string.is_empty() && sections.is_empty() || gpp(string).is_some()
            }
        }
    }

    /// What it says no to.
    pub fn denies(&self) -> BTreeSet<Purpose> {
        let says = |word: Word| match self {
            Self::Gpc { on } | Self::LimitAdTracking { on } => *on && word == Word::OptOut,
            Self::Tcf { applies, string } => *applies && tcf_says(string, word),
            Self::Gpp { sections, string } => gpp_says(string, sections, word),
        };
        DENIED
            .iter()
            .filter(|(word, _)| says(*word))
            .flat_map(|(_, denied)| denied.iter().copied())
            .collect()
    }
}

fn tcf_says(string: &str, word: Word) -> bool {
    match word {
        Word::OptOut => false,
        Word::NoTo(purpose) => tcf(string).is_none_or(|consents| !consents.contains(&purpose)),
    }
}

fn gpp_says(string: &str, applying: &[u16], word: Word) -> bool {
    // Neither a string nor a section that applies: nothing was said.
    if string.is_empty() && applying.is_empty() {
        return false;
    }
    let Some(sections) = gpp(string) else {
        // Which sections it has is not known; where the app says which apply, at least the others are out of it.
        return applying.is_empty() || applying.iter().any(|id| section_says(*id, None, word));
    };
    if applying.is_empty() {
        return sections
            .iter()
            .any(|(id, section)| section_says(*id, Some(section), word));
    }
    applying.iter().any(|applying| {
        let section = sections.iter().find(|(id, _)| id == applying);
        section_says(*applying, section.map(|(_, section)| *section), word)
    })
}

/// What a section says, or one that applies and is missing.
fn section_says(id: u16, section: Option<&str>, word: Word) -> bool {
    match word {
        Word::NoTo(_) if id == TCF_EU => tcf_says(section.unwrap_or_default(), word),
        Word::NoTo(_) => TCF_SECTIONS.contains(&id),
        Word::OptOut if TCF_SECTIONS.contains(&id) => false,
        Word::OptOut => section
            .and_then(|section| opted_out(id, section))
            .unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPT_OUT: &str = "channel-slate third-party-share";
    const ALL_OF_TCF: &str = "aggregate-statistics channel-slate contribute-training cross-device-sync \
                              local-personalisation personalised-offers third-party-share third-party-source";
    /// A TC string with consent to purposes 1, 2 and 3, and one with none.
    const SOME: &str = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA";
    const NONE: &str = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";

    fn denies(signal: Signal) -> String {
        let names: Vec<String> = signal.denies().into_iter().map(String::from).collect();
        names.join(" ")
    }

    fn tcf(applies: bool, string: &str) -> String {
        denies(Signal::Tcf {
            applies,
            string: string.to_owned(),
        })
    }

    fn gpp(sections: &[u16], string: &str) -> String {
        denies(Signal::Gpp {
            sections: sections.to_vec(),
            string: string.to_owned(),
        })
    }

    #[test]
    fn signals_deny_what_the_table_says() {
        assert_eq!(denies(Signal::Gpc { on: true }), OPT_OUT);
        assert_eq!(denies(Signal::Gpc { on: false }), "");
        assert_eq!(denies(Signal::LimitAdTracking { on: true }), OPT_OUT);
        assert_eq!(denies(Signal::LimitAdTracking { on: false }), "");

        assert_eq!(tcf(false, NONE), "");
        assert_eq!(tcf(true, NONE), ALL_OF_TCF);
        // Missing, or rubbish: no.
        assert_eq!(tcf(true, ""), ALL_OF_TCF);
        assert_eq!(tcf(true, "yes, to everything"), ALL_OF_TCF);
        assert_eq!(
            tcf(true, SOME),
            "aggregate-statistics channel-slate contribute-training cross-device-sync local-personalisation \
             personalised-offers third-party-source"
        );

        assert_eq!(gpp(&[], ""), "");
        assert_eq!(gpp(&[], "DBABTA~1YNN"), "");
        assert_eq!(gpp(&[], "DBABTA~1YYN"), OPT_OUT);
        assert_eq!(gpp(&[], "DBABLA~BVVVVVVVVWA.YA"), OPT_OUT);
        assert_eq!(gpp(&[], "DBABBg~BVqqqqpY"), "");
        assert_eq!(gpp(&[], "DBABBg~BVqqqqpY.YA"), OPT_OUT);
        assert_eq!(gpp(&[], "DBABBg~B"), OPT_OUT);
        let both = format!("DBACNY~{NONE}~1YNN");
        assert_eq!(gpp(&[], &both), ALL_OF_TCF);
        // Only what applies is heard; what applies and is missing says no.
        assert_eq!(gpp(&[6], &both), "");
        assert_eq!(gpp(&[2], &both), ALL_OF_TCF);
        assert_eq!(gpp(&[8], &both), OPT_OUT);
        assert_eq!(gpp(&[8], "rubbish"), OPT_OUT);
        assert_eq!(gpp(&[2], ""), ALL_OF_TCF);
        assert_eq!(gpp(&[], "rubbish"), ALL_OF_TCF);
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_says_no() {
        let gpp = |sections: &[u16], string: &str| Signal::Gpp {
            sections: sections.to_vec(),
            string: string.to_owned(),
        };
        let tcf = |applies, string: &str| Signal::Tcf {
            applies,
            string: string.to_owned(),
        };
        let readable = [
            Signal::Gpc { on: true },
            Signal::LimitAdTracking { on: false },
            tcf(true, NONE),
            tcf(false, "rubbish"),
            gpp(&[], ""),
            gpp(&[8], "DBABTA~1YYN"),
        ];
        assert!(readable.iter().all(Signal::is_readable));
        let rubbish = [tcf(true, ""), tcf(true, "rubbish"), gpp(&[], "rubbish")];
        assert!(!rubbish.iter().any(Signal::is_readable));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// No string whatever speaks of a sensitive category, and rubbish denies.
        #[test]
        fn no_string_grants(string in "[A-Za-z0-9_~.-]{1,120}", sections in prop::collection::vec(0u16..40, 0..4)) {
            let known: BTreeSet<Purpose> = DENIED.iter().flat_map(|(_, denied)| denied.iter().copied()).collect();
            let denied = Signal::Gpp { sections, string: string.clone() }.denies();
            prop_assert!(denied.is_subset(&known));
            let denied = Signal::Tcf { applies: true, string: string.clone() }.denies();
            prop_assert!(denied.is_subset(&known));
            if !string.starts_with('C') {
                prop_assert_eq!(denied, known);
            }
        }
    }
}
