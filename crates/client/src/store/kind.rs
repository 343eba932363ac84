use crate::map::Language;

/// What a record is about. The numbers are in every store and never change; a new kind takes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One item of the history: its events, or what they were folded into.
    Item = 1,
    /// What the person said about themselves.
    Person = 2,
    /// A choice of the person about an item or a topic.
    Control = 3,
    /// How often something was shown.
    Shown = 4,
    /// One decision of the consent ledger.
    Decision = 5,
    /// A signal that the host handed in.
    Signal = 6,
    /// When the person was asked for something.
    Asked = 7,
    /// The coordinator, the model log and the round under way.
    Standing = 8,
    /// The client's key and its certificate.
    Enrolment = 9,
    /// What one contribution cost.
    Charge = 10,
    /// A report that was private by itself, counted against its day.
    LocalReport = 11,
    /// The newest model of a task.
    Model = 12,
    /// One line of the log of uploads.
    Activity = 13,
    /// When the store was tidied last.
    Tidied = 14,
    /// A file that events came from.
    Import = 15,
    /// How many decisions or charges there are.
    Tally = 16,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 16] = [
        Kind::Item,
        Kind::Person,
        Kind::Control,
        Kind::Shown,
        Kind::Decision,
        Kind::Signal,
        Kind::Asked,
        Kind::Standing,
        Kind::Enrolment,
        Kind::Charge,
        Kind::LocalReport,
        Kind::Model,
        Kind::Activity,
        Kind::Tidied,
        Kind::Import,
        Kind::Tally,
    ];

    /// The kinds whose records are only ever added.
    pub const GROWING: [Kind; 2] = [Kind::Decision, Kind::Charge];

    /// The number in the file.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind of a number in the file.
    pub fn of(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// True when what was in a record must be gone from the file as soon as the record changes: spent secrets of
    /// rounds. For other kinds that is so when a record is removed.
    pub fn is_spent_by_change(self) -> bool {
        self == Kind::Standing
    }

    /// What it is called, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Item => "item",
            Kind::Person => "person",
            Kind::Control => "control",
            Kind::Shown => "shown",
            Kind::Decision => "decision",
            Kind::Signal => "signal",
            Kind::Asked => "asked",
            Kind::Standing => "standing",
            Kind::Enrolment => "enrolment",
            Kind::Charge => "charge",
            Kind::LocalReport => "local-report",
            Kind::Model => "model",
            Kind::Activity => "activity",
            Kind::Tidied => "tidied",
            Kind::Import => "import",
            Kind::Tally => "tally",
        }
    }

    /// What of its records nobody is shown, and why. Everything else is shown to the person and is in every export: a new kind does not
    /// build before it says so here.
    pub fn secrets(self) -> &'static [Secret] {
        match self {
            Kind::Enrolment => &[Secret {
                field: Some("seed"),
                why: [
                    "the secret key that proves who this client is: who has a copy can pretend to be it",
                    "der geheime Schlüssel, der zeigt, wer du bist: mit ihm kann sich jeder für dich ausgeben",
                ],
            }],
            Kind::Standing => &[Secret {
                field: None,
                why: [
                    "secret keys of the round that is under way, some of them other people's",
                    "geheime Schlüssel der Runde, die gerade läuft, auch von anderen",
                ],
            }],
            Kind::Model => &[Secret {
                field: None,
                why: [
                    "the file of the shared model: it is the same for everybody, and nothing in it is about you",
                    "die Datei mit dem Modell: sie ist für alle gleich, und nichts darin ist von dir",
                ],
            }],
            Kind::Item
            | Kind::Person
            | Kind::Control
            | Kind::Shown
            | Kind::Decision
            | Kind::Signal
            | Kind::Asked
            | Kind::Charge
            | Kind::LocalReport
            | Kind::Activity
            | Kind::Tidied
            | Kind::Import
            | Kind::Tally => &[],
        }
    }
}

/// What is not shown of a kind.
pub(crate) struct Secret {
    /// The field; nothing for the bytes behind the fields.
    pub field: Option<&'static str>,
    /// For the person, in the order of `Language::ALL`.
    pub why: [&'static str; Language::ALL.len()],
}
