use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::DataError;

/// One past the largest item number that is read: a bound on memory that bad input cannot pass.
pub(crate) const MOST_ITEMS: u32 = 1 << 24;
/// One past the largest user number that is read.
pub(crate) const MOST_USERS: u32 = 1 << 22;

/// One line of a file, with what an error message needs.
pub(crate) struct Line<'a> {
    pub(crate) file: &'a Path,
    /// From 1.
    pub(crate) number: u64,
    /// Without the end of line.
    pub(crate) bytes: &'a [u8],
}

impl Line<'_> {
    /// An error that points here.
    pub(crate) fn malformed(&self, expected: impl Into<String>) -> DataError {
        DataError::Malformed {
            file: self.file.to_owned(),
            line: self.number,
            expected: expected.into(),
        }
    }

    /// The line as UTF-8.
    pub(crate) fn text(&self) -> Result<&str, DataError> {
        std::str::from_utf8(self.bytes).map_err(|_| self.malformed("UTF-8 text"))
    }

    /// The line as Latin-1, in which every byte is a character.
    pub(crate) fn latin1(&self) -> String {
        self.bytes.iter().copied().map(char::from).collect()
    }

    /// A user number below [`MOST_USERS`].
    pub(crate) fn user(&self, field: Option<&str>, expected: &str) -> Result<usize, DataError> {
        self.below(field, MOST_USERS, expected)
    }

    /// An item number below [`MOST_ITEMS`].
    pub(crate) fn item(&self, field: Option<&str>, expected: &str) -> Result<u32, DataError> {
        self.below(field, MOST_ITEMS, expected)
            .map(|item| item as u32)
    }

    fn below(&self, field: Option<&str>, limit: u32, expected: &str) -> Result<usize, DataError> {
        let number = field.and_then(|field| field.parse::<u32>().ok());
        number
            .filter(|number| *number < limit)
            .map(|number| number as usize)
            .ok_or_else(|| {
                self.malformed(format!("{expected}, each number from 0 and below {limit}"))
            })
    }
}

/// A file to read, decompressed on the way when its name ends in `.gz`.
pub(crate) fn open(file: &Path) -> Result<Box<dyn Read>, DataError> {
    let opened = File::open(file).map_err(|source| DataError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    Ok(
        match file.extension().is_some_and(|ending| ending == "gz") {
            true => Box::new(MultiGzDecoder::new(opened)),
            false => Box::new(opened),
        },
    )
}

/// Calls `each` with every line that is not blank; files ending in `.gz` are decompressed on the way.
pub(crate) fn for_each_line(
    file: &Path,
    mut each: impl FnMut(&Line<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let fail = |source| DataError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mut reader = BufReader::with_capacity(1 << 16, open(file)?);
    let mut buffer = Vec::new();
    for number in 1.. {
        buffer.clear();
        if reader.read_until(b'\n', &mut buffer).map_err(fail)? == 0 {
            break;
        }
        let bytes = buffer.trim_ascii_end();
        if !bytes.is_empty() {
            each(&Line {
                file,
                number,
                bytes,
            })?;
        }
    }
    Ok(())
}

/// The file `name` in `dir`, or `name.gz`, if either is there.
pub(crate) fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    [dir.join(name), dir.join(format!("{name}.gz"))]
        .into_iter()
        .find(|path| path.is_file())
}
