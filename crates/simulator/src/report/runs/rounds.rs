//! Round by round: how good, and what was spent.

use chorus_model::{Interval, Quality};

use super::{Set, ShownRun};
use crate::report::lines::{self, Axis, Chart, Joined, Line, Point, Size};
use crate::report::marks::{self, SERIES};
use crate::report::summary::paragraphs;
use crate::report::tables;
use crate::report::text::{budget, epsilon, escape, score};
use crate::simulate::ONE_PROGRAM;
use crate::{Content, RoundRow};

const SIZE: Size = Size {
    width: 400.0,
    height: 250.0,
};

/// A figure: its name, and what it is of a model and of the public item features with the noisy counts alone.
type Figure = (&'static str, fn(&Quality) -> f64, fn(&Content) -> f64);
const FIGURES: [Figure; 4] = [
    (
        "HR@10 among 99 others",
        |quality| quality.hr_at_10,
        |content| content.hr_at_10,
    ),
    (
        "NDCG@10 among 99 others",
        |quality| quality.ndcg_at_10,
        |content| content.ndcg_at_10,
    ),
    (
        "HR@10 among all",
        |quality| quality.full_hr_at_10,
        |content| content.full_hr_at_10,
    ),
    (
        "NDCG@10 among all",
        |quality| quality.full_ndcg_at_10,
        |content| content.full_ndcg_at_10,
    ),
];

/// One line a run, in the colours of the whole page.
fn lines(
    runs: &[&ShownRun],
    longest: usize,
    joined: Joined,
    value: impl Fn(&RoundRow, bool) -> Option<(f64, Option<Interval>)>,
) -> Vec<Line> {
    let line = |(run, (class, mark)): (&&ShownRun, (&'static str, marks::Mark))| {
        let last = run
            .record
            .rounds
            .iter()
            .rposition(|row| value(row, true).is_some());
        let rows = run.record.rounds.iter().enumerate();
        let points = rows.filter_map(|(number, row)| {
            let (value, interval) = value(row, Some(number) == last)?;
            Some(Point {
                at: Axis::round(number + 1, longest),
                name: format!("{}, {}, {}", run.name, number + 1, row.name),
                value,
                interval,
            })
        });
        Line {
            label: String::new(),
            class,
            mark,
            joined,
            points: points.collect(),
        }
    };
    runs.iter().zip(SERIES).map(line).collect()
}

fn longest(runs: &[&ShownRun]) -> usize {
    let rounds = runs.iter().map(|run| run.record.rounds.len());
    rounds.max().unwrap_or(0)
}

/// What the lines are; nothing where there is one run.
fn key(runs: &[&ShownRun], is_shown: impl Fn(&ShownRun) -> bool) -> String {
    let names = runs.iter().enumerate().filter(|(_, run)| is_shown(run));
    match runs {
        [_] => String::new(),
        _ => marks::key(names.map(|(number, run)| (number, run.name.as_str()))),
    }
}

pub(super) fn quality(set: &Set<'_>) -> String {
    let heading = set.heading("Quality per round");
    let runs = &set.drawn;
    if runs.iter().all(|run| run.quality().is_none()) {
        return format!("<section>{heading}<p>Quality was not measured yet.</p></section>");
    }
    let drawn: String = FIGURES
        .iter()
        .map(|figure| quality_chart(set, figure))
        .collect();
    let measured = |run: &ShownRun| {
        let rows = run.record.rounds.iter();
        rows.filter(|row| row.quality.is_some()).count()
    };
    let shown = match runs.as_slice() {
        [run] if measured(run) > 1 => {
            "The band is the 95\u{a0}% interval over the people measured."
        }
        [_] => {
            "Only one model of it was measured; the whisker is the 95\u{a0}% interval over the people measured."
        }
        _ => {
            "The whisker at the end of a line is the 95\u{a0}% interval over the people measured; those of each round are in the tables."
        }
    };
    let whose = |run: &ShownRun| match runs.len() {
        1 => String::new(),
        _ => escape(&format!("{}: ", run.name)),
    };
    let tables = runs.iter().map(|run| {
        let (whose, rounds) = (whose(run), &run.record.rounds);
        let summary = format!("{whose}Quality after each round, with 95\u{a0}% intervals");
        let intervals = tables::intervals(rounds, &summary, runs.len() == 1);
        format!(
            "{intervals}{}{}",
            tables::live(&whose, rounds),
            remarks(&whose, rounds)
        )
    });
    let tables: String = tables.collect();
    format!(
        "<section>{heading}<div class=\"pair\">{drawn}</div>{}<figcaption>{} {shown} The axes start at 0.{}{}{}</figcaption>{tables}</section>",
        key(runs, |run| run.quality().is_some()),
        escape(&ahead(set)),
        counts_alone(runs),
        set.whose(),
        set.left_out(),
    )
}

/// What server steps did out of the ordinary.
fn remarks(whose: &str, rounds: &[RoundRow]) -> String {
    let remarks = rounds.iter().filter_map(RoundRow::remark);
    let remarks: String = remarks
        .map(|said| format!("<li>{}</li>", escape(&said)))
        .collect();
    match remarks.is_empty() {
        true => remarks,
        false => format!(
            "<details><summary>{whose}What server steps did out of the ordinary</summary><ul>{remarks}</ul></details>"
        ),
    }
}

fn counts_alone(runs: &[&ShownRun]) -> &'static str {
    match runs {
        [run] if run.content().is_some() => {
            " <em>Counts alone</em> are the public item features and the noisy counts without any other sum."
        }
        _ => "",
    }
}

fn quality_chart(set: &Set<'_>, figure: &Figure) -> String {
    let (name, pick, alone) = *figure;
    let runs = &set.drawn;
    let joined = match runs.len() {
        1 => Joined::ByBand,
        _ => Joined::ByWhiskers,
    };
    let value = |row: &RoundRow, is_last: bool| {
        let quality = row.quality.as_ref()?;
        let value = pick(quality);
        let within = Interval::of_mean(value, quality.cases);
        Some((
            value,
            within.filter(|_| is_last || joined == Joined::ByBand),
        ))
    };
    let mut baselines = set.baselines(pick);
    if let [run] = runs.as_slice() {
        baselines.extend(
            run.content()
                .map(|content| (alone(content), "counts alone".to_owned())),
        );
    }
    let ends = runs.iter().filter_map(|run| {
        let last = pick(run.quality()?);
        Some(format!("{} ends at {}", run.name, score(last)))
    });
    let description = format!(
        "{}; popularity has {}.",
        ends.collect::<Vec<_>>().join(", "),
        score(pick(&set.popularity()))
    );
    let drawn = lines::chart(&Chart {
        lines: &lines(runs, longest(runs), joined, value),
        baselines: &baselines,
        axis: &Axis::of_rounds(longest(runs), SIZE),
        write: score,
        size: SIZE,
        name: &format!("{name} after each round"),
        description: &description,
    });
    format!("<figure><h3>{name}</h3>{drawn}</figure>")
}

/// Which of the runs end ahead of popularity.
fn ahead(set: &Set<'_>) -> String {
    let popularity = set.popularity().hr_at_10;
    let measured = set.drawn.iter().filter(|run| run.quality().is_some());
    let ahead = measured
        .clone()
        .filter(|run| run.hits() > popularity)
        .count();
    match (measured.count(), ahead) {
        (1, 1) => "The run ends ahead of popularity.".to_owned(),
        (1, _) => "The run ends behind popularity.".to_owned(),
        (all, ahead) if all == ahead => format!("All {all} end ahead of popularity."),
        (all, ahead) => format!("{ahead} of {all} end ahead of popularity."),
    }
}

pub(super) fn privacy(set: &Set<'_>) -> String {
    let heading = set.heading("Privacy spent");
    let private: Vec<&ShownRun> = set
        .drawn
        .iter()
        .copied()
        .filter(|run| run.spent().is_some())
        .collect();
    let open: Vec<&str> = set
        .runs
        .iter()
        .filter(|run| run.record.task.privacy.bound().is_none())
        .map(|run| run.name.as_str())
        .collect();
    let unbounded = match (open.len(), set.runs.len()) {
        (0, _) => String::new(),
        (open, all) if open == all => {
            "<p>Nothing to count: noise was off, so no differential privacy is claimed and no epsilon describes what a sum says about one \
             person.</p>"
                .to_owned()
        }
        (1, _) => format!(
            "<p>{} ran without noise: no differential privacy is claimed of it, and no epsilon describes it.</p>",
            escape(&open.concat())
        ),
        (open, all) => format!(
            "<p>{open} of {all} runs were without noise: no differential privacy is claimed of them, and no epsilon describes them.</p>"
        ),
    };
    let drawn = match private.is_empty() {
        true => String::new(),
        false => spent(&set.drawn, &private),
    };
    format!(
        "<section>{heading}{drawn}{unbounded}{}</section>",
        words(set)
    )
}

fn spent(drawn: &[&ShownRun], private: &[&ShownRun]) -> String {
    let value = |row: &RoundRow, _: bool| row.epsilon.map(|epsilon| (epsilon, None));
    let ends: Vec<String> = private
        .iter()
        .filter_map(|run| {
            let (spent, delta) = run.spent()?;
            let budget = budget(spent, Some(delta));
            Some(match drawn.len() {
                1 => budget,
                _ => format!("{budget} in {}", run.called()),
            })
        })
        .collect();
    let longest = longest(private);
    // Of all that are drawn, so that each keeps its colour.
    let all = lines(drawn, longest, Joined::ByWhiskers, value);
    let lines: Vec<Line> = all
        .into_iter()
        .filter(|line| !line.points.is_empty())
        .collect();
    let draw = |width, height| {
        let size = Size { width, height };
        lines::chart(&Chart {
            lines: &lines,
            baselines: &[],
            axis: &Axis::of_rounds(longest, size),
            write: epsilon,
            size,
            name: "Epsilon spent by the end of each round",
            description: &ends.join("; "),
        })
    };
    let caption = match ends.len() {
        1..=3 => format!("By the end a client has spent {}.", ends.join("; ")),
        _ => "What a client has spent by the end of each round, over all of its contributions; the last value is in the table of all runs.".to_owned(),
    };
    format!(
        "<figure><h3>ε spent by the end of each round</h3><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>{}<figcaption>{}</figcaption></figure>",
        draw(880.0, 240.0),
        draw(400.0, 240.0),
        key(drawn, |run| run.spent().is_some()),
        escape(&caption)
    )
}

/// What the guarantee is and against whom, of the best run with noise, or else of the best.
fn words(set: &Set<'_>) -> String {
    let private = set.runs.iter().copied().filter(|run| run.spent().is_some());
    let Some(run) = super::best_of(private).or(set.best()) else {
        return String::new();
    };
    let record = &run.record;
    let Ok(guarantee) = record.task.guarantee() else {
        return String::new();
    };
    let class = match record.task.privacy.bound() {
        Some(_) => "note",
        None => "note warn",
    };
    let whose = match set.runs.len() {
        1 => "What protects a person".to_owned(),
        _ => format!("What protects a person in {}", run.called()),
    };
    let trust = format!("{ONE_PROGRAM}\n{}", record.options.trust(&record.task));
    format!(
        "<h3>{}</h3><div class=\"{class}\">{}</div><details><summary>Against whom</summary>{}</details>",
        escape(&whose),
        paragraphs(&guarantee),
        paragraphs(&trust)
    )
}
