use chorus_privacy::{PrivacyError, Release, spent};
use chorus_protocol::Privacy;
use serde::Serialize;

use super::Record;

/// What tasks take of one person together, where the same people contribute to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Together {
    /// Privacy loss of one client over all tasks; nothing where one of them adds no noise, since nothing bounds that.
    pub epsilon: Option<f64>,
    /// The probability at which `epsilon` may fail: the largest of the tasks'.
    pub delta: Option<f64>,
    /// Bytes that a client uploads over all rounds of all tasks, the mean of everyone.
    pub upload_bytes_per_client: f64,
}

impl Together {
    /// Of runs that are finished: their releases composed as a client's ledger composes them.
    ///
    /// # Errors
    /// Releases that cannot be accounted for.
    pub fn of<'a>(
        records: impl IntoIterator<Item = &'a Record> + Clone,
    ) -> Result<Self, PrivacyError> {
        let bounds = records
            .clone()
            .into_iter()
            .map(|record| record.task.privacy);
        let deltas: Option<Vec<f64>> = bounds
            .map(|privacy: Privacy| privacy.bound().map(|(_, delta)| delta))
            .collect();
        let delta = deltas.and_then(|deltas| deltas.into_iter().reduce(f64::max));
        let releases = records.clone().into_iter().flat_map(|one| &one.releases);
        let releases: Vec<Release> = releases.copied().collect();
        let epsilon = delta.map(|delta| spent(&releases, delta)).transpose()?;
        let uploads = records.into_iter().map(|record| {
            let sent = record.rounds.iter();
            let sent = sent.map(|row| row.upload_bytes * row.funnel.uploaded as u64);
            sent.sum::<u64>() as f64 / record.task.population.max(1) as f64
        });
        Ok(Self {
            epsilon: epsilon.map(|spent| spent.epsilon),
            delta,
            upload_bytes_per_client: uploads.sum(),
        })
    }
}
