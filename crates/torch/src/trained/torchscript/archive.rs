use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::ModuleError;

/// Bytes of an archive, at most.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// Entries of an archive, at most.
const MOST_ENTRIES: usize = 256;
/// Bytes of all entries once they are unpacked, at most.
const MOST_UNPACKED: usize = 8 << 20;

/// The entries of an archive that matter, without the folder that all of them lie in.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// Unpacks an archive within bounds.
pub(super) fn unpack(bytes: &[u8]) -> Result<Entries, ModuleError> {
    let refuse = |problem: String| ModuleError::Archive(problem);
    if bytes.len() > MOST_BYTES {
        return Err(refuse(format!("it has more than {MOST_BYTES} bytes")));
    }
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|error| refuse(error.to_string()))?;
    if archive.len() > MOST_ENTRIES {
        return Err(refuse(format!("it has more than {MOST_ENTRIES} entries")));
    }
    let (mut entries, mut unpacked, mut root) = (Entries::new(), 0, None);
    for place in 0..archive.len() {
        let entry = archive
            .by_index(place)
            .map_err(|error| refuse(error.to_string()))?;
        let name = entry
            .name()
            .map_err(|error| refuse(error.to_string()))?
            .into_owned();
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_./-<>".contains(&byte));
        let odd = |part: &str| part.is_empty() || part == "..";
        if !is_plain || name.split('/').any(odd) {
            return Err(refuse(format!("the path `{}`", name.escape_default())));
        }
        let Some((folder, inner)) = name.split_once('/') else {
            return Err(refuse(format!("`{name}` lies outside of a folder")));
        };
        if root.get_or_insert_with(|| folder.to_owned()) != folder {
            return Err(refuse("it has two folders at the top".to_owned()));
        }
        if !is_known(inner) {
            return Err(refuse(format!("it has no use for the entry `{inner}`")));
        }
        // What an entry says of its size is not believed.
        let mut content = Vec::new();
        let room = MOST_UNPACKED - unpacked;
        entry
            .take(room as u64 + 1)
            .read_to_end(&mut content)
            .map_err(|error| refuse(format!("`{inner}`: {error}")))?;
        if content.len() > room {
            return Err(refuse(format!(
                "it unpacks to more than {MOST_UNPACKED} bytes"
            )));
        }
        unpacked += content.len();
        if entries.insert(inner.to_owned(), content).is_some() {
            return Err(refuse(format!("it holds `{inner}` twice")));
        }
    }
    Ok(entries)
}

fn is_known(name: &str) -> bool {
    const FILES: [&str; 8] = [
        "data.pkl",
        "constants.pkl",
        "version",
        "byteorder",
        ".format_version",
        ".storage_alignment",
        ".data/serialization_id",
        "constants.pkl.debug_pkl",
    ];
    let is_number = |text: &str| text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_code = name.starts_with("code/__torch__")
        && (name.ends_with(".py") || name.ends_with(".py.debug_pkl"));
    FILES.contains(&name) || is_code || name.strip_prefix("data/").is_some_and(is_number)
}

/// Writes an archive of exactly these entries: libtorch opens what was checked and not what another reader of the same bytes
/// may see in them. Notes for debuggers are left out.
pub(super) fn pack(entries: &Entries) -> Result<Vec<u8>, ModuleError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let failed = |error: String| ModuleError::Archive(error);
    for (name, content) in entries {
        if name.ends_with(".debug_pkl") {
            continue;
        }
        writer
            .start_file(format!("module/{name}"), stored)
            .map_err(|error| failed(error.to_string()))?;
        writer
            .write_all(content)
            .map_err(|error| failed(error.to_string()))?;
    }
    let archive = writer.finish().map_err(|error| failed(error.to_string()))?;
    Ok(archive.into_inner())
}
