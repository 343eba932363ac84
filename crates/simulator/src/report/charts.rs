//! The sections that hold a drawing: each with a caption that says what to see, and its numbers beneath.

use std::fmt::Write;

use chorus_model::{Interval, Quality};

use super::columns::{self, Column};
use super::lines::{self, Axis, Chart, Joined, Line, Point, Size};
use super::marks::Mark;
use super::picture::{self, Histogram};
use super::text::{budget, bytes, count, epsilon, escape, plain, score};
use super::{Report, tables};
use crate::{Noise, RoundRow};

/// Hatches for the phases in which clients were lost, so that colour is never the only difference.
pub(super) const PATTERNS: &str = "<svg class=\"patterns\" aria-hidden=\"true\"><defs>\
    <pattern id=\"p1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\" fill=\"var(--lost1)\"/></pattern>\
    <pattern id=\"p2\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"4\" height=\"4\" fill=\"var(--paper)\"/><rect width=\"2.4\" height=\"4\" fill=\"var(--lost2)\"/></pattern>\
    <pattern id=\"p3\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\"><rect width=\"4\" height=\"4\" fill=\"var(--paper)\"/><rect width=\"4\" height=\"2.4\" fill=\"var(--lost3)\"/></pattern>\
    <pattern id=\"p4\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\"><rect width=\"4\" height=\"4\" fill=\"var(--paper)\"/><circle cx=\"2\" cy=\"2\" r=\"1.5\" fill=\"var(--lost4)\"/></pattern>\
    </defs></svg>";

/// A drawing that stands beside another.
const HALF: Size = Size {
    width: 400.0,
    height: 236.0,
};

pub(super) fn quality(report: &Report) -> String {
    let rounds = report.rounds.len();
    let points = |pick: fn(&Quality) -> f64, band: bool| -> Vec<Point> {
        let rows = (1..).zip(&report.rounds);
        let point = |(number, row): (usize, &RoundRow)| {
            let quality = row.quality.as_ref()?;
            let value = pick(quality);
            Some(Point {
                at: Axis::round(number, rounds),
                name: format!("{number}, {}", row.name),
                value,
                interval: Interval::of_mean(value, quality.cases).filter(|_| band),
            })
        };
        rows.filter_map(point).collect()
    };
    let line = |label: &str, class, mark, points| Line {
        label: label.to_owned(),
        class,
        mark,
        joined: Joined::ByBand,
        points,
    };
    let hits = points(|quality| quality.hr_at_10, true);
    let gains = points(|quality| quality.ndcg_at_10, false);
    let lines = [
        line("HR@10", "us", Mark::Circle, hits),
        line("NDCG@10", "second", Mark::Square, gains),
    ];
    let baselines = [
        (report.popularity.hr_at_10, "popularity".to_owned()),
        (report.popularity.ndcg_at_10, "popularity".to_owned()),
    ];
    if lines.iter().all(|line| line.points.is_empty()) {
        return "<section><h2>Quality per round</h2><p>Quality was not measured between rounds.</p></section>"
            .to_owned();
    }
    let description = format!(
        "After {} rounds HR@10 is {} and NDCG@10 is {}; popularity has {} and {}.",
        report.rounds.len(),
        score(report.figures.hr_at_10),
        score(report.figures.ndcg_at_10),
        score(report.popularity.hr_at_10),
        score(report.popularity.ndcg_at_10)
    );
    let draw = |width, height| {
        let size = Size { width, height };
        lines::chart(&Chart {
            lines: &lines,
            baselines: &baselines,
            axis: &Axis::of_rounds(rounds, size),
            write: score,
            size,
            name: "Quality per round",
            description: &description,
        })
    };
    format!(
        "<section><h2>Quality per round</h2><figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>\
         <figcaption>{} The axis starts at 0; the band is a 95 % interval over the people measured.</figcaption></figure>{}{}</section>",
        draw(880.0, 320.0),
        draw(360.0, 280.0),
        escape(&seen(report)),
        tables::quality(&report.rounds),
        tables::live("", &report.rounds)
    )
}

/// What the quality chart shows, in a sentence.
fn seen(report: &Report) -> String {
    let above = |row: &RoundRow| {
        row.quality
            .is_some_and(|quality| quality.hr_at_10 > report.popularity.hr_at_10)
    };
    let figures = &report.figures;
    // The first round from which on the model stayed above.
    let behind = report
        .rounds
        .iter()
        .rposition(|row| row.quality.is_some() && !above(row));
    match behind.map_or(0, |round| round + 1) {
        first if first < report.rounds.len() && figures.hr_at_10 > figures.popularity_hr_at_10 => {
            format!(
                "The model is ahead of popularity (dashed, HR@10 above NDCG@10) from round {} on.",
                first + 1
            )
        }
        _ => "The model ends behind popularity (dashed, HR@10 above NDCG@10).".to_owned(),
    }
}

/// The parts of a column of the cohort chart, from the bottom up.
pub(super) const PARTS: [(&str, &str); 5] = [
    ("fill", "in the sum"),
    ("lost1", "left before uploading"),
    ("lost2", "left before checking shares"),
    ("lost3", "left before sending shares"),
    ("lost4", "left before sending keys"),
];

pub(super) fn parts(row: &RoundRow) -> [usize; 5] {
    let funnel = &row.funnel;
    [
        funnel.uploaded,
        funnel.confirmed.saturating_sub(funnel.uploaded),
        funnel.shared.saturating_sub(funnel.confirmed),
        funnel.advertised.saturating_sub(funnel.shared),
        funnel.invited.saturating_sub(funnel.advertised),
    ]
}

pub(super) fn cohorts(heading: &str, rounds: &[RoundRow]) -> String {
    let columns: Vec<Column> = rounds
        .iter()
        .map(|row| Column {
            name: row.name.clone(),
            parts: parts(row)
                .into_iter()
                .zip(PARTS)
                .map(|(clients, (_, what))| (clients as f64, format!("{} {what}", count(clients))))
                .collect(),
            label: count(row.funnel.invited),
        })
        .collect();
    let classes = PARTS.map(|(class, _)| class);
    let mut totals = [0; 5];
    for row in rounds {
        totals
            .iter_mut()
            .zip(parts(row))
            .for_each(|(total, part)| *total += part);
    }
    let key: String = PARTS
        .iter()
        .zip(totals)
        .filter(|(_, total)| *total > 0)
        .map(|((class, what), total)| {
            format!(
                "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"14\" height=\"14\"/></svg>\
                 {what}: {}</li>",
                count(total)
            )
        })
        .collect();
    let invited: usize = totals.iter().sum();
    let lost = invited - totals.first().copied().unwrap_or(0);
    let caption = if lost == 0 {
        "Every invited client is in its sum.".to_owned()
    } else {
        format!(
            "{} of {} invited clients ({:.1} %) left on the way; the masks they had already agreed on were taken off without them.",
            count(lost),
            count(invited),
            100.0 * lost as f64 / invited.max(1) as f64
        )
    };
    let draw = |width| {
        columns::chart(
            &columns,
            &classes,
            "clients",
            |value| count(value.round() as usize),
            Size {
                width,
                height: 236.0,
            },
            "Clients in each round, by how far they came",
            &caption,
        )
    };
    format!(
        "<section>{heading}<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>\
         <ul class=\"key\">{key}</ul><figcaption>{caption}</figcaption></figure>{}</section>",
        draw(880.0),
        draw(360.0),
        tables::cohorts(rounds)
    )
}

pub(super) fn cost(report: &Report) -> String {
    let columns = |value: fn(&RoundRow) -> f64, write: &dyn Fn(f64) -> String| -> Vec<Column> {
        let rows = report.rounds.iter();
        rows.map(|row| Column {
            name: row.name.clone(),
            parts: vec![(value(row), write(value(row)))],
            label: write(value(row)),
        })
        .collect()
    };
    let figures = &report.figures;
    let spent = match figures.epsilon {
        Some(total) => {
            let text = format!("After the last sum a client has spent {}.", budget(total, figures.delta));
            let columns = columns(|row| row.epsilon.unwrap_or(0.0), &|value| epsilon(value));
            let drawn = columns::chart(&columns, &["fill"], "ε spent so far", plain, HALF, "Privacy spent after each round", &text);
            format!("<figure><h3>Privacy spent</h3>{drawn}<figcaption>{text}</figcaption></figure>")
        }
        None => "<div class=\"beside\"><h3>Privacy spent</h3><p>Nothing to count: noise was off, so no differential privacy is claimed \
              and no epsilon describes what a sum says about one person.</p></div>"
            .to_owned(),
    };
    let total: u64 = report.rounds.iter().map(|row| row.upload_bytes).sum();
    let text = format!(
        "One upload has up to {}; a client that took part in every round would send {}.",
        bytes(figures.upload_bytes_per_client),
        bytes(total)
    );
    let columns = columns(|row| row.upload_bytes as f64, &|value| bytes(value as u64));
    let drawn = columns::chart(
        &columns,
        &["fill"],
        "upload of one client",
        |value| bytes(value as u64),
        HALF,
        "Bytes that one client uploads in each round",
        &text,
    );
    format!(
        "<section><h2>What it cost a client</h2><div class=\"pair\">{spent}<figure><h3>Bytes sent</h3>{drawn}\
         <figcaption>{text}</figcaption></figure></div>{}</section>",
        tables::cost(&report.rounds)
    )
}

pub(super) fn pictures(report: &Report) -> String {
    let Some(picture) = &report.picture else {
        return String::new();
    };
    let mut out = String::from("<section><h2>What the coordinator saw</h2><div class=\"pair\">");
    let learned = match report.figures.noise {
        Noise::Off => {
            "the masks are gone and a pattern is there: this, and nothing else, is what was learned."
        }
        Noise::Distributed | Noise::Central | Noise::Local => {
            "the masks are gone; a pattern, and the noise that the clients added to it, is all that was learned."
        }
    };
    let shown = |words: &[u32]| words.len().min(picture::COLUMNS * 24);
    for (words, head, caption) in [
        (
            &picture.upload,
            "One client's upload",
            "noise to anyone who lacks its masks: positive and negative words everywhere, and every byte value equally often.",
        ),
        (&picture.sum, "The sum of all of them", learned),
    ] {
        let histogram = Histogram::of(words);
        let title = format!(
            "{head}, the first {} words of {}",
            count(shown(words)),
            picture.round
        );
        let _ = write!(
            out,
            "<figure><h3>{head}</h3>{}{}<figcaption>The first {} of {} words of <code>{}</code> (blue above zero, orange below), \
             and how often each byte value occurs. {} bins lie in the band where uniformly random bytes would: {caption}</figcaption></figure>",
            picture::grid(words, &title, caption),
            histogram.draw(&format!("{head}: how often each byte value occurs")),
            count(shown(words)),
            count(words.len()),
            escape(&picture.round),
            histogram.inside_of_all(),
        );
    }
    out.push_str("</div></section>");
    out
}
