//! What came out: every process's figures together, and whether each sum is the one that it should be.

use std::path::Path;
use std::time::Duration;

use chorus_data::Dataset;
use chorus_model::Quality;
use chorus_protocol::{Privacy, RoundReport, Task, sum_digest};
use chorus_secagg::Ring;
use chorus_simulator::{Figures, Live, Noise, Picture, Report, RoundRow};

use super::plan::HostFigures;
use super::sums::{self, Sums};
use super::watch::Watched;
use crate::simulate::command_line;

/// Everything that is known after a demo.
pub struct Outcome {
    rows: Vec<RoundRow>,
    reports: Vec<RoundReport>,
    quality: Quality,
    popularity: Quality,
    content: Option<Quality>,
    hosts: HostFigures,
    picture: Option<Picture>,
    noise: Noise,
    clients: usize,
    data: String,
    learning: Duration,
}

/// A sum modulo 2^32, in the ring of the task.
fn reduced(ring: Ring, sum: &[u32]) -> Vec<u32> {
    sum.iter().map(|word| ring.reduce(*word)).collect()
}

impl Outcome {
    /// Puts together what the processes left in the folder of the run, and what was seen of the coordinator.
    pub fn collect(
        run: &Path,
        task: &Task,
        dataset: &Dataset,
        watched: Watched,
    ) -> anyhow::Result<Self> {
        let ring = Ring::try_from(task.bits)?;
        let mut expected = Sums::default();
        let mut hosts = HostFigures::default();
        let mut uploads = Vec::new();
        for entry in std::fs::read_dir(run)? {
            let folder = entry?.path();
            if !folder.join("figures.json").exists() {
                continue;
            }
            expected.merge(&Sums::read(&folder.join("sums"))?);
            hosts.merge(serde_json::from_slice(&std::fs::read(
                folder.join("figures.json"),
            )?)?);
            uploads.extend(upload(&folder)?);
        }
        let rows = watched
            .reports
            .iter()
            .map(|report| {
                let sum = expected.get(report.round.0).map(|sum| reduced(ring, sum));
                RoundRow {
                    name: report.release.clone(),
                    funnel: report.funnel,
                    completed: report.aborted.is_none(),
                    quality: watched.qualities.get(&(report.trained + 1)).copied(),
                    seconds: report.milliseconds as f64 / 1_000.0,
                    upload_bytes: report.upload_bytes,
                    epsilon: report.spent.map(|spent| spent.epsilon),
                    clipped: hosts.clipped.get(&report.round.0).copied().unwrap_or(0),
                    sum_exact: report.sum.is_none() || report.sum == sum.as_deref().map(sum_digest),
                    staleness: None,
                    live: report.measured.clone().map(|measured| Live {
                        round: report.release.clone(),
                        measured: Some(measured),
                        back_to: None,
                    }),
                    note: report.note.clone(),
                }
            })
            .collect();
        let completed = |round: u64| {
            watched
                .reports
                .iter()
                .find(|report| report.round.0 == round && report.sum.is_some())
        };
        let picture = uploads.into_iter().rev().find_map(|(round, upload)| {
            let sum = reduced(ring, expected.get(round)?);
            Some(Picture {
                round: completed(round)?.release.clone(),
                upload,
                sum,
            })
        });
        let last = watched
            .qualities
            .last_key_value()
            .map(|(_, quality)| *quality);
        Ok(Self {
            rows,
            quality: last.unwrap_or_default(),
            popularity: chorus_simulator::popularity(dataset)?,
            content: watched.content,
            hosts,
            picture,
            noise: match task.privacy {
                Privacy::Off => Noise::Off,
                Privacy::Distributed { .. } => Noise::Distributed,
                Privacy::Local { .. } => Noise::Local,
            },
            clients: dataset.users(),
            data: dataset.name.clone(),
            learning: watched.learning,
            reports: watched.reports,
        })
    }

    /// The figures of `--json`.
    pub fn figures(&self, seed: u64, wall: Duration) -> Figures {
        let spent = self.reports.iter().rev().find_map(|report| report.spent);
        let completed = self.rows.iter().filter(|row| row.completed).count();
        let mut figures = Figures {
            rounds: self.rows.len(),
            rounds_completed: completed,
            clients: self.clients,
            dropouts: self.rows.iter().map(RoundRow::dropouts).sum(),
            epsilon: spent.map(|spent| spent.epsilon),
            delta: spent.map(|spent| spent.delta),
            upload_bytes_per_client: self
                .rows
                .iter()
                .map(|row| row.upload_bytes)
                .max()
                .unwrap_or(0),
            wall_seconds: wall.as_secs_f64(),
            sum_exact: completed > 0 && self.rows.iter().all(|row| row.sum_exact),
            clipped_share: self.hosts.clipped.values().sum::<usize>() as f64
                / self.hosts.learned.max(1) as f64,
            noise: self.noise,
            split: 1,
            notes: self.rows.iter().filter_map(RoundRow::remark).collect(),
            seed,
            data: self.data.clone(),
            command: command_line(),
            ..Figures::default()
        };
        figures.set_quality(&self.quality, &self.popularity);
        figures.content = self.content.as_ref().map(Into::into);
        figures
    }

    /// The page.
    pub fn report(&self, task: &Task, figures: &Figures) -> anyhow::Result<Report> {
        let megabytes = |bytes: u64| bytes as f64 / 1e6 / self.clients.max(1) as f64;
        Ok(Report {
            title: format!("{}, a federation on this machine", self.data),
            setting: format!(
                "A coordinator process, an authority process and processes full of clients, over TCP and mutual TLS 1.3, \
                 learning with {}. In {:.0} s each client sent {:.2} MB and received {:.2} MB, everything included.",
                crate::engine::NAME,
                self.learning.as_secs_f64(),
                megabytes(self.hosts.sent),
                megabytes(self.hosts.received),
            ),
            figures: figures.clone(),
            popularity: self.popularity,
            rounds: self.rows.clone(),
            guarantee: task.guarantee()?,
            trust: task.trust(true),
            picture: self.picture.clone(),
        })
    }

    /// How often a client did not go along, or the coordinator did not take a message: never, when all is well.
    pub fn complaints(&self) -> usize {
        self.hosts.refusals.len() + self.hosts.rejections.len()
    }
}

/// The last upload that a host saw, with its round.
fn upload(folder: &Path) -> anyhow::Result<Option<(u64, Vec<u32>)>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let round = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("upload-"));
        if let Some(round) = round.and_then(|round| round.parse().ok()) {
            return Ok(Some((round, sums::read_words(&path)?)));
        }
    }
    Ok(None)
}
