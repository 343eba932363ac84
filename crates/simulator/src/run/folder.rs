use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use chorus_model::ParametersError;
use chorus_protocol::Digest;
use thiserror::Error;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::record::Record;
use super::{rows, tensorboard};
use crate::Run;

pub(super) const RECORD: &str = "run.json";
const CHECKPOINT: &str = "checkpoint";
const ROUNDS: &str = "rounds.parquet";
pub(super) const MODEL: &str = "model.safetensors";
const REPORT: &str = "report.html";

/// A folder that holds one run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Open and locked while somebody writes here.
    held: Option<File>,
}

/// Why a run folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// There is something in it.
    #[error(
        "{} holds {holds}: take another folder, or go on with a run by --resume", folder.display()
    )]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        holds: &'static str,
    },
    /// Another process writes there.
    #[error("{} is being written by another process: wait until it has ended, or end it", .0.display())]
    Held(PathBuf),
    /// There is no run in it.
    #[error("{} holds no run: there is no run.json in it", .0.display())]
    NoRun(PathBuf),
    /// There is no run in it, and none in a folder of it.
    #[error(
        "{} holds no run: there is no run.json in it, nor in a folder of it; name a folder that `chorus simulate --out` filled",
        .0.display()
    )]
    NoRuns(PathBuf),
    /// A file that is not what it should be.
    #[error("{}: {problem}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {error}", file.display())]
    Disk {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The model cannot be written.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A checkpoint cannot be written.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The rows cannot be written.
    #[error("rounds.parquet: {0}")]
    Rows(String),
}

impl Folder {
    /// A new folder, or an empty one.
    ///
    /// # Errors
    /// When there is something in it, or it cannot be made.
    pub fn new(path: &Path) -> Result<Self, FolderError> {
        let disk = |error| disk(path, error);
        if path.join(RECORD).exists() {
            return Err(taken(path, "another run"));
        }
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(taken(path, "other files")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path).map_err(disk)?;
            }
            Err(error) => return Err(disk(error)),
        }
        Ok(Self::at(path))
    }

    /// A folder with a run, and what is recorded of it.
    ///
    /// # Errors
    /// When there is none, or its record cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Record), FolderError> {
        let file = path.join(RECORD);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FolderError::NoRun(path.to_owned()));
            }
            Err(error) => return Err(disk(&file, error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok((Self::at(path), record)),
            Err(error) => Err(FolderError::Unusable {
                problem: format!("it is no record of a run of this version of chorus: {error}"),
                file,
            }),
        }
    }

    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            held: None,
        }
    }

    /// Keeps other processes from writing here, until this is dropped.
    ///
    /// # Errors
    /// When one does already.
    pub fn hold(mut self) -> Result<Self, FolderError> {
        let folder = File::open(&self.path).map_err(|error| disk(&self.path, error))?;
        // Where a file system has no locks, nothing is kept.
        if matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(FolderError::Held(self.path));
        }
        self.held = Some(folder);
        Ok(self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a run keeps here, whether it is there yet or not.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        [RECORD, CHECKPOINT, ROUNDS, MODEL, REPORT]
            .map(|name| self.path.join(name))
            .into_iter()
    }

    /// The last checkpoint; nothing where none was reached.
    ///
    /// # Errors
    /// When it cannot be read, or was damaged.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, FolderError> {
        let file = self.path.join(CHECKPOINT);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk(&file, error)),
        };
        match Checkpoint::from_bytes(&bytes) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => Err(FolderError::Unusable {
                problem: error.to_string(),
                file,
            }),
        }
    }

    /// Writes the record of a run that begins.
    ///
    /// # Errors
    /// When that fails.
    pub fn begin(&self, record: &Record) -> Result<(), FolderError> {
        let text = serde_json::to_vec_pretty(record);
        let text = text.map_err(|error| disk(&self.path.join(RECORD), error.into()))?;
        self.write(RECORD, &text)
    }

    /// Takes the place of the checkpoint before, or leaves it as it was.
    ///
    /// # Errors
    /// When that fails.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), FolderError> {
        self.write(CHECKPOINT, &checkpoint.to_bytes()?)
    }

    /// Leaves a run that is to be gone on with later: what can be read of it so far.
    ///
    /// # Errors
    /// When that fails.
    pub fn leave(&self, mut record: Record, checkpoint: &Checkpoint) -> Result<(), FolderError> {
        self.save(checkpoint)?;
        record.rounds = checkpoint.rounds().to_vec();
        self.write(MODEL, &checkpoint.parameters().to_bytes()?)?;
        self.results(&record)
    }

    /// Writes everything of a run that is finished, the record last, and gives the record.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(&self, record: Record, run: &Run) -> Result<Record, FolderError> {
        let record = record.finished(run)?;
        self.write(MODEL, &run.parameters.to_bytes()?)?;
        self.write(REPORT, run.report().to_html().as_bytes())?;
        self.results(&record)?;
        match fs::remove_file(self.path.join(CHECKPOINT)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(disk(&self.path.join(CHECKPOINT), error))
            }
            _ => Ok(record),
        }
    }

    fn results(&self, record: &Record) -> Result<(), FolderError> {
        let rounds = rows::write(&record.rounds);
        let rounds = rounds.map_err(|error| FolderError::Rows(error.to_string()))?;
        self.write(ROUNDS, &rounds)?;
        let events = format!("events.out.tfevents.{}.chorus", record.began);
        self.write(&events, &tensorboard::events(&record.rounds, record.began))?;
        self.begin(record)
    }

    /// Whole or not at all: what a reader finds under the name is always one of the two.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), FolderError> {
        let (file, beside) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let write = || {
            let mut new = File::create(&beside)?;
            new.write_all(content)?;
            new.sync_all()?;
            fs::rename(&beside, &file)
        };
        write().map_err(|error| disk(&file, error))
    }
}

impl Record {
    /// The same with what came out.
    ///
    /// # Errors
    /// When the model cannot be written.
    pub fn finished(self, run: &Run) -> Result<Self, ParametersError> {
        Ok(Self {
            model: Some(Digest::of(&run.parameters.to_bytes()?)),
            figures: Some(run.figures.clone()),
            rounds: run.rounds.clone(),
            releases: run.releases.clone(),
            ..self
        })
    }
}

fn taken(folder: &Path, holds: &'static str) -> FolderError {
    FolderError::Taken {
        folder: folder.to_owned(),
        holds,
    }
}

pub(super) fn disk(file: &Path, error: io::Error) -> FolderError {
    FolderError::Disk {
        file: file.to_owned(),
        error,
    }
}
