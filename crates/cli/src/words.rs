//! What commands say: the same results that `--json` gives, for reading.

use chorus_client::{Ending, EnrolmentStatus};
use chorus_coordinator::VersionQuality;
use chorus_model::{Interval, Measured};
use chorus_protocol::{ClientId, Outcome};
use chorus_simulator::Figures;

/// The qualities at the end of a simulation, a demo or a training.
pub fn qualities(figures: &Figures) -> String {
    let content = figures.content.as_ref();
    let row = |name: &str, [ours, popularity]: [f64; 2], content: Option<f64>| {
        let content = content.map_or_else(String::new, |content| format!(" {content:>20.4}"));
        format!("  {name:<28} {ours:>8.4} {popularity:>12.4}{content}")
    };
    let alone = match content {
        Some(_) => " features and counts",
        None => "",
    };
    [
        String::new(),
        format!(
            "  {:<28} {:>8} {:>12}{alone:>21}",
            "held-out item", "learned", "popularity"
        )
        .trim_end()
        .to_owned(),
        row(
            "HR@10, against 99 others",
            [figures.hr_at_10, figures.popularity_hr_at_10],
            content.map(|content| content.hr_at_10),
        ),
        row(
            "NDCG@10, against 99 others",
            [figures.ndcg_at_10, figures.popularity_ndcg_at_10],
            content.map(|content| content.ndcg_at_10),
        ),
        row(
            "HR@10, against all items",
            [figures.full_hr_at_10, figures.popularity_full_hr_at_10],
            content.map(|content| content.full_hr_at_10),
        ),
        row(
            "NDCG@10, against all items",
            [figures.full_ndcg_at_10, figures.popularity_full_ndcg_at_10],
            content.map(|content| content.full_ndcg_at_10),
        ),
        row(
            "Recall@20, against all items",
            [
                figures.full_recall_at_20,
                figures.popularity_full_recall_at_20,
            ],
            content.map(|content| content.full_recall_at_20),
        ),
    ]
    .join("\n")
}

/// The table at the end of a simulation or a demo.
pub fn figures(figures: &Figures) -> String {
    let privacy = match (figures.epsilon, figures.delta) {
        (Some(epsilon), Some(delta)) => {
            format!("epsilon {epsilon:.3} at delta {delta:e}, per client, over the whole task")
        }
        _ => "no noise, no differential privacy claimed".to_owned(),
    };
    let exact = match figures.sum_exact {
        true => "every recovered sum is exact, bit for bit",
        false => "NOT every recovered sum is exact",
    };
    let mut lines = vec![
        qualities(figures),
        String::new(),
        format!("  privacy   {privacy}"),
        format!(
            "  rounds    {} of {} completed; {} clients; {} times a client was lost in a round",
            figures.rounds_completed, figures.rounds, figures.clients, figures.dropouts
        ),
        format!("  sums      {exact}"),
        format!(
            "  upload    {} a round at most; {:.2} % of the contributions were cut to the norm bound",
            bytes(figures.upload_bytes_per_client),
            100.0 * figures.clipped_share
        ),
        format!("  time      {:.1} s", figures.wall_seconds),
    ];
    if let Some(live) = figures.served() {
        lines.push(format!(
            "  clients   {}: {}",
            live.round,
            measured(live.measured.as_ref())
        ));
    }
    lines.extend(
        figures
            .notes
            .iter()
            .map(|note| format!("  note      {note}")),
    );
    lines.join("\n")
}

/// A figure with both ends of its interval, or that it says nothing.
fn figure(found: Interval) -> String {
    let Interval { mean, low, high } = found;
    match found.tells() {
        true => format!("{mean:.4} ({low:.4} to {high:.4})"),
        false => format!("too few to tell ({low:.4} to {high:.4})"),
    }
}

/// What clients' own ranks say, in a line.
pub fn measured(measured: Option<&Measured>) -> String {
    let Some(measured) = measured else {
        return "nothing can be shown: it would be of fewer than 50 people, or no clients could have such ranks".to_owned();
    };
    let figures = [&measured.sampled, &measured.full].map(|list| [list.hr_at_10, list.ndcg_at_10]);
    if !figures.as_flattened().iter().any(Interval::tells) {
        return format!(
            "newest items of {} clients: too few to tell, which takes 50 with their item in the first ten, and 50 without",
            measured.clients
        );
    }
    let figure = |name: &str, ours: Interval, popularity: Interval| {
        let [ours, popularity] = [ours, popularity].map(figure);
        format!("{name} {ours}, by popularity {popularity}")
    };
    let Measured {
        sampled,
        full,
        popularity_sampled,
        popularity_full,
        clients,
    } = measured;
    [
        format!("newest items of {clients} clients"),
        figure("HR@10", sampled.hr_at_10, popularity_sampled.hr_at_10),
        figure("NDCG@10", sampled.ndcg_at_10, popularity_sampled.ndcg_at_10),
        figure(
            "all items: NDCG@10",
            full.ndcg_at_10,
            popularity_full.ndcg_at_10,
        ),
        figure("Recall@20", full.recall_at_20, popularity_full.recall_at_20),
    ]
    .join("; ")
}

/// What a sum of ranks said of a version.
pub fn quality(version: &VersionQuality) -> String {
    let said = measured(version.measured.as_ref());
    let note = version.note.as_ref();
    let note = note.map_or_else(String::new, |note| format!("; {note}"));
    format!(
        "version {} by {}: {said}{note}",
        version.version, version.release
    )
}

/// `243 kB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// How the coordinator stands.
pub fn coordinator(status: &chorus_coordinator::Status) -> String {
    let mut lines = vec![
        format!(
            "{}; {} clients were ever here; model log: {} entries, head {}",
            if status.serving {
                "serving"
            } else {
                "not serving"
            },
            status.clients,
            status.log_length,
            status.log_head
        ),
        match status.revocations_fetched {
            Some(_) => "the authority's list of revoked certificates is here".to_owned(),
            None => {
                "the authority's list of revoked certificates was never fetched: no round starts"
                    .to_owned()
            }
        },
    ];
    if !status.rejected.is_empty() {
        let counts = status.rejected.iter();
        let counts: Vec<String> = counts
            .map(|(label, count)| format!("{label} {count}"))
            .collect();
        lines.push(format!("calls refused so far: {}", counts.join(", ")));
    }
    for task in &status.tasks {
        lines.push(String::new());
        let reason = task
            .reason
            .as_ref()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        lines.push(format!(
            "task `{}`: {}{reason}; version {}, {} of {} sums; {} rounds completed, {} aborted",
            task.task,
            task.state.name(),
            task.version,
            task.sums_taken,
            task.sums,
            task.rounds_completed,
            task.rounds_aborted
        ));
        if let Some(running) = &task.running {
            lines.push(format!(
                "round {} runs: {}, {} clients invited",
                running.round, running.release, running.invited
            ));
        }
        if let Some(spent) = task.spent {
            lines.push(format!(
                "spent so far: epsilon {:.3} at delta {:e}",
                spent.epsilon, spent.delta
            ));
        }
        lines.extend(task.quality.as_ref().map(quality));
        lines.push(task.guarantee.clone());
        let trust = task
            .last
            .as_ref()
            .map_or(&task.trust, |report| &report.trust);
        lines.push(trust.clone());
    }
    lines.join("\n")
}

/// Until when the coordinator's certificate is valid.
pub fn certificate(until: i64, now: i64) -> String {
    let hours = (until - now) / 3_600;
    match hours {
        ..=0 => "the coordinator's certificate has expired: enrol again with a new invitation, then restart the service".to_owned(),
        1..=48 => format!(
            "the coordinator's certificate is valid for {hours} more hours: enrol again with a new invitation, then restart the service"
        ),
        _ => format!("the coordinator's certificate is valid for {} more days", hours / 24),
    }
}

/// A time as people everywhere read it (ISO 8601), from seconds since 1970 UTC; one past every calendar stays a number.
pub fn moment(at: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(at);
    time.map_or_else(
        |_| at.to_string(),
        |time| {
            let (date, hour, minute) = (time.date(), time.hour(), time.minute());
            format!("{date} {hour:02}:{minute:02} UTC")
        },
    )
}

/// `1 event`, `2 events`.
pub fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// A client's id, as `chorus authority revoke --client` takes it.
pub fn id(id: &ClientId) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a client stands.
pub fn client(status: &chorus_client::Status) -> String {
    let enrolment = match &status.enrolment {
        EnrolmentStatus::None => "not enrolled".to_owned(),
        EnrolmentStatus::Valid { until } => format!("enrolled until {}", moment(*until)),
        EnrolmentStatus::Over { reason } => format!("not enrolled any more: {reason}"),
    };
    let mut lines = vec![
        format!(
            "{enrolment}; {}, which stay here",
            counted(status.events, "event")
        ),
        format!(
            "model log: {} entries seen, head {}",
            status.log.length, status.log.digest
        ),
    ];
    for task in &status.tasks {
        let spent = match task.epsilon {
            Some(epsilon) => format!(
                "epsilon {epsilon:.3} at delta {:e} spent so far",
                task.delta
            ),
            None => "no epsilon bounds what they say about you".to_owned(),
        };
        let version = match task.version {
            Some(version) => format!("model version {version} is here"),
            None => "no model yet".to_owned(),
        };
        lines.push(format!(
            "task `{}`: {} counted, {} of them without noise and {} in the log of what left (`activity`); {spent}; {version}",
            task.task,
            counted(task.contributions as u64, "contribution"),
            task.without_noise,
            task.sent
        ));
        lines.extend(task.guarantee.clone());
    }
    lines.join("\n")
}

/// How a round ended for a client.
pub fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Outcome(Outcome::Completed { version }) => {
            format!("completed, and led to version {version} of the model")
        }
        Ending::Outcome(Outcome::Aborted { reason }) => format!("ended without a sum: {reason}"),
        Ending::Outcome(Outcome::LeftOut) => "went on without this client".to_owned(),
        Ending::Refused(refusal) => format!("this client did not go along: {refusal}"),
        Ending::Rejected { message, .. } => format!("the coordinator did not take it: {message}"),
        Ending::NotLearned { reason } => format!("nothing was learned: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_both_ends_or_says_nothing() {
        let [mean, low] = [0.5, 0.4];
        let found = |high| figure(Interval { mean, low, high });
        assert_eq!(found(0.65), "0.5000 (0.4000 to 0.6500)");
        assert_eq!(found(0.8), "too few to tell (0.4000 to 0.8000)");
        assert!(measured(None).starts_with("nothing can be shown: "));
    }
}
