//! Files that are the owner's alone.

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;

/// A new and empty file that its owner alone can read, from its first moment on, and that nobody laid out as a link; SQLite gives
/// what it puts beside it the same mode. A draft of an earlier time is removed.
pub fn make_private(path: &Path) -> Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => private().write(true).create_new(true).open(path),
    }
}

/// Puts a file with this content in its place, at once or not at all. What was there before is overwritten, unless it was a link.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let old = is_file.then(|| OpenOptions::new().write(true).open(path).ok());
    let old = old.flatten();
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    let mut file = make_private(draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename(draft, path)?;
    old.map_or(Ok(()), |old| blank(&old))
}

/// Overwrites a file with zeros and removes it, also where it cannot be overwritten. One that is not there is removed already; of a link,
/// only the link goes; a folder is nobody's file and stays.
pub fn wipe(path: &Path) -> Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind.is_dir() {
        return Ok(());
    }
    let blanked = match kind.is_file() {
        true => OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| blank(&file)),
        false => Ok(()),
    };
    std::fs::remove_file(path)?;
    sync_folder(path)?;
    blanked
}

/// Refuses what is no plain file: a link leads elsewhere, a pipe lets its opener wait. Nothing there is fine.
pub fn check_plain(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(std::io::Error::other(
            "it is no plain file: move it elsewhere",
        )),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that its owner alone can read, made if it is not there; its name is on the disk when this returns.
pub fn make(path: &Path) -> Result<()> {
    check_plain(path)?;
    private()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    sync_folder(path)
}

/// Gives a file its final name; on the disk when this returns.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)?;
    sync_folder(to)
}

/// Waits until nobody else holds the lock, which lasts as long as the file is open.
pub fn lock(path: &Path) -> Result<File> {
    check_plain(path)?;
    let file = private()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

/// Which file has this name now: two that are there at the same time are never the same.
#[cfg(unix)]
pub fn id(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub fn id(path: &Path) -> Result<(u64, u64)> {
    std::fs::metadata(path).map(|_| (0, 0))
}

fn blank(file: &File) -> Result<()> {
    let mut file = file;
    let mut left = file.metadata()?.len();
    let zeros = [0; 4096];
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(zeros.split_at(part as usize).0)?;
        left -= part;
    }
    file.sync_all()
}

/// Names are in the folder, not in the file.
#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}

/// Files that are made with these are their owner's alone.
pub fn private() -> OpenOptions {
    #[allow(unused_mut, reason = "only unix has modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A folder that its owner alone can enter, if it is not there.
#[cfg(unix)]
pub fn make_folder(home: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
}

#[cfg(not(unix))]
pub fn make_folder(home: &Path) -> Result<()> {
    std::fs::create_dir_all(home)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_way_of_a_draft_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let (outside, file) = (home.path().join("outside"), home.path().join("key"));
        std::fs::write(&outside, b"theirs").unwrap();
        symlink(&outside, home.path().join("key.new")).unwrap();
        replace(&file, b"secret").unwrap();
        assert_eq!(std::fs::read(&outside).unwrap(), b"theirs");
        assert_eq!(std::fs::read(&file).unwrap(), b"secret");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_a_link_only_the_link_goes() {
        let home = tempfile::tempdir().unwrap();
        let (outside, link) = (home.path().join("outside"), home.path().join("link"));
        std::fs::write(&outside, b"theirs").unwrap();
        type Act = fn(&Path) -> Result<()>;
        let acts: [(Act, bool); 2] = [(wipe, false), (|link| replace(link, b"ours"), true)];
        for (act, is_there) in acts {
            symlink(&outside, &link).unwrap();
            act(&link).unwrap();
            assert_eq!(std::fs::read(&outside).unwrap(), b"theirs");
            assert_eq!(link.exists(), is_there);
        }
    }
}
