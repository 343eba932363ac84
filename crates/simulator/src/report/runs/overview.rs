//! Every run in a row.

use chorus_model::{Interval, Quality};

use super::{Set, ShownRun};
use crate::report::text::{bytes, epsilon, escape, percent, score4, seconds};

/// Longer tables are folded, and the best stand alone.
const OPEN: usize = 24;
/// How many those are.
const BEST: usize = 10;

/// What of a quality stands in the table.
type Pick = fn(&Quality) -> f64;
const FIGURES: [(&str, Pick); 4] = [
    ("HR@10", |quality| quality.hr_at_10),
    ("NDCG@10", |quality| quality.ndcg_at_10),
    ("all: HR@10", |quality| quality.full_hr_at_10),
    ("all: NDCG@10", |quality| quality.full_ndcg_at_10),
];

pub(super) fn table(set: &Set<'_>) -> String {
    let mut by_quality = set.runs.clone();
    by_quality.sort_by(|one, other| other.hits().total_cmp(&one.hits()));
    let is_long = set.runs.len() > OPEN;
    let shown = match is_long {
        true => by_quality.get(..BEST).unwrap_or(&by_quality),
        false => &set.runs,
    };
    let folded = match is_long {
        true => format!(
            "<details><summary>All {} runs, the best first</summary>{}</details>",
            set.runs.len(),
            rows(set, &by_quality)
        ),
        false => String::new(),
    };
    let title = match (set.runs.len(), is_long) {
        (1, _) => "The run".to_owned(),
        (runs, false) => format!("All {runs} runs"),
        (runs, true) => format!("The {BEST} best of {runs} runs"),
    };
    format!(
        "<section>{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">{}</div>{folded}</section>",
        set.heading(&title),
        rows(set, shown)
    )
}

fn rows(set: &Set<'_>, runs: &[&ShownRun]) -> String {
    let promotes = runs.iter().any(|run| promoted(run).is_some());
    let loses = runs.iter().any(|run| run.lost().1 > 0);
    let mut heads: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    heads.extend(["ε", "upload", "time"]);
    if loses {
        heads.push("lost");
    }
    if promotes {
        heads.push("promoted item shown");
    }
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{head}</th>"))
        .collect();
    let best = FIGURES.map(|(_, pick)| {
        let values = set.runs.iter().filter_map(|run| run.quality().map(pick));
        values.fold(0.0, f64::max)
    });
    let mut body = String::new();
    for run in runs {
        let mut cells = String::new();
        for ((name, pick), best) in FIGURES.iter().zip(best) {
            cells.push_str(&figure(
                run.quality(),
                *pick,
                best,
                *name == "HR@10",
                set.runs.len() > 1,
            ));
        }
        let spent = run
            .spent()
            .map_or("none".to_owned(), |(spent, _)| epsilon(spent));
        let mut others = vec![spent, bytes(run.upload()), seconds(run.seconds())];
        if loses {
            let (invited, lost) = run.lost();
            others.push(percent(lost as f64 / invited.max(1) as f64));
        }
        if promotes {
            others.push(promoted(run).map_or("–".to_owned(), percent));
        }
        cells.extend(others.iter().map(|cell| format!("<td>{cell}</td>")));
        let unfinished = run.unfinished().map_or_else(String::new, |said| {
            format!("<small>{}</small>", escape(&said))
        });
        body.push_str(&format!(
            "<tr><th scope=\"row\">{}{unfinished}</th>{cells}</tr>",
            escape(&run.name)
        ));
    }
    let mut others = vec![("popularity", set.popularity())];
    others.extend(
        set.central()
            .iter()
            .map(|central| ("in one place", central.quality)),
    );
    for (name, quality) in others {
        let cells = FIGURES.map(|(_, pick)| format!("<td>{}</td>", score4(pick(&quality))));
        body.push_str(&format!(
            "<tr class=\"beside\"><th scope=\"row\">{name}</th>{}</tr>",
            cells.concat()
        ));
    }
    format!(
        "<table><thead><tr><th scope=\"col\">run</th>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
}

fn figure(
    quality: Option<&Quality>,
    pick: Pick,
    best: f64,
    with_interval: bool,
    several: bool,
) -> String {
    let Some(quality) = quality else {
        return "<td>–</td>".to_owned();
    };
    let value = pick(quality);
    let class = match several && value == best {
        true => " class=\"best\"",
        false => "",
    };
    let within = Interval::of_mean(value, quality.cases).filter(|_| with_interval);
    let within = within.map_or_else(String::new, |within| {
        format!("<small>{:.3}–{:.3}</small>", within.low, within.high)
    });
    format!("<td{class}>{}{within}</td>", score4(value))
}

fn promoted(run: &ShownRun) -> Option<f64> {
    run.record.figures.as_ref()?.promoted
}
