//! One row a group of people, with a mark and its interval for each run.

use std::fmt::Write;

use chorus_model::Estimate;

use super::bars::{fitting, gutter};
use super::marks::SERIES;
use super::text::{escape, place, plain, score4, ticks};

/// One row: its name, and the figure of each run, where there is one.
pub(super) struct Row {
    pub name: String,
    pub values: Vec<Option<Estimate>>,
    /// Whether a line stands above it.
    pub begins: bool,
}

const TOP: f64 = 6.0;
const BOTTOM: f64 = 38.0;
const RIGHT: f64 = 12.0;
/// Between two marks of a row.
const STEP: f64 = 11.0;
/// Between two rows.
const GAP: f64 = 14.0;

/// Draws rows over an axis from 0. `runs` is what the marks are called when hovered over.
pub(super) fn chart(rows: &[Row], runs: &[&str], unit: &str, width: f64, name: &str) -> String {
    let found = rows.iter().flat_map(|row| row.values.iter().flatten());
    let largest = found
        .map(|value| value.mean + value.within)
        .fold(0.0, f64::max);
    let ticks = ticks(largest, if width > 500.0 { 6 } else { 4 });
    let top = ticks.last().copied().unwrap_or(1.0);
    let left = gutter(rows.iter().map(|row| row.name.as_str()), width);
    let x = |value: f64| left + (width - left - RIGHT) * value.clamp(0.0, top) / top;
    let thick = STEP * runs.len().max(1) as f64 + GAP;
    let floor = TOP + thick * rows.len() as f64;
    let height = floor + BOTTOM;
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\"><desc>The table beneath has the same figures.</desc>",
        escape(name)
    );
    for tick in &ticks {
        let at = place(x(*tick));
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{at} {TOP}V{floor}\"/>\
             <text class=\"tick\" text-anchor=\"middle\" x=\"{at}\" y=\"{}\">{}</text>",
            floor + 17.0,
            plain(*tick)
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
        place((left + width - RIGHT) / 2.0),
        height - 5.0,
        escape(unit)
    );
    for (number, row) in rows.iter().enumerate() {
        let above = TOP + thick * number as f64;
        if row.begins && number > 0 {
            let _ = write!(out, "<path class=\"rule\" d=\"M0 {above}H{width}\"/>");
        }
        let _ = write!(
            out,
            "<text text-anchor=\"end\" x=\"{}\" y=\"{}\" dy=\".35em\">{}<title>{}</title></text>",
            place(left - 8.0),
            place(above + thick / 2.0),
            escape(&fitting(&row.name, left)),
            escape(&row.name)
        );
        let values = row.values.iter().zip(SERIES).zip(runs).enumerate();
        for (place_in_row, ((value, (class, mark)), run)) in values {
            let Some(value) = value else { continue };
            let y = above + (GAP + STEP) / 2.0 + STEP * place_in_row as f64;
            let (low, high) = (x(value.mean - value.within), x(value.mean + value.within));
            let _ = write!(
                out,
                "<path class=\"whisker {class}\" d=\"M{} {}H{}\"/><path class=\"mark {class}\" d=\"{}\"><title>{}</title></path>",
                place(low),
                place(y),
                place(high),
                mark.path(x(value.mean), y),
                escape(&format!(
                    "{}, {run}: {} ± {}",
                    row.name,
                    score4(value.mean),
                    score4(value.within)
                ))
            );
        }
    }
    out.push_str("</svg>");
    out
}
