use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{Dataset, grouplens, lightgcn, ncf};

/// A data set that cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// A folder or file that cannot be opened or read to its end.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The folder or file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line that is not what its file should hold.
    #[error("{}, line {line}: expected {expected}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What should be there.
        expected: String,
    },
    /// A folder without any known layout.
    #[error(
        "no data set in {}: expected NAME.train.rating, NAME.test.rating and NAME.test.negative, \
         or train.txt and test.txt, or one of u.data, ratings.dat, ratings.csv; each may end in .gz",
        dir.display()
    )]
    NoLayout {
        /// The folder.
        dir: PathBuf,
    },
    /// A published split without one of its files.
    #[error("{} is missing (or the same name with .gz)", file.display())]
    MissingFile {
        /// The file that should be there.
        file: PathBuf,
    },
    /// More than one published split.
    #[error("{} holds several splits: {}; keep one a folder", dir.display(), names.join(", "))]
    SeveralSplits {
        /// The folder.
        dir: PathBuf,
        /// The names of the splits.
        names: Vec<String>,
    },
    /// Files without a single event.
    #[error("{} holds no events", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

/// Reads the data set in the folder `dir`, recognised by the endings of its files.
///
/// A published leave-one-out split (NCF layout, He et al. 2017), or one of the layout of LightGCN (He et al. 2020), wins over
/// raw GroupLens files beside it. Raw files
/// are split here: each user's latest event is held out, with 99 seeded negatives.
///
/// # Errors
/// When the folder holds no known layout, a file cannot be read, or a line is malformed; the message names the
/// file, the line and what was expected.
pub fn read(dir: &Path) -> Result<Dataset, DataError> {
    if let Some(dataset) = ncf::read(dir)? {
        return Ok(dataset);
    }
    if let Some(dataset) = lightgcn::read(dir)? {
        return Ok(dataset);
    }
    if let Some(dataset) = grouplens::read(dir)? {
        return Ok(dataset);
    }
    Err(DataError::NoLayout {
        dir: dir.to_owned(),
    })
}

/// The last part of the folder's path, to call a data set by.
pub(crate) fn folder_name(dir: &Path) -> String {
    let resolved = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    resolved.file_name().map_or_else(
        || "data".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
