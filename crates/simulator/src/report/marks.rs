//! What tells one line from another besides its colour.

use super::text::{escape, place};

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Wedge,
}

/// Colour and dash, and mark, of each of several runs beside each other.
pub(super) const SERIES: [(&str, Mark); 6] = [
    ("k1", Mark::Circle),
    ("k2", Mark::Square),
    ("k3", Mark::Triangle),
    ("k4", Mark::Diamond),
    ("k5", Mark::Cross),
    ("k6", Mark::Wedge),
];

impl Mark {
    /// The outline around a place.
    pub fn path(self, x: f64, y: f64) -> String {
        let (x, y) = (place(x), place(y));
        let from_there = match self {
            Self::Circle => "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z",
            Self::Square => "m-3-3h6v6h-6z",
            Self::Triangle => "m0-4.2l4 7h-8z",
            Self::Diamond => "m0-4.4l4.4 4.4l-4.4 4.4l-4.4-4.4z",
            Self::Cross => "m-1.2-4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z",
            Self::Wedge => "m0 4.2l4-7h-8z",
        };
        format!("M{x} {y}{from_there}")
    }
}

/// What each line, dash and mark stands for, by its number in [`SERIES`].
pub(super) fn key<'a>(names: impl Iterator<Item = (usize, &'a str)>) -> String {
    let entry = |(number, name): (usize, &str)| {
        let (class, mark) = SERIES.get(number)?;
        Some(format!(
            "<li><svg class=\"sample\" viewBox=\"0 0 34 14\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M0 7H34\"/>\
             <path class=\"mark {class}\" d=\"{}\"/></svg>{}</li>",
            mark.path(17.0, 7.0),
            escape(name)
        ))
    };
    format!(
        "<ul class=\"key\">{}</ul>",
        names.filter_map(entry).collect::<String>()
    )
}
