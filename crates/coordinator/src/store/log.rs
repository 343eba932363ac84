use chorus_protocol::{Digest, SignedEntry};
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::RowError;

/// Length of the log, and what its next entry names as its predecessor.
pub(crate) fn head(connection: &Connection) -> Result<(u64, Digest), RowError> {
    let last: Option<(i64, [u8; 32])> = connection
        .query_row(
            "SELECT place, digest FROM log ORDER BY place DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(match last {
        None => (0, Digest::ZERO),
        Some((place, digest)) => (place as u64 + 1, Digest(digest)),
    })
}

pub(crate) fn append(
    tx: &Transaction<'_>,
    place: u64,
    entry: &SignedEntry,
) -> Result<(), RowError> {
    tx.execute(
        "INSERT INTO log (place, entry, signature, digest) VALUES (?1, ?2, ?3, ?4)",
        (
            place as i64,
            &entry.bytes,
            &entry.signature[..],
            &entry.digest().0[..],
        ),
    )?;
    Ok(())
}

/// Up to `most` entries from `from` on.
pub(crate) fn page(
    connection: &Connection,
    from: u64,
    most: usize,
) -> Result<Vec<SignedEntry>, RowError> {
    let mut query = connection.prepare_cached(
        "SELECT entry, signature FROM log WHERE place >= ?1 ORDER BY place LIMIT ?2",
    )?;
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let rows = query.query_map((from, most as i64), |row| {
        Ok(SignedEntry {
            bytes: row.get(0)?,
            signature: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
