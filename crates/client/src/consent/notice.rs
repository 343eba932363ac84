use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chorus_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::Purpose;

/// What a person reads before they decide: one section for each purpose, in one language.
///
/// It is generated from the data map that is compiled in, so it says what the app does and nothing else. What the law
/// wants said: Art. 13 of Regulation (EU) 2016/679 (GDPR), ISO/IEC 29184:2020 clause 5.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The language of the texts, as in BCP 47: `en`, `de`.
    pub language: String,
    /// What is said of each purpose that this app has.
    pub sections: BTreeMap<Purpose, Section>,
    /// Raised whenever what is said changes.
    pub version: u32,
}

/// What a notice says of one purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// What the person gains.
    pub benefit: String,
    /// What it costs them, in words that do not hide it.
    pub cost: String,
    /// What of them is used: one line for each field of the data map.
    pub fields: BTreeSet<String>,
    /// Who gets something, and what.
    pub recipients: BTreeSet<String>,
    /// How long it is kept.
    pub retention: String,
    /// The purpose in a few words.
    pub title: String,
}

/// One thing that a newer notice says differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was said and no longer is.
    pub before: BTreeSet<String>,
    /// What is said instead, or in addition.
    pub now: BTreeSet<String>,
    /// What it is about: the name of the field of [`Section`].
    pub what: String,
}

/// As a person reads it, line by line.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines(Some(self))
            .iter()
            .flatten()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Notice {
    /// SHA-256 of the notice as the person saw it.
    pub fn digest(&self) -> Digest {
        digest(self)
    }

    /// What this notice says differently from `before`, for each purpose where it does. A purpose that one of them does
    /// not know differs in all that is said of it.
    pub fn diff(&self, before: &Self) -> BTreeMap<Purpose, Vec<Change>> {
        let purposes: BTreeSet<&Purpose> = [self, before]
            .iter()
            .flat_map(|notice| notice.sections.keys())
            .collect();
        purposes
            .into_iter()
            .map(|purpose| {
                let (before, now) = (before.sections.get(purpose), self.sections.get(purpose));
                (*purpose, changes(before, now))
            })
            .filter(|(_, changes)| !changes.is_empty())
            .collect()
    }
}

/// What was said of a purpose `before` and what is said `now`, where that differs.
pub(crate) fn changes(before: Option<&Section>, now: Option<&Section>) -> Vec<Change> {
    let (before, now) = (lines(before), lines(now));
    let whats = [
        "title",
        "benefit",
        "cost",
        "fields",
        "recipients",
        "retention",
    ];
    let both = whats.into_iter().zip(before).zip(now);
    both.filter(|((_, before), now)| before != now)
        .map(|((what, before), now)| Change {
            before: before.difference(&now).cloned().collect(),
            now: now.difference(&before).cloned().collect(),
            what: what.to_owned(),
        })
        .collect()
}

/// The lines of a section, in the order in which a person reads them.
fn lines(section: Option<&Section>) -> [BTreeSet<String>; 6] {
    let Some(section) = section else {
        return Default::default();
    };
    let one = |text: &String| BTreeSet::from([text.clone()]);
    [
        one(&section.title),
        one(&section.benefit),
        one(&section.cost),
        section.fields.clone(),
        section.recipients.clone(),
        one(&section.retention),
    ]
}

/// SHA-256 of the canonical JSON of a value (RFC 8785): no spaces, names in order. What is hashed here declares its fields
/// in the order of their names and holds texts, whole numbers, sets and maps alone, so that serde writes just this.
pub(crate) fn digest(value: &impl Serialize) -> Digest {
    // Writing such a value into memory has no way to fail.
    Digest::of(&serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A notice of all purposes, for tests.
    pub fn notice(version: u32) -> Notice {
        let section = |purpose: Purpose| Section {
            benefit: format!("What {purpose} gives."),
            cost: format!("What {purpose} takes."),
            fields: BTreeSet::from(["item".to_owned(), "time".to_owned()]),
            recipients: BTreeSet::from(["nobody".to_owned()]),
            retention: "90 days".to_owned(),
            title: purpose.to_string(),
        };
        Notice {
            language: "en".to_owned(),
            sections: Purpose::all()
                .map(|purpose| (purpose, section(purpose)))
                .collect(),
            version,
        }
    }

    #[test]
    fn every_word_of_a_notice_is_in_its_digest_and_in_the_difference() {
        let before = notice(1);
        assert!(notice(1).diff(&before).is_empty());
        assert_eq!(notice(1).digest(), before.digest());
        assert_ne!(notice(2).digest(), before.digest());

        let purpose = Purpose::ContributeTraining;
        type Edit = fn(&mut Section);
        let edits: [(&str, Edit); 6] = [
            ("title", |section| section.title.push('!')),
            ("benefit", |section| section.benefit.push('!')),
            ("cost", |section| section.cost.push('!')),
            ("fields", |section| {
                section.fields = ["item".to_owned(), "place".to_owned()].into()
            }),
            ("recipients", |section| section.recipients.clear()),
            ("retention", |section| section.retention.push('!')),
        ];
        for (what, edit) in edits {
            let mut now = notice(1);
            edit(now.sections.get_mut(&purpose).unwrap());
            assert_ne!(now.digest(), before.digest(), "{what}");
            let diff = now.diff(&before);
            assert_eq!(diff.keys().collect::<Vec<_>>(), [&purpose], "{what}");
            assert_eq!(diff[&purpose].len(), 1);
            assert_eq!(diff[&purpose][0].what, what);
        }
        let mut now = notice(1);
        now.sections.get_mut(&purpose).unwrap().fields =
            ["item".to_owned(), "place".to_owned()].into();
        let change = &now.diff(&before)[&purpose][0];
        assert_eq!(change.before, ["time".to_owned()].into());
        assert_eq!(change.now, ["place".to_owned()].into());

        now.sections.remove(&purpose);
        assert_eq!(now.diff(&before)[&purpose].len(), 6);
    }

    /// What RFC 8785 writes: names in the order of their characters, and no spaces.
    pub fn canonical(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| {
                        format!("{}:{}", serde_json::json!(name), canonical(value))
                    })
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            serde_json::Value::Array(values) => {
                let values: Vec<_> = values.iter().map(canonical).collect();
                format!("[{}]", values.join(","))
            }
            value => value.to_string(),
        }
    }

    #[test]
    fn a_notice_is_hashed_as_canonical_json() {
        let notice = notice(1);
        let canonical = canonical(&serde_json::to_value(&notice).unwrap());
        assert_eq!(notice.digest(), Digest::of(canonical.as_bytes()));
    }
}
