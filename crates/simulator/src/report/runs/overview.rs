//! Every run in a row.

use chorus_model::{Interval, Quality};

use super::{Set, ShownRun, counting};
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
        "<section>{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">{}</div><figcaption>{}</figcaption>{folded}</section>",
        set.heading(&title),
        rows(set, shown),
        words(set)
    )
}

/// What the heads of the table mean.
fn words(set: &Set<'_>) -> String {
    let mut said = "HR@10 and NDCG@10 against the listed negatives, with the 95\u{a0}% interval of HR@10; <em>all</em>: against all items. \
        The upload is the longest of a round."
        .to_owned();
    let any = |is_so: &dyn Fn(&ShownRun) -> bool| set.runs.iter().any(|run| is_so(run));
    if any(&|run| run.content().is_some()) {
        said.push_str(
            " <em>Counts alone</em>: HR@10 of the public item features and the noisy counts without any other sum.",
        );
    }
    if any(&|run| run.lost().1 > 0) {
        said.push_str(" <em>Lost</em>: invitations that ended without a contribution.");
    }
    if any(&|run| promoted(run).is_some()) {
        said.push_str(" <em>Promoted</em>: lists of ten with the item that attackers promote.");
    }
    said
}

fn rows(set: &Set<'_>, runs: &[&ShownRun]) -> String {
    let promotes = runs.iter().any(|run| promoted(run).is_some());
    let loses = runs.iter().any(|run| run.lost().1 > 0);
    let alone = runs.iter().any(|run| run.content().is_some());
    let mut heads: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    heads.insert(1, "95 %");
    if alone {
        heads.push("counts alone");
    }
    heads.extend(["ε", "upload", "time"]);
    if loses {
        heads.push("lost");
    }
    if promotes {
        heads.push("promoted");
    }
    let best = FIGURES.map(|(_, pick)| best(set, pick));
    let mut body = String::new();
    for run in runs {
        let mut cells = String::new();
        for (number, ((_, pick), best)) in FIGURES.iter().zip(best).enumerate() {
            let value = run.quality().map(*pick);
            let class = match best.is_some_and(|best| std::ptr::eq(best, *run)) {
                true => " class=\"best\"",
                false => "",
            };
            let written = value.map_or("–".to_owned(), score4);
            cells.push_str(&format!("<td{class}>{written}</td>"));
            if number == 0 {
                cells.push_str(&format!(
                    "<td class=\"within\">{}</td>",
                    within(run.quality())
                ));
            }
        }
        let mut others = Vec::new();
        if alone {
            let content = run.content();
            others.push(content.map_or("–".to_owned(), |content| score4(content.hr_at_10)));
        }
        let spent = run
            .spent()
            .map_or("none".to_owned(), |(spent, _)| epsilon(spent));
        others.extend([spent, bytes(run.upload()), seconds(run.seconds())]);
        if loses {
            let (invited, lost) = run.lost();
            others.push(percent(lost as f64 / invited.max(1) as f64));
        }
        if promotes {
            others.push(promoted(run).map_or("–".to_owned(), percent));
        }
        cells.extend(others.iter().map(|cell| format!("<td>{cell}</td>")));
        let unfinished = run.unfinished().unwrap_or_default();
        body.push_str(&named("", &run.name, &unfinished, &cells));
    }
    let rest = heads.len() - FIGURES.len() - 1;
    let mut others = vec![("popularity", String::new(), set.popularity())];
    let central = set.central();
    others.extend(
        central
            .iter()
            .map(|central| ("in one place", central.words.clone(), central.quality)),
    );
    for (name, words, quality) in others {
        let [first, others @ ..] =
            FIGURES.map(|(_, pick)| format!("<td>{}</td>", score4(pick(&quality))));
        let cells = format!(
            "{first}<td></td>{}<td colspan=\"{rest}\"></td>",
            others.concat()
        );
        body.push_str(&named(" class=\"beside\"", name, &words, &cells));
    }
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{head}</th>"))
        .collect();
    format!(
        "<table><thead><tr><th scope=\"col\">run</th>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
}

/// The run that is best in a figure; nothing where there is one run, or several are as good.
fn best<'a>(set: &Set<'a>, pick: Pick) -> Option<&'a ShownRun> {
    let runs: Vec<(f64, &ShownRun)> = counting(set.runs.iter().copied())
        .filter_map(|run| Some((pick(run.quality()?), run)))
        .collect();
    let most = runs.iter().map(|(value, _)| *value).fold(0.0, f64::max);
    let mut those = runs.iter().filter(|(value, _)| *value == most);
    match (set.runs.len(), those.next(), those.next()) {
        (2.., Some((_, best)), None) => Some(best),
        _ => None,
    }
}

fn named(class: &str, name: &str, beneath: &str, cells: &str) -> String {
    let beneath = match beneath.is_empty() {
        true => String::new(),
        false => format!("<small>{}</small>", escape(beneath)),
    };
    format!(
        "<tr{class}><th scope=\"row\">{}{beneath}</th>{cells}</tr>",
        escape(name)
    )
}

/// The interval of HR@10.
fn within(quality: Option<&Quality>) -> String {
    let within = quality.and_then(|quality| Interval::of_mean(quality.hr_at_10, quality.cases));
    within.map_or("–".to_owned(), |within| {
        format!("{:.3}–{:.3}", within.low, within.high)
    })
}

fn promoted(run: &ShownRun) -> Option<f64> {
    run.record.figures.as_ref()?.promoted
}
