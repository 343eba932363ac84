//! One bar a run, of one part or of several beside each other.

use std::fmt::Write;

use super::text::{escape, place};

/// One bar: its name, its parts from the left, each with the text that hovering shows, and what stands at its end.
pub(super) struct Bar {
    pub name: String,
    pub parts: Vec<(f64, String)>,
    pub label: String,
}

const PITCH: f64 = 26.0;
const THICK: f64 = 16.0;
/// Room for what stands at the end.
const LABELS: f64 = 84.0;
/// How wide a letter is, at most of most names.
const LETTER: f64 = 7.0;

/// Room for names on the left, in a drawing of this width.
pub(super) fn gutter<'a>(names: impl Iterator<Item = &'a str>, width: f64) -> f64 {
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    (longest as f64 * LETTER + 10.0).min(width * 0.36)
}

/// A name that fits into so much room.
pub(super) fn fitting(name: &str, room: f64) -> String {
    let letters = ((room - 10.0) / LETTER + 0.5).max(3.0) as usize;
    match name.chars().count() <= letters {
        true => name.to_owned(),
        false => name.chars().take(letters - 1).chain(['…']).collect(),
    }
}

/// Draws bars. `classes` colours the parts, from the left.
pub(super) fn chart(bars: &[Bar], classes: &[&str], width: f64, name: &str) -> String {
    let total = |bar: &Bar| bar.parts.iter().map(|(value, _)| value).sum::<f64>();
    let largest = bars.iter().map(total).fold(0.0, f64::max);
    let left = gutter(bars.iter().map(|bar| bar.name.as_str()), width);
    let span = width - left - LABELS;
    let x = |value: f64| left + span * value / largest.max(f64::MIN_POSITIVE);
    let height = PITCH * bars.len() as f64 + 4.0;
    let said: Vec<String> = bars
        .iter()
        .map(|bar| format!("{}: {}", bar.name, bar.label))
        .collect();
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\"><desc>{}</desc>",
        escape(name),
        escape(&said.join("; "))
    );
    for (number, bar) in bars.iter().enumerate() {
        let top = PITCH * number as f64 + 4.0;
        let middle = place(top + THICK / 2.0);
        let _ = write!(
            out,
            "<text text-anchor=\"end\" x=\"{}\" y=\"{middle}\" dy=\".35em\">{}<title>{}</title></text>",
            place(left - 8.0),
            escape(&fitting(&bar.name, left)),
            escape(&bar.name)
        );
        let mut before = 0.0;
        for ((value, title), class) in bar.parts.iter().zip(classes) {
            if *value > 0.0 {
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{THICK}\"><title>{}</title></rect>",
                    place(x(before)),
                    place(x(before + value) - x(before)),
                    escape(&format!("{}: {title}", bar.name))
                );
            }
            before += value;
        }
        let _ = write!(
            out,
            "<text class=\"end\" x=\"{}\" y=\"{middle}\" dy=\".35em\">{}</text>",
            place(x(total(bar)) + 6.0),
            escape(&bar.label)
        );
    }
    let _ = write!(
        out,
        "<path class=\"rule\" d=\"M{} 0V{height}\"/></svg>",
        place(left)
    );
    out
}
