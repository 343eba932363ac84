//! The answer first, and what it rests on.

use super::Report;
use super::text::{budget, bytes, count, escape, percent, score, score4, seconds};
use crate::Noise;

/// One sentence that answers "did it work".
pub(super) fn headline(report: &Report) -> String {
    let figures = &report.figures;
    let better = figures.hr_at_10 > figures.popularity_hr_at_10;
    let text = match (worked(report), better) {
        (true, true) => "It worked: the federation learned a model that beats popularity",
        (true, false) => "Every sum was recovered, but the model does not beat popularity",
        (false, _) => "Not every round ended with an exact sum",
    };
    text.to_owned()
}

fn worked(report: &Report) -> bool {
    let figures = &report.figures;
    figures.rounds_completed == figures.rounds && figures.sum_exact && figures.rounds > 0
}

/// The table with the answers.
pub(super) fn answers(report: &Report) -> String {
    let figures = &report.figures;
    let sums = format!(
        "{} of {} rounds ended with a sum; {}.",
        count(figures.rounds_completed),
        count(figures.rounds),
        if figures.sum_exact {
            "each equals the sum of what the clients encoded, bit for bit"
        } else {
            "at least one differs from the sum of what the clients encoded"
        }
    );
    let mut quality = format!(
        "It puts the item a person chose next among its first ten in {} of cases (HR@10 {}, NDCG@10 {}). \
         Popularity alone reaches HR@10 {}, NDCG@10 {}.",
        percent(figures.hr_at_10),
        score(figures.hr_at_10),
        score(figures.ndcg_at_10),
        score(figures.popularity_hr_at_10),
        score(figures.popularity_ndcg_at_10),
    );
    if let Some(content) = &figures.content {
        let alone = format!(
            " The public item features with the noisy counts alone reach HR@10 {}, NDCG@10 {}.",
            score(content.hr_at_10),
            score(content.ndcg_at_10)
        );
        quality.push_str(&alone);
    }
    let privacy = match figures.epsilon {
        Some(epsilon) => format!(
            "{} for everything one person contributes, over all {} sums together.",
            budget(epsilon, figures.delta),
            count(report.rounds.len() / figures.split.max(1)),
        ),
        None => "No differential privacy is claimed: noise was off.".to_owned(),
    };
    let invited: usize = report.rounds.iter().map(|row| row.funnel.invited).sum();
    let cost = format!(
        "Up to {} sent by a client in a round; {} in all. {} of {} invitations ended without a contribution.",
        bytes(figures.upload_bytes_per_client),
        seconds(figures.wall_seconds),
        count(figures.dropouts),
        count(invited),
    );
    let clients = match figures.noise {
        Noise::Distributed | Noise::Central | Noise::Local if figures.split > 1 => format!(
            "{} clients, each sum split over {} cohorts with the full noise in each (noise variance times {}). Data: {}.",
            count(figures.clients),
            figures.split,
            figures.split,
            figures.data
        ),
        _ => format!(
            "{} clients. Data: {}.",
            count(figures.clients),
            figures.data
        ),
    };
    let rows = [
        (
            "Did it work?",
            format!("{} {sums}", if worked(report) { "Yes." } else { "No." }),
        ),
        ("How good is it?", quality),
        ("How private is it?", privacy),
        ("What did it take?", cost),
        ("With whom?", clients),
    ];
    let rows: String = rows
        .iter()
        .map(|(question, answer)| {
            format!(
                "<tr><th scope=\"row\">{question}</th><td>{}</td></tr>",
                escape(answer)
            )
        })
        .collect();
    let warning = match figures.noise {
        Noise::Off => {
            "<div class=\"note warn\"><p><strong>No differential privacy is claimed.</strong> Noise was off in this task. \
             Secure aggregation hides each contribution inside its sum; what the sums and the model say about one \
             person is not bounded.</p></div>"
        }
        Noise::Distributed | Noise::Central | Noise::Local => "",
    };
    format!(
        "<section aria-label=\"Answers\"><table class=\"answer\"><tbody>{rows}</tbody></table>{warning}</section>"
    )
}

/// Guarantee and trust, in the words of the task.
pub(super) fn protection(report: &Report) -> String {
    let class = match report.figures.noise {
        Noise::Off => "note warn",
        Noise::Distributed | Noise::Central | Noise::Local => "note",
    };
    format!(
        "<section><h2>What protects a person here</h2><div class=\"{class}\">{}</div>\
         <h3>Against whom</h3>{}</section>",
        paragraphs(&report.guarantee),
        paragraphs(&report.trust)
    )
}

/// Each line a paragraph.
pub(super) fn paragraphs(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("<p>{}</p>", escape(line)))
        .collect()
}

/// All quality figures beside popularity, and how to read them.
pub(super) fn reading(report: &Report) -> String {
    let figures = &report.figures;
    let content = figures.content.as_ref();
    let rows = [
        (
            "HR@10, among 99 others",
            figures.hr_at_10,
            figures.popularity_hr_at_10,
            content.map(|content| content.hr_at_10),
        ),
        (
            "NDCG@10, among 99 others",
            figures.ndcg_at_10,
            figures.popularity_ndcg_at_10,
            content.map(|content| content.ndcg_at_10),
        ),
        (
            "HR@10, among all",
            figures.full_hr_at_10,
            figures.popularity_full_hr_at_10,
            content.map(|content| content.full_hr_at_10),
        ),
        (
            "NDCG@10, among all",
            figures.full_ndcg_at_10,
            figures.popularity_full_ndcg_at_10,
            content.map(|content| content.full_ndcg_at_10),
        ),
        (
            "Recall@20, among all",
            figures.full_recall_at_20,
            figures.popularity_full_recall_at_20,
            content.map(|content| content.full_recall_at_20),
        ),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, model, popularity, content)| {
            let values = [Some(*model), Some(*popularity), *content];
            let largest = values.iter().flatten().copied().fold(0.0, f64::max);
            let tied = values
                .iter()
                .flatten()
                .filter(|value| **value == largest)
                .count()
                > 1;
            let cells: String = values
                .iter()
                .flatten()
                .map(|value| {
                    let best = *value == largest && !tied;
                    let class = if best { " class=\"best\"" } else { "" };
                    format!("<td{class}>{}</td>", score4(*value))
                })
                .collect();
            format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>")
        })
        .collect();
    let (head, note) = match content {
        None => ("", ""),
        Some(_) => (
            "<th scope=\"col\">features and counts</th>",
            " Features and counts: what the public item features and the first sum, of noisy counts, reach alone with the \
             same computation on the device.",
        ),
    };
    format!(
        "<section><h2>How the quality was measured</h2><table class=\"figures\"><thead><tr><th scope=\"col\">figure</th>\
         <th scope=\"col\">this model</th><th scope=\"col\">popularity</th>{head}</tr></thead><tbody>{rows}</tbody></table>\
         <p>One item of each of {} people was held out of training and then ranked: against its listed negatives \
         (usually 99), and against all items the person has not touched. Ties count against the model. Compare methods \
         by the figures among all; most papers print the others.{note}</p></section>",
        count(report.popularity.cases),
    )
}
