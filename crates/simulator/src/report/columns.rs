//! One column a round, of one part or of several on top of each other.

use std::fmt::Write;

use super::lines::{Size, round_ticks};
use super::text::{escape, place, ticks};

/// One column: its name, and its parts from the bottom up, each with the text that hovering shows.
pub(super) struct Column {
    pub name: String,
    pub parts: Vec<(f64, String)>,
    /// Written above it where there is room.
    pub label: String,
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 6.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 38.0;
/// No column is wider.
const WIDEST: f64 = 44.0;

/// Draws columns. `classes` colours the parts, from the bottom up; `unit` stands above the axis.
pub(super) fn chart(
    columns: &[Column],
    classes: &[&str],
    unit: &str,
    write_value: impl Fn(f64) -> String,
    size: Size,
    name: &str,
    description: &str,
) -> String {
    let Size { width, height } = size;
    let total = |column: &Column| column.parts.iter().map(|(value, _)| value).sum::<f64>();
    let largest = columns.iter().map(total).fold(0.0, f64::max);
    let ticks = ticks(largest, 4);
    let top = ticks.last().copied().unwrap_or(1.0);
    let pitch = (width - LEFT - RIGHT) / columns.len().max(1) as f64;
    // A gap between columns while they are wide enough to see one.
    let thick = if pitch > 4.0 {
        (pitch * 0.72).min(WIDEST)
    } else {
        pitch
    };
    let middle = |number: usize| LEFT + pitch * (number as f64 + 0.5);
    let y = |value: f64| TOP + (height - TOP - BOTTOM) * (1.0 - value.clamp(0.0, top) / top);
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\
         <desc>{}</desc><text class=\"tick\" x=\"0\" y=\"10\">{}</text>",
        escape(name),
        escape(description),
        escape(unit)
    );
    for tick in &ticks {
        let at = place(y(*tick));
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{LEFT} {at}H{}\"/>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{at}\" dy=\".35em\">{}</text>",
            width - RIGHT,
            LEFT - 6.0,
            escape(&write_value(*tick))
        );
    }
    for round in round_ticks(columns.len(), if width > 500.0 { 12 } else { 8 }) {
        let _ = write!(
            out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{round}</text>",
            place(middle(round - 1)),
            height - BOTTOM + 17.0
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">round</text>",
        place((LEFT + width - RIGHT) / 2.0),
        height - 5.0
    );
    for (number, column) in columns.iter().enumerate() {
        let mut below = 0.0;
        for ((value, title), class) in column.parts.iter().zip(classes) {
            if *value > 0.0 {
                let (head, foot) = (y(below + value), y(below));
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
                    place(middle(number) - thick / 2.0),
                    place(head),
                    place(thick),
                    place(foot - head),
                    escape(&format!("{}, {}: {title}", number + 1, column.name))
                );
            }
            below += value;
        }
        if pitch >= 42.0 && !column.label.is_empty() {
            let _ = write!(
                out,
                "<text class=\"end\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
                place(middle(number)),
                place(y(total(column)) - 5.0),
                escape(&column.label)
            );
        }
    }
    out.push_str("</svg>");
    out
}
