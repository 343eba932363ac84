//! What left this device, and how much of the person's privacy is spent.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use chorus_client::{Notice, Sent, TaskStatus};
use chorus_protocol::RoundId;

use super::{minute, named, notice};
use crate::answer::{Fault, page};
use crate::drawing::staircase;
use crate::frame::{Frame, Page};
use crate::visit::Visit;
use crate::words::Words;

/// Width of the meter, in the units of its drawing.
const WIDTH: f64 = 100.0;

#[derive(Template)]
#[template(path = "sharing.html")]
struct Sharing {
    frame: Frame,
    headline: String,
    lead: String,
    /// Where the list does not show every time that is counted.
    counted: String,
    tasks: Vec<Task>,
    rounds: Vec<Round>,
}

pub(super) struct Task {
    pub spent: String,
    pub meaning: String,
    width: String,
    drawing: String,
}

/// All that left in one round, or outside of any.
struct Round {
    name: String,
    when: String,
    bytes: String,
    spent: String,
    lines: Vec<Line>,
}

struct Line {
    when: String,
    what: String,
    purpose: String,
    bytes: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Fault> {
    let frame = visit.frame(Page::Sharing);
    let words = visit.words();
    let now = visit.now();
    let (status, uploads, limit, notice) = visit.with(|client| {
        let limit = client.settings().floor.epsilon;
        let notice = notice(client, frame.language)?;
        Ok((client.status(now)?, client.activity()?, limit, notice))
    })?;
    let contributions: usize = status.tasks.iter().map(|task| task.contributions).sum();
    let headline = match contributions {
        0 => words.get("sharing.none").to_owned(),
        1 => words.get("sharing.once").to_owned(),
        count => words.with("sharing.some", count),
    };
    let sent: usize = status.tasks.iter().map(|task| task.sent).sum();
    let counted = match sent == contributions {
        true => String::new(),
        false => words.with_both("sharing.counted", sent, contributions),
    };
    let tasks = status.tasks.iter().filter(|task| task.contributions > 0);
    Ok(page(&Sharing {
        frame,
        headline,
        lead: words.get("sharing.lead").to_owned(),
        counted,
        tasks: tasks.map(|status| task(status, limit, words)).collect(),
        rounds: rounds(&uploads, notice, words),
    }))
}

/// The log by its rounds, the newest first.
fn rounds(uploads: &[Sent], notice: &Notice, words: &Words) -> Vec<Round> {
    let mut groups: BTreeMap<Option<RoundId>, Vec<&Sent>> = BTreeMap::new();
    for upload in uploads {
        groups.entry(upload.round).or_default().push(upload);
    }
    let mut groups: Vec<(Option<RoundId>, Vec<&Sent>)> = groups.into_iter().collect();
    let newest = |group: &[&Sent]| group.iter().map(|upload| upload.at).max();
    groups.sort_by_key(|(round, group)| Reverse((newest(group), *round)));
    let round = |(round, group): (Option<RoundId>, Vec<&Sent>)| {
        let epsilon = group.iter().find_map(|upload| upload.epsilon);
        Round {
            name: match round {
                Some(round) => words.with("uploads.round", round.0),
                None => words.get("uploads.between").to_owned(),
            },
            when: newest(&group).map(minute).unwrap_or_default(),
            bytes: size(group.iter().map(|upload| upload.bytes).sum(), words),
            spent: epsilon.map_or_else(String::new, |epsilon| {
                words.with("uploads.spent", words.digits(epsilon, 2))
            }),
            lines: group
                .iter()
                .rev()
                .map(|upload| line(upload, named(upload.purpose, notice), words))
                .collect(),
        }
    };
    groups.into_iter().map(round).collect()
}

/// How much of the person's privacy a task has used up.
pub(super) fn task(status: &TaskStatus, limit: f64, words: &Words) -> Task {
    let Some(epsilon) = status.epsilon else {
        return Task {
            spent: words.get("sharing.unbounded").to_owned(),
            meaning: status.task.to_string(),
            width: format!("{WIDTH}"),
            drawing: String::new(),
        };
    };
    let share = (epsilon / limit.max(f64::MIN_POSITIVE)).min(1.0);
    Task {
        spent: words.with_both("sharing.spent", words.number(epsilon), words.number(limit)),
        meaning: words.with_both("sharing.meaning", &status.task, words.chance(status.delta)),
        width: format!("{:.1}", WIDTH * share),
        drawing: staircase(&status.spending, limit, words),
    }
}

fn line(upload: &Sent, purpose: String, words: &Words) -> Line {
    let word = format!("upload.{}", upload.what.name());
    Line {
        when: minute(upload.at),
        what: words.get(&word).to_owned(),
        purpose,
        bytes: size(upload.bytes, words),
    }
}

/// Bytes for people.
fn size(bytes: u64, words: &Words) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", words.digits(bytes as f64 / 1e3, 1)),
        _ => format!("{} MB", words.digits(bytes as f64 / 1e6, 1)),
    }
}
