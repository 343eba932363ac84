//! Data sets that their publisher packs into one file: what it is called, what must be in it, and what its terms say.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use thiserror::Error;
use zip::ZipArchive;

/// A published archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// What we call it: `movielens-100k`.
    pub name: &'static str,
    /// The file, below the publisher's address.
    pub file: &'static str,
    /// The checksum that the publisher gives beside it, in hexadecimal. It finds what was damaged on the way; who sent it,
    /// TLS says.
    pub md5: &'static str,
    /// The members that are unpacked, without their folders.
    pub members: &'static [&'static str],
}

/// Where GroupLens publishes its data sets.
pub const GROUPLENS: &str = "https://files.grouplens.org/datasets/movielens/";

/// Every archive that is known here.
pub const ARCHIVES: [Archive; 2] = [
    Archive {
        name: "movielens-100k",
        file: "ml-100k.zip",
        md5: "0e33842e24a9c977be4e0107933c0723",
        members: &["u.data", "u.item", "u.user", "u.genre", "README"],
    },
    Archive {
        name: "movielens-1m",
        file: "ml-1m.zip",
        md5: "c4d9eecfca2ab87c1945afe126590906",
        members: &["ratings.dat", "movies.dat", "users.dat", "README"],
    },
];

/// Bytes of an archive, at most; the two are 5 and 6 MB.
pub const MOST_BYTES: u64 = 32 << 20;
/// Bytes of one unpacked member, at most; the largest is 25 MB.
const MOST_UNPACKED: u64 = 128 << 20;

/// What GroupLens asks of people who use its data.
pub const TERMS: &str = "\
MovieLens data is published by GroupLens, University of Minnesota, for research. In short:
  - Do not state or imply that the University of Minnesota or GroupLens endorses what you do with it.
  - Acknowledge it in publications: Harper and Konstan, The MovieLens Datasets, ACM TiiS 5(4):19, 2015.
  - Do not redistribute it without separate permission.
  - Do not use it for commercial or revenue-bearing purposes without permission from GroupLens.
  - It comes as it is, without any guarantee.
The README inside the archive has the whole text, and it is what counts: https://grouplens.org/datasets/movielens/";

/// An archive that cannot be used.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// A file that cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Other bytes than were published.
    #[error(
        "the archive has the MD5 checksum {found}, not the published {wanted}: it was damaged on the way, or is another one; nothing was unpacked"
    )]
    Checksum {
        /// What was computed.
        found: String,
        /// What should be there.
        wanted: String,
    },
    /// No zip file, or one that is damaged.
    #[error("the archive cannot be unpacked: {0}")]
    Damaged(String),
    /// A member that is too large to be what it says.
    #[error("{member} in the archive is larger than {} MB, so it was not unpacked", MOST_UNPACKED >> 20)]
    TooLarge {
        /// The member.
        member: String,
    },
    /// Something that must be there.
    #[error("the archive holds no {member}")]
    Missing {
        /// The member.
        member: String,
    },
}

impl Archive {
    /// The archive that we call so.
    pub fn named(name: &str) -> Option<Self> {
        ARCHIVES.into_iter().find(|archive| archive.name == name)
    }

    /// Compares the checksum of a downloaded file with the one in hexadecimal.
    ///
    /// # Errors
    /// When they differ, or the file cannot be read.
    pub fn check(zip: &Path, md5: &str) -> Result<(), ArchiveError> {
        let fail = |source| ArchiveError::File {
            file: zip.to_owned(),
            source,
        };
        let mut file = File::open(zip).map_err(fail)?;
        let mut hash = Md5::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut buffer).map_err(fail)?;
            match buffer.get(..count) {
                Some(bytes) if count > 0 => hash.update(bytes),
                _ => break,
            }
        }
        let found: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        match found.eq_ignore_ascii_case(md5) {
            true => Ok(()),
            false => Err(ArchiveError::Checksum {
                found,
                wanted: md5.to_lowercase(),
            }),
        }
    }

    /// Unpacks the members into a folder that is there, whatever folders they are in, and nothing else.
    ///
    /// # Errors
    /// When the file is no zip file, a member is missing or too large, or a file cannot be written.
    pub fn unpack(&self, zip: &Path, into: &Path) -> Result<(), ArchiveError> {
        let fail = |file: &Path, source| ArchiveError::File {
            file: file.to_owned(),
            source,
        };
        let damaged = |error: zip::result::ZipError| ArchiveError::Damaged(error.to_string());
        let file = File::open(zip).map_err(|source| fail(zip, source))?;
        let mut archive = ZipArchive::new(file).map_err(damaged)?;
        // A name that cannot be read is not that of a member.
        let names = archive.file_names().flatten();
        let names: Vec<String> = names.map(std::borrow::Cow::into_owned).collect();
        for member in self.members {
            let is_member = |name: &&String| name.rsplit('/').next() == Some(member);
            let missing = || ArchiveError::Missing {
                member: (*member).to_owned(),
            };
            let name = names.iter().find(is_member).ok_or_else(missing)?;
            let packed = archive.by_name(name).map_err(damaged)?;
            let path = into.join(member);
            let mut out = File::create(&path).map_err(|source| fail(&path, source))?;
            // What a member says of its size is not believed.
            let copied = io::copy(&mut packed.take(MOST_UNPACKED + 1), &mut out)
                .map_err(|source| ArchiveError::Damaged(format!("{member}: {source}")))?;
            if copied > MOST_UNPACKED {
                return Err(ArchiveError::TooLarge {
                    member: (*member).to_owned(),
                });
            }
            out.flush().map_err(|source| fail(&path, source))?;
        }
        Ok(())
    }
}
