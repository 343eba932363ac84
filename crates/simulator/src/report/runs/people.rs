//! Who is served how well, and what people are shown.

use chorus_model::ListFigures;

use super::{Set, ShownRun};
use crate::Evaluation;
use crate::report::dots::{self, Row};
use crate::report::marks;
use crate::report::text::{count, escape, percent, plain, score4};

/// The runs that were evaluated, in their colours; one that was not keeps its place.
fn evaluated<'a>(set: &Set<'a>) -> Vec<(&'a ShownRun, Option<&'a Evaluation>)> {
    let drawn = set.drawn.iter();
    drawn.map(|run| (*run, run.evaluation.as_ref())).collect()
}

fn heads(runs: &[(&ShownRun, Option<&Evaluation>)]) -> String {
    let head = |(run, _): &(&ShownRun, _)| format!("<th scope=\"col\">{}</th>", escape(&run.name));
    match runs {
        [_] => "<th scope=\"col\">this run</th>".to_owned(),
        runs => runs.iter().map(head).collect(),
    }
}

fn row(name: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells
        .map(|cell| format!("<td>{}</td>", escape(&cell)))
        .collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(name))
}

/// By how much people did, and by what the data knows of them.
pub(super) fn groups(set: &Set<'_>) -> String {
    let runs = evaluated(set);
    let Some(first) = runs.iter().find_map(|(_, found)| *found) else {
        return String::new();
    };
    let (mut rows, mut body) = (Vec::new(), String::new());
    for (place, by) in first.groups.iter().enumerate() {
        for (number, group) in by.groups.iter().enumerate() {
            let of = |found: &Option<&Evaluation>| {
                let group = found.as_ref()?.groups.get(place)?.groups.get(number)?;
                group.full_ndcg_at_10
            };
            let values: Vec<_> = runs.iter().map(|(_, found)| of(found)).collect();
            let cells = values.iter().map(|value| match value {
                Some(value) => format!("{} ± {}", score4(value.mean), score4(value.within)),
                None => "too few to show".to_owned(),
            });
            let name = format!("{} ({})", group.name, count(group.people));
            body.push_str(&row(&name, cells));
            rows.push(Row {
                name: group.name.clone(),
                values,
                begins: number == 0,
            });
        }
        let gaps = runs.iter().map(|(_, found)| {
            let gap = found.and_then(|found| found.groups.get(place)?.gap.as_ref());
            gap.map_or("–".to_owned(), |gap| {
                let [low, high] = gap.interval;
                let verdict = match low > 0.0 {
                    true => format!("worst: {}", gap.worst),
                    false => "may be chance".to_owned(),
                };
                format!(
                    "{} ({} to {}); {verdict}",
                    score4(gap.value),
                    score4(low),
                    score4(high)
                )
            })
        });
        body.push_str(&row(&format!("gap by {}", by.by), gaps));
    }
    let names: Vec<&str> = runs.iter().map(|(run, _)| run.name.as_str()).collect();
    let draw = |width| {
        dots::chart(
            &rows,
            &names,
            "NDCG@10 among all",
            width,
            "NDCG@10 among all items by group of people",
        )
    };
    let key = match names.len() {
        1 => String::new(),
        _ => marks::key(names.iter().copied().enumerate()),
    };
    format!(
        "<section>{}<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>{key}<figcaption>{} The lines are 95\u{a0}% intervals \
         over the people of a group. Groups of under 50 people are counted and not shown.</figcaption></figure>\
         <details{}><summary>NDCG@10 among all by group, and the gap between the best and the worst with its bootstrap interval</summary>\
         <table><thead><tr><th scope=\"col\">group (people)</th>{}</tr></thead><tbody>{body}</tbody></table></details></section>",
        set.heading("Who is served how well"),
        draw(880.0),
        draw(400.0),
        escape(&unequal(set)),
        if runs.len() <= 3 { " open" } else { "" },
        heads(&runs)
    )
}

/// What the gaps of the best run say.
fn unequal(set: &Set<'_>) -> String {
    let best = set
        .best()
        .and_then(|run| Some((run, run.evaluation.as_ref()?)));
    let Some((run, found)) = best else {
        return String::new();
    };
    let sure = found.groups.iter().filter_map(|by| {
        let gap = by.gap.as_ref().filter(|gap| gap.interval[0] > 0.0)?;
        Some(format!("by {} ({} fares worst)", by.by, gap.worst))
    });
    let sure: Vec<String> = sure.collect();
    let whose = match set.runs.len() {
        1 => String::new(),
        _ => format!(" in {}", run.called()),
    };
    match sure.is_empty() {
        true => format!("No group fares worse{whose} than chance explains."),
        false => format!(
            "Groups fare differently{whose} by more than chance: {}.",
            sure.join(", ")
        ),
    }
}

/// What lists of ten are like.
pub(super) fn lists(set: &Set<'_>) -> String {
    type Pick = fn(&ListFigures) -> Option<f64>;
    const FIGURES: [(&str, Pick); 8] = [
        ("catalogue coverage", |lists| Some(lists.coverage)),
        ("popularity lift", |lists| Some(lists.popularity_lift)),
        ("share from the tail", |lists| Some(lists.tail_share)),
        ("novelty, bits", |lists| Some(lists.novelty)),
        ("Gini of exposure", |lists| Some(lists.gini)),
        ("percentile of popularity", |lists| {
            Some(lists.popularity_percentile)
        }),
        ("diversity within a list", |lists| lists.diversity),
        ("distance from own tastes, nats", |lists| lists.calibration),
    ];
    let runs = evaluated(set);
    let Some(first) = runs.iter().find_map(|(_, found)| *found) else {
        return String::new();
    };
    let popular = &first.popularity_lists;
    let written = |value: Option<f64>| value.map_or("–".to_owned(), score4);
    let mut body = String::new();
    for (name, pick) in FIGURES.iter().filter(|(_, pick)| pick(popular).is_some()) {
        let cells = runs
            .iter()
            .map(|(_, found)| written(found.and_then(|found| pick(&found.lists))));
        body.push_str(&row(name, cells.chain([written(pick(popular))])));
    }
    let variation = |found: &Option<&Evaluation>| {
        let found = found.as_ref().map(|found| found.full_ndcg_at_10_variation);
        written(found)
    };
    let cells = runs.iter().map(|(_, found)| variation(found));
    body.push_str(&row(
        "spread of NDCG@10 over people",
        cells.chain(["–".to_owned()]),
    ));
    if runs
        .iter()
        .any(|(_, found)| found.is_some_and(|found| found.explanations.is_some()))
    {
        let explained = |found: &Option<&Evaluation>| {
            let found = found.as_ref().and_then(|found| found.explanations.as_ref());
            found.map_or("–".to_owned(), |found| {
                plain((found.fall * 100.0).round() / 100.0)
            })
        };
        let cells = runs.iter().map(|(_, found)| explained(found));
        body.push_str(&row(
            "places lost without the three named reasons",
            cells.chain(["–".to_owned()]),
        ));
    }
    let promoted = |run: &ShownRun| {
        run.record
            .figures
            .as_ref()
            .and_then(|figures| figures.promoted)
    };
    if runs.iter().any(|(run, _)| promoted(run).is_some()) {
        let cells = runs
            .iter()
            .map(|(run, _)| promoted(run).map_or("–".to_owned(), percent));
        body.push_str(&row(
            "lists with the promoted item",
            cells.chain(["–".to_owned()]),
        ));
    }
    format!(
        "<section>{}<p>Lists of ten items for everyone. Coverage is the share of all items that stands on any list; lift is how much more popular \
         the shown items are than those that people had (0: as popular); the tail is everything outside the most popular fifth; Gini is 0 where \
         all items are shown alike and 1 where one stands alone.</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"What people are shown\">\
         <table><thead><tr><th scope=\"col\">lists of ten</th>{}<th scope=\"col\">popularity</th></tr></thead><tbody>{body}</tbody></table></div>{}</section>",
        set.heading("What people are shown"),
        heads(&runs),
        exposure(&runs)
    )
}

/// What each category has of what is shown.
fn exposure(runs: &[(&ShownRun, Option<&Evaluation>)]) -> String {
    let Some(first) = runs.iter().find_map(|(_, found)| *found) else {
        return String::new();
    };
    if first.exposure.is_empty() {
        return String::new();
    }
    let mut body = String::new();
    for (number, category) in first.exposure.iter().enumerate() {
        let cells = runs.iter().map(|(_, found)| {
            let share = found.and_then(|found| found.exposure.get(number));
            share.map_or("–".to_owned(), |share| percent(share.shown))
        });
        body.push_str(&row(
            &category.name,
            cells.chain([percent(category.catalogue)]),
        ));
    }
    format!(
        "<details><summary>What each category has of all that is shown, and of the catalogue</summary><table><thead><tr><th scope=\"col\">category</th>{}\
         <th scope=\"col\">catalogue</th></tr></thead><tbody>{body}</tbody></table></details>",
        heads(runs)
    )
}
