use std::collections::BTreeSet;

use chorus_protocol::ClientId;
use rusqlite::{Connection, Transaction};

use super::RowError;

const DAY: u64 = 86_400;

/// Notes that these clients were here, to the day: the second would say who was invited to which round.
pub(crate) fn seen(
    tx: &Transaction<'_>,
    clients: &BTreeSet<ClientId>,
    now: u64,
) -> Result<(), RowError> {
    let mut change = tx.prepare_cached(
        "INSERT INTO clients (id, first_seen, last_seen) VALUES (?1, ?2, ?2)
         ON CONFLICT (id) DO UPDATE SET last_seen = ?2",
    )?;
    let day = now - now % DAY;
    for client in clients {
        change.execute((&client.0[..], day as i64))?;
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
