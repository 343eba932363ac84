use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction};

use super::RowError;

/// Adds to what was counted before.
pub(crate) fn add(tx: &Transaction<'_>, counts: &BTreeMap<String, u64>) -> Result<(), RowError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO rejects (label, count) VALUES (?1, ?2)
         ON CONFLICT (label) DO UPDATE SET count = count + excluded.count",
    )?;
    for (label, count) in counts {
        insert.execute((label, *count as i64))?;
    }
    Ok(())
}

/// Calls that were refused, by reason, since the store was made.
pub(crate) fn all(connection: &Connection) -> Result<BTreeMap<String, u64>, RowError> {
    let mut query = connection.prepare_cached("SELECT label, count FROM rejects ORDER BY label")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
