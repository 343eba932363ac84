//! Lines and points over an axis: baselines, intervals, and what each is called at its end.

use std::fmt::Write;

use chorus_model::Interval;

use super::marks::Mark;
use super::text::{escape, place, plain, ticks};

/// One line of a chart, or points that no line joins.
pub(super) struct Line {
    /// What stands at its end before its last value.
    pub label: String,
    /// CSS class of its colour and dash.
    pub class: &'static str,
    pub mark: Mark,
    pub joined: Joined,
    pub points: Vec<Point>,
}

/// What holds the points of a line together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// A line, and a band where several have intervals.
    ByBand,
    /// A line, and a whisker for each interval.
    ByWhiskers,
    /// Nothing; and nothing is said at their end.
    Not,
}

/// One value.
pub(super) struct Point {
    /// Where it is on the axis, from 0 to 1.
    pub at: f64,
    /// What hovering calls it.
    pub name: String,
    pub value: f64,
    pub interval: Option<Interval>,
}

/// Width and height of the drawing, in its own units; text is 12 units high.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub width: f64,
    pub height: f64,
}

/// What a chart shows.
pub(super) struct Chart<'a> {
    pub lines: &'a [Line],
    /// Constants to compare with, and what they are.
    pub baselines: &'a [(f64, String)],
    pub axis: &'a Axis,
    /// How a value is written at an end.
    pub write: fn(f64) -> String,
    pub size: Size,
    /// The text alternative.
    pub name: &'a str,
    pub description: &'a str,
}

/// The axis from left to right.
pub(super) struct Axis {
    /// Places from 0 to 1, and what is written there.
    pub ticks: Vec<(f64, String)>,
    pub unit: String,
}

impl Axis {
    /// Rounds from 1.
    pub fn of_rounds(rounds: usize, size: Size) -> Self {
        let ticks = round_ticks(rounds, if size.width > 500.0 { 10 } else { 7 });
        let tick = |round| (Self::round(round, rounds), round.to_string());
        Self {
            ticks: ticks.into_iter().map(tick).collect(),
            unit: "rounds".to_owned(),
        }
    }

    /// Where a round is, of so many.
    pub fn round(round: usize, rounds: usize) -> f64 {
        round.saturating_sub(1) as f64 / rounds.saturating_sub(1).max(1) as f64
    }
}

/// Room at the ends of the lines for this many letters, and at most this share of a drawing.
const LETTER: f64 = 6.7;
const MOST_ROOM: f64 = 0.42;
const LEFT: f64 = 40.0;
/// Between the axis and the first point.
const INSET: f64 = 6.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 38.0;
/// Labels closer than this would touch.
const LABEL_HEIGHT: f64 = 15.0;
/// Points closer than this carry no marks.
const MARK_PITCH: f64 = 11.0;
/// Whiskers at the same place stand as far apart.
const WHISKER_PITCH: f64 = 2.4;
/// Words under the axis closer than this would touch.
const TICK_PITCH: f64 = 7.0;

/// From values to the drawing's own units.
struct Scale {
    size: Size,
    top: f64,
    /// Where the labels begin.
    right: f64,
}

/// What stands at the end of a line.
struct Label<'a> {
    y: f64,
    mark: Option<Mark>,
    class: &'a str,
    text: String,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        LEFT + INSET + (self.right - LEFT - 2.0 * INSET) * at
    }

    fn y(&self, value: f64) -> f64 {
        let share = value.clamp(0.0, self.top) / self.top;
        TOP + (self.size.height - TOP - BOTTOM) * (1.0 - share)
    }
}

/// Draws a chart.
pub(super) fn chart(chart: &Chart<'_>) -> String {
    let Size { width, height } = chart.size;
    let points = chart.lines.iter().flat_map(|line| &line.points);
    let highest = |point: &Point| point.interval.map_or(point.value, |within| within.high);
    let baselines = chart.baselines.iter().map(|(value, _)| *value);
    let largest = points.map(highest).chain(baselines).fold(0.0, f64::max);
    let ticks = ticks(largest, 5);
    let mut scale = Scale {
        size: chart.size,
        top: ticks.last().copied().unwrap_or(1.0),
        right: width,
    };
    let labels = labels(chart, &scale);
    let letters = labels.iter().map(|label| label.text.chars().count());
    let room = 30.0 + LETTER * letters.max().unwrap_or(0) as f64;
    scale.right -= room.min(MOST_ROOM * width);
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\
         <desc>{}</desc>",
        escape(chart.name),
        escape(chart.description)
    );
    axes(&mut out, &ticks, chart.axis, &scale);
    for (value, _) in chart.baselines {
        let (y, right) = (place(scale.y(*value)), place(scale.right));
        let _ = write!(out, "<path class=\"baseline\" d=\"M{LEFT} {y}H{right}\"/>");
    }
    let middle = chart.lines.len().saturating_sub(1) as f64 / 2.0;
    for (number, line) in chart.lines.iter().enumerate() {
        out.push_str(&intervals(line, number as f64 - middle, &scale));
    }
    for line in chart.lines {
        draw(&mut out, line, &scale, chart.write);
    }
    end_labels(&mut out, labels, scale.right, height - BOTTOM);
    out.push_str("</svg>");
    out
}

fn labels<'a>(chart: &Chart<'a>, scale: &Scale) -> Vec<Label<'a>> {
    let baseline = |(value, name): &(f64, String)| Label {
        y: scale.y(*value),
        mark: None,
        class: "grey",
        text: format!("{name} {}", (chart.write)(*value)),
    };
    let line = |line: &'a Line| {
        let last = line.points.last().filter(|_| line.joined != Joined::Not)?;
        let text = format!("{} {}", line.label, (chart.write)(last.value));
        Some(Label {
            y: scale.y(last.value),
            mark: line.label.is_empty().then_some(line.mark),
            class: line.class,
            text: text.trim().to_owned(),
        })
    };
    let baselines = chart.baselines.iter().map(baseline);
    baselines
        .chain(chart.lines.iter().filter_map(line))
        .collect()
}

fn axes(out: &mut String, ticks: &[f64], axis: &Axis, scale: &Scale) {
    let (right, height) = (scale.right, scale.size.height);
    for tick in ticks {
        let at = place(scale.y(*tick));
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{LEFT} {at}H{right:.1}\"/>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{at}\" dy=\".35em\">{}</text>",
            LEFT - 6.0,
            plain(*tick)
        );
    }
    let mut free = f64::NEG_INFINITY;
    for (at, text) in &axis.ticks {
        let (x, half) = (scale.x(*at), 3.4 * text.chars().count() as f64);
        if x - half < free {
            continue;
        }
        free = x + half + TICK_PITCH;
        let _ = write!(
            out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
            place(x),
            height - BOTTOM + 17.0,
            escape(text)
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
        place((LEFT + right) / 2.0),
        height - 5.0,
        escape(&axis.unit)
    );
}

/// The intervals of a line: an area behind it, or a whisker for each, which stands beside those of other lines.
fn intervals(line: &Line, beside: f64, scale: &Scale) -> String {
    let points = line.points.iter();
    let found: Vec<(f64, Interval)> = points
        .filter_map(|point| Some((scale.x(point.at), point.interval?)))
        .collect();
    if line.joined != Joined::ByBand || found.len() < 2 {
        let whisker = |(x, within): &(f64, Interval)| {
            let (x, high, low) = (
                place(*x + WHISKER_PITCH * beside),
                place(scale.y(within.high)),
                place(scale.y(within.low)),
            );
            format!("M{x} {high}V{low}m-3 0h6M{x} {high}m-3 0h6")
        };
        let whiskers: String = found.iter().map(whisker).collect();
        return match whiskers.is_empty() {
            true => whiskers,
            false => format!("<path class=\"whisker {}\" d=\"{whiskers}\"/>", line.class),
        };
    }
    let corner = |x: f64, value: f64| format!("{} {}", place(x), place(scale.y(value)));
    let upper = found.iter().map(|(x, within)| corner(*x, within.high));
    let lower = found.iter().rev();
    let lower = lower.map(|(x, within)| corner(*x, within.low));
    let corners: Vec<String> = upper.chain(lower).collect();
    format!(
        "<path class=\"band {}\" d=\"M{}Z\"/>",
        line.class,
        corners.join("L")
    )
}

fn draw(out: &mut String, line: &Line, scale: &Scale, write: fn(f64) -> String) {
    let places = line
        .points
        .iter()
        .map(|point| (scale.x(point.at), scale.y(point.value)));
    let places: Vec<(f64, f64)> = places.collect();
    let is_joined = line.joined != Joined::Not;
    if places.len() > 1 && is_joined {
        let corners = places
            .iter()
            .map(|(x, y)| format!("{} {}", place(*x), place(*y)));
        let _ = write!(
            out,
            "<path class=\"line {}\" d=\"M{}\"/>",
            line.class,
            corners.collect::<Vec<_>>().join("L")
        );
    }
    let pitch = places.windows(2).map(|pair| match pair {
        [(left, _), (right, _)] => right - left,
        _ => f64::INFINITY,
    });
    let is_marked = !is_joined || pitch.fold(f64::INFINITY, f64::min) >= MARK_PITCH;
    let last = places.len().saturating_sub(1);
    for (number, (point, (x, y))) in line.points.iter().zip(places).enumerate() {
        let class = match is_marked || number == last {
            true if is_joined => line.class.to_owned(),
            true => format!("open {}", line.class),
            false => "hover".to_owned(),
        };
        let said = format!("{}: {} {}", point.name, line.label, write(point.value));
        let _ = write!(
            out,
            "<path class=\"mark {class}\" d=\"{}\"><title>{}</title></path>",
            line.mark.path(x, y),
            escape(&said.replace("  ", " "))
        );
    }
}

/// The labels at the right edge, moved apart where they would touch, each with a line to what it names.
fn end_labels(out: &mut String, mut labels: Vec<Label<'_>>, right: f64, floor: f64) {
    labels.sort_by(|left, right| left.y.total_cmp(&right.y));
    let mut places: Vec<f64> = Vec::with_capacity(labels.len());
    for label in &labels {
        let lowest = places.last().map_or(TOP, |above| above + LABEL_HEIGHT);
        places.push(label.y.max(lowest));
    }
    let mut limit = floor;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LABEL_HEIGHT;
    }
    for (label, at) in labels.iter().zip(places) {
        let class = label.class;
        let shown = label.mark.map_or_else(String::new, |mark| {
            let path = mark.path(right + 19.0, at);
            format!("<path class=\"mark {class}\" d=\"{path}\"/>")
        });
        let beside = if shown.is_empty() { 15.0 } else { 27.0 };
        let _ = write!(
            out,
            "<path class=\"leader\" d=\"M{} {}L{} {}\"/>{shown}\
             <text class=\"end {class}\" x=\"{}\" y=\"{}\" dy=\".35em\">{}</text>",
            place(right + 4.0),
            place(label.y),
            place(right + 12.0),
            place(at),
            place(right + beside),
            place(at),
            escape(&label.text)
        );
    }
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
