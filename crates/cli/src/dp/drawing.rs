//! Epsilon against rounds as a self-contained SVG: both axes logarithmic, each line named at its end.

use std::fmt::Write;

/// One noise.
pub struct Line {
    pub label: String,
    /// Rounds and epsilon.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 612.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 400.0;
/// Lines of text that stand closer cannot be read.
const APART: f64 = 16.0;
/// Smaller epsilons are drawn here.
const SMALLEST: f64 = 1e-3;
/// Okabe and Ito's colours, and a dash for each: never colour alone.
const LOOKS: [(&str, &str); 6] = [
    ("#0072B2", ""),
    ("#E69F00", "8 4"),
    ("#009E73", "2 4"),
    ("#D55E00", "12 4 2 4"),
    ("#CC79A7", "4 4"),
    ("#56B4E9", "16 4"),
];
const STYLE: &str = "svg{background:#fff;color:#1a1a1a;font:14px ui-sans-serif,system-ui,sans-serif;font-variant-numeric:tabular-nums}\
    .grid{stroke:#d8d8d8;stroke-width:1}.quiet{fill:#5a5a5a}.line{fill:none;stroke-width:2}\
    text{fill:currentColor}.title{font-size:18px;font-weight:600}\
    @media (prefers-color-scheme:dark){svg{background:#16181c;color:#f0f0f0}.grid{stroke:#3a3d44}.quiet{fill:#b0b0b0}}";

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let part = (value / self.low).ln() / (self.high / self.low).ln();
        self.start + part * (self.end - self.start)
    }

    /// 1, 2 and 5 times powers of ten; only the powers where there would be many.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let steps: &[f64] = if self.high / self.low > 2e3 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let all = decades.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001)
            .collect()
    }
}

/// Three digits at most.
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e4 => format!("{value:.0e}"),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The drawing of `lines`; `setting` says what they share.
pub fn draw(lines: &[Line], setting: &str) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let most = all().map(|point| point.0).fold(2.0, f64::max);
    let low = all()
        .map(|point| point.1.max(SMALLEST))
        .fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.1.max(SMALLEST)).fold(0.0, f64::max);
    let low = if low.is_finite() { low } else { SMALLEST };
    let across = Axis {
        low: 1.0,
        high: most,
        start: LEFT,
        end: RIGHT,
    };
    let along = Axis {
        low: low / 1.15,
        high: (high * 1.15).max(low * 1.5),
        start: BOTTOM,
        end: TOP,
    };
    let ends: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            Some(format!(
                "{}: ε = {}",
                line.label,
                short(line.points.last()?.1)
            ))
        })
        .collect();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"title text\">\
         <title id=\"title\">Epsilon against rounds</title><desc id=\"text\">After {most} rounds: {}. {setting}.</desc><style>{STYLE}</style>\
         <text class=\"title\" x=\"{LEFT}\" y=\"28\">What is promised after how many rounds</text>\
         <text class=\"quiet\" x=\"{LEFT}\" y=\"48\">{setting}; z is the noise multiplier; lower is more private</text>",
        ends.join("; ")
    );
    axes(&mut out, &across, &along);
    let mut labels: Vec<(f64, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let (colour, dash) = LOOKS.get(index % LOOKS.len()).copied().unwrap_or_default();
        let place =
            |point: &(f64, f64)| (across.place(point.0), along.place(point.1.max(SMALLEST)));
        let path: Vec<String> = line
            .points
            .iter()
            .map(place)
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            out,
            "<polyline class=\"line\" stroke=\"{colour}\" stroke-dasharray=\"{dash}\" points=\"{}\"/>",
            path.join(" ")
        );
        if let Some(end) = line.points.last() {
            labels.push((place(end).1, index));
        }
    }
    labels.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut free = TOP - APART;
    for (y, index) in labels {
        let y = y.max(free + APART);
        free = y;
        let words = ends.get(index).map(String::as_str).unwrap_or_default();
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{:.1}\">{words}</text>",
            RIGHT + 8.0,
            y + 4.0
        );
    }
    out.push_str("</svg>");
    out
}

fn axes(out: &mut String, across: &Axis, along: &Axis) {
    for tick in along.ticks() {
        let y = along.place(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"quiet\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    for tick in across.ticks() {
        let x = across.place(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>\
             <text class=\"quiet\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
            BOTTOM + 20.0
        );
    }
    let _ = write!(
        out,
        "<text class=\"quiet\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">rounds (logarithmic)</text>\
         <text class=\"quiet\" transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">ε (logarithmic)</text>",
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 44.0,
        (TOP + BOTTOM) / 2.0
    );
}
