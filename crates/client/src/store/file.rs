//! Files that are the owner's alone.

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;

/// An empty file that its owner alone can read; SQLite gives what it puts beside it the same mode.
pub fn make_private(path: &Path) -> Result<File> {
    let file = File::create(path)?;
    private(&file)?;
    Ok(file)
}

/// Puts a file with this content in its place, at once or not at all. What was there before is overwritten.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let old = OpenOptions::new().write(true).open(path).ok();
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    let mut file = make_private(draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename(draft, path)?;
    old.map_or(Ok(()), |old| blank(&old))
}

/// Overwrites a file with zeros and removes it, also where it cannot be overwritten. One that is not there is removed already.
pub fn wipe(path: &Path) -> Result<()> {
    let blanked = match OpenOptions::new().write(true).open(path) {
        Ok(file) => blank(&file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    std::fs::remove_file(path)?;
    sync_folder(path)?;
    blanked
}

/// Gives a file its final name; on the disk when this returns.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)?;
    sync_folder(to)
}

/// Waits until nobody else holds the lock, which lasts as long as the file is open.
pub fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    private(&file)?;
    file.lock()?;
    Ok(file)
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

#[cfg(unix)]
fn private(file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn private(_: &File) -> Result<()> {
    Ok(())
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
