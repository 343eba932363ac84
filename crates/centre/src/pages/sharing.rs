//! What left this device, and how much of the person's privacy is spent.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chorus_client::{Purpose, Sent, TaskStatus};

use super::{Visit, minute, notice};
use crate::Shared;
use crate::answer::page;
use crate::drawing::staircase;
use crate::frame::{Frame, Page};
use crate::words::{self, Words};

/// Width of the meter, in the units of its drawing.
const WIDTH: f64 = 640.0;

#[derive(Template)]
#[template(path = "sharing.html")]
struct Sharing {
    frame: Frame,
    headline: String,
    lead: String,
    tasks: Vec<Task>,
    uploads: Vec<Line>,
}

struct Task {
    spent: String,
    meaning: String,
    width: String,
    drawing: String,
}

struct Line {
    when: String,
    what: String,
    purpose: String,
    round: String,
    bytes: String,
    epsilon: String,
}

pub(crate) async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let visit = Visit {
        shared: &shared,
        headers: &headers,
    };
    visit.answered(|| {
        let frame = visit.frame(Page::Sharing)?;
        let words = words::of(frame.language);
        let now = shared.about.clock.now();
        let (status, uploads, limit, notice) = shared.with(|client| {
            let limit = client.settings().floor.epsilon;
            let notice = notice(client, frame.language)?;
            Ok((client.status(now)?, client.activity()?, limit, notice))
        })?;
        let contributions: usize = status.tasks.iter().map(|task| task.contributions).sum();
        let headline = match contributions {
            0 => words.get("sharing.none").to_owned(),
            count => words.with("sharing.some", count),
        };
        let title = |purpose: &Purpose| {
            let section = notice.sections.get(purpose);
            section.map_or_else(|| purpose.to_string(), |section| section.title.clone())
        };
        let tasks = status.tasks.iter().filter(|task| task.contributions > 0);
        Ok(page(&Sharing {
            frame,
            headline,
            lead: words.get("sharing.lead").to_owned(),
            tasks: tasks.map(|status| task(status, limit, words)).collect(),
            uploads: uploads
                .iter()
                .rev()
                .map(|upload| line(upload, title(&upload.purpose), words))
                .collect(),
        }))
    })
}

fn task(status: &TaskStatus, limit: f64, words: &Words) -> Task {
    let Some(epsilon) = status.epsilon else {
        return Task {
            spent: words.get("sharing.unbounded").to_owned(),
            meaning: status.task.to_string(),
            width: format!("{WIDTH}"),
            drawing: String::new(),
        };
    };
    let number = |value: f64| format!("{value:.1}");
    let share = (epsilon / limit.max(f64::MIN_POSITIVE)).min(1.0);
    Task {
        spent: words.with_both("sharing.spent", number(epsilon), number(limit)),
        meaning: words.with_both(
            "sharing.meaning",
            &status.task,
            format!("{:e}", status.delta),
        ),
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
        round: upload
            .round
            .map_or_else(String::new, |round| round.0.to_string()),
        bytes: size(upload.bytes),
        epsilon: upload
            .epsilon
            .map_or_else(String::new, |epsilon| format!("{epsilon:.2}")),
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
