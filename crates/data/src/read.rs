use std::path::Path;

use crate::{DataError, Dataset, Reading, Split, flaw, grouplens, lightgcn, ncf, settings, table};

/// Reads the data set at `path`: a folder, recognised by the names of its files, or one file of events.
///
/// A published leave-one-out split (NCF layout, He et al. 2017), or one of the layout of LightGCN (He et al. 2020), wins over
/// raw events beside it. Raw events are split here: each user's latest one is held out, with 99 seeded negatives, unless
/// `data.toml` in the folder names another split.
///
/// # Errors
/// When the folder holds no known layout, a file cannot be read, a line is malformed, or what was read would make wrong
/// figures ([`crate::check`]); the message names the file, the line and what was expected.
pub fn read(path: &Path) -> Result<Dataset, DataError> {
    read_as(path, &Reading::default())
}

/// The same with a split and columns of one's own.
///
/// # Errors
/// As [`read`], and when the data does not allow the split.
pub fn read_as(path: &Path, reading: &Reading) -> Result<Dataset, DataError> {
    let file = path.is_file().then_some(path);
    let dir = folder_of(path);
    let reading = settings::settled(dir, reading)?;
    let dataset = unchecked(path, dir, file, &reading)?;
    flaw::check(&dataset).map_err(|flaw| DataError::Flawed {
        path: path.to_owned(),
        flaw,
    })?;
    Ok(dataset)
}

fn unchecked(
    path: &Path,
    dir: &Path,
    file: Option<&Path>,
    reading: &Reading,
) -> Result<Dataset, DataError> {
    let published = match file {
        None => match ncf::read(dir)? {
            Some(dataset) => Some(dataset),
            None => lightgcn::read(dir)?,
        },
        Some(_) => None,
    };
    let refuse = |split, reason: &str| DataError::NoSuchSplit {
        path: path.to_owned(),
        split,
        reason: reason.to_owned(),
    };
    let split = match (published, reading.split) {
        (Some(dataset), None | Some(Split::Published)) => return Ok(dataset),
        (None, Some(Split::Published)) => {
            return Err(refuse(Split::Published, "no split was published with it"));
        }
        (_, split) => split,
    };
    let log = match table::read(dir, file, &reading.columns)? {
        Some(log) => Some(log),
        None => grouplens::read(dir, file)?,
    };
    match (log, split) {
        (Some(log), split) => log.split(split.unwrap_or(Split::LeaveOneOut)),
        (None, Some(split)) => Err(refuse(
            split,
            "its published split has no raw events beside it; leave the split out",
        )),
        (None, None) => Err(DataError::NoLayout {
            dir: path.to_owned(),
        }),
    }
}

/// The folder that a data set lies in; `path` may name one of its files.
pub(crate) fn folder_of(path: &Path) -> &Path {
    if !path.is_file() {
        return path;
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The last part of the folder's path, to call a data set by.
pub(crate) fn folder_name(dir: &Path) -> String {
    let resolved = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    resolved.file_name().map_or_else(
        || "data".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
