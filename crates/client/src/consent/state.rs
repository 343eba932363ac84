//! What follows from the ledger, the signals and the notice as it is now. Nothing of it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ledger::{Entry, Ledger};
use super::notice::changes;
use super::{Answer, Change, Notice, Purpose, Signal};

/// How things stand with one purpose. Only `Granted` allows anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A signal says no, and the person has said nothing else since.
    Denied,
    /// The person said yes to what the notice says now.
    Granted,
    /// Nobody decided anything.
    Off,
    /// The person said yes, and what the notice says of it changed since: to be asked again.
    Pending,
    /// The person said no.
    Refused,
    /// The person said yes, and then they, or a signal, said no.
    Withdrawn,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "denied",
            Self::Granted => "granted",
            Self::Off => "off",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        })
    }
}

/// One purpose on a person's screen.
///
/// # Privacy
/// Says what the person agreed to. It is for that person's screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// Which.
    pub purpose: Purpose,
    /// How things stand.
    pub state: State,
    /// Since when, seconds since 1970 UTC.
    pub since: Option<i64>,
    /// What the notice says differently now, where the state is [`State::Pending`].
    pub changes: Vec<Change>,
    /// The kinds of the signals that say no to it. In the state [`State::Granted`] they stand against what the person decided
    /// later: to be shown.
    pub signals: Vec<&'static str>,
    /// Whether the app may ask for it now: see [`COOL_DOWN`].
    pub may_ask: bool,
}

/// A signal as it is shown: what it says, and what became of it.
///
/// # Privacy
/// Says what the person's browser or system asks for. It is for that person's screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Honoured {
    /// The signal.
    pub signal: Signal,
    /// When it came to say this, seconds since 1970 UTC.
    pub since: i64,
    /// What it says no to, and is followed in.
    pub denied: BTreeSet<Purpose>,
    /// What it says no to, and the person later said yes to.
    pub overridden: BTreeSet<Purpose>,
}

/// A signal as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub signal: Signal,
    /// When it came to say this, seconds since 1970 UTC.
    pub at: i64,
}

/// When the app last asked for a purpose, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub purpose: Purpose,
    /// Seconds since 1970 UTC.
    pub at: i64,
}

/// Seconds for which nobody is asked again after a no, a withdrawal, or a question that was left open: 90 days. While a
/// signal denies a purpose, nobody is asked at all.
pub const COOL_DOWN: i64 = 90 * 24 * 60 * 60;

/// The notice of each language as it is now.
pub(crate) type Notices = BTreeMap<String, Notice>;

/// All that decides.
pub(crate) struct Consents {
    pub ledger: Ledger,
    pub heard: Vec<Heard>,
    pub asked: Vec<Asked>,
}

impl Consents {
    /// What the ledger alone decides: all that is granted.
    pub fn of(ledger: Ledger) -> Self {
        Self {
            ledger,
            heard: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Every purpose as it stands at `now`, seconds since 1970 UTC.
    pub fn consents(&self, notices: &Notices, now: i64) -> Vec<Consent> {
        Purpose::all()
            .map(|purpose| self.consent(purpose, notices, now))
            .collect()
    }

    /// The purposes that are granted.
    pub fn granted(&self, notices: &Notices) -> BTreeSet<Purpose> {
        Purpose::all()
            .filter(|purpose| self.state(*purpose, notices).0 == State::Granted)
            .collect()
    }

    /// The signals, and what became of each.
    pub fn signals(&self, notices: &Notices) -> Vec<Honoured> {
        let granted = self.granted(notices);
        let heard = self.heard.iter();
        heard
            .map(|heard| {
                let (overridden, denied) = heard
                    .signal
                    .denies()
                    .into_iter()
                    .partition(|purpose| granted.contains(purpose));
                Honoured {
                    signal: heard.signal.clone(),
                    since: heard.at,
                    denied,
                    overridden,
                }
            })
            .collect()
    }

    fn consent(&self, purpose: Purpose, notices: &Notices, now: i64) -> Consent {
        let (state, since, changes) = self.state(purpose, notices);
        let asked = self.asked.iter().find(|asked| asked.purpose == purpose);
        let no = matches!(state, State::Refused | State::Withdrawn);
        let last = asked.map(|asked| asked.at).max(since.filter(|_| no));
        let may_ask = match state {
            State::Granted | State::Denied => false,
            State::Off | State::Pending | State::Refused | State::Withdrawn => {
                last.is_none_or(|last| now.saturating_sub(last) >= COOL_DOWN)
            }
        };
        let signals = self.objecting(purpose).map(|heard| heard.signal.kind());
        Consent {
            purpose,
            state,
            since,
            changes,
            signals: signals.collect(),
            may_ask,
        }
    }

    /// How things stand with a purpose, since when, and what of the notice changed. The last word counts, in the order of
    /// the ledger and not of anybody's clock.
    fn state(&self, purpose: Purpose, notices: &Notices) -> (State, Option<i64>, Vec<Change>) {
        let mut about = self.ledger.about(purpose);
        let Some(last) = about.next() else {
            return (State::Off, None, Vec::new());
        };
        let (state, changes) = match last.answer {
            Answer::Yes => match changed(last, purpose, notices) {
                changes if changes.is_empty() => (State::Granted, changes),
                changes => (State::Pending, changes),
            },
            Answer::No if last.by.is_some() && self.objecting(purpose).next().is_some() => {
                (State::Denied, Vec::new())
            }
            Answer::No if about.any(|entry| entry.answer == Answer::Yes) => {
                (State::Withdrawn, Vec::new())
            }
            Answer::No if last.by.is_none() => (State::Refused, Vec::new()),
            // A signal had said no where nobody had said yes, and says it no longer.
            Answer::No => (State::Off, Vec::new()),
        };
        (state, Some(last.at), changes)
    }

    /// The signals that say no to a purpose.
    fn objecting(&self, purpose: Purpose) -> impl Iterator<Item = &Heard> {
        let heard = self.heard.iter();
        heard.filter(move |heard| heard.signal.denies().contains(&purpose))
    }
}

/// What the notice says of a purpose now and did not say when the person said yes, in the language in which they read it.
fn changed(yes: &Entry, purpose: Purpose, notices: &Notices) -> Vec<Change> {
    let before = yes.purposes.get(&purpose).and_then(Option::as_ref);
    let now = notices
        .get(&yes.language)
        .and_then(|notice| notice.sections.get(&purpose));
    changes(before, now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::consent::Decision;
    use crate::consent::ledger::tests::ledger;
    use crate::consent::notice::tests::notice;

    const PURPOSE: Purpose = Purpose::ThirdPartyShare;

    fn notices(notice: Notice) -> Notices {
        [(notice.language.clone(), notice)].into()
    }

    fn consents(answers: &[Answer]) -> Consents {
        Consents {
            ledger: ledger(PURPOSE, answers),
            heard: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn consent(consents: &Consents, now: i64) -> Consent {
        consents.consent(PURPOSE, &notices(notice(1)), now)
    }

    /// Hands in a signal, as the client does.
    fn hear(consents: &mut Consents, on: bool) {
        let signal = Signal::Gpc { on };
        if let Some(entry) = consents.ledger.object(&signal, 1_000) {
            consents.ledger.push(entry);
        }
        consents.heard = vec![Heard { signal, at: 1_000 }];
    }

    fn decide(consents: &mut Consents, answer: Answer, purpose: Purpose) {
        let notice = notice(1);
        let decision = Decision::new(answer, [purpose], &notice);
        let entry = consents
            .ledger
            .next(&decision, Some(&notice), 2_000)
            .unwrap();
        consents.ledger.push(entry);
    }

    #[test]
    fn everything_is_off_until_granted_and_a_no_is_remembered() {
        use Answer::{No, Yes};
        use State::{Granted, Off, Refused, Withdrawn};
        let day = 86_400;
        for (answers, state, since) in [
            (vec![], Off, None),
            (vec![No], Refused, Some(0)),
            (vec![Yes], Granted, Some(0)),
            (vec![Yes, No], Withdrawn, Some(day)),
            (vec![Yes, No, No], Withdrawn, Some(2 * day)),
            (vec![No, No], Refused, Some(day)),
            (vec![Yes, No, Yes], Granted, Some(2 * day)),
        ] {
            let found = consent(&consents(&answers), 0);
            assert_eq!((found.state, found.since), (state, since), "{answers:?}");
            let others = consents(&answers).consents(&notices(notice(1)), 0);
            let others = others.iter().filter(|other| other.purpose != PURPOSE);
            assert!(others.into_iter().all(|other| other.state == Off));
        }
    }

    #[test]
    fn nobody_is_asked_again_for_ninety_days() {
        let may_ask = |consents: &Consents, now| consent(consents, now).may_ask;
        assert!(may_ask(&consents(&[]), 0));
        assert!(!may_ask(&consents(&[Answer::Yes]), 10 * COOL_DOWN));
        let refused = consents(&[Answer::No]);
        assert!(!may_ask(&refused, 0));
        assert!(!may_ask(&refused, COOL_DOWN - 1));
        assert!(may_ask(&refused, COOL_DOWN));
        // A clock that was set back asks nobody earlier.
        assert!(!may_ask(&refused, i64::MIN));
        // A question that was left open counts, too.
        let mut asked = consents(&[]);
        asked.asked.push(Asked {
            purpose: PURPOSE,
            at: 5,
        });
        assert!(!may_ask(&asked, COOL_DOWN));
        assert!(may_ask(&asked, COOL_DOWN + 5));
        // A signal asks for silence.
        let mut denied = consents(&[]);
        hear(&mut denied, true);
        assert!(!may_ask(&denied, 10 * COOL_DOWN));
    }

    #[test]
    fn a_signal_denies_until_the_person_decides_otherwise_and_that_is_shown() {
        use Answer::{No, Yes};
        let state = |consents: &Consents| {
            let consent = consent(consents, 0);
            if let Some(shown) = consents.signals(&notices(notice(1))).first() {
                let granted = consent.state == State::Granted;
                assert_eq!(
                    shown.overridden.contains(&PURPOSE),
                    granted && !consent.signals.is_empty()
                );
                assert_eq!(
                    shown.denied.contains(&PURPOSE),
                    !granted && !consent.signals.is_empty()
                );
            }
            (consent.state, consent.signals.len())
        };
        for (before, after) in [
            (None, State::Off),
            (Some(Yes), State::Withdrawn),
            (Some(No), State::Refused),
        ] {
            let mut consents = consents(before.as_slice());
            hear(&mut consents, true);
            let denied = if before == Some(No) {
                State::Refused
            } else {
                State::Denied
            };
            assert_eq!(state(&consents), (denied, 1));
            // Said again, it changes nothing.
            let length = consents.ledger.entries().len();
            hear(&mut consents, true);
            assert_eq!(consents.ledger.entries().len(), length);
            // Switched off, it grants nothing.
            hear(&mut consents, false);
            assert_eq!(state(&consents), (after, 0));
            hear(&mut consents, true);
            // Decided after the signal came: it stands, and the conflict is shown.
            decide(&mut consents, Yes, PURPOSE);
            assert_eq!(state(&consents), (State::Granted, 1));
            decide(&mut consents, No, PURPOSE);
            assert_eq!(state(&consents), (State::Withdrawn, 1));
            decide(&mut consents, Yes, PURPOSE);
            // Said anew, it goes before the decision again.
            hear(&mut consents, false);
            assert_eq!(state(&consents), (State::Granted, 0));
            hear(&mut consents, true);
            assert_eq!(state(&consents), (State::Denied, 1));
            assert!(Ledger::read(consents.ledger.entries().to_vec()).is_ok());
        }
    }

    /// From one version of the notice to the next: what changed waits for a new yes, and nothing else does.
    #[test]
    fn a_changed_notice_suspends_exactly_what_it_changed() {
        let before = notice(1);
        let mut ledger = Ledger::default();
        let all = Decision::new(Answer::Yes, Purpose::all(), &before);
        ledger.push(ledger.next(&all, Some(&before), 7).unwrap());
        let no = Decision::new(Answer::No, [Purpose::ThirdPartySource], &before);
        ledger.push(ledger.next(&no, Some(&before), 8).unwrap());
        let mut consents = Consents {
            ledger,
            heard: Vec::new(),
            asked: Vec::new(),
        };
        for changed in Purpose::all().filter(|purpose| *purpose != Purpose::ThirdPartySource) {
            let mut after = notice(2);
            after
                .sections
                .get_mut(&changed)
                .unwrap()
                .cost
                .push_str(" And more.");
            for consent in consents.consents(&notices(after.clone()), 9) {
                let pending = consent.purpose == changed;
                let expected = match consent.purpose {
                    Purpose::ThirdPartySource => State::Withdrawn,
                    _ if pending => State::Pending,
                    _ => State::Granted,
                };
                assert_eq!(consent.state, expected);
                assert_eq!(consent.changes.len(), usize::from(pending));
                assert_eq!(consent.may_ask, pending);
                assert_eq!(
                    consents
                        .granted(&notices(after.clone()))
                        .contains(&consent.purpose),
                    expected == State::Granted
                );
            }
        }
        // A new yes to what changed settles it, and the wording in another language is no change.
        let mut after = notice(2);
        after.sections.get_mut(&PURPOSE).unwrap().cost.push('!');
        let again = Decision::new(Answer::Yes, [PURPOSE], &after);
        let entry = consents.ledger.next(&again, Some(&after), 9).unwrap();
        consents.ledger.push(entry);
        let mut both = notices(after);
        both.insert(
            "de".to_owned(),
            Notice {
                language: "de".to_owned(),
                ..notice(9)
            },
        );
        assert_eq!(consents.granted(&both).len(), 17);
        // A language that is gone is a notice that is gone.
        both.remove("en");
        assert_eq!(consents.granted(&both).len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever happens, what is granted is what the person said yes to after the last no of anybody.
        #[test]
        fn only_a_yes_grants(steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0usize..18), 0..40)) {
            let all: Vec<Purpose> = Purpose::all().collect();
            let mut consents = consents(&[]);
            let mut expected = BTreeSet::new();
            for (yes, signal, place) in steps {
                match (signal, yes) {
                    (true, on) => {
                        hear(&mut consents, on);
                        let denied = Signal::Gpc { on }.denies();
                        expected.retain(|purpose| !denied.contains(purpose));
                    }
                    (false, true) => {
                        decide(&mut consents, Answer::Yes, all[place]);
                        expected.insert(all[place]);
                    }
                    (false, false) => {
                        decide(&mut consents, Answer::No, all[place]);
                        expected.remove(&all[place]);
                    }
                }
                prop_assert_eq!(&consents.granted(&notices(notice(1))), &expected);
            }
        }
    }
}
