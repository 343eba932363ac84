//! Run folders as a reader finds them: one, or many in another folder.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chorus_model::Parameters;
use chorus_protocol::Digest;

use super::folder::{Folder, FolderError, MODEL, RECORD, disk};
use super::record::Record;

impl Folder {
    /// The run in this folder, or all of those in the folders of it in the order of the values that they differ in; unfinished
    /// ones as far as they came.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn found(path: &Path) -> Result<Vec<(Self, Record)>, FolderError> {
        if path.join(RECORD).exists() {
            return Ok(vec![Self::as_far_as_it_came(path)?]);
        }
        let mut runs = within(path)?
            .iter()
            .map(|place| Self::as_far_as_it_came(place))
            .collect::<Result<Vec<_>, _>>()?;
        if runs.is_empty() {
            return Err(FolderError::NoRuns(path.to_owned()));
        }
        let keys = differing(runs.iter().map(|(_, record)| record));
        runs.sort_by(|(_, one), (_, other)| {
            let orders = keys.iter().map(|key| order(one, other, key));
            orders.fold(Ordering::Equal, Ordering::then)
        });
        Ok(runs)
    }

    fn as_far_as_it_came(path: &Path) -> Result<(Self, Record), FolderError> {
        let (folder, mut record) = Self::open(path)?;
        if !record.is_finished()
            && let Some(checkpoint) = folder.checkpoint()?
        {
            record.rounds = checkpoint.rounds().to_vec();
        }
        Ok((folder, record))
    }

    /// The model of this run: the last, or of an unfinished one that of its checkpoint; nothing where it has none yet.
    ///
    /// # Errors
    /// When it cannot be read, or is another than the record says.
    pub fn model(&self, record: &Record) -> Result<Option<Parameters>, FolderError> {
        let Some(expected) = record.model else {
            let checkpoint = self.checkpoint()?;
            return Ok(checkpoint.map(|checkpoint| checkpoint.parameters().clone()));
        };
        let file = self.path().join(MODEL);
        let bytes = fs::read(&file).map_err(|error| disk(&file, error))?;
        let unusable = |problem: String| FolderError::Unusable {
            file: file.clone(),
            problem,
        };
        if Digest::of(&bytes) != expected {
            let problem = "it is another model than run.json says: its digest differs";
            return Err(unusable(problem.to_owned()));
        }
        let model = Parameters::from_bytes(&bytes);
        model.map(Some).map_err(|error| unusable(error.to_string()))
    }
}

/// The folders in a folder that hold a run.
fn within(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(disk(path, error)),
    };
    let mut places = Vec::new();
    for entry in entries {
        let place = entry.map_err(|error| disk(path, error))?.path();
        if place.join(RECORD).exists() {
            places.push(place);
        }
    }
    places.sort();
    Ok(places)
}

/// Keys that change no result.
const WITHOUT_EFFECT: [&str; 6] = [
    "checkpoint",
    "json",
    "report",
    "save-model",
    "scores",
    "threads",
];

/// The keys of runs that say what is computed, and that do not have the same value in all of them.
pub fn differing<'a>(records: impl Iterator<Item = &'a Record> + Clone) -> Vec<String> {
    let keys: BTreeSet<&String> = records.clone().flat_map(|one| one.keys.keys()).collect();
    let differs = |key: &&String| {
        let mut values = records.clone().map(|record| record.keys.get(*key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let with_effect = |key: &&String| !WITHOUT_EFFECT.contains(&key.as_str());
    let keys = keys.into_iter().filter(with_effect).filter(differs);
    keys.cloned().collect()
}

/// Numbers by their size, everything else as text; what was not given first.
fn order(one: &Record, other: &Record, key: &str) -> Ordering {
    let (one, other) = (one.given(key), other.given(key));
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
    match (number(&one), number(&other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => one.cmp(&other),
    }
}
