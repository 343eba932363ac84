//! What a person at a terminal sees: results on standard output, everything else on standard error.

use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::exit::{self, OrExit};

/// Whether a result could not be written to standard output.
static UNSAID: AtomicBool = AtomicBool::new(false);

/// Whether another process of a simulation speaks for this one.
static HUSHED: AtomicBool = AtomicBool::new(false);

/// From now on nothing is said: another process does.
pub fn hush() {
    HUSHED.store(true, Ordering::Relaxed);
}

fn is_hushed() -> bool {
    HUSHED.load(Ordering::Relaxed)
}

/// A result line. That nobody reads on, as behind `| head`, is no failure. What else goes wrong is said once, and the command ends as
/// one that failed: see [`all_said`].
pub fn say(line: &str) {
    if is_hushed() {
        return;
    }
    let Err(error) = writeln!(std::io::stdout(), "{line}") else {
        return;
    };
    if error.kind() != ErrorKind::BrokenPipe && !UNSAID.swap(true, Ordering::Relaxed) {
        complain(&format!("cannot write to standard output: {error}"));
    }
}

/// Whether every result reached standard output.
pub fn all_said() -> bool {
    !UNSAID.load(Ordering::Relaxed)
}

/// A line about what is going on. Nothing waits for it to be read: what the command does goes on where it cannot be written.
pub fn tell(line: &str) {
    if !is_hushed() {
        let _unread = writeln!(std::io::stderr(), "{line}");
    }
}

/// An error, in a sentence.
pub fn complain(sentence: &str) {
    tell(&format!("chorus: {sentence}"));
}

/// A result as JSON on standard output.
pub fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Reads a text, and says in a sentence when that fails.
pub fn read(path: &Path, code: u8) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
        .or_exit(code)
}

/// Writes a file, and says in a sentence when that fails.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, content)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
        .or_exit(exit::ENVIRONMENT)
}

/// Whether there is a plain file of this name. Refuses a link, and what is no file: whoever laid that there chose where it leads.
pub fn is_plain(path: &Path) -> anyhow::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => exit::stop(
            exit::USAGE,
            format!(
                "{} is a link or no plain file: take another name",
                path.display()
            ),
        ),
        found => Ok(found.is_ok()),
    }
}

/// Writes a file that its owner alone can read, at once or not at all: a new one, or in the place of the plain file that was named.
/// Never through a link.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let is_there = is_plain(path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let write = || -> std::io::Result<()> {
        let mut draft = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        draft.write_all(content)?;
        draft.as_file().sync_all()?;
        match is_there {
            true => draft.persist(path)?,
            false => draft.persist_noclobber(path)?,
        };
        Ok(())
    };
    write()
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
        .or_exit(exit::ENVIRONMENT)
}

/// Refuses, before any work is done, files that could not be written after it, or that would take the place of each other or of
/// what is `read`: a file, or any in a folder.
pub fn check_files<'a>(
    files: impl IntoIterator<Item = &'a Path>,
    read: impl IntoIterator<Item = &'a Path>,
) -> anyhow::Result<()> {
    let read: Vec<PathBuf> = read.into_iter().map(whole).collect();
    let mut taken = read.clone();
    for file in files {
        let place = whole(file);
        let is_device = file.exists() && !file.is_file();
        let is_read = file.is_file() && read.iter().any(|read| place.starts_with(read));
        if is_read || taken.contains(&place) && !is_device {
            let file = file.display();
            return exit::stop(
                exit::USAGE,
                format!(
                    "{file} is named twice, or is of what is read: writing it would destroy something; take another name"
                ),
            );
        }
        taken.push(place);
        can_be_written(file)?;
    }
    Ok(())
}

fn can_be_written(file: &Path) -> anyhow::Result<()> {
    let refuse = |code, why: String| {
        let file = file.display();
        exit::stop(code, format!("cannot write {file}: {why}"))
    };
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let missing = format!("there is no folder {}; make it first", folder.display());
        return refuse(exit::ENVIRONMENT, missing);
    }
    if file.is_dir() {
        let folder = "it is a folder and no plain file; name a file in it";
        return refuse(exit::USAGE, folder.to_owned());
    }
    let tried = match (file.is_file(), file.exists()) {
        (true, _) => OpenOptions::new().append(true).open(file).map(drop),
        (false, true) => Ok(()),
        (false, false) => tempfile::tempfile_in(folder).map(drop),
    };
    match tried {
        Ok(()) => Ok(()),
        Err(error) => refuse(exit::ENVIRONMENT, error.to_string()),
    }
}

/// The same path however it is written, where that can be known.
pub fn whole(path: &Path) -> PathBuf {
    let whole = path.canonicalize().or_else(|_| std::path::absolute(path));
    whole.unwrap_or_else(|_| path.to_owned())
}

/// A bar of `length` steps on a terminal; nothing where nobody looks.
pub fn bar(length: u64, what: &str) -> ProgressBar {
    let bar = match std::io::stderr().is_terminal() && !is_hushed() {
        true => ProgressBar::new(length),
        false => ProgressBar::hidden(),
    };
    let template = "{prefix:>12} [{bar:30}] {pos}/{len} {msg} {elapsed} (about {eta} left)";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// Sends what the libraries trace to standard error, as CHORUS_LOG says (default: warnings).
pub fn trace() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CHORUS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}
