//! A data set in two pictures, on a page that needs nothing else.

use std::fmt::Write;

use chorus_data::Description;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 16.0;
/// Bars of the history lengths.
const BARS: usize = 24;
/// Points of the popularity curve.
const POINTS: usize = 100;
const STYLE: &str = "body{font:16px/1.5 ui-sans-serif,system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;\
    background:#fff;color:#1a1a1a}pre{white-space:pre-wrap;font-size:14px}svg{width:100%;height:auto;font-size:13px}\
    svg text{fill:currentColor}.axis{stroke:currentColor;stroke-width:1}.even{stroke:currentColor;stroke-dasharray:4 4}\
    .curve{fill:none;stroke:#0072b2;stroke-width:2.5}.bar{fill:#0072b2}\
    @media (prefers-color-scheme:dark){body{background:#16181c;color:#f0f0f0}.curve{stroke:#56b4e9}.bar{fill:#56b4e9}}";

/// The page; `words` are its figures.
pub fn page(data: &Description, words: &str) -> String {
    let name = escaped(&data.name);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name}</title><style>{STYLE}</style></head><body>\
         <h1>{name}</h1><pre>{}</pre>\
         <h2>How popular the items are</h2><p>The share of all events that the most popular items have together. \
         The dashed line is where all items are equally popular; the Gini coefficient, {:.3}, is how far the curve is from \
         it.</p>{}\
         <h2>How much users do</h2><p>Users by how many distinct items they have; each bar is a range of them, wider to the \
         right.</p>{}</body></html>\n",
        escaped(words),
        data.gini,
        popularity(data),
        lengths(data)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A place in the drawing, of parts of its width and height from the lower left.
fn place(right: f64, up: f64) -> (f64, f64) {
    (
        LEFT + right * (WIDTH - LEFT - TOP),
        HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP),
    )
}

/// A drawing with its axes; `label` is for those who hear it.
fn framed(label: &str, content: &str, across: &str, up: &str) -> String {
    let ((left, bottom), (right, top)) = (place(0.0, 0.0), place(1.0, 1.0));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">{content}\
         <path class=\"axis\" fill=\"none\" d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{up}</text>\
         <text x=\"{:.1}\" y=\"{bottom:.1}\" text-anchor=\"end\">0</text></svg>",
        (left + right) / 2.0,
        bottom + 32.0,
        left - 6.0,
        top + 10.0,
        left - 6.0
    )
}

/// Shares of the events against shares of the items, most popular first.
fn popularity(data: &Description) -> String {
    let all = data.popularity.iter().sum::<usize>().max(1) as f64;
    let items = data.popularity.len().max(1);
    let mut sums = vec![0.0];
    let mut sum = 0.0;
    for count in &data.popularity {
        sum += *count as f64 / all;
        sums.push(sum);
    }
    let mut path = String::new();
    for point in 0..=POINTS {
        let item = point * items / POINTS;
        let (x, y) = place(
            item as f64 / items as f64,
            sums.get(item).copied().unwrap_or(1.0),
        );
        let _ = write!(path, "{}{x:.1} {y:.1}", if point == 0 { 'M' } else { 'L' });
    }
    let ((x0, y0), (x1, y1)) = (place(0.0, 0.0), place(1.0, 1.0));
    let content = format!(
        "<path class=\"even\" d=\"M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}\"/><path class=\"curve\" d=\"{path}\"/>"
    );
    let label = format!(
        "The top tenth of the items have {:.0} percent of the events",
        100.0 * data.top_tenth_share
    );
    framed(
        &label,
        &content,
        "share of the items, most popular first",
        "100 %",
    )
}

/// Users by history length, in ranges that grow by the same factor.
fn lengths(data: &Description) -> String {
    let lowest = data.items_per_user.min.max(1) as f64;
    let factor = ((data.items_per_user.max as f64 + 1.0) / lowest)
        .ln()
        .max(1e-9);
    let mut bars = [0usize; BARS];
    for length in &data.lengths {
        let part = ((*length).max(1) as f64 / lowest).ln() / factor;
        let bar = ((part * BARS as f64) as usize).min(BARS - 1);
        if let Some(slot) = bars.get_mut(bar) {
            *slot += 1;
        }
    }
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let mut content = String::new();
    for (bar, users) in bars.iter().enumerate() {
        let (x, top) = place(bar as f64 / BARS as f64, *users as f64 / most as f64);
        let (end, bottom) = place((bar + 1) as f64 / BARS as f64, 0.0);
        let _ = write!(
            content,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            x + 1.0,
            end - x - 2.0,
            bottom - top
        );
    }
    let label = format!(
        "From {} to {} items a user, half at most {}",
        data.items_per_user.min, data.items_per_user.max, data.items_per_user.median
    );
    let across = format!(
        "{} to {} items",
        data.items_per_user.min, data.items_per_user.max
    );
    framed(&label, &content, &across, &format!("{most}"))
}
