use std::collections::{BTreeMap, BTreeSet};

use chorus_protocol::Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::notice::digest;
use super::{Controller, Notice, Purpose, Section, Signal};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Refuse, or withdraw what was granted.
    No,
    /// Grant.
    Yes,
}

/// What a person decided. A yes and a no are made the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    answer: Answer,
    purposes: BTreeSet<Purpose>,
    language: String,
    notice: Digest,
}

impl Decision {
    /// The answer to `purposes` of a person who saw `notice`.
    pub fn new(
        answer: Answer,
        purposes: impl IntoIterator<Item = Purpose>,
        notice: &Notice,
    ) -> Self {
        Self {
            answer,
            purposes: purposes.into_iter().collect(),
            language: notice.language.clone(),
            notice: notice.digest(),
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        self.answer
    }

    /// The language of the notice that was shown.
    pub(crate) fn language(&self) -> &str {
        &self.language
    }
}

/// A decision that cannot be taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecisionError {
    /// What the person saw is not what the app does now.
    #[error("the notice that was shown is not the current one")]
    OtherNotice,
    /// Nobody can say yes to what was not explained.
    #[error("the notice says nothing about `{0}`")]
    Unexplained(Purpose),
    /// There is nothing to decide.
    #[error("the decision names no purpose")]
    Empty,
}

/// One decision, or what a signal said, as it is kept: append-only, and each holds the digest of the one before.
///
/// The fields of a consent record of ISO/IEC TS 27560:2023, clause 6, as far as a device knows them; the rest is in the
/// receipt.
///
/// # Privacy
/// Says what the person agreed to. It stays on the device until the person exports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Yes or no.
    pub answer: Answer,
    /// When, seconds since 1970 UTC.
    pub at: i64,
    /// The kind of the signal that said no for the person; nothing where the person decided.
    pub by: Option<String>,
    /// Who was responsible for the app then; nothing in an entry of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<Controller>,
    /// Its place, from 0.
    pub index: u64,
    /// The language of the notice that was shown; empty where a signal spoke.
    pub language: String,
    /// SHA-256 of the notice that was shown; zeros where a signal spoke.
    pub notice: Digest,
    /// SHA-256 of the canonical JSON of the entry before; zeros in the first.
    pub previous: Digest,
    /// To what, and what of the notice explained it. A no needs no explanation.
    pub purposes: BTreeMap<Purpose, Option<Section>>,
    /// The version of the notice that was shown; 0 where a no refers to none, or to one that is gone.
    pub version: u32,
}

impl Entry {
    /// SHA-256 of its canonical JSON (RFC 8785).
    pub fn digest(&self) -> Digest {
        digest(self)
    }
}

/// All decisions, in their order, with the chain checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
}

/// The entry at this place does not follow the one before.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("entry {0} does not follow the one before")]
pub(crate) struct LedgerError(pub u64);

impl Ledger {
    /// Checks that every entry follows the one before.
    pub fn read(entries: Vec<Entry>) -> Result<Self, LedgerError> {
        let (mut index, mut previous) = (0, Digest::ZERO);
        for entry in &entries {
            if (entry.index, entry.previous) != (index, previous) {
                return Err(LedgerError(index));
            }
            (index, previous) = (index + 1, entry.digest());
        }
        Ok(Self { entries })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries about one purpose, from the last.
    pub fn about(&self, purpose: Purpose) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter().rev();
        entries.filter(move |entry| entry.purposes.contains_key(&purpose))
    }

    /// The entry that a decision becomes. `current`: the notice in the language that was shown, as it is now.
    ///
    /// A yes needs exactly this notice, for what one agreed to must be what is done. A no is always taken.
    pub fn next(
        &self,
        decision: &Decision,
        current: Option<&Notice>,
        at: i64,
    ) -> Result<Entry, DecisionError> {
        if decision.purposes.is_empty() {
            return Err(DecisionError::Empty);
        }
        let shown = current.filter(|current| current.digest() == decision.notice);
        let explained = |purpose: &Purpose| match decision.answer {
            Answer::No => Ok(None),
            Answer::Yes => match shown
                .ok_or(DecisionError::OtherNotice)?
                .sections
                .get(purpose)
            {
                Some(section) => Ok(Some(section.clone())),
                None => Err(DecisionError::Unexplained(*purpose)),
            },
        };
        let purposes = decision.purposes.iter();
        let purposes = purposes.map(|purpose| Ok((*purpose, explained(purpose)?)));
        Ok(Entry {
            answer: decision.answer,
            at,
            by: None,
            controller: None,
            index: self.entries.len() as u64,
            language: decision.language.clone(),
            notice: decision.notice,
            previous: self.head(),
            purposes: purposes.collect::<Result<_, DecisionError>>()?,
            version: shown.map_or(0, |notice| notice.version),
        })
    }

    /// The entry that a signal becomes: a no to what it denies and nobody has said no to yet; nothing where there is none.
    pub fn object(&self, signal: &Signal, at: i64) -> Option<Entry> {
        let open = signal.denies().into_iter().filter(|purpose| {
            let last = self.about(*purpose).next();
            last.is_none_or(|last| last.answer == Answer::Yes)
        });
        let purposes: BTreeMap<_, _> = open.map(|purpose| (purpose, None)).collect();
        (!purposes.is_empty()).then(|| Entry {
            answer: Answer::No,
            at,
            by: Some(signal.kind().to_owned()),
            controller: None,
            index: self.entries.len() as u64,
            language: String::new(),
            notice: Digest::ZERO,
            previous: self.head(),
            purposes,
            version: 0,
        })
    }

    fn head(&self) -> Digest {
        self.entries.last().map_or(Digest::ZERO, Entry::digest)
    }

    /// Adds what [`next`](Self::next) or [`object`](Self::object) made.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::consent::notice::tests::{canonical, notice};

    /// A ledger of some decisions about one purpose, a day apart.
    pub fn ledger(purpose: Purpose, answers: &[Answer]) -> Ledger {
        let notice = notice(1);
        let mut ledger = Ledger::default();
        for (day, answer) in answers.iter().enumerate() {
            let decision = Decision::new(*answer, [purpose], &notice);
            let entry = ledger
                .next(&decision, Some(&notice), day as i64 * 86_400)
                .unwrap();
            ledger.push(entry);
        }
        ledger
    }

    fn controller(name: &str) -> Controller {
        Controller {
            name: name.to_owned(),
            contact: "privacy@films.example".to_owned(),
        }
    }

    /// Nothing in the ledger can be changed, left out, added or moved without a trace.
    #[test]
    fn every_entry_follows_the_one_before() {
        use Answer::{No, Yes};
        let mut ledger = ledger(Purpose::ContributeTraining, &[Yes, No, Yes]);
        let shown = notice(1);
        let no = Decision::new(No, [Purpose::ContributeTraining], &shown);
        // The third one says who was responsible, as those of before do not.
        ledger.entries[2].controller = Some(controller("Films Ltd"));
        ledger.push(ledger.next(&no, Some(&shown), 3 * 86_400).unwrap());
        let entries = ledger.entries;
        assert!(Ledger::read(entries.clone()).is_ok());
        type Tamper = fn(&mut Vec<Entry>);
        let tampers: [(u64, Tamper); 9] = [
            (0, |entries| drop(entries.remove(0))),
            (1, |entries| drop(entries.remove(1))),
            (1, |entries| entries.swap(1, 2)),
            (3, |entries| entries[2].answer = No),
            (2, |entries| entries[1].at += 1),
            (3, |entries| {
                entries[2].controller = Some(controller("Other Ltd"))
            }),
            (1, |entries| {
                entries[0].controller = Some(controller("Other Ltd"))
            }),
            (2, |entries| entries[1].notice = Digest::ZERO),
            (3, |entries| {
                drop(entries[2].purposes.insert(Purpose::ThirdPartyShare, None))
            }),
        ];
        for (place, tamper) in tampers {
            let mut entries = entries.clone();
            tamper(&mut entries);
            assert_eq!(Ledger::read(entries), Err(LedgerError(place)));
        }
    }

    #[test]
    fn entries_are_hashed_as_canonical_json() {
        let mut entries = ledger(Purpose::ContributeTraining, &[Answer::Yes, Answer::No]).entries;
        entries[1].controller = Some(controller("Films Ltd"));
        for entry in entries {
            let canonical = canonical(&serde_json::to_value(&entry).unwrap());
            assert_eq!(entry.digest(), Digest::of(canonical.as_bytes()));
        }
    }

    #[test]
    fn a_yes_needs_the_notice_that_is_true_now_and_a_no_needs_nothing() {
        let (old, mut now) = (notice(1), notice(2));
        now.sections.remove(&Purpose::ThirdPartyShare);
        let ledger = Ledger::default();
        let yes = |purpose, seen: &Notice| {
            let decision = Decision::new(Answer::Yes, [purpose], seen);
            ledger.next(&decision, Some(&now), 0)
        };
        let purpose = Purpose::LocalPersonalisation;
        let entry = yes(purpose, &now).unwrap();
        assert_eq!((entry.notice, entry.version), (now.digest(), 2));
        assert_eq!(
            entry.purposes[&purpose].as_ref(),
            now.sections.get(&purpose)
        );
        assert_eq!(yes(purpose, &old), Err(DecisionError::OtherNotice));
        let unexplained = Purpose::ThirdPartyShare;
        assert_eq!(
            yes(unexplained, &now),
            Err(DecisionError::Unexplained(unexplained))
        );
        let none = Decision::new(Answer::Yes, [], &now);
        assert_eq!(ledger.next(&none, Some(&now), 0), Err(DecisionError::Empty));

        let no = Decision::new(Answer::No, Purpose::all(), &old);
        assert_eq!(ledger.next(&no, Some(&now), 0).unwrap().version, 0);
        assert_eq!(ledger.next(&no, None, 0).unwrap().purposes.len(), 18);
    }
}
