use std::collections::BTreeSet;

use chorus_protocol::ClientId;
use rusqlite::{Connection, Transaction};

use super::RowError;

/// Notes that these clients were here.
pub(crate) fn seen(
    tx: &Transaction<'_>,
    clients: &BTreeSet<ClientId>,
    now: u64,
) -> Result<(), RowError> {
    let mut change = tx.prepare_cached(
        "INSERT INTO clients (id, first_seen, last_seen) VALUES (?1, ?2, ?2)
         ON CONFLICT (id) DO UPDATE SET last_seen = ?2",
    )?;
    for client in clients {
        change.execute((&client.0[..], now as i64))?;
    }
    Ok(())
}

/// How many clients were ever here.
pub(crate) fn count(connection: &Connection) -> Result<u64, RowError> {
    Ok(
        connection.query_row("SELECT count(*) FROM clients", [], |row| {
            row.get::<_, i64>(0)
        })? as u64,
    )
}
