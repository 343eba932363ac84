//! Looks on: what the coordinator has written down, and how good each published model is.
//!
//! Quality is measured here, by the demo that made up the people, and nowhere in the federation.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chorus_coordinator::{Directory, Store, TaskState, export_model, reports, status};
use chorus_data::Dataset;
use chorus_model::{Engine, Parameters, Quality};
use chorus_protocol::{RoundReport, Task};

use super::processes::Processes;
use crate::exit::{self, stop};
use crate::progress;

/// What was seen.
pub struct Watched {
    /// Every round that ended, in order.
    pub reports: Vec<RoundReport>,
    /// Quality of each version that a round led to.
    pub qualities: BTreeMap<u64, Quality>,
    /// What features and noisy counts reach alone, where the task has both.
    pub content: Option<Quality>,
    /// From the first invitation to the last model.
    pub learning: Duration,
}

/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);

/// Rounds without a sum in a row, after which it is no use to go on.
const HOPELESS: usize = 3;

/// Watches until the task has ended.
pub fn watch(processes: &mut Processes, task: &Task, dataset: &Dataset) -> anyhow::Result<Watched> {
    enrolment(processes, dataset.users())?;
    let home = processes.coordinator_home();
    let (store, directory) = (Store::open(&home)?, Directory::new(&home));
    let engine = crate::engine::engine();
    let rounds = task.sums().len();
    let bar = progress::bar(rounds as u64, "rounds");
    let mut watched = Watched {
        reports: Vec::new(),
        qualities: BTreeMap::new(),
        content: None,
        learning: Duration::ZERO,
    };
    let began = Instant::now();
    loop {
        processes.check()?;
        let status = status(&store, &directory, true)?;
        let Some(now) = status.tasks.into_iter().find(|one| one.task == task.name) else {
            return stop(exit::FAILED, "the coordinator lost its task");
        };
        for report in reports(&store, &task.name)?
            .into_iter()
            .skip(watched.reports.len())
        {
            bar.suspend(|| progress::tell(&line(&report)));
            watched.learning = began.elapsed();
            watched.reports.push(report);
        }
        let aborted = watched
            .reports
            .iter()
            .rev()
            .take_while(|report| report.aborted.is_some());
        if aborted.count() >= HOPELESS {
            let advice =
                "let fewer clients vanish, or let the task bear more with --bearable-dropout";
            return stop(
                exit::FAILED,
                format!("{HOPELESS} rounds in a row ended without a sum: {advice}"),
            );
        }
        bar.set_position(now.sums_taken as u64);
        if let (Some(last), Some((_, quality))) =
            (watched.reports.last(), watched.qualities.last_key_value())
        {
            let (invited, lost) = (last.funnel.invited, last.dropouts());
            let quality = quality.hr_at_10;
            bar.set_message(format!(
                "cohort {invited}, {lost} lost, HR@10 {quality:.3},"
            ));
        }
        if now.version > 1 && !watched.qualities.contains_key(&now.version) {
            let quality = measure(&store, task, dataset, &engine, now.version)?;
            watched.qualities.insert(now.version, quality);
        } else if now.state == TaskState::Finished {
            bar.finish_and_clear();
            let parameters = published(&store, task, now.version)?;
            watched.content = chorus_simulator::content(task, dataset, &engine, &parameters)?;
            return Ok(watched);
        } else if now.state.is_final() {
            let reason = now.reason.unwrap_or_default();
            return stop(exit::REFUSED, format!("the task ended early: {reason}"));
        }
        std::thread::sleep(LOOK);
    }
}

fn enrolment(processes: &mut Processes, clients: usize) -> anyhow::Result<()> {
    let bar = progress::bar(clients as u64, "enrolling");
    while processes.ready() < clients {
        processes.check()?;
        bar.set_position(processes.ready() as u64);
        std::thread::sleep(LOOK);
    }
    bar.finish_and_clear();
    progress::tell(&format!(
        "{clients} clients enrolled; each holds its own key and its own events"
    ));
    Ok(())
}

fn measure(
    store: &Store,
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    version: u64,
) -> anyhow::Result<Quality> {
    let parameters = published(store, task, version)?;
    let trainer = engine.open(&parameters)?;
    Ok(chorus_simulator::evaluate(dataset, trainer.as_ref())?)
}

fn published(store: &Store, task: &Task, version: u64) -> anyhow::Result<Parameters> {
    let model = export_model(store, &task.name, Some(version))?;
    Ok(Parameters::from_bytes(&model.bytes)?)
}

fn line(report: &RoundReport) -> String {
    let funnel = report.funnel;
    let end = match &report.aborted {
        None => format!("{} in the sum, {} lost", funnel.uploaded, report.dropouts()),
        Some(reason) => format!("no sum: {reason}"),
    };
    let seconds = report.milliseconds as f64 / 1_000.0;
    format!(
        "round {}: {}, {} invited, {end}, {seconds:.1} s",
        report.round, report.release, funnel.invited
    )
}
