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
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 14] = [
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
    ];

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
        }
    }

    /// What it is called, for people.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Item => "What you did, item by item",
            Kind::Person => "What you said about yourself",
            Kind::Control => "What you muted, pinned or chose",
            Kind::Shown => "How often you were shown what",
            Kind::Decision => "What you allowed and refused",
            Kind::Signal => "Privacy signals of your device",
            Kind::Asked => "When you were asked",
            Kind::Standing => "The coordinator that you take part with",
            Kind::Enrolment => "Your membership in the federation",
            Kind::Charge => "What you contributed, and what it cost in privacy",
            Kind::LocalReport => "Days on which you sent a noised report",
            Kind::Model => "The shared models that are here",
            Kind::Activity => "Every upload",
            Kind::Tidied => "When old data was last cleared",
        }
    }

    /// What of its records nobody is shown, and why. Everything else is shown to the person and is in every export: a new kind does not
    /// build before it says so here.
    pub fn secrets(self) -> &'static [Secret] {
        match self {
            Kind::Enrolment => &[Secret {
                field: Some("seed"),
                why: "the secret key that proves who this client is: who has a copy can pretend to be it",
            }],
            Kind::Standing => &[Secret {
                field: None,
                why: "secret keys of the round that is under way, some of them other people's",
            }],
            Kind::Model => &[Secret {
                field: None,
                why: "the file of the shared model: it is the same for everybody, and nothing in it is about you",
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
            | Kind::Tidied => &[],
        }
    }
}

/// What is not shown of a kind.
pub(crate) struct Secret {
    /// The field; nothing for the bytes behind the fields.
    pub field: Option<&'static str>,
    /// For the person.
    pub why: &'static str,
}
