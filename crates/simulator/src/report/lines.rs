//! Quality per round: two lines, their baselines, and a band for the people it was measured on.

use std::fmt::Write;

use super::text::{escape, place, score, ticks};

/// One line of the chart.
pub(super) struct Line {
    /// What stands at its end.
    pub label: &'static str,
    /// CSS class of its colour; a square marks the second.
    pub class: &'static str,
    pub square: bool,
    /// Round number from 1, its name, value, and half the width of its 95 % interval.
    pub points: Vec<(usize, String, f64, Option<f64>)>,
    /// A constant to compare with, and what stands at its end.
    pub baseline: (f64, &'static str),
}

/// Width and height of the drawing, in its own units; text is 12 units high.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub width: f64,
    pub height: f64,
}

/// Room for the labels at the ends of the lines.
const LABELS: f64 = 134.0;
const LEFT: f64 = 34.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 38.0;
/// Labels closer than this would touch.
const LABEL_HEIGHT: f64 = 15.0;
/// Points closer than this carry no marks.
const MARK_PITCH: f64 = 11.0;

/// Draws the lines over `rounds` rounds. `name` and `description` are the text alternative.
pub(super) fn chart(
    lines: &[Line],
    rounds: usize,
    size: Size,
    name: &str,
    description: &str,
) -> String {
    let Size { width, height } = size;
    let values = lines.iter().flat_map(|line| {
        let points = line
            .points
            .iter()
            .map(|(_, _, value, half)| value + half.unwrap_or(0.0));
        points.chain([line.baseline.0])
    });
    let largest = values.fold(0.0, f64::max);
    let ticks = ticks(largest.min(1.0), 5);
    let top = ticks.last().copied().unwrap_or(1.0);
    let right = width - LABELS;
    let span = rounds.saturating_sub(1).max(1) as f64;
    let x = |round: usize| LEFT + 6.0 + (right - LEFT - 6.0) * (round as f64 - 1.0) / span;
    let y = |value: f64| TOP + (height - TOP - BOTTOM) * (1.0 - value.clamp(0.0, top) / top);
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\
         <desc>{}</desc>",
        escape(name),
        escape(description)
    );
    for tick in &ticks {
        let (at, text) = (place(y(*tick)), number(*tick));
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{LEFT} {at}H{right}\"/>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{at}\" dy=\".35em\">{text}</text>",
            LEFT - 6.0
        );
    }
    for round in round_ticks(rounds, if width > 500.0 { 10 } else { 6 }) {
        let _ = write!(
            out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{round}</text>",
            place(x(round)),
            height - BOTTOM + 17.0
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">rounds</text>",
        place((LEFT + right) / 2.0),
        height - 5.0
    );
    let mut labels = Vec::new();
    for line in lines {
        let at = y(line.baseline.0);
        let _ = write!(
            out,
            "<path class=\"baseline\" d=\"M{LEFT} {}H{right}\"/>",
            place(at)
        );
        labels.push((
            at,
            "grey",
            format!("{} {}", line.baseline.1, score(line.baseline.0)),
        ));
    }
    for line in lines {
        out.push_str(&band(line, &x, &y));
    }
    let marked = x(2) - x(1) >= MARK_PITCH;
    for line in lines {
        out.push_str(&path(line, marked, &x, &y));
        if let Some((_, _, value, _)) = line.points.last() {
            labels.push((
                y(*value),
                line.class,
                format!("{} {}", line.label, score(*value)),
            ));
        }
    }
    out.push_str(&end_labels(labels, right, height - BOTTOM));
    out.push_str("</svg>");
    out
}

fn band(line: &Line, x: &impl Fn(usize) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let edge = |side: f64| {
        line.points
            .iter()
            .filter_map(move |(round, _, value, half)| {
                half.map(|half| (*round, value + side * half))
            })
    };
    let upper: Vec<_> = edge(1.0).collect();
    let lower: Vec<_> = edge(-1.0).collect();
    if upper.len() < 2 {
        return String::new();
    }
    let corners: Vec<String> = upper
        .into_iter()
        .chain(lower.into_iter().rev())
        .map(|(round, value)| format!("{} {}", place(x(round)), place(y(value))))
        .collect();
    format!(
        "<path class=\"band {}\" d=\"M{}Z\"/>",
        line.class,
        corners.join("L")
    )
}

fn path(line: &Line, marked: bool, x: &impl Fn(usize) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let corners: Vec<String> = line
        .points
        .iter()
        .map(|(round, _, value, _)| format!("{} {}", place(x(*round)), place(y(*value))))
        .collect();
    let mut out = String::new();
    if corners.len() > 1 {
        let _ = write!(
            out,
            "<path class=\"line {}\" d=\"M{}\"/>",
            line.class,
            corners.join("L")
        );
    }
    let last = line.points.len().saturating_sub(1);
    for (number, (round, name, value, _)) in line.points.iter().enumerate() {
        let (x, y) = (x(*round), y(*value));
        let hidden = !marked && number != last;
        let class = if hidden { "hover" } else { line.class };
        let title = format!(
            "<title>{round}, {}: {} {}</title>",
            escape(name),
            line.label,
            score(*value)
        );
        let _ = if line.square {
            write!(
                out,
                "<rect class=\"mark {class}\" x=\"{}\" y=\"{}\" width=\"6\" height=\"6\">{title}</rect>",
                place(x - 3.0),
                place(y - 3.0)
            )
        } else {
            write!(
                out,
                "<circle class=\"mark {class}\" cx=\"{}\" cy=\"{}\" r=\"3.4\">{title}</circle>",
                place(x),
                place(y)
            )
        };
    }
    out
}

/// The labels at the right edge, moved apart where they would touch, each with a line to what it names.
fn end_labels(mut labels: Vec<(f64, &str, String)>, right: f64, floor: f64) -> String {
    labels.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut places: Vec<f64> = Vec::with_capacity(labels.len());
    for (wanted, _, _) in &labels {
        let lowest = places.last().map_or(TOP, |above| above + LABEL_HEIGHT);
        places.push(wanted.max(lowest));
    }
    let mut limit = floor;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LABEL_HEIGHT;
    }
    let mut out = String::new();
    for ((wanted, class, text), at) in labels.iter().zip(places) {
        let _ = write!(
            out,
            "<path class=\"leader\" d=\"M{} {}L{} {}\"/>\
             <text class=\"end {class}\" x=\"{}\" y=\"{}\" dy=\".35em\">{}</text>",
            right + 4.0,
            place(*wanted),
            right + 12.0,
            place(at),
            right + 15.0,
            place(at),
            escape(text)
        );
    }
    out
}

/// The round numbers to write under an axis: the first, the last, and round ones between.
pub(super) fn round_ticks(rounds: usize, most: usize) -> Vec<usize> {
    if rounds <= most {
        return (1..=rounds).collect();
    }
    let step = [
        2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000,
    ]
    .into_iter()
    .find(|step| rounds / step < most)
    .unwrap_or(rounds);
    // A tick right beside the last one would run into it.
    let middle = (1..)
        .map(|tick| tick * step)
        .take_while(|tick| tick + step / 2 < rounds);
    std::iter::once(1)
        .chain(middle.filter(|tick| *tick > 1))
        .chain([rounds])
        .collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix('0').map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_names_the_first_and_the_last_round() {
        assert_eq!(round_ticks(5, 10), [1, 2, 3, 4, 5]);
        assert_eq!(round_ticks(31, 10), [1, 5, 10, 15, 20, 25, 31]);
        assert!(round_ticks(0, 10).is_empty());
        for rounds in 1..500 {
            let ticks = round_ticks(rounds, 6);
            assert_eq!((ticks[0], *ticks.last().unwrap()), (1, rounds));
            assert!(ticks.len() <= 8, "{rounds}: {ticks:?}");
            assert!(ticks.is_sorted_by(|a, b| a < b), "{rounds}: {ticks:?}");
        }
    }
}
