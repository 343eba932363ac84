//! Quality against what was swept over.

use std::collections::BTreeMap;

use chorus_model::{Interval, Quality};

use super::{Set, ShownRun};
use crate::report::lines::{self, Axis, Chart, Joined, Line, Point, Size};
use crate::report::marks::{self, SERIES};
use crate::report::text::{escape, plain, score, score4};

const SIZE: Size = Size {
    width: 400.0,
    height: 260.0,
};

/// What a run has for the key that was swept over.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Word(String),
    /// It was not given; of epsilon: there was no noise.
    Nothing,
}

/// The runs that differ in one key and the seed alone.
struct Series<'a> {
    name: String,
    runs: Vec<(Value, &'a ShownRun)>,
}

pub(super) fn section(set: &Set<'_>) -> String {
    let finished: Vec<&ShownRun> = set
        .runs
        .iter()
        .copied()
        .filter(|run| run.record.is_finished() && run.quality().is_some())
        .collect();
    let keys = set.differing();
    let Some(key) = swept(&finished, &keys) else {
        return String::new();
    };
    let mut series = series(&finished, &keys, &key);
    let all = series.len();
    series.truncate(SERIES.len());
    let values = places(&series, key == "epsilon");
    let seeds = series
        .iter()
        .any(|one| one.runs.len() > distinct(one).len());
    let axis = Axis {
        ticks: values
            .iter()
            .map(|(value, at)| (*at, written(value, &key)))
            .collect(),
        unit: match key.as_str() {
            "epsilon" => "ε (log)".to_owned(),
            key => key.to_owned(),
        },
    };
    let draw = |name, pick| chart(set, &series, &values, &axis, name, pick, seeds);
    let drawn = [
        draw("HR@10 among 99 others", |quality| quality.hr_at_10),
        draw("NDCG@10 among all", |quality| quality.full_ndcg_at_10),
    ];
    let drawn = drawn.concat();
    let legend = match series.len() {
        1 => String::new(),
        _ => marks::key(series.iter().map(|one| one.name.as_str()).enumerate()),
    };
    let left = match all - series.len() {
        0 => String::new(),
        left => format!(" {left} more settings of the other keys are in the table alone."),
    };
    let points = match seeds {
        true => "Each open mark is a run with a seed of its own, the line their mean.",
        false => "The whiskers are 95\u{a0}% intervals over the people measured.",
    };
    let shown = match key.as_str() {
        "epsilon" => "privacy bound".to_owned(),
        key => format!("<code>{}</code>", escape(key)),
    };
    format!(
        "<section>{}<div class=\"pair\">{drawn}</div>{legend}<figcaption>Quality of the last model by {shown}. {points}{left} \
         The axes start at 0.{}</figcaption>{}</section>",
        set.heading(&match key.as_str() {
            "epsilon" => "Quality against epsilon".to_owned(),
            key => format!("Quality against {}", escape(key)),
        }),
        set.whose(),
        table(&series, &values, &key)
    )
}

/// The key that quality is drawn against: epsilon where it differs, else the one with the most values. Nothing where no two runs
/// differ in it alone, seeds aside.
fn swept(runs: &[&ShownRun], keys: &[String]) -> Option<String> {
    let mut candidates: Vec<(&String, usize)> = keys
        .iter()
        .filter(|key| !["seed", "data", "noise"].contains(&key.as_str()))
        .map(|key| {
            let most = series(runs, keys, key)
                .iter()
                .map(|one| distinct(one).len())
                .max();
            (key, most.unwrap_or(0))
        })
        .filter(|(_, values)| *values > 1)
        .collect();
    candidates.sort_by_key(|(key, values)| (*key != "epsilon", usize::MAX - values));
    candidates.first().map(|(key, _)| (*key).clone())
}

fn series<'a>(runs: &[&'a ShownRun], keys: &[String], key: &str) -> Vec<Series<'a>> {
    let tied =
        |other: &str| other == key || other == "seed" || key == "epsilon" && other == "noise";
    let others: Vec<&String> = keys.iter().filter(|other| !tied(other)).collect();
    let mut found: BTreeMap<Vec<Option<String>>, (usize, Series<'a>)> = BTreeMap::new();
    for (number, run) in runs.iter().enumerate() {
        let setting: Vec<Option<String>> = others.iter().map(|key| run.record.given(key)).collect();
        let (_, series) = found.entry(setting).or_insert_with_key(|setting| {
            let words = others
                .iter()
                .zip(setting)
                .map(|(key, value)| format!("{key} {}", value.as_deref().unwrap_or("not given")));
            let name = words.collect::<Vec<_>>().join(", ");
            let runs = Vec::new();
            (number, Series { name, runs })
        });
        series.runs.push((value(run, key), run));
    }
    // In the order in which the runs are.
    let mut ordered: Vec<(usize, Series<'a>)> = found.into_values().collect();
    ordered.sort_by_key(|(number, _)| *number);
    ordered.into_iter().map(|(_, series)| series).collect()
}

fn value(run: &ShownRun, key: &str) -> Value {
    let given = match key {
        // A bound that nobody named is a bound, too.
        "epsilon" => run
            .record
            .task
            .privacy
            .bound()
            .map(|(epsilon, _)| epsilon.to_string()),
        _ => run.record.given(key),
    };
    let Some(given) = given else {
        return Value::Nothing;
    };
    let number = given.parse().ok().filter(|number: &f64| number.is_finite());
    number.map_or(Value::Word(given), Value::Number)
}

fn distinct(series: &Series<'_>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for (value, _) in &series.runs {
        if !found.contains(value) {
            found.push(value.clone());
        }
    }
    found
}

/// Where each value is on the axis: numbers by size, or by their logarithm where that is asked for or they span much, words beside
/// each other, and what was not given at the end.
fn places(series: &[Series<'_>], log: bool) -> Vec<(Value, f64)> {
    let mut values: Vec<Value> = Vec::new();
    for value in series.iter().flat_map(distinct) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let number = |value: &Value| match value {
        Value::Number(number) => Some(*number),
        _ => None,
    };
    let words = values.iter().any(|value| matches!(value, Value::Word(_)));
    let nothing = values.contains(&Value::Nothing);
    let mut numbers: Vec<f64> = values.iter().filter_map(number).collect();
    numbers.sort_by(f64::total_cmp);
    let (Some(least), Some(most), false) =
        (numbers.first().copied(), numbers.last().copied(), words)
    else {
        let last = values.len().saturating_sub(1).max(1) as f64;
        let places = values.into_iter().enumerate();
        return places
            .map(|(place, value)| (value, place as f64 / last))
            .collect();
    };
    let log = least > 0.0 && (log || most / least >= 20.0);
    let scaled = |value: f64| if log { value.ln() } else { value };
    let span = scaled(most) - scaled(least);
    let width = if nothing { 0.7 } else { 1.0 };
    let at = |value: f64| match span > 0.0 {
        true => width * (scaled(value) - scaled(least)) / span,
        false => width / 2.0,
    };
    let mut places: Vec<(Value, f64)> = numbers
        .into_iter()
        .map(|number| (Value::Number(number), at(number)))
        .collect();
    if nothing {
        places.push((Value::Nothing, 1.0));
    }
    places
}

fn written(value: &Value, key: &str) -> String {
    match value {
        Value::Number(number) => plain(*number),
        Value::Word(word) => word.clone(),
        Value::Nothing if key == "epsilon" => "no noise".to_owned(),
        Value::Nothing => "not given".to_owned(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The runs of a series with one value.
fn at_value<'a>(series: &Series<'a>, value: &Value) -> Vec<&'a ShownRun> {
    let those = series.runs.iter().filter(|(other, _)| other == value);
    those.map(|(_, run)| *run).collect()
}

fn chart(
    set: &Set<'_>,
    series: &[Series<'_>],
    values: &[(Value, f64)],
    axis: &Axis,
    name: &str,
    pick: fn(&Quality) -> f64,
    seeds: bool,
) -> String {
    let figure = |run: &ShownRun| run.quality().map_or(0.0, pick);
    let mut lines = Vec::new();
    for (one, (class, mark)) in series.iter().zip(SERIES) {
        let line = |joined, points| Line {
            label: String::new(),
            class,
            mark,
            joined,
            points,
        };
        let (mut means, mut each) = (Vec::new(), Vec::new());
        for (value, at) in values {
            let runs = at_value(one, value);
            let point = |name: String, value, interval| Point {
                at: *at,
                name,
                value,
                interval,
            };
            let found: Vec<f64> = runs.iter().map(|run| figure(run)).collect();
            if let (Some(first), false) = (runs.first(), found.is_empty()) {
                let cases = first.quality().map_or(0, |quality| quality.cases);
                let within = Interval::of_mean(mean(&found), cases).filter(|_| !seeds);
                let said = match seeds {
                    true => format!("mean of {}", found.len()),
                    false => first.name.clone(),
                };
                means.push((value, point(said, mean(&found), within)));
            }
            each.extend(
                runs.iter()
                    .map(|run| point(run.name.clone(), figure(run), None)),
            );
        }
        // What is no number has no neighbours.
        let (numbers, others): (Vec<_>, Vec<_>) = means
            .into_iter()
            .partition(|(value, _)| matches!(value, Value::Number(_)));
        if seeds {
            lines.push(line(Joined::Not, each));
        }
        if !numbers.is_empty() {
            let points = numbers.into_iter().map(|(_, point)| point);
            lines.push(line(Joined::ByWhiskers, points.collect()));
        }
        let others = others.into_iter().map(|(_, point)| vec![point]);
        lines.extend(others.map(|points| line(Joined::ByWhiskers, points)));
    }
    let said: Vec<String> = series
        .iter()
        .flat_map(|one| values.iter().map(move |(value, _)| (one, value)))
        .filter_map(|(one, value)| {
            let found: Vec<f64> = at_value(one, value).iter().map(|run| figure(run)).collect();
            let text = format!("{} {}", one.name, written(value, ""));
            (!found.is_empty()).then(|| format!("{} {}", text.trim(), score(mean(&found))))
        })
        .collect();
    let drawn = lines::chart(&Chart {
        lines: &lines,
        baselines: &set.baselines(pick),
        axis,
        write: score,
        size: SIZE,
        name: &format!("{name} by {}", axis.unit),
        description: &format!("{}.", said.join("; ")),
    });
    format!("<figure><h3>{name}</h3>{drawn}</figure>")
}

/// The means of both figures, and how far apart the seeds are.
fn table(series: &[Series<'_>], values: &[(Value, f64)], key: &str) -> String {
    let mut body = String::new();
    for one in series {
        for (value, _) in values {
            let runs = at_value(one, value);
            if runs.is_empty() {
                continue;
            }
            let cells = |pick: fn(&Quality) -> f64| {
                let found = runs.iter().filter_map(|run| run.quality().map(pick));
                let found: Vec<f64> = found.collect();
                let least = found.iter().copied().fold(f64::INFINITY, f64::min);
                let most = found.iter().copied().fold(0.0, f64::max);
                format!(
                    "<td>{}</td><td>{} to {}</td>",
                    score4(mean(&found)),
                    score4(least),
                    score4(most)
                )
            };
            let name = match one.name.is_empty() {
                true => written(value, key),
                false => format!("{}, {}", written(value, key), one.name),
            };
            body.push_str(&format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td>{}{}</tr>",
                escape(&name),
                runs.len(),
                cells(|quality| quality.hr_at_10),
                cells(|quality| quality.full_ndcg_at_10)
            ));
        }
    }
    format!(
        "<details><summary>Means over the runs of a setting, and the least and most of them</summary><table><thead><tr><th scope=\"col\">{}</th>\
         <th scope=\"col\">runs</th><th scope=\"col\">HR@10</th><th scope=\"col\">least to most</th><th scope=\"col\">all: NDCG@10</th>\
         <th scope=\"col\">least to most</th></tr></thead><tbody>{body}</tbody></table></details>",
        escape(key)
    )
}
