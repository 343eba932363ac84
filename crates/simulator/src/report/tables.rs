//! The numbers beneath the charts.

use chorus_model::{Interval, Measured};

use super::text::{bytes, count, epsilon, escape, score4, seconds};
use crate::RoundRow;

/// Longer tables are folded away.
const OPEN: usize = 8;

fn table(
    rounds: &[RoundRow],
    summary: &str,
    heads: &[&str],
    may_open: bool,
    cells: impl Fn(&RoundRow) -> Vec<String>,
) -> String {
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{head}</th>"))
        .collect();
    let body: String = rounds
        .iter()
        .map(|row| {
            let cells: String = cells(row)
                .iter()
                .map(|cell| format!("<td>{}</td>", escape(cell)))
                .collect();
            format!(
                "<tr><th scope=\"row\">{}</th>{cells}</tr>",
                escape(&row.name)
            )
        })
        .collect();
    // Many tables of many rounds are there to be opened, and not to be printed.
    let class = match may_open {
        true if rounds.len() <= OPEN => " open",
        true => "",
        false => " class=\"rounds\"",
    };
    format!(
        "<details{class}><summary>{summary}</summary><table><thead><tr><th scope=\"col\">round</th>{heads}</tr></thead>\
         <tbody>{body}</tbody></table></details>"
    )
}

fn or_dash<T>(value: Option<T>, write: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), write)
}

pub(super) fn quality(rounds: &[RoundRow]) -> String {
    let heads = ["HR@10", "NDCG@10", "all: HR@10", "all: NDCG@10", "people"];
    table(rounds, "Quality after each round", &heads, true, |row| {
        let figure = |pick: fn(&chorus_model::Quality) -> f64| {
            or_dash(row.quality.as_ref(), |quality| score4(pick(quality)))
        };
        vec![
            figure(|quality| quality.hr_at_10),
            figure(|quality| quality.ndcg_at_10),
            figure(|quality| quality.full_hr_at_10),
            figure(|quality| quality.full_ndcg_at_10),
            or_dash(row.quality, |quality| count(quality.cases)),
        ]
    })
}

/// What clients said themselves; nothing in a task that they do not evaluate.
/// `whose`: the run, where there are several.
pub(super) fn live(whose: &str, rounds: &[RoundRow]) -> String {
    let rounds: Vec<RoundRow> = rounds
        .iter()
        .filter(|row| row.live.is_some())
        .cloned()
        .collect();
    if rounds.is_empty() {
        return String::new();
    }
    let heads = [
        "HR@10",
        "popularity",
        "NDCG@10",
        "all: NDCG@10",
        "all: Recall@20",
        "clients",
    ];
    let summary = format!(
        "{whose}What clients said of the model by the ranks of their newest items, with 95 % intervals"
    );
    table(&rounds, &summary, &heads, true, |row| {
        let said = row.live.as_ref().and_then(|live| live.measured.as_ref());
        let figure = |pick: fn(&Measured) -> Interval| {
            or_dash(said, |said| {
                let found = pick(said);
                let [mean, low, high] = [found.mean, found.low, found.high].map(score4);
                match found.tells() {
                    true => format!("{mean} ({low} to {high})"),
                    false => format!("too few to tell ({low} to {high})"),
                }
            })
        };
        vec![
            figure(|said| said.sampled.hr_at_10),
            figure(|said| said.popularity_sampled.hr_at_10),
            figure(|said| said.sampled.ndcg_at_10),
            figure(|said| said.full.ndcg_at_10),
            figure(|said| said.full.recall_at_20),
            or_dash(said, |said| count(said.clients)),
        ]
    })
}

pub(super) fn cohorts(rounds: &[RoundRow]) -> String {
    let heads = [
        "invited",
        "sent keys",
        "sent shares",
        "checked",
        "in the sum",
        "helped unmask",
    ];
    table(
        rounds,
        "Clients that passed each phase",
        &heads,
        true,
        |row| {
            let funnel = &row.funnel;
            [
                funnel.invited,
                funnel.advertised,
                funnel.shared,
                funnel.confirmed,
                funnel.uploaded,
                funnel.unmasked,
            ]
            .map(count)
            .to_vec()
        },
    )
}

pub(super) fn cost(rounds: &[RoundRow]) -> String {
    let heads = ["ε so far", "upload", "time", "cut to the bound", "sum"];
    table(
        rounds,
        "Privacy, bytes and time of each round",
        &heads,
        true,
        |row| {
            vec![
                or_dash(row.epsilon, epsilon),
                bytes(row.upload_bytes),
                seconds(row.seconds),
                count(row.clipped),
                match (row.completed, row.sum_exact) {
                    (true, true) => "exact",
                    (true, false) => "differs",
                    (false, _) => "none",
                }
                .to_owned(),
            ]
        },
    )
}

/// Quality with what chance may have done to it.
pub(super) fn intervals(rounds: &[RoundRow], summary: &str, may_open: bool) -> String {
    let heads = ["HR@10", "NDCG@10", "all: HR@10", "all: NDCG@10", "people"];
    table(rounds, summary, &heads, may_open, |row| {
        let figure = |pick: fn(&chorus_model::Quality) -> f64| {
            or_dash(row.quality.as_ref(), |quality| {
                let value = pick(quality);
                let within = Interval::of_mean(value, quality.cases);
                or_dash(within, |within| {
                    format!(
                        "{}\u{a0}({:.3}–{:.3})",
                        score4(value),
                        within.low,
                        within.high
                    )
                })
            })
        };
        vec![
            figure(|quality| quality.hr_at_10),
            figure(|quality| quality.ndcg_at_10),
            figure(|quality| quality.full_hr_at_10),
            figure(|quality| quality.full_ndcg_at_10),
            or_dash(row.quality, |quality| count(quality.cases)),
        ]
    })
}
