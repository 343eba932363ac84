use rusqlite::{Connection, OptionalExtension, Transaction};

use super::RowError;

/// The last signed list, as it came.
pub(crate) struct Stored {
    pub list: Vec<u8>,
    pub signature: [u8; 64],
    pub fetched: u64,
}

pub(crate) fn keep(tx: &Transaction<'_>, stored: &Stored) -> Result<(), RowError> {
    tx.execute(
        "INSERT INTO revocations (id, list, signature, fetched) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET list = ?1, signature = ?2, fetched = ?3",
        (&stored.list, &stored.signature[..], stored.fetched as i64),
    )?;
    Ok(())
}

pub(crate) fn last(connection: &Connection) -> Result<Option<Stored>, RowError> {
    let query = "SELECT list, signature, fetched FROM revocations";
    Ok(connection
        .query_row(query, [], |row| {
            Ok(Stored {
                list: row.get(0)?,
                signature: row.get(1)?,
                fetched: row.get::<_, i64>(2)? as u64,
            })
        })
        .optional()?)
}
