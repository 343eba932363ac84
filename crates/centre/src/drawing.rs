//! The one drawing of the centre: privacy spent, step by step, below its limit.

use std::fmt::Write;

use crate::words::Words;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 176.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 104.0;
const TOP: f64 = 14.0;
/// Room for the letters of a phone, which are twice as large in the drawing's units.
const BOTTOM: f64 = 34.0;

/// A staircase of `spent` (epsilon after each contribution) under the line of `limit`; nothing before the first.
pub(crate) fn staircase(spent: &[f64], limit: f64, words: &Words) -> String {
    let (Some(last), true) = (spent.last(), limit > 0.0) else {
        return String::new();
    };
    let across = |count: usize| LEFT + (WIDTH - LEFT - RIGHT) * count as f64 / spent.len() as f64;
    let top = limit.max(*last) * 1.1;
    let up = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top;
    let mut path = format!("M{:.1} {:.1}", across(0), up(0.0));
    for (count, value) in spent.iter().enumerate() {
        let _never_fails = write!(path, "V{:.1}H{:.1}", up(*value), across(count + 1));
    }
    let (base, line, end) = (up(0.0), up(limit), up(*last));
    let (right, edge) = (across(spent.len()), WIDTH - RIGHT);
    let (beside, middle, below) = (right + 6.0, f64::midpoint(LEFT, right), HEIGHT - 8.0);
    let (spent_now, most, count) = (words.number(*last), words.number(limit), spent.len());
    let label = words.with_both("sharing.spent", &spent_now, &most);
    let [limit_word, axis] = ["sharing.limit", "sharing.axis"].map(|name| words.get(name));
    // Letters stand on their line; beside a line, they stand a little below it.
    let beside_line = |line: f64| line + 4.0;
    let (at_base, at_limit, at_end) = (beside_line(base), beside_line(line), beside_line(end));
    let above = line - 6.0;
    let first = match count {
        1 => "",
        _ => "1",
    };
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">\
         <path class=\"rule\" d=\"M{LEFT} {base:.1}H{edge:.1}\"/>\
         <path class=\"limit\" d=\"M{LEFT} {line:.1}H{edge:.1}\"/>\
         <path class=\"line\" d=\"{path}\"/>\
         <text x=\"{LEFT}\" y=\"{at_base:.1}\" text-anchor=\"end\" dx=\"-6\">0</text>\
         <text x=\"{LEFT}\" y=\"{at_limit:.1}\" text-anchor=\"end\" dx=\"-6\">{most}</text>\
         <text x=\"{edge:.1}\" y=\"{above:.1}\" text-anchor=\"end\">{limit_word}</text>\
         <text class=\"strong\" x=\"{beside:.1}\" y=\"{at_end:.1}\">ε = {spent_now}</text>\
         <text x=\"{LEFT}\" y=\"{below:.1}\">{first}</text>\
         <text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{axis}</text>\
         <text x=\"{right:.1}\" y=\"{below:.1}\" text-anchor=\"end\">{count}</text></svg>"
    )
}

#[cfg(test)]
mod tests {
    use chorus_client::Language;

    use super::*;
    use crate::words;

    #[test]
    fn the_stairs_stay_below_their_limit_and_end_at_their_last_value() {
        let words = words::of(Language::English);
        assert_eq!(staircase(&[], 4.0, words), "");
        let drawing = staircase(&[0.5, 1.4], 4.0, words);
        assert!(drawing.contains("You have used 1.4 of 4\""), "{drawing}");
        assert!(drawing.contains("ε = 1.4"), "{drawing}");
    }
}
